"""Whoever answers where a server should: what is made of it, octet by octet."""

from __future__ import annotations

import json

from autobahn.websocket.protocol import WebSocketProtocol
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from vidlink.dialling.factory import DiallingFactory
from vidlink.dialling.protocol import DialledProtocol
from vidlink.dialling.refusals import MAX_ANSWER_BYTES, read_answer, refused, words
from vidlink.errors import (
    BadAnswer,
    NotAllowed,
    NotAuthenticated,
    TooFast,
    Unreachable,
    VidlinkError,
)

URL = "ws://there:80/ws/sentinel"


class Dialled(DialledProtocol):
    """One that is never agreed upon."""

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over."""
        self.outcome = self.not_agreed()


class Wire(StringTransport):
    """A transport that ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Dialled

    def unregisterProducer(self) -> None:
        """There is none, which is all the same to real ones."""

    def abortConnection(self) -> None:
        """End."""
        self.protocol.connectionLost(Failure(ConnectionAborted()))


def dialled(*pieces: bytes, end: Exception | None = None) -> VidlinkError:
    """What comes of a connection on which these octets arrive, and then perhaps the end."""
    factory = DiallingFactory(URL, [], Clock())
    factory.protocol = Dialled
    link = factory.buildProtocol(None)
    wire = Wire()
    wire.protocol = link
    with capturedLogs() as events:
        link.makeConnection(wire)
        for piece in pieces:
            if link.state != WebSocketProtocol.STATE_CLOSED:
                link.dataReceived(piece)
        if end is not None and link.state != WebSocketProtocol.STATE_CLOSED:
            link.connectionLost(Failure(end))
    assert events == [], "nobody else has a word in the log"
    outcome: VidlinkError = link.outcome
    return outcome


