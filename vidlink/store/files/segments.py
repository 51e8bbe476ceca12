"""The initialization segment and the segments of a part, found by its boxes alone.

So records and descriptions that are lost can be made anew, marked as unverified. What boxes
mean is in `vidlink.fmp4`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from vidlink.errors import NotMedia
from vidlink.fmp4 import FragmentInfo, MediaInfo, read_fragment, read_init
from vidlink.store.files.layout import I63, KEYFRAME, U32, UNVERIFIED, IndexRecord
from vidlink.store.files.pieces import PieceReader

#: Larger ones are refused when they come: such a size is that of no segment.
MOST_SEGMENT_BYTES = 64 * 1024 * 1024
_MOST_INIT_BYTES = 1024 * 1024
_MOST_BOXES = 32
_SHORT = Struct(">I4s")
_LONG = Struct(">Q")
#: With these kinds a segment begins.
_HEADS = frozenset({b"styp", b"prft", b"sidx", b"emsg", b"moof"})


@dataclass(frozen=True, slots=True)
class Head:
    """An initialization segment as it stands at the head of a part."""

    size_bytes: int
    check: int
    media: MediaInfo


def read_head(part: PieceReader) -> Head | None:
    """The initialization segment at the head of `part`; None if there is no whole one."""
    place = 0
    for _ in range(_MOST_BOXES):
        kind, end = _box(part, place)
        if kind in _HEADS or (not kind and place == part.size_bytes):
            break
        if not kind or end > _MOST_INIT_BYTES:
            return None
        place = end
    data = part.read(0, place)
    try:
        return Head(place, crc32(data), read_init(data))
    except NotMedia:
        return None


def holds_segments(part: PieceReader) -> bool:
    """True if a segment begins in `part`, whatever stands before it."""
    place = 0
    for _ in range(_MOST_BOXES):
        kind, end = _box(part, place)
        if not kind or kind == b"moof":
            return bool(kind)
        place = end
    return False


def read_segments(
    part: PieceReader, start: int, end: int, media: MediaInfo, started_time_us: int | None
) -> Iterator[IndexRecord]:
    """A record for each segment of those that lie side by side in `part` from `start` to `end`."""
    while start < end:
        size = _segment_size(part, start, end)
        data = part.read(start, size) if size else b""
        if not data or len(data) < size:
            return
        try:
            info = read_fragment(data, media)
        except NotMedia:
            return
        yield _record(info, media, started_time_us or 0, start, data)
        start += size


def _segment_size(part: PieceReader, start: int, end: int) -> int:
    """The size of the segment that begins there; 0 if none does that ends before `end`."""
    place = start
    for _ in range(_MOST_BOXES):
        kind, box_end = _box(part, place)
        if box_end > end or box_end - start > MOST_SEGMENT_BYTES:
            return 0
        if kind == b"mdat":
            return box_end - start
        if kind not in _HEADS:
            return 0
        place = box_end
    return 0


def _record(
    info: FragmentInfo, media: MediaInfo, started_us: int, offset: int, data: bytes
) -> IndexRecord:
    scale = media.timescale
    start_us = info.producer_time_us
    if start_us is None:
        start_us = started_us + info.decode_time * 1_000_000 // scale
    start_us = max(-I63, min(I63 - 1, start_us))
    duration_ms = min(U32 - 1, (info.duration * 1_000 + scale // 2) // scale)
    frame = info.last_sample_duration
    rate_mhz = min(U32 - 1, (scale * 1_000 + frame // 2) // frame) if frame else 0
    flags = UNVERIFIED | (KEYFRAME if info.is_keyframe else 0)
    place = offset, len(data), crc32(data)
    times = start_us, info.decode_time, duration_ms, rate_mhz, start_us
    return IndexRecord(info.sequence, *place, *times, flags, info.sample_offset)


def _box(part: PieceReader, place: int) -> tuple[bytes, int]:
    """Kind and end of the box that begins there; no kind if none does."""
    head = part.read(place, 16)
    if len(head) < _SHORT.size:
        return b"", place
    size, kind = _SHORT.unpack_from(head)
    header = _SHORT.size
    if size == 1 and len(head) == 16:
        (size,) = _LONG.unpack_from(head, 8)
        header = 16
    return (kind, place + size) if size >= header else (b"", place)
