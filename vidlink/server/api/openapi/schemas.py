"""What JSON the HTTP interface speaks, as JSON Schemas (draft 2020-12).

Patterns and words come from the values they describe; an answer is written by
:mod:`vidlink.server.api.listings`, and ``docs/reference/http.md`` says the same for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from vidlink.model import (
    SENTINEL_ID,
    SEQUENCE_LIMIT,
    SESSION_ID,
    TIME_LIMIT_US,
    Cause,
    DeletionReason,
    RecordingState,
    SentinelState,
    SessionState,
)
from vidlink.server.api import listings, parameters

Json = dict[str, Any]


def ref(name: str) -> Json:
    """The schema with that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Json) -> Json:
    """`schema`, or no value."""
    return {"anyOf": [schema, {"type": "null"}]}


def told(schema: Json, description: str) -> Json:
    """`schema`, and what it means here."""
    return {**schema, "description": description}


def record(fields: Json, description: str) -> Json:
    """An object that has all `fields`; there may be more of them one day."""
    return {
        "type": "object",
        "description": description,
        "required": list(fields),
        "properties": fields,
    }


def many(schema: Json) -> Json:
    """A list of what `schema` says."""
    return {"type": "array", "items": schema}


def words(kind: type[Enum]) -> Json:
    """One of the words of `kind`."""
    return {"type": "string", "enum": [one.value for one in kind]}


def error(codes: Iterable[str]) -> Json:
    """A report of an error with one of `codes`."""
    reported = record(
        {
            "code": {"type": "string", "enum": sorted(set(codes))},
            "message": told(_TEXT, "One sentence for a person."),
        },
        "What went wrong.",
    )
    return record({"error": reported}, "The report of an error.")


_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TIME_OR_NULL = or_null(ref("Time"))
_SEQUENCE_OR_NULL = or_null(ref("Sequence"))

_HOLD: Json = {
    "holdReason": told(or_null(_TEXT), "Why nobody may delete it; null unless it is held."),
    "heldTime": told(_TIME_OR_NULL, "Since when it is held."),
}

_SENTINEL = record(
    {
        "sentinelId": ref("SentinelId"),
        "name": told(_TEXT, "What people see; may be empty."),
        "group": told(_TEXT, "What people sort by; may be empty."),
        "state": words(SentinelState),
        "sessionId": told(or_null(ref("SessionId")), "The live session."),
        "framerate": told(
            or_null(ref("Framerate")), "What was last asked of it, or what it sends."
        ),
        "lastSegmentTime": told(_TIME_OR_NULL, "When its newest segment was captured."),
        "recording": told(words(RecordingState), "Whether what it sends reaches the disk."),
    },
    "A Sentinel that is connected or was ever recorded.",
)

_SUMMARY: Json = {
    "sentinelId": ref("SentinelId"),
    "sessionId": ref("SessionId"),
    "name": told(_TEXT, "The Sentinel's name then."),
    "group": told(_TEXT, "Its group then."),
    "software": told(_TEXT, "What it said that it runs."),
    "state": words(SessionState),
    "startedTime": told(ref("Time"), "When the server heard of it."),
    "endedTime": told(_TIME_OR_NULL, "When it ended; null while it is live."),
    "endReason": told(_TEXT, "Why, in words; empty while it is live."),
    "startTime": told(_TIME_OR_NULL, "When its first recorded segment was captured."),
    "endTime": told(_TIME_OR_NULL, "When its last recorded segment is over."),
    "firstSequence": _SEQUENCE_OR_NULL,
    "lastSequence": _SEQUENCE_OR_NULL,
    "segmentCount": told(_COUNT, "How many segments are recorded."),
    "size": told(_COUNT, "Their octets, without the initialization segment."),
    "mime": told(_TEXT, "Its type for a player, with codecs."),
    "width": told(_COUNT, "Pixels."),
    "height": told(_COUNT, "Pixels."),
    "timescale": told({"type": "integer", "minimum": 1}, "Ticks a second of its media time."),
    **_HOLD,
}

