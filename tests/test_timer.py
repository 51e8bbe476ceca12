"""Tests of the timer that everybody with something to put off has."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.timer import Timer


class TimerTests(SynchronousTestCase):
    """One timer, and what it has called when."""

    def setUp(self) -> None:
        """Nothing is due."""
        self.clock = Clock()
        self.timer = Timer(self.clock)
        self.called: list[float] = []

    def start(self, seconds: float) -> None:
        """Have the time noted in so many seconds."""
        self.timer.start(seconds, lambda: self.called.append(self.clock.seconds()))

    def test_once(self) -> None:
        """A call comes once, at its time, and until then the timer runs."""
        self.start(2.0)
        self.assertTrue(self.timer.is_running)
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.called, [2.0])
        self.assertFalse(self.timer.is_running)

    def test_put_off(self) -> None:
        """Starting again calls off what was due before."""
        self.start(2.0)
        self.clock.advance(1.0)
        self.start(2.0)
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.called, [3.0])

    def test_called_off(self) -> None:
        """What is called off never comes; with nothing due, nothing happens."""
        self.timer.stop()
        self.start(2.0)
        self.timer.stop()
        self.assertFalse(self.timer.is_running)
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.called, [])
        self.timer.stop()

    def test_again_from_the_call(self) -> None:
        """The call itself may start the timer again."""
        self.timer.start(1.0, lambda: self.start(1.0))
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.called, [2.0])
