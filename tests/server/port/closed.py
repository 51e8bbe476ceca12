"""A whole server in memory that asks for credentials, and those who come with some."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import Keys, trail
from tests.fakes.store import MemoryStore
from tests.server.api.histories import DESK, GATE, GATE_MISSING, NOW_US, recorded
from tests.server.sockets.opened import Answer, Connection
from vidlink.model import USUAL, Registration, Role
from vidlink.plugins import find_codecs
from vidlink.relay.hub import Hub
from vidlink.server.api.access import Access
from vidlink.server.api.enrolling import Enrolling
from vidlink.server.api.fast_path import fast_path
from vidlink.server.api.history import Api
from vidlink.server.api.oidc import Oidc
from vidlink.server.api.probes import Probes
from vidlink.server.health.health import Health
from vidlink.server.health.metrics import Metrics
from vidlink.server.port.assets import Assets
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Root, Site, is_own, principal_of, ticket_of
from vidlink.server.sockets.ingest import IngestFactory
from vidlink.server.sockets.watch import WatchFactory
from vidlink.server.tap import link_resource

HOST = "127.0.0.1:8080"
#: The group of the desk, whose session is over, and that of the gate, which is live.
WARD, YARD = DESK.group, GATE.group
#: Another site, whose pages are let in.
GUEST = "https://guest.example"


class Speaker:
    """One end of a WebSocket in JSON, at the client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        """What the handshake was answered with."""
        return int(bytes(self._connection.received).split(maxsplit=2)[1])

    @property
    def reason(self) -> str:
        """What the status line says of it."""
        return bytes(self._connection.received).split(b"\r\n")[0].split(maxsplit=2)[2].decode()

    def say(self, **message: Any) -> None:
        """Send one message."""
        text = json.dumps(message).encode()
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2)
        # A mask of zeros leaves all as it is.
        self._connection.send(b"\x81" + size + bytes(4) + text)

    def pong(self) -> None:
        """Answer the newest ping."""
        pings = [data for opcode, data in self._frames() if opcode == 9]
        self._connection.send(b"\x8a" + bytes([0x80 | len(pings[-1])]) + bytes(4) + pings[-1])

    def heard(self) -> list[Any]:
        """All messages that have come."""
        return [json.loads(text) for opcode, text in self._frames() if opcode == 1]

    def heard_of(self, kind: str) -> list[Any]:
        """All messages of one type."""
        return [message for message in self.heard() if message["type"] == kind]

    @property
    def close_code(self) -> int | None:
        """The code that the server has closed with; None if it has not."""
        codes = [int.from_bytes(text[:2]) for opcode, text in self._frames() if opcode == 8]
        return codes[0] if codes else None

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        rest = bytes(self._connection.received).partition(b"\r\n\r\n")[2]
        while rest:
            opcode, size, begin = rest[0] & 15, rest[1], 2
            if size > 125:
                octets = 2 if size == 126 else 8
                begin, size = 2 + octets, int.from_bytes(rest[2 : 2 + octets])
            yield opcode, rest[begin : begin + size]
            rest = rest[begin + size :]


