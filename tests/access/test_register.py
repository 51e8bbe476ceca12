"""Tests of :mod:`vidlink.access.register`: what is known in memory, and when it is known anew."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import Keys
from vidlink.access.register import Register
from vidlink.errors import StoreError
from vidlink.model import Right, Role


class RegisterTests(SynchronousTestCase):
    """A command that changes something while a server runs."""

    def setUp(self) -> None:
        """There is nothing yet."""
        self.clock = Clock()
        self.keys = Keys(self.mktemp(), self.clock)
        self.register = self.keys.register
        self.addCleanup(self.keys.credentials.close)

    def test_begun(self) -> None:
        """It has begun with the first credential, and stays so when there is none any more."""
        self.assertEqual((self.register.is_begun, self.register.is_empty), (False, True))
        self.keys.token(Role.PROCTOR)
        self.assertEqual((self.register.is_begun, self.register.is_empty), (True, False))
        self.keys.revoke()
        self.assertEqual((self.register.is_begun, self.register.is_empty), (True, True))
        self.register.load()
        self.assertTrue(self.register.is_begun)

    def test_seen_on_refresh(self) -> None:
        """What a command adds, changes or removes is known from the next look on."""
        token = self.keys.token(Role.PROCTOR, groups=frozenset({"ward"}))
        principal = self.register.find(token)
        assert principal is not None
        self.assertEqual(principal.rights, {Right.WATCH, Right.CONTROL})
        self.assertEqual((principal.name, principal.groups), ("program 1", {"ward"}))
        self.keys.credentials.remove_token("token-1")
        self.assertEqual(self.register.find(token), principal)
        self.register.refresh()
        self.assertIsNone(self.register.find(token))
        self.assertIsNone(self.register.principal(principal.credential_id))

    def test_login_is_its_user(self) -> None:
        """A login has the rights that its user has now, and ends with a change of them."""
        self.keys.user("ada", Role.PROCTOR, Role.AUDITOR)
        shown = self.keys.login("ada")
        principal = self.register.find(shown)
        assert principal is not None
        self.assertEqual(principal.rights, {Right.WATCH, Right.CONTROL, Right.AUDIT})
        self.keys.user("ada", Role.AUDITOR, is_new=False)
        self.assertIsNone(self.register.find(shown))

    def test_expiry(self) -> None:
        """A token and a login are nothing any more from the moment on at which they end."""
        token = self.keys.token(Role.PROCTOR, expires_us=5_000_000)
        self.clock.advance(4.9)
        self.assertIsNotNone(self.register.find(token))
        self.clock.advance(0.1)
        self.assertIsNone(self.register.find(token))
        self.keys.user("ada", Role.PROCTOR)
        shown = self.keys.login("ada")
        self.assertEqual(len(self.register.logins("ada")), 1)
        self.clock.advance(12 * 3600)
        self.assertIsNone(self.register.find(shown))
        self.assertEqual(self.register.logins("ada"), ())

    def test_trouble(self) -> None:
        """As long as the database cannot be read, or is gone, what was known stays; the log says
        so once."""
        token = self.keys.token(Role.PROCTOR)
        path = self.keys.credentials.path
        os.rename(path, f"{path}.away")
        with capturedLogs() as events:
            for _ in range(3):
                self.successResultOf(self.register.refresh())
        self.assertEqual(len(events), 1)
        self.assertIsNotNone(self.register.find(token))
        with open(path, "wb") as file:
            file.write(b"no database" * 100)
        self.successResultOf(self.register.refresh())
        self.assertIsNotNone(self.register.find(token))
        os.rename(f"{path}.away", path)
        self.keys.credentials.close()
        self.keys.credentials.remove_token("token-1")
        self.successResultOf(self.register.refresh())
        self.assertIsNone(self.register.find(token))

    def test_one_look_at_a_time(self) -> None:
        """While a look goes on no other is begun; a change waits for it."""
        waiting: list[tuple[Deferred[Any], Any]] = []

        def slow(work: Any, *arguments: Any) -> Deferred[Any]:
            waiting.append((Deferred(), lambda: work(*arguments)))
            return waiting[-1][0]

        register = Register(self.keys.credentials, now_us=lambda: 0, run_in_pool=slow)
        register.refresh()
        self.successResultOf(register.refresh())
        changed = register.change(lambda book: book.remove_logins("ada"))
        self.assertEqual(len(waiting), 1)
        for _ in range(2):
            answer, work = waiting.pop()
            answer.callback(work())
        self.assertEqual(self.successResultOf(changed), 0)

    def test_change_fails(self) -> None:
        """A change that cannot be made says so, and the next one can be."""

        def fail(book: object) -> None:
            raise StoreError("no")

        self.failureResultOf(self.register.change(fail), StoreError)
        self.successResultOf(self.register.change(lambda book: book.remove_logins("ada")))
