"""Which answers there are, as OpenAPI responses: what succeeds, and every error with its codes.

Statuses, codes and headers are those of :mod:`vidlink.server.api.refusals`, :mod:`vidlink.errors`
and :mod:`vidlink.server.api.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from vidlink.access.shown import PLAIN_COOKIE, SECURE_COOKIE
from vidlink.errors import (
    Damaged,
    Forbidden,
    NotAuthenticated,
    NotFound,
    SentinelOffline,
    SessionHeld,
    SessionLive,
    StoreError,
    TooManyTickets,
    TooManyTries,
    VidlinkError,
    WrongPassword,
)
from vidlink.httpjson.kinds import Json, ref
from vidlink.server.api import answers, refusals
from vidlink.server.api.openapi.schemas import error

ErrorKind = type[VidlinkError]

#: The errors that any request may meet, wherever it goes.
EVERYWHERE: tuple[ErrorKind, ...] = (
    refusals.BadHeader,
    refusals.BadParameter,
    refusals.ForeignOrigin,
    refusals.RequestTimeout,
    refusals.BodyTooLarge,
    refusals.TargetTooLong,
    refusals.Misdirected,
    refusals.HeaderTooLarge,
    VidlinkError,
)
#: Those that looking something up may meet besides.
LOOKED_UP: tuple[ErrorKind, ...] = (NotFound, refusals.PreconditionFailed, StoreError)
#: Those that may meet whoever has to show who they are.
GUARDED: tuple[ErrorKind, ...] = (NotAuthenticated, Forbidden)
#: Every error that an answer can report.
_KINDS: tuple[ErrorKind, ...] = (
    *EVERYWHERE,
    *LOOKED_UP,
    *GUARDED,
    WrongPassword,
    TooManyTries,
    TooManyTickets,
    refusals.NeedsTls,
    Damaged,
    SentinelOffline,
    SessionLive,
    SessionHeld,
    refusals.Crowded,
    refusals.MethodNotAllowed,
    refusals.RangeNotSatisfiable,
    refusals.WrongMediaType,
)

_ETAG = '^"[0-9a-f]{32}"$'


def header(schema: Json, description: str) -> Json:
    """A header that is always there."""
    return {**_header(schema, description), "required": True}


def _header(schema: Json, description: str) -> Json:
    return {"description": description, "schema": schema}


def _words(*allowed: str) -> Json:
    return {"type": "string", "enum": list(allowed)}


#: Every header by its name, the same wherever it is.
HEADERS: Json = {
    **{name: header(_words(value), "On every answer.") for name, value in answers.SECURITY_HEADERS},
    "Cross-Origin-Resource-Policy": header(
        _words("same-origin", "cross-origin"), "The latter for pages of --allow-origin alone."
    ),
    "Accept-Ranges": header(_words("bytes"), "A range of it may be asked for."),
    "Allow": header({"type": "string"}, "The methods that are possible."),
    "Content-Disposition": header(
        {"type": "string", "pattern": '^attachment; filename="[^"]+"$'},
        "The name for a download.",
    ),
    "Content-Length": header({"type": "integer", "minimum": 0}, "Octets of the body."),
    "Content-Range": header(
        {"type": "string", "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$"}, "Which part this is."
    ),
    "ETag": header({"type": "string", "pattern": _ETAG}, "A strong validator."),
    "Last-Modified": _header(
        {"type": "string"},
        "When the newest of it was received; absent while it may still change.",
    ),
    "VidLink-Missing": _header(
        {"type": "string", "pattern": "^[0-9]+-[0-9]+(, [0-9]+-[0-9]+)*$"},
        "The sequences that are not in the body; absent if all are.",
    ),
    "Location": header(
        {"type": "string", "format": "uri-reference"}, "Where it is, from where it was asked for."
    ),
    "Set-Cookie": header(
        {"type": "string", "pattern": f"^({SECURE_COOKIE}|{PLAIN_COOKIE})="},
        "What a browser shows from now on; no page can read it.",
    ),
    "VidLink-Start": header(ref("Time"), "When the first picture was captured."),
}


def headers(*names: str, caching: Iterable[str] = (answers.NEVER,)) -> Json:
    """The headers `names`, those of every answer, and one of `caching` as ``Cache-Control``."""
    everywhere = [name for name, _ in answers.SECURITY_HEADERS]
    named: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *everywhere)}
    named["Cache-Control"] = header(_words(*caching), "Whether it may be kept.")
    return named


def succeeds(description: str, body: str, *names: str, caching: Iterable[str]) -> Json:
    """An answer with JSON that has the schema called `body`, and the headers `names`."""
    return {
        "description": description,
        "headers": headers("Content-Length", *names, caching=caching),
        "content": {answers.JSON: {"schema": ref(body)}},
    }


def errors(kinds: Iterable[ErrorKind]) -> Json:
    """The answers that report `kinds`, by status."""
    statuses = sorted({kind.http_status for kind in kinds})
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


def _error(status: int) -> Json:
    named = headers("Content-Length")
    if status == refusals.RangeNotSatisfiable.http_status:
        pattern = {"type": "string", "pattern": r"^bytes \*/[0-9]+$"}
        named["Content-Range"] = header(pattern, "How many bytes there are.")
    if status == refusals.MethodNotAllowed.http_status:
        named["Allow"] = {"$ref": "#/components/headers/Allow"}
    codes = {kind.code for kind in _KINDS if kind.http_status == status}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": named,
        "content": {answers.JSON: {"schema": error(codes)}},
    }


#: The reports of errors by name: one answer for each status.
RESPONSES: Json = {
    f"Error{status}": _error(status) for status in sorted({kind.http_status for kind in _KINDS})
}
