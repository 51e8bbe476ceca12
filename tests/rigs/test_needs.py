"""Tests of ``tests.rigs.needs``: a missing program is said by name, and cannot hide in CI."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs.needs import Missing, need


class NeedTests(SynchronousTestCase):
    """What a test is told about a program that it asks for."""

    def test_found(self) -> None:
        """The path of the first command that is there is given."""
        folder = Path(self.mktemp())
        folder.mkdir()
        program = folder / "chromium-browser"
        program.touch(mode=0o755)
        found = need("chromium", {"PATH": os.fspath(folder)})
        self.assertEqual(found, os.fspath(program))

    def test_skipped(self) -> None:
        """Without the program the test is skipped, and the skip says what to install."""
        skip = self.assertRaises(SkipTest, need, "ffprobe", {"PATH": "/nonexistent"})
        self.assertEqual(str(skip), "needs ffprobe: apt-get install ffmpeg")

    def test_required(self) -> None:
        """Where everything has to be there, the test fails instead."""
        environ = {"PATH": "/nonexistent", "VIDLINK_REQUIRE": "all"}
        failure = self.assertRaises(Missing, need, "Xvfb", environ)
        self.assertIn("apt-get install xvfb", str(failure))

    def test_only_known_names(self) -> None:
        """A name that nobody gave a package is the test's own mistake, never a skip."""
        self.assertRaises(KeyError, need, "chromum")
