"""Media segments, box by box, whoever wrote them.

The boxes are walked once, by hand, and no frame is looked at: this may run for every segment
on the server's live path. The short cut for our own layout is in `read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, unpack_from

from vidlink.errors import NotMedia
from vidlink.fmp4.boxes import MAX_BOXES, read_header
from vidlink.fmp4.init import MediaInfo
from vidlink.fmp4.ntp import us_from_ntp
from vidlink.model import Octets

#: So many frames one segment may hold.
MAX_SAMPLES = 10_000
#: The page counts in doubles, which are exact up to here: 285 years of microseconds.
MAX_MEDIA_TIME = 2**53 - 1
#: The index of a recording has 16 bits for where a frame begins.
MAX_SAMPLE_OFFSET = 2**16 - 1
#: So many boxes may stand before `moof`.
MAX_BEFORE_MOOF = 16

_BEFORE_MOOF = frozenset((b"styp", b"prft", b"sidx", b"emsg"))
#: The bit of the sample flags (8.8.3.1) that says: not a place to begin.
NON_SYNC_BIT = 0x0001_0000

_TFHD_BASE_OFFSET, _TFHD_DESCRIPTION = 0x01, 0x02
_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS, _TFHD_OPTIONAL = 0x08, 0x10, 0x20, 0x3B
TRUN_OFFSET, TRUN_FIRST_FLAGS = 0x001, 0x004
TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION = 0x100, 0x200, 0x400, 0x800
_COLUMNS = tuple(bits.bit_count() for bits in range(16))

_U32 = Struct(">I").unpack_from
_I32 = Struct(">i").unpack_from
_U32_PAIR = Struct(">II").unpack_from
_VERSION_U64 = Struct(">IQ").unpack_from
_PRFT = Struct(">IIII").unpack_from


@dataclass(slots=True)
class FragmentInfo:
    """The boxes of one media segment, as far as anybody needs them.

    `sequence` is that of `mfhd`; `decode_time` (of `tfdt`), `duration` (of all frames
    together) and `last_sample_duration` count in the timescale of the initialization segment;
    `is_keyframe` says that the first frame is a sync sample; `moof_start` is a place in the bytes;
    `producer_time_us` is the wall clock of `prft`, if there is one. `sample_offset` is where the
    one frame begins that the segment ends with, shown when it is decoded; 0: its frames are more,
    or lie otherwise, or begin beyond 16 bits.
    """

    sequence: int
    decode_time: int
    duration: int
    last_sample_duration: int
    sample_count: int
    is_keyframe: bool
    moof_start: int
    producer_time_us: int | None
    sample_offset: int = 0


def read_any_fragment(data: Octets, media: MediaInfo) -> FragmentInfo:
    """Read one media segment: `moof` and `mdat`, before them only what describes them.

    :raises NotMedia: if it is anything else, or does not belong to the track of `media`.
    """
    start, body, stop, producer_time_us = _moof(data)
    kind, payload, end = _closed_header(data, stop, len(data))
    if kind != b"mdat" or end != len(data):
        raise NotMedia("a segment is one moof and one mdat, with nothing after them")
    sequence, traf, traf_end = movie_fragment(data, body, stop)
    decode_time, tfhd, truns = track_fragment(data, traf, traf_end)
    defaults = fragment_defaults(data, tfhd[0], tfhd[1], media)
    duration = last = samples = shift = 0
    keyframe = False
    first = place = start
    for number, (run, run_end) in enumerate(truns):
        count, length, last, sync, place, size, shift = _run(
            data, run, run_end, defaults, start, place
        )
        if place < payload or place + size > end:
            raise NotMedia("its frames do not lie in its mdat")
        if not number:
            first, keyframe = place, sync
        place += size
        duration += length
        samples += count
    if samples > MAX_SAMPLES:
        raise NotMedia(f"more than {MAX_SAMPLES} frames in one segment")
    is_plain = samples == 1 and not shift and place == end and first <= MAX_SAMPLE_OFFSET
    return FragmentInfo(
        sequence,
        decode_time,
        duration,
        last,
        samples,
        keyframe,
        start,
        producer_time_us,
        first if is_plain else 0,
    )


def _closed_header(data: Octets, start: int, end: int) -> tuple[bytes, int, int]:
    """As `read_header`, but a box without an end is refused: in a recording it would swallow
    everything that follows."""
    kind, body, stop = read_header(data, start, end)
    if not _U32(data, start)[0]:
        raise NotMedia("a box has no end, so nothing could follow it")
    return kind, body, stop


def _moof(data: Octets) -> tuple[int, int, int, int | None]:
    """Find `moof`: where it starts, where its body starts, its end, and the time of `prft`."""
    start, size = 0, len(data)
    producer_time_us = None
    for _ in range(MAX_BEFORE_MOOF):
        kind, body, stop = _closed_header(data, start, size)
        if kind == b"moof":
            return start, body, stop, producer_time_us
        if kind not in _BEFORE_MOOF:
            raise NotMedia(f"a {kind.decode('latin-1')!r} box has no place before moof")
        if kind == b"prft":
            producer_time_us = _producer_time_us(data, body, stop)
        start = stop
    raise NotMedia(f"more than {MAX_BEFORE_MOOF} boxes before moof")


def _producer_time_us(data: Octets, body: int, end: int) -> int:
    """The wall clock of `prft` (8.16.5)."""
    if body + 20 > end:
        raise NotMedia("prft is too short")
    _, _, seconds, fraction = _PRFT(data, body)
    return us_from_ntp(seconds, fraction)


def movie_fragment(data: Octets, start: int, end: int) -> tuple[int, int, int]:
    """Read the children of `moof`: the sequence of its `mfhd`, and where its one `traf` lies."""
    sequence = traf = traf_end = -1
    for _ in range(MAX_BOXES):
        if start >= end:
            break
        kind, body, stop = read_header(data, start, end)
        if kind == b"traf" and traf < 0:
            traf, traf_end = body, stop
        elif kind == b"mfhd" and sequence < 0 and body + 8 <= stop:
            (sequence,) = _U32(data, body + 4)
        elif kind == b"traf" or kind == b"mfhd":
            raise NotMedia("moof holds one mfhd and one traf")
        start = stop
    if sequence < 0 or traf < 0 or start < end:
        raise NotMedia("moof holds one mfhd and one traf")
    return sequence, traf, traf_end


def track_fragment(
    data: Octets, start: int, end: int
) -> tuple[int, tuple[int, int], list[tuple[int, int]]]:
    """Read the children of `traf`: the time of its `tfdt`, and where `tfhd` and `trun`s lie."""
    decode_time = -1
    tfhd: tuple[int, int] | None = None
    truns: list[tuple[int, int]] = []
    for _ in range(MAX_BOXES):
        if start >= end:
            break
        kind, body, stop = read_header(data, start, end)
        if kind == b"trun":
            truns.append((body, stop))
        elif kind == b"tfdt" and decode_time < 0:
            decode_time = _decode_time(data, body, stop)
        elif kind == b"tfhd" and tfhd is None:
            tfhd = body, stop
        elif kind == b"tfdt" or kind == b"tfhd":
            raise NotMedia(f"traf holds two {kind.decode()} boxes")
        start = stop
    if start < end or tfhd is None or decode_time < 0 or not truns:
        raise NotMedia("traf holds tfhd, tfdt and trun, and few other boxes")
    return decode_time, tfhd, truns


def _decode_time(data: Octets, body: int, end: int) -> int:
    if body + 12 <= end and data[body]:
        (_, time) = _VERSION_U64(data, body)
    elif body + 8 <= end and not data[body]:
        (time,) = _U32(data, body + 4)
    else:
        raise NotMedia("tfdt is too short")
    if time > MAX_MEDIA_TIME:
        raise NotMedia("its decode time is not a time a session can reach")
    return int(time)


def fragment_defaults(data: Octets, body: int, end: int, media: MediaInfo) -> tuple[int, int, int]:
    """Read duration, size and flags of a frame that does not say for itself (8.8.7)."""
    if body + 8 > end:
        raise NotMedia("tfhd is too short")
    flags, track_id = _U32_PAIR(data, body)
    if track_id != media.track_id:
        raise NotMedia(f"its frames are of track {track_id}, not {media.track_id}")
    duration, size = media.default_sample_duration, media.default_sample_size_bytes
    sample_flags = media.default_sample_flags
    if not flags & _TFHD_OPTIONAL:
        return duration, size, sample_flags
    if flags & _TFHD_BASE_OFFSET:
        raise NotMedia("its frames are placed by an offset into a file (base-data-offset)")
    body += 8
    if flags & _TFHD_DESCRIPTION:
        if body + 4 > end or _U32(data, body)[0] != 1:
            raise NotMedia("its frames are of another sample description than the first")
        body += 4
    wanted = [bit for bit in (_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS) if flags & bit]
    if body + 4 * len(wanted) > end:
        raise NotMedia("tfhd is too short")
    for bit in wanted:
        (value,) = _U32(data, body)
        body += 4
        if bit == _TFHD_DURATION:
            duration = value
        elif bit == _TFHD_SIZE:
            size = value
        else:
            sample_flags = value
    return duration, size, sample_flags


def _run(
    data: Octets, body: int, end: int, defaults: tuple[int, int, int], start: int, place: int
) -> tuple[int, int, int, bool, int, int, int]:
    """Read one `trun` (8.8.8) of the `moof` at `start`; the run before ended at `place`.

    Returns how many frames it has, how long they last, how long the last one lasts, whether
    the first is a sync sample, where the run's bytes begin and how many they are, and the
    composition offset of the first.
    """
    if body + 8 > end:
        raise NotMedia("trun is too short")
    flags, count = _U32_PAIR(data, body)
    columns = _COLUMNS[flags >> 8 & 15]
    cells = columns * count
    body += 8
    table = body + 4 * ((flags & TRUN_OFFSET) + (flags >> 2 & 1))
    if not 0 < count <= MAX_SAMPLES or table + 4 * cells > end:
        raise NotMedia("trun is too short for its frames, or has none")
    if flags & TRUN_OFFSET:
        place = start + _I32(data, body)[0]
    duration, size, sample_flags = defaults
    length, total = duration * count, size * count
    values = unpack_from(f">{cells}I", data, table)
    column = 0
    if flags & TRUN_DURATION:
        length, duration = sum(values[::columns]), values[-columns]
        column = 1
    if flags & TRUN_SIZE:
        total = sum(values[column::columns])
        column += 1
    if flags & TRUN_FIRST_FLAGS:
        (sample_flags,) = _U32(data, table - 4)
    elif flags & TRUN_FLAGS:
        sample_flags = values[column]
    shift = values[columns - 1] if flags & TRUN_COMPOSITION else 0
    return count, length, duration, not sample_flags & NON_SYNC_BIT, place, total, shift
