"""The JSON of the HTTP interface as values, and values as that JSON: one table for both.

The same as ``docs/reference/http.md`` says for people. Fields that are not known are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidlink import model
from vidlink.errors import BadAnswer
from vidlink.wire.kinds import ABSENT, FLAG, Exact, Kind, Misfit, Thousandths, Word, integer
from vidlink.wire.schema import SENTINEL_ID, SEQUENCE, SESSION_ID, TIME_US
from vidlink.wire.shapes import Field, OrNull

_TEXT = Exact("a text", lambda plain: type(plain) is str)
_COUNT = integer(0, 2**63)
_DURATION_MS = integer(0, 2**32 - 1)
_RATE = Thousandths(1, 1_000_000)
#: So many entries one page of a listing may have; the server gives 5,000 at most.
MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Me:
    """What the one who asks may do (`watch`, `control`, `delete`), who may at all, and what time
    it is on the server, in microseconds since the epoch."""

    may: tuple[str, ...]
    access: str
    server_time_us: int


def _fields(*rows: tuple[str, str, Kind]) -> tuple[Field, ...]:
    return tuple(Field(name, attribute, kind) for name, attribute, kind in rows)


_SENTINEL = _fields(
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("name", "name", _TEXT),
    ("group", "group", _TEXT),
    ("state", "state", Word(model.SentinelState)),
    ("sessionId", "session_id", OrNull(SESSION_ID)),
    ("framerate", "framerate_mhz", OrNull(_RATE)),
    ("lastSegmentTime", "last_segment_time_us", OrNull(TIME_US)),
    ("recording", "recording", Word(model.RecordingState)),
)
_SESSION = _fields(
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("sessionId", "session_id", SESSION_ID),
    ("name", "name", _TEXT),
    ("group", "group", _TEXT),
    ("software", "software", _TEXT),
    ("startedTime", "started_time_us", TIME_US),
    ("mime", "mime", _TEXT),
    ("width", "width", _COUNT),
    ("height", "height", _COUNT),
    ("timescale", "timescale", _COUNT),
)
_RECORD = _fields(
    ("state", "state", Word(model.SessionState)),
    ("endedTime", "ended_time_us", OrNull(TIME_US)),
    ("endReason", "end_reason", _TEXT),
    ("segmentCount", "segment_count", _COUNT),
    ("size", "size_bytes", _COUNT),
    ("firstSequence", "first_sequence", OrNull(SEQUENCE)),
    ("lastSequence", "last_sequence", OrNull(SEQUENCE)),
    ("startTime", "start_time_us", OrNull(TIME_US)),
    ("endTime", "end_time_us", OrNull(TIME_US)),
)
_HOLD = _fields(("holdReason", "reason", OrNull(_TEXT)), ("heldTime", "time_us", OrNull(TIME_US)))
_RECEIPT = _fields(
    ("number", "number", OrNull(_COUNT)),
    ("deletedTime", "deleted_time_us", OrNull(TIME_US)),
    ("reason", "reason", Word(model.DeletionReason)),
    ("by", "by", _TEXT),
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("sessionId", "session_id", SESSION_ID),
    ("name", "name", _TEXT),
    ("group", "group", _TEXT),
    ("startedTime", "started_time_us", TIME_US),
    ("endedTime", "ended_time_us", OrNull(TIME_US)),
    ("endReason", "end_reason", _TEXT),
    ("startTime", "start_time_us", OrNull(TIME_US)),
    ("endTime", "end_time_us", OrNull(TIME_US)),
    ("firstSequence", "first_sequence", OrNull(SEQUENCE)),
    ("lastSequence", "last_sequence", OrNull(SEQUENCE)),
    ("segmentCount", "segment_count", _COUNT),
    ("size", "size_bytes", _COUNT),
    ("parts", "parts", _COUNT),
    ("recordsSha256", "records_sha256", _TEXT),
)
_LOST = _fields(("cause", "cause", Word(model.Cause)), ("segments", "segments", _COUNT))
_TOTALS = _fields(
    ("sessions", "sessions", _COUNT),
    ("size", "bytes", _COUNT),
    ("heldSessions", "held_sessions", _COUNT),
    ("heldSize", "held_bytes", _COUNT),
)
_POLICY = _fields(
    ("retainBytes", "max_bytes", OrNull(_COUNT)),
    ("minFreeBytes", "min_free_bytes", OrNull(_COUNT)),
    ("rehearsal", "is_rehearsal", FLAG),
)
_DUE = _fields(
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("sessionId", "session_id", SESSION_ID),
    ("endedTime", "ended_time_us", OrNull(TIME_US)),
    ("size", "size_bytes", _COUNT),
)
_SPAN = _fields(
    ("first", "first", SEQUENCE),
    ("last", "last", SEQUENCE),
    ("startTime", "start_time_us", TIME_US),
    ("endTime", "end_time_us", TIME_US),
    ("size", "size_bytes", _COUNT),
)
_GAP = _fields(
    ("first", "first", OrNull(SEQUENCE)),
    ("last", "last", OrNull(SEQUENCE)),
    ("cause", "cause", Word(model.Cause)),
    ("startTime", "start_time_us", OrNull(TIME_US)),
    ("endTime", "end_time_us", OrNull(TIME_US)),
    ("detail", "detail", _TEXT),
)
_SEGMENT = _fields(
    ("sequence", "sequence", SEQUENCE),
    ("startTime", "start_time_us", TIME_US),
    ("duration", "duration_ms", _DURATION_MS),
    ("framerate", "framerate_mhz", _RATE),
    ("keyframe", "keyframe", FLAG),
    ("late", "late", FLAG),
    ("undecodable", "undecodable", FLAG),
    ("size", "size_bytes", _COUNT),
    ("mediaTime", "media_time", _COUNT),
    ("mediaDuration", "media_duration", _COUNT),
    ("receivedTime", "received_time_us", TIME_US),
    ("durable", "durable", FLAG),
)


def read_me(plain: Any) -> Me:
    """The answer of ``/api/v1/me``. This and the others here raise `BadAnswer`."""
    may = _entries(plain, "may")
    rest = _values(plain, _fields(("access", "access", _TEXT), ("serverTime", "time_us", TIME_US)))
    return Me(tuple(str(word) for word in may), rest["access"], rest["time_us"])


def read_sentinels(plain: Any) -> tuple[model.SentinelStatus, ...]:
    """The list of Sentinels."""
    rows = _entries(plain, "sentinels")
    return tuple(model.SentinelStatus(**_values(row, _SENTINEL)) for row in rows)


def read_session_page(plain: Any) -> model.SessionPage:
    """One page of sessions."""
    sessions = tuple(read_session(row) for row in _entries(plain, "sessions"))
    return model.SessionPage(sessions, _value(plain, "next", OrNull(_TEXT)))


def read_session(plain: Any) -> model.SessionRecord:
    """One session; its spans and gaps if they are there."""
    # The HTTP interface has the initialization segment elsewhere, and the track's number in it.
    session = model.Session(**_values(plain, _SESSION), init=b"", track_id=0)
    spans = _entries(plain, "spans") if "spans" in plain else []
    gaps = _entries(plain, "gaps") if "gaps" in plain else []
    return model.SessionRecord(
        session=session,
        **_values(plain, _RECORD),
        spans=tuple(model.Span(**_values(row, _SPAN)) for row in spans),
        gaps=tuple(model.Gap(**_values(row, _GAP)) for row in gaps),
        hold=read_hold(plain),
    )


def read_hold(plain: Any) -> model.Hold | None:
    """Whether a session is held, and why."""
    found = _values(plain, _HOLD)
    is_held = found["reason"] is not None and found["time_us"] is not None
    return model.Hold(**found) if is_held else None


def read_receipt(plain: Any) -> model.Receipt:
    """What was deleted, or would be."""
    lost = [_values(row, _LOST) for row in _entries(plain, "lost")]
    causes = tuple((one["cause"].value, one["segments"]) for one in lost)
    return model.Receipt(**_values(plain, _RECEIPT), lost=causes)


def read_receipt_page(plain: Any) -> model.ReceiptPage:
    """One page of receipts."""
    found = tuple(read_receipt(row) for row in _entries(plain, "receipts"))
    return model.ReceiptPage(found, _value(plain, "next", OrNull(_COUNT)))


def read_retention(plain: Any) -> model.Retention:
    """What is kept and for how long."""
    seconds = _value(plain, "retainSeconds", OrNull(_COUNT))
    age_us = None if seconds is None else seconds * 1_000_000
    due = []
    for row in _entries(plain, "due"):
        # What may go is over; the interface does not say in which state.
        one = model.Candidate(**_values(row, _DUE), state=model.SessionState.ENDED)
        due.append(model.Due(one, _value(row, "reason", Word(model.DeletionReason))))
    return model.Retention(
        policy=model.Policy(max_age_us=age_us, **_values(plain, _POLICY)),
        totals=model.Totals(**_values(plain, _TOTALS)),
        free_bytes=_value(plain, "freeBytes", _COUNT),
        due=tuple(due),
        is_more=_value(plain, "more", FLAG),
    )


def read_segment_page(plain: Any) -> model.SegmentPage:
    """One page of the segments of a session."""
    return model.SegmentPage(
        tuple(model.SegmentRecord(**_values(row, _SEGMENT)) for row in _entries(plain, "segments")),
        tuple(model.Gap(**_values(row, _GAP)) for row in _entries(plain, "gaps")),
        _value(plain, "next", OrNull(SEQUENCE)),
    )


def read_framerate(plain: Any) -> int:
    """The frame rate in the answer to a change of it, in mHz."""
    framerate_mhz: int = _value(plain, "framerate", _RATE)
    return framerate_mhz


def sentinel_json(status: model.SentinelStatus) -> dict[str, Any]:
    """A row of the list of Sentinels, as the HTTP interface spells it."""
    return _plain(status, _SENTINEL)


def session_json(record: model.SessionRecord) -> dict[str, Any]:
    """A session with its spans and gaps, as the HTTP interface spells it."""
    return {
        **_plain(record.session, _SESSION),
        **_plain(record, _RECORD),
        **hold_json(record.hold),
        "spans": [_plain(span, _SPAN) for span in record.spans],
        "gaps": [gap_json(gap) for gap in record.gaps],
    }


def hold_json(hold: model.Hold | None) -> dict[str, Any]:
    """Whether a session is held, as the HTTP interface spells it."""
    return dict.fromkeys(("holdReason", "heldTime")) if hold is None else _plain(hold, _HOLD)


def receipt_json(receipt: model.Receipt) -> dict[str, Any]:
    """A receipt, as the HTTP interface spells it."""
    lost = [{"cause": cause, "segments": count} for cause, count in receipt.lost]
    return {**_plain(receipt, _RECEIPT), "lost": lost}


def due_json(due: model.Due) -> dict[str, Any]:
    """A session that would go, as the HTTP interface spells it."""
    return {**_plain(due.candidate, _DUE), "reason": due.reason.value}


def gap_json(gap: model.Gap) -> dict[str, Any]:
    """A gap, as the HTTP interface spells it."""
    return _plain(gap, _GAP)


def _plain(value: object, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {one.name: one.kind.dump(getattr(value, one.attribute)) for one in fields}


def _values(plain: Any, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {one.attribute: _value(plain, one.name, one.kind) for one in fields}


def _value(plain: Any, name: str, kind: Kind) -> Any:
    if not isinstance(plain, Mapping):
        raise BadAnswer("the server's answer has no map where there should be one")
    try:
        return kind.load(plain.get(name, ABSENT))
    except Misfit as misfit:
        raise BadAnswer(f"the server's answer: {misfit.inside(name)}") from None


def _entries(plain: Any, name: str) -> list[Any]:
    entries = plain.get(name) if isinstance(plain, Mapping) else None
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise BadAnswer(f"the server's answer: {name} must be a list")
    return entries
