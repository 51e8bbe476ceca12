"""Tests of the times of a session, of Sentinels whose clocks and muxers nobody can trust."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from vidlink.errors import NotMedia
from vidlink.fmp4 import FragmentInfo
from vidlink.links.ingest.times import LONGEST_SECONDS, LiveTimes, check_media_times
from vidlink.model import CLOCK_SLACK_US, Segment

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
YEAR_US = 365 * 24 * HOUR_US
SCALE = 1_000


def info(media_ms: int, duration_ms: int = 200, frames: int = 1) -> FragmentInfo:
    """The boxes of a segment at a media time, of so many frames of the same length."""
    return FragmentInfo(0, media_ms, duration_ms, duration_ms // frames, frames, True, 0, None)


def said(start_time_us: int, sequence: int = 0, duration_ms: int = 200) -> Segment:
    """A segment as its sender tells of it."""
    return Segment("desk-1", "s", sequence, start_time_us, duration_ms, 5_000, True, b"x")


class LiveTimesCase(SynchronousTestCase):
    """The times of one live session; the server's clock is what it says, unless told otherwise."""

    def setUp(self) -> None:
        """Nothing has come yet."""
        self.times = LiveTimes(SCALE)
        self.number = 0

    def take(self, media_ms: int, start_us: int, *, now_us: int | None = None) -> int:
        """Take a segment that arrives so long after the first as its media time says."""
        now = media.EPOCH_US + media_ms * 1_000 if now_us is None else now_us
        segment = said(start_us, self.number)
        self.number += 1
        return self.times.take(segment, info(media_ms), media_ms / 1_000, now)


