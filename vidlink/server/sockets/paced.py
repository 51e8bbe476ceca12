"""Frames of one connection in turns of a few, so that the other connections have theirs.

A tiny frame costs far more than its octets: one read may hold ten thousand pings, and while they
are answered everybody else waits. So many frames are taken in pieces with a rest after each, in
which their socket is not read; the peer is slowed down by TCP. One read may also come in many
pieces: TLS hands on each of its records alone. So it is counted by the clock, not by the read.
Who sends frames as large as media, or as seldom as people click, never rests.

Bounds: `frames_per_turn` frames in `rest_seconds`, usually 6,400 a second, and what one read has
brought waits.
"""

from __future__ import annotations

from typing import Any

from vidlink.model import Bounds
from vidlink.server.sockets.whole import WholeProtocol
from vidlink.timer import Timer


class PacedProtocol(WholeProtocol):
    """A connection no read of which keeps the others waiting."""

    factory: Any
    #: Nothing is read until somebody lets it go on.
    is_held = False
    _turn_seconds = float("-inf")

    def connectionMade(self) -> None:
        """The socket is here."""
        bounds: Bounds = self.factory.bounds
        self._frames_per_turn, self._rest_seconds = bounds.frames_per_turn, bounds.rest_seconds
        self._rest = Timer(self.factory.clock)
        super().connectionMade()

    @property
    def is_resting(self) -> bool:
        """True while something that has arrived waits to be taken."""
        return self._rest.is_running

    def dataReceived(self, data: bytes) -> None:
        """Take the octets of one read, or of one record of it."""
        self._begin_turn_if_due()
        super().dataReceived(data)

    def read(self) -> bool:
        """Read once from the socket."""
        self._begin_turn_if_due()
        return super().read()

    def onFrameBegin(self) -> None:
        """A frame of any kind begins."""
        self.frames_left -= 1
        super().onFrameBegin()

    def processData(self) -> bool:
        """Take the next piece of what has arrived; False: stop here."""
        if self.frames_left > 0 or self.current_frame is not None:
            return bool(super().processData())
        if self.data and not self.is_resting:
            self.transport.pauseProducing()
            self._rest.start(self._rest_seconds, self._go_on)
        return False

    def connectionLost(self, reason: Any) -> None:
        """The connection is over; nothing waits any more."""
        self._rest.stop()
        super().connectionLost(reason)

    def _go_on(self) -> None:
        self._begin_turn()
        if not self.is_held:
            self.transport.resumeProducing()
        self.consumeData()

    def _hold(self, is_held: bool) -> None:
        """Read nothing more from the socket, or read on, unless it rests anyway."""
        self.is_held = is_held
        if is_held:
            self.transport.pauseProducing()
        elif not self.is_resting:
            self.transport.resumeProducing()

    def _begin_turn_if_due(self) -> None:
        turn_seconds = self.factory.clock.seconds() - self._turn_seconds
        if turn_seconds >= self._rest_seconds and not self.is_resting:
            self._begin_turn()

    def _begin_turn(self) -> None:
        self.frames_left = self._frames_per_turn
        self._turn_seconds = self.factory.clock.seconds()
