"""Single requests to servers that are silent, slow, huge, or something else than servers."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hyperlink import URL
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers

from vidlink.client.history import History
from vidlink.client.requests import ANSWER_SECONDS, STALL_SECONDS, AnyHost, Requests
from vidlink.dialling.address import read_address
from vidlink.errors import (
    Answered,
    BadAnswer,
    NotAllowed,
    NotAuthenticated,
    Unreachable,
    UserMistake,
)


class Server:
    """A treq and its response in one, driven by the test."""

    def __init__(self, code: int = 200) -> None:
        self.code = code
        self.headers = Headers()
        self.transport = StringTransport()
        self.body: Any = None
        self.was_cancelled = False
        self.answer: Deferred[Server] = Deferred(self._cancelled)

    def _cancelled(self, answer: Deferred[Server]) -> None:
        self.was_cancelled = True
        answer.errback(ResponseNeverReceived([Failure(CancelledError())]))

    def request(self, method: str, url: str, **wishes: Any) -> Deferred[Server]:
        """Somebody asks."""
        return self.answer

    def deliverBody(self, protocol: Any) -> None:
        """Somebody wants the body."""
        self.body = protocol
        protocol.makeConnection(self.transport)

    def end(self, *pieces: bytes, why: Exception | None = None) -> None:
        """Send these, and end."""
        for piece in pieces:
            self.body.dataReceived(piece)
        self.body.connectionLost(Failure(why or ResponseDone()))


#: Every kind of host that an address may have.
HOSTS = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)).map(str),
    st.builds(IPv6Address, st.integers(0, 2**128 - 1)).map(lambda host: f"[{host}]"),
    st.builds(IPv6Address, st.integers(0, 2**128 - 1)).map(lambda host: f"[{host}%eth0]"),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?\.[a-z]{2,5}\.?", fullmatch=True),
    st.sampled_from(("localhost", "LocalHost", "bücher.example", "例え.テスト", "::1")),
)


class HostsTests(SynchronousTestCase):
    """The hosts that a server may be at."""

    @given(HOSTS, st.sampled_from(("http", "https", "ws", "wss")), st.integers(1, 65535))
    def test_asked(self, host: str, scheme: str, port: int) -> None:
        """A host is refused on one line, or can be asked; nothing of a library's is let out."""
        try:
            address = read_address(f"{scheme}://{host}:{port}/a%20room", MemoryReactorClock())
        except UserMistake:
            return
        asked: list[bytes] = []

        class Nobody:
            def request(self, method: bytes, url: bytes, *_: Any, **named: Any) -> Deferred[Any]:
                asked.append(url)
                return Deferred()

        agent: Any = Nobody()
        history = History(address.base_url, treq=AnyHost(HTTPClient(agent)), clock=Clock())
        asking = Deferred.fromCoroutine(history.session("desk-1", "a session"))
        self.assertNoResult(asking)
        path = "/api/v1/sentinels/desk-1/sessions/a%20session"
        # Where it is said, the port that goes without saying is left out.
        urls = [URL.from_text(url.decode("ascii")) for url in asked]
        self.assertEqual(urls, [URL.from_text(address.base_url + path)])


