"""Tests of :mod:`vidlink.access.misses`: wrong tokens from one place, and right ones beside."""

from __future__ import annotations

from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.credentials import Credentials, Token
from vidlink.access.gate import Gate
from vidlink.access.hashing import digest_of, new_token
from vidlink.access.misses import MOST_PLACES, Misses
from vidlink.access.register import Register
from vidlink.errors import NotAuthenticated, TooManyTries
from vidlink.model import (
    USUAL,
    Role,
)


class MissesTests(SynchronousTestCase):
    """What a place may show that is wrong."""

    def setUp(self) -> None:
        """Nobody has shown anything."""
        self.clock = Clock()
        self.misses = Misses(self.clock.seconds)

    def test_one_place(self) -> None:
        """So many are counted, then none; with the time some more; other places are others."""
        self.assertTrue(all(self.misses.count("here") for _ in range(USUAL.wrong_tokens_per_place)))
        self.assertFalse(self.misses.count("here"))
        self.assertTrue(self.misses.count("there"))
        self.clock.advance(1)
        self.assertEqual([self.misses.count("here") for _ in range(6)], [True] * 5 + [False])

    def test_many_places(self) -> None:
        """Of more places than are remembered the one is forgotten that was quiet longest."""
        while self.misses.count("quiet"):
            "It may show nothing more."
        for number in range(MOST_PLACES - 1):
            self.misses.count(number)
        self.assertFalse(self.misses.count("quiet"))
        for number in range(MOST_PLACES):
            self.misses.count(number)
        self.assertTrue(self.misses.count("quiet"))


class GateTests(SynchronousTestCase):
    """A gate that is guessed at."""

    def setUp(self) -> None:
        """One token is right."""
        self.clock = Clock()
        self.right = new_token()
        credentials = Credentials(self.mktemp())
        digest, roles = digest_of(self.right), frozenset({Role.SENTINEL})
        credentials.put_token(Token("one", digest, "one", roles, None, None, None, 0, None))
        register = Register(credentials, now_us=lambda: 0, run_in_pool=execute)
        register.load()
        self.gate = Gate(
            register, self.clock, now_us=lambda: 0, run_in_pool=execute, is_open=lambda: False
        )

    def refusal(
        self, token: str | None, ticket: str | None = None, place: str = "school"
    ) -> type[Exception]:
        """How it is refused who shows that."""
        asked = self.gate.identify(token, ticket, "/ws/proctor", place=place)
        failed = self.failureResultOf(asked, NotAuthenticated, TooManyTries)
        return type(failed.value)

    def test_wrong_and_right(self) -> None:
        """Wrong tokens and tickets are too many at some time, right ones of that place never."""
        for number in range(USUAL.wrong_tokens_per_place):
            shown = ("wrong", None) if number % 2 else (None, "wrong")
            self.assertIs(self.refusal(*shown), NotAuthenticated)
        self.assertIs(self.refusal("wrong"), TooManyTries)
        self.assertIs(self.refusal(None, "wrong"), TooManyTries)
        for _ in range(1_000):
            principal = self.successResultOf(self.gate.identify(self.right, place="school"))
            self.assertEqual(principal.name, "one")
        self.assertIs(self.refusal("wrong", place="elsewhere"), NotAuthenticated)

    def test_nothing_shown(self) -> None:
        """Who shows nothing has not guessed."""
        for _ in range(2 * USUAL.wrong_tokens_per_place):
            self.assertIs(self.refusal(None), NotAuthenticated)
        self.assertIs(self.refusal("wrong"), NotAuthenticated)
