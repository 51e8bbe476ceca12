"""Live clients joined with a real server in memory, on a virtual clock."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.joined import BINARY, JSON, Joined, Peer
from vidlink.client.live import Event, Live, connect_to
from vidlink.dialling.address import Address
from vidlink.messages import SentinelRegister
from vidlink.model import InitSegment, Segment

URL = "ws://127.0.0.1:8080/ws/proctor"


class JoinedEndpoint:
    """Connects to a `Joined` server; while `is_down`, to nobody."""

    def __init__(self, server: Joined) -> None:
        self.server = server
        self.is_down = False

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect, as an endpoint does."""
        if self.is_down:
            return fail(ConnectionRefusedError())
        return succeed(self.server.join(self.server.watch, factory))


class Screen:
    """A scripted Sentinel that sends real media."""

    def __init__(self, server: Joined, sentinel_id: str = "desk-1") -> None:
        self.server = server
        self.sentinel_id = sentinel_id
        self.session_id = ""
        self.peer: Peer | None = None
        self.sequence = 0

    def connect(self, session_id: str = "session-000000000001", note: bytes = b"") -> None:
        """Connect, register, and begin a session."""
        self.peer = self.server.sentinel()
        self.session_id = session_id
        self.sequence = 0
        self.say(SentinelRegister(self.sentinel_id, "one", "test/1", session_id))
        self.say(InitSegment(self.sentinel_id, session_id, media.init_segment(note)))

    def send(self, count: int = 1, **wishes: Any) -> None:
        """Send the next segments."""
        for _ in range(count):
            keyframe = wishes.get("keyframe", media.is_keyframe(self.sequence))
            data = media.segment(self.sequence, **wishes)
            start_time_us = media.start_time_us(self.sequence)
            self.say(
                Segment(
                    self.sentinel_id,
                    self.session_id,
                    self.sequence,
                    start_time_us,
                    media.FRAME_MS,
                    5_000,
                    keyframe,
                    data,
                )
            )
            self.sequence += 1

    def leave(self) -> None:
        """Disconnect."""
        assert self.peer is not None
        self.peer.sendClose()
        self.server.flush()

    def say(self, message: Any) -> None:
        """Send a message."""
        assert self.peer is not None
        self.peer.say(message)
        self.server.flush()


class LiveCase(SynchronousTestCase):
    """A server, a Sentinel, and a way for clients to come in."""

    def setUp(self) -> None:
        """Make them."""
        self.server = Joined()
        self.screen = Screen(self.server)
        self.endpoint = JoinedEndpoint(self.server)
        self.address = Address(self.endpoint, URL, "http://127.0.0.1:8080")

    async def join(self, name: str = BINARY, **wishes: Any) -> Live:
        """A new connection."""
        codec = self.server.codecs[name]
        return await connect_to(self.address, self.server.clock, [codec], **wishes)

    def start(self, call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Begin a call; what can happen now happens."""
        waiting = Deferred.fromCoroutine(call)
        self.server.flush()
        return waiting

    def result_of(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call returns without time passing."""
        return self.successResultOf(self.start(call))

    def read(self, live: Any, count: int = 1) -> list[Event]:
        """The next events."""
        return [self.result_of(live.__anext__()) for _ in range(count)]

    def read_kinds(self, live: Any, count: int) -> list[str]:
        """The types of the next events."""
        return [type(event).__name__ for event in self.read(live, count)]


__all__ = ["BINARY", "JSON", "URL", "JoinedEndpoint", "LiveCase", "Screen"]
