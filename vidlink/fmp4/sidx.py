"""The segment index (14496-12, 8.16.3): where a player may seek to without reading everything.

One layout is written and read, that of `build_sidx`, which is what a recording has. Which
references there are (one for each keyframe interval) is decided in :mod:`vidlink.store.film`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from vidlink.errors import NotMedia
from vidlink.model import Octets

#: So many references one `sidx` can hold (16 bits).
MAX_ENTRIES = 65_535
#: So many bytes one reference can cover (31 bits).
MAX_REFERENCE_BYTES = 2**31 - 1
#: So long one reference can last, in units of the timescale (32 bits).
MAX_REFERENCE_DURATION = 2**32 - 1

_HEAD = Struct(">I4sIIIQQHH")
_ENTRY = Struct(">III")
_VERSION_1 = 0x0100_0000
_SAP_AT_START_TYPE_1 = 0x9000_0000


@dataclass(frozen=True, slots=True)
class SegmentIndex:
    """A `sidx` of media that begins `first_offset` bytes after it.

    `earliest` and durations count in `timescale`; each reference is a size in bytes, a duration
    and whether it starts with a keyframe.
    """

    track_id: int
    timescale: int
    earliest: int
    first_offset: int
    references: tuple[tuple[int, int, bool], ...]


def build_sidx(
    *,
    track_id: int,
    timescale: int,
    earliest: int,
    references: Iterable[tuple[int, int, bool]],
    first_offset: int = 0,
) -> bytes:
    """Build a `sidx` (version 1) for media that begins `first_offset` bytes after it.

    `earliest` is the decode time of the first frame; each reference is a size in bytes, a
    duration in the timescale and whether it starts with a keyframe (an IDR: SAP type 1).

    More than `MAX_ENTRIES` references (182 hours of 10-second intervals) do not fit one box.
    Then neighbours are merged, the same number everywhere, until they do: seeking becomes
    coarser, and the size still follows from the count alone.

    :raises ValueError: if a reference, or one that had to be merged, is over `MAX_REFERENCE_BYTES`
        or `MAX_REFERENCE_DURATION`; who makes references divides them at a segment before.
    """
    merged = _merge(list(references))
    box = bytearray(_HEAD.size + _ENTRY.size * len(merged))
    _HEAD.pack_into(
        box,
        0,
        len(box),
        b"sidx",
        _VERSION_1,
        track_id,
        timescale,
        earliest,
        first_offset,
        0,
        len(merged),
    )
    for number, (size_bytes, duration, starts_with_sap) in enumerate(merged):
        if not 0 <= size_bytes <= MAX_REFERENCE_BYTES:
            raise ValueError(f"reference {number} has {size_bytes} bytes")
        if not 0 <= duration <= MAX_REFERENCE_DURATION:
            raise ValueError(f"reference {number} lasts {duration} units")
        access = _SAP_AT_START_TYPE_1 if starts_with_sap else 0
        _ENTRY.pack_into(box, _HEAD.size + _ENTRY.size * number, size_bytes, duration, access)
    return bytes(box)


def read_sidx(box: Octets) -> SegmentIndex:
    """Read a whole `sidx` box.

    :raises NotMedia: if it is not laid out as `build_sidx` does.
    """
    if len(box) < _HEAD.size:
        raise NotMedia("sidx is too short")
    size, kind, version, track_id, timescale, earliest, offset, reserved, count = _HEAD.unpack_from(
        box
    )
    if (size, kind, version, reserved) != (len(box), b"sidx", _VERSION_1, 0):
        raise NotMedia("sidx is of another kind than a recording has")
    if size != _HEAD.size + _ENTRY.size * count:
        raise NotMedia("sidx has not as many entries as it says")
    entries = _ENTRY.iter_unpack(bytes(box[_HEAD.size :]))
    references = tuple((octets, time, bool(access)) for octets, time, access in entries)
    return SegmentIndex(track_id, timescale, earliest, offset, references)


def _merge(references: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    together = -(-len(references) // MAX_ENTRIES)
    if together <= 1:
        return references
    groups = (references[i : i + together] for i in range(0, len(references), together))
    return [(sum(r[0] for r in group), sum(r[1] for r in group), group[0][2]) for group in groups]
