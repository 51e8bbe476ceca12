"""A door: so many who ask for something at a time that those who are in have their turn.

A handshake, a registration and the beginning of a session cost far more than a segment. A
thousand Sentinels that come back at once would be taken in within one turn of the reactor, for
seconds, and what is live would wait for all of them.

Bounds: `per_turn` a turn of the reactor; what costs a part of what a newcomer does counts as that
part. The others wait with their sockets unread, in the order
in which they came. Who has not asked for anything yet has nothing that could keep the others
waiting, and comes to the door when it asks, whenever that is: the port has a door for requests,
and each kind of WebSocket one for what comes before a registration.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from vidlink.model import USUAL
from vidlink.timer import Timer


class Door:
    """Where newcomers wait."""

    def __init__(self, clock: IReactorTime, per_turn: int = USUAL.newcomers_per_turn) -> None:
        self._per_turn = per_turn
        self._next_turn = Timer(clock)
        self._let_in = 0.0
        #: Those that wait, and which part each costs.
        self._waiting: dict[Callable[[], None], float] = {}

    def __len__(self) -> int:
        """The number of those that wait."""
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """True if there is room in this turn, for whoever is in."""
        return self._let_in < self._per_turn

    @property
    def is_free(self) -> bool:
        """True if there is room in this turn, and nobody waits for it."""
        return self._let_in < self._per_turn and not self._waiting

    def knock(self, enter: Callable[[], None]) -> bool:
        """Call `enter` at once (True) or in a turn to come (False)."""
        if self.is_free:
            self.count()
            enter()
            return True
        self.wait(enter)
        return False

    def wait(self, enter: Callable[[], None], part: float = 1.0) -> None:
        """Call `enter` in a turn to come; it costs such a part of what a newcomer does."""
        self._waiting[enter] = part
        self._see_to_turn()

    def count(self, part: float = 1.0) -> None:
        """One more has its turn, or what costs such a part of what one does."""
        self._let_in += part
        # As long as there is room, it does not matter which turn it is.
        if self._let_in >= self._per_turn:
            self._see_to_turn()

    def leave(self, enter: Callable[[], None]) -> None:
        """Wait no more; does nothing for one that does not wait."""
        self._waiting.pop(enter, None)

    def _see_to_turn(self) -> None:
        if not self._next_turn.is_running:
            self._next_turn.start(0, self._turn)

    def _turn(self) -> None:
        self._let_in = max(0.0, self._let_in - self._per_turn)
        try:
            while self._waiting and self._let_in < self._per_turn:
                enter = next(iter(self._waiting))
                part = self._waiting.pop(enter)
                try:
                    enter()
                finally:
                    # Not before: there was room for it.
                    self.count(part)
        finally:
            if self._waiting or self._let_in >= self._per_turn:
                self._see_to_turn()