_SPAN = record(
    {
        "first": ref("Sequence"),
        "last": ref("Sequence"),
        "startTime": told(ref("Time"), "When the first was captured."),
        "endTime": told(ref("Time"), "When the last is over."),
        "size": told(_COUNT, "Octets."),
    },
    "An unbroken run of recorded segments.",
)

_GAP = record(
    {
        "first": told(_SEQUENCE_OR_NULL, "Null if only time is known to be missing."),
        "last": _SEQUENCE_OR_NULL,
        "cause": words(Cause),
        "startTime": told(_TIME_OR_NULL, "Where it begins, if known."),
        "endTime": told(_TIME_OR_NULL, "Where it ends, if known."),
        "detail": told(_TEXT, "The cause in words; may be empty."),
    },
    "Something that is missing, and why.",
)

_SEGMENT = record(
    {
        "sequence": ref("Sequence"),
        "startTime": told(ref("Time"), "When it was captured."),
        "duration": told(_COUNT, "How long it is shown, in milliseconds."),
        "keyframe": told({"type": "boolean"}, "Whether a player can begin at it."),
        "framerate": ref("Framerate"),
        "size": told(_COUNT, "Octets."),
        "late": told({"type": "boolean"}, "It arrived after its time."),
        "undecodable": told(
            {"type": "boolean"}, "Something between it and the keyframe before it is missing."
        ),
        "mediaTime": told(_COUNT, "Its place on the session's media clock, in ticks."),
        "mediaDuration": told(_COUNT, "Its duration in ticks."),
        "receivedTime": told(ref("Time"), "When the server had it."),
        "durable": told({"type": "boolean"}, "False while it is only in memory."),
    },
    "One recorded segment.",
)