class RequestsTests(SynchronousTestCase):
    """What becomes of each."""

    def setUp(self) -> None:
        """A server that has been asked for something."""
        self.clock = Clock()
        self.server = Server()
        self.requests = Requests("http://h:1", self.server, self.clock)

    def asked(self, code: int = 200) -> Deferred[Any]:
        """JSON has been asked for, and an answer begun."""
        self.server.code = code
        asking = Deferred.fromCoroutine(self.requests.json("/x"))
        self.server.answer.callback(self.server)
        return asking

    def failure(self, asking: Deferred[Any], kind: type[Exception]) -> str:
        """What a request failed with; nothing is left running."""
        error = self.failureResultOf(asking, kind).value
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return str(error)

    def test_answered(self) -> None:
        """An answer in pieces."""
        asking = self.asked()
        self.server.end(b'{"a"', b": 1}")
        self.assertEqual(self.successResultOf(asking), {"a": 1})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_answer(self) -> None:
        """A server that does not answer in time is given up."""
        asking = Deferred.fromCoroutine(self.requests.json("/x"))
        self.clock.advance(ANSWER_SECONDS)
        self.assertTrue(self.server.was_cancelled)
        self.assertIn("not answered within", self.failure(asking, Unreachable))

    def test_stalls(self) -> None:
        """An answer that does not go on is given up; one that does is not."""
        asking = self.asked()
        for _ in range(3):
            self.clock.advance(STALL_SECONDS - 1)
            self.server.body.dataReceived(b"1")
        self.assertNoResult(asking)
        self.clock.advance(STALL_SECONDS)
        self.assertIn("nothing has come", self.failure(asking, Unreachable))
        self.assertTrue(self.server.transport.disconnecting)

    def test_cancelled(self) -> None:
        """Cancelled before or while it is answered, it ends as cancelled."""
        asking = Deferred.fromCoroutine(self.requests.json("/x"))
        asking.cancel()
        self.failure(asking, CancelledError)
        self.server = Server()
        self.requests = Requests("http://h:1", self.server, self.clock)
        asking = self.asked()
        asking.cancel()
        self.failure(asking, CancelledError)
        self.assertTrue(self.server.transport.disconnecting)

    def test_changed_meanwhile(self) -> None:
        """What has changed since its address was given out is there when it is asked for again;
        at an address that nobody gave out, it is an answer."""
        error = b'{"error": {"code": "precondition-failed", "message": "it has changed"}}'
        for status, kind in ((412, Unreachable), (416, Answered)):
            there = self.server = Server(status)
            given = Server(307)
            given.headers = Headers({"Location": ["film?version=1"]})
            answers = iter((given, there))
            given.answer.callback(given)
            there.answer.callback(there)
            self.patch(given, "request", lambda *_, answers=answers, **__: next(answers).answer)
            requests = Requests("http://h:1", given, self.clock)
            asking = Deferred.fromCoroutine(requests.ask("/a/film", can_move=True))
            given.end()
            there.end(error)
            self.failure(asking, kind)
        self.setUp()
        asking = self.asked(412)
        self.server.end(error)
        self.failure(asking, Answered)

    def test_no_connection(self) -> None:
        """Why there is none is said on one line."""
        for error, word in (
            (ConnectionRefusedError(), "refused"),
            (DNSLookupError(), "no host of that name"),
            (socket.gaierror(-2, "Name or service not known"), "no such interface"),
            (ResponseNeverReceived([Failure(ConnectionLost())]), "lost"),
        ):
            self.setUp()
            asking = Deferred.fromCoroutine(self.requests.json("/x"))
            self.server.answer.errback(error)
            text = self.failure(asking, Unreachable)
            self.assertIn(word, text)
            self.assertIn("http://h:1", text)
            self.assertNotIn("\n", text)

    def test_breaks(self) -> None:
        """An answer that breaks off is no answer."""
        asking = self.asked()
        self.server.end(b"{}", why=ConnectionLost())
        self.failure(asking, Unreachable)

    def test_huge(self) -> None:
        """An answer larger than it may be is broken off."""
        asking = Deferred.fromCoroutine(self.requests.collect(self.server, 10))
        self.server.body.dataReceived(b"x" * 11)
        self.failure(asking, BadAnswer)
        self.assertTrue(self.server.transport.disconnecting)

    def test_no_server_of_ours(self) -> None:
        """Whoever else answers is told apart."""
        for code, body, kind in (
            (200, b"<html>", BadAnswer),
            (404, b"<html>", BadAnswer),
            (404, b"[" * 100_000, BadAnswer),
            (302, b"", BadAnswer),
            (401, b"", NotAuthenticated),
            (403, b"", NotAllowed),
            (502, b"", Unreachable),
            (418, b'{"error": {"code": "teapot", "message": "a\\u001b[2Jb"}}', Answered),
        ):
            self.setUp()
            asking = self.asked(code)
            for start in range(0, len(body), 50_000):
                self.server.body.dataReceived(body[start : start + 50_000])
            if not asking.called:
                self.server.end()
            text = self.failure(asking, kind)
            self.assertNotIn("\x1b", text)

    def test_slow_taker(self) -> None:
        """While what has come is being taken, nothing more is read, however long that lasts, and
        the end waits for it."""
        room: list[Deferred[None]] = []

        def take(data: bytes) -> Deferred[None]:
            room.append(Deferred())
            return room[-1]

        delivering = Deferred.fromCoroutine(self.requests.deliver(self.server, take))
        self.server.body.dataReceived(b"1")
        self.assertEqual(self.server.transport.producerState, "paused")
        self.clock.advance(10 * STALL_SECONDS)
        room[0].callback(None)
        self.assertEqual(self.server.transport.producerState, "producing")
        self.server.end(b"2")
        self.assertNoResult(delivering)
        room[1].callback(None)
        self.successResultOf(delivering)
        self.assertEqual(self.clock.getDelayedCalls(), [])
