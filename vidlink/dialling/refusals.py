"""Reasons why nothing came of a connection, as errors of ours: what broke, and who said so.

Texts of servers are made fit to be shown: a terminal obeys control characters.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http import HTTPStatus

from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TimeoutError,
)

from vidlink import errors
from vidlink.errors import BadAnswer, Unreachable, VidlinkError
from vidlink.wire.kinds import Sentence

#: The octets of an answer that are read; what comes after them is nothing that we understand.
MAX_ANSWER_BYTES = 16 * 1024
_SENTENCE = Sentence(512)
#: The statuses of a proxy whose server is not there.
_ABSENT = (502, 503, 504)
#: Words for whoever reads it: what can be done about a status.
_ADVICE = {
    400: "the two may be of different versions",
    401: "show it a valid token with --token-file",
    403: "ask whoever runs it for the right to do this",
    404: "look at the address",
    429: "wait a minute or two",
}
_HTTP = b"HTTP/"
#: The answer of a TLS server to somebody who speaks none: an alert (RFC 8446 section 5.1).
_TLS_ALERT = b"\x15\x03"


def spoken(text: str) -> str:
    """`text` of a server's, fit to be shown on one line."""
    said: str = _SENTENCE.dump(text)
    return said


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP to a handshake: its status, and what was said about it, if anything."""

    status: int
    said: str
    is_whole: bool


def read_answer(data: bytes) -> Answer | None:
    """The answer that begins with `data`; None while its head is not whole.

    :raises BadAnswer: if it is no HTTP; the text says what it seems to be.
    """
    if data[: len(_TLS_ALERT)] == _TLS_ALERT:
        raise BadAnswer("TLS is spoken there: write wss:// for ws://")
    if data[: len(_HTTP)] != _HTTP[: len(data)]:
        raise BadAnswer("no HTTP is spoken there: look at the address and its port")
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        if len(data) > MAX_ANSWER_BYTES:
            raise BadAnswer("the answer has no end")
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    status, _, reason = first.partition(" ")[2].partition(" ")
    if len(status) != 3 or not (status.isascii() and status.isdigit()):
        raise BadAnswer("no HTTP is spoken there: look at the address and its port")
    fields = {
        name.strip().lower(): text.strip() for name, _, text in (x.partition(":") for x in lines)
    }
    length = fields.get("content-length", "")
    is_short = (
        length.isascii() and length.isdigit() and len(length) < 10 and len(body) < int(length)
    )
    is_whole = not is_short or len(body) >= MAX_ANSWER_BYTES
    said = _message(body) or _moved(fields) or _reason(int(status), reason)
    return Answer(int(status), spoken(said), is_whole)


def _message(body: bytes) -> str:
    """The sentence of an error of the HTTP interface; empty if it is none."""
    try:
        return str(json.loads(body, strict=False)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _moved(fields: dict[str, str]) -> str:
    """Where it is instead, if that is said."""
    return f"it is at {fields['location']}" if fields.get("location") else ""


def _reason(status: int, reason: str) -> str:
    """The words beside the status, where they are not those that everybody has."""
    usual = ("unknown status", *(known.phrase.lower() for known in HTTPStatus if known == status))
    return "" if reason.strip().lower() in usual else reason.strip()


def refused(where: str, status: int, said: str = "") -> VidlinkError:
    """The error of a status, of whoever stands where a server should, and of what it `said`."""
    advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
    if said:
        text = f"{where} refuses: {said} (status {status}){advice}"
    elif status == 401:
        text = f"{where} asks for a credential{advice}"
    elif status == 403:
        text = f"{where} does not allow this{advice}"
    elif status == 429:
        text = f"{where} is asked too often{advice}"
    elif status in _ABSENT:
        text = f"the server behind {where} cannot be reached (status {status})"
    else:
        text = (
            f"{where} answers with status {status}, not as a VidLink server does: "
            "look at the address"
        )
    kinds = {401: errors.NotAuthenticated, 403: errors.NotAllowed, 429: errors.TooFast}
    kind = kinds.get(status, Unreachable if status in _ABSENT else BadAnswer)
    return kind(text)


def words(error: BaseException) -> str:
    """Why a connection came to nothing, short."""
    if type(error).__module__.startswith("OpenSSL"):
        details = error.args[0] if error.args and isinstance(error.args[0], list) else []
        told = ", ".join(str(detail[-1]) for detail in details if detail)
        if "wrong version number" in told:
            return "no TLS is spoken there: write ws:// for wss://, or look at the port"
        if "certificate verify failed" in told:
            told += ": if it is the right one, trust it with --ca FILE or --pin FINGERPRINT"
        return f"no trust over TLS: {told or 'the connection was cut'}"
    if type(error).__name__ == "VerificationError":
        return "no trust over TLS: the certificate is of another host"
    for kind, told in _TOLD.items():
        if isinstance(error, kind):
            return told
    return spoken(str(error).strip().rstrip(".") or type(error).__name__)


_TOLD: dict[type[Exception], str] = {
    ConnectionRefusedError: "the connection was refused, so nobody listens there",
    NoRouteError: "there is no way to that host",
    DNSLookupError: "there is no host of that name",
    socket.gaierror: "there is no such address, or no such interface",
    TimeoutError: "the host does not answer",
    ConnectionDone: "the connection was closed without an answer",
    ConnectionAborted: "there was no answer in time",
}
