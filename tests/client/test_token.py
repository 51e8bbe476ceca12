"""Tokens of clients: who is shown one, what is answered, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from tests.client.joining import LiveCase
from tests.client.test_requests import Server
from tests.fakes.locked import LockedGate
from vidlink.access.hashing import new_token
from vidlink.client import connect, follow, open_history
from vidlink.client.history import History
from vidlink.client.requests import AnyHost
from vidlink.dialling.address import Address
from vidlink.errors import (
    Answered,
    BadAnswer,
    Forbidden,
    NotAuthenticated,
    TooManyTries,
    UserMistake,
    VidlinkError,
    WrongPassword,
)

TOKEN = new_token()
BASE = "http://127.0.0.1:8080"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


class Noting(Server):
    """A server that notes what it is asked."""

    def __init__(self, code: int = 200) -> None:
        super().__init__(code)
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, url: str, **wishes: Any) -> Deferred[Server]:
        """Somebody asks."""
        self.asked.append((method, url, wishes))
        return super().request(method, url, **wishes)


class HistoryTests(SynchronousTestCase):
    """Over HTTP."""

    def asking(self, server: Noting, call: str, *words: Any, **named: Any) -> Deferred[Any]:
        """A call has been made, and an answer begun."""
        history = History(BASE, treq=server, clock=Clock(), headers=SHOWN)
        asked: Deferred[Any] = Deferred.fromCoroutine(getattr(history, call)(*words, **named))
        server.answer.callback(server)
        return asked

    def test_every_request(self) -> None:
        """Whatever is asked for, the token goes along, beside what the request says itself."""
        for call, words in (
            ("me", ()),
            ("init", ("desk-1", "x" * 20)),
            ("hold", ("desk-1", "x" * 20, "why")),
            ("delete", ("desk-1", "x" * 20)),
            ("recording", ("desk-1", "x" * 20, None)),
        ):
            server = Noting()
            self.asking(server, call, *words).addErrback(lambda _: None)
            ((_, url, wishes),) = server.asked
            self.assertTrue(url.startswith(BASE))
            self.assertEqual(wishes["headers"] | SHOWN, wishes["headers"], call)

    def test_goes_nowhere_else(self) -> None:
        """A server that sends elsewhere is not followed there, so that nobody there sees it."""
        for status in (301, 302, 303, 307, 308):
            for where in ("http://127.0.0.1:9/api/v1/me", "//other.example/", "/elsewhere"):
                for call, words in (("me", ()), ("recording", ("desk-1", "x" * 20, None))):
                    server = Noting(status)
                    server.headers.setRawHeaders("Location", [where])
                    asked = self.asking(server, call, *words)
                    server.end(b"")
                    self.failureResultOf(asked, BadAnswer)
                    ((_, _, wishes),) = server.asked
                    self.assertIs(wishes["allow_redirects"], False)

    def test_on_the_wire(self) -> None:
        """It is in the request that is sent, once, and in nothing that is logged or shown."""
        reactor = MemoryReactorClock()
        history = open_history(BASE, reactor, token=TOKEN)
        self.assertNotIn(TOKEN, repr(vars(history)["_pool"]) + repr(history))
        sent: list[Headers] = []

        class Noted(Agent):
            def request(self, method: Any, uri: Any, headers: Any = None, body: Any = None) -> Any:
                sent.append(headers)
                return Deferred()

        treq = AnyHost(HTTPClient(Noted(reactor)))
        asked = History(BASE, treq=treq, clock=reactor, headers=SHOWN).me()
        self.assertNoResult(Deferred.fromCoroutine(asked))
        (headers,) = sent
        self.assertEqual(headers.getRawHeaders("Authorization"), [f"Bearer {TOKEN}"])

    def test_refusals(self) -> None:
        """What is refused is an error of its kind, with the server's sentence and what to do."""
        kinds: tuple[tuple[int, str, type[VidlinkError], str], ...] = (
            (401, "not-authenticated", NotAuthenticated, "vidlink login.*--token-file"),
            (401, "wrong-password", WrongPassword, "^so it is$"),
            (403, "forbidden", Forbidden, "ask whoever runs the server"),
            (429, "too-many-tries", TooManyTries, "wait"),
            (429, "of-another-age", Answered, "so it is"),
        )
        for status, code, kind, told in kinds:
            server = Noting(status)
            asked = self.asking(server, "me")
            server.end(json.dumps({"error": {"code": code, "message": "so it is"}}).encode())
            error = self.failureResultOf(asked, kind).value
            self.assertTrue(str(error).startswith("so it is"))
            self.assertRegex(str(error), told)
            self.assertNotIn(TOKEN, str(error))

    def test_log_in(self) -> None:
        """The token of a login is that of the cookie, over TLS and without; the password is in
        the body alone. Somebody who sets none is no VidLink server."""
        for cookie in (f"__Host-vidlink={TOKEN}; Path=/; Secure", f"vidlink={TOKEN}"):
            server = Noting()
            server.headers.setRawHeaders("Set-Cookie", ["x=1", cookie])
            asked = self.asking(server, "log_in", "ada", "secret \u2192")
            server.end(b'{"name": "ada"}')
            self.assertEqual(self.successResultOf(asked), TOKEN)
            ((method, url, wishes),) = server.asked
            self.assertEqual((method, url), ("POST", BASE + "/api/v1/login"))
            said = json.loads(wishes["data"])
            self.assertEqual(said, {"user": "ada", "password": "secret \u2192"})
            self.assertEqual(wishes["headers"]["Content-Type"], "application/json")
        server = Noting()
        server.headers.setRawHeaders("Set-Cookie", ["vidlink=; Max-Age=0", "vidlinks=abc"])
        asked = self.asking(server, "log_in", "ada", "secret")
        server.end(b"{}")
        self.failureResultOf(asked, BadAnswer)

    def test_log_in_over_tls(self) -> None:
        """Over TLS a login says so, as a page does, also where its path has something before it;
        in the clear it says nothing."""
        for base, origin in (
            ("https://exam.example:443/live", "https://exam.example:443"),
            (BASE, None),
        ):
            server = Noting()
            server.headers.setRawHeaders("Set-Cookie", [f"vidlink={TOKEN}"])
            history = History(base, treq=server, clock=Clock())
            asked = Deferred.fromCoroutine(history.log_in("ada", "secret"))
            server.answer.callback(server)
            server.end(b'{"name": "ada"}')
            self.assertEqual(self.successResultOf(asked), TOKEN)
            ((_, _, wishes),) = server.asked
            self.assertEqual(wishes["headers"].get("Origin"), origin)

    def test_log_out(self) -> None:
        """Logging out ends one login, or all of them, and gives how many."""
        for is_everywhere, path in ((False, "login"), (True, "logins")):
            server = Noting()
            asked = self.asking(server, "log_out", is_everywhere=is_everywhere)
            server.end(b'{"ended": 2}')
            self.assertEqual(self.successResultOf(asked), 2)
            ((method, url, _),) = server.asked
            self.assertEqual((method, url), ("DELETE", f"{BASE}/api/v1/{path}"))
        server = Noting()
        asked = self.asking(server, "log_out")
        server.end(b"[]")
        self.failureResultOf(asked, BadAnswer)

    def test_in_the_clear(self) -> None:
        """None is sent in the clear to another machine, whatever the way, unless that is said."""
        reactor = MemoryReactorClock()
        there = "http://192.0.2.1:8080"
        self.assertRaises(UserMistake, open_history, there, reactor, token=TOKEN)
        self.failureResultOf(Deferred.fromCoroutine(connect(there, reactor, token=TOKEN)))
        following = follow("desk-1", there, reactor, token=TOKEN)
        asked: Deferred[Any] = Deferred.fromCoroutine(following.__anext__())
        self.failureResultOf(asked, UserMistake)
        self.assertEqual(reactor.tcpClients, [])
        open_history(there, reactor, token=TOKEN, can_go_plain=True)
        Deferred.fromCoroutine(connect(there, reactor, token=TOKEN, can_go_plain=True))
        self.assertEqual(len(reactor.tcpClients), 1)


