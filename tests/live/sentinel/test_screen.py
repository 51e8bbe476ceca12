"""A real X11 screen, grabbed: what is on it now, at once, and what when it goes away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from random import SystemRandom
from typing import Any

from av import VideoFrame
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.test_source import SourceContract
from tests.rigs.needs import need
from vidlink.errors import CaptureError, UserMistake
from vidlink.fmp4 import read_init
from vidlink.model import EncodedFrame
from vidlink.sentinel.capture.capture import Capture
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.capture.frames import MediaInit
from vidlink.sentinel.sources.screen import LOOK_AGAIN_SECONDS, ScreenSource

PATIENCE_SECONDS = 60.0
WHERE = (300, 200)


class Screen:
    """An X server without a monitor."""

    def __init__(self, size: str = "800x600", display: str | None = None, depth: int = 24) -> None:
        readable, writable = os.pipe()
        # Left to itself it takes the lowest number, which is free also where another test is about
        # to start its server again. It says the number when it is ready.
        wanted = display or f":{SystemRandom().randrange(1_000, 30_000)}"
        self.process = subprocess.Popen(
            [need("Xvfb"), wanted, "-displayfd", str(writable), "-screen", "0", f"{size}x{depth}",
             # Else it starts anew, and answers nobody meanwhile, when the last client has gone.
             "-noreset", "-nolisten", "tcp"],
            pass_fds=(writable,),
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writable)
        with os.fdopen(readable) as said:
            self.display = ":" + said.readline().strip()

    def end(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)

    @contextlib.contextmanager
    def window(self, colour: str) -> Iterator[None]:
        """A window that is plain at `WHERE`: a clock far down in it is all there is."""
        command = [
            need("xclock"), "-display", self.display, "-digital", "-update", "1000",
            "-padding", "250", "-geometry", "700x500+50+50", "-bg", colour, "-fg", colour,
        ]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def colour_of(picture: VideoFrame) -> tuple[int, int, int]:
    """Red, green and blue of a picture at `WHERE`."""
    plane = picture.reformat(format="rgb24").planes[0]
    start = WHERE[1] * plane.line_size + 3 * WHERE[0]
    red, green, blue = bytes(plane)[start : start + 3]
    return red, green, blue


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class ScreenSourceTests(SourceContract, SynchronousTestCase):
    """The contract of every source, kept by a screen."""

    def setUp(self) -> None:
        """A screen."""
        self.screen = Screen()
        self.addCleanup(self.screen.end)

    def make(self) -> ScreenSource:
        """A source of it."""
        return ScreenSource("x11grab", self.screen.display)

    def make_broken(self) -> ScreenSource:
        """A screen that is not there."""
        return ScreenSource("x11grab", ":4711")

    def test_shows_what_is_there_now(self) -> None:
        """Every picture, the very first included, is of the moment it was asked for."""
        early, watcher = self.made(), self.made()
        early.open()
        for colour, wanted in {"#ff0000": (255, 0, 0), "#0000ff": (0, 0, 255)}.items():
            with self.screen.window(colour):
                eventually(lambda wanted=wanted: colour_of(watcher.grab(1.0)) == wanted)  # type: ignore[misc]
                self.assertEqual(colour_of(early.grab(1.0)), wanted)

    def test_at_once(self) -> None:
        """A grab does not wait for a beat of its own: twenty take no second."""
        source = self.made()
        source.open()
        source.grab(1.0)
        began = time.monotonic()
        for _ in range(20):
            source.grab(1.0)
        self.assertLess(time.monotonic() - began, 1.0)

    def test_goes_and_comes_back_larger(self) -> None:
        """A screen that is gone is a loss; when it is back, with another size, that is seen."""
        source = self.made()
        source.open()
        self.assertEqual(source.grab(1.0).width, 800)
        self.screen.end()
        with self.assertRaises(CaptureError):
            source.grab(1.0)
        source.close()
        with self.assertRaises(UserMistake):
            source.open()
        again = Screen("1024x768", self.screen.display)
        self.addCleanup(again.end)
        source.open()
        self.assertEqual(source.grab(1.0).width, 1024)

    def test_size_is_looked_at_again(self) -> None:
        """Once in a while the size is read anew, without anybody closing the source."""
        source = self.made()
        source.open()
        self.assertEqual(source.grab(1.0).width, 800)
        self.screen.end()
        again = Screen("1024x768", self.screen.display)
        self.addCleanup(again.end)
        self.assertEqual(source.grab(2.0 + LOOK_AGAIN_SECONDS).width, 1024)

    def test_looked_at_by_nobody_else(self) -> None:
        """Reading the size anew works also for a server that resets when its last client leaves."""
        source = self.made()
        source.open()
        for number in range(20):
            picture = source.grab(1.0 + number * (LOOK_AGAIN_SECONDS + 1))
            self.assertEqual(picture.width, 800)


class ScreenCaptureTests(SynchronousTestCase):
    """The whole capture, with its thread, on a screen."""

    def setUp(self) -> None:
        """A screen, and a capture of it that has begun."""
        self.screen = Screen()
        self.addCleanup(lambda: self.screen.end())
        self.heard: Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = Queue()
        self.capture = Capture(
            ScreenSource("x11grab", self.screen.display),
            EncoderSettings("libx264", max_width=400).open,
            framerate_mhz=5_000,
            keyframe_interval_seconds=10.0,
            on_init=lambda init: self.told.append(init),
            on_frame=lambda frame: self.told.append(frame),
            on_trouble=lambda text: self.told.append(text),
            call_in_reactor=lambda call, *args: self.heard.put((call, args)),
            monotonic=time.monotonic,
            wall_clock_us=lambda: time.time_ns() // 1_000,
        )
        self.told: list[Any] = []
        self.capture.start()
        self.addCleanup(self.stop)
        self.capture.begin_session()

    def stop(self) -> None:
        """End the capture's thread."""
        done = self.capture.stop()

        def stopped() -> bool:
            self.turn()
            return bool(done.called)

        eventually(stopped)

    def turn(self) -> None:
        """What the reactor would do."""
        with contextlib.suppress(Empty):
            call, args = self.heard.get(timeout=0.05)
            call(*args)

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first thing heard that is wanted; everything before it is forgotten."""

        def found() -> bool:
            self.turn()
            while self.told and not wanted(self.told[0]):
                del self.told[0]
            return bool(self.told)

        eventually(found)
        return self.told.pop(0)

    def test_screen_restarted(self) -> None:
        """A desktop that is started anew with another size is a new epoch, and told about."""
        init = self.until(lambda each: isinstance(each, MediaInit))
        self.assertEqual((init.epoch, read_init(init.data).width), (1, 400))
        self.assertEqual(read_init(init.data).height, 300)
        self.until(lambda each: isinstance(each, EncodedFrame) and not each.is_keyframe)
        self.screen.end()
        self.until(lambda each: isinstance(each, str) and "trying again" in each)
        self.screen = Screen("320x240", self.screen.display)
        init = self.until(lambda each: isinstance(each, MediaInit))
        self.assertEqual((init.epoch, read_init(init.data).width), (2, 320))
        frame = self.until(lambda each: isinstance(each, EncodedFrame))
        self.assertEqual((frame.epoch, frame.media_time, frame.is_keyframe), (2, 0, True))
        self.until(lambda each: isinstance(each, str) and "pictures again" in each)

    def test_beat(self) -> None:
        """In real time five frames a second come, each at its media time."""
        first = self.until(lambda each: isinstance(each, EncodedFrame))
        self.assertEqual(first.media_time, 0)
        times = [self.until(lambda e: isinstance(e, EncodedFrame)).media_time for _ in range(10)]
        self.assertApproximates(times[-1] / 90_000, 2.0, 1.0)
