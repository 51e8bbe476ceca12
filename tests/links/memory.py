"""A whole server in memory: hub, store and conversations on one virtual clock, no sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.media import EPOCH_US
from tests.fakes.peers import FakeProctorPeer, FakeSentinelPeer
from tests.fakes.store import MemoryStore
from vidlink.interfaces import ICodec, ISentinelPeer
from vidlink.links.ingest.conversation import Ingest
from vidlink.links.watch.conversation import Watch
from vidlink.model import EVERYBODY, USUAL, Bounds, Limits, Principal, Session
from vidlink.relay.hub import Hub
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.jsontext import JsonCodec

BINARY = BinaryCodec()
JSON = JsonCodec()
FIRST, SECOND = "first-session-000", "second-session-00"


class KeepingStore(MemoryStore):
    """The store in memory; `begins` lists which sessions were begun or opened again, `ends`
    which were ended or sealed, and why.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begins: list[str] = []
        self.ends: list[tuple[str, str]] = []
        self._answer: Deferred[Any] | None = None

    def hesitate(self) -> Deferred[Any]:
        """What is wanted of tails is told when this is fired, and not before."""
        self._answer = Deferred()
        return self._answer

    def tails(self, sentinel_id: str, tails: Any) -> Deferred[Any]:
        """Look up what is wanted, at once or later."""
        found = super().tails(sentinel_id, tails)
        answer = self._answer
        return found if answer is None else answer.addCallback(lambda _: found)

    def reserve(self, session: Session) -> None:
        """Keep it: the session may begin."""
        super().reserve(session)
        self.begins.append(session.session_id)

    def reopen(self, session: Session, durable: Any) -> Deferred[None]:
        """Keep it, and open the session."""
        opened = super().reopen(session, durable)
        if self._kept[session.session_id].durable is durable:
            self.begins.append(session.session_id)
        return opened

    def seal(self, session_id: str) -> bool:
        """Keep it, and seal the session."""
        self.ends.append((session_id, "sealed"))
        return super().seal(session_id)

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """Keep it, and end the session."""
        self.ends.append((session_id, reason))
        super().end(session_id, reason, ended_time_us)


class MemoryServer:
    """What the server's tap puts together, but for the sockets; `store` is in memory if not
    given."""

    def __init__(
        self,
        *,
        commit_at_once: bool = True,
        queue_segments: int = 65_536,
        store: Any = None,
        clock: Clock | None = None,
        bounds: Bounds = USUAL,
        **hub: Any,
    ) -> None:
        self.bounds = bounds
        self.clock = clock or Clock()
        if clock is None:
            self.clock.advance(1_000.0)
        #: By so much the wall clock was set ahead.
        self.leapt_us = 0
        self.hub = Hub(self.clock.seconds, bounds=bounds, **hub)
        self.store: KeepingStore = store or KeepingStore(
            wall_clock_us=self.now_us,
            commit_at_once=commit_at_once,
            queue_segments=queue_segments,
        )
        self.ingests: list[Ingest] = []

    def now_us(self) -> int:
        """The wall clock."""
        return EPOCH_US + int(self.clock.seconds() * 1_000_000) + self.leapt_us

    def sentinel(
        self,
        sentinel_id: str = "desk-1",
        instance_id: str = "one",
        *,
        codec: ICodec = BINARY,
        limits: Limits | None = None,
        principal: Principal = EVERYBODY,
    ) -> FakeSentinelPeer:
        """A Sentinel that has connected and said nothing yet."""
        peer = FakeSentinelPeer(codec, sentinel_id, instance_id)
        peer.conversation = self.ingest(peer, limits or Limits(), principal)
        return peer

    def ingest(
        self, peer: ISentinelPeer, limits: Limits, principal: Principal = EVERYBODY
    ) -> Ingest:
        """The conversation with a Sentinel that has connected."""
        ingest = Ingest(
            peer,
            self.hub,
            self.store,
            seconds=self.clock.seconds,
            wall_clock_us=self.now_us,
            limits=limits,
            principal=principal,
            bounds=self.bounds,
        )
        self.ingests.append(ingest)
        return ingest

    def live(self, sentinel_id: str = "desk-1", **options: Any) -> FakeSentinelPeer:
        """A Sentinel that has begun its first session, and heard nothing since."""
        peer = self.sentinel(sentinel_id, **options)
        peer.register(f"session-of-{sentinel_id:_<10}".replace(".", "_"))
        peer.init()
        peer.forget()
        return peer

    def proctor(self, codec: ICodec = BINARY) -> FakeProctorPeer:
        """A Proctor that has registered, and has read everything since."""
        peer = self.connect(codec)
        peer.register()
        peer.read()
        peer.forget()
        return peer

    def connect(self, codec: ICodec = BINARY, principal: Principal = EVERYBODY) -> FakeProctorPeer:
        """A Proctor that has connected and said nothing yet."""
        peer = FakeProctorPeer(codec)
        peer.conversation = Watch(
            peer,
            self.hub,
            codec,
            proctor_id="proctor-1",
            seconds=self.clock.seconds,
            wall_clock_us=self.now_us,
            principal=principal,
            bounds=self.bounds,
        )
        return peer

    def second(self, seconds: float = 1.0) -> None:
        """Let time pass, and tick once."""
        self.clock.advance(seconds)
        self.hub.tick()
        for ingest in self.ingests:
            ingest.tick()


class LinkCase(SynchronousTestCase):
    """A test with a server of its own, whose store commits at once or when it is told to."""

    commit_at_once = True
    queue_segments = 65_536
    bounds = USUAL

    def setUp(self) -> None:
        """Start a server."""
        self.server = MemoryServer(
            commit_at_once=self.commit_at_once,
            queue_segments=self.queue_segments,
            bounds=self.bounds,
        )

    def assert_closed(self, peer: FakeSentinelPeer | FakeProctorPeer, close_code: int) -> None:
        """The server has closed with this code, and has said why in band, as its last word."""
        assert peer.closed is not None, "it is still open"
        self.assertEqual(peer.closed.close_code, close_code, str(peer.closed))
        last: Any = peer.heard[-1]
        self.assertEqual((last.code, last.message), (peer.closed.code, str(peer.closed)))

    def assert_open(self, peer: FakeSentinelPeer | FakeProctorPeer) -> None:
        """The server has not closed."""
        self.assertIsNone(peer.closed, str(peer.closed))
