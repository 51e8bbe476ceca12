"""The bytes of our own files: index records and ``session.json`` (docs/reference/store.md).

The parts themselves are what Sentinels sent; receipts have a module of their own. It is one idea:
the layout of what a session's folder holds, each field written and read in one place.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from vidlink.errors import StoreError
from vidlink.model import (
    Arrival,
    Cause,
    Gap,
    Hold,
    Octets,
    Session,
    is_sentinel_id,
    is_session_id,
)

FORMAT = 1
#: Beyond what the widest numbers of a record can hold, without and with a sign.
U32, I63 = 2**32, 2**63

RECORD_BYTES = 64
#: No ``session.json`` is longer.
MOST_FILE_BYTES = 16 * 1024 * 1024
#: Larger initialization segments are refused when they come, by far.
MOST_INIT_BYTES = 1024 * 1024
CHECKED_BYTES = 60
_BODY = Struct("!QQIIqQIIqHH")
_CHECK = Struct("!I")
_RECORD = Struct("!QQIIqQIIqHHI")

KEYFRAME, LATE, UNDECODABLE, UNVERIFIED, DAMAGED = 1, 2, 4, 8, 16
TIME_CORRECTED, MISPLACED = 32, 64

#: A record as plain numbers: those of an :class:`IndexRecord`, and the check of the record itself.
#: Who looks at all of a long session spares the time for objects.
RecordNumbers = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
_FLAGS, _OWN_CHECK = 9, 11


class IndexRecord(NamedTuple):
    """A record as named numbers, in the order of the file.

    The segment is `size_bytes` octets from `offset` on in its part, with `check` as their CRC-32.
    Where `sample_offset` is not 0, its one frame lies from there to its end, and is shown when it
    is decoded.
    """

    sequence: int
    offset: int
    size_bytes: int
    check: int
    start_time_us: int
    media_time: int
    duration_ms: int
    framerate_mhz: int
    received_time_us: int
    flags: int
    sample_offset: int = 0

    @property
    def end(self) -> int:
        """The place behind the segment."""
        return self.offset + self.size_bytes

    @property
    def is_damaged(self) -> bool:
        """True if the segment is known not to be what was recorded."""
        return bool(self.flags & DAMAGED)

    def pack(self) -> bytes:
        """The octets of the record."""
        body = _BODY.pack(*self)
        return body + _CHECK.pack(crc32(body))


def pack_record(arrival: Arrival, offset: int, check: int) -> bytes:
    """The record of a segment whose bytes begin at `offset` and have this CRC-32."""
    body = _BODY.pack(*number_arrival(arrival, offset, check))
    return body + _CHECK.pack(crc32(body))


def pack_records(arrivals: Iterable[Arrival], offset: int) -> tuple[bytes, list[Octets], int]:
    """The records of segments of which the first begins at `offset`, and the others behind it; the
    octets of the segments, and where they end."""
    records: list[bytes] = []
    segments: list[Octets] = []
    for arrival in arrivals:
        data = arrival.segment.data
        records.append(pack_record(arrival, offset, crc32(data)))
        segments.append(data)
        offset += len(data)
    return b"".join(records), segments, offset


def number_arrival(arrival: Arrival, offset: int, check: int) -> tuple[int, ...]:
    """The numbers of the record of a segment, in the order of an :class:`IndexRecord`."""
    segment = arrival.segment
    flags = KEYFRAME if segment.is_keyframe else 0
    if segment.is_late:
        flags |= LATE
    if arrival.is_undecodable:
        flags |= UNDECODABLE
    if arrival.is_time_corrected:
        flags |= TIME_CORRECTED
    if arrival.is_misplaced:
        flags |= MISPLACED
    return (
        segment.sequence,
        offset,
        len(segment.data),
        check,
        segment.start_time_us,
        arrival.media_time,
        segment.duration_ms,
        segment.framerate_mhz,
        arrival.received_time_us,
        flags,
        arrival.sample_offset,
    )


def read_numbers(data: bytes) -> Iterator[RecordNumbers | None]:
    """Every whole record in `data`; None in the place of one that does not count.

    Those are the ones that are damaged, and those of segments that are known to be.
    """
    for row in _whole(data):
        yield None if row is None or row[_FLAGS] & DAMAGED else row


def read_records(data: bytes) -> Iterator[IndexRecord | None]:
    """Every whole record in `data`, whatever it says; None in the place of a damaged one."""
    for row in _whole(data):
        yield None if row is None else IndexRecord(*row[:_OWN_CHECK])


def _whole(data: bytes) -> Iterator[RecordNumbers | None]:
    view = memoryview(data)[: len(data) - len(data) % RECORD_BYTES]
    start = 0
    for row in _RECORD.iter_unpack(view):
        if crc32(view[start : start + CHECKED_BYTES]) == row[_OWN_CHECK]:
            yield row
        else:
            yield None
        start += RECORD_BYTES


def pack_numbers(row: RecordNumbers) -> bytes:
    """The octets of a record by its numbers."""
    return _RECORD.pack(*row)


def size_of(segment_bytes: int, segment_count: int) -> int:
    """The octets of a session, as policies count them: segments and their index records."""
    return segment_bytes + segment_count * RECORD_BYTES


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A session as ``session.json`` describes it: its gaps too, and once it is over, its ending.

    The initialization segment stands at the head of every part; here are its size, its CRC-32,
    and as `init` a second copy, which is empty where there is none. `session.init` is empty.
    `filling_from`: it has ended, and what comes late is being written to the parts from this
    number on. `is_sealed`: nothing will ever come. What has a `hold` is not deleted.
    `age_from_us` is as in a record of the session.
    """

    session: Session
    init_size_bytes: int
    init_check: int
    ended_time_us: int | None = None
    end_reason: str = ""
    gaps: tuple[Gap, ...] = ()
    is_sealed: bool = False
    filling_from: int | None = None
    hold: Hold | None = None
    age_from_us: int | None = None
    init: bytes = b""

    @property
    def init_mark(self) -> tuple[int, int]:
        """The size of the initialization segment, and its CRC-32."""
        return self.init_size_bytes, self.init_check

    @property
    def is_unfinished(self) -> bool:
        """True if the session was being written to, or filled, when this was written."""
        return self.ended_time_us is None or self.filling_from is not None


