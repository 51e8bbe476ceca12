"""A history with something in it, and a client that asks for it in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface import implementer

from tests.fakes.gates import ANYBODY, Keys, trail
from tests.fakes.store import MemoryStore
from tests.store.samples import EPOCH_US, a_session, an_arrival, renamed
from vidlink.interfaces import IArchive, IPublisher
from vidlink.model import (
    Arrival,
    Cause,
    Gap,
    Policy,
    Principal,
    Registration,
    Right,
    Role,
    Session,
    Waiting,
    WaitReason,
)
from vidlink.relay.hub import Hub
from vidlink.server.api.access import Access
from vidlink.server.api.enrolling import Enrolling
from vidlink.server.api.history import Api
from vidlink.server.api.oidc import Oidc
from vidlink.server.api.openapi import document
from vidlink.server.api.probes import Probes
from vidlink.server.health.health import Health
from vidlink.server.health.metrics import Metrics
from vidlink.server.port.site import Root

BASE = "http://127.0.0.1:8080"
NOW_US = EPOCH_US + 3_600_000_000
DESK = a_session(0)
GATE = renamed(a_session(1, sentinel_id="gate.2"), group="yard", name="Gate \u2192 East")
#: A user who has logged in, and what the one who asks has shown.
USER = "ada"
LOGGED_IN = Principal(USER, "login:0badcafe", frozenset(Right))
#: A machine, and what it shows.
MACHINE = 64 * "a"
IN_ROOM = Principal("Room A", "token:token-1", frozenset({Right.ENROL}), sentinel_group="Room A")
#: By this, the desk's session is to go.
POLICY = Policy(max_age_us=10**12, max_bytes=4_000, min_free_bytes=10**8)
DESK_PATH = f"/api/v1/sentinels/{DESK.sentinel_id}/sessions/{DESK.session_id}"
GATE_PATH = f"/api/v1/sentinels/{GATE.sentinel_id}/sessions/{GATE.session_id}"
#: What the gate's session lacks; of 13 and 14 nothing can be shown either.
GATE_MISSING = (7, 8, 9, 12)


@implementer(IPublisher)
class Publisher:
    """A connected Sentinel that remembers what it was asked for."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.address = "192.0.2.1:1234"
        self.asked: list[object] = []

    def request_keyframe(self) -> None:
        """Remember it."""
        self.asked.append("keyframe")

    def change_framerate(self, framerate_mhz: int) -> None:
        """Remember it."""
        self.asked.append(framerate_mhz)

    def replace(self) -> None:
        """Nobody replaces it here."""
        raise AssertionError("replaced")

    def probe(self, seconds: float) -> Deferred[bool]:
        """It lives."""
        return succeed(True)


def recorded(store: MemoryStore, session: Session, missing: tuple[int, ...] = ()) -> None:
    """Record 20 segments of `session`, but for the `missing`."""
    store.begin(session, lambda sequence: None)
    for sequence in range(20):
        if sequence not in missing:
            store.append(session.session_id, arrival_of(session, sequence))


def arrival_of(session: Session, sequence: int) -> Arrival:
    """Segment `sequence` as :func:`recorded` records it."""
    return an_arrival(session, sequence)


def data_of(session: Session, *sequences: int) -> bytes:
    """The bytes of segments, joined."""
    return b"".join(bytes(arrival_of(session, n).segment.data) for n in sequences)


def _in_a_room_or_logged_in(request: Any) -> Principal:
    is_enrolment = (request.method, request.path) == (b"POST", b"/api/v1/enrolments")
    return IN_ROOM if is_enrolment else LOGGED_IN


