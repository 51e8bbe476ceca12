"""Lines that would come again and again."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.dialling.repeats import AGAIN_SECONDS, MOST_LINES, Repeats


class RepeatsTests(SynchronousTestCase):
    """What is told of them."""

    def setUp(self) -> None:
        """Nothing was told."""
        self.clock = Clock()
        self.repeats = Repeats(self.clock.seconds)

    def test_once_a_minute(self) -> None:
        """A line is told at once, then once a minute with how often it was not, if ever."""
        self.assertEqual(self.repeats.told("no"), "no")
        self.assertEqual(self.repeats.told("no"), "")
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.repeats.told("no"), "no (1 time more since this was last said)")
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.repeats.told("no"), "no")
        for _ in range(5):
            self.repeats.told("no")
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.repeats.told("no"), "no (5 times more since this was last said)")

    def test_others(self) -> None:
        """Another line is news, and does not make the first one news again."""
        self.assertEqual([self.repeats.told(line) for line in "abab"], ["a", "b", "", ""])

    def test_clear(self) -> None:
        """Once all was well every line is news."""
        self.repeats.told("a")
        self.repeats.clear()
        self.assertEqual(self.repeats.told("a"), "a")

    def test_bound(self) -> None:
        """Of very many lines the first are forgotten: they would be told anew."""
        lines = [str(number) for number in range(MOST_LINES + 1)]
        self.assertEqual([self.repeats.told(line) for line in lines], lines)
        self.assertEqual(self.repeats.told("0"), "0")
