"""The bytes of a chunk: entries, the state of a session, the index (docs/reference/spool.md).

Which entries stand in which chunk is decided in `chunk`; what is read back in `scan`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any
from zlib import crc32

from vidlink.model import DroppedRange, Octets, Segment, is_session_id

FORMAT = 1
MAGIC = b"VSP1"
TRAILER_MAGIC = b"VSPX"
ENTRY_BYTES = 40
_CHECKED_BYTES = 36
_BODY = Struct("!4sBBxxIIqIII")
_CHECK = Struct("!I")
_KEYFRAME = 1
PLACE = Struct("!IIIB3x")
TRAILER = Struct("!4sI")


class EntryKind(IntEnum):
    """The content of an entry."""

    SEGMENT = 1
    INIT = 2
    STATE = 3
    INDEX = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """The head of an entry; its `size_bytes` octets follow it."""

    kind: int
    sequence: int
    size_bytes: int
    start_time_us: int
    duration_ms: int
    framerate_mhz: int
    is_keyframe: bool
    check: int

    def holds(self, payload: Octets) -> bool:
        """True if `payload` is what was written behind this head."""
        return len(payload) == self.size_bytes and crc32(payload) == self.check


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """The place of a segment's entry in its chunk, and the size of its payload, in octets."""

    sequence: int
    offset: int
    size_bytes: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state of a session, kept beside its segments.

    `begun` puts sessions in order; chunks below `first_chunk` are gone because nothing in them
    was held any more.
    """

    session_id: str
    begun: int
    is_corrected: bool
    offset_us: int = 0
    first_chunk: int = 0
    newest: int | None = None
    acknowledged: int | None = None
    dropped: tuple[DroppedRange, ...] = ()


def _pack(kind: EntryKind, payload: Octets, flags: int = 0, *numbers: int) -> bytes:
    sequence, start_time_us, duration_ms, framerate_mhz = numbers or (0, 0, 0, 0)
    body = _BODY.pack(
        MAGIC,
        kind,
        flags,
        sequence,
        len(payload),
        start_time_us,
        duration_ms,
        framerate_mhz,
        crc32(payload),
    )
    return body + _CHECK.pack(crc32(body))


def pack_segment(segment: Segment) -> bytes:
    """The head of a segment's entry; `segment.data` follows it."""
    return _pack(
        EntryKind.SEGMENT,
        segment.data,
        _KEYFRAME if segment.is_keyframe else 0,
        segment.sequence,
        segment.start_time_us,
        segment.duration_ms,
        segment.framerate_mhz,
    )


def pack_init(init: bytes) -> bytes:
    """The whole entry of an initialization segment."""
    return _pack(EntryKind.INIT, init) + init


def pack_state(state: SavedState) -> bytes:
    """The whole entry of a session's state."""
    dropped = [[one.first, one.last, one.cause] for one in state.dropped]
    known = {
        "session_id": state.session_id,
        "begun": state.begun,
        "is_corrected": state.is_corrected,
        "offset_us": state.offset_us,
        "first_chunk": state.first_chunk,
        "newest": state.newest,
        "acknowledged": state.acknowledged,
        "dropped": dropped,
    }
    payload = json.dumps(known, separators=(",", ":")).encode("ascii")
    return _pack(EntryKind.STATE, payload) + payload


def pack_index(places: Iterable[EntryPlace], state_bytes: int) -> bytes:
    """The whole entry of the index, which ends a chunk; `state_bytes` stand before it."""
    records = b"".join(
        PLACE.pack(one.sequence, one.offset, one.size_bytes, _KEYFRAME if one.is_keyframe else 0)
        for one in places
    )
    tail_bytes = state_bytes + ENTRY_BYTES + len(records) + TRAILER.size
    payload = records + TRAILER.pack(TRAILER_MAGIC, tail_bytes)
    return _pack(EntryKind.INDEX, payload) + payload


def read_entry(data: Octets, place: int = 0) -> Entry | None:
    """The head of the entry at `place`; None if there is no sound one."""
    body = data[place : place + _CHECKED_BYTES]
    if len(data) - place < ENTRY_BYTES or bytes(body[:4]) != MAGIC:
        return None
    if _CHECK.unpack_from(data, place + _CHECKED_BYTES)[0] != crc32(body):
        return None
    # fmt: off
    (
        _, kind, flags, sequence, size_bytes, start_time_us, duration_ms, framerate_mhz, check,
    ) = _BODY.unpack(body)
    # fmt: on
    is_keyframe = bool(flags & _KEYFRAME)
    return Entry(
        kind, sequence, size_bytes, start_time_us, duration_ms, framerate_mhz, is_keyframe, check
    )


def next_entry(data: bytes, place: int) -> int | None:
    """The octet where the next sound entry from `place` on begins; None if there is none."""
    while (place := data.find(MAGIC, place)) >= 0:
        if read_entry(data, place) is not None:
            return place
        place += 1
    return None


def read_places(payload: bytes) -> tuple[tuple[int, ...], ...]:
    """The columns of an index: sequences, offsets, sizes, and whether each is a keyframe."""
    records = PLACE.iter_unpack(payload[: len(payload) - TRAILER.size])
    return tuple(zip(*records, strict=True)) or ((), (), (), ())


def read_state(payload: bytes) -> SavedState | None:
    """The state that :func:`pack_state` wrote; None if it is anything else."""
    try:
        known = json.loads(payload)
        state = SavedState(
            session_id=_typed(known["session_id"], str),
            begun=_typed(known["begun"], int),
            is_corrected=_typed(known["is_corrected"], bool),
            offset_us=_typed(known["offset_us"], int),
            first_chunk=_typed(known["first_chunk"], int),
            newest=_number_or_none(known["newest"]),
            acknowledged=_number_or_none(known["acknowledged"]),
            dropped=tuple(_dropped(one) for one in known["dropped"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return state if is_session_id(state.session_id) else None


def _dropped(known: Any) -> DroppedRange:
    first, last, cause = known
    return DroppedRange(_typed(first, int), _typed(last, int), _typed(cause, str))


def _number_or_none(value: Any) -> int | None:
    return None if value is None else int(_typed(value, int))


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value
