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

from vidlink.clips import Clip, ClipQuery
from vidlink.errors import NotFound, RequestError, VidlinkError
from vidlink.interfaces import LATE_LOAD, IArchive, IBody, IStore, IVitals
from vidlink.model import (
    Arrival,
    Cause,
    DiskSpace,
    Gap,
    RecordingCounts,
    RecordingHealth,
    RecordingState,
    Registration,
    SegmentPage,
    SegmentQuery,
    Session,
    SessionPage,
    SessionQuery,
    SessionRecord,
    SessionState,
    Trouble,
    is_sentinel_id,
    is_session_id,
)
from vidlink.store import listing
from vidlink.testing.kept import Kept

T = TypeVar("T")
#: At most so many ranges are named of one tail, the lowest.
_MOST_RANGES = 1_024


@implementer(IStore, IArchive, IVitals)
class MemoryStore:
    """Both sides of a recording, in memory.

    :param wall_clock_us: microseconds since the epoch, for the sealing time-out.
    :param commit_at_once: False: nothing becomes durable before :meth:`commit`.
    :param queue_segments: so many may wait to become durable; more are refused.
    """

    def __init__(
        self,
        *,
        wall_clock_us: Callable[[], int] = lambda: 0,
        commit_at_once: bool = True,
        queue_segments: int = 65_536,
    ) -> None:
        self._wall_clock_us = wall_clock_us
        self._commit_at_once = commit_at_once
        self._queue_segments = queue_segments
        self._kept: dict[str, Kept] = {}
        self._is_over = False
        #: How much room there is, for a test to set.
        self.room = DiskSpace(10**11, 10**12)
        self.counts = RecordingCounts()

    # IStore

    @property
    def load(self) -> float:
        """How full the queue is, 0.0 to 1.0."""
        return sum(len(kept.waiting) for kept in self._kept.values()) / self._queue_segments

    def begin(self, session: Session, durable: Any) -> None:
        """Start recording `session`."""
        self._check(session)
        if self._is_over:
            raise NotFound("nothing is recorded any more")
        if session.session_id in self._kept:
            raise RequestError(f"session {session.session_id} has been used before")
        self._kept[session.session_id] = Kept(session, durable)

    def _check(self, session: Session) -> None:
        if not (is_sentinel_id(session.sentinel_id) and is_session_id(session.session_id)):
            raise RequestError("this is not the id of a sentinel and of a session")
        if not listing.is_text(session.name + session.group + session.software + session.mime):
            raise RequestError("the texts of a session have to be Unicode")

    def tails(
        self, sentinel_id: str, tails: Sequence[tuple[str, int, int]]
    ) -> Deferred[tuple[tuple[tuple[int, int], ...] | None, ...]]:
        """What is wanted of earlier sessions."""
        return succeed(tuple(self._wanted(sentinel_id, *tail) for tail in tails))

    def _wanted(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> tuple[tuple[int, int], ...]:
        kept = self._kept.get(session_id)
        if kept is None:
            return ((first, last),)
        is_over = not kept.is_open and kept.state_at(self._wall_clock_us()) is SessionState.ENDED
        if not is_over or kept.session.sentinel_id != sentinel_id:
            return ()
        return tuple(islice(kept.missing(first, last), _MOST_RANGES))

    def reopen(self, session: Session, durable: Any) -> Deferred[None]:
        """Open an earlier session for what comes late."""
        now_us = self._wall_clock_us()
        try:
            self._check(session)
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
        if self.load >= (LATE_LOAD if arrival.segment.late else 1):
            if arrival.segment.late:
                kept.refused.add(sequence)
            else:
                kept.trouble = True
                self._refuse(kept, sequence)
            return False
        kept.trouble = False
        kept.arrivals[sequence] = arrival
        self.counts.segments += 1
        self.counts.size_bytes += len(arrival.segment.data)
        kept.waiting.add(sequence)
        self._changed()
        return True

    def gap(self, session_id: str, gap: Gap) -> None:
        """Record that sequences are missing."""
        self._open(session_id).gaps.append(replace(gap, detail=listing.as_text(gap.detail)))
        self._changed()

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """The session is over."""
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
        return RecordingState.TROUBLE if kept.trouble else RecordingState.OK

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
        troubled = [kept for kept in live if kept.trouble]
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

    # IArchive

    def sentinels(self) -> Deferred[tuple[Any, ...]]:
        """Every Sentinel ever recorded, with the newest time recorded of it."""
        newest: dict[str, tuple[Registration, int | None]] = {}
        for kept in sorted(self._kept.values(), key=lambda one: listing.page_key(one.session)):
            one = kept.session
            ends = [listing.segment_end_us(a.segment) for a in kept.arrivals.values()]
            _, before = newest.get(one.sentinel_id, (None, None))
            known = Registration(one.sentinel_id, "", one.name, one.group, one.software)
            end = max((*ends, *(() if before is None else (before,))), default=None)
            newest[one.sentinel_id] = known, end
        return succeed(tuple(newest[sentinel_id] for sentinel_id in sorted(newest)))

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions, newest first."""
        try:
            place = None if query.after is None else listing.read_token(query.after)
        except RequestError as error:
            return fail(error)
        limit = listing.clamp_limit(query.limit)
        now_us = self._wall_clock_us()
        records = [kept.record(now_us, whole=False) for kept in self._kept.values()]
        found = sorted(
            (
                record
                for record in records
                if listing.matches(query, record)
                and (place is None or listing.page_key(record.session) < place)
            ),
            key=lambda record: listing.page_key(record.session),
            reverse=True,
        )
        more = listing.write_token(found[limit - 1].session) if len(found) > limit else None
        return succeed(SessionPage(tuple(found[:limit]), more))

    def session(self, sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.record(now, True))

    def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> Deferred[SegmentPage]:
        """One page of segments."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.page(now, query))

    def media(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of segments `first` to `last`, and what is missing of them."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.media(now, first, last))

    def film(self, sentinel_id: str, session_id: str, last: int | None) -> Deferred[IBody]:
        """``recording.mp4``."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.film(now, last))

    def clip(
        self, sentinel_id: str, session_id: str, query: ClipQuery
    ) -> Deferred[tuple[IBody, Clip]]:
        """A time range of ``recording.mp4``."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.clip(now, query))

    def playlist(self, sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.playlist(now))

    def _of(self, sentinel_id: str, session_id: str, read: Callable[[Kept, int], T]) -> Deferred[T]:
        kept = self._kept.get(session_id)
        if kept is None or kept.session.sentinel_id != sentinel_id:
            return fail(NotFound(f"there is no session {session_id} of {sentinel_id}"))
        try:
            return succeed(read(kept, self._wall_clock_us()))
        except VidlinkError as error:
            return fail(error)
