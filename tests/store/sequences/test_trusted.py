"""Tests of `vidlink.store.sequences.trusted`: the time for what cannot be undone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Seen
from vidlink.store.sequences.trusted import (
    EARLIEST_US,
    NEAR_US,
    TrustedTime,
    age_beside,
    first_seen,
)

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
#: When the folder was last looked at.
SEEN_US = EARLIEST_US + 500 * DAY_US
SEEN = Seen(SEEN_US, SEEN_US)


class Folder:
    """A data folder, and a machine with three clocks."""

    time: TrustedTime

    def __init__(self, seen: Seen = SEEN, wall_us: int = SEEN_US) -> None:
        self.wall_us = wall_us
        self.seconds = 12_345.0
        self.slept_seconds = 0.0
        self.starts(seen)

    def starts(self, seen: Seen | None = None, off_us: int = 0) -> None:
        """The next start, after the server was off for so long."""
        seen = seen or self.time.seen()
        assert seen is not None
        self.wall_us += off_us
        self.time = TrustedTime(
            lambda: self.wall_us, lambda: self.seconds, lambda: self.seconds - self.slept_seconds
        )
        self.time.open(seen)

    def sleeps(self, us: int) -> None:
        """The computer sleeps."""
        self.slept_seconds += us / SECOND_US
        self.goes_on(us, 1)

    def goes_on(self, us: int, looks: int = 10) -> int:
        """Time passes by both clocks, and is looked at now and then; the trusted time."""
        for _ in range(looks):
            self.wall_us += us // looks
            self.seconds += us / looks / SECOND_US
            self.time.now_us()
        return self.time.now_us()

    def leaps(self, us: int) -> None:
        """The wall clock is set, which is seen within a second."""
        self.wall_us += us
        self.time.now_us()

    @property
    def error_us(self) -> int:
        """How far the trusted time is ahead of the wall clock."""
        return self.time.now_us() - self.wall_us


class LeapTests(SynchronousTestCase):
    """Wall clocks that leap."""

    def test_agreed(self) -> None:
        """While both clocks agree, the trusted time is that of the wall clock."""
        folder = Folder()
        folder.goes_on(40 * DAY_US)
        self.assertEqual(folder.error_us, 0)
        self.assertIsNone(folder.time.doubt())

    def test_before_it_is_opened(self) -> None:
        """Before anything is known of the folder it is the wall clock's, and nothing is kept."""
        time = TrustedTime(lambda: 7, lambda: 0.0, lambda: 0.0)
        self.assertEqual((time.now_us(), time.seen(), time.doubt()), (7, None, None))

    def test_ahead_for_a_moment(self) -> None:
        """A clock that is sixty days ahead for a while makes nothing older than it is, whether it
        leaps at the start or later, and whatever it does next."""
        for start_us in (0, 60 * DAY_US):
            folder = Folder(wall_us=SEEN_US + start_us)
            folder.goes_on(HOUR_US // 4)
            folder.leaps(60 * DAY_US - start_us)
            folder.goes_on(HOUR_US // 2)
            doubt = folder.time.doubt()
            assert doubt is not None
            self.assertAlmostEqual(doubt.ahead_us, 60 * DAY_US, delta=NEAR_US)
            folder.leaps(-60 * DAY_US)
            self.assertAlmostEqual(
                folder.goes_on(HOUR_US), SEEN_US + HOUR_US * 7 // 4, delta=NEAR_US
            )
            self.assertIsNone(folder.time.doubt())

    def test_off_for_ten_days(self) -> None:
        """A server that was off believes its clock when that has been steady for an hour; until
        then it says how long that takes."""
        folder = Folder(wall_us=SEEN_US + 10 * DAY_US)
        folder.goes_on(HOUR_US - 10 * SECOND_US)
        doubt = folder.time.doubt()
        assert doubt is not None
        assert doubt.seconds is not None
        self.assertAlmostEqual(doubt.seconds, 10.0, places=3)
        self.assertEqual(folder.error_us, -10 * DAY_US)
        folder.goes_on(10 * SECOND_US)
        self.assertEqual(folder.error_us, 0)
        self.assertIsNone(folder.time.doubt())

    def test_ages_in_doubt(self) -> None:
        """While one of the clocks is wrong nothing is older than by the earlier of them; but a time
        that cannot be makes nothing younger."""
        ahead = Folder(wall_us=SEEN_US + 60 * DAY_US)
        self.assertEqual(ahead.time.ages_from_us(), SEEN_US)
        wrong = Folder(Seen(SEEN_US + 60 * DAY_US, SEEN_US))
        self.assertEqual(wrong.time.ages_from_us(), SEEN_US)
        empty = Folder(wall_us=0)
        self.assertEqual(empty.time.ages_from_us(), SEEN_US)
        agreed = Folder(wall_us=SEEN_US + SECOND_US)
        self.assertEqual(agreed.time.ages_from_us(), agreed.time.now_us())

    def test_set_again(self) -> None:
        """Each time that the clock is set, the hour begins anew."""
        folder = Folder(wall_us=SEEN_US + 10 * DAY_US)
        for step_us in (DAY_US, -3 * DAY_US, 2 * NEAR_US):
            folder.goes_on(HOUR_US - SECOND_US)
            folder.leaps(step_us)
        self.assertLess(folder.goes_on(HOUR_US - SECOND_US), SEEN_US + 5 * HOUR_US)
        folder.goes_on(SECOND_US)
        self.assertEqual(folder.error_us, 0)

    def test_sleep(self) -> None:
        """A machine that slept, whose monotonic clock stood still, is as one that was off."""
        folder = Folder()
        folder.goes_on(DAY_US)
        folder.leaps(8 * HOUR_US)
        self.assertEqual(folder.error_us, -8 * HOUR_US)
        folder.goes_on(HOUR_US)
        self.assertEqual(folder.error_us, 0)

    def test_empty_battery(self) -> None:
        """A clock that shows 1970, for however long, neither stops the time nor sets it back, and
        when it has been set right nothing has become older than it is."""
        folder = Folder(wall_us=0)
        self.assertEqual(folder.goes_on(90 * DAY_US), SEEN_US + 90 * DAY_US)
        doubt = folder.time.doubt()
        assert doubt is not None
        self.assertEqual((doubt.ahead_us < 0, doubt.seconds), (True, None))
        folder.wall_us = SEEN_US + 90 * DAY_US
        self.assertEqual(folder.goes_on(DAY_US), SEEN_US + 91 * DAY_US)

    def test_wrong_leap(self) -> None:
        """A leap that was believed and was wrong is taken back once the clock has been right again
        for an hour; no further."""
        folder = Folder(wall_us=SEEN_US + 60 * DAY_US)
        folder.goes_on(2 * HOUR_US)
        self.assertEqual(folder.error_us, 0)
        again = Folder(folder.time.seen() or Seen(0, 0), SEEN_US + 2 * HOUR_US)
        self.assertEqual(again.error_us, 60 * DAY_US)
        again.goes_on(HOUR_US)
        self.assertEqual(again.error_us, 0)
        again.leaps(-DAY_US)
        again.goes_on(10 * HOUR_US)
        self.assertEqual(again.error_us, DAY_US)

    def test_small_steps(self) -> None:
        """A clock that is set forward by half a minute, again and again, gains a twentieth at
        most; one that is set back by so much is waited for."""
        folder = Folder()
        began_us = folder.time.now_us()
        for _ in range(600):
            folder.goes_on(SECOND_US, 1)
            folder.wall_us += NEAR_US // 2
        self.assertLessEqual(folder.time.now_us() - began_us, 600 * SECOND_US * 21 // 20)
        folder = Folder(wall_us=SEEN_US - NEAR_US // 2)
        folder.goes_on(HOUR_US, 60)
        self.assertEqual(folder.error_us, 0)

    @given(
        st.lists(
            st.tuples(
                st.integers(NEAR_US + 1, 90 * DAY_US).flatmap(
                    lambda us: st.sampled_from((us, -us))
                ),
                st.integers(0, HOUR_US - 1),
            ),
            max_size=20,
        )
    )
    def test_never_steady(self, course: list[tuple[int, int]]) -> None:
        """A clock that is never left alone for an hour makes nothing older than it is, whatever
        it shows, but for the twentieth."""
        folder = Folder()
        passed_us = 0
        for leap_us, us in course:
            folder.leaps(leap_us)
            folder.goes_on(us, 1)
            passed_us += us
        trusted_us = folder.time.now_us() - SEEN_US
        self.assertLessEqual(trusted_us, passed_us * 21 // 20 + len(course))
        self.assertGreaterEqual(trusted_us, passed_us * 19 // 20 - len(course))


class StartedAgainTests(SynchronousTestCase):
    """Servers that are never on for an hour at a time."""

    def test_fifty_minutes_a_day(self) -> None:
        """One that is on for fifty minutes a day knows what day it is, but for a day or two."""
        folder = Folder()
        for day in range(60):
            folder.starts(off_us=DAY_US - HOUR_US * 5 // 6)
            folder.goes_on(HOUR_US * 5 // 6)
            self.assertLessEqual(folder.error_us, 0)
            self.assertGreater(folder.error_us, -2 * DAY_US, day)

    def test_what_was_claimed(self) -> None:
        """What is believed after an hour in two pieces is what the clock showed in the first one:
        a leap that only the second has seen waits for an hour of its own, of which that piece
        counts."""
        folder = Folder(wall_us=SEEN_US + DAY_US)
        folder.goes_on(HOUR_US * 5 // 6)
        folder.starts(off_us=60 * DAY_US)
        self.assertEqual(folder.goes_on(HOUR_US // 6), SEEN_US + DAY_US + HOUR_US)
        doubt = folder.time.doubt()
        assert doubt is not None
        assert doubt.seconds is not None
        self.assertAlmostEqual(doubt.seconds, 3_000.0, places=3)
        folder.goes_on(HOUR_US * 5 // 6 - SECOND_US)
        self.assertEqual(folder.error_us, -60 * DAY_US)
        folder.goes_on(SECOND_US)
        self.assertEqual(folder.error_us, 0)

    def test_mended_while_off(self) -> None:
        """A clock that shows less at the next start than it claimed has been set right: the hour
        begins anew, and so it does for one that now says the opposite."""
        folder = Folder(wall_us=SEEN_US + 60 * DAY_US)
        folder.goes_on(HOUR_US - SECOND_US)
        folder.starts(off_us=-59 * DAY_US)
        folder.goes_on(HOUR_US - SECOND_US)
        self.assertLess(folder.time.now_us(), SEEN_US + 3 * HOUR_US)
        wrong = Folder(Seen(SEEN_US + 60 * DAY_US, SEEN_US), SEEN_US + DAY_US)
        wrong.goes_on(HOUR_US - SECOND_US)
        wrong.starts(off_us=90 * DAY_US)
        self.assertGreater(wrong.goes_on(HOUR_US // 2), SEEN_US + 60 * DAY_US)

    def test_right_again_for_a_moment(self) -> None:
        """What was served before the clocks agreed again does not count for the next leap."""
        folder = Folder(wall_us=SEEN_US + 60 * DAY_US)
        folder.goes_on(HOUR_US - SECOND_US)
        folder.leaps(-60 * DAY_US)
        folder.starts(off_us=60 * DAY_US)
        self.assertLess(folder.goes_on(HOUR_US - SECOND_US), SEEN_US + 3 * HOUR_US)

    def test_taken_back(self) -> None:
        """A leap that was believed and was wrong is taken back in pieces of an hour as well."""
        folder = Folder(Seen(SEEN_US + 60 * DAY_US, SEEN_US), SEEN_US + HOUR_US)
        for _ in range(2):
            folder.goes_on(HOUR_US // 2)
            folder.starts(off_us=HOUR_US)
        self.assertLess(folder.error_us, 0)

    def test_empty_battery(self) -> None:
        """A clock that shows 1970 serves nothing for the one that is put in its place."""
        folder = Folder(wall_us=0)
        folder.goes_on(DAY_US)
        folder.starts(off_us=SEEN_US + 99 * DAY_US)
        self.assertEqual(folder.goes_on(HOUR_US - SECOND_US), SEEN_US + 25 * HOUR_US - SECOND_US)

    def test_asleep(self) -> None:
        """Of an hour in which the computer sleeps nothing is served: nobody could have set it."""
        folder = Folder(wall_us=SEEN_US + 60 * DAY_US)
        folder.goes_on(HOUR_US // 2)
        folder.sleeps(8 * HOUR_US)
        folder.goes_on(HOUR_US // 2 - SECOND_US)
        self.assertEqual(folder.error_us, -60 * DAY_US)
        folder.goes_on(SECOND_US)
        self.assertEqual(folder.error_us, 0)

    def test_served_that_cannot_be(self) -> None:
        """A note of more than an hour, of less than nothing, or of a time below the floor counts
        as one in which nothing was served."""
        wall_us = SEEN_US + 60 * DAY_US
        for claimed_us, served_us in (
            (wall_us, HOUR_US),
            (wall_us, -1),
            (SEEN_US - 1, HOUR_US - 1),
            (wall_us + 2 * NEAR_US, HOUR_US - 1),
        ):
            folder = Folder(Seen(SEEN_US, SEEN_US, claimed_us, served_us), wall_us)
            self.assertEqual(folder.goes_on(HOUR_US - SECOND_US), SEEN_US + HOUR_US - SECOND_US)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 20 * DAY_US), st.integers(0, 90 * DAY_US), st.integers(0, HOUR_US)
            ),
            max_size=20,
        )
    )
    def test_no_leap_is_hurried(self, course: list[tuple[int, int, int]]) -> None:
        """However a server is started and stopped, and whatever its clock is ahead by each time:
        no time is believed that was not shown, or surpassed, for an hour in all before."""
        folder = Folder()
        #: Pieces of life: what was claimed in each at its begin, less what was lived until then.
        pieces: list[tuple[int, int]] = []
        truth_us, lived_us = SEEN_US, 0
        for off_us, ahead_us, us in course:
            truth_us += off_us
            folder.wall_us = truth_us + ahead_us
            folder.starts()
            pieces.append((folder.wall_us - lived_us, us))
            folder.goes_on(us, 4)
            truth_us, lived_us = truth_us + us, lived_us + us
            served_us, most_us = 0, SEEN_US
            for line_us, piece_us in sorted(pieces, reverse=True):
                served_us += piece_us
                if served_us >= HOUR_US - 100:
                    most_us = max(most_us, line_us)
                    break
            least_us = SEEN_US + lived_us * 19 // 20
            slack_us = lived_us // 20 + len(course) * NEAR_US
            self.assertLessEqual(folder.time.now_us(), most_us + lived_us + slack_us)
            self.assertGreaterEqual(folder.time.now_us(), least_us - slack_us)


class FirstTests(SynchronousTestCase):
    """Data folders that have kept no time."""

    def test_empty(self) -> None:
        """The first time of an empty folder is that of the clock, and is taken back when that
        proves wrong; a clock that cannot be right is not taken."""
        folder = Folder(first_seen(None, SEEN_US + 999 * DAY_US), SEEN_US + 999 * DAY_US)
        self.assertEqual(folder.error_us, 0)
        folder.leaps(-999 * DAY_US)
        folder.goes_on(HOUR_US)
        self.assertEqual(folder.error_us, 0)
        self.assertEqual(first_seen(None, 5), Seen(EARLIEST_US, EARLIEST_US))

    def test_recorded(self) -> None:
        """With recordings it is that of the newest, unless that is later than the clock."""
        for newest_us, wall_us, time_us in (
            (SEEN_US, SEEN_US + 60 * DAY_US, SEEN_US),
            (SEEN_US + 60 * DAY_US, SEEN_US, SEEN_US),
            (SEEN_US, 0, SEEN_US),
        ):
            self.assertEqual(first_seen(newest_us, wall_us), Seen(time_us, time_us))


class AgeTests(SynchronousTestCase):
    """From when an age counts."""

    def test_beside(self) -> None:
        """What ends under a clock that is behind is as old as the trusted time says; otherwise the
        clock's word counts."""
        self.assertEqual(age_beside(0, SEEN_US), SEEN_US)
        self.assertIsNone(age_beside(SEEN_US, SEEN_US + NEAR_US))
        self.assertIsNone(age_beside(SEEN_US + DAY_US, SEEN_US))
