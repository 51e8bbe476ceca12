"""Refusals that only HTTP knows, each with its status (RFC 9110 section 15.5), in one place.

The errors that HTTP shares with the rest are in :mod:`vidlink.errors`; how an error becomes an
answer is in :mod:`vidlink.server.api.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from vidlink.errors import NotFound, RequestError


class HttpError(RequestError):
    """A request that is answered with an error, and the headers that its status calls for."""

    #: Header names and values that go with the answer.
    headers: tuple[tuple[str, str], ...] = ()


class BadHeader(HttpError):
    """The request line or a header cannot be used as it is."""

    code = "bad-request"


class BadParameter(HttpError):
    """A parameter in the path, the query or the body is not what is wanted."""

    code = "bad-parameter"

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(f"{name}: {wanted}")


class ForeignOrigin(HttpError):
    """A page of another origin asks; browsers say so, and are refused."""

    code = "foreign-origin"
    http_status = 403


class NeedsTls(HttpError):
    """A password would go over the network for everybody to read."""

    code = "needs-tls"
    http_status = 403


class NoSuchPath(NotFound):
    """Nothing is served at this path."""


class MethodNotAllowed(HttpError):
    """The path exists, but not for this method."""

    code = "method-not-allowed"
    http_status = 405

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        possible = ", ".join(sorted({*allowed, "OPTIONS"}))
        super().__init__(f"{method} is not possible here; what is: {possible}")
        # RFC 9110 section 10.2.1.
        self.headers = (("Allow", possible),)


class RequestTimeout(HttpError):
    """The request did not arrive in time."""

    code = "request-timeout"
    http_status = 408


class PreconditionFailed(HttpError):
    """``If-Match``, or ``version`` of a film, names another version than there is.

    Or it is not said of which version the rest is wanted.
    """

    code = "precondition-failed"
    http_status = 412


class BodyTooLarge(HttpError):
    """The request's body is larger than anything that is taken here."""

    code = "body-too-large"
    http_status = 413


class TargetTooLong(HttpError):
    """The request's path and query are longer than anything that is served here."""

    code = "target-too-long"
    http_status = 414


class WrongMediaType(HttpError):
    """The body is not said to be JSON."""

    code = "wrong-media-type"
    http_status = 415


class RangeNotSatisfiable(HttpError):
    """The byte range begins at or after the end."""

    code = "range-not-satisfiable"
    http_status = 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range begins at or after the end; there are {size_bytes} bytes")
        # The size alone, RFC 9110 section 14.4.
        self.headers = (("Content-Range", f"bytes */{size_bytes}"),)


class Misdirected(HttpError):
    """The request is for a host that this server is not."""

    code = "misdirected"
    http_status = 421


class HeaderTooLarge(HttpError):
    """The request's header is larger than anything that is taken here."""

    code = "header-too-large"
    http_status = 431


class NoUpgrade(HttpError):
    """A WebSocket is here, and that is not what is asked for, or not in our version."""

    code = "no-upgrade"
    http_status = 426
    # RFC 9110 section 15.5.22, RFC 6455 section 4.4.
    headers = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


class TooManyRequests(HttpError):
    """So many requests of the one who asks are being answered that it has to wait."""

    code = "too-many-requests"
    http_status = 429
    headers = (("Retry-After", "5"),)


class Crowded(HttpError):
    """So many connections are open that none may stay any more."""

    code = "no-resources"
    http_status = 503
    # RFC 9110 section 10.2.3.
    headers = (("Retry-After", "30"),)
