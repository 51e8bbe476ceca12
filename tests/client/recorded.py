"""Recordings that really play, in a server in memory, and a network that can be broken."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from tests.fakes import media
from tests.fakes.gates import anybody
from tests.fakes.store import MemoryStore
from tests.server.api.histories import BASE, NOW_US, recorded
from tests.store.samples import EPOCH_US, a_session, renamed
from vidlink.client import History
from vidlink.model import Cause, Gap, Session
from vidlink.relay.hub import Hub
from vidlink.server.api.history import Api

#: Whole and ended; ended, with a hole; live.
DESK = a_session(0, init=media.init_segment())
GATE = renamed(a_session(1, sentinel_id="gate.2", init=media.init_segment()), group="yard")
LIVE = renamed(a_session(2, sentinel_id="gate.2", init=media.init_segment()), group="yard")
HOLE = (7, 8)


class Broken:
    """A response of which only the first octets come."""

    def __init__(self, response: Any, size_bytes: int) -> None:
        self._response = response
        self._left = size_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def deliverBody(self, protocol: Protocol) -> None:
        """Give so much, and break."""
        broken = self

        class Cut(Protocol):
            def connectionMade(self) -> None:
                protocol.makeConnection(self.transport)

            def dataReceived(self, data: bytes) -> None:
                if broken._left > 0:
                    protocol.dataReceived(data[: broken._left])
                broken._left -= len(data)

            def connectionLost(self, reason: Any = None) -> None:
                lost = ResponseFailed([Failure(ConnectionLost())])
                protocol.connectionLost(Failure(lost))

        self._response.deliverBody(Cut())


class Network:
    """A treq that asks a server in memory, over connections that break when told to."""

    def __init__(self, treq: Any) -> None:
        self._treq = treq
        #: The URLs asked for, with their `Range`, without those asked for by HEAD.
        self.asked: list[tuple[str, str | None]] = []
        #: How many octets of each of the next recordings come, before the connection breaks.
        self.breaks: list[int] = []
        self.is_down = False

    def request(self, method: str, url: str, **wishes: Any) -> Deferred[Any]:
        """Ask."""
        params = "&".join(f"{name}={value}" for name, value in wishes["params"].items())
        answered: Deferred[Any]
        if method == "HEAD":
            answered = self._treq.request(method, url, **wishes)
            return answered
        self.asked.append((f"{url}?{params}".rstrip("?"), wishes["headers"].get("Range")))
        if self.is_down:
            return fail(ConnectionRefusedError())
        answered = self._treq.request(method, url, **wishes)
        if "recording.mp4" in url:
            answered.addCallback(self._cut)
        return answered

    def _cut(self, response: Any) -> Any:
        """Break the answer off, if it is none that says where else to ask."""
        if response.code == 307:
            self.asked.pop()
        elif self.breaks:
            return Broken(response, self.breaks.pop(0))
        return response


class RecordedCase(SynchronousTestCase):
    """Three sessions, a client, and a folder."""

    def setUp(self) -> None:
        """Record them."""
        self.clock = Clock()
        self.store = MemoryStore(wall_clock_us=lambda: NOW_US)
        recorded(self.store, DESK)
        self.store.end(DESK.session_id, "disconnected", EPOCH_US + 4_100_000)
        recorded(self.store, GATE, HOLE)
        self.store.gap(GATE.session_id, Gap(7, 8, Cause.DECLARED, detail="the spool was full"))
        self.store.end(GATE.session_id, "disconnected", EPOCH_US + 64_100_000)
        recorded(self.store, LIVE)
        hub = Hub(lambda: 0.0)
        served = Api(
            self.store,
            hub,
            self.store,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=anybody,
        )
        self.treq: Any = StubTreq(served.resource())
        self.network = Network(self.treq)
        self.history = History(BASE, treq=self.network, clock=self.clock)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def start(self, call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Begin a call; what can happen now happens."""
        waiting = Deferred.fromCoroutine(call)
        self.flush()
        return waiting

    def flush(self) -> None:
        """All answers come."""
        for _ in range(20):
            self.treq.flush()

    def result_of(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call returns; time passes until it does."""
        waiting = self.start(call)
        for _ in range(100):
            if waiting.called:
                break
            self.clock.advance(5)
            self.flush()
        return self.successResultOf(waiting)

    def error_of(self, kind: type[Exception], call: Coroutine[Any, Any, Any]) -> Any:
        """What a call raises; time passes until it does."""
        waiting = self.start(call)
        for _ in range(100):
            if waiting.called:
                break
            self.clock.advance(5)
            self.flush()
        return self.failureResultOf(waiting, kind).value

    def film(self, session: Session, query: str = "") -> bytes:
        """The recording as the server has it."""
        path = f"/api/v1/sentinels/{session.sentinel_id}/sessions/{session.session_id}"
        asked = self.treq.get(f"{BASE}{path}/recording.mp4{query}")
        self.treq.flush()
        body: bytes = self.successResultOf(self.treq.content(self.successResultOf(asked)))
        return body
