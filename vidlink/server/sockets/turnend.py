"""The end of a turn of the reactor: what many messages have to be sent for is sent once, there.

A turn in which one message came costs nearly as much as one in which thirty did. So while they
come without a break the turns rest: no two of them end within the same few milliseconds, as
network cards hold their interrupts back. After a break there is no rest, so that a segment that
comes alone is passed on at once.

Bound: what is to be done is named once by each connection.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger


def rest_for(seconds: float) -> None:
    """Do nothing for this long. Not `time.sleep`, which asks for a moment of the monotonic clock:
    what shifts clocks for a process, for tests, has that fail."""
    select.select((), (), (), seconds)


class TurnEnd:
    """The end of the reactor's turn, for what is done once there, and the rest after it.

    :param clock: `IReactorTime`.
    :param turn_seconds: no two turns in which messages came end within this; 0: there is no rest.
    :param sleep: rests, in the reactor's thread: nothing else is done meanwhile.
    """

    _log = Logger()

    def __init__(
        self, clock: Any, turn_seconds: float = 0.0, sleep: Callable[[float], None] = rest_for
    ) -> None:
        self._clock = clock
        self._turn_seconds = turn_seconds
        self._sleep = sleep
        self._is_due = False
        self._acts: list[Callable[[], None]] = []
        self._ended_seconds = float("-inf")

    def mark(self) -> None:
        """A message has come in this turn."""
        if not self._is_due:
            self._is_due = True
            self._clock.callLater(0, self._end)

    def call(self, act: Callable[[], None]) -> None:
        """Call `act` when this turn is over."""
        self._acts.append(act)
        if not self._is_due:
            self.mark()

    def _end(self) -> None:
        self._is_due = False
        acts, self._acts = self._acts, []
        for act in acts:
            try:
                act()
            except Exception:
                self._log.failure("a fault of ours at the end of a turn")
        if not self._turn_seconds:
            return
        now = self._clock.seconds()
        rest = self._ended_seconds + self._turn_seconds - now
        if rest > 0:
            self._sleep(min(rest, self._turn_seconds))
            now = self._clock.seconds()
        self._ended_seconds = now
