"""Tests of the correction of a Sentinel's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.links.uplink.clock import (
    FAR_ANSWERS,
    FAR_US,
    QUICK_US,
    SLEW,
    ClockComparison,
    ClockOffset,
)
from vidlink.messages import Clock

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


class ComparisonTests(SynchronousTestCase):
    """Questions and answers."""

    def setUp(self) -> None:
        """A Sentinel whose clock is right."""
        self.now_us = 1_000 * SECOND
        self.comparison = ClockComparison(lambda: self.now_us)

    def exchange(self, there_s: float, back_s: float, ahead_us: int = 0) -> None:
        """Ask, and have an answer after so long."""
        question = self.comparison.question()
        assert question is not None
        self.now_us += round(there_s * SECOND)
        stamp = self.now_us + ahead_us
        self.now_us += round(back_s * SECOND)
        self.assertTrue(self.comparison.answered(Clock(question.t0, stamp, stamp)))

    def test_once_a_minute(self) -> None:
        """One question is due at first, and then one in a minute, of elapsed time."""
        self.exchange(0.01, 0.01)
        self.assertIsNone(self.comparison.question())
        self.now_us += 60 * SECOND
        self.exchange(0.01, 0.01)

    def test_slept_in_between(self) -> None:
        """An answer that was slept through says nothing, and the question is asked again."""
        self.exchange(0.01, 0.01, 5 * SECOND)
        self.now_us += 60 * SECOND
        self.exchange(0.01, 3_600.0, 5 * SECOND)
        self.assertEqual(self.comparison.offset.measured_us, 5 * SECOND)
        self.exchange(0.01, 0.01, 6 * SECOND)
        self.assertEqual(self.comparison.offset.measured_us, 6 * SECOND)

    def test_slow_network(self) -> None:
        """Where every answer takes long, each is a measure: clocks drift there as well."""
        for ahead_us in (0, 3 * SECOND):
            self.exchange(1.0, 1.0, ahead_us)
            self.assertEqual(self.comparison.offset.measured_us, ahead_us)

    def test_slow_for_good(self) -> None:
        """A link that was quick once and is slow for good is measured again in some minutes; one
        that is slow for a while is waited for."""
        self.exchange(0.1, 0.1)
        began_us, ahead_us = self.now_us, 7 * SECOND
        while self.comparison.offset.measured_us == 0:
            self.assertLess(self.now_us, began_us + QUICK_US + 120 * SECOND)
            self.now_us += 60 * SECOND
            self.exchange(2.0, 2.0, ahead_us)
        self.assertGreater(self.now_us, began_us + QUICK_US)
        self.assertEqual(self.comparison.offset.measured_us, ahead_us)

    def test_slept_for_long(self) -> None:
        """A night makes no quick answer too old where there are few: the one that was slept
        through says nothing all the same."""
        self.exchange(0.01, 0.01)
        self.now_us += 60 * SECOND
        self.exchange(0.01, 8 * 3_600.0)
        self.assertEqual(self.comparison.offset.measured_us, 0)

    @given(
        st.lists(st.tuples(st.sampled_from((0.05, 1.0, 6.0, 900.0)), st.booleans()), max_size=99)
    )
    def test_always_measured(self, course: list[tuple[float, bool]]) -> None:
        """However quick and slow answers follow each other, no more than those of ten minutes are
        kept, or some, and of those that are as quick as any the newest is the measure."""
        self.setUp()
        for trip, is_quick in course:
            self.now_us += 60 * SECOND
            ahead_us = round(self.now_us / 1_000)
            self.exchange(0.01 if is_quick else trip, 0.01 if is_quick else trip, ahead_us)
            self.assertLessEqual(len(self.comparison._delays), 600)
            if is_quick:
                self.assertEqual(self.comparison.offset.measured_us, ahead_us)

    def lag(self, ahead_us: int, answers: int) -> list[bool]:
        """So many minutes with an answer and segments; where a session had to begin."""
        anew = []
        for _ in range(answers):
            self.comparison.offset.corrected(self.now_us)
            self.now_us += 60 * SECOND
            self.exchange(0.0, 0.0, ahead_us)
            anew.append(self.comparison.begin_anew())
        return anew

    def test_far(self) -> None:
        """Where the server's clock is set by far for good, a session begins after some answers
        that say so, with the new time from its beginning; and only one."""
        self.exchange(0.0, 0.0)
        before = self.comparison.offset
        for ahead_us in (3_600 * SECOND, -3_600 * SECOND):
            anew = self.lag(ahead_us, 2 * FAR_ANSWERS)
            self.assertEqual(anew, [False] * (FAR_ANSWERS - 1) + [True] + [False] * FAR_ANSWERS)
            self.assertIsNot(self.comparison.offset, before)
            after_us = self.comparison.offset.corrected(self.now_us)
            self.assertEqual(after_us, self.now_us + ahead_us)

    def test_far_for_a_moment(self) -> None:
        """A clock that is wrong for some minutes, or says something else each time, begins no
        session; nor does one that is off by little."""
        self.exchange(0.0, 0.0)
        self.assertNotIn(True, self.lag(3_600 * SECOND, FAR_ANSWERS - 1))
        self.assertNotIn(True, self.lag(0, 1))
        for hours in range(2, 20):
            self.assertNotIn(True, self.lag(hours * 3_600 * SECOND, 1))
        self.setUp()
        self.exchange(0.0, 0.0)
        self.assertNotIn(True, self.lag(FAR_US, 30))

    def test_only_a_slow_one(self) -> None:
        """Where no answer is quick one that is slow is better than none; until times were corrected
        by it, a better one takes its place at once."""
        self.exchange(0.0, 10.0)
        offset = self.comparison.offset
        self.assertEqual(offset.measured_us, -5 * SECOND)
        self.exchange(0.1, 0.1)
        self.assertEqual(offset.corrected(2_000 * SECOND), 2_000 * SECOND)
