"""The JSON of the HTTP interface as JSON Schemas (draft 2020-12).

Those of objects are drawn from the tables of :mod:`vidlink.httpjson.objects`; here are what these
refer to, and what is in no table. Patterns come from the values they describe.
"""

from __future__ import annotations

from collections.abc import Iterable

from vidlink.httpjson import objects
from vidlink.httpjson.kinds import SENTINEL_ID, TEXT, Json
from vidlink.httpjson.table import Table, record
from vidlink.model import EXACT_LIMIT, SEQUENCE_LIMIT, SESSION_ID, TIME_LIMIT_US
from vidlink.model import SENTINEL_ID as SENTINEL_ID_PATTERN
from vidlink.server.api import parameters


def error(codes: Iterable[str]) -> Json:
    """A report of an error with one of `codes`."""
    reported = record(
        {
            "code": {"type": "string", "enum": sorted(set(codes))},
            "message": _text("One sentence for a person."),
        },
        "What went wrong.",
    )
    return record({"error": reported}, "The report of an error.")


def _text(description: str) -> Json:
    return {**TEXT.schema, "description": description}


#: Every schema by its name.
SCHEMAS: Json = {
    **{
        table.name: table.record
        for table in vars(objects).values()
        if isinstance(table, Table) and table.name
    },
    "SentinelId": {"type": "string", "pattern": f"^{SENTINEL_ID_PATTERN.pattern}$"},
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
    "ReceiptNumber": {
        "type": "integer",
        "minimum": 1,
        "maximum": EXACT_LIMIT - 1,
        "description": "Receipts are counted from 1 on.",
    },
    "KeyframeAsked": record({"sentinelId": SENTINEL_ID.schema}, "Who was asked."),
    "LoggedIn": record({"name": _text("Whoever it is now.")}, "A user is let in."),
    "Provider": record(
        {
            "name": {
                "anyOf": [TEXT.schema, {"type": "null"}],
                "description": "What people call it; null: there is none.",
            }
        },
        "The identity provider.",
    ),
    "Ended": record(
        {"ended": {"type": "integer", "minimum": 0, "description": "How many there were."}},
        "Logins have ended.",
    ),
    "Ticket": record(
        {
            "ticket": _text("The ticket itself."),
            "url": _text("What it opens, with the ticket in it."),
            "seconds": {"type": "number", "description": "It has to be used within so many."},
        },
        "One thing is opened for a while.",
    ),
    "Readiness": record(
        {
            "status": {"type": "string", "enum": ["ok", "trouble"]},
            "checks": record(
                {
                    "store": _text("Whether the recordings can be read."),
                    "recording": _text("Whether what is sent reaches the disk."),
                    "queue": _text("Whether the disk keeps up."),
                    "disk": _text("Whether there is room."),
                    "audit": _text("Whether what is done can be written down."),
                    "retention": _text("Whether all that is due is deleted; not in `status`."),
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
