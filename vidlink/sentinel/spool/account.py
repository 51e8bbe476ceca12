"""One session of the spool as the reactor's thread knows it: what is held, and where."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from vidlink.errors import NotMedia
from vidlink.fmp4 import shift_producer_time
from vidlink.model import MAX_RANGES, DroppedRange, Segment, SpooledSession
from vidlink.sentinel.spool.index import ChunkIndex
from vidlink.sentinel.spool.layout import SavedState
from vidlink.sentinel.spool.ranges import FULL, after, insert


@dataclass(slots=True)
class Stored:
    """A chunk on the disk, and what of it is held."""

    number: int
    size_bytes: int = 0
    index: ChunkIndex = field(default_factory=ChunkIndex)
    #: It is counted as gone: it has been, or will be as soon as another is begun.
    is_doomed: bool = False


class Account:
    """One session: `chunks` on the disk, in order, and behind them what is `waiting` for it.

    `is_broken`: everything up to the newest was dropped, so that only a keyframe is of use.
    """

    def __init__(self, init: bytes, state: SavedState, chunks: Iterable[Stored] = ()) -> None:
        self.init = init
        #: The state that is to be on the disk beside the segments.
        self.state = state
        self.chunks = list(chunks)
        self.waiting: dict[int, Segment] = {}
        self.is_broken = False

    @property
    def session_id(self) -> str:
        """The session."""
        return self.state.session_id

    @property
    def reached(self) -> int:
        """The sequence up to which everything is acknowledged; -1 if nothing is."""
        return -1 if self.state.acknowledged is None else self.state.acknowledged

    def note(self, **known: Any) -> None:
        """Change the state, whose fields are named."""
        self.state = replace(self.state, **known)

    def shown(self) -> SpooledSession:
        """The session as the uplink sees it."""
        state, first, last = self.state, self.first(), self._last()
        return SpooledSession(
            session_id=state.session_id,
            init=self.init,
            is_corrected=state.is_corrected,
            first=first,
            last=last,
            newest=state.newest,
            acknowledged=state.acknowledged,
            dropped=state.dropped,
        )

    def first(self) -> int | None:
        """The lowest sequence that is held."""
        for chunk in self.chunks:
            if len(chunk.index):
                return chunk.index.first
        return next(iter(self.waiting), None)

    def _last(self) -> int | None:
        if self.waiting:
            return next(reversed(self.waiting))
        return max((one.index.last for one in self.chunks if len(one.index)), default=None)

    def chunk(self, number: int) -> Stored:
        """The chunk with this number; a new one if it was not heard of before."""
        for one in reversed(self.chunks):
            if one.number == number:
                return one
        self.chunks.append(Stored(number))
        return self.chunks[-1]

    def holds(self, sequence: int) -> bool:
        """True if this one is held."""
        return sequence in self.waiting or any(
            one.index.between(sequence, sequence, 0) for one in self.chunks
        )

    def oldest_chunk(self) -> Stored | None:
        """The first chunk in which something is held."""
        return next((one for one in self.chunks if len(one.index)), None)

    def drop_chunk(self, chunk: Stored) -> list[Segment]:
        """Lose what is held of `chunk`, the oldest, and on to the next keyframe; returns what of
        that was waiting."""
        first, last = chunk.index.first, chunk.index.last
        following = self._keyframe_after(last)
        through = following - 1 if following is not None else self.state.newest or last
        return self._drop(first, through, following is None)

    def drop_waiting(self) -> list[Segment]:
        """Lose the oldest that waits, up to the next keyframe; returns what that was."""
        waiting = iter(self.waiting.values())
        first = next(waiting).sequence
        following = next((one.sequence for one in waiting if one.is_keyframe), None)
        through = following - 1 if following is not None else self.state.newest or first
        return self._drop(first, through, following is None)

    def drop(self, first: int, last: int, cause: str) -> list[Segment]:
        """Give these up, unless they are acknowledged; returns what of them was waiting."""
        self.note(newest=max(last, self.state.newest or 0))
        first = max(first, self.reached + 1)
        if first > last:
            return []
        self.lose(first, last, cause)
        return self._let_go(first, last)

    def lose(self, first: int, last: int, cause: str) -> None:
        """Remember that these are not there any more."""
        dropped = insert(self.state.dropped, DroppedRange(first, last, cause))
        if len(dropped) > MAX_RANGES:
            low, high = dropped[0].first, dropped[1].last
            self._let_go(low, high)
            dropped = (DroppedRange(low, high, dropped[1].cause), *dropped[2:])
        self.note(dropped=dropped)

    def forget(self, sequence: int) -> list[Segment]:
        """Forget everything up to `sequence`, which is acknowledged; returns what of it waited."""
        dropped = after(self.state.dropped, sequence)
        self.note(acknowledged=max(sequence, self.reached), dropped=dropped)
        for chunk in self.chunks:
            chunk.index.forget(sequence)
        return self._stop_waiting(0, sequence)

    def waiting_between(self, first: int, last: int, most_bytes: int) -> list[Segment]:
        """Segments that wait, `first` to `last`: at most `most_bytes` of them, but one at least."""
        found: list[Segment] = []
        for sequence, segment in self.waiting.items():
            if sequence < first:
                continue
            most_bytes -= len(segment.data)
            if sequence > last or (found and most_bytes < 0):
                break
            found.append(segment)
        return found

    def given(self, segment: Segment) -> Segment:
        """A segment as it is read: late, and by the server's clock as far as that is known."""
        data, offset_us = segment.data, self.state.offset_us
        if not offset_us:
            return replace(segment, is_late=True)
        with suppress(NotMedia):
            data = shift_producer_time(data, offset_us)
        start_time_us = segment.start_time_us + offset_us
        return replace(segment, is_late=True, start_time_us=start_time_us, data=data)

    def pop_useless(self) -> list[Stored]:
        """Take out the chunks of which nothing is held and before which nothing is; but not the
        newest, which has the state."""
        useless = []
        while len(self.chunks) > 1 and not len(self.chunks[0].index):
            useless.append(self.chunks.pop(0))
            self.note(first_chunk=self.chunks[0].number)
        return useless

    def _keyframe_after(self, sequence: int) -> int | None:
        for chunk in self.chunks:
            found = chunk.index.keyframe_after(sequence)
            if found is not None:
                return found
        return next((one.sequence for one in self.waiting.values() if one.is_keyframe), None)

    def _drop(self, first: int, last: int, is_broken: bool) -> list[Segment]:
        gone = self._let_go(first, last)
        self.is_broken = self.is_broken or is_broken
        # What was dropped right before is the same loss, also where numbers are left out.
        before = [one.last for one in self.state.dropped if one.last < first]
        if before and not self._holds_between(before[-1], first):
            first = max(before[-1], self.reached) + 1
        self.lose(first, last, FULL)
        return gone

    def _let_go(self, first: int, last: int) -> list[Segment]:
        for chunk in self.chunks:
            chunk.index.discard(first, last)
        return self._stop_waiting(first, last)

    def _stop_waiting(self, first: int, last: int) -> list[Segment]:
        gone = []
        for segment in self.waiting.values():
            if segment.sequence > last:
                break
            if segment.sequence >= first:
                gone.append(segment)
        for segment in gone:
            del self.waiting[segment.sequence]
        return gone

    def _holds_between(self, low: int, high: int) -> bool:
        lower = takewhile(lambda sequence: sequence < high, self.waiting)
        return any(sequence > low for sequence in lower) or any(
            one.index.between(low + 1, high - 1, 0) for one in self.chunks
        )
