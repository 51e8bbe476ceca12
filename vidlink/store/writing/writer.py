"""Rounds: what has come in is written, listed and synced, and only then acknowledged.

This is one idea: the steps of a round, whose order is the promise. One thread is in
:meth:`Writer.run`, or a test calls :meth:`Writer.round`. A round's part in one session is in
`recording`; its report is read by `queue.ledger`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from twisted.logger import Logger

from vidlink.errors import PeerError, RequestError, StoreError, VidlinkError
from vidlink.model import Arrival, Cause, Session, Trouble
from vidlink.store.files.durability import Durability
from vidlink.store.files.folder import DataFolder
from vidlink.store.handover.inbox import PATIENCE_SECONDS, Inbox
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import (
    Begin,
    End,
    Forget,
    LookAgain,
    Order,
    Past,
    Reopen,
    Report,
    SetHold,
    StateGap,
)
from vidlink.store.handover.removals import FULL, Removals
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.index.rows import SessionRows, SpanRow
from vidlink.store.writing.closed import BUSY, ClosedSessions
from vidlink.store.writing.marking import Marking
from vidlink.store.writing.part import OpenParts
from vidlink.store.writing.parts import MOST_PARTS
from vidlink.store.writing.recording import Recording
from vidlink.store.writing.reopening import look_up
from vidlink.store.writing.rows import Rows

#: So long it waits for more before a round, unless somebody waits for that, or there is a lot:
#: most of what a round costs, it costs for each session and not for each segment. Acknowledgements
#: go as often.
ROUND_SECONDS = 1.0
#: The most that a round writes.
ROUND_BYTES = 16 * 1024 * 1024
#: This part of the queue is enough to begin a round at once: an eighth.
DUE_PART = 8
#: A write that has failed is tried again after this time.
RETRY_SECONDS = 1.0
#: A stop that has to wait for the disk looks again after this time.
_PAUSE_SECONDS = 0.25
#: So many sessions are looked up in one round to be opened again, a tenth of a millisecond each.
MOST_REOPENED = 64
#: And so many runs of theirs, a few microseconds each; one session may have more.
MOST_REOPENED_RUNS = 100_000


class Writer:
    """The recordings of all sessions that are not wholly on disk.

    `deliver` is given the report of each round, in the calling thread; `removals` hears when
    the disk is full, and of what the database has let go; `queue_bytes` is how much may wait.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        folder: DataFolder,
        open_parts: OpenParts,
        durability: Durability,
        index: Index,
        catalog: Catalog,
        locks: SessionLocks,
        inbox: Inbox,
        removals: Removals,
        monotonic: Callable[[], float],
        deliver: Callable[[Report], object],
        queue_bytes: int,
    ) -> None:
        self._folder = folder
        self._open_parts = open_parts
        self._durability = durability
        self._index = index
        self._catalog = catalog
        self._inbox = inbox
        self._monotonic = monotonic
        self._deliver = deliver
        self._due_bytes = queue_bytes // DUE_PART
        self._removals = removals
        self._locks = locks
        self._closed = ClosedSessions(folder, open_parts.disk, durability, locks, removals)
        self._marking = Marking(
            folder, open_parts.disk, durability, locks, catalog, self._closed.is_holding
        )
        self._recordings: dict[str, Recording] = {}
        self._ready: dict[str, Recording] = {}
        #: Something is left of what was due when this round began, or an earlier one.
        self._goes_on = False
        self._to_reopen: deque[Reopen] = deque()
        self._index_retry_seconds = float("-inf")
        #: The troubles of the last time that it was tried; of sessions, and of the database.
        self._troubles: dict[str, Trouble] = {}
        self._index_trouble: Trouble | None = None
        self._has_dropped = False
        self._report = Report()

    def run(self, done: Callable[[], object]) -> None:
        """Do rounds until `inbox` is closed, then the last ones, then call `done`."""
        try:
            again: float | None = None
            while not self._inbox.is_closing:
                if again != 0.0:
                    self._inbox.wait(again, ROUND_SECONDS, self._due_bytes)
                again = self.round()
            self.finish(PATIENCE_SECONDS, time.sleep)
        except BaseException:
            self._log.failure("the writer of recordings has ended: nothing is recorded any more")
            raise
        finally:
            done()

    def round(self) -> float | None:
        """Accept what has come in, and do one round.

        Returns after how many seconds there is more to do: 0.0 at once, None not before more
        comes in.
        """
        self._report = Report()
        if not self._goes_on or self._inbox.is_due:
            # Else who has just been written would come again, with one more segment.
            for order in self._inbox.drain():
                self._accept(order)
        self._reopen_some()
        for hold in self._closed.move_out(self._recordings):
            self._accept(hold)
        now = self._monotonic()
        touched: list[Recording] = []
        try:
            self._closed.write(self._report)
            self._look_again(now)
            is_full = self._write(touched, now)
            self._save(touched, now)
            self._sync(touched, now)
            self._settle(touched)
            self._marking.done(self._report)
        except Exception as error:
            self._log.failure("a round of the recording failed")
            is_full = False
            self._fail(touched, error, now)
            self._closed.failed()
        self._marking.end_round()
        self._report.troubles = dict(self._troubles)
        self._report.index_trouble = self._index_trouble
        self._report.took_seconds = self._monotonic() - now
        self._deliver(self._report)
        is_left = any(one.retry_seconds <= now for one in self._ready.values())
        self._goes_on = is_full or (is_left and self._index_trouble is None)
        if self._goes_on or self._to_reopen:
            return 0.0
        waits = self._ready or self._closed.has_work or self._index_trouble is not None
        return ROUND_SECONDS if waits or self._marking.has_work else None

    def finish(self, patience_seconds: float, pause: Callable[[float], object]) -> None:
        """Do rounds until everything is written, and let go of the files.

        What cannot be written is given up after `patience_seconds`. Sessions that have ended
        are wholly on disk then.
        """
        begun = self._monotonic()
        self._marking.stop()
        while self.round() is not None:
            if self._troubles or self._index_trouble is not None:
                if self._monotonic() - begun >= patience_seconds:
                    break
                pause(_PAUSE_SECONDS)
        if self._recordings:
            self._log.error(
                "{count} sessions could not be written to the end; what is missing of them is "
                "a gap in the recording",
                count=len(self._recordings),
            )
        self._open_parts.close()

    def _accept(self, order: Order) -> None:
        recordings = self._recordings
        match order:
            case Arrival():
                session_id = order.segment.session_id
                recordings[session_id].accept(order)
            case Begin():
                session_id = order.session.session_id
                self._locks.lock_for_writing(session_id)
                recordings[session_id] = self._recording(order.session)
            case StateGap(session_id=session_id):
                recordings[session_id].state_gap(order.number, order.gap)
            case SetHold(session_id=session_id) if session_id in recordings:
                recordings[session_id].set_hold(order)
            case End(session_id=session_id) if session_id in recordings:
                recordings[session_id].ending = order
            case End(session_id=session_id):
                # Nothing is opened for it any more; it may have been refused already.
                others = (one for one in self._to_reopen if one.session.session_id != session_id)
                self._to_reopen = deque(others)
                return
            case Reopen():
                self._to_reopen.append(order)
                return
            case SetHold() | Forget():
                self._closed.accept(order)
                return
            case LookAgain():
                self._marking.accept(order)
                return
        self._ready[session_id] = recordings[session_id]

    def _look_again(self, now: float) -> None:
        """Look at what was met as damaged, while the database can be told of it."""
        if self._index_retry_seconds <= now:
            recording = self._marking.look(self._recordings, self._report)
            if recording is not None:
                self._ready[recording.session.session_id] = recording

    def _recording(self, session: Session, past: Past | None = None) -> Recording:
        return Recording(session, self._folder.paths, self._open_parts, self._durability, past)

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
            past = look_up(order, self._catalog, self._open_parts.disk, self._folder.paths)
        except (RequestError, PeerError) as refusal:
            self._refuse(session_id, refusal)
        except Exception as error:
            if not isinstance(error, OSError | StoreError):
                self._log.failure("session {session} cannot be opened", session=session_id)
            self._refuse(session_id, RequestError(f"the session cannot be opened now: {error}"))
        else:
            self._report.opened.append(past)
            recording = self._recording(past.session, past)
            self._recordings[session_id] = self._ready[session_id] = recording
            return len(past.spans)
        return 0

    def _refuse(self, session_id: str, error: VidlinkError) -> None:
        self._locks.release_from_writing(session_id)
        self._report.refused.append((session_id, error))

    def _write(self, touched: list[Recording], now: float) -> bool:
        """Write sessions by turns until the round is full; returns whether it is."""
        budget, most = ROUND_BYTES, self._open_parts.limit
        due = [one for one in self._ready.values() if one.retry_seconds <= now]
        try:
            if due:
                self._folder.check()
        except OSError as error:
            self._fail(due, error, now)
            return False
        for recording in due:
            if budget <= 0 or len(touched) >= most:
                break
            try:
                budget -= recording.write(budget)
            except Exception as error:
                if not isinstance(error, OSError):
                    session_id = recording.session.session_id
                    self._log.failure("session {session} cannot be written", session=session_id)
                self._fail((recording,), error, now)
            else:
                touched.append(recording)
        if not touched or (budget > 0 and len(touched) < most):
            return False
        # To the end of the line, for the case that something is left of them.
        for recording in touched:
            session_id = recording.session.session_id
            self._ready[session_id] = self._ready.pop(session_id)
        return True

    def _save(self, touched: Iterable[Recording], now: float) -> None:
        if self._index_retry_seconds > now:
            return
        found: list[tuple[Rows, SessionRows]] = []
        grown: list[Rows] = []
        spans: list[SpanRow] = []
        for recording in touched:
            rows = recording.rows
            news = rows.news(now)
            if news is not None:
                found.append((rows, news))
            elif progress := rows.progress(now):
                grown.append(rows)
                spans += progress
        changes, marked = self._closed.changes(), self._marking.rows()
        if not (found or spans or changes or marked) and self._index_trouble is None:
            return
        try:
            self._index.check_place()
            placed = self._index.save([*marked, *(news for _, news in found)], changes, spans)
        except StoreError as error:
            self._fail_index(error, now)
            return
        self._index_trouble = None
        self._closed.is_saved = bool(changes)
        self._marking.is_saved = bool(marked)
        for (rows, news), row in zip(found, placed[len(marked) :], strict=True):
            rows.saved(news, row, now)
        for rows in grown:
            rows.progressed(now)

    def _fail_index(self, error: StoreError, now: float) -> None:
        """Let the database be told again later what it was not told now."""
        self._index_retry_seconds = now + RETRY_SECONDS
        self._index_trouble = Trouble(Cause.WRITE_ERROR, str(error))
        self._report.failures[Cause.WRITE_ERROR] += 1
        self._closed.failed()

    def _sync(self, touched: list[Recording], now: float) -> None:
        """Make the round durable; a session that could not be is not `touched` any more."""
        if self._durability.has_to_flush:
            unsynced = [recording.unsynced() for recording in touched]
            reasons = self._durability.sync_sessions(unsynced)
            for recording, reason in zip(tuple(touched), reasons, strict=True):
                if reason is not None:
                    touched.remove(recording)
                    self._fail((recording,), reason, now)
        try:
            if touched or self._closed.is_saved or self._marking.is_saved:
                self._durability.sync_all()
                self._folder.check()
                self._check(touched, now)
        except OSError as error:
            self._fail(touched, error, now)
            touched.clear()
            self._closed.failed()
            self._marking.end_round()
        else:
            self._closed.done(self._report)

    def _check(self, touched: list[Recording], now: float) -> None:
        """Look whether the round is where it will be looked for, before it is acknowledged."""
        for recording in tuple(touched):
            try:
                recording.check()
            except OSError as error:
                touched.remove(recording)
                self._fail((recording,), error, now)

    def _settle(self, touched: Iterable[Recording]) -> None:
        report, troubles, ready = self._report, self._troubles, self._ready
        for recording in touched:
            session_id = recording.session.session_id
            recording.commit(report)
            if troubles:
                troubles.pop(session_id, None)
            if not recording.is_ready:
                del ready[session_id]
            elif recording.is_finished:
                report.closed.append(session_id)
                self._locks.release_from_writing(session_id)
                del self._recordings[session_id]
                del ready[session_id]
        if report.dropped:
            self._say_dropped(report.dropped[0][0])

    def _fail(self, recordings: Iterable[Recording], error: Exception, now: float) -> None:
        """Let these write again later what they have written in this round."""
        cause, text = Cause.WRITE_ERROR, str(error)
        if isinstance(error, OSError):
            text = error.strerror or text
            if error.errno in FULL:
                cause = Cause.DISK_FULL
        for recording in recordings:
            recording.lose(now + RETRY_SECONDS)
            self._troubles[recording.session.session_id] = Trouble(cause, text)
            self._report.failures[cause] += 1
            if cause is Cause.DISK_FULL:
                self._removals.full()

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
