"""The ways from one thread to another: to the writer, into the pool, and back to the reactor.

The bound of what may wait for the writer is kept by `queue.ledger`, which also counts what is
written and not yet synced; the inbox itself only hands over. What is handed over is in `orders`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Lock
from typing import Any

from twisted.internet.defer import Deferred

from vidlink.store.handover.orders import Order

#: Calls a function with these arguments in the reactor's thread, from any other.
CallInReactor = Callable[..., object]
#: Runs a function in a thread of the pool, and fires with what it gives.
RunInPool = Callable[..., Deferred[Any]]

#: A stop waits so long for a disk that fails.
PATIENCE_SECONDS = 3.0


class Inbox:
    """Orders for the writer, handed over in batches."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._condition = Condition(self._lock)
        self._orders: list[Order] = []
        self._size_bytes = 0
        #: The octets at which a round is due at once.
        self._due_bytes = 0
        self._is_due = self._is_closing = False
        #: Something has begun, of which somebody would like to hear soon.
        self._has_begun = False

    def put(
        self,
        order: Order,
        size_bytes: int = 0,
        *,
        is_awaited: bool = False,
        is_beginning: bool = False,
    ) -> None:
        """Hand over one order, which somebody waits for or not, and with which a session begins or
        not; never waits for the disk."""
        with self._lock:
            self._orders.append(order)
            self._size_bytes += size_bytes
            self._has_begun = self._has_begun or is_beginning
            # What comes between the first of a round and the one that is enough wakes nobody, and
            # what comes after that neither.
            if not self._is_due and (is_awaited or self._size_bytes >= self._due_bytes):
                self._is_due = True
                self._condition.notify()
            elif len(self._orders) == 1:
                self._condition.notify()

    def drain(self) -> list[Order]:
        """Give everything there is to the caller."""
        with self._lock:
            orders, self._orders = self._orders, []
            self._size_bytes, self._is_due, self._has_begun = 0, False, False
            return orders

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._condition:
            self._is_closing = True
            self._condition.notify()

    @property
    def is_due(self) -> bool:
        """True if there is enough for a round, or somebody waits for it."""
        return self._is_due

    @property
    def is_closing(self) -> bool:
        """True once :meth:`close` has been called."""
        return self._is_closing

    def wait(self, idle_seconds: float | None, round_seconds: float, round_bytes: int) -> None:
        """Return when a round is due.

        That is `round_seconds` after there is something, at half of that if a session has begun,
        or as soon as there are `round_bytes` of it or somebody waits for it; or when `idle_seconds`
        have passed with nothing (None: never).
        """
        with self._condition:
            self._due_bytes = round_bytes
            self._condition.wait_for(lambda: bool(self._orders) or self._is_closing, idle_seconds)
            if self._orders and not self._condition.wait_for(self._is_enough, round_seconds / 2):
                self._condition.wait_for(
                    lambda: self._has_begun or self._is_enough(), round_seconds / 2
                )

    def _is_enough(self) -> bool:
        return self._is_due or self._is_closing or self._size_bytes >= self._due_bytes
