"""A connection of which nobody knows yet who it is: it has been upgraded, and has not registered.

A registration, and the beginning of a session after it, cost as much as the handshake before. A
peer may keep it back for as long as it likes, and many may send theirs in one turn of the reactor;
so whatever a newcomer says waits for its turn at a door, as its request did before, with its
socket unread. And it stays in the lobby of the port: a handshake alone is nothing that a stranger
may take the descriptors of others for.

Bound: one message of each newcomer waits, of a size that nobody has to be known for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from vidlink.server.sockets.paced import PacedProtocol


class NewcomerProtocol(PacedProtocol):
    """A connection that is a newcomer until it `is_known`."""

    _log = Logger()
    is_known = False
    _awaited: Callable[[], None] | None = None

    def connectionMade(self) -> None:
        """It is upgraded, and has told nothing of itself."""
        super().connectionMade()
        self.factory.lobby.enter(self, self.transport.getPeer())

    def become_known(self) -> None:
        """It has registered: it waits for nobody's turn any more, and is nobody's to turn away."""
        self.is_known = True
        self.factory.lobby.leave(self)

    @property
    def is_waiting(self) -> bool:
        """True while something that it has said waits at the door."""
        return self._awaited is not None

    def in_turn(self, act: Callable[[], None]) -> None:
        """Call `act` when it is this connection's turn: most often at once."""
        self._awaited = act
        if not self.factory.door.knock(self._enter):
            self._hold(True)

    def processData(self) -> bool:
        """Take nothing more while something waits."""
        return not self.is_waiting and super().processData()

    def turn_away(self) -> None:
        """Close at once: others have to be let in. The lobby tells of all such together."""
        self.transport.abortConnection()

    def forget_waiting(self) -> None:
        """Do no more of what waits."""
        self._awaited = None
        self.factory.door.leave(self._enter)

    def connectionLost(self, reason: Any) -> None:
        """The connection is over, and its descriptor free."""
        self.forget_waiting()
        self.factory.lobby.gone(self)
        super().connectionLost(reason)

    def _enter(self) -> None:
        act, self._awaited = self._awaited, None
        if act is None:
            return
        try:
            act()
            if self.is_held:
                self._hold(False)
                self.consumeData()
        except Exception:
            self._log.failure("{peer}: a fault of ours; it is cut off", peer=self.peer)
            self.transport.abortConnection()