def answer(status: str, body: bytes = b"", *fields: str) -> bytes:
    """An answer over HTTP."""
    lines = [f"HTTP/1.1 {status}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def said(message: str) -> bytes:
    """The body of an error, as VidLink's server writes it."""
    return json.dumps({"error": {"code": "some", "message": message}}).encode()


class RefusalTests(SynchronousTestCase):
    """Answers that are none of a WebSocket."""

    def test_sentence(self) -> None:
        """What the server says is repeated, with the status, in whatever pieces it comes."""
        body = said("this server is not known under that host; start it with --allow-origin")
        whole = answer("421 Unknown Status", body, f"Content-Length: {len(body)}")
        for pieces in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
            error = dialled(*pieces)
            self.assertIsInstance(error, BadAnswer)
            self.assertEqual(
                str(error),
                f"{URL} refuses: this server is not known under that host; start it with "
                "--allow-origin (status 421)",
            )

    def test_statuses(self) -> None:
        """Each status is an error of its kind, with what can be done about it."""
        for status, kind, told in (
            ("401 Unauthorized", NotAuthenticated, "asks for a credential; show .* --token-file"),
            ("403 Forbidden", NotAllowed, "does not allow this; ask whoever runs it"),
            ("429 Too Many Requests", TooFast, "asked too often; wait"),
            ("404 Not Found", BadAnswer, "answers with status 404, .* look at the address"),
            ("503 Service Unavailable", Unreachable, "the server behind .* cannot be reached"),
            ("503 the server is shutting down", Unreachable, "refuses: the server is shutting"),
            ("400 offer a subprotocol: a, b", BadAnswer, "subprotocol: a, b .*versions"),
            ("200 OK", BadAnswer, "not as a VidLink server does: look at the address"),
        ):
            error = dialled(answer(status))
            self.assertIsInstance(error, kind, status)
            self.assertRegex(str(error), told)

    def test_moved(self) -> None:
        """Somebody who is elsewhere says where."""
        error = dialled(answer("301 Moved Permanently", b"", "Location: https://there.example/"))
        self.assertIn("it is at https://there.example/ (status 301)", str(error))

    def test_fit_to_be_shown(self) -> None:
        """What a terminal would obey, or what is longer than a line, is not repeated."""
        error = dialled(answer("403 no", said("a\x1b[2J\nb" + "c" * 9_000)))
        self.assertNotIn("\x1b", str(error))
        self.assertNotIn("\n", str(error))
        self.assertLess(len(str(error)), 700)

    def test_body_that_never_comes(self) -> None:
        """An answer that is cut short is told by what was there of it, and one without an end is
        not waited for."""
        cut = answer("403 Forbidden", b"{", "Content-Length: 900")
        self.assertIn("does not allow this", str(dialled(cut, end=ConnectionLost())))
        endless = answer("403 Forbidden", bytes(MAX_ANSWER_BYTES), "Content-Length: 99999999")
        self.assertIsInstance(dialled(endless), NotAllowed)
        self.assertIn("no end", str(dialled(b"HTTP/1.1 200 " + bytes(MAX_ANSWER_BYTES))))

    def test_other_protocols(self) -> None:
        """Whoever speaks no HTTP is told from the first octets on, and so is TLS."""
        for octets in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x00\x12\x04", b"220 mail ESMTP\r\n"):
            error = dialled(octets)
            self.assertIsInstance(error, BadAnswer)
            self.assertRegex(str(error), "no VidLink server: no HTTP is spoken there: look at")
        self.assertIn("write wss:// for ws://", str(dialled(b"\x15\x03\x01\x00\x02\x02\x46")))

    def test_no_websocket_after_all(self) -> None:
        """An answer that opens a WebSocket, and is none, is told as what it is."""
        for octets, told in (
            (answer("101 Switching Protocols"), "HTTP Upgrade header missing"),
            (answer("101 Switching Protocols", b"", "X: \xff\xfe"), "octets in it that are no"),
        ):
            self.assertRegex(str(dialled(octets)), f"no VidLink server: .*{told}")

    def test_ends(self) -> None:
        """A connection that ends without an answer says why."""
        for end, told in (
            (
                ConnectionDone(),
                "the connection was closed without an answer; if TLS is spoken there, write "
                "wss:// for ws://",
            ),
            (ConnectionAborted(), "there was no answer in time"),
        ):
            error = dialled(end=end)
            self.assertIsInstance(error, Unreachable)
            self.assertEqual(str(error), f"cannot reach {URL}: {told}")

    def test_tls(self) -> None:
        """A certificate that nobody here trusts is told with how to trust it; where no TLS is
        spoken, that is."""
        for reason, told in (
            ("certificate verify failed", "--ca FILE"),
            ("wrong version number", "no TLS is spoken there: write ws:// for wss://"),
        ):
            error = SSL.Error([("SSL routines", "", reason)])
            self.assertIn(told, words(error))
            self.assertIn(told, str(dialled(end=error)))

    @given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 403 ", b"HTTP/1.1 101 x\r\n"]))
    def test_any_octets(self, octets: bytes, begin: bytes) -> None:
        """Whatever comes is one error, on one line, and nothing else."""
        text = str(dialled(begin + octets, end=ConnectionDone()))
        self.assertNotIn("\n", text)
        self.assertIn(URL, text)

    @given(st.binary(max_size=60))
    def test_any_prefix(self, octets: bytes) -> None:
        """What is read does not depend on how it is cut."""
        whole = answer("404 Not Found", octets, f"Content-Length: {len(octets)}")
        for end in range(len(whole)):
            partly = read_answer(whole[:end])
            self.assertTrue(partly is None or not partly.is_whole)
        known = read_answer(whole)
        assert known is not None
        self.assertEqual((known.status, known.is_whole), (404, True))

    def test_sentence_of_none(self) -> None:
        """Without a word of the server there is a sentence for each status all the same."""
        for status in range(200, 600):
            self.assertIn("there", str(refused("there", status)))
