"""A real uplink with its spool, joined to a server in memory by a link that a test can cut.

No sockets, one virtual clock; every message goes through a real format.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer
from tests.links.memory import BINARY, MemoryServer
from vidlink.fmp4 import shift_producer_time
from vidlink.interfaces import ICapture, ISentinelPeer, IServerPeer, ISpool
from vidlink.links.ingest.conversation import Ingest
from vidlink.links.uplink.conversation import Uplink
from vidlink.messages import DeclareGap, Message, Subscribe
from vidlink.model import EncodedFrame, Limits, Registration, Segment, SpooledSession
from vidlink.sentinel.spool.memory import MemorySpool
from vidlink.wire.framing import server_frame

SENTINEL = "desk-1"


@implementer(ICapture)
class FakeCapture:
    """Counts epochs, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.epoch = 0
        self.is_keyframe_due = True
        self.asked: list[object] = []

    def begin_session(self) -> int:
        """The next frame begins a session."""
        self.epoch += 1
        self.is_keyframe_due = True
        return self.epoch

    def request_keyframe(self) -> None:
        """The next frame is a keyframe."""
        self.is_keyframe_due = True
        self.asked.append("keyframe")

    def set_framerate(self, framerate_mhz: int) -> None:
        """Remember."""
        self.asked.append(framerate_mhz)


@implementer(ISpool)
class WatchedSpool:
    """A spool that remembers everything that was ever given to it."""

    def __init__(self, spool: Any) -> None:
        self.spool = spool
        self.captured: dict[str, dict[int, Segment]] = {}
        self.corrections: dict[str, int] = {}
        self.corrected: set[str] = set()
        self.given_up: dict[str, set[int]] = {}

    @property
    def load(self) -> float:
        """How full it is."""
        load: float = self.spool.load
        return load

    def sessions(self) -> tuple[SpooledSession, ...]:
        """What is in it."""
        sessions: tuple[SpooledSession, ...] = self.spool.sessions()
        return sessions

    def begin(self, session_id: str, init: bytes, is_corrected: bool) -> None:
        """A new session."""
        self.captured[session_id] = {}
        if is_corrected:
            self.corrected.add(session_id)
        self.spool.begin(session_id, init, is_corrected)

    def append(self, segment: Segment) -> None:
        """The next segment."""
        self.captured[segment.session_id][segment.sequence] = segment
        self.spool.append(segment)

    def drop(self, session_id: str, first: int, last: int, cause: str) -> None:
        """Give up sequences."""
        self.given_up.setdefault(session_id, set()).update(range(first, last + 1))
        self.spool.drop(session_id, first, last, cause)

    def forget(self, session_id: str, sequence: int) -> None:
        """Something is acknowledged."""
        self.spool.forget(session_id, sequence)

    def correct(self, session_id: str, offset_us: int) -> None:
        """Move the times of a session, the first time that it is said."""
        if session_id not in self.corrected:
            self.corrections.setdefault(session_id, offset_us)
        self.spool.correct(session_id, offset_us)

    def read(self, session_id: str, first: int, last: int) -> Any:
        """What is held."""
        return self.spool.read(session_id, first, last)

    def flush(self, session_id: str) -> Any:
        """Make it last."""
        return self.spool.flush(session_id)

    def remove(self, session_id: str) -> None:
        """A session is done with."""
        self.spool.remove(session_id)

    def close(self) -> Any:
        """The end."""
        return self.spool.close()

    def original(self, session_id: str, sequence: int) -> bytes:
        """What the server should have of a segment."""
        data = bytes(self.captured[session_id][sequence].data)
        return shift_producer_time(data, self.corrections.get(session_id, 0))


