"""Processes that a command has beside its own, and that cannot outlive it.

Each is held by its standard input: when that ends, because it was asked to or because the command
was killed, it ends by itself.
"""

from __future__ import annotations

import contextlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import ProcessProtocol, Protocol

#: One that does not end when asked to is killed after this.
STOP_SECONDS = 5.0


class Leash(Protocol):
    """Ends this process when the one that has started it is gone, or lets go of it."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connectionLost(self, reason: object = None) -> None:
        """Standard input is closed."""
        # It may be stopping already, at the same Ctrl-C.
        with contextlib.suppress(ReactorNotRunning):
            self._clock.stop()


class Leashed(ProcessProtocol):
    """One such process, as the command sees it."""

    def __init__(self, stop_seconds: float = STOP_SECONDS) -> None:
        self.ended: Deferred[None] = Deferred()
        self.is_stopping = False
        self._stop_seconds = stop_seconds

    def processEnded(self, reason: Any) -> None:
        """It is gone."""
        self.ended.callback(None)

    def stop(self, clock: Any) -> Deferred[None]:
        """Ask it to end; fires when it has."""
        self.is_stopping = True
        if self.transport is not None and not self.ended.called:
            self.transport.closeStdin()
            killing = clock.callLater(self._stop_seconds, self.transport.signalProcess, "KILL")
            self.ended.addCallback(lambda _: killing.active() and killing.cancel())
        return self.ended