class StartTimeTests(LiveTimesCase):
    """The start time that a segment has, by what its Sentinel says of it."""

    def test_as_said(self) -> None:
        """Times that ascend are taken as they are said, though they keep no exact step."""
        for media_ms, start_us in ((0, 0), (200, 190_000), (400, 420_000), (600, 421_000)):
            at = media.EPOCH_US + start_us
            self.assertEqual(self.take(media_ms, at), at)

    def test_far_behind(self) -> None:
        """A time long ago is taken: nobody knows that it was not then."""
        for media_ms in (0, 200, 400):
            self.assertEqual(self.take(media_ms, media_ms * 1_000), media_ms * 1_000)

    def test_set_back(self) -> None:
        """After a clock was set back, by whatever, times follow from media time, for as long as
        it stays there, and again from the clock once that has caught up."""
        for back_us in (400_000, SECOND_US, HOUR_US, YEAR_US):
            self.setUp()
            self.take(0, media.EPOCH_US)
            for media_ms in range(200, 2_000, 200):
                at = media.EPOCH_US + media_ms * 1_000
                self.assertEqual(self.take(media_ms, at - back_us), at)
            at = media.EPOCH_US + 2_000_000
            self.assertEqual(self.take(2_000, at + 50_000), at + 50_000)

    def test_set_forward(self) -> None:
        """After a clock was set forward times are as said: a computer may have slept."""
        self.take(0, media.EPOCH_US - 2 * HOUR_US)
        at = media.EPOCH_US - HOUR_US
        self.assertEqual(self.take(200, at), at)
        self.assertEqual(self.take(400, at + 200_000), at + 200_000)

    def test_far_ahead(self) -> None:
        """What was captured years from now was captured now, and so were those after it; when the
        clock is set right it is believed."""
        for media_ms in range(0, 1_000, 200):
            now = media.EPOCH_US + media_ms * 1_000
            self.assertEqual(self.take(media_ms, now + 5 * YEAR_US), now)
        at = media.EPOCH_US + 1_010_000
        self.assertEqual(self.take(1_000, at), at)

    def test_goes_ahead(self) -> None:
        """A clock that leaps years ahead in a session does not take its times along."""
        self.take(0, media.EPOCH_US)
        at = media.EPOCH_US + 200_000
        self.assertEqual(self.take(200, at + 5 * YEAR_US), at)
        self.assertEqual(self.take(400, at + 200_000), at + 200_000)

    def test_a_little_ahead(self) -> None:
        """A clock that is some minutes ahead is as good as any."""
        at = media.EPOCH_US + CLOCK_SLACK_US
        self.assertEqual(self.take(0, at), at)

    def test_server_set_back(self) -> None:
        """When the server's own clock is set back, a Sentinel's is not blamed for it."""
        self.take(0, media.EPOCH_US)
        for media_ms in range(200, 1_000, 200):
            at = media.EPOCH_US + media_ms * 1_000
            self.assertEqual(self.take(media_ms, at, now_us=at - HOUR_US), at)

    def test_server_wrong_for_a_moment(self) -> None:
        """A server's clock that is wrong by years for one segment, at first or later, makes no
        time right that is ahead, neither then nor after it."""
        for wrong in (0, 400):
            self.setUp()
            for media_ms in range(0, 2_000, 200):
                at = media.EPOCH_US + media_ms * 1_000
                is_wrong = media_ms == wrong
                now_us = at + 5 * YEAR_US if is_wrong else at
                # By two years ahead it is the Sentinel's as well, but for what it says meanwhile.
                said_us = at if is_wrong else at + 2 * YEAR_US
                self.assertEqual(self.take(media_ms, said_us, now_us=now_us), at)

    def test_both_set_back(self) -> None:
        """A Sentinel that follows a server's clock which is set back by far has to begin a session:
        that one has the new time, and by the old one nothing is dated any more."""
        self.take(0, media.EPOCH_US)
        at = media.EPOCH_US + 200_000 - HOUR_US
        with self.assertRaises(NotMedia) as raised:
            self.take(200, at, now_us=at)
        self.assertIn("begin a new session", str(raised.exception))
        # One that does not follow it goes on, and so does one that follows by little steps.
        self.assertEqual(self.take(200, at + HOUR_US, now_us=at), at + HOUR_US)
        slewed_us = at + HOUR_US + 190_000
        self.assertEqual(self.take(400, slewed_us, now_us=at + 200_000), slewed_us)

    def test_server_set_forward(self) -> None:
        """When the server's clock is set forward, times that follow it are believed."""
        self.take(0, media.EPOCH_US)
        at = media.EPOCH_US + HOUR_US
        self.assertEqual(self.take(200, at, now_us=at), at)

    def test_faster_than_time(self) -> None:
        """What comes faster than it can be captured is taken, but ends up no further ahead than a
        clock may be."""
        times, starts = LiveTimes(SCALE), []
        for number in range(2_000):
            at = media.EPOCH_US + number * 200_000
            segment = said(at, number)
            starts.append(times.take(segment, info(number * 200), 0.0, media.EPOCH_US))
        self.assertEqual(starts[1_500], media.EPOCH_US + CLOCK_SLACK_US)
        self.assertEqual(starts[-1], media.EPOCH_US + CLOCK_SLACK_US + 499)

    def test_nobody_knows(self) -> None:
        """Where a clock that was not the server's is set back by far, neither its time nor that
        before it is known to be right: the session is over, and the next one has its time."""
        self.take(0, media.EPOCH_US - 3 * HOUR_US)
        error = self.assertRaises(NotMedia, self.take, 200, media.EPOCH_US - 4 * HOUR_US)
        self.assertIn("3600 s behind its media time", str(error))
        self.assertIn("begin a new session", str(error))
        # By a little it stays what it was.
        at = media.EPOCH_US - 3 * HOUR_US + 200_000
        self.assertEqual(self.take(200, at - CLOCK_SLACK_US), at)

    def test_fine_ticks(self) -> None:
        """Start times ascend even where media time does by less than a microsecond."""
        times = LiveTimes(10_000_000)
        starts = [times.take(said(5, number), info(number), 0.0, 5) for number in range(3)]
        self.assertEqual(starts, [5, 6, 7])

    @given(
        st.lists(
            st.tuples(
                st.integers(-2 * YEAR_US, 2 * YEAR_US) | st.integers(-SECOND_US, SECOND_US),
                st.integers(1, 60_000),
                st.integers(-2 * HOUR_US, 2 * HOUR_US) | st.just(0),
            ),
            max_size=30,
        )
    )
    def test_any_clocks(self, steps: list[tuple[int, int, int]]) -> None:
        """Whatever the clocks of both do, start times ascend, none is far ahead of the furthest
        that the server's has been, and one that was refused changes nothing for the next."""
        self.setUp()
        media_ms, last_us, furthest_us = 0, None, -(10**18)
        for off_us, step_ms, server_off_us in steps:
            now = media.EPOCH_US + media_ms * 1_000
            furthest_us = max(furthest_us, server_off_us)
            try:
                start = self.take(media_ms, now + off_us, now_us=now + server_off_us)
            except NotMedia:
                pass
            else:
                self.assertTrue(last_us is None or start > last_us)
                ahead_us = CLOCK_SLACK_US + len(steps)
                self.assertLessEqual(start, now + furthest_us + ahead_us)
                last_us = start
            media_ms += step_ms


