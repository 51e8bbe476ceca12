"""Tests of `site` and `channel` of :mod:`vidlink.server.port`, over connections in memory."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from tests.fakes.gates import anybody, open_gate
from tests.fakes.store import MemoryStore
from tests.server.api.histories import DESK, DESK_PATH, NOW_US, recorded
from tests.server.api.test_bodies import ScriptedArchive, ScriptedBody
from tests.server.sockets.opened import Answer, Connection
from vidlink.model import Bounds
from vidlink.relay.hub import Hub
from vidlink.server.api.bodies import PIECE_BYTES
from vidlink.server.api.history import Api
from vidlink.server.api.probes import Probes
from vidlink.server.health.health import Health
from vidlink.server.health.metrics import Metrics
from vidlink.server.port.assets import Assets
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Root, Site
from vidlink.server.port.upgrade import SocketResource

HOST = b"Host: 127.0.0.1:8080\r\n"
INDEX = b"<!doctype html><title>VidLink</title>" + b"." * 20_000
EVERYWHERE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src blob: 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def get(path: str, *headers: bytes, method: str = "GET") -> bytes:
    """A request without a body."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + lines + b"\r\n"


def put(body: bytes, *headers: bytes) -> bytes:
    """A request with a body; nobody here takes it."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"PUT / HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body


class Echo(WebSocketServerProtocol):
    """Sends back what it gets, as the producer of its transport."""

    def onOpen(self) -> None:
        """Take the transport over from the HTTP channel."""
        self.transport.unregisterProducer()
        self.transport.registerProducer(Idle(), True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


@implementer(IPushProducer)
class Idle:
    """Produces nothing."""

    def pauseProducing(self) -> None:
        """Nothing to pause."""

    def resumeProducing(self) -> None:
        """Nothing to resume."""

    def stopProducing(self) -> None:
        """Nothing to stop."""


class Scripted(Resource):
    """A page whose answers wait, or fail."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render(self, request: Request) -> bytes | int:
        """Fail, or wait until the test answers."""
        self.requests.append(request)
        if request.path == b"/bug":
            raise ZeroDivisionError("secret")
        if request.path == b"/late-bug":
            request.write(b"it begins")
            raise ZeroDivisionError("secret")
        return NOT_DONE_YET


class Unclosing(Connection):
    """A connection over TLS whose client never answers that it is to be closed."""

    def loseConnection(self) -> None:
        """Wait for the client."""


