"""Tests of :mod:`vidlink.access.gate`: passwords, those of other checkers too, and hashes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import KEPT, PASSWORD, Keys
from vidlink.access.gate import LOGIN_US
from vidlink.access.hashing import MOST_PASSWORD, is_password
from vidlink.errors import NotAuthenticated, WrongPassword
from vidlink.model import (
    USUAL,
    Role,
)


class Elsewhere:
    """A checker from elsewhere that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def requestAvatarId(self, credentials: Any) -> Any:
        """Whatever it was told."""
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


def broken() -> Any:
    """A checker with a fault."""
    raise ZeroDivisionError("broken")


class GateCase(SynchronousTestCase):
    """A gate with a user who has a password and one who has none."""

    checkers: tuple[Any, ...] = ()

    def setUp(self) -> None:
        """Make them."""
        self.make()

    def make(self, *checkers: Any) -> None:
        """Begin anew, with these checkers from elsewhere."""
        self.clock = Clock()
        self.keys = Keys(self.mktemp(), self.clock, checkers)
        self.gate = self.keys.gate
        self.keys.user("ada", Role.PROCTOR)
        self.keys.user("bea", Role.PROCTOR, password=None)
        self.addCleanup(self.keys.credentials.close)

    def log_in(self, name: str, password: str = PASSWORD) -> Deferred[Any]:
        """Try to."""
        return Deferred.fromCoroutine(
            self.gate.log_in(name, password, address="192.0.2.1", software="x" * 1000)
        )


class OwnTests(GateCase):
    """Passwords of our own."""

    def test_let_in(self) -> None:
        """The right one gives something to show, which is known at once and for half a day."""
        token, principal = self.successResultOf(self.log_in("ada"))
        self.assertEqual(self.successResultOf(self.gate.identify(token)), principal)
        self.assertEqual(principal.name, "ada")
        (login,) = self.keys.register.logins("ada")
        self.assertEqual((login.address, len(login.software)), ("192.0.2.1", 200))
        self.clock.advance(LOGIN_US / 1_000_000)
        self.failureResultOf(self.gate.identify(token), NotAuthenticated)

    def test_wrong(self) -> None:
        """Anything else is one and the same refusal, whatever is wrong with it."""
        said = set()
        for name, password in (
            *(("ada", "wrong"), ("nobody", PASSWORD), ("bea", PASSWORD), ("bea", "")),
            *(("ada", "x" * (MOST_PASSWORD + 1)), ("\ud800", PASSWORD), ("ada", "\ud800")),
            ("ADA", PASSWORD),
        ):
            said.add(str(self.failureResultOf(self.log_in(name, password), WrongPassword).value))
        self.assertEqual(len(said), 1)
        self.assertEqual(self.keys.register.logins("ada"), ())

    def test_most(self) -> None:
        """Of too many logins the oldest ends."""
        tokens = []
        for _ in range(USUAL.logins_per_user + 1):
            tokens.append(self.successResultOf(self.log_in("ada"))[0])
            self.clock.advance(1)
        self.failureResultOf(self.gate.identify(tokens[0]), NotAuthenticated)
        self.successResultOf(self.gate.identify(tokens[1]))

    def test_nothing_shown(self) -> None:
        """Where credentials are asked for, nothing is not enough; nor is what was made up."""
        for token, ticket in ((None, None), ("", None), ("vidlink_x", None), (None, "vidlink_x")):
            self.failureResultOf(self.gate.identify(token, ticket, "/ws/proctor"), NotAuthenticated)


class ElsewhereTests(GateCase):
    """Users whose password another checker knows."""

    def test_asked_in_turn(self) -> None:
        """The first that knows them lets them in; those that deny or fail are passed over, one with
        a fault is logged."""
        checkers: list[Any] = [
            Elsewhere(lambda: fail(UnauthorizedLogin())),
            Elsewhere(lambda: fail(LoginDenied())),
            Elsewhere(broken),
            InMemoryUsernamePasswordDatabaseDontUse(bea=PASSWORD.encode()),
            Elsewhere(lambda: succeed("somebody else")),
        ]
        self.make(*checkers)
        _, principal = self.successResultOf(self.log_in("bea"))
        self.assertEqual(principal.name, "bea")
        self.assertEqual(checkers[-1].asked, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_only_ours(self) -> None:
        """They let nobody in who is no user here, or has a password here."""
        checker = Elsewhere(lambda: succeed("anybody"))
        self.make(checker)
        self.failureResultOf(self.log_in("cia"), WrongPassword)
        self.failureResultOf(self.log_in("ada", "wrong"), WrongPassword)
        self.assertEqual(checker.asked, 0)

    def test_hanging(self) -> None:
        """One that never answers is given ten seconds; whoever waits behind it is served then."""
        self.make(Elsewhere(Deferred))
        hanging, behind = self.log_in("bea"), self.log_in("ada")
        self.assertNoResult(hanging)
        self.clock.advance(10)
        self.failureResultOf(hanging, WrongPassword)
        self.assertEqual(self.successResultOf(behind)[1].name, "ada")

    def test_none(self) -> None:
        """Without such checkers nobody knows their password."""
        self.failureResultOf(self.log_in("bea"), WrongPassword)


class HashTests(SynchronousTestCase):
    """Hashes that are kept."""

    def test_kept(self) -> None:
        """The password that it is of, and no other."""
        self.assertTrue(is_password(PASSWORD, KEPT))
        for wrong in ("", PASSWORD + " ", PASSWORD.upper()):
            self.assertFalse(is_password(wrong, KEPT))

    @given(st.text(st.sampled_from("$scrypt=ln,r1p0AZaz+/ \n"), max_size=60))
    def test_anything(self, text: str) -> None:
        """What is no hash, or would cost more than it may, is of no password."""
        self.assertFalse(is_password(PASSWORD, text))
        for costs in ("ln=31,r=8,p=1", "ln=1,r=99,p=1", "ln=1,r=1,p=99", "ln=0,r=1,p=1"):
            kept = KEPT.replace("ln=1,r=1,p=1", costs)
            self.assertFalse(is_password(PASSWORD, kept))