class MediaTimeTests(LiveTimesCase):
    """Media time, and how long segments last."""

    def test_begins_at_0(self) -> None:
        """The media of a session begin at 0, up to the delay of an encoder; a time of day, or
        where another session was, is refused with what it is."""
        for ticks in (0, 80, 10 * SCALE):
            check_media_times(said(0), info(ticks), SCALE)
        for ticks in (10 * SCALE + 1, 3_600 * SCALE, 1_800_000_000 * SCALE):
            error = self.assertRaises(NotMedia, check_media_times, said(0), info(ticks), SCALE)
            self.assertIn(f"at {ticks / SCALE:.1f} s of media time", str(error))
            self.assertIn("begins at 0", str(error))

    def test_no_time_of_day(self) -> None:
        """Nor is a time of day taken later in a session, live or late."""
        longest = LONGEST_SECONDS * SCALE
        for is_late in (False, True):
            segment = replace(said(0, 7), is_late=is_late)
            check_media_times(segment, info(longest), SCALE)
            self.assertRaises(NotMedia, check_media_times, segment, info(longest + 1), SCALE)

    def test_leaps(self) -> None:
        """Media time that leaps ahead of the clock is refused, and leaves no trace."""
        self.take(0, media.EPOCH_US)
        leap = info(3_600 * SCALE)
        now = media.EPOCH_US + 200_000
        self.assertRaises(NotMedia, self.times.take, said(now), leap, 0.2, now)
        self.assertEqual(self.take(200, now), now)

    def test_stands_still_while_asleep(self) -> None:
        """Media time may fall behind the clock: it is that of the capture, which may rest."""
        self.take(0, media.EPOCH_US)
        later = media.EPOCH_US + HOUR_US
        self.assertEqual(self.times.take(said(later), info(200), 3_600.0, later), later)

    def test_nominal_durations_overlap(self) -> None:
        """The last frame of a segment may be meant to last longer than until the next one."""
        self.times.take(said(0), info(0, 1_000, 5), 0.0, 0)
        self.assertEqual(self.times.take(said(810_000), info(801), 0.9, 900_000), 810_000)

    def test_frames_overlap(self) -> None:
        """A segment that begins before the last frame of the one before it is refused: players
        would show one of the two."""
        self.times.take(said(0), info(0, 1_000, 5), 0.0, 0)
        for ticks in (0, 600, 800):
            error = self.assertRaises(
                NotMedia, self.times.take, said(810_000), info(ticks), 0.9, 900_000
            )
            self.assertIn("does not advance", str(error))

    def test_durations(self) -> None:
        """What a segment says that it lasts is about what its boxes say, by a second or a half."""
        for declared, boxes in ((200, 0), (200, 1_200), (4_000, 4_000), (9_000, 6_000), (0, 900)):
            check_media_times(said(0, duration_ms=declared), info(0, boxes), SCALE)
        for declared, boxes in ((200, 1_300), (3_600_000, 200), (4_000, 1_900), (0, 1_001)):
            self.assertRaises(
                NotMedia,
                check_media_times,
                said(0, duration_ms=declared),
                info(0, boxes),
                SCALE,
            )
