"""Tests of :mod:`vidlink.access.elsewhere`: ``--auth`` of the server."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import Keys
from vidlink.access.elsewhere import checker
from vidlink.errors import UserMistake, WrongPassword
from vidlink.model import Role
from vidlink.server.tap import Options


class ElsewhereTests(SynchronousTestCase):
    """Checkers by their descriptions."""

    def written(self, text: str) -> str:
        """A file with this in it."""
        path = str(self.mktemp())
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_file(self) -> None:
        """A file of names and passwords lets in those users who have no password here; what is in
        it is read anew each time."""
        path = self.written("bea:of the file\ncia:somebody else\n")
        keys = Keys(self.mktemp(), Clock(), [checker(f"file:{path}")])
        keys.user("ada", Role.PROCTOR)
        keys.user("bea", Role.PROCTOR, password=None)

        def log_in(name: str, password: str) -> Deferred[object]:
            trying = keys.gate.log_in(name, password, address="::1", software="")
            return Deferred.fromCoroutine(trying)

        self.successResultOf(log_in("bea", "of the file"))
        for name, password in (
            *(("bea", "wrong"), ("cia", "somebody else"), ("ada", "of the file")),
            *(("bea:of the file", "x"), ("bea\ncia", "somebody else")),
        ):
            self.failureResultOf(log_in(name, password), WrongPassword)
        with open(path, "w", encoding="utf-8") as file:
            file.write("bea:another one\n")
        self.failureResultOf(log_in("bea", "of the file"), WrongPassword)
        self.successResultOf(log_in("bea", "another one"))

    def test_unix(self) -> None:
        """The accounts of the system are one."""
        self.assertIsNotNone(checker("unix"))

    def test_mistakes(self) -> None:
        """Anything else is a mistake that says what there is, in one line."""
        for description, word in (
            *(("", "file"), ("ldap:x", "unix"), ("anonymous", "file"), ("sshkey", "file")),
            *(("file", "no file"), ("file:/no/such/file", "no file"), ("file:/", "no file")),
            ("memory:odd", "memory"),
        ):
            with self.assertRaises(UserMistake) as caught:
                checker(description)
            self.assertIn(word, str(caught.exception), description)
            self.assertNotIn("\n", str(caught.exception))

    def test_option(self) -> None:
        """It may be given several times; a wrong one ends the start with one line."""
        options = Options()
        path = self.written("")
        options.parseOptions(["--auth", "unix", "--auth", f"file:{path}"])
        self.assertEqual(len(options["auth"]), 2)
        with self.assertRaises(SystemExit) as caught:
            Options().parseOptions(["--auth", "ldap"])
        self.assertIn("--auth takes", str(caught.exception))
