"""Tests of the correction of a Sentinel's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.links.uplink.clock import SLEW, ClockOffset

SECOND = 1_000_000


def measured(clock: ClockOffset, offset_us: int, at_us: int, trip_us: int = 0) -> None:
    """Compare with a server that is `offset_us` ahead; each way takes `trip_us`."""
    there = at_us + trip_us + offset_us
    clock.measured(at_us, there, there, at_us + 2 * trip_us)


class ClockOffsetTests(SynchronousTestCase):
    """Our times as the server's clock has them."""

    def test_unmeasured(self) -> None:
        """Before the first comparison our own clock is all there is."""
        self.assertEqual(ClockOffset().corrected(5 * SECOND), 5 * SECOND)

    def test_first_measure(self) -> None:
        """The first comparison counts at once and in full, whatever the way took."""
        for trip_us in (0, 30_000):
            clock = ClockOffset()
            measured(clock, 7 * SECOND, 100 * SECOND, trip_us)
            self.assertEqual(clock.corrected(101 * SECOND), 108 * SECOND)

    def test_slewed(self) -> None:
        """Later ones are followed slowly, forwards and backwards, and then exactly."""
        for target in (-1, 1):
            clock = ClockOffset()
            measured(clock, 0, 100 * SECOND)
            clock.corrected(100 * SECOND)
            measured(clock, target * SECOND, 100 * SECOND)
            after = clock.corrected(101 * SECOND) - 101 * SECOND
            self.assertEqual(after, target * round(SLEW * SECOND))
            for second in range(102, 130):
                after = clock.corrected(second * SECOND) - second * SECOND
            self.assertEqual(after, target * SECOND)

    @given(
        st.lists(
            st.tuples(st.integers(0, 90 * SECOND), st.integers(-3600 * SECOND, 3600 * SECOND)),
            max_size=30,
        )
    )
    def test_never_backwards(self, steps: list[tuple[int, int]]) -> None:
        """Times never run backwards, however the server's clock jumps, nor leap ahead."""
        clock = ClockOffset()
        now = 1_000 * SECOND
        measured(clock, 0, now)
        before = clock.corrected(now)
        for passed, offset in steps:
            now += passed
            measured(clock, offset, now)
            after = clock.corrected(now)
            self.assertGreaterEqual(after, before + (1 - SLEW) * passed - 1)
            self.assertLessEqual(after, before + (1 + SLEW) * passed + 1)
            before = after
