"""Tests of where a late segment fits, by what is recorded around it."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import EPOCH_US, FRAME_TICKS, FRAME_US, TIMESCALE, a_session, an_arrival
from vidlink.model import CLOCK_SLACK_US, Arrival
from vidlink.store.sequences.fit import fitted
from vidlink.store.sequences.runs import Mark

HOUR_US = 3_600_000_000


def mark(sequence: int) -> Mark:
    """Where segment `sequence` lies if all is well."""
    return sequence, EPOCH_US + sequence * FRAME_US, sequence * FRAME_TICKS


def late(sequence: int, *, off_us: int = 0, media_time: int | None = None) -> Arrival:
    """Segment `sequence`, whose Sentinel says that it was captured `off_us` from when it was."""
    arrival = an_arrival(a_session(), sequence, late=True, media_time=media_time)
    start_us = arrival.segment.start_time_us + off_us
    return replace(arrival, segment=replace(arrival.segment, start_time_us=start_us))


class FitTests(SynchronousTestCase):
    """A late segment between two others, at the end, at the beginning, or alone."""

    def test_fits(self) -> None:
        """One that lies between its neighbours is what it was."""
        for before, after in ((mark(4), mark(6)), (mark(4), None), (None, mark(6)), (None, None)):
            arrival = late(5)
            found, *marks = fitted(arrival, TIMESCALE, before, after)
            self.assertIs(found, arrival)
            self.assertEqual(marks, [mark(5), mark(5)])

    def test_not_when_it_says(self) -> None:
        """A start time outside of those around it follows from the media time, and is marked."""
        for off_us in (-HOUR_US, HOUR_US, -FRAME_US, FRAME_US):
            found, *_ = fitted(late(5, off_us=off_us), TIMESCALE, mark(4), mark(6))
            self.assertEqual(found.segment.start_time_us, EPOCH_US + 5 * FRAME_US)
            self.assertEqual((found.is_time_corrected, found.is_misplaced), (True, False))

    def test_at_an_end(self) -> None:
        """With a neighbour on one side alone the time follows from that one."""
        found, *_ = fitted(late(9, off_us=-HOUR_US), TIMESCALE, mark(4), None)
        self.assertEqual(found.segment.start_time_us, EPOCH_US + 9 * FRAME_US)
        found, *_ = fitted(late(2, off_us=HOUR_US), TIMESCALE, None, mark(6))
        self.assertEqual(found.segment.start_time_us, EPOCH_US + 2 * FRAME_US)

    def test_far_ahead(self) -> None:
        """What was captured long after it has come was captured no later than that."""
        arrival = late(0, off_us=CLOCK_SLACK_US + 40_000)
        found, *_ = fitted(arrival, TIMESCALE, None, None)
        self.assertEqual(found.segment.start_time_us, arrival.received_time_us)
        self.assertTrue(found.is_time_corrected)
        found, *_ = fitted(late(5, off_us=24 * 365 * HOUR_US), TIMESCALE, mark(4), None)
        self.assertEqual(found.segment.start_time_us, EPOCH_US + 5 * FRAME_US)

    def test_clock_between(self) -> None:
        """Where the media clock does not keep step with the other one, the time lies between the
        neighbours all the same, and leaves room to what may still come between."""
        before, after = (0, EPOCH_US, 0), (100, EPOCH_US + 1_000, 100 * FRAME_TICKS)
        found, *_ = fitted(late(5, off_us=-HOUR_US), TIMESCALE, before, after)
        self.assertEqual(found.segment.start_time_us, EPOCH_US + 1_000 - 95)
        after = (100, EPOCH_US + 3_600_000_000, 100 * FRAME_TICKS)
        before = (0, EPOCH_US, 5 * FRAME_TICKS - 1)
        found, *_ = fitted(late(5, off_us=-HOUR_US), TIMESCALE, before, after)
        self.assertEqual(found.segment.start_time_us, EPOCH_US + 11)

    def test_no_place_in_media_time(self) -> None:
        """One whose media time lies outside is marked as misplaced, and others are measured by its
        neighbours as if it had not come."""
        for ticks in (0, 4 * FRAME_TICKS, 6 * FRAME_TICKS, 10**9):
            found, opens, closes = fitted(late(5, media_time=ticks), TIMESCALE, mark(4), mark(6))
            self.assertEqual((found.is_time_corrected, found.is_misplaced), (False, True))
            self.assertEqual((opens[2], closes[2]), (mark(6)[2], mark(4)[2]))
            self.assertEqual(opens[:2], closes[:2])
            self.assertEqual(opens[1], found.segment.start_time_us)
