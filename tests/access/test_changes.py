"""Tests of changes that nobody waits for any more, of :mod:`vidlink.access.register`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import Credentials, User
from vidlink.access.register import Register
from vidlink.model import Role


class ChangeTests(SynchronousTestCase):
    """Changes in threads that take a while."""

    def test_given_up(self) -> None:
        """A change that a browser has given up is made to its end before the next one begins, and
        is known then: two threads never have the database at once."""
        book = Credentials(self.mktemp())
        self.addCleanup(book.close)
        running: list[tuple[Deferred[Any], Any]] = []

        def in_pool(work: Any) -> Deferred[Any]:
            running.append((Deferred(), work))
            return running[-1][0]

        register = Register(book, now_us=lambda: 0, run_in_pool=in_pool)
        ada = User("ada", "hash", frozenset({Role.AUDITOR}), None, 1)
        first = register.change(lambda book: book.put_user(ada, is_new=True))
        second = register.change(lambda book: book.remove_user("eve"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(len(running), 1)
        answer, work = running[0]
        answer.callback(work())
        self.assertEqual(register.user("ada"), ada)
        self.assertEqual(len(running), 2)
        self.assertNoResult(second)
