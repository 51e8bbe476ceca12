"""The source `file`: a video file, played in a loop at its own pace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from zope.interface import implementer

from vidlink.errors import UserMistake
from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.ffmpeg import open_input
from vidlink.sentinel.sources.upright import Upright

#: Asked again after more than this, a file goes on where it was, instead of decoding so much.
PATIENCE_SECONDS = 12.0
_FALLBACK_FRAME_SECONDS = 0.04


@implementer(ISource)
class FileSource:
    """The picture of a file that is due now; after the last one comes the first.

    :param path: the file, of any format and codec that FFmpeg reads.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._container: InputContainer | None = None
        self._upright: Upright | None = None
        self._frame_seconds = _FALLBACK_FRAME_SECONDS
        self._is_still = False
        self._pictures: Iterator[tuple[float, VideoFrame]] = iter(())
        self._shown: tuple[float, VideoFrame] | None = None
        self._coming: tuple[float, VideoFrame] | None = None
        # The monotonic time at which the first picture of this round was, or would have been, due.
        self._began_seconds: float | None = None
        self._asked_seconds = 0.0

    def open(self) -> None:
        """Open the file and decode its first picture; does nothing if it is open."""
        if self._container is None:
            self._rewind()
            self._began_seconds = None

    def grab(self, now_seconds: float) -> VideoFrame:
        """The picture that is due at `now_seconds`; the first call gives the first picture."""
        self.open()
        if self._began_seconds is None:
            self._began_seconds = self._asked_seconds = now_seconds
        pause_seconds = now_seconds - self._asked_seconds
        if pause_seconds > PATIENCE_SECONDS:
            self._began_seconds += pause_seconds
        self._asked_seconds = now_seconds
        picture = self._at(now_seconds)
        assert self._upright is not None
        return self._upright.of(picture)

    def close(self) -> None:
        """Let go of the file."""
        self._pictures = iter(())
        self._coming = None
        if self._container is not None:
            container, self._container = self._container, None
            container.close()

    def _at(self, now_seconds: float) -> VideoFrame:
        """Go on until nothing is due any more."""
        assert self._began_seconds is not None
        assert self._shown is not None
        while True:
            due = now_seconds - self._began_seconds
            if self._coming is not None:
                if self._coming[0] > due:
                    break
                self._shown = self._coming
                self._coming = next(self._pictures, None)
                continue
            length = self._shown[0] + self._frame_seconds
            if self._is_still or length > due:
                break
            # Rounds that were missed as a whole are not decoded.
            self._began_seconds += length * (due // length)
            self._rewind()
        return self._shown[1]

    def _rewind(self) -> None:
        """Open the file, anew if need be: unlike seeking, that works with every format."""
        self.close()
        what = f"the file {self._path}"
        self._container, stream = open_input(f"file:{self._path}", None, {}, what)
        self._upright = Upright(stream)
        rate = stream.average_rate or stream.guessed_rate
        self._frame_seconds = float(1 / rate) if rate else _FALLBACK_FRAME_SECONDS
        self._pictures = _play(self._container, self._frame_seconds)
        self._shown = next(self._pictures, None)
        if self._shown is None:
            self.close()
            raise UserMistake(f"there is no picture that can be decoded in {what}")
        self._coming = next(self._pictures, None)
        self._is_still = self._coming is None


def _play(container: InputContainer, frame_seconds: float) -> Iterator[tuple[float, VideoFrame]]:
    """Decode the file once: pictures with the seconds since the first, ever ascending.

    What is damaged is left out.
    """
    first: float | None = None
    last = -frame_seconds
    with contextlib.suppress(FFmpegError):
        for packet in container.demux(video=0):
            for picture in _decode(packet):
                if picture.pts is None:
                    time = (first or 0.0) + last + frame_seconds
                else:
                    time = picture.time
                first = time if first is None else first
                last = max(time - first, last)
                yield last, picture


def _decode(packet: Packet[VideoStream]) -> list[VideoFrame]:
    try:
        return packet.decode()
    except FFmpegError:
        return []
