"""Segments that were not what was recorded when somebody read them, on their way to the writer.

Who reads tells; the writer's thread looks again (`writing.marking`), because what it says of them
in the records is for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from vidlink.model import Range, Ranges
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.orders import LookAgain

#: So many ranges of sequences may wait, of all sessions together. What finds no room is not
#: remembered: it is told again when it is met again.
MOST_SUSPECTS = 1_000


class Suspects:
    """The segments that the writer is to look at again, each once however often it is met.

    Every method may be called in any thread, and never waits long.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = Lock()
        self._waiting: dict[str, Ranges] = {}

    def tell(self, sentinel_id: str, session_id: str, ranges: Iterable[Range]) -> None:
        """Have these sequences looked at."""
        with self._lock:
            waiting = self._waiting.get(session_id, Ranges())
            room = MOST_SUSPECTS - sum(map(len, self._waiting.values()))
            fresh = [one for low, high in ranges for one in waiting.missing(low, high)]
            del fresh[max(0, room) :]
            if not fresh:
                return
            for low, high in fresh:
                waiting.add(low, high)
            self._waiting[session_id] = waiting
        self._inbox.put(LookAgain(sentinel_id, session_id, tuple(fresh)))

    def looked(self, order: LookAgain) -> None:
        """Let these be told again: they have been looked at."""
        with self._lock:
            waiting = self._waiting.get(order.session_id, Ranges())
            for low, high in order.ranges:
                waiting.discard(low, high)
            if not waiting:
                self._waiting.pop(order.session_id, None)