class LiveTests(LiveCase):
    """Over a WebSocket."""

    def setUp(self) -> None:
        """A server with a lock."""
        super().setUp()
        self.gate = LockedGate(TOKEN)
        watch: Any = self.server.watch
        watch.gate = self.gate
        self.address = Address(self.endpoint, self.address.url, BASE, is_private=True)

    def test_let_in(self) -> None:
        """The token is shown in the handshake."""
        live = self.result_of(self.join(headers=self.address.headers(TOKEN)))
        self.assertEqual(self.gate.shown, [TOKEN])
        self.result_of(live.close())

    def test_kept_out(self) -> None:
        """Without a valid one, the server's sentence comes with what to do."""
        for headers in ({}, self.address.headers(new_token())):
            refused = self.start(self.join(headers=headers))
            error = self.failureResultOf(refused, NotAuthenticated).value
            self.assertRegex(str(error), "refuses: .* not valid .*--token-file")

    def test_closed_out(self) -> None:
        """When it is not valid any more the connection ends with an error that says what to do."""
        live = self.result_of(self.join(headers=self.address.headers(TOKEN)))
        self.gate.token = new_token()
        self.server.pass_time(3.0)
        self.assertEqual(self.read_kinds(live, 2), ["Sentinels", "ErrorMessage"])
        reading = self.start(live.__anext__())
        error = self.failureResultOf(reading, NotAuthenticated).value
        self.assertIn("vidlink login", str(error))

    def test_transport(self) -> None:
        """On the wire it is one header of the handshake."""
        reactor = MemoryReactorClock()
        Deferred.fromCoroutine(connect("ws://127.0.0.1:8080", reactor, token=TOKEN))
        transport = StringTransport()
        protocol: Any = reactor.tcpClients[0][2].buildProtocol(None)
        protocol.makeConnection(transport)
        lines = transport.value().decode().split("\r\n")
        self.assertEqual(lines.count(f"Authorization: Bearer {TOKEN}"), 1)
        self.assertEqual(sum(TOKEN in line for line in lines), 1)
