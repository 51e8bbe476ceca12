"""What strangers try while a password waits to be checked, and in the order in which it waits."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import Credentials, User
from vidlink.access.gate import Gate
from vidlink.access.hashing import NOBODYS_HASH, is_password
from vidlink.access.register import Register
from vidlink.errors import TooManyTries, WrongPassword
from vidlink.model import USUAL, Role, network_of


class WaitingTests(SynchronousTestCase):
    """A gate whose checks are done when the test says so."""

    def setUp(self) -> None:
        """A user anna with the password `old`, and ben, whose password others would know."""
        self.clock = Clock()
        self.credentials = Credentials(self.mktemp())
        self.addCleanup(self.credentials.close)
        self.checks: list[tuple[Deferred[Any], str, str]] = []
        self.put("anna", "old", is_new=True)
        self.put("ben", None, is_new=True)
        folder = os.path.dirname(self.credentials.path)
        self.register = Register(Credentials(folder), now_us=self.now_us, run_in_pool=self.pool)
        self.register.load()
        self.gate = self.new_gate()

    def new_gate(self) -> Gate:
        """A gate as after a start: nobody has guessed yet."""
        return Gate(
            self.register,
            self.clock,
            now_us=self.now_us,
            run_in_pool=self.pool,
            is_open=lambda: False,
        )

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return int(self.clock.seconds() * 1_000_000)

    def put(self, name: str, password: str | None, *, is_new: bool) -> None:
        """Make or change a user, as a command does."""
        self.clock.advance(1)
        user = User(name, password, frozenset({Role.PROCTOR}), None, self.now_us())
        self.credentials.put_user(user, is_new=is_new)

    def pool(self, work: Any, *arguments: Any) -> Deferred[Any]:
        """Check a password later, and do everything else now."""
        if work is not is_password:
            return execute(work, *arguments)
        answer: Deferred[Any] = Deferred()
        self.checks.append((answer, *arguments))
        return answer

    def type(self, name: str, password: str, address: str = "10.0.0.1") -> Deferred[Any]:
        """Somebody types a password."""
        asked = self.gate.log_in(name, password, address=address, software="")
        return Deferred.fromCoroutine(asked)

    def check(self) -> None:
        """Check the password whose turn it is; here it stands beside its hash."""
        answer, typed, kept = self.checks.pop(0)
        answer.callback(typed == kept)

    def test_let_in(self) -> None:
        """Who types the right password is let in."""
        asked = self.type("anna", "old")
        self.check()
        _, principal = self.successResultOf(asked)
        self.assertEqual(principal.name, "anna")

    def test_changed_meanwhile(self) -> None:
        """Who has typed a password before it was changed, and whose turn comes after, is not let
        in by it; and has no login that would outlast the change."""
        for is_known in (False, True):
            with self.subTest(is_known=is_known):
                self.put("anna", "old", is_new=False)
                self.register.refresh()
                asked = self.type("anna", "old")
                self.put("anna", "new", is_new=False)
                if is_known:
                    self.register.refresh()
                self.check()
                self.failureResultOf(asked, WrongPassword)
                self.assertEqual(self.credentials.read().logins, ())

    def test_every_name_takes_its_time(self) -> None:
        """A wrong password is checked for as long whoever it is for: one who is unknown, and one
        whose password nobody here knows, tell themselves by nothing."""
        for name in ("anna", "ben", "nobody"):
            asked = self.type(name, "wrong")
            self.assertNoResult(asked)
            (_, _, kept) = self.checks[0]
            self.assertEqual(kept, "old" if name == "anna" else NOBODYS_HASH)
            self.check()
            self.failureResultOf(asked, WrongPassword)

    def test_one_network(self) -> None:
        """The addresses of one network of IPv6 have the guesses of one, and no other's."""
        for number in range(USUAL.guesses_per_place):
            asked = self.type("nobody", "wrong", f"2001:db8:0:1::{number:x}")
            self.check()
            self.failureResultOf(asked, WrongPassword)
        self.failureResultOf(self.type("anna", "old", "2001:db8:0:1:ffff::9"), TooManyTries)
        asked = self.type("anna", "old", "2001:db8:0:2::1")
        self.check()
        self.successResultOf(asked)

    def test_owner_of_a_network(self) -> None:
        """Whoever has logged in from a network of IPv6 is not locked out by what others guess,
        wherever in that network they are by now."""
        asked = self.type("anna", "old", "2001:db8:0:2::1")
        self.check()
        self.successResultOf(asked)
        self.gate = self.new_gate()
        for number in range(USUAL.guesses_per_place):
            asked = self.type("anna", "wrong", f"10.0.{number}.1")
            self.check()
            self.failureResultOf(asked, WrongPassword)
        self.failureResultOf(self.type("anna", "old", "10.9.9.9"), TooManyTries)
        asked = self.type("anna", "old", "2001:db8:0:2::99")
        self.check()
        self.successResultOf(asked)


class NetworkTests(SynchronousTestCase):
    """Whose guesses are counted together."""

    def test_networks(self) -> None:
        """An address of IPv4, however it is written, or 64 bits of IPv6; anything else is one."""
        for address, wanted in {
            "10.0.0.1": "10.0.0.1",
            "::ffff:10.0.0.1": "10.0.0.1",
            "2001:db8:0:1:2:3:4:5": "2001:db8:0:1::",
            "fe80::1%eth0": "fe80::",
            "::1": "::",
            "local": "local",
            "": "",
        }.items():
            self.assertEqual(network_of(address), wanted)