class Told:
    """What the uplink has told of itself, as tuples."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        """Any of its events."""
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *values: self.told.append((name.removeprefix("on_"), *values))

    def all(self, name: str) -> list[tuple[Any, ...]]:
        """Every event of this name."""
        return [event[1:] for event in self.told if event[0] == name]


@implementer(IServerPeer)
class Link:
    """One connection, of both ends: `up` and `down` are the messages on their way.

    While it is `choked` nothing leaves the Sentinel; what is written waits.
    """

    def __init__(self, clock: Clock) -> None:
        self.up: deque[tuple[bytes, bool]] = deque()
        self.down: deque[tuple[bytes, bool]] = deque()
        self.waiting: deque[tuple[bytes, bool]] = deque()
        self.sent: list[Message] = []
        self.heard: list[Message] = []
        self.choked = False
        self.is_open = True
        self.ingest: Ingest
        self.uplink: Uplink
        self.sentinel_end = _SentinelEnd(self)

    @property
    def backlog_bytes(self) -> int:
        """What waits at the Sentinel."""
        return sum(len(payload) for payload, _ in self.waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits at the Sentinel."""
        return not self.choked and self.is_open

    def send(self, message: Message) -> None:
        """The Sentinel sends a message."""
        if self.is_open:
            self.sent.append(message)
            (self.waiting if self.choked else self.up).append(BINARY.encode(message))

    def close(self, error: Any) -> None:
        """The Sentinel closes."""
        self.is_open = False

    def open_up(self) -> None:
        """The socket takes what has waited."""
        self.choked = False
        self.up.extend(self.waiting)
        self.waiting.clear()
        self.uplink.drained()


@implementer(ISentinelPeer)
class _SentinelEnd:
    """The server's end: what it sends."""

    address = "192.0.2.1:1234"

    def __init__(self, link: Link) -> None:
        self._link = link
        self.closed: Any = None

    def send(self, message: Message) -> None:
        if self.closed is None:
            self._link.down.append(BINARY.encode(message))

    def close(self, error: Any) -> None:
        self.closed = self.closed or error

    def hold(self, is_held: bool) -> None:
        assert not is_held, "nothing crowds here"

    def probe(self, seconds: float) -> Any:
        raise AssertionError("nobody else has this id")


