"""The writing side of one session, in the writer's thread: its folder, its parts, its ending.

It holds every segment until that is synced, so that a failed round can be written again from
memory. When rounds happen is decided in `writer`, what is shown of a session in `ledger` and
`archive`.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace

from vidlink.model import Arrival, Gap, Session, SessionRecord, SessionState, Span
from vidlink.store.files.layout import SessionFile, describe, write_session
from vidlink.store.files.paths import SESSION_FILE, Paths
from vidlink.store.handover.orders import End, Past, SetHold
from vidlink.store.index.rows import SessionRows
from vidlink.store.sequences.runs import merge_spans
from vidlink.store.writing.part import OpenParts, Part

#: So many parts of one session may be written to by turns; the oldest are left alone.
_MOST_TAILS = 8
#: What making files counts in a round, of a session or of one more part: it takes about a
#: millisecond, and they stay open until the round is over.
_START_BYTES = 32 * 1024
#: What breaks the order in so many parts is not recorded: each part is two files.
MOST_PARTS = 1_000
#: Up to so many gaps are written into the description whenever one is stated; of more, whenever
#: they have become more by a part of this many.
_FEW_GAPS, _GAPS_SHARE = 64, 8


class Recording:
    """One session on its way to the disk; `past` is what there is of one that is opened again.

    That one is marked as being written to, in its folder and in the database, before anything
    is: so a start after a kill knows where to look.
    """

    def __init__(self, session: Session, paths: Paths, past: Past | None = None) -> None:
        self.session = session
        self.gaps: dict[int, Gap] = {} if past is None else dict(enumerate(past.gaps))
        self.ending: End | None = None
        self.retry_seconds = float("-inf")
        #: Whether its folder has become durable.
        self.has_begun = False
        self._past = past
        self._is_marked = past is None
        self._file = describe(session) if past is None else _marked(past)
        self._folder = paths.session(session.sentinel_id, session.session_id)
        self._todo: deque[Arrival] = deque()
        self._written: list[Arrival] = []
        self._dropped: list[Arrival] = []
        self._parts: list[Part] = []
        self._tails: list[Part] = []
        self._next_number = 0 if past is None else past.next_number
        self._prepared = False
        self._new_names = False
        self._closing = False
        # How much of it the database has.
        self._row: int | None = None
        self._listed = False
        self._unsaved_gaps: set[int] = set(self.gaps)
        # How many statements are not in its description.
        self._unnoted = 0
        self._saved_runs: dict[int, tuple[int, int]] = {}
        self.saved_seconds = float("-inf")
        #: An order about a hold that is not durable yet.
        self.holding: SetHold | None = None

    # What is to be done

    def accept(self, arrival: Arrival) -> None:
        """Record this segment with one of the next rounds."""
        self._todo.append(arrival)

    def state_gap(self, number: int, gap: Gap) -> None:
        """Gap `number` of the session is `gap`; said again, it has changed."""
        self.gaps[number] = gap
        self._unsaved_gaps.add(number)
        self._unnoted += 1

    def set_hold(self, order: SetHold) -> None:
        """It has this hold from now on, in its folder and in the database."""
        self.holding = order
        self._file = replace(self._file, hold=order.hold)
        self._prepared = self._listed = False

    def held(self) -> list[SetHold]:
        """The order of a hold that is saved with the round that is synced, if there is one."""
        if self.holding is None or not (self._prepared and self._listed):
            return []
        order, self.holding = self.holding, None
        return [order]

    @property
    def ready(self) -> bool:
        """Whether a round has something to do for it."""
        return (
            bool(self._todo)
            or not self._prepared
            or not self._listed
            or bool(self._unsaved_gaps)
            or self.ending is not None
        )

    @property
    def finished(self) -> bool:
        """Whether its end has been written and now is synced."""
        return self._closing and self._listed

    # One round

    def write(self, open_parts: OpenParts, budget_bytes: int, flush_files: bool) -> int:
        """Write what there is, until about `budget_bytes`; returns how many octets that were.

        Raises :exc:`OSError`; then :meth:`lose` has to follow.
        """
        size = 0
        if not self._prepared:
            self._prepare(open_parts, flush_files)
            size = _START_BYTES
        if not self._is_marked:
            return size
        # Late segments may come in any order; each step back would begin a part.
        if any(arrival.segment.late for arrival in self._todo):
            self._todo = deque(sorted(self._todo, key=lambda arrival: arrival.segment.sequence))
        if not (self._parts or (self._past and self._past.parts)):
            self._begin_part()
        while self._todo and size < budget_bytes:
            arrival = self._todo.popleft()
            count = len(self._parts)
            part = self._part_for(arrival)
            if part is None:
                self._dropped.append(arrival)
                continue
            self._written.append(arrival)
            part.add(arrival)
            size += len(arrival.segment.data) + _START_BYTES * (len(self._parts) - count)
        dirty = self._parts_to_sync()
        for part in dirty:
            self._new_names = self._new_names or not part.is_made
            part.flush(open_parts)
        if self.ending is not None and not self._todo and not dirty:
            self._close(open_parts, flush_files)
        elif self._unnoted * _GAPS_SHARE >= max(1, len(self.gaps) - _FEW_GAPS):
            size += self._note_gaps(open_parts, flush_files)
        return size

    def unsynced(self, open_parts: OpenParts) -> tuple[list[int], list[str]]:
        """The descriptors and folders that a sync of this round's work has to cover."""
        dirty = self._parts_to_sync()
        descriptors = [one for part in dirty for one in open_parts.descriptors(part)]
        above = os.path.dirname(self._folder)
        folders = [self._folder, above, os.path.dirname(above)] if self._new_names else []
        return descriptors, folders

    def commit(self) -> tuple[list[Arrival], list[tuple[int, int]]]:
        """The round is synced.

        Returns the segments that have become durable, and of each part that has grown its
        number and how many records it has now.
        """
        grown = self._parts_to_sync()
        for part in grown:
            part.commit()
        done, self._written = self._written, []
        self._new_names = False
        self.has_begun = True
        self._is_marked = self._is_marked or self._listed
        return done, [(part.number, part.committed_count) for part in grown]

    def lose(self, open_parts: OpenParts, retry_seconds: float) -> None:
        """The round has failed: everything in it is to be written again, to other files."""
        for part in self._parts_to_sync():
            if part.abandon(open_parts):
                self._parts.remove(part)
                self._next_number = min(self._next_number, part.number)
            if part in self._tails:
                self._tails.remove(part)
        self._todo.extendleft(reversed(self._written))
        self._written = []
        self._prepared = self._closing = False
        self._listed = self._listed and self._is_marked
        # They may be in the database; but then they have not been acknowledged.
        self._unsaved_gaps.update(self.gaps)
        self.retry_seconds = retry_seconds

    def _parts_to_sync(self) -> list[Part]:
        return [part for part in self._parts if part.is_dirty]

    def dropped(self) -> list[Arrival]:
        """What found no part, since this was asked last."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _part_for(self, arrival: Arrival) -> Part | None:
        """The part that `arrival` follows most closely; a new one if none keeps the order, and
        None if there are too many for that."""
        best: Part | None = None
        for part in self._tails:
            if part.can_add(arrival) and (best is None or part.last_sequence > best.last_sequence):
                best = part
        if best is None and not (self._tails and self._next_number >= MOST_PARTS):
            return self._begin_part()
        return best

    def _begin_part(self) -> Part:
        part = Part(self._folder, self._next_number, self.session.init)
        self._next_number += 1
        self._parts.append(part)
        self._tails = [*self._tails[1 - _MOST_TAILS :], part]
        return part

    def _prepare(self, open_parts: OpenParts, flush_files: bool) -> None:
        open_parts.disk.make_folders(self._folder)
        self._describe(open_parts, flush_files)
        self._prepared = self._new_names = True

    def _describe(self, open_parts: OpenParts, flush_files: bool) -> None:
        """Write the description, with what has been said about gaps."""
        path = os.path.join(self._folder, SESSION_FILE)
        file = replace(self._file, gaps=self._gaps_in_order())
        open_parts.disk.replace(path, write_session(file), flush=flush_files)
        self._unnoted = 0

    def _note_gaps(self, open_parts: OpenParts, flush_files: bool) -> int:
        """The same, for the case that the database is lost; returns what that counts."""
        try:
            self._describe(open_parts, flush_files)
        except OSError:
            # The database has them, and with the next statement it is tried again.
            return 0
        self._new_names = True
        return _START_BYTES

    def _close(self, open_parts: OpenParts, flush_files: bool) -> None:
        """Write the ending. Everything before it has been synced in an earlier round."""
        assert self.ending is not None
        for part in self._parts:
            open_parts.drop(part)
        ended_time_us, reason = self._ended(self.ending)
        closed = replace(
            self._file,
            ended_time_us=ended_time_us,
            end_reason=reason,
            gaps=self._gaps_in_order(),
            is_sealed=self.ending.is_sealed,
            filling_from=None,
        )
        path = os.path.join(self._folder, SESSION_FILE)
        open_parts.disk.replace(path, write_session(closed), flush=flush_files)
        self._closing, self._listed, self._new_names = True, False, True

    # The database

    def sheet(self, progress: bool) -> SessionRows | None:
        """What the database does not have yet; None if that is nothing.

        Spans are of what earlier rounds have synced, so that the database never locks more
        than there is. `progress`: they are wanted even if nothing else is new.
        """
        progress = progress or not self._listed
        spans = self._new_spans() if progress else []
        if self._listed and not self._unsaved_gaps and not spans:
            return None
        return SessionRows(
            file=self._file,
            record=None if self._listed else self._record(),
            row=self._row,
            spans=spans,
            gaps=[(number, self.gaps[number]) for number in sorted(self._unsaved_gaps)],
            is_filling=self._past is not None and not self._closing,
        )

    def saved(self, sheet: SessionRows, row: int) -> list[int]:
        """The database has `sheet`, under this row; returns the numbers of its gaps."""
        self._row = row
        self._listed = True
        numbers = [number for number, _ in sheet.gaps]
        self._unsaved_gaps.difference_update(numbers)
        if sheet.spans:
            for part in self._parts:
                if part.runs.runs:
                    newest = len(part.runs.runs) - 1
                    self._saved_runs[part.number] = newest, part.runs.runs[newest].last
        return numbers

    def _new_spans(self) -> list[tuple[int, Span]]:
        """Runs that are new or have grown, by part: only the last one of a part can grow."""
        spans: list[tuple[int, Span]] = []
        for part in self._parts:
            place, last = self._saved_runs.get(part.number, (0, -1))
            for run in part.runs.runs[place:]:
                if run.last != last:
                    spans.append((part.number, run.as_span()))
        return spans

    def _record(self) -> SessionRecord:
        runs = [run.as_span() for part in self._parts for run in part.runs.runs]
        spans = merge_spans([*(self._past.spans if self._past else ()), *runs])
        ending = self.ending if self._closing else None
        ended_time_us, reason = self._ended(ending)
        state = SessionState.LIVE if ended_time_us is None else SessionState.ENDED
        return SessionRecord(
            session=self.session,
            state=SessionState.SEALED if ending is not None and ending.is_sealed else state,
            ended_time_us=ended_time_us,
            end_reason=reason,
            segment_count=sum(span.last - span.first + 1 for span in spans),
            size_bytes=sum(span.size_bytes for span in spans),
            first_sequence=spans[0].first if spans else None,
            last_sequence=spans[-1].last if spans else None,
            start_time_us=spans[0].start_time_us if spans else None,
            end_time_us=spans[-1].end_time_us if spans else None,
            hold=self._file.hold,
        )

    def _ended(self, ending: End | None) -> tuple[int | None, str]:
        """When it ended, and why: the first time counts."""
        if self._past is not None:
            return self._past.ended_time_us, self._past.end_reason
        return (None, "") if ending is None else (ending.ended_time_us, ending.reason)

    def _gaps_in_order(self) -> tuple[Gap, ...]:
        return tuple(self.gaps[number] for number in sorted(self.gaps))


def _marked(past: Past) -> SessionFile:
    """The file of a session that is being written to after its end."""
    return replace(
        describe(past.session),
        ended_time_us=past.ended_time_us,
        end_reason=past.end_reason,
        gaps=past.gaps,
        filling_from=past.next_number,
        hold=past.hold,
    )
