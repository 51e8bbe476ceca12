"""The description of one path of the HTTP interface: what it takes, and what it answers.

Which paths there are is in :mod:`vidlink.server.api.openapi.paths`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vidlink.errors import Damaged, NotFound, SentinelOffline, StoreError
from vidlink.httpjson.kinds import Json
from vidlink.server.api import refusals
from vidlink.server.api.answers import CHECK_FIRST, FOR_EVER, JSON, NEVER, STAY
from vidlink.server.api.media import VIDEO
from vidlink.server.api.openapi.answers import (
    EVERYWHERE,
    GUARDED,
    LOOKED_UP,
    ErrorKind,
    errors,
    headers,
    succeeds,
)
from vidlink.server.health.metrics import CONTENT_TYPE

#: Parameters that say when an answer is wanted, and which part of it.
_WHEN = ("IfMatch", "IfNoneMatch")
_WHICH = ("Range", "IfRange")
#: By what one shows who asks, wherever that has to be shown.
SHOWN = ("bearer", "cookie")


def momentary(
    name: str, tag: str, summary: str, body: str, *kinds: ErrorKind, taken: Sequence[str] = ()
) -> Json:
    """A path that tells how things are at this moment."""
    answers: Json = {"200": succeeds(summary, body, caching=(NEVER,))}
    answers.update(errors((*EVERYWHERE, *kinds)))
    return _readable(_operation(name, tag, summary, taken, answers))


def readiness() -> Json:
    """The path that tells if all is well; 503 says what is not."""
    operation = momentary("readyz", "server", "All is well.", "Readiness")
    broken = succeeds("Something is not well.", "Readiness", caching=(NEVER,))
    operation["get"]["responses"]["503"] = broken
    operation["head"]["responses"]["503"] = broken
    return operation


def metrics() -> Json:
    """Every figure, as a text."""
    operation = momentary("metrics", "server", "Every figure, for Prometheus.", "Status")
    content: Json = {CONTENT_TYPE: {"schema": {"type": "string"}}}
    for method in ("get", "head"):
        operation[method]["responses"]["200"]["content"] = content
    return operation


def listing(
    name: str, tag: str, summary: str, body: str, taken: Sequence[str] = (), *kinds: ErrorKind
) -> Json:
    """A path that answers with JSON which a client may keep, but has to ask for again."""
    answers: Json = {
        "200": succeeds(summary, body, "ETag", caching=(CHECK_FIRST,)),
        "304": _not_modified(CHECK_FIRST),
    }
    answers.update(errors((*EVERYWHERE, refusals.PreconditionFailed, *kinds)))
    return _readable(_operation(name, tag, summary, (*taken, *_WHEN), answers))


def media(
    name: str,
    summary: str,
    taken: Sequence[str],
    *named: str,
    content_type: str = VIDEO,
    elsewhere: str = "",
) -> Json:
    """A path that answers with media, of which a range may be asked for.

    `named` are headers beside those that all media has; `elsewhere` says when it is at another
    address.
    """
    common = ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges", *named)
    caching = (CHECK_FIRST, FOR_EVER)
    content: Json = {content_type: {}}
    answers: Json = {
        "200": {
            "description": summary,
            "headers": headers(*common, caching=caching),
            "content": content,
        },
        "206": {
            "description": "The range that was asked for.",
            "headers": headers(*common, "Content-Range", caching=caching),
            "content": content,
        },
        "304": _not_modified(*caching),
    }
    if elsewhere:
        told = headers("Location", "Content-Length", caching=(STAY,))
        answers["307"] = {"description": elsewhere, "headers": told}
    answers.update(errors((*EVERYWHERE, *LOOKED_UP, Damaged, refusals.RangeNotSatisfiable)))
    return _readable(_operation(name, "recordings", summary, (*taken, *_WHEN, *_WHICH), answers))


def control(
    name: str, status: int, summary: str, body: str, asked: Json, *, is_required: bool
) -> Json:
    """A method that tells a Sentinel something: the JSON that it takes, and its answers."""
    answers: Json = {str(status): succeeds(summary, body, caching=(NEVER,))}
    kinds = (*EVERYWHERE, *LOOKED_UP[:1], SentinelOffline, refusals.WrongMediaType)
    answers.update(errors(kinds))
    operation = _operation(name, "control", summary, ("sentinelId",), answers)
    operation["requestBody"] = {"required": is_required, "content": {JSON: {"schema": asked}}}
    return operation


def keeping(
    name: str,
    summary: str,
    body: str,
    taken: Sequence[str],
    *kinds: ErrorKind,
    asked: Json | None = None,
) -> Json:
    """A method that deletes or holds a session: what it takes, maybe as JSON, and its answers."""
    answers: Json = {"200": succeeds(summary, body, caching=(NEVER,))}
    answers.update(errors((*EVERYWHERE, NotFound, StoreError, *kinds)))
    operation = _operation(name, "recordings", summary, taken, answers)
    if asked is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": asked}}}
    return operation


def letting_in(
    name: str,
    summary: str,
    body: str,
    *kinds: ErrorKind,
    taken: Sequence[str] = (),
    asked: Json | None = None,
    sets_cookie: bool = False,
) -> Json:
    """A method that lets in or out: what it takes, maybe as JSON, and its answers."""
    named = ("Set-Cookie",) if sets_cookie else ()
    answers: Json = {"200": succeeds(summary, body, *named, caching=(NEVER,))}
    answers.update(errors((*EVERYWHERE, *kinds)))
    operation = _operation(name, "access", summary, taken, answers)
    if asked is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": asked}}}
    return operation


def guarded(paths: Json, *more: str) -> Json:
    """`paths` where one has to show who asks, as everywhere, or else with one of `more`."""
    for item in paths.values():
        for operation in item.values():
            operation["responses"].update(errors(GUARDED))
            if more:
                operation["security"] = [{name: []} for name in (*SHOWN, *more)]
    return paths


def unguarded(operation: Json) -> Json:
    """An operation that is for everybody."""
    return {**operation, "security": []}


def _operation(name: str, tag: str, summary: str, taken: Iterable[str], answers: Json) -> Json:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{one}"} for one in taken],
        "responses": answers,
    }


def _not_modified(*caching: str) -> Json:
    return {
        "description": "The client has this version already.",
        "headers": headers("ETag", caching=caching),
    }


def _readable(operation: Json) -> Json:
    """A path that has GET, and HEAD beside it.

    HEAD answers with the headers of GET and no body, and never with a part (RFC 9110 section 14.2).
    """
    asked: Sequence[Json] = operation["parameters"]
    parts = tuple(f"/{name}" for name in _WHICH)
    name: str = operation["operationId"]
    head: Json = {
        **operation,
        "operationId": f"head{name[0].upper()}{name[1:]}",
        "parameters": [one for one in asked if not one["$ref"].endswith(parts)],
        "responses": {
            status: answer
            for status, answer in operation["responses"].items()
            if status not in ("206", "416")
        },
    }
    return {"get": operation, "head": head}
