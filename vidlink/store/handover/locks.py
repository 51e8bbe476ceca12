"""Which sessions are written to, and which are being deleted: never both.

Asked by the thread that writes and by the one that deletes, and by readers, who see nothing of
what is being deleted. The rest of what these threads say to each other is in `orders`.
"""

from __future__ import annotations

from threading import Lock


class Claims:
    """Who has a session now. Every method may be called in any thread, and never waits long."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._written: set[str] = set()
        self._deleted: set[str] = set()
        self._hidden: set[str] = set()

    def write(self, session_id: str) -> bool:
        """Have a session for writing, until :meth:`written`; False if it is being deleted."""
        with self._lock:
            if session_id in self._deleted:
                return False
            self._written.add(session_id)
            return True

    def written(self, session_id: str) -> None:
        """It is not written to any more."""
        with self._lock:
            self._written.discard(session_id)

    def delete(self, session_id: str) -> bool:
        """Have a session for deleting, until :meth:`deleted`; False if somebody has it."""
        with self._lock:
            if session_id in self._written or session_id in self._deleted:
                return False
            self._deleted.add(session_id)
            return True

    def hide(self, session_id: str) -> None:
        """Its receipt is on the disk: nobody is shown it any more."""
        with self._lock:
            self._hidden.add(session_id)

    def deleted(self, session_id: str) -> None:
        """It is gone, and the database says so; or it stays after all."""
        with self._lock:
            self._deleted.discard(session_id)
            self._hidden.discard(session_id)

    def is_hidden(self, session_id: str) -> bool:
        """Whether it has a receipt, and the database may not know it yet."""
        return session_id in self._hidden

    @property
    def hidden(self) -> frozenset[str]:
        """All of these."""
        with self._lock:
            return frozenset(self._hidden)