class Seen:
    """An answer: status, headers, body, and the length that was announced for it."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.code
        self.raw_headers = response.headers
        self.length = response.length
        self.body = body

    def header(self, name: str) -> str | None:
        """The value of a header that comes once; None if it is not there."""
        values = self.raw_headers.getRawHeaders(name, [])
        assert len(values) < 2, (name, values)
        return str(values[0]) if values else None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        assert self.header("Content-Type") == "application/json", self.body
        return json.loads(self.body)


class HistoryCase(SynchronousTestCase):
    """A history of two sessions: one whole and ended, one live with holes.

    The desk's Sentinel is offline, the gate's is connected.
    """

    def setUp(self) -> None:
        """Record the sessions."""
        self.seconds = 4.0
        self.store = MemoryStore(wall_clock_us=lambda: NOW_US, policy=POLICY)
        self.store.waiting = (Waiting(WaitReason.POLICY, "the policy is new", 517.2),)
        self.spares = 0
        recorded(self.store, DESK)
        self.store.end(DESK.session_id, "the sentinel disconnected", EPOCH_US + 4_100_000)
        recorded(self.store, GATE, GATE_MISSING)
        self.store.gap(GATE.session_id, Gap(12, 12, Cause.DECLARED, detail="the spool was full"))
        self.hub = Hub(lambda: self.seconds)
        registration = Registration(GATE.sentinel_id, "i", GATE.name, GATE.group, GATE.software)
        self.publisher = Publisher(registration)
        stream = self.successResultOf(self.hub.claim(registration, self.publisher))
        stream.begin(GATE, lambda: self.store.recording(GATE.session_id))
        stream.push(an_arrival(GATE, 19))
        self.seconds += 1
        self.keys = Keys(self.mktemp(), Clock())
        self.keys.user(USER, Role.ADMINISTRATOR)
        self.keys.login(USER)
        self.keys.token(Role.ENROLMENT, sentinel_group="Room A")
        self.serve(self.store)

    def spare(self) -> str:
        """The id of a session of the gate that is over, has a hole, and may be deleted."""
        self.spares += 1
        session = replace(GATE, session_id=f"spare-{self.spares:010d}")
        recorded(self.store, session, GATE_MISSING)
        self.store.end(session.session_id, "over", EPOCH_US + 70_000_000)
        return session.session_id

    def spare_login(self) -> str:
        """The id of one more login of the user."""
        self.spares += 1
        login_id = f"{self.spares:08x}"
        self.keys.login(USER, login_id)
        return login_id

    def enrolled(self) -> None:
        """Enrol a machine."""
        body = {"sentinelId": "desk-12", "machine": MACHINE, "software": "test/1"}
        headers = {"Content-Type": "application/json"}
        path = "/api/v1/enrolments"
        self.assertEqual(self.ask(path, headers, "POST", json.dumps(body).encode()).status, 201)

    def serve(
        self,
        archive: IArchive,
        principal: Principal = ANYBODY,
        *,
        run_in_pool: Callable[..., Deferred[Any]] = execute,
    ) -> None:
        """Answer from `archive` from now on."""
        history = Api(
            archive,
            self.hub,
            self.store,
            document=document(),
            wall_clock_us=lambda: NOW_US,
            principal_of=lambda _: principal,
            run_in_pool=run_in_pool,
        )
        self.health = Health(self.store, self.store, self.hub, lambda: self.seconds)
        self.health.tick()
        access = Access(
            self.keys.gate,
            principal_of=_in_a_room_or_logged_in,
            is_own=lambda _: True,
            trail=trail(self.mktemp(), self.keys.clock),
            enrolling=Enrolling(self.keys.register, self.hub, lambda: NOW_US),
        )
        oidc = Oidc(
            None, self.keys.gate, is_own=lambda _: True, trail=trail(self.mktemp(), Clock())
        )
        vitals = Probes(self.health, Metrics(self.hub, self.store, self.health, [object()]))
        self.client: Any = StubTreq(
            Root(
                history.resource(),
                access.resource(),
                vitals.resource(),
                history.resource(),
                Resource(),
                Resource(),
                oidc.resource(),
            )
        )

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        data: bytes | None = None,
    ) -> Seen:
        """What the client gets for a request."""
        asked = self.client.request(method, BASE + path, headers=headers, data=data)
        self.client.flush()
        response = self.successResultOf(asked)
        body = self.successResultOf(self.client.content(response))
        return Seen(response, body)

    def stays(self, path: str) -> str:
        """The address of just that version of a film which is at `path` now; else `path`."""
        if "/recording.mp4" not in path:
            return path
        version = (self.ask(path).header("ETag") or "").strip('"')
        return f"{path}{'&' if '?' in path else '?'}version={version}"

    def get_json(self, path: str) -> Any:
        """The JSON of a request that must succeed."""
        seen = self.ask(path)
        self.assertEqual(seen.status, 200, seen.body)
        return seen.json

    def assert_error(self, seen: Seen, status: int, code: str, *words: str) -> None:
        """An answer that reports an error, with `words` in its text, to be kept by nobody."""
        self.assertEqual(seen.status, status, seen.body)
        error = seen.json["error"]
        self.assertEqual(seen.json.keys(), {"error"})
        self.assertEqual(error.keys(), {"code", "message"})
        self.assertEqual(error["code"], code)
        for word in words:
            self.assertIn(word, error["message"])
        self.assertEqual(seen.header("Cache-Control"), "no-store")
        self.assertEqual(seen.length, len(seen.body))
