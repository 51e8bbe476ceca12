"""The end of a turn: what is done there, and the rest after it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.sockets.turnend import TurnEnd, rest_for


class TurnEndTests(SynchronousTestCase):
    """Turns that rest 4 ms, on a virtual clock."""

    def setUp(self) -> None:
        """No turn has been had."""
        self.clock = Clock()
        self.rests: list[float] = []
        self.turn_end = TurnEnd(self.clock, 0.004, self.rest)
        self.done: list[str] = []

    def rest(self, seconds: float) -> None:
        """Time passes."""
        self.rests.append(round(seconds, 6))
        # Not `advance`, as nothing else is done meanwhile.
        self.clock.rightNow += seconds

    def turn(self, *acts: str, took_seconds: float = 0.0) -> None:
        """A turn in which a message came, and these are to be done."""
        self.turn_end.mark()
        for act in acts:
            self.turn_end.call(lambda act=act: self.done.append(act))  # type: ignore[misc]
        self.clock.rightNow += took_seconds
        self.clock.advance(0)

    def test_once(self) -> None:
        """What is to be done is done at the end, in order, and once."""
        self.turn_end.call(lambda: self.done.append("a"))
        self.turn_end.call(lambda: self.done.append("b"))
        self.assertEqual(self.done, [])
        self.clock.advance(0)
        self.clock.advance(1)
        self.assertEqual(self.done, ["a", "b"])

    def test_rests(self) -> None:
        """Turns that follow each other end no sooner than 4 ms after the one before, what they
        take themselves included; after a break there is no rest."""
        self.turn(took_seconds=0.001)
        self.assertEqual(self.rests, [])
        self.turn("a", took_seconds=0.001)
        self.assertEqual((self.rests, self.done), ([0.003], ["a"]))
        self.turn(took_seconds=0.005)
        self.turn()
        self.assertEqual(self.rests, [0.003, 0.004])
        self.clock.advance(0.004)
        self.turn()
        self.assertEqual(len(self.rests), 2)

    def test_never_long(self) -> None:
        """A clock that goes back makes no rest longer than a turn, nor does one that fails keep the
        others from being called."""
        self.turn()
        self.clock.rightNow -= 3_600
        self.turn_end.call(lambda: [][0])
        self.turn("a")
        self.assertEqual((self.rests, self.done), ([0.004], ["a"]))
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
        rest_for(0.0)

    def test_off(self) -> None:
        """With no time for a turn there is no rest."""
        self.turn_end = TurnEnd(self.clock, 0.0, self.rest)
        self.turn()
        self.turn("a")
        self.assertEqual((self.rests, self.done), ([], ["a"]))
