"""When pictures are due, and which are keyframes, by a clock that is only a number."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.sentinel.capture.cadence import LONGEST_RETRY_SECONDS, Cadence, Shot

TIMESCALE = 90_000
START = 1_000.0


class Film:
    """Takes pictures when they are due, as the capture's thread does, on a clock of its own."""

    def __init__(self, framerate_mhz: int = 5_000, keyframe_interval_seconds: float = 10.0) -> None:
        self.cadence = Cadence(framerate_mhz, keyframe_interval_seconds, TIMESCALE)
        self.now = START
        self.shots: list[tuple[float, Shot]] = []

    def begin(self) -> int:
        """Begin a session now."""
        return self.cadence.begin_session(self.now)

    def run(self, seconds: float, late: float = 0.0) -> list[tuple[float, Shot]]:
        """Take what is due for so long, each picture so late; returns what was taken."""
        end = self.now + seconds
        before = len(self.shots)
        while (wait := self.cadence.wait_seconds(self.now)) is not None and self.now + wait < end:
            self.now += wait + late
            self.shots.append((self.now - START, self.cadence.place_shot(self.now)))
        self.now = max(self.now, end)
        return self.shots[before:]

    def times(self) -> list[float]:
        """When the pictures were taken, in seconds from the start, to the millisecond."""
        return [round(time, 3) for time, _ in self.shots]

    def keyframes(self) -> list[float]:
        """When the keyframes were taken."""
        return [round(time, 3) for time, shot in self.shots if shot.is_keyframe]


class BeatTests(SynchronousTestCase):
    """When pictures are due."""

    def test_nothing_before_a_session(self) -> None:
        """Nothing is due before the first session begins, whatever is asked for."""
        cadence = Cadence(5_000, 10.0, TIMESCALE)
        self.assertIsNone(cadence.wait_seconds(START))
        cadence.request_keyframe(START)
        cadence.set_framerate(1_000, START)
        self.assertIsNone(cadence.wait_seconds(START))

    def test_steady(self) -> None:
        """At every rate the pictures come one frame time apart, the first at once."""
        for framerate_mhz, period in ((5_000, 0.2), (3_000, 1 / 3), (200, 5.0)):
            film = Film(framerate_mhz)
            film.begin()
            film.run(10 * period)
            wanted = [round(n * period, 3) for n in range(len(film.shots))]
            self.assertEqual(film.times(), wanted)
            self.assertIn(len(film.shots), (10, 11))

    def test_no_drift(self) -> None:
        """An hour of pictures that are each a little late is still an hour of pictures."""
        film = Film()
        film.begin()
        film.run(3_600, late=0.03)
        self.assertIn(len(film.shots), (17_999, 18_000, 18_001))
        self.assertApproximates(film.shots[-1][0], 3_600, 0.3)

    def test_no_burst_after_a_stall(self) -> None:
        """What a stall has cost is not made up for: the beat begins anew."""
        film = Film()
        film.begin()
        film.run(1.0)
        film.now += 3.05
        film.run(1.0)
        after = [time for time in film.times() if time > 3.9]
        self.assertEqual(after, [4.05, 4.25, 4.45, 4.65, 4.85])

    @given(st.lists(st.floats(0, 1.0), min_size=1, max_size=60))
    def test_never_too_close(self, delays: list[float]) -> None:
        """However late pictures are taken, two are at least half a frame time apart."""
        film = Film()
        film.begin()
        for delay in delays:
            wait = film.cadence.wait_seconds(film.now)
            assert wait is not None
            film.now += wait + delay
            film.shots.append((film.now - START, film.cadence.place_shot(film.now)))
        times = [time for time, _ in film.shots]
        gaps = [after - before for before, after in pairwise(times)]
        self.assertTrue(all(gap > 0.0985 for gap in gaps))

    def test_rate_clamped(self) -> None:
        """Rates beyond 0.2 and 5 frames a second are taken as those."""
        for asked, taken in ((1, 200), (100_000, 5_000)):
            film = Film(asked)
            film.begin()
            self.assertEqual(film.run(0.1)[0][1].framerate_mhz, taken)
            film.cadence.set_framerate(1_000, film.now)
            film.cadence.set_framerate(asked, film.now)
            self.assertEqual(film.run(6)[0][1].framerate_mhz, taken)


