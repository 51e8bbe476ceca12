"""Tests of the clocks of the daemons."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.daemon import steady_clock


class SteadyClockTests(SynchronousTestCase):
    """A Sentinel's own clock."""

    def test_is_never_set(self) -> None:
        """A steady clock begins as the wall clock, and goes on alone, whoever sets that."""
        wall_us, monotonic = [1_700_000_000_000_000], Clock()
        monotonic.advance(5)
        now_us = steady_clock(lambda: wall_us[0], monotonic.seconds)
        self.assertEqual(now_us(), 1_700_000_000_000_000)
        wall_us[0] -= 3_600_000_000
        monotonic.advance(0.25)
        self.assertEqual(now_us(), 1_700_000_000_250_000)
