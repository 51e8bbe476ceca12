"""A capture without its thread, on a clock that is only a number, for tests of what comes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from av import VideoFrame
from zope.interface import implementer

from tests.fmp4.media import grey
from vidlink.errors import CaptureError, UserMistake
from vidlink.fmp4 import write_fragment
from vidlink.model import EncodedFrame
from vidlink.sentinel.capture.capture import Capture
from vidlink.sentinel.capture.encoders import EncoderSettings
from vidlink.sentinel.capture.frames import MediaInit
from vidlink.sentinel.capture.roles import IEncoder, ISource

WALL_US = 1_767_225_600_000_000


@implementer(ISource)
class Pictures:
    """A source whose size, and whether it works, the test decides."""

    def __init__(self) -> None:
        self.size = (64, 48)
        self.broken: Exception | None = None
        self.stuck: Exception | None = None
        self.is_open = False
        self.opened = 0
        self.grabbed = 0
        #: Called while a picture is grabbed.
        self.meanwhile: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Fails while `broken` is a user's mistake."""
        if isinstance(self.broken, UserMistake):
            raise self.broken
        self.opened += not self.is_open
        self.is_open = True

    def grab(self, now_seconds: float) -> VideoFrame:
        """The next grey, or what is wrong."""
        if self.broken is not None:
            raise self.broken
        self.grabbed += 1
        self.meanwhile()
        return grey(self.grabbed % 20, *self.size)

    def close(self) -> None:
        """Remember it, or say what is wrong."""
        if self.stuck is not None:
            raise self.stuck
        self.is_open = False


class Encoders:
    """Encoder settings that open real encoders, or none if the test wants it so."""

    def __init__(self, max_width: int) -> None:
        self.broken = False
        self._settings = EncoderSettings("libx264", max_width=max_width)

    def open(self, width: int, height: int) -> IEncoder:
        """An encoder, or what is wrong."""
        if self.broken:
            raise CaptureError("the encoder is worn out")
        return self._settings.open(width, height)


class Studio:
    """A capture without its thread, a reactor that runs when it is told to, and a clock."""

    def __init__(
        self,
        framerate_mhz: int = 5_000,
        max_width: int = 1920,
        keyframe_interval_seconds: float = 10.0,
        call_in_reactor: Callable[..., object] | None = None,
    ) -> None:
        self.now = 1_000.0
        self.slept = 0.0
        self.source = Pictures()
        self.encoders = Encoders(max_width)
        self.heard: list[MediaInit | EncodedFrame | str] = []
        self.reactor: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.capture = Capture(
            self.source,
            self.encoders.open,
            framerate_mhz=framerate_mhz,
            keyframe_interval_seconds=keyframe_interval_seconds,
            on_init=self.heard.append,
            on_frame=self.heard.append,
            on_trouble=self.heard.append,
            call_in_reactor=call_in_reactor or self.later,
            monotonic=lambda: self.now,
            wall_clock_us=lambda: WALL_US + round((self.now - 1_000) * 1_000_000),
            slept_seconds=lambda: self.slept,
        )

    def later(self, call: Callable[..., Any], *args: Any) -> None:
        """Have something called in the reactor's thread."""
        self.reactor.append((call, args))

    def sleep(self, seconds: float) -> None:
        """The computer sleeps."""
        self.now += seconds
        self.slept += seconds

    def turn(self) -> None:
        """One turn of the reactor."""
        while self.reactor:
            call, args = self.reactor.popleft()
            call(*args)

    def run(self, seconds: float) -> list[Any]:
        """Let the capture do what is due for so long; returns what was heard of it."""
        del self.heard[:]
        for _ in range(round(seconds * 100)):
            self.capture.step()
            self.turn()
            self.now = round(self.now + 0.01, 2)
        return list(self.heard)


def frames(heard: list[Any]) -> list[EncodedFrame]:
    """The frames among what was heard."""
    return [each for each in heard if isinstance(each, EncodedFrame)]


def inits(heard: list[Any]) -> list[MediaInit]:
    """The initialization segments among what was heard."""
    return [each for each in heard if isinstance(each, MediaInit)]


def troubles(heard: list[Any]) -> list[str]:
    """The sentences among what was heard."""
    return [each for each in heard if isinstance(each, str)]


def film(init: bytes, shot: list[EncodedFrame]) -> bytes:
    """What an uplink makes of frames."""
    return init + b"".join(
        write_fragment(
            sequence=number, decode_time=frame.media_time, duration=frame.duration,
            keyframe=frame.is_keyframe, data=frame.data, producer_time_us=frame.start_time_us,
        )
        for number, frame in enumerate(shot)
    )  # fmt: skip
