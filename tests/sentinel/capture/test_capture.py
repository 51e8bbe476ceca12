"""The capture: what comes out of it, step by step on a clock that is only a number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fmp4.media import decoded
from tests.sentinel.capture.studio import WALL_US, Studio, film, frames, inits, troubles
from vidlink.errors import CaptureError, UserMistake
from vidlink.fmp4 import IDR, read_init, split_avc, unit_type
from vidlink.interfaces import ICapture
from vidlink.model import EncodedFrame
from vidlink.sentinel.capture.frames import MAX_FRAMES, MediaInit


class FrameTests(SynchronousTestCase):
    """What the uplink gets."""

    def test_provides_the_role(self) -> None:
        """It has every member that the interface names."""
        self.assertTrue(verifyObject(ICapture, Studio().capture))

    def test_nothing_before_a_session(self) -> None:
        """Until a session begins nothing is even grabbed."""
        studio = Studio()
        self.assertEqual(studio.run(2.0), [])
        self.assertEqual(studio.source.grabbed, 0)

    def test_session(self) -> None:
        """First the initialization segment, then frames at the rate, each with its times."""
        studio = Studio()
        self.assertEqual(studio.capture.begin_session(), 1)
        init, *shot = studio.run(1.01)
        self.assertIsInstance(init, MediaInit)
        self.assertEqual(init.epoch, 1)
        self.assertEqual(read_init(init.data).timescale, init.timescale)
        self.assertEqual([frame.media_time for frame in shot], [n * 18_000 for n in range(6)])
        self.assertEqual(
            [frame.start_time_us for frame in shot], [WALL_US + n * 200_000 for n in range(6)]
        )
        self.assertEqual(
            {(f.epoch, f.duration, f.duration_ms, f.framerate_mhz) for f in shot},
            {(1, 18_000, 200, 5_000)},
        )

    def test_everything_decodes(self) -> None:
        """Through rate changes, requests and stalls every frame decodes, at its media time."""
        studio = Studio(200)
        studio.capture.begin_session()
        heard = studio.run(11.0)
        studio.capture.set_framerate(5_000)
        heard += studio.run(3.0)
        studio.capture.request_keyframe()
        heard += studio.run(1.0)
        studio.now += 4.0
        heard += studio.run(1.0)
        studio.capture.set_framerate(200)
        heard += studio.run(12.0)
        (init,) = inits(heard)
        shot = frames(heard)
        shown = decoded(film(init.data, shot))
        self.assertEqual([time for time, _ in shown], [frame.media_time for frame in shot])
        for number, (_, value) in enumerate(shown):
            self.assertApproximates(value, 20 + 10 * ((number + 1) % 20), 4)

    def test_flags_tell_the_truth(self) -> None:
        """A frame says keyframe exactly if it is an IDR."""
        studio = Studio(1_000)
        studio.capture.begin_session()
        heard = studio.run(30.0)
        studio.capture.request_keyframe()
        heard += studio.run(5.0)
        shot = frames(heard)
        self.assertEqual(sum(frame.is_keyframe for frame in shot), 4)
        for frame in shot:
            kinds = {unit_type(unit) for unit in split_avc(frame.data)}
            self.assertEqual(IDR in kinds, frame.is_keyframe)

    def test_keyframe_at_once(self) -> None:
        """A keyframe asked for at 0.2 a second comes in the same instant."""
        studio = Studio(200)
        studio.capture.begin_session()
        studio.run(7.3)
        studio.capture.request_keyframe()
        (frame,) = studio.run(0.01)
        self.assertTrue(frame.is_keyframe)
        self.assertEqual(frame.media_time, round(7.3 * 90_000))

    def test_sessions(self) -> None:
        """A new session: the same initialization segment again, then a keyframe at time 0."""
        studio = Studio(200)
        studio.capture.begin_session()
        (first, *_) = studio.run(6.0)
        self.assertEqual(studio.capture.begin_session(), 2)
        second, frame = studio.run(0.01)
        self.assertEqual((second.epoch, second.data), (2, first.data))
        self.assertEqual((frame.epoch, frame.media_time, frame.is_keyframe), (2, 0, True))
        self.assertEqual(studio.source.opened, 1)


class SizeTests(SynchronousTestCase):
    """Screens that change their size."""

    def test_new_size(self) -> None:
        """A picture of another size begins an epoch, with its own init and a keyframe at 0."""
        studio = Studio()
        studio.capture.begin_session()
        before = studio.run(1.0)
        studio.source.size = (96, 64)
        init, frame, *_ = studio.run(1.0)
        self.assertEqual((init.epoch, read_init(init.data).width), (2, 96))
        self.assertEqual((frame.epoch, frame.media_time, frame.is_keyframe), (2, 0, True))
        self.assertEqual(studio.capture.begin_session(), 3)
        self.assertEqual(len(frames(before)), 5)

    def test_before_the_first_frame(self) -> None:
        """A size that changes between two sessions costs no epoch of its own."""
        studio = Studio()
        studio.capture.begin_session()
        studio.run(1.0)
        studio.capture.begin_session()
        studio.source.size = (96, 64)
        init, frame, *_ = studio.run(0.5)
        self.assertEqual((init.epoch, frame.epoch, frame.media_time), (2, 2, 0))

    def test_same_after_scaling(self) -> None:
        """If the pictures come out the same after all, the session goes on with a keyframe."""
        studio = Studio(max_width=64)
        studio.capture.begin_session()
        before = studio.run(1.0)
        studio.source.size = (128, 96)
        after = studio.run(1.0)
        self.assertEqual(inits(after), [])
        shot = frames(before + after)
        self.assertEqual([n for n, frame in enumerate(shot) if frame.is_keyframe], [0, 5])
        shown = decoded(film(inits(before)[0].data, shot))
        self.assertEqual(len(shown), len(shot))


class TroubleTests(SynchronousTestCase):
    """Sources and encoders that fail."""

    def test_source_lost(self) -> None:
        """Told, closed, opened again with back-off, told again, and on with a keyframe."""
        studio = Studio()
        studio.capture.begin_session()
        studio.run(1.0)
        studio.source.broken = CaptureError("the screen is gone")
        heard = studio.run(4.5)
        self.assertEqual(
            heard,
            [f"the screen is gone; trying again in {wait} s" for wait in (1, 2, 4)],
        )
        self.assertFalse(studio.source.is_open)
        studio.source.broken = None
        heard = studio.run(4.0)
        self.assertEqual(troubles(heard), ["there are pictures again, after 7 s"])
        self.assertEqual(inits(heard), [])
        first = frames(heard)[0]
        self.assertEqual((first.epoch, first.is_keyframe), (1, True))
        self.assertEqual(first.media_time, 8 * 90_000)
        self.assertEqual(studio.source.opened, 4)

    def test_cannot_be_opened(self) -> None:
        """A source that cannot be opened at first is tried until it can; the session waits."""
        studio = Studio()
        studio.source.broken = UserMistake("cannot open the screen :0")
        studio.capture.begin_session()
        self.assertEqual(
            troubles(studio.run(0.5)), ["cannot open the screen :0; trying again in 1 s"]
        )
        studio.source.broken = None
        init, frame, *_ = [each for each in studio.run(1.0) if not isinstance(each, str)]
        self.assertEqual((init.epoch, frame.media_time, frame.is_keyframe), (1, 0, True))

    def test_bug(self) -> None:
        """An error in the program is logged with its traceback, and the capture goes on."""
        studio = Studio()
        studio.capture.begin_session()
        studio.source.broken = ZeroDivisionError("bug")
        (text,) = troubles(studio.run(0.5))
        self.assertIn("see the log", text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        studio.source.broken = None
        self.assertTrue(frames(studio.run(1.0)))

    def test_fault_while_closing(self) -> None:
        """A source that cannot even be closed does not end the capture: it is tried again."""
        studio = Studio()
        studio.capture.begin_session()
        studio.run(1.0)
        studio.source.broken = CaptureError("the screen is gone")
        studio.source.stuck = ZeroDivisionError("bug")
        self.assertEqual(studio.run(0.5), ["the screen is gone; trying again in 1 s"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        studio.source.broken = studio.source.stuck = None
        self.assertTrue(frames(studio.run(1.0)))

    def test_encoder_lost(self) -> None:
        """Pictures that cannot be encoded are trouble, not the end."""
        studio = Studio()
        studio.capture.begin_session()
        studio.run(1.0)
        studio.encoders.broken = True
        studio.source.size = (96, 64)
        self.assertEqual(studio.run(0.5), ["the encoder is worn out; trying again in 1 s"])
        studio.encoders.broken = False
        studio.source.size = (64, 48)
        heard = studio.run(2.0)
        self.assertEqual(inits(heard), [])
        self.assertTrue(frames(heard)[0].is_keyframe)


class SlowReactorTests(SynchronousTestCase):
    """A reactor that does not take its frames."""

    def test_bounded(self) -> None:
        """The oldest group goes; what comes out begins with a keyframe and decodes; it is told."""
        for interval_seconds in (4.0, 1_000.0):
            self.overrun(Studio(keyframe_interval_seconds=interval_seconds))

    def overrun(self, studio: Studio) -> None:
        """Let 85 frames wait."""
        studio.capture.begin_session()
        heard = studio.run(0.5)
        for _ in range(MAX_FRAMES + 35):
            studio.now += 0.2
            self.assertTrue(studio.capture.step())
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        del studio.heard[:]
        studio.turn()
        late = list(studio.heard)
        self.assertLessEqual(len(frames(late)), MAX_FRAMES)
        self.assertTrue(frames(late)[0].is_keyframe)
        init = inits(heard)[0].data
        self.assertEqual(len(decoded(film(init, frames(late)))), len(frames(late)))
        (warning,) = [e for e in events if e.get("log_namespace", "").endswith("Capture")]
        self.assertEqual(warning["count"], MAX_FRAMES + 35 - len(frames(late)))

    def test_session_begun_meanwhile(self) -> None:
        """Frames of two sessions that waited together come with the init of each."""
        studio = Studio()
        studio.capture.begin_session()
        studio.capture.step()
        studio.capture.begin_session()
        studio.capture.step()
        studio.turn()
        self.assertEqual(
            [each.epoch for each in studio.heard if not isinstance(each, str)], [1, 1, 2, 2]
        )
        self.assertEqual([type(each) for each in studio.heard], [MediaInit, EncodedFrame] * 2)


class SleepTests(SynchronousTestCase):
    """The computer sleeps while it captures."""

    def test_slept(self) -> None:
        """Media time and date go on by the sleep, the frame after it is an IDR, and says so."""
        studio = Studio()
        studio.capture.begin_session()
        before = frames(studio.run(1.01))[-1]
        studio.sleep(40.0)
        after, following, *_ = frames(studio.run(1.0))
        self.assertEqual(after.slept_us - before.slept_us, 40_000_000)
        self.assertGreaterEqual(after.start_time_us - before.start_time_us, 40_000_000)
        self.assertEqual(
            (after.media_time - before.media_time) * 100,
            (after.start_time_us - before.start_time_us) * 9,
        )
        self.assertTrue(after.is_keyframe)
        self.assertEqual(following.slept_us, after.slept_us)
        self.assertFalse(following.is_keyframe)

    def test_in_the_middle_of_a_picture(self) -> None:
        """A picture in the middle of which it slept is taken again: nobody knows of when it is."""
        studio = Studio()
        studio.capture.begin_session()
        studio.run(1.01)
        grabbed, naps = studio.source.grabbed, [40.0]
        studio.source.meanwhile = lambda: studio.sleep(naps.pop() if naps else 0.0)
        frame = frames(studio.run(0.2))[0]
        self.assertEqual(studio.source.grabbed, grabbed + 2)
        self.assertGreater(frame.start_time_us, WALL_US + 41_000_000)
        self.assertEqual(frame.slept_us, 40_000_000)


class ThreadTests(SynchronousTestCase):
    """The thread around it."""

    def test_life(self) -> None:
        """Started it captures in a thread of its own, stopped it lets go of everything."""
        here, threads = threading.get_ident(), set()
        called = threading.Event()

        def call(function: Callable[..., Any], *args: Any) -> None:
            threads.add(threading.get_ident())
            studio.later(function, *args)
            called.set()

        studio = Studio(call_in_reactor=call)
        studio.capture.start()
        studio.capture.start()
        studio.capture.begin_session()
        self.assertTrue(called.wait(30))
        done = [studio.capture.stop(), studio.capture.stop()]
        while not all(each.called for each in done):
            self.assertTrue(called.wait(30))
            called.clear()
            studio.turn()
        self.assertEqual([each.called for each in done], [True, True])
        self.assertFalse(studio.source.is_open)
        self.assertNotIn(here, threads)
        self.assertEqual(len(threads), 1)
        self.assertIsInstance(studio.heard[1], EncodedFrame)
        self.successResultOf(studio.capture.stop())

    def test_never_started(self) -> None:
        """Stopping what was never started is done at once."""
        self.successResultOf(Studio().capture.stop())
