"""Every object of the HTTP interface, as a table: live state, recordings, and what is kept.

Every field is always there, null where there is no value. The tables are one idea: they share
fields, and whoever looks one up finds the others beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from vidlink import model
from vidlink.httpjson.kinds import (
    COUNT,
    DURATION_MS,
    FLAG,
    FRAMERATE,
    LEFT,
    RECEIPT_NUMBER,
    SECONDS,
    SENTINEL_ID,
    SEQUENCE,
    SEQUENCE_OR_NULL,
    SESSION_ID,
    SHA256,
    TEXT,
    TIME_OR_NULL,
    TIME_US,
    TIMESCALE,
    JsonKind,
    absent_as,
    many,
    or_absent,
    or_null,
    words,
)
from vidlink.httpjson.table import Table

#: The words for a server that lets in whoever shows nothing, and for one that does not.
OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, slots=True)
class Me:
    """The one who asks: rights, whether anybody had to be shown for them, name, the groups that
    are seen (None: all), and the server's time in microseconds since the epoch."""

    may: tuple[model.Right, ...]
    access: str
    name: str
    groups: tuple[str, ...] | None
    server_time_us: int


@dataclass(frozen=True, slots=True)
class LoginRow:
    """One login of a user: since when and until when, from where, with what; and if it is that of
    the one who asks."""

    login_id: str
    created_us: int
    expires_us: int
    address: str
    software: str
    is_this: bool


