"""How many frames of one connection are taken at a time, so that the others have their turn.

A tiny frame costs far more than its octets: one read may hold ten thousand pings, and while they
are answered everybody else waits. So a read that holds many is taken in pieces with a rest after
each, in which its socket is not read; the peer is slowed down by TCP. Who sends frames as large as
media, or as seldom as people click, never rests.

Bounds: `frames_per_turn` frames a turn of the reactor, and what one read has brought waits.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol

from vidlink.server.timer import Timer

#: So many frames of one read are taken before the others have their turn.
FRAMES_PER_TURN = 32
#: How long the rest of that read waits, and its socket is not read: 6,400 frames a second at most.
REST_SECONDS = 0.005


class PacedProtocol(WebSocketServerProtocol):
    """A connection no read of which keeps the others waiting."""

    factory: Any
    frames_per_turn = FRAMES_PER_TURN
    _turn_frames = 0

    def connectionMade(self) -> None:
        """The socket is here."""
        self._rest = Timer(self.factory.clock)
        super().connectionMade()

    @property
    def is_resting(self) -> bool:
        """Whether something that has arrived waits to be taken."""
        return self._rest.is_running

    def dataReceived(self, data: bytes) -> None:
        """What one read has brought."""
        if not self.is_resting:
            self._turn_frames = 0
        super().dataReceived(data)

    def onFrameBegin(self) -> None:
        """A frame of any kind begins."""
        self._turn_frames += 1
        super().onFrameBegin()

    def processData(self) -> bool:
        """Take the next piece of what has arrived; False: stop here."""
        if self._turn_frames < self.frames_per_turn or self.current_frame is not None:
            return bool(super().processData())
        if self.data and not self.is_resting:
            self.transport.pauseProducing()
            self._rest.start(REST_SECONDS, self._go_on)
        return False

    def connectionLost(self, reason: Any) -> None:
        """The connection is over; nothing waits any more."""
        self._rest.stop()
        super().connectionLost(reason)

    def _go_on(self) -> None:
        self._turn_frames = 0
        self.transport.resumeProducing()
        self.consumeData()
