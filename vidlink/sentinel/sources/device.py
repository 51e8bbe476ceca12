"""The source `device`: whatever FFmpeg opens, read all the time so that its newest picture is new.

A camera or a stream gives pictures at its own rate and keeps those that nobody takes; a thread
of its own takes them, and throws away all but the newest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf

from av import VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from zope.interface import implementer

from vidlink.errors import CaptureError, UserMistake
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.ffmpeg import open_input, reason
from vidlink.sentinel.sources.upright import RAW, Upright

#: So long an input may take to its first picture.
FIRST_PICTURE_SECONDS = 10.0
#: An input that gives nothing for so long is taken for dead. A sleep of the computer is no silence.
SILENCE_SECONDS = 10.0
#: A shorter sleep is none: clocks differ by as much.
SLEEP_SECONDS = 0.1
#: So long `close` waits for the thread; one that hangs in a driver is left behind.
JOIN_SECONDS = 2.0
_FALLBACK_FRAME_SECONDS = 0.04
_LATE_SECONDS = 1.0
_LONGEST_SECONDS = 5.0


class Throttle:
    """Waits before a picture counts as shown, so that nothing is read too fast.

    A real device blocks until it has a picture, and is never waited for, whatever its clock
    says. An input that makes pictures as fast as they are read is held to their times.
    """

    def __init__(self) -> None:
        self._began_seconds = -inf
        self._last_seconds = 0.0

    def wait_seconds(
        self, picture_seconds: float, read_seconds: float, now_seconds: float
    ) -> float:
        """The wait, at monotonic time `now_seconds`.

        `picture_seconds` is the time that the picture bears, `read_seconds` how long it took
        to read it.
        """
        step = max(0.0, picture_seconds - self._last_seconds)
        self._last_seconds = picture_seconds
        ahead = self._began_seconds + picture_seconds - now_seconds
        if read_seconds >= step / 2 or ahead < -_LATE_SECONDS:
            self._began_seconds = now_seconds - picture_seconds
            return 0.0
        return min(max(0.0, ahead), step, _LONGEST_SECONDS)


class _Drain:
    """The thread that reads one open input, and the newest picture of it."""

    def __init__(
        self,
        container: InputContainer,
        frame_seconds: float,
        monotonic: Callable[[], float],
        slept_seconds: Callable[[], float],
    ) -> None:
        self._container = container
        self._frame_seconds = frame_seconds
        self._monotonic = monotonic
        self._slept_seconds = slept_seconds
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._picture: VideoFrame | None = None
        self._taken_seconds = 0.0
        #: The sleep of the computer until the reading of it began, since whenever.
        self._slept_before = float("-inf")
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="vidlink-device", daemon=True)
        self._thread.start()

    def newest(self, wait_seconds: float) -> tuple[VideoFrame, float]:
        """The newest picture and when it was read; the first, and that after a sleep of the
        computer, is waited for so long.

        :raises CaptureError: if the input has ended or failed, or gives nothing.
        """
        slept = self._slept_seconds() - SLEEP_SECONDS

        def is_told() -> bool:
            # What was read before a sleep is not of now, whoever has read nothing since.
            return self._trouble is not None or self._slept_before >= slept

        with self._changed:
            is_there = self._changed.wait_for(is_told, wait_seconds)
            if self._trouble is not None:
                raise CaptureError(self._trouble)
            if not is_there or self._picture is None:
                raise CaptureError(f"no picture within {wait_seconds:g} s")
            return self._picture, self._taken_seconds

    def stop(self) -> None:
        """End the thread, which closes the input."""
        self._stop.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        trouble = "it has ended"
        try:
            self._read()
        except FFmpegError as error:
            trouble = reason(error)
        finally:
            self._container.close()
            with self._changed:
                self._trouble = trouble
                self._changed.notify_all()

    def _read(self) -> None:
        throttle, last = Throttle(), -self._frame_seconds
        began, slept = self._monotonic(), self._slept_seconds()
        for picture in self._container.decode(video=0):
            read = self._monotonic()
            last = last + self._frame_seconds if picture.pts is None else picture.time
            if self._stop.wait(throttle.wait_seconds(last, read - began, read)):
                return
            with self._changed:
                self._picture, self._taken_seconds = picture, self._monotonic()
                self._slept_before = slept
                self._changed.notify_all()
            began, slept = self._monotonic(), self._slept_seconds()


@implementer(ISource)
class DeviceSource:
    """The newest picture of an input of FFmpeg.

    :param format_name: the name of the device or format, such as ``v4l2`` or ``lavfi``.
    :param input_name: what of it, such as ``/dev/video0``.
    :param options: FFmpeg's options for it.
    :param monotonic: seconds that stand still while the computer sleeps.
    :param slept_seconds: how long the computer has slept, since whenever.
    """

    def __init__(
        self,
        format_name: str,
        input_name: str,
        options: dict[str, str] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        slept_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._format_name = format_name
        self._input_name = input_name
        self._options = options or {}
        self._monotonic = monotonic
        self._slept_seconds = slept_seconds
        self._drain: _Drain | None = None
        self._upright: Upright | None = None

    @property
    def _what(self) -> str:
        return f"the {self._format_name} device {self._input_name}"

    def open(self) -> None:
        """Open the input and wait for its first picture; does nothing if it is open."""
        if self._drain is not None:
            return
        container, stream = open_input(
            self._input_name, self._format_name, self._options, self._what
        )
        rate = stream.average_rate or stream.guessed_rate
        frame_seconds = float(1 / rate) if rate else _FALLBACK_FRAME_SECONDS
        # What macOS means is not known; it does as coded pictures do.
        is_raw = stream.codec_context.name in RAW and self._format_name != "avfoundation"
        self._upright = Upright(stream, is_raw=is_raw)
        self._drain = _Drain(container, frame_seconds, self._monotonic, self._slept_seconds)
        try:
            self._drain.newest(FIRST_PICTURE_SECONDS)
        except CaptureError as error:
            self.close()
            raise UserMistake(f"{self._what} gives no pictures: {error}") from None

    def grab(self, now_seconds: float) -> VideoFrame:
        """The newest picture there is."""
        self.open()
        assert self._drain is not None
        try:
            picture, taken_seconds = self._drain.newest(SILENCE_SECONDS)
        except CaptureError as error:
            raise CaptureError(f"{self._what} gives no more pictures: {error}") from None
        if self._monotonic() - taken_seconds > SILENCE_SECONDS:
            raise CaptureError(f"{self._what} has been silent for {SILENCE_SECONDS:g} s")
        assert self._upright is not None
        return self._upright.of(picture)

    def close(self) -> None:
        """Let go of the input."""
        if self._drain is not None:
            drain, self._drain = self._drain, None
            drain.stop()
