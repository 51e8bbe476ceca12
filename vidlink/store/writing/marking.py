"""Looking again at what readers found not to be what was recorded, and saying of it for good.

What is so is stated as a gap, then the database is told, and when both are on the disk the records
say so: until then it is met again, by whoever reads it, if anything fails or the process dies. In a
session that is being written to it is left out by `recording`, whose account states the gap.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.errors import RequestError, VidlinkError
from vidlink.model import Ranges, Span
from vidlink.store.files.columns import Columns
from vidlink.store.files.durability import Durability
from vidlink.store.files.folder import DataFolder
from vidlink.store.files.layout import write_session
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.files.records import SessionRecords
from vidlink.store.files.stored import StoredSession
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import LookAgain, Report
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.rows import SessionRows, record_of
from vidlink.store.sequences.gaps import FOUND_WHEN_READ, put_statement, state_damage
from vidlink.store.sequences.runs import Runs, merge_spans
from vidlink.store.sequences.times import end_us
from vidlink.store.writing.look import Look
from vidlink.store.writing.recording import Recording


@dataclass(frozen=True, slots=True)
class _Stated:
    """A session that nobody writes to, of which gaps were stated, and its rows without what is
    damaged: to be saved."""

    look: Look
    rows: SessionRows


class Marking:
    """Orders to look again, one at a time; `handover.suspects` bounds how many there are.

    `is_holding` tells of a session whether a hold of it is being written: that is waited for.
    """

    _log = Logger()

    def __init__(
        self,
        folder: DataFolder,
        disk: Disk,
        durability: Durability,
        locks: SessionLocks,
        catalog: Catalog,
        is_holding: Callable[[str], bool],
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._durability = durability
        self._locks = locks
        self._catalog = catalog
        self._is_holding = is_holding
        self._looks: deque[Look] = deque()
        self._stated: _Stated | None = None
        self._is_over = False
        #: The database has been told of :meth:`rows`, and not synced since.
        self.is_saved = False

    def accept(self, order: LookAgain) -> None:
        """Do this with one of the next rounds."""
        if not self._is_over:
            self._looks.append(Look(order, deque(order.ranges)))

    def stop(self) -> None:
        """Begin no more: a stop is not to wait for it, and whoever meets it tells of it again."""
        self._is_over = True
        self._looks.clear()

    @property
    def has_work(self) -> bool:
        """True if there is something to do."""
        return bool(self._looks)

    def look(self, recordings: Mapping[str, Recording], report: Report) -> Recording | None:
        """Look at the next, as far as a round has time for it; returns the recording that is to
        leave out what was found.

        One that is about to be closed is waited for: its account states nothing any more.
        """

        def can_be_told(look: Look) -> bool:
            session_id = look.order.session_id
            recording = recordings.get(session_id)
            is_ending = recording is not None and recording.ending is not None
            return not (is_ending or self._is_holding(session_id))

        look = next(filter(can_be_told, self._looks), None)
        if look is None:
            return None
        try:
            self._folder.check()
            if not look.go_on(self._stored(look.order)):
                return None
        except Exception as error:
            self._give_up(look, report, error)
            return None
        recording = recordings.get(look.order.session_id)
        if recording is None:
            self._state(look, report)
            return None
        self._looks.remove(look)
        if not look.found:
            report.looked.append(look.order)
            return None
        self._say(look)
        recording.leave_out(look)
        return recording

    def end_round(self) -> None:
        """Do again with the next one what has come to nothing in this round."""
        if self._stated is not None:
            self._looks.appendleft(self._stated.look)
            self._locks.release_from_writing(self._stated.look.order.session_id)
            self._stated = None
        self.is_saved = False

    def _stored(self, order: LookAgain) -> StoredSession:
        path = self._folder.paths.session(order.sentinel_id, order.session_id)
        return StoredSession(self._disk, path)

    def _state(self, look: Look, report: Report) -> None:
        """State the gaps of a session that nobody writes to, and find out what is left of it."""
        order = look.order
        if not self._locks.lock_for_writing(order.session_id):
            self._give_up(look, report)
            return
        try:
            self._stated = self._statement(look)
        except Exception as error:
            self._locks.release_from_writing(order.session_id)
            self._give_up(look, report, error)
        else:
            self._looks.remove(look)
            if self._stated is None:
                self._locks.release_from_writing(order.session_id)
                report.looked.append(order)

    def _give_up(self, look: Look, report: Report, error: Exception | None = None) -> None:
        """Leave it as it is: whoever meets it tells of it again. A fault of ours, too, is not to
        keep anybody from being recorded."""
        self._looks.remove(look)
        report.looked.append(look.order)
        if not isinstance(error, OSError | VidlinkError | None):
            self._log.failure("what is damaged cannot be looked at")
        if error is not None:
            self._log.error(
                "session {session} of {sentinel}: what is damaged cannot be stated: {reason}",
                session=look.order.session_id,
                sentinel=look.order.sentinel_id,
                reason=str(error),
            )

    def _statement(self, look: Look) -> _Stated | None:
        stored = self._stored(look.order)
        filed = self._catalog.session(*stored.ids)
        file = stored.read_file()
        if filed is None or file.is_unfinished:
            raise RequestError("it was not closed; see vidlink fsck")
        with stored.records() as records:
            spans = list(_spans(records, look.torn))
        there = Ranges((span.first, span.last) for _, span in spans)
        gaps = list(file.gaps)
        fresh = state_damage(Ranges(look.order.ranges), there, gaps, FOUND_WHEN_READ)
        if not (fresh or look.gaps or look.found):
            return None
        for gap in fresh:
            put_statement(gaps, gap)
        look.gaps += fresh
        file = replace(stored.with_init(file), gaps=tuple(gaps))
        if fresh:
            flush_files = self._durability.has_to_flush
            path = os.path.join(stored.folder, SESSION_FILE)
            self._disk.replace(path, write_session(file), flush=flush_files)
            if flush_files:
                self._disk.sync_folder(stored.folder)
        # What has become of its age since it was closed, only the database knows.
        record = replace(
            record_of(file, merge_spans(span for _, span in spans)),
            state=filed.record.state,
            age_from_us=filed.record.age_from_us,
        )
        rows = SessionRows(file, record, filed.row, spans, list(enumerate(gaps)), is_complete=True)
        return _Stated(look, rows)

    def rows(self) -> list[SessionRows]:
        """The rows that the database has to be told."""
        return [] if self._stated is None else [self._stated.rows]

    def done(self, report: Report) -> None:
        """Let the records say it too, once all else is on the disk."""
        if self._stated is None or not self.is_saved:
            return
        stated, self._stated, self.is_saved = self._stated, None, False
        look = stated.look
        try:
            look.mark(self._disk, self._stored(look.order).folder)
        except Exception as error:
            self._looks.append(look)
            self._give_up(look, report, error)
        else:
            self._say(look)
            report.stated += look.gaps
            report.looked.append(look.order)
        self._locks.release_from_writing(look.order.session_id)

    def _say(self, look: Look) -> None:
        self._log.error(
            "session {session} of {sentinel}: {count} segments on the disk are not what was "
            "recorded; they are listed as a gap from now on",
            session=look.order.session_id,
            sentinel=look.order.sentinel_id,
            count=look.found,
        )


def _spans(records: SessionRecords, torn: Mapping[int, Ranges]) -> Iterator[tuple[int, Span]]:
    """The spans of what the records tell of but for what is `torn`, each with its part."""
    runs: dict[int, Runs] = defaultdict(Runs)
    for part, columns in records.columns_beyond({}):
        besides = torn.get(part, Ranges())
        for low, high in columns.stretches():
            first, last = columns.sequences[low], columns.sequences[high]
            for one_first, one_last in besides.missing(first, last):
                _add(runs[part], columns, low + one_first - first, low + one_last - first)
    # Where the copy that counted is torn, an earlier one is there all the same.
    for number, ranges in torn.items():
        for part, row in records.copies_before(number, ranges):
            sequence, _, size, _, start_us, _, duration_ms, *_ = row
            if not any(sequence in one for one in runs.values()):
                runs[part].add(sequence, sequence, start_us, end_us(start_us, duration_ms), size)
    for part in sorted(runs):
        for run in runs[part].runs:
            yield part, run


def _add(runs: Runs, columns: Columns, low: int, high: int) -> None:
    """Add the segments from one place to another, whose sequences go on."""
    over_us = end_us(columns.starts_us[high], columns.durations_ms[high])
    size = sum(columns.sizes[low : high + 1])
    sequences = columns.sequences
    runs.add(sequences[low], sequences[high], columns.starts_us[low], over_us, size)