class RequestTests(SynchronousTestCase):
    """What is asked for while the pictures run."""

    def test_keyframe_at_once(self) -> None:
        """At 0.2 a second a keyframe that is asked for comes now, and the beat goes on from it."""
        film = Film(200)
        film.begin()
        film.run(7.0)
        film.cadence.request_keyframe(film.now)
        film.run(11.0)
        self.assertEqual(film.times(), [0.0, 5.0, 7.0, 12.0, 17.0])
        self.assertEqual(film.keyframes(), [0.0, 7.0, 17.0])

    def test_keyframes_by_the_dozen(self) -> None:
        """However many keyframes are asked for, there are five a second at most."""
        film = Film(200)
        film.begin()
        film.run(3.0)
        for _ in range(100):
            film.cadence.request_keyframe(film.now)
            film.run(0.01)
        self.assertEqual(film.times(), [0.0, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0][: len(film.times())])
        self.assertIn(len(film.times()), (6, 7))

    def test_keyframe_forced(self) -> None:
        """One that is only needed by the next picture does not come out of turn."""
        film = Film(1_000)
        film.begin()
        film.run(2.5)
        film.cadence.force_keyframe()
        film.run(2.0)
        self.assertEqual(film.times(), [0.0, 1.0, 2.0, 3.0, 4.0])
        self.assertEqual(film.keyframes(), [0.0, 3.0])

    def test_faster(self) -> None:
        """A higher rate begins at once, with a keyframe."""
        film = Film(200)
        film.begin()
        film.run(6.0)
        film.cadence.set_framerate(5_000, film.now)
        film.run(0.5)
        self.assertEqual(film.times(), [0.0, 5.0, 6.0, 6.2, 6.4])
        self.assertEqual(film.keyframes(), [0.0, 6.0])
        self.assertEqual(film.shots[-1][1].duration_ms, 200)

    def test_slower(self) -> None:
        """A lower rate counts from the last picture, and the next is a keyframe."""
        film = Film(5_000)
        film.begin()
        film.run(0.7)
        film.cadence.set_framerate(1_000, film.now)
        film.run(2.0)
        self.assertEqual(film.times(), [0.0, 0.2, 0.4, 0.6, 1.6, 2.6])
        self.assertEqual(film.keyframes(), [0.0, 1.6])

    def test_rate_before_the_first_picture(self) -> None:
        """A rate that is set when a session begins does not hold up its first picture."""
        film = Film(5_000)
        film.begin()
        film.run(1.1)
        film.begin()
        film.cadence.set_framerate(200, film.now)
        self.assertEqual(film.cadence.wait_seconds(film.now), 0.0)


class KeyframeTests(SynchronousTestCase):
    """Which pictures are keyframes."""

    def test_interval(self) -> None:
        """One at least every interval, at high and low rates, and hardly more."""
        for framerate_mhz, late, most in (
            (5_000, 0.0, 10.0),
            (5_000, 0.03, 10.05),
            (200, 0.01, 11.25),
        ):
            film = Film(framerate_mhz)
            film.begin()
            film.run(100.0, late=late)
            keys = film.keyframes()
            gaps = [after - before for before, after in pairwise(keys)]
            self.assertEqual(len(gaps), 9)
            self.assertLessEqual(max(gaps), most + 0.001)

    def test_shorter_than_a_frame(self) -> None:
        """With an interval shorter than a frame time every picture is a keyframe."""
        film = Film(200, 2.0)
        film.begin()
        film.run(60.0)
        self.assertEqual(film.keyframes(), film.times())

    def test_late(self) -> None:
        """A picture that comes 1.5 frame times after the one before is not one; later is."""
        for late, keyframe in ((0.09, False), (0.11, True), (3.0, True)):
            film = Film()
            film.begin()
            film.run(1.1)
            film.run(0.15, late=late)
            self.assertEqual(film.shots[-1][1].is_keyframe, keyframe, late)

    def test_late_by_the_declared_duration(self) -> None:
        """What counts is the duration declared for the picture before, at any rate."""
        for framerate_mhz in (200, 1_000, 5_000):
            period = 1_000 / framerate_mhz
            film = Film(framerate_mhz, 1_000.0)
            film.begin()
            film.run(2.5 * period)
            film.now = START + film.shots[-1][0] + 1.45 * period
            film.shots.append((0, film.cadence.place_shot(film.now)))
            self.assertFalse(film.shots[-1][1].is_keyframe)
            film.now += 1.55 * period
            film.shots.append((0, film.cadence.place_shot(film.now)))
            self.assertTrue(film.shots[-1][1].is_keyframe)


