"""An echo at the Sentinels' path of a server that is put together like the real one.

Run as a process, it listens on a port that the system chooses and prints its address. All of the
server is at work but its conversations: site, channel, factory, options and limits, and the frames
that it makes for media. Only two limits on frames are higher than the real ones, because the
Autobahn|Testsuite cuts 4 MiB into pieces of 64 octets: how many a message may have, and how many
are taken at a time.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource

from tests.fakes.gates import open_gate
from tests.fakes.store import MemoryStore
from vidlink.daemon import prepare, wall_clock_us
from vidlink.errors import PeerError
from vidlink.model import USUAL, Frame, Octets
from vidlink.plugins import find_codecs
from vidlink.relay.hub import Hub
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Root, Site
from vidlink.server.sockets.ingest import IngestFactory, IngestProtocol
from vidlink.server.sockets.inlet import Inlet
from vidlink.server.tap import link_resource
from vidlink.wire.framing import server_frame

LISTEN = "tcp:0:interface=127.0.0.1"
#: Of 4 MiB in pieces of 64 octets, and the empty frame that ends them.
BOUNDS = replace(
    USUAL,
    frames_per_message=4 * 1024 * 1024 // 64 + 1,
    frames_per_turn=8 * USUAL.frames_per_turn,
)


class Conversation:
    """Nothing is expected, and nothing is said but what ends the connection."""

    def __init__(self, peer: EchoProtocol) -> None:
        self._peer = peer

    def fail(self, error: PeerError) -> None:
        """Close, for that reason."""
        self._peer.close(error)

    def deadline(self) -> None:
        """Nobody has to register."""

    def tick(self) -> None:
        """Nothing is ever due."""

    def lost(self) -> None:
        """There is nothing to forget."""


class EchoProtocol(IngestProtocol):
    """A Sentinel's connection, but for what is done with a message."""

    def onOpen(self) -> None:
        """Whole messages are cut, or not, as those of one that is registered would be."""
        super().onOpen()
        # For nobody is it a newcomer.
        self.become_known()
        self.take_whole()

    def hand_on(self, payload: Octets, is_binary: bool) -> None:
        """Send it back, in a frame made as those for viewers are."""
        self.hand_on_frame(server_frame(payload, is_binary))

    def hand_on_frame(self, frame: Frame) -> None:
        """Send it back as it is."""
        if self.state == self.STATE_OPEN:
            self.transport.write(frame)


class EchoFactory(IngestFactory):
    """Makes the connections."""

    protocol = EchoProtocol

    def converse(self, peer: Any) -> Any:
        """The conversation of a new connection, which may say as much as one that is registered."""
        peer.take_up_to(self.max_message_bytes)
        return Conversation(peer)


def main() -> None:
    """Serve until the process is ended."""
    from twisted.internet import reactor

    clock: Any = reactor
    prepare(clock)
    hub, store = Hub(clock.seconds), MemoryStore(wall_clock_us=wall_clock_us)
    gate = open_gate(clock)
    links: dict[str, Any] = {"codecs": find_codecs(), "clock": clock, "gate": gate}
    links |= {"bounds": BOUNDS, "is_direct": sys.argv[1:] != ["stock"], "inlet": Inlet(clock)}
    echo = EchoFactory(hub, store, wall_clock_us, **links)
    nothing = Resource()
    root = Root(nothing, nothing, nothing, nothing, link_resource(echo), nothing)
    site = Site(root, clock=clock, hosts=Hosts([Listening.parse(LISTEN)]), gate=gate)

    def tell(port: IListeningPort) -> None:
        address: Any = port.getHost()
        print(f"ws://{address.host}:{address.port}/ws/sentinel", flush=True)

    serverFromString(clock, LISTEN).listen(site).addCallback(tell)
    clock.run()


if __name__ == "__main__":
    main()
