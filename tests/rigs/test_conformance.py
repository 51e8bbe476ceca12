"""Tests of ``tests.rigs.conformance``: the Python 2.7 that the suite needs is found, or skipped."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs.conformance import find_python2


class FindTests(SynchronousTestCase):
    """Where a Python 2.7 is looked for."""

    def setUp(self) -> None:
        """Folders with nothing in them."""
        self.room = Path(os.path.abspath(self.mktemp()))
        self.environ = {"PATH": os.fspath(self.room / "path"), "PYENV_ROOT": os.fspath(self.room)}

    def put(self, place: str, status: int = 0) -> str:
        """A program that ends with `status`, whatever it is told."""
        program = self.room / place
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
        return os.fspath(program)

    def test_on_path(self) -> None:
        """One on the path is taken first."""
        self.put("versions/2.7.18/bin/python")
        expected = self.put("path/python2.7")
        self.assertEqual(find_python2(self.environ), expected)

    def test_of_pyenv(self) -> None:
        """Else one of pyenv's versions, whose shim on the path is of no use then."""
        self.put("path/python2.7", status=127)
        self.put("versions/3.11.7/bin/python")
        expected = self.put("versions/2.7.18/bin/python")
        self.assertEqual(find_python2(self.environ), expected)

    def test_none(self) -> None:
        """Without any it is a skip by name, also where everything else has to be there."""
        skip = self.assertRaises(SkipTest, find_python2, {**self.environ, "VIDLINK_REQUIRE": "all"})
        self.assertIn("Python 2.7", str(skip))
