"""Tests of how tests are run side by side: of ``tests/conftest.py``, in runs of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CONFTEST = Path(__file__).with_name("conftest.py")
SETTINGS = """
[pytest]
addopts = --numprocesses=auto --maxschedchunk=1
testpaths = .
markers = quiet
"""
#: Each test notes when it begins and ends; a loud one ends when another loud one has begun.
TESTS = """
import os, time
from pathlib import Path
import pytest

LOG = Path(__file__).with_name("log")

def note(word):
    with LOG.open("a") as log:
        log.write(word + "\\n")

@pytest.mark.quiet
@pytest.mark.parametrize("number", range(3))
def test_quiet(number):
    note(f"begin quiet-{number}")
    time.sleep(0.1)
    note(f"end quiet-{number}")

@pytest.mark.parametrize("number", range(4))
def test_loud(number):
    note(f"begin loud-{number}")
    until = time.monotonic() + 30
    is_alone = "PYTEST_XDIST_WORKER" not in os.environ
    while not is_alone and LOG.read_text().count("begin loud") < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    note(f"end loud-{number}")
"""


class SideBySideTests(SynchronousTestCase):
    """A run of seven tests, three of which need quiet."""

    def setUp(self) -> None:
        """A folder with the tests, and with what pytest is told here."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        shutil.copy(CONFTEST, self.folder)
        (self.folder / "pytest.ini").write_text(SETTINGS)
        (self.folder / "test_seven.py").write_text(TESTS)

    def run_tests(self, *words: str) -> tuple[list[str], str]:
        """What the tests noted, and what pytest said."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "xdist", *words],
            cwd=self.folder,
            env=environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("7 passed", run.stdout)
        return (self.folder / "log").read_text().splitlines(), run.stdout

    def assert_quiet(self, noted: list[str]) -> None:
        """From when one that needs quiet began until it ended nothing else happened."""
        for number in range(3):
            begun = noted.index(f"begin quiet-{number}")
            self.assertEqual(noted[begun + 1], f"end quiet-{number}")

    def test_all(self) -> None:
        """Where all are run, others run at the same time, and these while no other one does."""
        noted, _ = self.run_tests("--maxprocesses=2")
        self.assertEqual({word.split("-")[0] for word in noted[:2]}, {"begin loud"})
        self.assert_quiet(noted)

    def test_named(self) -> None:
        """Where some are named no worker is started for them."""
        noted, said = self.run_tests("test_seven.py")
        self.assertEqual(noted[:4], ["begin loud-0", "end loud-0", "begin loud-1", "end loud-1"])
        self.assertNotIn("workers", said)
        self.assert_quiet(noted)
