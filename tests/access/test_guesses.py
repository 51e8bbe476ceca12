"""Tests of :mod:`vidlink.access.guesses`: who is checked when, and who is refused."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.access.guesses import MOST_REMEMBERED, Guesses
from vidlink.errors import TooManyTries
from vidlink.model import USUAL, Bounds

HOME, AWAY = "192.0.2.1", "198.51.100.7"


class GuessesCase(SynchronousTestCase):
    """Checks that end when the test says so."""

    def setUp(self) -> None:
        """Nobody has guessed yet."""
        self.clock = Clock()
        self.written: set[tuple[str, str]] = set()
        self.guesses = Guesses(self.clock.seconds, lambda name, at: (name, at) in self.written)
        #: The checks that were begun, in order, and what ends each.
        self.begun: list[tuple[str, str]] = []
        self.running: list[Deferred[bool]] = []

    def check(self, address: str, name: str) -> Deferred[bool]:
        """Ask for a check."""

        def work() -> Deferred[bool]:
            self.begun.append((address, name))
            self.running.append(Deferred())
            return self.running[-1]

        return self.guesses.check(address, name, work)

    def end(self, is_right: bool = False) -> None:
        """End the check that is being made."""
        self.running.pop().callback(is_right)

    def guess(self, address: str, name: str, is_right: bool = False) -> None:
        """One check from its beginning to its end, where nobody else waits."""
        asked = self.check(address, name)
        self.end(is_right)
        self.assertIs(self.successResultOf(asked), is_right)

    def assert_refused(self, address: str, name: str) -> None:
        """Not even begun."""
        before = len(self.begun)
        with self.assertRaises(TooManyTries):
            self.check(address, name)
        self.assertEqual(len(self.begun), before)


class OrderTests(GuessesCase):
    """Who is checked when."""

    def test_one_at_a_time(self) -> None:
        """The next check begins when the last one is over, also if that has failed."""
        first, second = self.check(HOME, "ada"), self.check(AWAY, "bea")
        self.assertEqual(self.begun, [(HOME, "ada")])
        self.running.pop().errback(ZeroDivisionError())
        self.failureResultOf(first, ZeroDivisionError)
        self.assertEqual(self.begun, [(HOME, "ada"), (AWAY, "bea")])
        self.end(True)
        self.assertTrue(self.successResultOf(second))

    def test_two_at_a_time(self) -> None:
        """Where more are wanted, so many are made beside each other, and no more."""
        self.guesses = Guesses(self.clock.seconds, bounds=Bounds(passwords_at_a_time=2))
        for name in ("ada", "bea", "eve"):
            self.check(HOME, name)
        self.assertEqual(self.begun, [(HOME, "ada"), (HOME, "bea")])
        self.end()
        self.assertEqual(self.begun[2:], [(HOME, "eve")])

    def test_flood(self) -> None:
        """A flood from a hundred addresses lets a newcomer wait for no more than the check that
        is being made, once each of them has guessed wrong."""
        addresses = [f"203.0.113.{number}" for number in range(100)]
        for address in addresses:
            self.guess(address, f"nobody at {address}")
        refused = 0
        for _ in range(10):
            for address in addresses:
                asked = self.check(address, f"somebody at {address}")
                asked.addErrback(lambda failure: failure.trap(TooManyTries))
                refused += asked.called
        self.assertEqual(refused, 1_000 - USUAL.waiting_passwords - 1)
        newcomer = self.check(HOME, "ada")
        self.end()
        self.assertEqual(self.begun[-1], (HOME, "ada"))
        self.end(True)
        self.assertTrue(self.successResultOf(newcomer))

    def test_turns(self) -> None:
        """Of addresses that have guessed equally often, one of each is checked in turn, so
        whoever asks for many stands behind themselves."""
        for number in range(5):
            self.check(AWAY, f"user {number}")
        self.check(HOME, "ada")
        self.check(HOME, "bea")
        for _ in range(4):
            self.end(True)
        names = [name for _, name in self.begun]
        self.assertEqual(names, ["user 0", "user 1", "ada", "user 2", "bea"])

    def test_known_first(self) -> None:
        """Whoever has been let in from there before is checked before all strangers."""
        self.written.add(("ada", HOME))
        for number in range(20):
            self.check(f"203.0.113.{number}", "bea")
        self.check(HOME, "ada")
        self.end()
        self.assertEqual(self.begun[-1], (HOME, "ada"))

    def test_full(self) -> None:
        """When all places are taken, the last in order gives way to somebody who is before them;
        whoever asks for more at once than one address may is refused."""
        asked = [
            self.check(f"203.0.{number}.1", "x") for number in range(USUAL.waiting_passwords + 1)
        ]
        self.written.add(("ada", HOME))
        known = self.check(HOME, "ada")
        self.failureResultOf(asked[-1], TooManyTries)
        self.assertNoResult(known)
        late = self.check(AWAY, "bea")
        self.failureResultOf(late, TooManyTries)

    def test_each(self) -> None:
        """One address has so many waiting, and no more."""
        for number in range(USUAL.waiting_passwords_per_place + 1):
            self.check(AWAY, f"user {number}")
        self.assert_refused(AWAY, "another")


class BoundTests(GuessesCase):
    """Who is refused, and for how long."""

    def test_address(self) -> None:
        """After a hundred wrong ones nothing more is checked from there; from elsewhere it is."""
        for number in range(USUAL.guesses_per_place):
            self.guess(AWAY, f"user {number}")
        self.assert_refused(AWAY, "ada")
        self.guess(HOME, "ada", is_right=True)

    def test_forgiven(self) -> None:
        """One of them is forgiven in so long."""
        for number in range(USUAL.guesses_per_place):
            self.guess(AWAY, f"user {number}")
        self.clock.advance(USUAL.seconds_per_guess * 0.9)
        self.assert_refused(AWAY, "ada")
        self.clock.advance(USUAL.seconds_per_guess * 0.2)
        self.guess(AWAY, "ada")
        self.assert_refused(AWAY, "ada")

    def test_name(self) -> None:
        """One name that is guessed at from many addresses is refused at a new one."""
        for number in range(USUAL.guesses_per_place):
            self.guess(f"203.0.113.{number}", "ada")
        self.assert_refused(AWAY, "ada")
        self.guess(AWAY, "bea")

    def test_owner(self) -> None:
        """That does not lock out the owner: not where a login of theirs is written down, nor
        where they were let in since the server started."""
        self.guess(HOME, "ada", is_right=True)
        self.written.add(("ada", "192.0.2.2"))
        for number in range(USUAL.guesses_per_place):
            self.guess(f"203.0.113.{number}", "ada")
        self.assert_refused(AWAY, "ada")
        self.guess(HOME, "ada", is_right=True)
        self.guess("192.0.2.2", "ada", is_right=True)

    def test_shared_address(self) -> None:
        """Behind one address, where somebody guesses for names that they do not have, those who
        were let in there are let in again."""
        self.guess(HOME, "ada", is_right=True)
        for number in range(USUAL.guesses_per_place):
            self.guess(HOME, f"user {number}")
        self.assert_refused(HOME, "bea")
        self.guess(HOME, "ada", is_right=True)

    def test_known_is_bounded(self) -> None:
        """Where a name has been let in before, guesses for it are bounded too, and take nothing
        from others there; the right one clears them."""
        self.guess(HOME, "ada", is_right=True)
        for _ in range(USUAL.guesses_per_place - 1):
            self.guess(HOME, "ada")
        self.guess(HOME, "ada", is_right=True)
        for _ in range(USUAL.guesses_per_place):
            self.guess(HOME, "ada")
        self.assert_refused(HOME, "ada")
        self.guess(HOME, "bea", is_right=True)

    def test_memory(self) -> None:
        """Only so much is remembered; what has been quiet longest is forgotten."""
        for _ in range(USUAL.guesses_per_place):
            self.guess(AWAY, "ada")
        for number in range(MOST_REMEMBERED // 3):
            self.guess(f"10.0.{number // 256}.{number % 256}", f"user {number}")
        self.guess(AWAY, "ada")