def describe(session: Session) -> SessionFile:
    """The file of a session that begins."""
    init = session.init
    return SessionFile(replace(session, init=b""), len(init), crc32(init), init=init)


_TEXTS = ("sentinel_id", "session_id", "name", "group", "software", "mime")
#: Each number of a session, and the lowest and the highest that it may be: what is beyond them is
#: in no database, or would be divided by.
_NUMBERS = {
    "started_time_us": (-I63, I63 - 1),
    "width": (0, U32 - 1),
    "height": (0, U32 - 1),
    "timescale": (1, U32 - 1),
    "track_id": (0, U32 - 1),
}


def write_session(file: SessionFile) -> bytes:
    """The bytes of ``session.json``."""
    known: dict[str, Any] = {"format": FORMAT}
    known |= {name: getattr(file.session, name) for name in (*_TEXTS, *_NUMBERS)}
    known |= {"init_size_bytes": file.init_size_bytes, "init_crc32": file.init_check}
    if file.ended_time_us is not None:
        known["ended"] = {"time_us": file.ended_time_us, "reason": file.end_reason}
        if file.age_from_us is not None:
            known["ended"]["age_from_us"] = file.age_from_us
    if file.ended_time_us is not None or file.gaps:
        known["gaps"] = [_gap_as_json(gap) for gap in file.gaps]
    if file.ended_time_us is not None:
        if file.is_sealed:
            known["sealed"] = True
        if file.filling_from is not None:
            known["filling_from"] = file.filling_from
    if file.hold is not None:
        known["hold"] = {"time_us": file.hold.time_us, "reason": file.hold.reason}
    if file.init:
        known["init"] = b64encode(file.init).decode("ascii")
    known[_OWN_NAME] = _check(known)
    return _in_lines(known).encode("ascii") + b"\n"


