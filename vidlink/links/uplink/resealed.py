"""Segments of a session that was sealed without them, moved in the spool to a session of their own.

A server seals what has ended a day ago. A Sentinel that was cut off for longer still has what
it captured meanwhile, and nothing of it may be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vidlink.interfaces import ISpool
from vidlink.links.uplink.live import new_session_id
from vidlink.model import Segment, SpooledSession


class Resealing:
    """Moves sessions, each once; segments keep their sequences and their times.

    :param call_later: `IReactorTime.callLater`: between one piece and the next others have a turn.
    :param moved: told the old session, the new one, and its highest sequence.
    """

    def __init__(
        self,
        spool: ISpool,
        call_later: Callable[..., object],
        moved: Callable[[str, str, int], object],
    ) -> None:
        self._spool = spool
        self._call_later = call_later
        self._moved = moved
        self._new_ids: dict[str, str] = {}

    def start(self, spooled: SpooledSession) -> None:
        """Move what is held of a session; nothing happens if that is going on already."""
        old_id, first, newest = spooled.session_id, spooled.first, spooled.newest
        if first is None or newest is None or old_id in self._new_ids:
            return
        new_id = self._new_ids[old_id] = new_session_id()
        self._spool.begin(new_id, spooled.init, spooled.is_corrected)
        if first > 0:
            self._spool.drop(new_id, 0, first - 1, f"what there is of it is in session {old_id}")
        for one in spooled.dropped:
            if one.first >= first:
                self._spool.drop(new_id, one.first, one.last, one.cause)
        self._go_on(old_id, first, newest)

    def is_filling(self, session_id: str) -> bool:
        """True while more is to come of a session that something is moved to."""
        return session_id in self._new_ids.values()

    def _go_on(self, old_id: str, first: int, last: int) -> None:
        reading = self._spool.read(old_id, first, last)
        reading.addCallback(self._move_in, old_id, last)

    def _move_in(self, found: tuple[Segment, ...], old_id: str, last: int) -> None:
        new_id = self._new_ids[old_id]
        for segment in found:
            self._spool.append(replace(segment, session_id=new_id, is_late=False))
        if found:
            # Until it is safe there, it is not forgotten here.
            flushing = self._spool.flush(new_id)
            flushing.addCallback(self._forget, old_id, found[-1].sequence, last)
            return
        del self._new_ids[old_id]
        self._spool.remove(old_id)
        self._moved(old_id, new_id, last)

    def _forget(self, flushed: None, old_id: str, sequence: int, last: int) -> None:
        self._spool.forget(old_id, sequence)
        self._call_later(0, self._go_on, old_id, sequence + 1, last)
