"""A server's WebSocket paths joined with real Autobahn peers in memory, on a virtual clock."""

from __future__ import annotations

import os
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect

from tests.fakes.gates import open_gate
from tests.fakes.media import EPOCH_US
from tests.fakes.store import MemoryStore
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.model import USUAL, Bounds
from vidlink.plugins import find_codecs
from vidlink.relay.hub import Hub
from vidlink.server.sockets.ingest import IngestFactory
from vidlink.server.sockets.link import LinkProtocol
from vidlink.server.sockets.watch import WatchFactory

#: That of the media that tests send.
WALL_CLOCK_US = EPOCH_US
BINARY = "vidlink.v1.binary"
JSON = "vidlink.v1.json"


class Peer(WebSocketClientProtocol):
    """A scripted client: it remembers every message, and how it was closed."""

    factory: PeerFactory

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self.closed: tuple[bool, int | None, str | None] | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Remember it, decoded."""
        self.heard.append(self.factory.codec.decode(payload, isBinary))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Remember how it ended."""
        self.closed = (wasClean, self.remoteCloseCode, self.remoteCloseReason or reason)

    def say(self, message: Message) -> None:
        """Send `message`."""
        self.sendMessage(*self.factory.codec.encode(message))

    def kinds(self) -> list[str]:
        """The types of what was heard, in order."""
        return [type(message).__name__ for message in self.heard]

    def last(self, kind: type) -> Any:
        """The newest message of `kind` that was heard."""
        return next(message for message in reversed(self.heard) if isinstance(message, kind))


class PeerFactory(WebSocketClientFactory):
    """Makes a `Peer` that offers one format."""

    protocol = Peer

    def __init__(self, url: str, codec: ICodec, offered: list[str] | None = None) -> None:
        super().__init__(url, protocols=[codec.name] if offered is None else offered)
        self.codec = codec
        self.setProtocolOptions(
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            failByDrop=False,
        )


class Joined:
    """Hub, store in memory and both WebSocket factories, on one virtual clock.

    :param bounds: of hub and connections.
    """

    def __init__(
        self,
        window_seconds: float = 20.0,
        clock: Clock | None = None,
        bounds: Bounds = USUAL,
    ) -> None:
        self.clock = clock or Clock()
        self.codecs = {codec.name: codec for codec in find_codecs()}
        self.hub = Hub(self.clock.seconds, window_seconds=window_seconds, bounds=bounds)
        self.store = MemoryStore(wall_clock_us=self.wall_clock_us)
        link: dict[str, Any] = {"codecs": self.codecs.values(), "clock": self.clock}
        link["gate"], link["bounds"] = open_gate(self.clock), bounds
        link["is_direct"] = os.environ.get("VIDLINK_TRANSPORT") != "stock"
        self.ingest = IngestFactory(self.hub, self.store, self.wall_clock_us, **link)
        self.watch = WatchFactory(self.hub, self.wall_clock_us, **link)
        self.pumps: list[IOPump] = []

    def wall_clock_us(self) -> int:
        """Microseconds since the epoch, in step with the virtual clock."""
        return WALL_CLOCK_US + int(self.clock.seconds() * 1_000_000)

    def sentinel(self, name: str = BINARY, offered: list[str] | None = None) -> Peer:
        """A scripted Sentinel, connected."""
        factory = PeerFactory("ws://127.0.0.1:8080/ws/sentinel", self.codecs[name], offered)
        peer: Peer = self.join(self.ingest, factory)
        return peer

    def proctor(self, name: str = BINARY, offered: list[str] | None = None) -> Peer:
        """A scripted Proctor, connected."""
        factory = PeerFactory("ws://127.0.0.1:8080/ws/proctor", self.codecs[name], offered)
        peer: Peer = self.join(self.watch, factory)
        return peer

    def connect(self, server: Any, client: Any) -> Any:
        """Connect a client factory's protocol with a server factory's; returns the client's."""
        near = client.buildProtocol(None)
        far = server.buildProtocol(None)
        pump = connect(
            far,
            FakeTransport(far, isServer=True),
            near,
            FakeTransport(near, isServer=False),
            # Whoever connects knows that it has before anything is said.
            greet=False,
        )
        self.pumps.append(pump)
        return near

    def join(self, server: Any, client: Any) -> Any:
        """The same, and what is said at the beginning is delivered."""
        near = self.connect(server, client)
        self.flush()
        return near

    def flush(self) -> None:
        """Deliver everything, and everything that comes of it, at this moment; but for whom
        the server lets wait because of too many frames, that takes a little time."""
        moved = True
        while moved:
            self.clock.advance(0)
            moved = sum(bool(pump.pump()) for pump in self.pumps) > 0
            if not moved and any(link.is_resting for link in self.links()):
                self.clock.advance(USUAL.rest_seconds)
                moved = True

    def links(self) -> set[LinkProtocol]:
        """The server's ends of all open connections."""
        return {*self.ingest.links, *self.watch.links}

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, with the server's tick once a second."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.hub.tick()
            self.ingest.tick()
            self.watch.tick()
            self.flush()
