"""Failures between a client and its server, as errors of ours: what broke, and who said so.

Those that others who connect have as well are in :mod:`vidlink.dialling.refusals`.
"""

from __future__ import annotations

import json
import socket

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http import PotentialDataLoss

from vidlink import errors
from vidlink.dialling.refusals import refused, spoken, words
from vidlink.errors import Answered, BadAnswer, PeerError, Unreachable, VidlinkError

_KINDS: dict[str, type[VidlinkError]] = {
    kind.code: kind
    for kind in (
        errors.NotFound,
        errors.SentinelOffline,
        errors.SessionLive,
        errors.SessionHeld,
        errors.Damaged,
        errors.StoreError,
        errors.NotAuthenticated,
        errors.NotAllowed,
        errors.Forbidden,
        errors.WrongPassword,
        errors.TooManyTries,
        errors.TooManyTickets,
        errors.TooFast,
        errors.NoResources,
        errors.GoingAway,
    )
}
#: Words for whoever reads it: what can be done about an error that was answered.
_ADVICE: dict[type[VidlinkError], str] = {
    errors.NotAuthenticated: "log in with 'vidlink login', or give --token-file",
    errors.NotAllowed: "ask whoever runs the server for the right",
    errors.Forbidden: "ask whoever runs the server for the right",
    errors.TooManyTries: "wait a minute or two",
    errors.TooFast: "wait a minute or two",
}
#: Ends or prevents a connection; the last of them is what an address of an interface that is
#: not there comes to.
_BREAKS = (ResponseFailed, ConnectError, ConnectionClosed, DNSLookupError, socket.gaierror)
#: Why a server closes a connection, as its client sees it.
_CLOSED_FOR: dict[type[PeerError], str] = {
    errors.GoingAway: "it is shutting down",
    errors.TooSlow: "nothing was taken of what it sent for too long",
    errors.TooFast: "it was asked for too much at once",
    errors.NoResources: "it has no room",
    errors.NotAuthenticated: (
        "it asks for a valid credential; log in with 'vidlink login', or give --token-file"
    ),
    errors.NotAllowed: "this is not allowed; ask whoever runs it for the right to do this",
    errors.BadMessage: "it does not understand what it was sent",
}


def answered(where: str, status: int, body: bytes) -> VidlinkError:
    """The error that an HTTP answer reports; `where` is whom it came from."""
    try:
        error = json.loads(body)["error"]
        code, message = str(error["code"]), spoken(str(error["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return refused(where, status)
    kind = _KINDS.get(code)
    if kind is None:
        return Answered(status, spoken(code), message)
    advice = f"; {_ADVICE[kind]}" if kind in _ADVICE else ""
    return kind(message + advice)


def closed(
    where: str, kind: type[PeerError] | None, close_code: int | None, reason: str | None
) -> VidlinkError:
    """Why a WebSocket ended, by the close code that its server sent, if any; `kind` if it is one
    of ours."""
    if kind is not None:
        return kind(f"{where} has closed the connection: {_CLOSED_FOR.get(kind, kind.code)}")
    if close_code is None:
        return Unreachable(f"the connection to {where} broke")
    said = f" ({spoken(reason)})" if reason else ""
    return Unreachable(f"{where} has closed the connection with {close_code}{said}")


def broken(where: str, error: BaseException) -> BaseException:
    """`error` of Twisted's as one of ours; what is none of a connection stays."""
    causes = _causes(error)
    if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
        return CancelledError()
    if not isinstance(error, _BREAKS):
        return error
    if any(type(cause).__name__ == "ParseError" for cause in causes):
        return BadAnswer(f"what answers at {where} does not speak HTTP")
    return Unreachable(f"cannot reach {where}: {words(causes[-1])}")


def _causes(error: BaseException) -> list[BaseException]:
    """`error`, or what it is made of."""
    if isinstance(error, ResponseFailed):
        reasons: list[Failure] = error.reasons
        values = [failure.value for failure in reasons if failure.value is not None]
        return [value for value in values if not isinstance(value, PotentialDataLoss)] or [error]
    return [error]