def _in_lines(value: Any, margin: str = "\n") -> str:
    """As `json.dumps` has it with an indent of 1. That makes functions that know each other, for
    every call, and they stay until they are collected."""
    within = f"{margin} "
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, dict) and value:
        lines = [f"{_in_lines(name)}: {_in_lines(one, within)}" for name, one in value.items()]
        return f"{{{within}{(',' + within).join(lines)}{margin}}}"
    if isinstance(value, list) and value:
        lines = [_in_lines(one, within) for one in value]
        return f"[{within}{(',' + within).join(lines)}{margin}]"
    return json.dumps(value)


#: The member of ``session.json`` that has the CRC-32 of all the others.
_OWN_NAME = "crc32"


def _check(known: dict[str, Any]) -> int:
    """The CRC-32 of these members, written without spaces: it shows a wrong bit in any of them."""
    return crc32(json.dumps(known, separators=(",", ":")).encode("ascii"))


def read_session(data: bytes, *, is_checked: bool = True) -> SessionFile:
    """Read what :func:`write_session` wrote; unless `is_checked`, also with a wrong bit in it.

    :raises StoreError: if the bytes are anything else.
    """
    try:
        known = typed(json.loads(data), dict)
        # Files of earlier versions have none.
        check = typed(known.pop(_OWN_NAME), int) if _OWN_NAME in known else None
        if is_checked and check not in (None, _check(known)):
            raise StoreError("session.json is not what was written")
        if typed(known["format"], int) != FORMAT:
            raise StoreError(f"session.json has format {known['format']}, not {FORMAT}")
        values: dict[str, Any] = {name: _text(known[name]) for name in _TEXTS}
        values |= {name: _number(known[name], *ends) for name, ends in _NUMBERS.items()}
        if not (is_sentinel_id(values["sentinel_id"]) and is_session_id(values["session_id"])):
            raise StoreError("session.json holds ids that are none")
        ended, filling, hold = (known.get(name) for name in ("ended", "filling_from", "hold"))
        age_from_us = None if ended is None else ended.get("age_from_us")
        return SessionFile(
            session=Session(init=b"", **values),
            init_size_bytes=_number(known["init_size_bytes"], 0, MOST_INIT_BYTES),
            init_check=_number(known["init_crc32"], 0, U32 - 1),
            ended_time_us=None if ended is None else _number(ended["time_us"]),
            end_reason="" if ended is None else _text(ended["reason"]),
            gaps=tuple(_gap_from_json(gap) for gap in known.get("gaps", ())),
            is_sealed=typed(known.get("sealed", False), bool),
            filling_from=None if filling is None else _number(filling, 0),
            hold=None if hold is None else _hold_from_json(hold),
            age_from_us=None if age_from_us is None else _number(age_from_us),
            init=b64decode(_text(known.get("init", "")), validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"session.json cannot be read: {error!r}") from error


def typed(value: Any, kind: type) -> Any:
    """`value`, which came from JSON.

    :raises TypeError: if it is not of just this type: a boolean is no number.
    """
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _number(value: Any, lowest: int = -I63, highest: int = I63 - 1) -> int:
    number: int = typed(value, int)
    if not lowest <= number <= highest:
        raise ValueError(f"{number} is not from {lowest} to {highest}")
    return number


def _text(value: Any) -> str:
    """A text that can be written: half a surrogate pair cannot."""
    text: str = typed(value, str)
    text.encode("utf-8")
    return text


def _hold_from_json(known: dict[str, Any]) -> Hold:
    return Hold(_text(known["reason"]), _number(known["time_us"]))


def _gap_as_json(gap: Gap) -> dict[str, Any]:
    return {
        "first": gap.first,
        "last": gap.last,
        "cause": gap.cause.value,
        "start_time_us": gap.start_time_us,
        "end_time_us": gap.end_time_us,
        "detail": gap.detail,
    }


def _gap_from_json(known: dict[str, Any]) -> Gap:
    values = {
        name: None if known[name] is None else _number(known[name], lowest)
        for name, lowest in (
            ("first", 0),
            ("last", 0),
            ("start_time_us", -I63),
            ("end_time_us", -I63),
        )
    }
    first, last = values["first"], values["last"]
    if first is not None and last is not None and first > last:
        raise ValueError(f"a gap from {first} to {last}")
    return Gap(cause=Cause(known["cause"]), detail=_text(known["detail"]), **values)
