"""HTTP answers from values and errors: JSON, statuses, validators, caching, and the headers that
are on every answer.

Media is answered in :mod:`vidlink.server.api.bodies`; which statuses there are is in
:mod:`vidlink.errors` and :mod:`vidlink.server.api.refusals`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import NOT_MODIFIED, TEMPORARY_REDIRECT
from twisted.web.server import Request
from werkzeug import exceptions

from vidlink.errors import PeerError, RequestError, StoreError, VidlinkError
from vidlink.server.api.parameters import json_object
from vidlink.server.api.ranges import Conditions, is_current
from vidlink.server.api.refusals import HttpError, MethodNotAllowed, NoSuchPath

JSON = "application/json"
#: The answer may be kept, and has to be asked for again before it is used.
CHECK_FIRST = "private, no-cache"
#: The answer never changes: kept for a year without asking (RFC 8246).
FOR_EVER = "private, max-age=31536000, immutable"
#: The answer is of this moment; a player that has been sent on by it stays where it was sent.
#: FFmpeg asks anew before every seek unless shared caches could keep it, which `private` forbids.
STAY = "s-maxage=31536000, private, max-age=0"
#: The answer is of this moment.
NEVER = "no-store"
#: The page may load nothing but what this server serves.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src blob: 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
#: On every answer, errors included.
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)

_LONGEST_LOGGED = 300
#: So many entries of a list are written at a time, in a millisecond or so.
_PIECE = 200

_log = Logger()
P = ParamSpec("P")
T = TypeVar("T")


def to_its_end(answer: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Deferred[T]]:
    """An answer that is made to its end, also for a client that leaves meanwhile.

    Klein breaks off the others; what is done by these would be done all the same, and whoever left
    in time would have it written down nowhere.
    """

    @wraps(answer)
    def begin(*arguments: P.args, **named: P.kwargs) -> Deferred[T]:
        told: Deferred[T] = Deferred()
        Deferred.fromCoroutine(answer(*arguments, **named)).chainDeferred(told)
        return told

    return begin


def conditions(request: Request) -> Conditions:
    """The preconditions and the range that `request` carries."""

    def joined(name: str) -> str | None:
        values = request.requestHeaders.getRawHeaders(name.encode("ascii"))
        return None if values is None else b", ".join(values).decode("latin-1")

    return Conditions(
        if_match=joined("If-Match"),
        if_none_match=joined("If-None-Match"),
        if_range=joined("If-Range"),
        range=joined("Range"),
        if_modified_since=joined("If-Modified-Since"),
        if_unmodified_since=joined("If-Unmodified-Since"),
    )


def not_modified(request: Request) -> bytes:
    """The answer to a client that has this version already; its headers are set."""
    request.setResponseCode(NOT_MODIFIED)
    return b""


def answer_bytes(
    request: Request, data: bytes, content_type: str, caching: str, etag: str = ""
) -> bytes:
    """`data` as the whole answer, with a strong validator; 304 if the client has it."""
    etag = etag or content_etag(data)
    current = is_current(conditions(request), etag)
    set_headers(request, {"ETag": f'"{etag}"', "Cache-Control": caching})
    if current:
        return not_modified(request)
    set_headers(request, {"Content-Type": content_type, "Content-Length": str(len(data))})
    return data


def answer_now(request: Request, value: object) -> bytes:
    """`value` as JSON, of this moment only."""
    return answer_text(request, to_json(value), JSON)


def answer_text(request: Request, data: bytes, content_type: str) -> bytes:
    """`data` as a text, of this moment only."""
    headers = {
        "Content-Type": content_type,
        "Content-Length": str(len(data)),
        "Cache-Control": NEVER,
    }
    set_headers(request, headers)
    return data


def answer_elsewhere(request: Request, where: str) -> bytes:
    """Send the client to `where`, from what was asked for: there it is, as of this moment."""
    request.setResponseCode(TEMPORARY_REDIRECT)
    set_headers(request, {"Location": where, "Content-Length": "0", "Cache-Control": STAY})
    return b""


def answer_error(request: Request, error: BaseException) -> bytes:
    """`error` as JSON with its status; what is no fault of the request's is logged.

    The text of a fault of ours stays in the log: it may name files.
    """
    if isinstance(error, RequestError | PeerError):
        status, code, message = error.http_status, error.code, str(error)
    elif isinstance(error, StoreError):
        status, code = error.http_status, error.code
        message = "what is on the server's disk cannot be used now; its log says why"
    else:
        status, code = 500, VidlinkError.code
        message = "this should have worked; the server's log says why it did not"
    if isinstance(error, MethodNotAllowed) and request.method == b"OPTIONS":
        # The methods are what was asked for.
        set_headers(request, {**dict(error.headers), "Cache-Control": NEVER, "Content-Length": "0"})
        return b""
    if status >= 500 and not isinstance(error, HttpError):
        log_fault(request, "", error)
    # Twisted does not know each of them.
    request.setResponseCode(status, HTTPStatus(status).phrase.encode("ascii"))
    if isinstance(error, HttpError):
        set_headers(request, dict(error.headers))
    if status == HTTPStatus.UNAUTHORIZED:
        set_headers(request, {"WWW-Authenticate": "Bearer"})
    return answer_text(request, error_json(code, message), JSON)


def answer_failure(request: Any, failure: Failure) -> bytes:
    """`failure` of a table of paths, or of what it called, as :func:`answer_error` has it."""
    error = failure.value
    assert error is not None, "a failure has a cause"
    if isinstance(error, exceptions.MethodNotAllowed):
        method = request.method.decode("ascii")
        error = MethodNotAllowed(method[:20], error.valid_methods or ())
    elif isinstance(error, exceptions.HTTPException):
        error = NoSuchPath("there is nothing at this path")
    return answer_error(request, error)


def asker(request: Request) -> str:
    """Who asks, as far as is known: the address that the request comes from."""
    address = request.getClientAddress()
    return str(address.host) if isinstance(address, IPv4Address | IPv6Address) else "local"


def body_of(request: Request) -> bytes:
    """The octets that came with `request`."""
    assert request.content is not None, "a request is answered when its body is here"
    request.content.seek(0)
    return bytes(request.content.read())


def json_of(request: Request) -> dict[str, object]:
    """The JSON object that came with `request`.

    :raises WrongMediaType: unless it is said to be JSON.
    :raises BadParameter: if it is none.
    """
    return json_object(body_of(request), header_of(request, "Content-Type"))


def header_of(request: Request, name: str) -> str:
    """The last value of a header; empty if there is none."""
    # Asked for by a text, Twisted takes the octets for UTF-8, and fails where they are not.
    values = request.requestHeaders.getRawHeaders(name.encode("ascii"), [b""])
    return values[-1].decode("latin-1")


def error_json(code: str, message: str) -> bytes:
    """The body of every answer that reports an error."""
    return to_json({"error": {"code": code, "message": message}})


def to_json(value: object) -> bytes:
    """`value` as JSON, in ASCII and without spaces."""
    return _text(value).encode("ascii")


def to_long_json(value: Mapping[str, object]) -> tuple[bytes, str]:
    """`value` as JSON, and its validator, for a thread of the pool.

    Lists are written in pieces, because other threads do not run while one is.
    """
    members: list[str] = []
    for name, member in value.items():
        if isinstance(member, list):
            pieces = [
                _text(member[place : place + _PIECE])[1:-1]
                for place in range(0, len(member), _PIECE)
            ]
            text = f"[{','.join(pieces)}]"
        else:
            text = _text(member)
        members.append(f"{_text(name)}:{text}")
    data = f"{{{','.join(members)}}}".encode("ascii")
    return data, content_etag(data)


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def content_etag(data: bytes) -> str:
    """A strong validator of `data`, without quotes (RFC 9110 section 8.8.3)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def set_headers(request: Request, headers: dict[str, str]) -> None:
    """Set headers of the answer; their values are ours, and ASCII."""
    for name, value in headers.items():
        request.setHeader(name.encode("ascii"), value.encode("ascii"))


def escaped(text: bytes) -> str:
    """Octets of a client's for the log: one line, printable, and not too long."""
    return repr(text[:_LONGEST_LOGGED])[2:-1]


def log_fault(request: Request, doing: str, error: BaseException) -> None:
    """Log a fault of ours; with its traceback if it is a bug."""
    what = f"{escaped(request.method)} {escaped(request.path)}{doing}"
    if isinstance(error, VidlinkError):
        _log.error("{what}: {error}", what=what, error=error)
    else:
        _log.failure("{what}", Failure(error), what=what)