@dataclass(frozen=True, slots=True)
class LoginList:
    """All logins of a user."""

    user: str
    logins: tuple[LoginRow, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A machine that has just enrolled: who it is, by which token, and in which group if that is
    said."""

    sentinel_id: str
    token: str
    group: str | None


@dataclass(frozen=True, slots=True)
class EnrolmentPage:
    """Machines by id, and the last of them if there are more."""

    enrolments: tuple[model.Enrolment, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class SentinelPage:
    """Sentinels by id, and the last of them if there are more."""

    sentinels: tuple[model.SentinelStatus, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class SegmentsOf:
    """One page of segments, and the session that they are of."""

    sentinel_id: str
    session_id: str
    page: model.SegmentPage


@dataclass(frozen=True, slots=True)
class SessionHold:
    """One session, and its hold if it has one."""

    sentinel_id: str
    session_id: str
    hold: model.Hold | None


@dataclass(frozen=True, slots=True)
class FramerateAsked:
    """Which frame rate (mHz) one Sentinel was asked for."""

    sentinel_id: str
    framerate_mhz: int


def _hold(reason: str | None, time_us: int | None) -> model.Hold | None:
    return None if reason is None or time_us is None else model.Hold(reason, time_us)


_NEXT = "What to give as `after` for the next page."
_IDS = (
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("sessionId", "session_id", SESSION_ID),
)
_HOLD = (
    (
        "holdReason",
        "hold.reason",
        or_null(TEXT),
        "Why nobody may delete it; null unless it is held.",
    ),
    ("heldTime", "hold.time_us", TIME_OR_NULL, "Since when it is held."),
)

ME = Table(
    "Me",
    "What the one who asks may do, and what time it is on the server.",
    Me,
    ("may", "may", many(words(model.Right))),
    (
        "access",
        "access",
        JsonKind({"enum": [OPEN, CLOSED]}, TEXT.load),
        "Whether whoever shows nothing is let in.",
    ),
    ("name", "name", TEXT, "Of the user or the token."),
    ("groups", "groups", or_null(many(TEXT)), "Whose Sentinels are seen; null: all."),
    ("serverTime", "server_time_us", TIME_US, "Now."),
)
_LOGIN = Table(
    "Login",
    "A browser in which a user has logged in, or a command.",
    LoginRow,
    ("id", "login_id", TEXT),
    ("since", "created_us", TIME_US),
    ("until", "expires_us", TIME_US),
    ("address", "address", TEXT, "Where the password was typed."),
    ("software", "software", TEXT, "As it calls itself."),
    ("this", "is_this", FLAG, "It is the one that asks."),
)
LOGINS = Table(
    "LoginList",
    "All logins of a user.",
    LoginList,
    ("user", "user", TEXT),
    ("logins", "logins", many(_LOGIN.kind)),
)
ENROLLED = Table(
    "Enrolled",
    "A machine has a token of its own.",
    Enrolled,
    ("sentinelId", "sentinel_id", SENTINEL_ID, "Who it is."),
    ("token", "token", TEXT, "By this."),
    ("group", "group", or_null(TEXT), "The group that it is in; null: the one it says."),
)
ENROLMENT = Table(
    "",
    "A machine that has enrolled.",
    model.Enrolment,
    ("sentinelId", "sentinel_id", SENTINEL_ID, "Who it is."),
    ("askedId", "asked_id", SENTINEL_ID, "What it asked for; another one: somebody had that."),
    ("machine", "machine", SHA256, "What it said that it is."),
    ("address", "address", TEXT, "From where it enrolled last."),
    ("software", "software", TEXT, "With what."),
    ("enrolledTime", "enrolled_us", TIME_US, "When it enrolled last."),
    ("roomToken", "room_token", TEXT, "The token that it showed, by id."),
    ("ownToken", "own_token", TEXT, "The one that it was given, by id."),
    ("valid", "is_valid", FLAG, "That one was not revoked."),
)
ENROLMENTS = Table(
    "EnrolmentPage",
    "A page of machines, by id.",
    EnrolmentPage,
    ("enrolments", "enrolments", many(ENROLMENT.kind)),
    ("next", "next", or_null(SENTINEL_ID), _NEXT),
)
SENTINEL = Table(
    "Sentinel",
    "A Sentinel that is connected or was ever recorded.",
    model.SentinelStatus,
    ("sentinelId", "sentinel_id", SENTINEL_ID),
    ("name", "name", TEXT, "What people see; may be empty."),
    ("group", "group", TEXT, "What people sort by; may be empty."),
    ("state", "state", words(model.SentinelState)),
    ("sessionId", "session_id", or_null(SESSION_ID), "The live session."),
    (
        "framerate",
        "framerate_mhz",
        or_null(FRAMERATE),
        "What was last asked of it, or what it sends.",
    ),
    (
        "lastSegmentTime",
        "last_segment_time_us",
        TIME_OR_NULL,
        "When its newest segment was captured.",
    ),
    (
        "recording",
        "recording",
        words(model.RecordingState),
        "Whether what it sends reaches the disk.",
    ),
)
SENTINELS = Table(
    "Sentinels",
    "A page of Sentinels, by id.",
    SentinelPage,
    ("sentinels", "sentinels", many(SENTINEL.kind)),
    ("next", "next", or_null(SENTINEL_ID), _NEXT),
)
SPAN = Table(
    "Span",
    "An unbroken run of recorded segments.",
    model.Span,
    ("first", "first", SEQUENCE),
    ("last", "last", SEQUENCE),
    ("startTime", "start_time_us", TIME_US, "When the first was captured."),
    ("endTime", "end_time_us", TIME_US, "When the last is over."),
    ("size", "size_bytes", COUNT, "Octets."),
)
GAP = Table(
    "Gap",
    "Something that is missing, and why.",
    model.Gap,
    ("first", "first", SEQUENCE_OR_NULL, "Null if only time is known to be missing."),
    ("last", "last", SEQUENCE_OR_NULL),
    ("cause", "cause", words(model.Cause)),
    ("startTime", "start_time_us", TIME_OR_NULL, "Where it begins, if known."),
    ("endTime", "end_time_us", TIME_OR_NULL, "Where it ends, if known."),
    ("detail", "detail", TEXT, "The cause in words; may be empty."),
)
_SUMMARY = (
    ("sentinelId", "session.sentinel_id", SENTINEL_ID),
    ("sessionId", "session.session_id", SESSION_ID),
    ("name", "session.name", TEXT, "The Sentinel's name then."),
    ("group", "session.group", TEXT, "Its group then."),
    ("software", "session.software", TEXT, "What it said that it runs."),
    ("state", "state", words(model.SessionState)),
    ("startedTime", "session.started_time_us", TIME_US, "When the server heard of it."),
    ("endedTime", "ended_time_us", TIME_OR_NULL, "When it ended; null while it is live."),
    ("endReason", "end_reason", TEXT, "Why, in words; empty while it is live."),
    ("startTime", "start_time_us", TIME_OR_NULL, "When its first recorded segment was captured."),
    ("endTime", "end_time_us", TIME_OR_NULL, "When its last recorded segment is over."),
    ("firstSequence", "first_sequence", SEQUENCE_OR_NULL),
    ("lastSequence", "last_sequence", SEQUENCE_OR_NULL),
    ("segmentCount", "segment_count", COUNT, "How many segments are recorded."),
    ("size", "size_bytes", COUNT, "Their octets, without the initialization segment."),
    ("mime", "session.mime", TEXT, "Its type for a player, with codecs."),
    ("width", "session.width", COUNT, "Pixels."),
    ("height", "session.height", COUNT, "Pixels."),
    ("timescale", "session.timescale", TIMESCALE, "Ticks a second of its media time."),
    *_HOLD,
    (
        "ageTime",
        "age_from_us",
        absent_as(None, TIME_OR_NULL),
        "From when its age counts, where the clock that gave `endedTime` was wrong.",
    ),
)
#: The initialization segment is elsewhere in the HTTP interface, and the track's number in it.
_IN_SESSION: dict[str, Any] = {
    "session": partial(model.Session, init=b"", track_id=0),
    "hold": _hold,
}
SUMMARY = Table("Summary", "A session.", model.SessionRecord, *_SUMMARY, **_IN_SESSION)
SESSION = Table(
    "Session",
    "A session, what there is of it and what is missing.",
    model.SessionRecord,
    *_SUMMARY,
    ("spans", "spans", many(SPAN.kind)),
    ("gaps", "gaps", many(GAP.kind)),
    (
        "listedTo",
        "listed_to",
        or_absent(SEQUENCE_OR_NULL),
        "Of very many spans and gaps, up to which sequence they are here; the rest is on the pages "
        "of `segments`. Null: all are here.",
    ),
    **_IN_SESSION,
)
SESSIONS = Table(
    "Sessions",
    "A page of sessions, newest first.",
    model.SessionPage,
    ("sessions", "sessions", many(SUMMARY.kind)),
    ("next", "next", or_null(TEXT), _NEXT),
)
SEGMENT = Table(
    "Segment",
    "One recorded segment.",
    model.SegmentRecord,
    ("sequence", "sequence", SEQUENCE),
    ("startTime", "start_time_us", TIME_US, "When it was captured."),
    ("duration", "duration_ms", DURATION_MS, "How long it is shown, in milliseconds."),
    ("keyframe", "is_keyframe", FLAG, "Whether a player can begin at it."),
    ("framerate", "framerate_mhz", FRAMERATE),
    ("size", "size_bytes", COUNT, "Octets."),
    ("late", "is_late", FLAG, "It arrived after its time."),
    (
        "undecodable",
        "is_undecodable",
        FLAG,
        "Something between it and the keyframe before it is missing.",
    ),
    ("mediaTime", "media_time", COUNT, "Its place on the session's media clock, in ticks."),
    ("mediaDuration", "media_duration", COUNT, "Its duration in ticks."),
    ("receivedTime", "received_time_us", TIME_US, "When the server had it."),
    ("durable", "is_durable", FLAG, "False while it is only in memory."),
    (
        "startTimeCorrected",
        "is_time_corrected",
        absent_as(False, FLAG),
        "Its startTime follows from its mediaTime, as what its Sentinel said could not be.",
    ),
    (
        "misplaced",
        "is_misplaced",
        absent_as(False, FLAG),
        "Its mediaTime is not between those of its neighbours; it is in no film.",
    ),
)
SEGMENTS = Table(
    "Segments",
    "A page of segments, by sequence.",
    SegmentsOf,
    *_IDS,
    ("segments", "page.segments", many(SEGMENT.kind)),
    ("gaps", "page.gaps", many(GAP.kind), "Those that touch this page."),
    ("next", "page.next", SEQUENCE_OR_NULL, _NEXT),
    page=model.SegmentPage,
)
SESSION_HOLD = Table("Held", "Whether a session is held.", SessionHold, *_IDS, *_HOLD, hold=_hold)
#: `Receipt.lost` has pairs, whose causes are words as they stand in the record.
_LOST = Table(
    "",
    "What was missing for one cause.",
    lambda cause, segments: (cause.value, segments),
    ("cause", "cause", words(model.Cause)),
    ("segments", "segments", COUNT, "How many."),
)
_LOST_PAIR = JsonKind(
    _LOST.kind.schema, _LOST.load, lambda lost: {"cause": lost[0], "segments": lost[1]}
)
RECEIPT = Table(
    "Receipt",
    "What was deleted, or would be.",
    model.Receipt,
    ("number", "number", or_null(RECEIPT_NUMBER), "Null in a rehearsal."),
    ("deletedTime", "deleted_time_us", TIME_OR_NULL, "When it was deleted; null in a rehearsal."),
    ("reason", "reason", words(model.DeletionReason)),
    ("by", "by", TEXT, "The address that asked, or `policy`."),
    *_IDS,
    ("name", "name", TEXT, "The Sentinel's name then."),
    ("group", "group", TEXT, "Its group then."),
    ("startedTime", "started_time_us", TIME_US, "When the server heard of the session."),
    ("endedTime", "ended_time_us", TIME_OR_NULL, "When it ended."),
    ("endReason", "end_reason", TEXT, "Why, in words."),
    ("startTime", "start_time_us", TIME_OR_NULL, "When its first recorded segment was captured."),
    ("endTime", "end_time_us", TIME_OR_NULL, "When its last recorded segment was over."),
    ("firstSequence", "first_sequence", SEQUENCE_OR_NULL),
    ("lastSequence", "last_sequence", SEQUENCE_OR_NULL),
    ("segmentCount", "segment_count", COUNT, "How many segments were recorded."),
    ("size", "size_bytes", COUNT, "Their octets."),
    ("lost", "lost", many(_LOST_PAIR), "What was missing."),
    ("parts", "parts", COUNT, "How many parts it had."),
    ("recordsSha256", "records_sha256", SHA256, "SHA-256 of its index records, part after part."),
)
RECEIPTS = Table(
    "Receipts",
    "A page of receipts, newest first.",
    model.ReceiptPage,
    ("receipts", "receipts", many(RECEIPT.kind)),
    ("next", "next", or_null(RECEIPT_NUMBER), _NEXT),
)
_WORD_OR_NUMBER = JsonKind(
    {"anyOf": [TEXT.schema, {"type": "integer"}]},
    lambda plain: plain if type(plain) is int else TEXT.load(plain),
)
#: `AuditEntry.about` has values by name.
_ABOUT = Table(
    "",
    "Something that a deed was about.",
    lambda name, value: (name, value),
    ("name", "name", TEXT, "Such as `sentinel`."),
    ("value", "value", _WORD_OR_NUMBER),
)
_ABOUT_PAIR = many(
    JsonKind(_ABOUT.kind.schema, _ABOUT.load, lambda pair: {"name": pair[0], "value": pair[1]})
)
_ABOUT_ALL = JsonKind(
    _ABOUT_PAIR.schema,
    lambda plain: dict(_ABOUT_PAIR.load(plain)),
    lambda about: [{"name": name, "value": value} for name, value in about.items()],
)
AUDIT_ENTRY = Table(
    "AuditEntry",
    "Something that somebody did, or tried.",
    model.AuditEntry,
    ("number", "number", COUNT, "Counts from 1 without a hole."),
    ("time", "time_us", TIME_US),
    ("deed", "deed", words(model.Deed)),
    ("who", "who", TEXT, "The user or the token, by name."),
    ("credential", "credential_id", TEXT, "By what they were let in; empty: by nothing."),
    ("address", "address", TEXT),
    ("about", "about", _ABOUT_ALL, "To what it was done."),
    ("digest", "digest", SHA256, "Of this entry and of all before it."),
)
AUDIT = Table(
    "AuditPage",
    "A page of entries, newest first.",
    model.AuditPage,
    ("entries", "entries", many(AUDIT_ENTRY.kind)),
    ("next", "next", or_null(COUNT), _NEXT),
)
DUE = Table(
    "",
    "A session that would go.",
    model.Due,
    ("sentinelId", "candidate.sentinel_id", SENTINEL_ID),
    ("sessionId", "candidate.session_id", SESSION_ID),
    ("reason", "reason", words(model.DeletionReason)),
    ("endedTime", "candidate.ended_time_us", TIME_OR_NULL, "When it ended."),
    ("size", "candidate.size_bytes", COUNT, "What it takes."),
    # What may go is over; the interface does not say in which state.
    candidate=partial(model.Candidate, state=model.SessionState.ENDED),
)
WAITING = Table(
    "",
    "Something that is not deleted yet.",
    model.Waiting,
    ("reason", "reason", words(model.WaitReason)),
    ("detail", "text", TEXT, "Why, in words."),
    ("seconds", "seconds", or_null(LEFT), "For how long yet; null: for good."),
)
RETENTION = Table(
    "Retention",
    "What is kept and for how long.",
    model.Retention,
    (
        "retainSeconds",
        "policy.max_age_us",
        or_null(SECONDS),
        "How long a session is kept after its end.",
    ),
    ("retainBytes", "policy.max_bytes", or_null(COUNT), "How much all sessions may take."),
    ("minFreeBytes", "policy.min_free_bytes", or_null(COUNT), "How much the disk shall have left."),
    ("rehearsal", "policy.is_rehearsal", FLAG, "Nothing is deleted by it."),
    ("sessions", "totals.sessions", COUNT, "How many sessions there are."),
    ("size", "totals.bytes", COUNT, "What they take, segments and index records."),
    ("heldSessions", "totals.held_sessions", COUNT, "How many of them are held."),
    ("heldSize", "totals.held_bytes", COUNT, "What those take."),
    ("freeBytes", "free_bytes", COUNT, "What the disk has left."),
    ("due", "due", many(DUE.kind), "What would go now, in this order."),
    ("more", "is_more", FLAG, "More would go than is named."),
    (
        "waiting",
        "waiting",
        absent_as((), many(WAITING.kind)),
        "Why something that is due is not deleted yet.",
    ),
    policy=model.Policy,
    totals=model.Totals,
)
FRAMERATE_ASKED = Table(
    "FramerateAsked",
    "Who was asked for what.",
    FramerateAsked,
    _IDS[0],
    ("framerate", "framerate_mhz", FRAMERATE),
)