class ClosedCase(SynchronousTestCase):
    """A server on loopback with a recorded desk in the ward and a live gate in the yard.

    `shown` is what each kind of visitor shows: headers of a request.
    """

    bounds = USUAL

    def setUp(self) -> None:
        """Put it together, and make the credentials."""
        self.clock = MemoryReactorClock()
        self.clock.advance(NOW_US / 1_000_000)
        self.keys = Keys(self.mktemp(), self.clock, bounds=self.bounds)
        self.addCleanup(self.keys.credentials.close)
        self.store = MemoryStore(wall_clock_us=lambda: NOW_US)
        recorded(self.store, DESK)
        self.store.end(DESK.session_id, "over", NOW_US)
        recorded(self.store, GATE, GATE_MISSING)
        self.hub = Hub(self.clock.seconds, bounds=self.bounds)
        self._serve()
        self._spares = 0
        self._connections: list[Connection] = []
        self.shown: dict[str, dict[str, str]] = {
            "stranger": {},
            "sentinel": bearer(self.keys.token(Role.SENTINEL, sentinel_id="gate.2")),
            "image": bearer(self.keys.token(Role.ENROLMENT, sentinel_group=WARD)),
        }
        for name, role, groups in (
            ("proctor of the ward", Role.PROCTOR, frozenset({WARD})),
            ("proctor of the yard", Role.PROCTOR, frozenset({YARD})),
            ("proctor of all", Role.PROCTOR, None),
            ("administrator of the yard", Role.ADMINISTRATOR, frozenset({YARD})),
            ("administrator", Role.ADMINISTRATOR, None),
            ("auditor", Role.AUDITOR, None),
        ):
            self.keys.user(name, role, groups=groups)
            self.log_in(name)

    def _serve(self) -> None:
        store, hub, gate = self.store, self.hub, self.keys.gate
        self.audit_folder = self.mktemp()
        self.trail = written = trail(self.audit_folder, self.clock)
        gate.did = written.note
        links: dict[str, Any] = {
            "codecs": find_codecs(),
            "clock": self.clock,
            "gate": gate,
            "bounds": self.bounds,
        }
        self.ingest = IngestFactory(hub, store, lambda: NOW_US, **links)
        self.watch = WatchFactory(hub, lambda: NOW_US, **links, did=written.note)
        api = Api(
            store,
            hub,
            store,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=principal_of,
            ticket_of=ticket_of,
            did=written.note,
        )
        access = Access(
            gate,
            principal_of=principal_of,
            is_own=is_own,
            trail=written,
            enrolling=Enrolling(self.keys.register, hub, self.keys.now_us),
        )
        oidc = Oidc(None, gate, is_own=is_own, trail=written)
        health = Health(store, store, hub, self.clock.seconds)
        probes = Probes(health, Metrics(hub, store, health, ()))
        sockets = [link_resource(factory) for factory in (self.ingest, self.watch)]
        root = Root(
            api.resource(),
            access.resource(),
            probes.resource(),
            Assets({"index.html": b"<!doctype html>"}),
            sockets[0],
            sockets[1],
            oidc=oidc.resource(),
        )
        hosts = Hosts([Listening.parse("tcp:8080:interface=127.0.0.1")], [GUEST])
        self.site = Site(
            root,
            clock=self.clock,
            hosts=hosts,
            gate=gate,
            bounds=self.bounds,
            # As the daemon has it: films do not go by the table of paths.
            fast_path=fast_path(api),
        )
        self.site.doStart()
        self.addCleanup(self.site.doStop)

    def log_in(self, name: str) -> None:
        """Log a user in, once more."""
        self._spares += 1
        token = self.keys.login(name, f"{self._spares:08x}")
        self.shown[name] = {"Cookie": f"theme=dark; vidlink={token}"}

    def ask(self, method: str, target: str, shown: dict[str, str], value: object = None) -> Answer:
        """The answer to a request, with JSON if there is a `value`."""
        connection = self.connect(method, target, shown, value)
        (answer,) = connection.answers()
        self._connections.remove(connection)
        connection.vanish()
        return answer

    def connect(
        self, method: str, target: str, shown: dict[str, str], value: object = None
    ) -> Connection:
        """A connection on which a request has been sent."""
        body = b"" if value is None else json.dumps(value).encode()
        headers = {"Host": HOST, **shown}
        if value is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        connection = Connection(self.site, self.clock)
        self._connections.append(connection)
        connection.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        return connection

    def dial(self, target: str, shown: dict[str, str]) -> Speaker:
        """A WebSocket, or an attempt at one."""
        handshake = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "vidlink.v1.json",
        }
        return Speaker(self.connect("GET", target, {**handshake, **shown}))

    def proctor(self, name: str) -> Speaker:
        """A Proctor that is registered, and the list is published."""
        speaker = self.dial("/ws/proctor", self.shown[name])
        self.assertEqual(speaker.status, 101, name)
        speaker.say(type="proctor.register", software="test/1")
        self.tick()
        return speaker

    def sentinel(self, sentinel_id: str, group: str = "", instance: str = "one") -> Speaker:
        """A Sentinel with a token for every id, that has registered."""
        speaker = self.dial("/ws/sentinel", bearer(self.keys.token(Role.SENTINEL)))
        self.register(speaker, sentinel_id, group, instance)
        return speaker

    def register(
        self, speaker: Speaker, sentinel_id: str, group: str = "", instance: str = "one"
    ) -> None:
        """Register as that Sentinel."""
        self._spares += 1
        speaker.say(
            type="sentinel.register",
            sentinelId=sentinel_id,
            instanceId=instance,
            name=sentinel_id,
            group=group,
            software="test/1",
            sessionId=f"session-of-test-{self._spares:04d}",
        )

    def known(self, sentinel_id: str, group: str) -> None:
        """A Sentinel that was here before."""
        self.hub.remember([(Registration(sentinel_id, "i", sentinel_id, group, "test/1"), 1)], 0.0)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and do what the service does once a second."""
        self.clock.advance(seconds)
        self.keys.register.refresh()
        self.hub.tick()
        self.ingest.tick()
        self.watch.tick()
        for connection in self._connections:
            connection.turn()

    def spare(self) -> str:
        """The path of a session of the desk that is over, and may be deleted."""
        self._spares += 1
        session = replace(DESK, session_id=f"spare-{self._spares:010d}")
        recorded(self.store, session)
        self.store.end(session.session_id, "over", NOW_US)
        return f"/api/v1/sentinels/{DESK.sentinel_id}/sessions/{session.session_id}"


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
