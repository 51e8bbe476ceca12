"""Every path of the HTTP interface, and every parameter, for the OpenAPI document.

It is one idea: the table that is held against the routes, entry by entry.
"""

from __future__ import annotations

from vidlink.access.hashing import MOST_PASSWORD
from vidlink.access.oidc.settings import ABOUT
from vidlink.access.shown import PLAIN_COOKIE, SECURE_COOKIE, TICKET
from vidlink.errors import (
    Damaged,
    EnrolmentClosed,
    NotFound,
    SessionHeld,
    SessionLive,
    StoreError,
    TooManyTickets,
    TooManyTries,
    WrongPassword,
)
from vidlink.httpjson.kinds import SHA256, Json, ref
from vidlink.model import Deed
from vidlink.server.api import parameters, refusals
from vidlink.server.api.media import PLAYLIST
from vidlink.server.api.openapi.operations import (
    control,
    guarded,
    keeping,
    letting_in,
    listing,
    media,
    metrics,
    momentary,
    readiness,
    unguarded,
)

_TEXT: Json = {"type": "string", "maxLength": parameters.LONGEST_TEXT}
_TIME: Json = {
    "anyOf": [
        {
            "type": "integer",
            "format": "int64",
            "minimum": 0,
            "maximum": parameters.QUERY_TIME_LIMIT_US - 1,
        },
        {"type": "string", "format": "date-time"},
    ]
}


def _in_query(name: str, schema: Json, description: str, where: str = "query") -> Json:
    return {"name": name, "in": where, "schema": schema, "description": description}


def _in_path(name: str, schema: Json, description: str) -> Json:
    return {**_in_query(name, schema, description, "path"), "required": True}


def _in_header(name: str, description: str) -> Json:
    return _in_query(name, {"type": "string"}, description, "header")


def _limit(most: int, usual: int) -> Json:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return _in_query("limit", schema, "At most so many.")


#: Every parameter by the name that operations call it.
PARAMETERS: Json = {
    "sentinelId": _in_path("sentinelId", ref("SentinelId"), "Of which Sentinel."),
    "sessionId": _in_path("sessionId", ref("SessionId"), "Of which session."),
    "sequence": _in_path("sequence", ref("Sequence"), "Which segment; `.mp4` may follow."),
    "first": _in_path("first", ref("Sequence"), "The first of the segments."),
    "last": _in_path(
        "last",
        ref("Sequence"),
        f"The last of them; not below `first`, and below `first` + {parameters.MAX_RANGE}; "
        "`.mp4` may follow.",
    ),
    "sentinel": _in_query("sentinel", ref("SentinelId"), "Only of this Sentinel."),
    "group": _in_query("group", _TEXT, "Only of Sentinels that were in this group then."),
    "from": _in_query("from", _TIME, "Only what is at this time or later; not after `to`."),
    "to": _in_query("to", _TIME, "Only what is before this time."),
    "afterSentinel": _in_query("after", ref("SentinelId"), "Only ids that come after this one."),
    "sentinelLimit": _limit(parameters.MAX_SENTINELS, parameters.USUAL_SENTINELS),
    "afterSession": _in_query("after", _TEXT, "`next` of the page before, and nothing else."),
    "sessionLimit": _limit(parameters.MAX_SESSIONS, parameters.USUAL_SESSIONS),
    "afterSegment": _in_query("after", ref("Sequence"), "Only higher sequences than this."),
    "segmentLimit": _limit(parameters.MAX_SEGMENTS, parameters.USUAL_SEGMENTS),
    "lastOfFilm": _in_query("last", ref("Sequence"), "Nothing after this sequence."),
    "start": _in_query("start", _TIME, "From what is to be seen then on; not after `end`."),
    "end": _in_query("end", _TIME, "Only what was captured before this time."),
    "version": _in_query(
        "version",
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "Only if it is of this version; 412 if it is not any more.",
    ),
    "afterReceipt": _in_query("after", ref("ReceiptNumber"), "Only lower numbers than this."),
    "receiptLimit": _limit(parameters.MAX_RECEIPTS, parameters.USUAL_RECEIPTS),
    "deed": _in_query(
        "deed",
        {"type": "string", "enum": [deed.value for deed in Deed]},
        "Only deeds of this kind.",
    ),
    "afterEntry": _in_query("after", ref("ReceiptNumber"), "Only lower numbers than this."),
    "entryLimit": _limit(parameters.MAX_ENTRIES, parameters.USUAL_ENTRIES),
    "dueLimit": _limit(parameters.MAX_DUE, parameters.USUAL_DUE),
    "enrolmentLimit": _limit(parameters.MAX_ENROLMENTS, parameters.USUAL_ENROLMENTS),
    "dryRun": _in_query(
        "dry-run", {"type": "boolean", "default": False}, "Only tell what would be deleted."
    ),
    "user": _in_query("user", _TEXT, "Of this user, instead of whoever asks."),
    "login": _in_path("login", {**_TEXT, "minLength": 1}, "Which login."),
    "IfMatch": _in_header("If-Match", "Entity tags; 412 unless one is the current version."),
    "IfNoneMatch": _in_header("If-None-Match", "Entity tags; 304 if one is current."),
    "Range": _in_header("Range", "One range of bytes; anything else is answered with the whole."),
    "IfRange": _in_header("If-Range", "Take `Range` only if this is the current version."),
}

