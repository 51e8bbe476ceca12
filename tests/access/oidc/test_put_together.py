"""Tests of :mod:`vidlink.server.oidc`, the tap and commands, with an identity provider."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.providers import SETTINGS
from vidlink.access.credentials import Credentials, User
from vidlink.access.oidc.claims import user_name
from vidlink.access.oidc.returning import Returning
from vidlink.audit.trail import OPERATOR, SERVER
from vidlink.commands import user as user_command
from vidlink.errors import UserMistake
from vidlink.model import USUAL, Deed, Role
from vidlink.server.oidc import returning
from vidlink.server.port.exposure import Listening
from vidlink.server.tap import Options, _note_credentials, _openness

NAME = user_name(SETTINGS.issuer, "f3b0")


class TapTests(SynchronousTestCase):
    """The server, put together."""

    def options(self, *words: str) -> Options:
        """The options of a server with a provider."""
        whole = ["--oidc-issuer", SETTINGS.issuer, "--oidc-client-id", "x"]
        options = Options()
        options.parseOptions([*whole, "--oidc-role", "auditor=a", *words])
        return options

    def returning(self, options: Options) -> Returning | None:
        """The way to the provider that they give."""
        return returning(options, MemoryReactorClock(), lambda: 0, USUAL)

    def test_not_installed(self) -> None:
        """Without what it takes the server does not start, and one line says what to install."""
        module = "vidlink.access.oidc.idtoken"
        with mock.patch.dict(sys.modules, {"jwt": None}):
            sys.modules.pop(module, None)
            with self.assertRaisesRegex(UserMistake, r"needs PyJWT: pip install .*vidlink\[oidc\]"):
                self.returning(self.options())

    def test_installed(self) -> None:
        """With it there is a way to the provider, and none where none is named."""
        self.assertIsInstance(self.returning(self.options()), Returning)
        without = Options()
        without.parseOptions([])
        self.assertIsNone(self.returning(without))

    def test_open_secret(self) -> None:
        """A secret that others on the machine can read is complained about."""
        path = Path(self.mktemp())
        path.write_text("sesame")
        for mode, told in ((0o640, 0), (0o644, 1)):
            os.chmod(path, mode)
            with capturedLogs() as logs:
                options = self.options("--oidc-client-secret-file", str(path))
                self.returning(options)
            self.assertEqual(repr(logs).count("chmod o="), told)

    def test_nobody_else(self) -> None:
        """With a provider a server that others can reach starts without a credential, and lets
        nobody in who shows none, on loopback neither."""
        register: Any = mock.Mock(is_empty=True, is_begun=False)
        for place in ("tcp:8080", "tcp:8080:interface=127.0.0.1"):
            is_open = _openness(self.options(), [Listening.parse(place)], register)
            self.assertFalse(is_open())

    def test_others_who_know_passwords(self) -> None:
        """Who says who knows passwords has asked for them: on loopback nobody is let in without a
        credential, before the first user is made either, of whom one line tells; and to listen for
        others is refused, as nobody could log in."""
        path = Path(self.mktemp())
        path.write_text("ada:sesame")
        options = Options()
        options.parseOptions(["--auth", f"file:{path}", "--data", "the-folder"])
        loopback = [Listening.parse("tcp:8080:interface=127.0.0.1")]
        for is_empty, told in ((True, 1), (False, 0)):
            register: Any = mock.Mock(is_empty=is_empty, is_begun=not is_empty)
            with capturedLogs() as logs:
                is_open = _openness(options, loopback, register)
            self.assertFalse(is_open())
            lines = [formatEvent(event) for event in logs]
            self.assertEqual(len(lines), told)
            add = "'vidlink user add NAME --no-password --role administrator --data the-folder'"
            self.assertTrue(all(add in line for line in lines), lines)
        register = mock.Mock(is_empty=True, is_begun=False)
        with self.assertRaisesRegex(UserMistake, "no credentials are set up"):
            _openness(options, [Listening.parse("tcp:8080")], register)

    def test_who_has_changed(self) -> None:
        """The trail has users whom a provider vouches for as the server's doing; that one was
        removed, and all that is about others, is the operator's."""
        trail: Any = mock.Mock()
        for about, who in (
            ({"user": NAME, "how": "added"}, SERVER),
            ({"user": NAME, "how": "changed"}, SERVER),
            ({"user": NAME, "how": "removed"}, OPERATOR),
            ({"user": "ada", "how": "added"}, OPERATOR),
            ({"token": "1 of oidc:x", "how": "added"}, OPERATOR),
        ):
            _note_credentials(trail, **about)
            trail.note.assert_called_with(Deed.CREDENTIALS, who, "", **about)


class CommandTests(SynchronousTestCase):
    """``vidlink user`` about users whom a provider vouches for."""

    def test_remove(self) -> None:
        """They are removed as any other, and neither made nor given a password."""
        folder = self.mktemp()
        book = Credentials(folder)
        self.addCleanup(book.close)
        book.put_vouched(User(NAME, None, frozenset({Role.AUDITOR}), None, 1))
        for words in (["add", NAME, "--role", "auditor"], ["passwd", NAME]):
            left = self.assertRaises(
                SystemExit, user_command.Options().parseOptions, [*words, "--data", folder]
            )
            self.assertIn("is no user's name", str(left.code))
        options = user_command.Options()
        options.parseOptions(["remove", NAME, "--data", folder])
        with mock.patch.object(user_command, "tell"):
            user_command.run(options)
        self.assertEqual(book.read().users, ())
