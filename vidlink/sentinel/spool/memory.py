"""The spool in memory: what is not acknowledged outlives connections, but not the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.fmp4 import shift_producer_time
from vidlink.interfaces import ISpool
from vidlink.model import MAX_RANGES, DroppedRange, Segment, SpooledSession

#: What is kept if nobody says otherwise: at 5 frames a second of 10 KB each, some 20 minutes.
SPOOL_BYTES = 64 * 1024 * 1024
#: So many sessions are kept, as many as one registration may name; beyond, the oldest goes.
MAX_SESSIONS = MAX_RANGES
#: What a segment, and a session, count beside their octets.
SEGMENT_BYTES, SESSION_BYTES = 512, 2_048
#: One read gives no more than this, unless its first segment is larger.
READ_BYTES = 1024 * 1024
#: Why a range was dropped.
SPOOL_FULL = "spool-full"


def _sequence(segment: Segment) -> int:
    return segment.sequence


@dataclass(slots=True)
class _Kept:
    """One session; `segments` ascend."""

    session_id: str
    init: bytes
    is_corrected: bool
    correction_us: int = 0
    segments: list[Segment] = field(default_factory=list)
    newest: int | None = None
    acknowledged: int | None = None
    dropped: list[DroppedRange] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return SESSION_BYTES + len(self.init)

    def take(self, first: int, last: int) -> list[Segment]:
        """Take out what is held from `first` to `last`."""
        low = bisect_left(self.segments, first, key=_sequence)
        high = bisect_right(self.segments, last, key=_sequence)
        taken = self.segments[low:high]
        del self.segments[low:high]
        return taken

    def lose(self, lost: DroppedRange) -> None:
        """Remember a range as dropped; ranges stay in order and disjoint."""
        first, last = lost.first, lost.last
        place = bisect_left(self.dropped, first, key=lambda one: one.first)
        while place and _joins(self.dropped[place - 1], lost):
            place -= 1
        end = place
        while end < len(self.dropped) and _joins(self.dropped[end], lost):
            first = min(first, self.dropped[end].first)
            last = max(last, self.dropped[end].last)
            end += 1
        self.dropped[place:end] = [DroppedRange(first, last, lost.cause)]
        if len(self.dropped) > MAX_RANGES:
            one, other = self.dropped[:2]
            self.take(one.first, other.last)
            self.dropped[:2] = [DroppedRange(one.first, other.last, other.cause)]

    def summary(self) -> SpooledSession:
        """The session as others see it."""
        return SpooledSession(
            session_id=self.session_id,
            init=self.init,
            is_corrected=self.is_corrected,
            first=self.segments[0].sequence if self.segments else None,
            last=self.segments[-1].sequence if self.segments else None,
            newest=self.newest,
            acknowledged=self.acknowledged,
            dropped=tuple(self.dropped),
        )


def _joins(one: DroppedRange, other: DroppedRange) -> bool:
    """Whether they overlap, or are neighbours for the same reason."""
    reach = 1 if one.cause == other.cause else 0
    return one.first <= other.last + reach and other.first <= one.last + reach


@implementer(ISpool)
class MemorySpool:
    """Keeps at most `size_bytes` of segments, initialization segments and bookkeeping.

    :param on_trouble: takes a sentence for a person: that the spool is full, once until half
        of it is free again; and how much is lost when it is closed.
    """

    def __init__(
        self, size_bytes: int = SPOOL_BYTES, on_trouble: Callable[[str], object] = lambda text: None
    ) -> None:
        self._size_bytes = size_bytes
        self._on_trouble = on_trouble
        self._kept: dict[str, _Kept] = {}
        self._used_bytes = 0
        self._is_full = self._is_closed = False

    @property
    def load(self) -> float:
        """How full it is, 0.0 to 1.0."""
        return min(1.0, self._used_bytes / self._size_bytes)

    def sessions(self) -> tuple[SpooledSession, ...]:
        """Every session that is not removed, the oldest first."""
        return tuple(kept.summary() for kept in self._kept.values())

    def begin(self, session_id: str, init: bytes, is_corrected: bool) -> None:
        """A new session."""
        if self._is_closed:
            return
        if len(self._kept) >= MAX_SESSIONS:
            self._tell(f"more than {MAX_SESSIONS} sessions wait")
            self.remove(next(iter(self._kept)))
        kept = self._kept[session_id] = _Kept(session_id, init, is_corrected)
        self._used_bytes += kept.size_bytes
        self._make_room(0)

    def append(self, segment: Segment) -> None:
        """Keep the next segment of a session."""
        kept = self._kept.get(segment.session_id)
        if kept is None:
            return
        size = _cost(segment)
        kept.newest = segment.sequence
        if self._used_bytes + size > self._size_bytes and not self._make_room(size):
            kept.lose(DroppedRange(segment.sequence, segment.sequence, SPOOL_FULL))
            return
        kept.segments.append(segment)
        self._used_bytes += size

    def drop(self, session_id: str, first: int, last: int, cause: str) -> None:
        """Give up these sequences."""
        kept = self._kept.get(session_id)
        if kept is None:
            return
        kept.newest = last if kept.newest is None else max(kept.newest, last)
        first = first if kept.acknowledged is None else max(first, kept.acknowledged + 1)
        if first <= last:
            self._free(kept.take(first, last))
            kept.lose(DroppedRange(first, last, cause))

    def forget(self, session_id: str, sequence: int) -> None:
        """Everything up to `sequence` is acknowledged."""
        kept = self._kept.get(session_id)
        if kept is None or sequence < 0:
            return
        known = kept.acknowledged
        kept.acknowledged = sequence if known is None else max(known, sequence)
        self._free(kept.take(0, sequence))
        kept.dropped = [
            replace(one, first=max(one.first, sequence + 1))
            for one in kept.dropped
            if one.last > sequence
        ]

    def correct(self, session_id: str, offset_us: int) -> None:
        """Read this session with `offset_us` added to its times, unless it is corrected."""
        kept = self._kept.get(session_id)
        if kept is not None and not kept.is_corrected:
            kept.is_corrected, kept.correction_us = True, offset_us

    def read(self, session_id: str, first: int, last: int) -> Deferred[tuple[Segment, ...]]:
        """Fires at once with what is held from `first` on."""
        kept = self._kept.get(session_id)
        if kept is None:
            return succeed(())
        found: list[Segment] = []
        room = READ_BYTES
        place = bisect_left(kept.segments, first, key=_sequence)
        while place < len(kept.segments) and kept.segments[place].sequence <= last:
            segment = kept.segments[place]
            room -= len(segment.data)
            if found and room < 0:
                break
            found.append(_late(segment, kept.correction_us))
            place += 1
        return succeed(tuple(found))

    def flush(self, session_id: str) -> Deferred[None]:
        """Nothing here outlives anything."""
        return succeed(None)

    def remove(self, session_id: str) -> None:
        """Nothing is kept of this session."""
        kept = self._kept.pop(session_id, None)
        if kept is not None:
            self._used_bytes -= kept.size_bytes
            self._free(kept.segments)

    def close(self) -> Deferred[None]:
        """Let go of everything, and say how much that was."""
        held = [len(kept.segments) for kept in self._kept.values() if kept.segments]
        if held:
            self._on_trouble(
                f"{sum(held)} segments in {len(held)} sessions are lost: the server has not "
                "acknowledged them, and they were in memory only"
            )
        for session_id in tuple(self._kept):
            self.remove(session_id)
        self._is_closed = True
        return succeed(None)

    def _make_room(self, size: int) -> bool:
        """Drop the oldest until there is room for `size`; False if there never is."""
        for kept in self._kept.values():
            while kept.segments and self._used_bytes + size > self._size_bytes:
                self._tell("it is full")
                self._drop_oldest(kept)
        return self._used_bytes + size <= self._size_bytes

    def _drop_oldest(self, kept: _Kept) -> None:
        """Drop the oldest segments of a session up to its next keyframe."""
        segments = kept.segments
        end = 1
        while end < len(segments) and not segments[end].keyframe:
            end += 1
        first, last = segments[0].sequence, segments[end - 1].sequence
        self._free(kept.take(first, last))
        kept.lose(DroppedRange(first, last, SPOOL_FULL))

    def _free(self, segments: list[Segment]) -> None:
        self._used_bytes -= sum(map(_cost, segments))
        is_free = self.load <= 0.5 and len(self._kept) <= MAX_SESSIONS // 2
        self._is_full = self._is_full and not is_free

    def _tell(self, why: str) -> None:
        if not self._is_full:
            self._is_full = True
            self._on_trouble(f"the spool cannot keep everything: {why}; the oldest is dropped")


def _cost(segment: Segment) -> int:
    return SEGMENT_BYTES + len(segment.data)


def _late(segment: Segment, correction_us: int) -> Segment:
    """The segment as it is delivered after its time."""
    if not correction_us:
        return replace(segment, late=True)
    return replace(
        segment,
        late=True,
        start_time_us=segment.start_time_us + correction_us,
        data=shift_producer_time(segment.data, correction_us),
    )