_SESSION = "/api/v1/sentinels/{sentinelId}/sessions/{sessionId}"
_IDS = ("sentinelId", "sessionId")
_NOTHING: Json = {"type": "object", "additionalProperties": False}
_FRAMERATE: Json = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": parameters.FASTEST,
    "multipleOf": 0.001,
    "description": "Frames a second; clamped to what Sentinels capture at.",
}
_REASON: Json = {**_TEXT, "minLength": 1, "description": "Why nobody may delete it."}


#: By what somebody shows who they are.
SECURITY: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token, of a program or out of the cookie of a login.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": f"That of a login; without TLS, on loopback alone, it is `{PLAIN_COOKIE}`. "
        "Pages of other origins are served without it.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": TICKET,
        "description": "One thing, opened for whoever has nothing but an address.",
    },
}


def _only(name: str, schema: Json) -> Json:
    """An object of one property."""
    return {**_NOTHING, "required": [name], "properties": {name: schema}}


def _texts(**most: int) -> Json:
    """An object of texts, each of 1 to so many characters."""
    kinds = {
        name: {"type": "string", "minLength": 1, "maxLength": longest}
        for name, longest in most.items()
    }
    return {**_NOTHING, "required": list(kinds), "properties": kinds}


_MACHINE: Json = {
    **_NOTHING,
    "required": ["sentinelId", "machine", "software"],
    "properties": {
        "sentinelId": ref("SentinelId"),
        "machine": SHA256.schema,
        "software": {
            "type": "string",
            "minLength": 1,
            "maxLength": parameters.LONGEST_SOFTWARE,
        },
    },
    "description": "What a machine wants to be called, what it is, and what it runs.",
}


def _of_server() -> Json:
    return {
        "/healthz": momentary("healthz", "server", "The process is alive.", "Status"),
        "/readyz": readiness(),
        "/metrics": metrics(),
    }


def _of_access() -> Json:
    found = (NotFound, StoreError)
    log_out = letting_in(
        "logOut", "The login of the one who asks has ended.", "Ended", *found, sets_cookie=True
    )
    listed = momentary(
        "logins", "access", "Where a user is logged in.", "LoginList", NotFound, taken=("user",)
    )
    all_of_them = letting_in(
        "endLogins", "All logins of a user have ended.", "Ended", *found, taken=("user",)
    )
    one = letting_in(
        "endLogin", "One login of a user has ended.", "Ended", *found, taken=("login", "user")
    )
    ticket = letting_in(
        "issueTicket",
        "A ticket for one path.",
        "Ticket",
        NotFound,
        TooManyTickets,
        refusals.WrongMediaType,
        asked=_texts(path=parameters.LONGEST_PATH),
    )
    enrol = letting_in(
        "enrol",
        "A machine that shows the token of a room has one of its own.",
        "Enrolled",
        EnrolmentClosed,
        StoreError,
        refusals.WrongMediaType,
        asked=_MACHINE,
        status=201,
    )
    enrolled = momentary(
        "enrolments",
        "access",
        "Machines that have enrolled, by id.",
        "EnrolmentPage",
        taken=("afterSentinel", "enrolmentLimit"),
    )
    return {
        "/api/v1/openapi.json": listing("document", "server", "This document.", "Document"),
        "/api/v1/me": momentary("me", "access", "What the one who asks may do.", "Me"),
        "/api/v1/login": {"delete": log_out},
        "/api/v1/logins": {**listed, "delete": all_of_them},
        "/api/v1/logins/{login}": {"delete": one},
        "/api/v1/tickets": {"post": ticket},
        "/api/v1/audit": momentary(
            "audit",
            "access",
            "What was done and by whom, newest first.",
            "AuditPage",
            StoreError,
            taken=("user", "sentinel", "deed", "from", "to", "afterEntry", "entryLimit"),
        ),
        "/api/v1/enrolments": {**enrolled, "post": enrol},
    }


