"""Locks on sessions: one is written to or being deleted, never both.

Asked by the thread that writes and by the one that deletes, and by readers, who see nothing of
what is being deleted. The rest of what these threads say to each other is in `orders`.
"""

from __future__ import annotations

from threading import Lock


class SessionLocks:
    """Who has a session now. Every method may be called in any thread, and never waits long."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._written: set[str] = set()
        self._deleted: set[str] = set()
        self._hidden: set[str] = set()

    def lock_for_writing(self, session_id: str) -> bool:
        """Keep a session from being deleted; False if it is just being deleted."""
        with self._lock:
            if session_id in self._deleted:
                return False
            self._written.add(session_id)
            return True

    def release_from_writing(self, session_id: str) -> None:
        """Let a session go that is not written to any more."""
        with self._lock:
            self._written.discard(session_id)

    def lock_for_deleting(self, session_id: str) -> bool:
        """Keep a session from being written to; False if somebody else has it."""
        with self._lock:
            if session_id in self._written or session_id in self._deleted:
                return False
            self._deleted.add(session_id)
            return True

    def hide(self, session_id: str) -> None:
        """Show a session to nobody any more: its receipt is on the disk."""
        with self._lock:
            self._hidden.add(session_id)

    def release_from_deleting(self, session_id: str) -> None:
        """Let a session go that is gone, and the database says so; or that stays after all."""
        with self._lock:
            self._deleted.discard(session_id)
            self._hidden.discard(session_id)

    def is_hidden(self, session_id: str) -> bool:
        """Tell whether a session has a receipt, and the database may not know it yet."""
        return session_id in self._hidden

    @property
    def hidden(self) -> frozenset[str]:
        """The ids of all hidden sessions."""
        with self._lock:
            return frozenset(self._hidden)
