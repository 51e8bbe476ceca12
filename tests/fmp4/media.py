"""Real H.264 for tests, made once: what PyAV's encoder and muxer give."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from types import FrameType

import av
from av.video.frame import PictureType

from vidlink.fmp4 import join_avc, split_annexb

TIMESCALE = 90_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """An initialization segment, and encoder packets in Annex B form (keyframe or not)."""

    init: bytes
    packets: tuple[tuple[bytes, bool], ...]


@cache
def encoded(
    frames: int = 12, keyframe_every: int = 5, width: int = 64, height: int = 48
) -> Encoded:
    """Encode so many frames; each is a flat grey of its own, so that order can be seen."""
    out = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof"}
    with av.open(out, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, TIMESCALE)
        context = stream.codec_context
        context.time_base = Fraction(1, TIMESCALE)
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
        container.start_encoding()
        init = out.getvalue()
        packets = []
        for number in range(frames):
            picture = grey(number, width, height)
            if number % keyframe_every == 0:
                picture.pict_type = PictureType.I
            (packet,) = stream.encode(picture)
            packets.append((bytes(packet), packet.is_keyframe))
    return Encoded(init, tuple(packets))


def grey(number: int, width: int, height: int) -> av.VideoFrame:
    """A flat picture of brightness 20 + 10 x `number`, due `number` fifths of a second in."""
    picture = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(picture.planes, (20 + 10 * number, 128, 128), strict=True):
        plane.update(bytes((value,)) * plane.buffer_size)
    picture.pts, picture.time_base = number * TIMESCALE // 5, Fraction(1, TIMESCALE)
    return picture


def frames_of(data: bytes) -> list[av.VideoFrame]:
    """Decode a fragmented MP4."""
    with av.open(io.BytesIO(data), "r") as container:
        return list(container.decode(video=0))


def decoded(data: bytes) -> list[tuple[int, int]]:
    """Decode a fragmented MP4: the time of each frame, in its track's units, and its grey."""
    return [
        (frame.pts or 0, round(sum(bytes(frame.planes[0])[:8]) / 8)) for frame in frames_of(data)
    ]


def muxed(movflags: str, *, frames: int = 12, gop: int = 5, b_frames: int = 0) -> list[bytes]:
    """The same pictures from FFmpeg's own muxer: the initialization segment, then
    its fragments, each beginning with whatever stands before its `moof`."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": movflags}) as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "g": str(gop), "bf": str(b_frames)}
        for number in range(frames):
            picture = grey(number, 64, 48)
            picture.pts, picture.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return _cut(out.getvalue())


def _cut(data: bytes) -> list[bytes]:
    """Cut at the boxes by their sizes alone, so that our reader is not its own witness."""
    boxes, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        boxes.append((data[place + 4 : place + 8], place + size))
        place += size
    cuts = [0, *(end for kind, end in boxes if kind in (b"moov", b"mdat"))]
    return [data[a:b] for a, b in pairwise(cuts)]


def calls(function: Callable[[], object]) -> int:
    """The number of calls that `function` needs, of Python's and of C's: its cost, unclocked."""
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def annexb_to_avc(packet: bytes) -> bytes:
    """One encoder packet in Annex B form as one MP4 sample."""
    return join_avc(split_annexb(packet))