def _provider() -> Json:
    return momentary(
        "identityProvider", "access", "The identity provider where one can log in.", "Provider"
    )


def _log_in() -> Json:
    return letting_in(
        "logIn",
        "A user is let in by name and password.",
        "LoggedIn",
        WrongPassword,
        TooManyTries,
        StoreError,
        refusals.NeedsTls,
        refusals.WrongMediaType,
        asked=_texts(user=parameters.LONGEST_NAME, password=MOST_PASSWORD),
        sets_cookie=True,
    )


def _of_sentinels() -> Json:
    keyframe = control(
        "requestKeyframe",
        202,
        "The Sentinel is asked for a keyframe, outside its cadence.",
        "KeyframeAsked",
        _NOTHING,
        is_required=False,
    )
    framerate = control(
        "changeFramerate",
        200,
        "The Sentinel is asked for another frame rate, now and in sessions to come.",
        "FramerateAsked",
        _only("framerate", _FRAMERATE),
        is_required=True,
    )
    return {
        "/api/v1/sentinels": listing(
            "sentinels",
            "sentinels",
            "Sentinels, by id.",
            "Sentinels",
            ("afterSentinel", "sentinelLimit"),
            StoreError,
        ),
        "/api/v1/sentinels/{sentinelId}/keyframe": {"post": keyframe},
        "/api/v1/sentinels/{sentinelId}/framerate": {"put": framerate},
    }


def _of_recordings() -> Json:
    bounds = ("sentinel", "group", "from", "to", "afterSession", "sessionLimit")
    place = (*_IDS, "from", "to", "afterSegment", "segmentLimit")
    found = (NotFound, StoreError)
    return {
        "/api/v1/sessions": listing(
            "sessions", "recordings", "Sessions, newest first.", "Sessions", bounds, StoreError
        ),
        _SESSION: {
            **listing("session", "recordings", "One session.", "Session", _IDS, *found, Damaged),
            "delete": keeping(
                "deleteSession",
                "The session is deleted, for good; this is the receipt.",
                "Receipt",
                (*_IDS, "dryRun"),
                SessionLive,
                SessionHeld,
            ),
        },
        f"{_SESSION}/segments": listing(
            "segments", "recordings", "Segments, by sequence.", "Segments", place, *found
        ),
    }


def _of_media() -> Json:
    return {
        f"{_SESSION}/init.mp4": media("init", "The initialization segment, as received.", _IDS),
        f"{_SESSION}/segments/{{sequence}}": media(
            "segment", "One segment, as received.", (*_IDS, "sequence")
        ),
        f"{_SESSION}/segments/{{first}}-{{last}}": media(
            "segmentRange",
            "Several segments, as received, in order.",
            (*_IDS, "first", "last"),
            "VidLink-Missing",
        ),
        f"{_SESSION}/recording.mp4": media(
            "recording",
            "The session, or a time range of it, as one file that any player plays.",
            (*_IDS, "lastOfFilm", "start", "end", "version"),
            "Content-Disposition",
            "VidLink-Start",
            elsewhere="It may still change; as of this moment it is there.",
        ),
        f"{_SESSION}/index.m3u8": media(
            "playlist",
            "The session as an HLS playlist.",
            _IDS,
            content_type=PLAYLIST,
        ),
    }


def _of_keeping() -> Json:
    return {
        "/api/v1/retention": momentary(
            "retention",
            "recordings",
            "What is kept and for how long, and what would go now.",
            "Retention",
            StoreError,
            taken=("dueLimit",),
        ),
        "/api/v1/receipts": listing(
            "receipts",
            "recordings",
            "What was deleted, newest first.",
            "Receipts",
            ("afterReceipt", "receiptLimit"),
            StoreError,
        ),
        f"{_SESSION}/hold": {
            "put": keeping(
                "holdSession",
                "Nobody may delete the session from now on.",
                "Held",
                _IDS,
                refusals.WrongMediaType,
                asked=_only("reason", _REASON),
            ),
            "delete": keeping("releaseSession", "The session is held no more.", "Held", _IDS),
        },
    }


def paths() -> Json:
    """Every path, as OpenAPI has it."""
    asked = (_of_access(), _of_sentinels(), _of_recordings(), _of_keeping())
    every: Json = {path: item for paths in asked for path, item in guarded(paths).items()}
    every.update(guarded(_of_media(), "ticket"))
    for path, item in _of_server().items():
        every[path] = {method: unguarded(operation) for method, operation in item.items()}
    every["/api/v1/login"]["post"] = unguarded(_log_in())
    every[ABOUT] = {method: unguarded(one) for method, one in _provider().items()}
    return every
