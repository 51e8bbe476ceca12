"""Rounds: what has come in is written, listed and synced, and only then acknowledged.

One thread calls :meth:`Writer.round` (`thread`), or a test does. What a round does for one
session is in `recording`; what becomes of its report in `ledger`.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable

from twisted.logger import Logger

from vidlink.errors import PeerError, RequestError, StoreError, VidlinkError
from vidlink.model import Arrival, Cause, Trouble
from vidlink.store.files.durability import Durability
from vidlink.store.files.paths import Paths
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import (
    Acknowledged,
    Begin,
    Forget,
    Order,
    Reopen,
    Report,
    SetHold,
    StateGap,
)
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.index.rows import SessionRows
from vidlink.store.writing.closed import BUSY, ClosedSessions
from vidlink.store.writing.part import OpenParts
from vidlink.store.writing.recording import MOST_PARTS, Recording
from vidlink.store.writing.reopening import look_up

ROUND_SECONDS = 0.25
ROUND_BYTES = 8 * 1024 * 1024
#: What has failed is tried again after this time.
RETRY_SECONDS = 1.0
#: How old the spans of a live session may be in the database.
PROGRESS_SECONDS = 1.0
#: So many sessions are looked up in one round to be opened again, a tenth of a millisecond each.
MOST_REOPENED = 64
#: And so many runs of theirs, a few microseconds each; one session may have more.
MOST_REOPENED_RUNS = 100_000

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Writer:
    """The recordings of all sessions that are not wholly on disk.

    `check_folder` raises :exc:`OSError` when the data folder is not there any more; `deliver` is
    given the report of each round, in the calling thread; `full` is called when the disk is, and
    `forgotten` as :class:`~vidlink.store.writing.closed.ClosedSessions` says.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        paths: Paths,
        open_parts: OpenParts,
        durability: Durability,
        index: Index,
        catalog: Catalog,
        locks: SessionLocks,
        inbox: Inbox,
        check_folder: Callable[[], object],
        monotonic: Callable[[], float],
        deliver: Callable[[Report], object],
        full: Callable[[], object],
        forgotten: Callable[[str, bool], object],
    ) -> None:
        self._paths = paths
        self._open_parts = open_parts
        self._durability = durability
        self._index = index
        self._catalog = catalog
        self._inbox = inbox
        self._check_folder = check_folder
        self._monotonic = monotonic
        self._deliver = deliver
        self._full = full
        self._locks = locks
        self._closed = ClosedSessions(paths, open_parts.disk, locks, check_folder, forgotten)
        self._recordings: dict[str, Recording] = {}
        self._ready: dict[str, Recording] = {}
        self._to_reopen: deque[Reopen] = deque()
        self._index_retry_seconds = float("-inf")
        #: What did not go well the last time it was tried; of sessions, and of the database.
        self._troubles: dict[str, Trouble] = {}
        self._index_trouble: Trouble | None = None
        self._has_dropped = False
        self._report = Report()

    def round(self) -> float | None:
        """Take what has come in, and do one round.

        Returns after how many seconds there is more to do: 0.0 at once, None not before more
        comes in.
        """
        self._report = Report()
        for order in self._inbox.drain():
            self._accept(order)
        self._reopen_some()
        for hold in self._closed.move_out(self._recordings):
            self._accept(hold)
        now = self._monotonic()
        touched: list[Recording] = []
        try:
            self._closed.write(self._report, self._durability.flushes_files)
            is_full = self._write(touched, now)
            saved = self._save(touched, now)
            self._sync(touched, now)
            self._settle(touched, saved)
        except Exception as error:
            self._log.failure("a round of the recording failed")
            is_full = False
            for recording in touched:
                self._fail(recording, error, now)
            self._closed.failed()
        self._say_how_it_went(self._monotonic() - now)
        if is_full or self._to_reopen:
            return 0.0
        waits = self._ready or self._closed.has_work or self._index_trouble is not None
        return ROUND_SECONDS if waits else None

    def _say_how_it_went(self, took_seconds: float) -> None:
        report = self._report
        report.troubles = dict(self._troubles)
        report.index_trouble = self._index_trouble
        report.took_seconds = took_seconds
        self._deliver(report)

    def finish(self, patience_seconds: float, pause: Callable[[float], object]) -> None:
        """Do rounds until everything is written, and let go of the files.

        What cannot be written is given up after `patience_seconds`. Sessions that have ended
        are wholly on disk then.
        """
        begun = self._monotonic()
        while self.round() is not None:
            if self._troubles or self._index_trouble is not None:
                if self._monotonic() - begun >= patience_seconds:
                    break
                pause(ROUND_SECONDS)
        if self._recordings:
            self._log.error(
                "{count} sessions could not be written to the end; what is missing of them is "
                "a gap in the recording",
                count=len(self._recordings),
            )
        self._open_parts.close()

    def _accept(self, order: Order) -> None:
        if isinstance(order, Arrival):
            session_id = order.segment.session_id
            self._recordings[session_id].accept(order)
        elif isinstance(order, Begin):
            session_id = order.session.session_id
            self._locks.lock_for_writing(session_id)
            self._recordings[session_id] = Recording(order.session, self._paths)
        elif isinstance(order, StateGap):
            session_id = order.session_id
            self._recordings[session_id].state_gap(order.number, order.gap)
        elif isinstance(order, Reopen):
            self._to_reopen.append(order)
            return
        elif isinstance(order, Forget) or (
            isinstance(order, SetHold) and order.session_id not in self._recordings
        ):
            self._closed.accept(order)
            return
        elif isinstance(order, SetHold):
            session_id = order.session_id
            self._recordings[session_id].set_hold(order)
        else:
            session_id = order.session_id
            if session_id not in self._recordings:
                self._forget(session_id)
                return
            self._recordings[session_id].ending = order
        self._ready[session_id] = self._recordings[session_id]

    def _forget(self, session_id: str) -> None:
        """It is not to be opened again after all; it may have been refused already."""
        orders = self._to_reopen
        self._to_reopen = deque(one for one in orders if one.session.session_id != session_id)

    def _reopen_some(self) -> None:
        """Open sessions for what comes late, as many as a round has time for."""
        runs = 0
        for _ in range(min(len(self._to_reopen), MOST_REOPENED)):
            runs += self._reopen(self._to_reopen.popleft())
            if runs >= MOST_REOPENED_RUNS:
                break

    def _reopen(self, order: Reopen) -> int:
        """Open a session, or say why not; returns how many runs it has."""
        session_id = order.session.session_id
        if self._closed.is_holding(session_id) or not self._locks.lock_for_writing(session_id):
            self._report.refused.append((session_id, RequestError(BUSY)))
            return 0
        try:
            past = look_up(order, self._catalog, self._open_parts.disk, self._paths)
        except (RequestError, PeerError) as refusal:
            self._refuse(session_id, refusal)
        except Exception as error:
            if not isinstance(error, OSError | StoreError):
                self._log.failure("session {session} cannot be opened", session=session_id)
            self._refuse(session_id, RequestError(f"the session cannot be opened now: {error}"))
        else:
            self._report.opened.append(past)
            recording = Recording(past.session, self._paths, past)
            self._recordings[session_id] = self._ready[session_id] = recording
            return len(past.spans)
        return 0

    def _refuse(self, session_id: str, error: VidlinkError) -> None:
        self._locks.release_from_writing(session_id)
        self._report.refused.append((session_id, error))

    def _write(self, touched: list[Recording], now: float) -> bool:
        """Write sessions by turns until the round is full; returns whether it is."""
        budget = ROUND_BYTES
        due = [one for one in self._ready.items() if one[1].retry_seconds <= now]
        if due and not self._folder_is_there(now, due):
            return False
        flush_files = self._durability.flushes_files
        for session_id, recording in due:
            if budget <= 0 or len(touched) >= self._open_parts.limit:
                break
            try:
                budget -= recording.write(self._open_parts, budget, flush_files)
            except Exception as error:
                if not isinstance(error, OSError):
                    self._log.failure("session {session} cannot be written", session=session_id)
                self._fail(recording, error, now)
            else:
                touched.append(recording)
                # To the end of the line, for the case that something is left of it.
                self._ready[session_id] = self._ready.pop(session_id)
        return bool(touched) and (budget <= 0 or len(touched) >= self._open_parts.limit)

    def _folder_is_there(self, now: float, due: Iterable[tuple[str, Recording]]) -> bool:
        try:
            self._check_folder()
        except OSError as error:
            for _, recording in due:
                self._fail(recording, error, now)
            return False
        return True

    def _save(self, touched: Iterable[Recording], now: float) -> dict[str, list[int]]:
        """Tell the database; returns which gaps it has now, by session."""
        if self._index_retry_seconds > now:
            return {}
        sheets: list[tuple[Recording, SessionRows]] = []
        for recording in touched:
            sheet = recording.sheet(now - recording.saved_seconds >= PROGRESS_SECONDS)
            if sheet is not None:
                sheets.append((recording, sheet))
        changes = self._closed.changes()
        if not (sheets or changes) and self._index_trouble is None:
            return {}
        try:
            rows = self._index.save([sheet for _, sheet in sheets], changes)
        except StoreError as error:
            self._index_retry_seconds = now + RETRY_SECONDS
            self._index_trouble = Trouble(Cause.WRITE_ERROR, str(error))
            self._report.failures[Cause.WRITE_ERROR] += 1
            self._closed.failed()
            return {}
        self._index_trouble = None
        self._closed.is_saved = bool(changes)
        saved = {}
        for (recording, sheet), row in zip(sheets, rows, strict=True):
            saved[recording.session.session_id] = recording.saved(sheet, row)
            recording.saved_seconds = now
        return saved

    def _sync(self, touched: list[Recording], now: float) -> None:
        """Make the round durable; a session that could not be is not `touched` any more."""
        if self._durability.flushes_files:
            for recording in tuple(touched):
                try:
                    self._durability.sync_session(*recording.unsynced(self._open_parts))
                except OSError as error:
                    touched.remove(recording)
                    self._fail(recording, error, now)
        try:
            if touched or self._closed.is_saved:
                self._durability.sync_all()
                self._check_folder()
        except OSError as error:
            for recording in touched:
                self._fail(recording, error, now)
            touched.clear()
            self._closed.failed()
        else:
            self._closed.done(self._report)

    def _settle(self, touched: Iterable[Recording], saved: dict[str, list[int]]) -> None:
        for recording in touched:
            session_id = recording.session.session_id
            self._troubles.pop(session_id, None)
            if not recording.has_begun:
                self._report.begun.append(session_id)
            arrivals, parts = recording.commit()
            for arrival in recording.dropped():
                self._say_dropped(session_id)
                self._report.dropped.append((session_id, arrival))
            gaps = saved.get(session_id, [])
            self._report.held += recording.held()
            if arrivals or gaps:
                self._report.acks.append(Acknowledged(session_id, arrivals, gaps, parts))
            if recording.finished:
                self._report.closed.append(session_id)
                self._locks.release_from_writing(session_id)
                del self._recordings[session_id]
                del self._ready[session_id]
            elif not recording.ready:
                del self._ready[session_id]

    def _fail(self, recording: Recording, error: Exception, now: float) -> None:
        recording.lose(self._open_parts, now + RETRY_SECONDS)
        cause, text = Cause.WRITE_ERROR, str(error)
        if isinstance(error, OSError):
            if error.errno in _FULL:
                cause = Cause.DISK_FULL
                self._full()
            text = error.strerror or text
        self._troubles[recording.session.session_id] = Trouble(cause, text)
        self._report.failures[cause] += 1

    def _say_dropped(self, session_id: str) -> None:
        """Once in the life of a server: there may be many."""
        if not self._has_dropped:
            self._has_dropped = True
            self._log.warn(
                "session {session} has {count} parts already: what would begin another is "
                "not recorded, here and in other sessions",
                session=session_id,
                count=MOST_PARTS,
            )
