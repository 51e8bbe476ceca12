"""Other people's media: films that a stock FFmpeg encoded, and a Sentinel that sends them.

The pictures are those of the test source, so that a program reads from each which one it is
(:func:`number_of`). A film is cut at each ``moof``, with whatever stands before that.
"""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack_into
from typing import Any

from av import VideoFrame

from tests.rigs.daemons import Site
from tests.rigs.needs import need
from tests.rigs.sentinel import LiveSentinel
from tests.sentinel.sources.barcodes import read_barcode
from vidlink.fmp4 import iter_boxes, read_fragment, read_init
from vidlink.messages import DeclareGap
from vidlink.model import InitSegment, Ranges, Segment
from vidlink.sentinel.sources.picture import PatternPicture

WIDTH, HEIGHT = 320, 176
#: A fragment for each frame, as FFmpeg writes them, and one for each keyframe interval.
EACH_FRAME = "frag_every_frame+empty_moov+default_base_moof"
EACH_INTERVAL = "frag_keyframe+empty_moov+default_base_moof"


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment: its octets, its `tfdt` and its length in ticks, and how many frames it has."""

    data: bytes
    media_time: int
    ticks: int
    frames: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class Film:
    """An initialization segment and its segments; picture `n` is shown from `n / rate` seconds on.

    `began_us` is the time that is burnt into picture 0.
    """

    init: bytes
    timescale: int
    rate: float
    began_us: int
    pieces: tuple[Piece, ...]

    @property
    def frames(self) -> int:
        """The number of all pictures."""
        return sum(piece.frames for piece in self.pieces)

    def segment(
        self, number: int, sentinel_id: str, session_id: str, start_time_us: int | None = None
    ) -> Segment:
        """Piece `number` as it is sent; captured when its first `tfdt` says, or as told."""
        piece = self.pieces[number]
        due_us = self.began_us + piece.media_time * 1_000_000 // self.timescale
        return Segment(
            sentinel_id=sentinel_id,
            session_id=session_id,
            sequence=number,
            start_time_us=due_us if start_time_us is None else start_time_us,
            duration_ms=round(piece.ticks * 1_000 / self.timescale),
            framerate_mhz=round(self.rate * 1_000),
            is_keyframe=piece.is_keyframe,
            data=piece.data,
        )


def film(
    seconds: float,
    *,
    rate: float = 5,
    gop: int = 10,
    bframes: int = 0,
    movflags: str = EACH_FRAME,
    more: Sequence[str] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
    began_us: int | None = None,
) -> Film:
    """Have FFmpeg encode so many seconds of numbered pictures; the last ends now by default.

    :param gop: frames from one keyframe to the next.
    :param more: further options of the output, before its name.
    """
    count = round(seconds * rate)
    if began_us is None:
        began_us = time.time_ns() // 1_000 - round(count * 1_000_000 / rate)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "film.mp4"
        command = [need("ffmpeg"), "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
        command += ["-s", f"{size[0]}x{size[1]}", "-r", f"{rate:g}", "-i", "-"]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
        command += ["-x264-params", "scenecut=0", "-g", str(gop), "-keyint_min", str(gop)]
        command += ["-bf", str(bframes), *more, "-movflags", movflags, "-f", "mp4", str(made)]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert encoder.stdin is not None
        picture = PatternPicture("foreign", *size)
        for number in range(count):
            frame = picture.draw(began_us + round(number * 1_000_000 / rate), number)
            encoder.stdin.write(_octets(frame))
        encoder.stdin.close()
        assert encoder.wait(60) == 0, "ffmpeg failed"
        return _cut(made.read_bytes(), rate, began_us)


def _octets(frame: VideoFrame) -> bytes:
    """The planes of a picture without what pads their rows."""
    rows: list[bytes] = []
    for plane in frame.planes:
        data, stride = bytes(plane), plane.line_size
        rows += [data[y * stride : y * stride + plane.width] for y in range(plane.height)]
    return b"".join(rows)


def _cut(data: bytes, rate: float, began_us: int) -> Film:
    boxes = list(iter_boxes(data))
    begin = next(box.end for box in boxes if box.kind == b"moov")
    init = data[:begin]
    media = read_init(init)
    pieces: list[Piece] = []
    for box in boxes:
        if box.kind == b"mdat":
            one = numbered(data[begin : box.end], len(pieces))
            info = read_fragment(one, media)
            pieces.append(
                Piece(one, info.decode_time, info.duration, info.sample_count, info.is_keyframe)
            )
            begin = box.end
    return Film(init, media.timescale, rate, began_us, tuple(pieces))


def numbered(segment: bytes, sequence: int) -> bytes:
    """`segment` with `sequence` in its `mfhd`."""
    moof = next(box for box in iter_boxes(segment) if box.kind == b"moof")
    mfhd = next(box for box in iter_boxes(segment, moof.body, moof.end) if box.kind == b"mfhd")
    data = bytearray(segment)
    pack_into(">I", data, mfhd.body + 4, sequence)
    return bytes(data)


def number_of(luma: bytes, width: int = WIDTH, height: int = HEIGHT) -> int | None:
    """The number of the picture with these lumas, without padding; None if it cannot be read."""
    code = read_barcode(luma, width, height)
    return None if code is None else code.number


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session that has been recorded whole, and its path in the HTTP interface."""

    sentinel_id: str
    session_id: str

    @property
    def path(self) -> str:
        """The session in the HTTP interface."""
        return f"/api/v1/sentinels/{self.sentinel_id}/sessions/{self.session_id}"


def connect(site: Site, film: Film, sentinel_id: str) -> LiveSentinel:
    """A Sentinel that has sent the initialization segment of `film`, under a new session."""
    sentinel = LiveSentinel(site.ws, sentinel_id, secrets.token_urlsafe(18))
    sentinel.say(InitSegment(sentinel_id, sentinel.session_id, film.init))
    return sentinel


def send(
    site: Site,
    film: Film,
    sentinel_id: str,
    *,
    numbers: Iterable[int] | None = None,
    start_us: Callable[[int], int] | None = None,
) -> LiveSentinel:
    """A Sentinel that has sent `film` at once, all of which is acknowledged, and that stays.

    :param numbers: the pieces that are sent, ascending; by default all. What is left out between
        them is declared as lost.
    :param start_us: gives the `startTime` of each piece; by default that of its media time.
    """
    sentinel = connect(site, film, sentinel_id)
    sent = list(range(len(film.pieces)) if numbers is None else numbers)
    for number in sent:
        start = None if start_us is None else start_us(number)
        sentinel.say(film.segment(number, sentinel_id, sentinel.session_id, start))
    for first, last in Ranges.of(sorted({*range(sent[-1])} - {*sent})):
        sentinel.say(DeclareGap(sentinel.session_id, first, last, "the spool was full"))
    sentinel.acknowledged(sentinel.session_id, sent[-1])
    return sentinel


def record(site: Site, film: Film, sentinel_id: str, **how: Any) -> Recorded:
    """Send `film` as :func:`send` does, and leave."""
    sentinel = send(site, film, sentinel_id, **how)
    sentinel.close()
    return Recorded(sentinel_id, sentinel.session_id)