class Uplinked:
    """An uplink, a spool, a server; and a Proctor that watches, if wanted."""

    def __init__(
        self,
        store: Any = None,
        *,
        spool: Any = None,
        spool_bytes: int = 1 << 26,
        behind_us: int = 0,
        patience_seconds: float = 0.0,
    ) -> None:
        self.patience_seconds = patience_seconds
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.behind_us = behind_us
        self.limits = Limits()
        self.server = MemoryServer(store=store, clock=self.clock)
        self.capture = FakeCapture()
        self.told = Told()
        self.spool = WatchedSpool(spool or MemorySpool(spool_bytes, monotonic=self.clock.seconds))
        self.uplink = self._uplink()
        self.link: Link | None = None
        self.frames = 0
        self.slept_us = 0
        self.media_time = 0
        self.shot_epoch = 0
        self.proctor: FakeProctorPeer | None = None

    def _uplink(self) -> Uplink:
        uplink = Uplink(
            Registration(SENTINEL, "one", "Desk 1", "room", "test/1"),
            self.capture,
            self.told,
            spool=self.spool,
            clock=self.clock,
            wall_clock_us=lambda: self.server.now_us() - self.behind_us,
        )
        uplink.start(self.patience_seconds)
        return uplink

    # The Sentinel

    def reborn(self) -> None:
        """The Sentinel's process dies; the next one finds what is in the spool."""
        self.cut()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.capture = FakeCapture()
        self.shot_epoch = 0
        self.uplink = self._uplink()

    def shoot(self, count: int = 1, *, epoch: int | None = None, size: int = 40) -> None:
        """So many frames are captured, 200 ms apart."""
        for _ in range(count):
            epoch = self.capture.epoch if epoch is None else epoch
            if epoch != self.shot_epoch:
                self.shot_epoch, self.media_time = epoch, 0
                self.uplink.initialized(media.init_segment(b"frame %d" % self.frames))
            keyframe = self.capture.is_keyframe_due or self.frames % 10 == 0
            self.capture.is_keyframe_due = False
            self.frames += 1
            self.media_time += media.FRAME_TICKS
            self.uplink.encoded(
                EncodedFrame(
                    epoch=epoch,
                    media_time=self.media_time - media.FRAME_TICKS,
                    start_time_us=self.server.now_us() - self.behind_us,
                    duration=media.FRAME_TICKS,
                    duration_ms=media.FRAME_MS,
                    is_keyframe=keyframe,
                    framerate_mhz=5_000,
                    data=b"frame %8d" % self.frames + bytes(size),
                    slept_us=self.slept_us,
                )
            )

    def sleep(self, seconds: float, *, is_late: bool = True) -> None:
        """The Sentinel's computer sleeps; the next frame is late by that, unless it was not due."""
        self.slept_us += round(seconds * 1_000_000)
        if is_late:
            self.clock.advance(seconds + media.FRAME_MS / 1_000)
            self.media_time += round(seconds * media.FRAME_TICKS * 1_000 / media.FRAME_MS)
            self.capture.is_keyframe_due = True

    def server_leaps(self, seconds: float) -> None:
        """The server's clock is set, and the Sentinel's is not."""
        self.server.leapt_us += round(seconds * 1_000_000)
        self.behind_us += round(seconds * 1_000_000)

    # The connection

    def connect(self) -> Link:
        """A connection is made; nothing has been delivered on it."""
        link = self.link = Link(self.clock)
        link.uplink = self.uplink
        link.ingest = self.server.ingest(link.sentinel_end, self.limits)
        self.uplink.connected(link)
        return link

    def cut(self) -> None:
        """The connection is lost, and whatever was on its way."""
        link, self.link = self.link, None
        if link is not None:
            link.is_open = False
            self.server.ingests.remove(link.ingest)
            link.ingest.lost()
            self.uplink.lost()

    def carry(self, up: int = 1 << 30, down: int = 1 << 30) -> int:
        """Deliver so many messages each way; returns how many that were."""
        link, count = self.link, 0
        while link is not None and link is self.link and ((up and link.up) or (down and link.down)):
            if up and link.up:
                up, count = up - 1, count + 1
                payload, is_binary = link.up.popleft()
                frame = server_frame(payload, True) if is_binary else None
                link.ingest.received(BINARY.decode(payload, is_binary), frame, BINARY.name)
            if down and link.down:
                down, count = down - 1, count + 1
                message = BINARY.decode(*link.down.popleft())
                link.heard.append(message)
                self.uplink.received(message)
            closed = link.sentinel_end.closed
            if not link.down and (closed is not None or not link.is_open):
                raise AssertionError(f"the server has closed: {closed}")
        return count

    def online(self) -> Link:
        """Connect, and register."""
        link = self.connect()
        self.carry()
        return link

    def watch(self) -> FakeProctorPeer:
        """A Proctor watches from now on."""
        self.proctor = self.server.proctor()
        self.proctor.say(Subscribe(SENTINEL))
        self.proctor.read()
        return self.proctor

    def second(self, frames: int = 0) -> None:
        """A second passes, in which everything is delivered."""
        for _ in range(5):
            self.clock.advance(0.2)
            if frames > 0:
                self.shoot()
                frames -= 1
            self.carry()
        self.server.hub.tick()
        for ingest in tuple(self.server.ingests):
            ingest.tick()
        self.carry()
        self.uplink.tick()
        self.carry()

    def gaps(self) -> list[DeclareGap]:
        """What was declared lost on this connection."""
        assert self.link is not None
        return [message for message in self.link.sent if isinstance(message, DeclareGap)]

    def late(self) -> list[tuple[str, int]]:
        """What was sent late on this connection."""
        assert self.link is not None
        return [
            (message.session_id, message.sequence)
            for message in self.link.sent
            if isinstance(message, Segment) and message.is_late
        ]
