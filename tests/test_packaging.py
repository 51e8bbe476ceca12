"""Tests of ``setup.cfg`` beside what says the same elsewhere."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent


def lines(file: str, section: str, option: str) -> list[str]:
    """The lines of an option of an ini file, without comments and empty ones."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / file, encoding="utf-8")
    return [
        line.strip()
        for line in parser.get(section, option).splitlines()
        if line.strip() and not line.startswith("#")
    ]


class DependencyTests(SynchronousTestCase):
    """What is needed, and how old it may be."""

    def test_lowest_is_tested(self) -> None:
        """``py311-lowest`` runs the tests with exactly the lower bounds that are declared."""
        declared = dict(
            line.partition(",")[0].split(">=")
            for line in lines("setup.cfg", "options", "install_requires")
        )
        tested = dict(line.split("==") for line in lines("tox.ini", "testenv:py311-lowest", "deps"))
        self.assertEqual(declared.keys(), tested.keys())
        for name, bound in declared.items():
            self.assertTrue(f"{tested[name]}.0".startswith(f"{bound}."), (name, bound))

    def test_no_project_table(self) -> None:
        """``pyproject.toml`` leaves the dependencies to ``setup.cfg``, for both would not do."""
        table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        self.assertNotIn("project", table)