_RECEIPT = record(
    {
        "number": told(or_null(ref("ReceiptNumber")), "Null in a rehearsal."),
        "deletedTime": told(_TIME_OR_NULL, "When it was deleted; null in a rehearsal."),
        "reason": words(DeletionReason),
        "by": told(_TEXT, "The address that asked, or `policy`."),
        "sentinelId": ref("SentinelId"),
        "sessionId": ref("SessionId"),
        "name": told(_TEXT, "The Sentinel's name then."),
        "group": told(_TEXT, "Its group then."),
        "startedTime": told(ref("Time"), "When the server heard of the session."),
        "endedTime": told(_TIME_OR_NULL, "When it ended."),
        "endReason": told(_TEXT, "Why, in words."),
        "startTime": told(_TIME_OR_NULL, "When its first recorded segment was captured."),
        "endTime": told(_TIME_OR_NULL, "When its last recorded segment was over."),
        "firstSequence": _SEQUENCE_OR_NULL,
        "lastSequence": _SEQUENCE_OR_NULL,
        "segmentCount": told(_COUNT, "How many segments were recorded."),
        "size": told(_COUNT, "Their octets."),
        "lost": told(
            many(
                record(
                    {"cause": words(Cause), "segments": told(_COUNT, "How many.")},
                    "What was missing for one cause.",
                )
            ),
            "What was missing.",
        ),
        "parts": told(_COUNT, "How many parts it had."),
        "recordsSha256": told(
            {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "SHA-256 of its index records, part after part.",
        ),
    },
    "What was deleted, or would be.",
)

_RETENTION = record(
    {
        "retainSeconds": told(or_null(_COUNT), "How long a session is kept after its end."),
        "retainBytes": told(or_null(_COUNT), "How much all sessions may take."),
        "minFreeBytes": told(or_null(_COUNT), "How much the disk shall have left."),
        "rehearsal": told({"type": "boolean"}, "Nothing is deleted by it."),
        "sessions": told(_COUNT, "How many sessions there are."),
        "size": told(_COUNT, "What they take, segments and index records."),
        "heldSessions": told(_COUNT, "How many of them are held."),
        "heldSize": told(_COUNT, "What those take."),
        "freeBytes": told(_COUNT, "What the disk has left."),
        "due": told(
            many(
                record(
                    {
                        "sentinelId": ref("SentinelId"),
                        "sessionId": ref("SessionId"),
                        "reason": words(DeletionReason),
                        "endedTime": told(_TIME_OR_NULL, "When it ended."),
                        "size": told(_COUNT, "What it takes."),
                    },
                    "A session that would go.",
                )
            ),
            "What would go now, in this order.",
        ),
        "more": told({"type": "boolean"}, "More would go than is named."),
    },
    "What is kept and for how long.",
)

#: Every schema by its name.
SCHEMAS: Json = {
    "SentinelId": {"type": "string", "pattern": f"^{SENTINEL_ID.pattern}$"},
    "SessionId": {"type": "string", "pattern": f"^{SESSION_ID.pattern}$"},
    "Sequence": {"type": "integer", "minimum": 0, "maximum": SEQUENCE_LIMIT - 1},
    "Time": {
        "type": "integer",
        "format": "int64",
        "minimum": -TIME_LIMIT_US,
        "maximum": TIME_LIMIT_US,
        "description": "Microseconds since 1970-01-01T00:00:00Z.",
    },
    "Framerate": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": parameters.FASTEST,
        "description": "Frames a second, at most three decimals.",
    },
    "Me": record(
        {
            "may": many({"type": "string", "enum": list(listings.RIGHTS)}),
            "access": told({"const": listings.ACCESS}, "Everybody may do everything."),
            "serverTime": told(ref("Time"), "Now."),
        },
        "What the one who asks may do, and what time it is on the server.",
    ),
    "Sentinel": _SENTINEL,
    "Sentinels": record({"sentinels": many(ref("Sentinel"))}, "All Sentinels, by id."),
    "Summary": record(_SUMMARY, "A session."),
    "Span": _SPAN,
    "Gap": _GAP,
    "Session": record(
        {**_SUMMARY, "spans": many(ref("Span")), "gaps": many(ref("Gap"))},
        "A session, what there is of it and what is missing.",
    ),
    "Sessions": record(
        {
            "sessions": many(ref("Summary")),
            "next": told(or_null(_TEXT), "What to give as `after` for the next page."),
        },
        "A page of sessions, newest first.",
    ),
    "Segment": _SEGMENT,
    "Segments": record(
        {
            "sentinelId": ref("SentinelId"),
            "sessionId": ref("SessionId"),
            "segments": many(ref("Segment")),
            "gaps": told(many(ref("Gap")), "Those that touch this page."),
            "next": told(_SEQUENCE_OR_NULL, "What to give as `after` for the next page."),
        },
        "A page of segments, by sequence.",
    ),
    "ReceiptNumber": {
        "type": "integer",
        "minimum": 1,
        "maximum": parameters.MOST_NUMBER - 1,
        "description": "Receipts are counted from 1 on.",
    },
    "Receipt": _RECEIPT,
    "Receipts": record(
        {
            "receipts": many(ref("Receipt")),
            "next": told(
                or_null(ref("ReceiptNumber")), "What to give as `after` for the next page."
            ),
        },
        "A page of receipts, newest first.",
    ),
    "Retention": _RETENTION,
    "Held": record(
        {"sentinelId": ref("SentinelId"), "sessionId": ref("SessionId"), **_HOLD},
        "Whether a session is held.",
    ),
    "KeyframeAsked": record({"sentinelId": ref("SentinelId")}, "Who was asked."),
    "FramerateAsked": record(
        {"sentinelId": ref("SentinelId"), "framerate": ref("Framerate")},
        "Who was asked for what.",
    ),
    "Readiness": record(
        {
            "status": {"type": "string", "enum": ["ok", "trouble"]},
            "checks": record(
                {
                    "store": told(_TEXT, "Whether the recordings can be read."),
                    "recording": told(_TEXT, "Whether what is sent reaches the disk."),
                    "queue": told(_TEXT, "Whether the disk keeps up."),
                    "disk": told(_TEXT, "Whether there is room."),
                },
                "`ok`, or in words what is wrong, without names.",
            ),
        },
        "Whether all is well.",
    ),
    "Status": record({"status": {"const": "ok"}}, "All is well."),
    "Document": {
        "type": "object",
        "description": "An OpenAPI document: this one.",
        "required": ["openapi", "info", "paths"],
    },
}