class SessionTests(SynchronousTestCase):
    """Media time, epochs and durations."""

    def test_begins_at_zero(self) -> None:
        """Every session begins at once, with a keyframe at media time 0, in a new epoch."""
        film = Film(200)
        self.assertEqual(film.begin(), 1)
        film.run(12.0)
        self.assertEqual(film.begin(), 2)
        first, second = (shot for _, shot in film.run(6.0))
        self.assertEqual((first.epoch, first.media_time, first.is_keyframe), (2, 0, True))
        self.assertEqual((second.epoch, second.media_time), (2, 5 * TIMESCALE))

    def test_media_time_is_the_clock(self) -> None:
        """Media time follows the monotonic clock, not the number of pictures."""
        film = Film()
        film.begin()
        film.run(1.0)
        film.now += 2.5
        film.run(1.0)
        for time, shot in film.shots:
            self.assertEqual(shot.media_time, round(time * TIMESCALE))

    @given(st.lists(st.floats(0, 0.3), min_size=1, max_size=50))
    def test_media_time_ascends(self, steps: list[float]) -> None:
        """Two pictures never have the same media time, however close they are taken."""
        film = Film()
        film.begin()
        times = []
        for step in steps:
            film.now += step / 10_000
            times.append(film.cadence.place_shot(film.now).media_time)
        self.assertEqual(times[0], 0)
        self.assertTrue(all(a < b for a, b in pairwise(times)))

    def test_durations(self) -> None:
        """What is declared is the nominal frame time, in ticks and in milliseconds."""
        for framerate_mhz, ticks, ms in (
            (5_000, 18_000, 200),
            (200, 450_000, 5_000),
            (3_000, 30_000, 333),
        ):
            film = Film(framerate_mhz)
            film.begin()
            ((_, shot),) = film.run(0.1)
            self.assertEqual((shot.duration, shot.duration_ms), (ticks, ms))


class FailureTests(SynchronousTestCase):
    """What happens while no pictures can be taken."""

    def test_back_off(self) -> None:
        """It is tried again after 1, 2, 4, ... seconds, at most 30, however it is asked."""
        film = Film()
        film.begin()
        film.run(1.0)
        waits = []
        for _ in range(8):
            waits.append(film.cadence.failed(film.now))
            film.cadence.request_keyframe(film.now)
            film.cadence.set_framerate(1_000, film.now)
            self.assertApproximates(film.cadence.wait_seconds(film.now), waits[-1], 0.001)
            film.now += waits[-1]
        self.assertEqual(waits, [1, 2, 4, 8, 16, 30, 30, LONGEST_RETRY_SECONDS])

    def test_recovery(self) -> None:
        """The first picture after trouble is a keyframe, the beat goes on, and so does patience."""
        film = Film()
        film.begin()
        film.run(1.0)
        for _ in range(3):
            film.now += film.cadence.failed(film.now)
        film.run(0.5)
        self.assertEqual(film.times()[-3:], [8.0, 8.2, 8.4])
        self.assertEqual(film.keyframes(), [0.0, 8.0])
        self.assertEqual(film.cadence.failed(film.now), 1.0)

    def test_keyframe_after_trouble(self) -> None:
        """Even where nobody would notice by the time: what was lost may have been encoded."""
        film = Film(200, 1_000.0)
        film.begin()
        film.run(5.5)
        film.now += film.cadence.failed(film.now)
        film.run(1.0)
        self.assertEqual(film.keyframes(), [0.0, 6.5])
