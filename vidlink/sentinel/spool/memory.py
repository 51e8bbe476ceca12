"""The spool in memory: what is not acknowledged outlives connections, but not the process.

It is the spool of :mod:`vidlink.sentinel.spool.spool` without the thread that writes, so that all
there is waits in memory, and for ever.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from vidlink.sentinel.spool.complaints import Complaints
from vidlink.sentinel.spool.inbox import Inbox
from vidlink.sentinel.spool.spool import Spool

#: The octets kept if nobody says otherwise: at 5 frames a second of 10 KB each, some 20 minutes.
SPOOL_BYTES = 64 * 1024 * 1024
#: The octets that a segment counts beside its own.
SEGMENT_BYTES = 512


class MemorySpool(Spool):
    """Keeps at most `size_bytes` of segments, and sessions with their initialization segments.

    Of sessions there are as many as in any spool; they do not count.

    :param on_trouble: takes a sentence for a person: that the spool is full, at most once a
        minute, and how much is lost when it is closed.
    :param monotonic: the clock, in seconds.
    """

    _full_words = "its memory is full"

    def __init__(
        self,
        size_bytes: int = SPOOL_BYTES,
        on_trouble: Callable[[str], object] = lambda text: None,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(
            Inbox(),
            (),
            most_bytes=size_bytes,
            memory_bytes=size_bytes,
            segment_bytes=SEGMENT_BYTES,
            complaints=Complaints("in memory", on_trouble, monotonic),
        )
        self._on_trouble = on_trouble

    def flush(self, session_id: str) -> Deferred[None]:
        """Fires at once: nothing here outlives anything."""
        return succeed(None)

    def remove(self, session_id: str) -> None:
        """Keep nothing of a session."""
        super().remove(session_id)
        # No thread does it.
        self._inbox.collect_removed()

    def close(self) -> Deferred[None]:
        """Let go of everything, and say how much that was."""
        closed = super().close()
        held = [len(one.waiting) for one in self._accounts.values() if one.waiting]
        if held:
            sessions = "a session" if len(held) == 1 else f"{len(held)} sessions"
            self._on_trouble(
                f"{sum(held)} segments in {sessions} are lost: the server has not acknowledged "
                "them, and they were in memory only; --spool FOLDER would keep them"
            )
        for session_id in tuple(self._accounts):
            self.remove(session_id)
        self.ended()
        return closed
