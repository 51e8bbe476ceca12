"""A store in memory, for tests of what records or looks back: no thread, no disk, no waiting.

It keeps the contracts of :class:`~vidlink.interfaces.IStore` and
:class:`~vidlink.interfaces.IArchive` (``tests/contracts/test_store.py`` holds the real store
and this one to the same tests); every Deferred has fired when it is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from tests.fakes.keeping import MemoryKeeping
from tests.fakes.kept import Kept
from vidlink.errors import NotFound, RequestError, SessionGone, VidlinkError
from vidlink.interfaces import LATE_LOAD, IStore, IVitals
from vidlink.model import (
    KEEP_ALL,
    MAX_RANGES,
    Arrival,
    Cause,
    DiskSpace,
    Gap,
    Policy,
    RecordingCounts,
    RecordingHealth,
    RecordingState,
    Session,
    SessionState,
    Trouble,
    is_sentinel_id,
    is_session_id,
)
from vidlink.store.queue.room import as_text

T = TypeVar("T")


@implementer(IStore, IVitals)
class MemoryStore(MemoryKeeping):
    """A recording with all its sides, in memory: one object is each of them.

    :param wall_clock_us: microseconds since the epoch, for the sealing time-out.
    :param commit_at_once: False: nothing becomes durable before :meth:`commit`.
    :param queue_segments: so many may wait to become durable; more are refused.
    :param policy: what is said to go; nothing goes of itself here.
    """

    def __init__(
        self,
        *,
        wall_clock_us: Callable[[], int] = lambda: 0,
        commit_at_once: bool = True,
        queue_segments: int = 65_536,
        policy: Policy = KEEP_ALL,
    ) -> None:
        super().__init__(policy)
        self.ledger = self.archive = self.keeping = self
        self._wall_clock_us = wall_clock_us
        self._commit_at_once = commit_at_once
        self._queue_segments = queue_segments
        self._is_over = False
        self._used: set[str] = set()
        self._reserved: set[str] = set()
        #: How much room there is, for a test to set.
        self.room = DiskSpace(10**11, 10**12)
        self.counts = RecordingCounts()

    # IStore

    @property
    def load(self) -> float:
        """How full the queue is, 0.0 to 1.0."""
        return sum(len(kept.waiting) for kept in self._kept.values()) / self._queue_segments

    def reserve(self, session: Session) -> None:
        """Use its id."""
        self._check(session)
        if self._is_over:
            raise NotFound("nothing is recorded any more")
        if session.session_id in (*self._kept, *self._deleted, *self._used):
            raise RequestError(f"session {session.session_id} has been used before")
        self._used.add(session.session_id)
        self._reserved.add(session.session_id)

    def begin(self, session: Session, durable: Any) -> None:
        """Start recording `session`."""
        if session.session_id not in self._reserved or self._is_over:
            self.reserve(session)
        self._reserved.remove(session.session_id)
        self._kept[session.session_id] = Kept(session, durable)

    def _check(self, session: Session) -> None:
        if not (is_sentinel_id(session.sentinel_id) and is_session_id(session.session_id)):
            raise RequestError("this is not the id of a sentinel and of a session")
        texts = session.name + session.group + session.software + session.mime
        if as_text(texts) != texts:
            raise RequestError("the texts of a session have to be Unicode")

    def tails(
        self, sentinel_id: str, tails: Sequence[tuple[str, int, int]]
    ) -> Deferred[tuple[tuple[tuple[int, int], ...] | None, ...]]:
        """What is wanted of earlier sessions."""
        return succeed(tuple(self._wanted(sentinel_id, *tail) for tail in tails))

    def _wanted(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> tuple[tuple[int, int], ...]:
        if session_id in self._deleted:
            return ()
        kept = self._kept.get(session_id)
        if kept is None:
            return ((first, last),)
        is_over = not kept.is_open and kept.state_at(self._wall_clock_us()) is SessionState.ENDED
        if not is_over or kept.session.sentinel_id != sentinel_id:
            return ()
        return tuple(islice(kept.missing(first, last), MAX_RANGES))

    def reopen(self, session: Session, durable: Any) -> Deferred[None]:
        """Open an earlier session for what comes late."""
        now_us = self._wall_clock_us()
        try:
            self._check(session)
            if session.session_id in self._deleted:
                raise SessionGone("the session was deleted: nothing can be added to it")
            kept = self._kept.get(session.session_id)
            if kept is None:
                kept = self._kept[session.session_id] = Kept(session, durable)
                kept.end("delivered after it had ended", now_us, is_sealed=False)
            kept.reopen(session, durable, now_us)
        except VidlinkError as error:
            return fail(error)
        self._changed()
        return succeed(None)

    def append(self, session_id: str, arrival: Arrival) -> bool:
        """Record one segment, unless the queue is full."""
        kept = self._open(session_id)
        sequence = arrival.segment.sequence
        if sequence in kept.arrivals:
            return True
        if self.load >= (LATE_LOAD if arrival.segment.is_late else 1):
            if arrival.segment.is_late:
                kept.refused.add(sequence)
            else:
                kept.is_troubled = True
                self._refuse(kept, sequence)
            return False
        kept.is_troubled = False
        kept.arrivals[sequence] = arrival
        self.counts.segments += 1
        self.counts.size_bytes += len(arrival.segment.data)
        kept.waiting.add(sequence)
        self._changed()
        return True

    def gap(self, session_id: str, gap: Gap) -> None:
        """Record that sequences are missing."""
        self._open(session_id).gaps.append(replace(gap, detail=as_text(gap.detail)))
        self._changed()

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """The session is over."""
        self._reserved.discard(session_id)
        kept = self._kept.get(session_id)
        if kept is not None and kept.is_open:
            kept.end(reason, ended_time_us, is_sealed=False)
            self._changed()

    def seal(self, session_id: str) -> bool:
        """The session is over for good."""
        kept = self._open(session_id)
        if kept.state is SessionState.LIVE:
            raise NotFound(f"session {session_id} is live")
        kept.end("", 0, is_sealed=kept.is_whole)
        self._changed()
        return kept.state is SessionState.SEALED

    def recording(self, session_id: str) -> RecordingState:
        """Whether what is appended is kept."""
        kept = self._kept.get(session_id)
        if kept is None or not kept.is_open:
            return RecordingState.NONE
        return RecordingState.TROUBLE if kept.is_troubled else RecordingState.OK

    def stop(self) -> Deferred[None]:
        """End live sessions, and make all durable."""
        self._is_over = True
        for session_id in self._kept:
            self.end(session_id, "server stopped", self._wall_clock_us())
        self.commit()
        return succeed(None)

    def commit(self) -> None:
        """Make durable what has been appended, and say so."""
        for kept in list(self._kept.values()):
            kept.waiting.clear()
            reached = kept.highest if kept.state is SessionState.SEALED else kept.watermark()
            if reached > kept.told:
                kept.told = reached
                kept.durable(reached)

    def _changed(self) -> None:
        if self._commit_at_once:
            self.commit()

    def _open(self, session_id: str) -> Kept:
        kept = self._kept.get(session_id)
        if kept is None or not kept.is_open:
            raise NotFound(f"session {session_id} is not being recorded")
        return kept

    def _refuse(self, kept: Kept, sequence: int) -> None:
        last = kept.gaps[-1] if kept.gaps else None
        first = sequence
        if last is not None and last.cause is Cause.QUEUE_FULL and last.last == sequence - 1:
            first = last.first if last.first is not None else sequence
            kept.gaps.pop()
        else:
            self.counts.gaps[Cause.QUEUE_FULL] += 1
        self.counts.missing[Cause.QUEUE_FULL] += 1
        kept.gaps.append(Gap(first, sequence, Cause.QUEUE_FULL))

    # IVitals

    def health(self) -> RecordingHealth:
        """How it does at this moment."""
        live = [kept for kept in self._kept.values() if kept.is_open]
        troubled = [kept for kept in live if kept.is_troubled]
        return RecordingHealth(
            is_open=not self._is_over,
            live=len(live),
            troubled=len(troubled),
            trouble=Trouble(Cause.QUEUE_FULL, "the disk did not keep up") if troubled else None,
            load=self.load,
            waiting_segments=sum(len(kept.waiting) for kept in self._kept.values()),
        )

    def space(self) -> Deferred[DiskSpace]:
        """How much room there is."""
        return succeed(self.room)
