"""Tests of ``tests.rigs.cached``: what is installed is made once, whole, outside of the tree."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs.cached import install, once
from tests.rigs.needs import Missing


class OnceTests(SynchronousTestCase):
    """A folder that takes long to make."""

    def setUp(self) -> None:
        """A cache with nothing in it."""
        self.environ = {"VIDLINK_TEST_CACHE": os.path.abspath(self.mktemp())}
        self.made: list[Path] = []

    def make(self, folder: Path) -> None:
        """Leave a file there."""
        self.made.append(folder)
        (folder / "tool").touch(exist_ok=False)

    def test_once(self) -> None:
        """It is made when it is asked for first, and found from then on."""
        folder = once("tool-1", self.make, self.environ)
        self.assertTrue((folder / "tool").is_file())
        self.assertEqual(once("tool-1", self.make, self.environ), folder)
        self.assertEqual(self.made, [folder])

    def test_broken_off(self) -> None:
        """What was not made to its end is made anew, from nothing."""

        def break_off(folder: Path) -> None:
            self.make(folder)
            raise OSError("no network")

        self.assertRaises(OSError, once, "tool-1", break_off, self.environ)
        folder = once("tool-1", self.make, self.environ)
        self.assertEqual(self.made, [folder, folder])

    def test_not_to_be_had(self) -> None:
        """What cannot be installed is not tried again, and said again."""
        for required, kind in (("", SkipTest), ("all", Missing)):

            def fail(folder: Path, required: str = required) -> None:
                self.made.append(folder)
                install(
                    [sys.executable, "-c", "raise SystemExit(1)"], {"VIDLINK_REQUIRE": required}
                )

            for _ in range(3):
                self.assertRaises(kind, once, f"tool{required}", fail, self.environ)
        self.assertEqual(len(self.made), 2)

    def test_where(self) -> None:
        """It is below the user's cache, unless something else is asked for."""
        cache = os.path.abspath(self.mktemp())
        for environ in ({"XDG_CACHE_HOME": cache}, {"XDG_CACHE_HOME": "x", **self.environ}):
            folder = once("tool-1", self.make, environ)
            expected = environ.get("VIDLINK_TEST_CACHE", f"{cache}/vidlink-tests")
            self.assertEqual(os.fspath(folder), f"{expected}/tool-1")

    def test_failed_step(self) -> None:
        """A step that fails is a skip that says which it was, and what it said; or a failure
        where everything has to be there."""
        step = [sys.executable, "-c", "import sys; sys.exit('no such package')"]
        for required, kind in (("", SkipTest), ("all", Missing)):
            failure = self.assertRaises(kind, install, step, {"VIDLINK_REQUIRE": required})
            self.assertIn(step[0], str(failure))
            self.assertIn("no such package", str(failure))
