"""Orders to delete a session, on their way to the thread that does it, and what is said there.

How a session is deleted is in `deleting.remover`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition

from vidlink.errors import VidlinkError
from vidlink.model import DeletionReason, Receipt, Waiting

#: The errors that a write ends with when the disk is full.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Removal:
    """A session that is to be deleted, and who is told; a rehearsal only makes the receipt.

    `answer` is called once, in the thread that deletes, with the receipt or the error.
    """

    sentinel_id: str
    session_id: str
    reason: DeletionReason
    by: str
    is_rehearsal: bool = False
    answer: Callable[[Receipt | VidlinkError | None], object] = lambda outcome: None
    receipt: Receipt | None = None
    #: Its files are gone; the database may still know it.
    is_gone: bool = False


class Removals:
    """The way to the thread that deletes.

    Any thread may call; each order has one who waits for its answer, so there are no more of
    them than those.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        self._orders: list[Removal] = []
        self._forgotten: list[tuple[str, bool]] = []
        self._is_awake = False
        self.is_closing = False
        #: A write has failed for lack of room since this was last cleared.
        self.is_full = False
        #: The reasons for which something due is not deleted yet; as of the newest round.
        self.waiting: tuple[Waiting, ...] = ()

    def ask(self, removal: Removal) -> None:
        """Order this removal."""
        self._orders_changed(lambda: self._orders.append(removal))

    def forgotten(self, session_id: str, is_done: bool) -> None:
        """Tell that the database has let a session go, or cannot at the moment."""
        self._orders_changed(lambda: self._forgotten.append((session_id, is_done)))

    def full(self) -> None:
        """Tell that the disk is full."""
        if not self.is_full:
            self.is_full = True
            self._orders_changed(lambda: None)

    def close(self) -> None:
        """Tell the thread to end."""
        self.is_closing = True
        self._orders_changed(lambda: None)

    def drain(self) -> list[Removal]:
        """Every order since the last time."""
        with self._condition:
            orders, self._orders = self._orders, []
            return orders

    def drain_forgotten(self) -> list[tuple[str, bool]]:
        """Everything that :meth:`forgotten` was told since the last time."""
        with self._condition:
            forgotten, self._forgotten = self._forgotten, []
            return forgotten

    def wait(self, seconds: float) -> None:
        """Return when there is something new, or after so many seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_awake, seconds)
            self._is_awake = False

    def _orders_changed(self, change: Callable[[], object]) -> None:
        with self._condition:
            change()
            self._is_awake = True
            self._condition.notify()