class SiteCase(SynchronousTestCase):
    """A whole site on loopback, port 8080."""

    def setUp(self) -> None:
        """Put it together."""
        self.clock = MemoryReactorClock()
        store = MemoryStore(wall_clock_us=lambda: NOW_US)
        recorded(store, DESK)
        hub = Hub(self.clock.seconds)
        self.history = Api(
            store,
            hub,
            store,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=anybody,
        )
        health = Health(store, store, hub, self.clock.seconds)
        self.vitals = Probes(health, Metrics(hub, store, health, ()))
        self.scripted = Scripted()
        self.bounds = Bounds()
        self.serve(Assets({"index.html": INDEX}))

    def serve(self, page: Resource) -> None:
        """Serve `page` beside the rest from now on."""
        factory = WebSocketServerFactory("ws://127.0.0.1:8080")
        factory.protocol = Echo
        factory.setProtocolOptions(
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            allowedOrigins=["*"],
            webStatus=False,
        )
        websocket = SocketResource(factory)
        root = Root(
            self.history.resource(), Resource(), self.vitals.resource(), page, websocket, websocket
        )
        hosts = Hosts([Listening.parse("tcp:8080:interface=127.0.0.1")])
        self.site = Site(root, clock=self.clock, hosts=hosts, gate=open_gate(self.clock))
        self.site.doStart()
        self.addCleanup(self.site.doStop)

    def show(self, archive: Any) -> None:
        """Answer history from `archive` from now on."""
        self.history = Api(
            archive,
            Hub(self.clock.seconds),
            MemoryStore(),
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=anybody,
        )
        self.serve(self.scripted)

    def connect(self, data: bytes = b"", room_bytes: int | None = None) -> Connection:
        """A client that sends `data`."""
        connection = Connection(self.site, self.clock, room_bytes)
        connection.send(data)
        return connection

    def ask(self, data: bytes) -> Answer:
        """The one answer to a request."""
        connection = self.connect(data)
        (answer,) = connection.answers()
        connection.vanish()
        return answer

    def assert_refused(self, data: bytes, status: int, code: str) -> Connection:
        """A request that cannot be read to its end gets one answer, and is closed soon after."""
        connection = self.connect(data)
        (answer,) = connection.answers()
        self.assertEqual((answer.status, answer.error_code), (status, code))
        self.assertEqual(answer.headers["connection"], "close")
        self.assert_everywhere(answer)
        connection.send(get("/") * 3)
        connection.pass_time(self.bounds.linger_seconds)
        self.assertEqual(len(connection.answers()), 1)
        self.assertIsNotNone(connection.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return connection

    def assert_everywhere(self, answer: Answer) -> None:
        """What every answer carries."""
        for name, value in EVERYWHERE.items():
            self.assertEqual(answer.headers.get(name), value, answer)
        self.assertNotIn("server", answer.headers)
        self.assertIn("date", answer.headers)


class RoutingTests(SiteCase):
    """Which path leads where."""

    def test_page(self) -> None:
        """The page is at the root, and so are its headers."""
        answer = self.ask(get("/?anything=1"))
        self.assertEqual((answer.status, answer.body), (200, INDEX))
        self.assert_everywhere(answer)

    def test_api(self) -> None:
        """The interface is beside it."""
        for path in ("/api/v1/me", "/healthz", "/readyz", DESK_PATH):
            answer = self.ask(get(path))
            self.assertEqual(answer.status, 200)
            self.assertIsInstance(answer.json, dict)
            self.assert_everywhere(answer)

    def test_nothing_there(self) -> None:
        """Everything else is a 404 in JSON, whatever it is spelled like."""
        for path in (
            "/favicon.ico",
            "/api",
            "/api/",
            "//api/v1/me",
            "/api/../healthz",
            "/healthz/",
            "/ws",
            "/ws/",
            "/ws/sentinel/x",
            "/%77s/sentinel",
            "/%61pi/v1/me",
            "/api/%FF",
            "/%FF",
            "/index.html/",
        ):
            answer = self.ask(get(path))
            self.assertEqual((answer.status, answer.error_code), (404, "not-found"), path)
            self.assert_everywhere(answer)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_head(self) -> None:
        """HEAD announces the length of GET's body, and sends none."""
        for path in ("/", "/api/v1/sentinels", DESK_PATH + "/segments/0-9", "/nothing"):
            length = self.ask(get(path)).headers["content-length"]
            connection = self.connect(get(path, method="HEAD"))
            head = connection.received.decode()
            self.assertIn(f"Content-Length: {length}\r\n", head)
            self.assertTrue(head.endswith("\r\n\r\n"), path)

    def test_absolute_form(self) -> None:
        """A target with scheme and host is taken apart, and the host in it is what counts."""
        for target, status in (
            ("http://127.0.0.1:8080/api/v1/me", 200),
            ("HTTP://localhost:8080/healthz", 200),
            ("http://127.0.0.1:8080", 200),
            ("http://127.0.0.1:8080?a=1", 200),
            ("http://evil.example/", 421),
            ("http:///", 400),
            ("ftp://127.0.0.1:8080/", 400),
            ("127.0.0.1:8080", 400),
            ("*", 400),
        ):
            self.assertEqual(self.ask(get(target)).status, status, target)

    def test_errors_everywhere(self) -> None:
        """Errors carry what every answer carries."""
        for data, status in (
            (get("/", method="DELETE"), 405),
            (get("/api/v1/me", method="OPTIONS"), 200),
            (get("/api/v1/sessions?limit=0"), 400),
            (get(DESK_PATH + "/segments/0-9", b"Range: bytes=99999999-"), 416),
            (get(DESK_PATH + "/init.mp4", b"If-None-Match: *"), 304),
        ):
            answer = self.ask(data)
            self.assertEqual(answer.status, status)
            self.assert_everywhere(answer)

    def test_bug(self) -> None:
        """A bug is a 500 without its traceback, and the connection goes on."""
        self.serve(self.scripted)
        connection = self.connect(get("/bug") + get("/healthz"))
        bug, healthy = connection.answers()
        self.assertEqual((bug.status, bug.error_code, healthy.status), (500, "internal", 200))
        self.assertNotIn(b"secret", bug.body)
        self.assert_everywhere(bug)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_bug_in_mid_answer(self) -> None:
        """A bug in the middle of an answer breaks it off."""
        self.serve(self.scripted)
        connection = self.connect(get("/late-bug") + get("/healthz"))
        self.assertIsNotNone(connection.lost)
        self.assertNotIn(b"HTTP/1.1 500", connection.received)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OriginTests(SiteCase):
    """Whose requests are answered, on HTTP and WebSocket alike."""

    PATHS = (
        "/",
        "/api/v1/me",
        DESK_PATH + "/segments/0-9",
        "/ws/sentinel",
        "/ws/proctor",
        "/x",
    )

    def send(self, path: str, host: bytes, *headers: bytes) -> Answer:
        """The answer to a WebSocket handshake for `path`, or a request that looks like one."""
        lines = b"".join(header + b"\r\n" for header in headers)
        return self.ask(f"GET {path} HTTP/1.1\r\n".encode() + host + HANDSHAKE + lines + b"\r\n")

    def test_rebound_name(self) -> None:
        """A foreign name that was pointed at this server leads nowhere."""
        for path in self.PATHS:
            for host in (b"Host: evil.example\r\n", b"Host: evil.example:8080\r\n"):
                answer = self.send(path, host, b"Origin: http://evil.example:8080")
                self.assertEqual((answer.status, answer.error_code), (421, "misdirected"), path)
                self.assertNotIn("upgrade", answer.headers)
                self.assert_everywhere(answer)

    def test_foreign_page(self) -> None:
        """A page of another origin gets nothing, not even what it could not read."""
        for path in self.PATHS:
            for origin in (b"http://evil.example", b"null", b"http://127.0.0.1:8081"):
                answer = self.send(path, HOST, b"Origin: " + origin)
                self.assertEqual((answer.status, answer.error_code), (403, "foreign-origin"), path)
                self.assertNotIn("upgrade", answer.headers)

    def test_reason(self) -> None:
        """A handshake that is refused says why in its status line, as clients show no more."""
        foreign = self.connect(get("/ws/sentinel", b"Origin: http://evil.example"))
        self.assertIn(b" 403 pages of another origin may not use", foreign.received)
        misdirected = self.connect(b"GET /ws/proctor HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertIn(b" 421 this server is not known under that host;", misdirected.received)
        self.assertIn(b"--allow-origin", misdirected.received.partition(b"\r\n")[0])
        posted = self.ask(get("/ws/proctor", method="POST"))
        self.assertEqual((posted.status, posted.headers["allow"]), (405, "GET, OPTIONS"))

    def test_own_page(self) -> None:
        """Our own page gets everything, and so does who is no browser."""
        for headers in ((b"Origin: http://127.0.0.1:8080",), ()):
            statuses = [self.send(path, HOST, *headers).status for path in self.PATHS]
            self.assertEqual(statuses, [200, 200, 200, 101, 101, 404])

    def test_no_host(self) -> None:
        """Without exactly one Host nothing is answered."""
        for host in (b"", HOST + HOST, b"Host: \r\n", b"Host: a b\r\n"):
            answer = self.send("/ws/proctor", host)
            self.assertEqual((answer.status, answer.error_code), (400, "bad-request"), host)


class OldHttpTests(SiteCase):
    """HTTP/1.0, as some balancers and proxies speak it."""

    def test_no_host(self) -> None:
        """It needs no Host; one that is there counts as always."""
        for path in ("/", "/healthz", "/readyz", "/api/v1/sentinels", DESK_PATH):
            for host in (b"", HOST, b"Host: 127.0.0.1\r\n"):
                answer = self.ask(b"GET %s HTTP/1.0\r\n%s\r\n" % (path.encode(), host))
                self.assertEqual(answer.status, 200, (path, host))
                self.assert_everywhere(answer)
            answer = self.ask(b"GET %s HTTP/1.0\r\nHost: evil.example\r\n\r\n" % path.encode())
            self.assertEqual(answer.status, 421, path)

    def test_options(self) -> None:
        """The check that HAProxy makes unless told otherwise is answered."""
        for target in (b"/", b"*", b"/healthz"):
            for head in (b"", HOST):
                answer = self.ask(b"OPTIONS %s HTTP/1.0\r\n%s\r\n" % (target, head))
                self.assertEqual((answer.status, answer.body), (200, b""), target)
                self.assertIn("GET", answer.headers["allow"])

    def test_closes(self) -> None:
        """After an answer the connection is closed, kept alive or not; nothing is chunked."""
        for method in (b"GET", b"HEAD"):
            for more in (b"", b"Connection: keep-alive\r\n"):
                path = (DESK_PATH + "/segments/0-9").encode()
                request = method + b" " + path + b" HTTP/1.0\r\n" + more + b"\r\n"
                connection = self.connect(request * 2)
                self.assertIsNotNone(connection.lost)
                self.assertEqual(connection.received.count(b" 200 OK\r\n"), 1)
                self.assertNotIn(b"Transfer-Encoding", connection.received)
                self.assertNotIn(b"keep-alive", connection.received)
                self.assertIn(b"Content-Length: ", connection.received)

    def test_body(self) -> None:
        """A body is taken as it is announced, and is not asked for first."""
        head = b"PUT /healthz HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        connection = self.connect(head)
        self.assertEqual(connection.received, b"")
        connection.send(b"{}")
        self.assertEqual([answer.status for answer in connection.answers()], [405])

    def test_no_websocket(self) -> None:
        """There are no WebSockets in it, and the status line says so."""
        for path in (b"/ws/sentinel", b"/ws/proctor"):
            connection = self.connect(b"GET " + path + b" HTTP/1.0\r\n" + HANDSHAKE + b"\r\n")
            (answer,) = connection.answers()
            self.assertEqual((answer.status, answer.error_code), (400, "bad-request"))
            self.assertIn(b" 400 a WebSocket needs HTTP/1.1;", connection.received)


class SharingTests(SiteCase):
    """Answers to pages of an origin that the operator has let in."""

    PORTAL = b"https://portal.example"
    EXPOSED = "access-control-expose-headers"

    def setUp(self) -> None:
        """A server that lets one other origin in."""
        super().setUp()
        self.site.hosts = Hosts(
            [Listening.parse("tcp:8080:interface=127.0.0.1")], [self.PORTAL.decode()]
        )

    def from_portal(self, path: str, *headers: bytes, method: str = "GET") -> Answer:
        """The answer to a page of the portal."""
        return self.ask(get(path, b"Origin: " + self.PORTAL, *headers, method=method))

    def assert_shared(self, answer: Answer) -> None:
        """A browser lets the page of the portal read it, and shows its headers."""
        self.assertEqual(answer.headers["access-control-allow-origin"], self.PORTAL.decode())
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
        self.assertEqual(answer.headers["vary"], "Origin")
        exposed = answer.headers[self.EXPOSED].split(", ")
        self.assertLessEqual({"ETag", "Content-Range", "VidLink-Missing"}, set(exposed))
        self.assertNotIn("access-control-allow-credentials", answer.headers)

    def test_every_answer(self) -> None:
        """Every answer can be read: whole ones, parts, none that is new, and errors."""
        film, media = DESK_PATH + "/recording.mp4", DESK_PATH + "/segments/0-9"
        for status, answer in (
            (200, self.from_portal("/api/v1/sentinels")),
            (307, self.from_portal(film)),
            (200, self.from_portal("/healthz", method="HEAD")),
            (200, self.from_portal(media)),
            (206, self.from_portal(media, b"Range: bytes=0-9")),
            (412, self.from_portal(film, b"Range: bytes=99999999-")),
            (416, self.from_portal(media, b"Range: bytes=99999999-")),
            (304, self.from_portal(media, b"If-None-Match: *")),
            (412, self.from_portal(media, b'If-Match: "x"')),
            (404, self.from_portal("/nothing")),
            (405, self.from_portal("/", method="DELETE")),
            (400, self.from_portal("/api/v1/sessions?limit=0")),
            (413, self.from_portal("/", b"Content-Length: 99999999", method="PUT")),
        ):
            self.assertEqual(answer.status, status)
            self.assert_shared(answer)

    def test_asked_beforehand(self) -> None:
        """A browser that asks first is told which methods and headers, and for how long."""
        for path, method in (
            ("/api/v1/sentinels/x/framerate", "PUT"),
            ("/api/v1/sentinels/x/keyframe", "POST"),
            (DESK_PATH, "DELETE"),
            (DESK_PATH + "/recording.mp4", "GET"),
        ):
            asked = b"Access-Control-Request-Method: " + method.encode()
            answer = self.from_portal(path, asked, method="OPTIONS")
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assert_shared(answer)
            self.assertIn(method, answer.headers["access-control-allow-methods"].split(", "))
            allowed = set(answer.headers["access-control-allow-headers"].split(", "))
            self.assertLessEqual({"Content-Type", "Range", "If-Range"}, allowed)
            self.assertEqual(answer.headers["access-control-max-age"], "7200")

    def test_others(self) -> None:
        """Other origins get nothing and are told nothing, nor do those without one; and what is
        kept of an answer is not mistaken for one to somebody else."""
        for headers, status in (
            ((b"Origin: https://evil.example",), 403),
            ((b"Origin: null",), 403),
            ((b"Origin: " + self.PORTAL, b"Origin: " + self.PORTAL), 403),
            ((b"Origin: http://127.0.0.1:8080",), 200),
            ((), 200),
        ):
            for method in ("GET", "OPTIONS"):
                answer = self.ask(get("/api/v1/me", *headers, method=method))
                self.assertEqual(answer.status, status)
                self.assert_everywhere(answer)
                self.assertEqual(answer.headers["vary"], "Origin")
                for name in answer.headers:
                    self.assertFalse(name.startswith("access-control-"), name)

    def test_nobody_let_in(self) -> None:
        """Where nobody is let in nothing is said of it."""
        self.site.hosts = Hosts([Listening.parse("tcp:8080:interface=127.0.0.1")])
        answer = self.ask(get("/", b"Origin: http://127.0.0.1:8080"))
        self.assertNotIn("vary", answer.headers)
        self.assertNotIn("access-control-allow-origin", answer.headers)


class DeadlineTests(SiteCase):
    """How long a client may take."""

    def test_nothing_sent(self) -> None:
        """Who says nothing at all is dropped without a word."""
        connection = self.connect()
        connection.pass_time(4.9)
        self.assertTrue(connection.is_open)
        connection.pass_time(0.1)
        self.assertIsNotNone(connection.lost)
        self.assertEqual(connection.received, b"")

    def test_dripping_header(self) -> None:
        """A header has five seconds, however steadily it drips."""
        connection = self.connect()
        for byte in get("/", b"X: " + b"y" * 60)[:39]:
            connection.pass_time(0.125)
            connection.send(bytes([byte]))
        self.assertEqual(connection.received, b"")
        connection.pass_time(0.125)
        (answer,) = connection.answers()
        self.assertEqual((answer.status, answer.error_code), (408, "request-timeout"))
        connection.send(b"more")
        connection.pass_time(2)
        self.assertIsNotNone(connection.lost)

    def test_keep_alive(self) -> None:
        """Between requests there is a minute; the next header has five seconds again."""
        connection = self.connect(get("/"))
        for _ in range(3):
            connection.pass_time(59)
            connection.send(get("/"))
        self.assertEqual(len(connection.answers()), 4)
        connection.pass_time(59)
        connection.send(b"G")
        connection.pass_time(4.9)
        self.assertEqual(len(connection.answers()), 4)
        connection.pass_time(0.1)
        self.assertEqual(connection.answers()[-1].status, 408)
        connection.pass_time(2)
        self.assertIsNotNone(connection.lost)

    def test_idle(self) -> None:
        """After a minute without a request the connection is closed without a word."""
        connection = self.connect(get("/"))
        connection.pass_time(59.9)
        self.assertTrue(connection.is_open)
        connection.pass_time(0.1)
        self.assertIsNotNone(connection.lost)
        self.assertEqual(len(connection.answers()), 1)

    def test_dripping_body(self) -> None:
        """A body has thirty seconds."""
        for kind in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
            connection = self.connect(put(b"", kind))
            chunk = b"x" if kind.startswith(b"C") else b"1\r\nx\r\n"
            for _ in range(29):
                connection.pass_time(1)
                connection.send(chunk)
            self.assertEqual(connection.answers(), [])
            connection.pass_time(1)
            self.assertEqual(connection.answers()[0].status, 408)

    def test_slow_answer(self) -> None:
        """We may take as long as we need; that is no client's fault."""
        self.serve(self.scripted)
        connection = self.connect(get("/"))
        connection.pass_time(7200)
        self.assertTrue(connection.is_open)
        self.scripted.requests[0].finish()
        connection.turn()
        connection.send(get("/healthz"))
        self.assertIn(b'{"status":"ok"}', connection.received)

    def test_stalled_client(self) -> None:
        """Who takes nothing of an answer for five minutes is dropped; who takes a bit is not."""
        self.serve(self.scripted)
        connection = self.connect(get("/"), room_bytes=0)
        self.scripted.requests[0].write(b"x" * 100_000)
        connection.turn()
        connection.pass_time(299)
        connection.take(200_000)
        self.scripted.requests[0].write(b"x" * 200_000)
        connection.turn()
        connection.pass_time(299)
        self.assertTrue(connection.is_open)
        connection.pass_time(1)
        self.assertIsNotNone(connection.lost)

    def test_stalled_at_the_end(self) -> None:
        """Who takes nothing of a last answer does not keep the connection for ever either."""
        connection = self.connect(get("/", b"Connection: close"), room_bytes=0)
        connection.pass_time(299)
        self.assertIsNone(connection.lost)
        connection.pass_time(1)
        self.assertIsNotNone(connection.lost)

    def test_tls_that_is_never_closed(self) -> None:
        """Who was too late, or was refused, is cut off if it does not close its side of TLS."""
        for data in (b"", b"GET", b"nonsense\r\n"):
            connection = Unclosing(self.site, self.clock)
            connection.send(data)
            connection.pass_time(self.bounds.header_seconds)
            connection.pass_time(self.bounds.linger_seconds)
            connection.pass_time(self.bounds.linger_seconds)
            self.assertIsNotNone(connection.lost, data)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_left(self) -> None:
        """A connection that is gone leaves no timer behind."""
        for data in (b"", b"GET", get("/"), put(b"x", b"Content-Length: 5"), b"nonsense\r\n"):
            connection = self.connect(data)
            connection.vanish()
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [], data)
        connection = self.connect(get("/") * 20, room_bytes=0)
        connection.vanish()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        connection = Connection(self.site, self.clock)
        connection.protocol.dataReceived(get("/") * 20)
        connection.vanish()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LimitTests(SiteCase):
    """How much a client may send."""

    def test_bad_requests(self) -> None:
        """What is no HTTP is answered with a 400, and closed."""
        for data in (
            b"nonsense\r\n",
            b"GET /\r\n",
            b"GET / HTTP/2.0\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
            put(b"", b"Content-Length: -1"),
            put(b"", b"Content-Length: +5"),
            put(b"", b"Content-Length: 5, 5"),
            put(b"", b"Content-Length: " + b"1" * 5000),
            put(b"", b"Content-Length: 5", b"Content-Length: 6"),
            put(b"", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            put(b"", b"Transfer-Encoding: gzip"),
            put(b"x\r\n", b"Transfer-Encoding: chunked"),
            put(b"5\r\nhelloworld", b"Transfer-Encoding: chunked"),
        ):
            self.assert_refused(data, 400, "bad-request")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_long_target(self) -> None:
        """A path and query have 4 KiB, whether the line ends or not."""
        self.assertEqual(self.ask(get("/?" + "x" * 4000)).status, 200)
        for data in (get("/?" + "x" * 4100), b"GET /" + b"x" * 20_000):
            self.assert_refused(data, 414, "target-too-long")

    def test_large_header(self) -> None:
        """A header has 16 KiB, in one line or in many."""
        many = [b"X-%d: %s" % (n, b"y" * 990) for n in range(16)]
        self.assertEqual(self.ask(get("/", *many)).status, 200)
        for headers in ([*many, *many], [b"X: " + b"y" * 16_000, b"Y: " + b"y" * 1_000]):
            self.assert_refused(get("/", *headers), 431, "header-too-large")
        self.assert_refused(get("/")[:-2] + b"X: " + b"y" * 20_000, 431, "header-too-large")
        self.assert_refused(get("/", *[b"a: b"] * 600), 400, "bad-request")

    def test_large_body(self) -> None:
        """A body above 64 KiB is refused before it is read, and not even asked for."""
        for size in (65_537, 10**18):
            head = put(b"", b"Content-Length: %d" % size, b"Expect: 100-continue")
            connection = self.assert_refused(head, 413, "body-too-large")
            self.assertNotIn(b"100 Continue", connection.received)

    def test_large_chunked_body(self) -> None:
        """So is one whose size nobody announced, as soon as it is too large."""
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        connection = self.connect(put(b"", b"Transfer-Encoding: chunked") + chunk * 16)
        self.assertEqual(connection.answers(), [])
        connection.send(b"1\r\nx\r\n0\r\n\r\n" + get("/"))
        (answer,) = connection.answers()
        self.assertEqual((answer.status, answer.error_code), (413, "body-too-large"))

    def test_largest_body(self) -> None:
        """A body of 64 KiB is taken, and its request answered."""
        head = put(b"", b"Content-Length: 65536", b"Expect: 100-continue")
        connection = self.connect(head)
        self.assertEqual(connection.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(b"x" * 65_536)
        self.assertEqual(connection.answers()[-1].status, 405)
        self.assertTrue(connection.is_open)

    def test_refusal_arrives(self) -> None:
        """What comes after a refusal is read and dropped for a while, so that it is seen."""
        connection = self.connect(put(b"", b"Content-Length: 99999999"))
        for _ in range(19):
            connection.send(b"x" * 60_000)
            connection.pass_time(0.1)
        self.assertTrue(connection.is_open)
        connection.pass_time(0.1)
        self.assertIsNotNone(connection.lost)
        self.assertEqual([answer.status for answer in connection.answers()], [413])


class PipelineTests(SiteCase):
    """Requests that do not wait for the answer to the one before."""

    def test_order(self) -> None:
        """They are answered in order."""
        paths = ["/", "/healthz", "/nothing", DESK_PATH] * 30
        connection = self.connect(b"".join(map(get, paths)))
        statuses = [answer.status for answer in connection.answers()]
        self.assertEqual(statuses, [200, 200, 404, 200] * 30)
        connection.pass_time(59)
        self.assertTrue(connection.is_open)

    def test_one_a_turn(self) -> None:
        """Each has a reactor turn of its own, so that nobody keeps the others waiting."""
        connection = Connection(self.site, self.clock)
        connection.protocol.dataReceived(get("/healthz") * 5)
        connection.doWrite()
        self.assertEqual(connection.received.count(b"HTTP/1.1 200"), 1)
        connection.turn()
        self.assertEqual(connection.received.count(b"HTTP/1.1 200"), 5)

    def test_memory(self) -> None:
        """Who asks without end and takes nothing costs one answer more than the buffer holds."""
        connection = self.connect(get("/") * 1000, room_bytes=0)
        self.assertLess(connection.held_bytes, 65_536 + 2 * len(INDEX))
        connection.take(None)
        self.assertEqual(connection.received.count(INDEX), 1000)
        connection = self.connect(room_bytes=0)
        for _ in range(50):
            connection.send(get("/"))
        self.assertLess(connection.held_bytes, 65_536 + 2 * len(INDEX))
        connection.take(None)
        self.assertEqual(connection.received.count(INDEX), 50)

    def test_unread_requests(self) -> None:
        """What comes while a request is answered is not read without end, taken or not."""
        self.serve(self.scripted)
        for room in (0, None):
            connection = self.connect(get("/"), room)
            self.scripted.requests[-1].write(b"x" * 100_000)
            connection.send(b"y" * 1_000_000)
            self.assertNotIn(connection, self.clock.getReaders())
            self.assertEqual(sum(map(len, connection.protocol._dataBuffer)), 65_536)

    def test_body_then_request(self) -> None:
        """A request that follows a body begins where the body ends."""
        connection = self.connect(put(b"12345", b"Content-Length: 5") + get("/healthz"))
        self.assertEqual([answer.status for answer in connection.answers()], [405, 200])

    def test_after_close(self) -> None:
        """What follows ``Connection: close`` is not answered; nor what follows HTTP/1.0."""
        old = b"GET / HTTP/1.0\r\n" + HOST + b"\r\n"
        for data in (get("/", b"Connection: close"), old):
            connection = self.connect(data + get("/"))
            self.assertEqual(connection.received.count(b" 200 OK\r\n"), 1)
            self.assertIsNotNone(connection.lost)


class UpgradeTests(SiteCase):
    """WebSockets behind the same port."""

    def frame(self, payload: bytes) -> bytes:
        """A client's text frame, masked with zeros (RFC 6455 section 5.2)."""
        return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload

    def test_echo(self) -> None:
        """An upgraded connection talks, for as long as it likes, and no deadline is left on it."""
        for path in ("/ws/sentinel", "/ws/proctor"):
            connection = self.connect(get(path, *HANDSHAKE.split(b"\r\n")[:-1]))
            head, _, _ = connection.received.partition(b"\r\n\r\n")
            self.assertIn(b"HTTP/1.1 101", head)
            self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            for text in (b"one", b"two"):
                connection.pass_time(3600)
                connection.send(self.frame(text))
                self.assertTrue(connection.received.endswith(b"\x81\x03" + text))
            connection.vanish()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_echo_after_a_page(self) -> None:
        """A connection that was used for the page before can be upgraded too."""
        connection = self.connect(get("/"))
        connection.pass_time(30)
        connection.send(get("/ws/proctor", *HANDSHAKE.split(b"\r\n")[:-1]))
        connection.pass_time(3600)
        connection.send(self.frame(b"still here"))
        self.assertTrue(connection.received.endswith(b"\x81\x0astill here"))

    def test_large_message(self) -> None:
        """What is sent and received there is none of the channel's business."""
        connection = self.connect(get("/ws/proctor", *HANDSHAKE.split(b"\r\n")[:-1]))
        payload = b"x" * 300_000
        head = bytes([0x81, 0xFF]) + len(payload).to_bytes(8, "big") + bytes(4)
        connection.send(head + payload)
        self.assertTrue(connection.received.endswith(payload))


class LogTests(SiteCase):
    """The access log."""

    def lines(self, data: bytes) -> list[str]:
        """What is logged for a request, at debug level."""
        with capturedLogs() as events:
            self.connect(data)
        return [
            str(event["log_format"]).format(**event)
            for event in events
            if event["log_level"].name == "debug"
        ]

    def test_line(self) -> None:
        """An answer is one line with who, what, how it went, how much, how long."""
        (line,) = self.lines(get("/healthz?"))
        self.assertEqual(line, "127.0.0.1:31337 GET /healthz? 200 15 bytes 0.000 s")

    def test_ranges(self) -> None:
        """Who plays a film asks for it in many ranges: the first has a line, and all the others
        have one, as soon as something else is asked for or the connection ends."""
        body = ScriptedBody(1_000)
        self.show(ScriptedArchive(body))
        other = DESK_PATH + "/segments/0-8"
        part = get(DESK_PATH + "/segments/0-9", b"Range: bytes=10-19")
        with capturedLogs() as events:
            connection = self.connect(part)
            for data in (part, part, get(other), part, part):
                connection.send(data)
            connection.vanish()
        lines = [
            str(event["log_format"]).format(**event).partition(" ")[2][-46:]
            for event in events
            if event["log_level"].name == "debug"
        ]
        self.assertEqual(
            [line.removeprefix("GET ").rpartition("/segments/")[2] for line in lines],
            [
                "0-9 206 10 bytes 0.000 s",
                "has had 2 more of the same address, 20 bytes",
                "0-8 200 1000 bytes 0.000 s",
                "0-9 206 10 bytes 0.000 s",
                "has had 1 more of the same address, 10 bytes",
            ],
        )

    def test_seconds(self) -> None:
        """The time is that of the clock that was passed in."""
        self.serve(self.scripted)
        connection = self.connect(get("/"))
        with capturedLogs() as events:
            connection.pass_time(1.5)
            self.scripted.requests[0].finish()
        self.assertEqual(events[-1]["seconds"], 1.5)

    def test_escaped(self) -> None:
        """Whatever is asked for, it is one line of printable characters, and not a long one."""
        for target in ("/%0d%0aGET", "/\x7f\xa0{peer}", "/" + "x" * 4000):
            (line,) = self.lines(get(target).decode("utf-8").encode("latin-1"))
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 500)

    def test_refusals(self) -> None:
        """A refused connection is one line too."""
        (line,) = self.lines(b"nonsense\r\n")
        self.assertEqual(line, "127.0.0.1:31337 refused: 400 bad-request")

    def test_cut_off(self) -> None:
        """An answer that was cut off is not logged as if it had been sent."""
        body = ScriptedBody(4 * PIECE_BYTES, damaged_at=3 * PIECE_BYTES)
        archive = ScriptedArchive(body)
        self.show(archive)
        self.assertEqual(self.lines(get(DESK_PATH + "/segments/0-9")), [])


class FactoryTests(SiteCase):
    """What the factory is, and is not."""

    def test_no_http2(self) -> None:
        """Only HTTP/1.1 is negotiated over TLS."""
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])

    def test_no_ticking(self) -> None:
        """Starting and stopping it schedules nothing and opens nothing."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
