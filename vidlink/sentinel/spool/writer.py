"""The spool's files: what is done in a round. When rounds are due is in `thread`.

A segment is written at once, and synced with whatever has come within half a second, which
is what a power cut can take. After an error the chunk is left alone for good, and what is not
known to be on the disk is written to the next one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from vidlink.disk import Disk
from vidlink.sentinel.spool.chunk import Chunk, chunk_path
from vidlink.sentinel.spool.inbox import Inbox, Pending
from vidlink.sentinel.spool.layout import SavedState
from vidlink.sentinel.spool.reading import Reader
from vidlink.sentinel.spool.recovery import GONE, remove_session
from vidlink.sentinel.spool.report import Placed, Report

#: So long what was written may wait for its sync.
SYNC_SECONDS = 0.5
#: So long after an error it is tried again.
RETRY_SECONDS = 1.0
#: The same while it is being stopped.
PAUSE_SECONDS = 0.1
#: So much of one session is written at a time.
ROUND_BYTES = 4 * 1024 * 1024
#: So many chunks are open for writing, each of another session.
OPEN_CHUNKS = 8


class Recording:
    """The writing of one session: its open chunk, and the highest sequences written and synced."""

    def __init__(self, session_id: str, folder: str, next_number: int) -> None:
        self.session_id = session_id
        self.folder = folder
        self.next_number = next_number
        self.chunk: Chunk | None = None
        self.written = -1
        self.synced = -1
        self.is_unsynced = False
        self.is_new = False

    def noted(self, state: SavedState) -> SavedState:
        """`state` as it may be written down: what is not written yet was not there."""
        if self.written < 0:
            return state
        known = (self.written, state.acknowledged or 0, *(one.last for one in state.dropped[-1:]))
        return replace(state, newest=max(known))


class Writer:
    """Does what is in the `inbox`, in the `folder` of one sentinel.

    Called in the spool's thread only. `keep_free_bytes` of the file system are left free. `tell`
    takes each :class:`Report`, `call_in_reactor` calls a function in the reactor's thread.
    """

    def __init__(
        self,
        folder: str,
        inbox: Inbox,
        disk: Disk,
        *,
        chunk_bytes: int,
        keep_free_bytes: int,
        next_numbers: dict[str, int],
        monotonic: Callable[[], float],
        tell: Callable[[Report], object],
        call_in_reactor: Callable[..., object],
    ) -> None:
        self._folder = folder
        self._inbox = inbox
        self._disk = disk
        self._chunk_bytes = chunk_bytes
        self._keep_free_bytes = keep_free_bytes
        self._monotonic = monotonic
        self._tell = tell
        self.reader = Reader(folder, inbox, disk, call_in_reactor)
        self._recordings: dict[str, Recording] = {}
        for session_id, number in next_numbers.items():
            self._begin(session_id, number)
        self._sync_at: float | None = None
        self._gone: list[str] = []
        #: The failure of the last round, in words; empty if it did all it should.
        self._trouble = ""

    @property
    def is_troubled(self) -> bool:
        """True if the last round could not do all it should."""
        return bool(self._trouble)

    def round(self, is_last: bool = False) -> float | None:
        """Read, remove and write what there is, and sync if it is time; returns the seconds until
        the next round is due (None: when there is something to do)."""
        reads_left = self.reader.round()
        report = Report()
        self._gone += self._inbox.collect_removed()
        for session_id in list(self._gone):
            self._attempt(report, self._remove, session_id)
        is_due = self._inbox.collect_sync_due() or is_last
        for session_id in self._inbox.dirty():
            self._attempt(report, self._write, session_id, report)
        if is_due or (self._sync_at is not None and self._monotonic() >= self._sync_at):
            self._sync_at = None
            for recording in list(self._recordings.values()):
                self._attempt(report, self._sync, recording, report)
        if report.placed or report.trouble or self.is_troubled:
            report.room_bytes = self.room_bytes()
            self._tell(report)
        self._trouble = report.trouble
        if self.is_troubled or reads_left:
            return RETRY_SECONDS
        if self._inbox.dirty():
            return 0.0
        return None if self._sync_at is None else max(0.0, self._sync_at - self._monotonic())

    def finish(self, patience_seconds: float, sleep: Callable[[float], object]) -> None:
        """Write what is left and seal every chunk; a disk in trouble is tried for so long."""
        until = self._monotonic() + patience_seconds
        while self.round(is_last=True) is not None and self._monotonic() < until:
            if self.is_troubled:
                sleep(PAUSE_SECONDS)
        report = Report(room_bytes=self.room_bytes(), trouble=self._trouble)
        for recording in list(self._recordings.values()):
            self._attempt(report, self._seal, recording, report)
        self.reader.give_up()
        self._tell(report)

    def room_bytes(self) -> int:
        """Octets that may be written before the file system is too full; maybe below 0."""
        try:
            return self._disk.free_bytes(self._folder) - self._keep_free_bytes
        except OSError:
            return 0

    def _attempt(self, report: Report, work: Callable[..., None], *given: object) -> None:
        try:
            work(*given)
        except OSError as error:
            report.trouble = report.trouble or (error.strerror or str(error))

    def _remove(self, session_id: str) -> None:
        recording = self._recordings.pop(session_id, None)
        if recording is not None and recording.chunk is not None:
            recording.chunk.abandon()
        folder = os.path.join(self._folder, session_id)
        if os.path.isdir(folder):
            # Half of a session must not come back after a power cut.
            os.rename(folder, folder + GONE)
        if os.path.isdir(folder + GONE):
            remove_session(self._disk, folder + GONE)
        self._gone.remove(session_id)

    def _write(self, session_id: str, report: Report) -> None:
        recording = self._recordings.get(session_id) or self._begin(session_id, 0)
        work = self._inbox.collect(session_id, recording.written, ROUND_BYTES)
        if work is None:
            return
        doomed = work.doomed
        try:
            is_due = not work.is_noted or work.is_fresh_due
            if doomed:
                self._remove_doomed(recording, work, doomed, report)
                is_due = False
            if is_due or work.waiting:
                self._check_room(work)
            if is_due:
                self._note(recording, work, report)
            self._append(recording, work, report)
        except OSError:
            self._abandon(recording, report, doomed)
            raise

    def _remove_doomed(
        self, recording: Recording, work: Pending, doomed: list[int], report: Report
    ) -> None:
        """Write down what became of the segments in these chunks, and remove them; where the
        disk is full they go first."""
        trouble: OSError | None = None
        try:
            self._note(recording, work, report)
            self._sync(recording, report)
        except OSError as error:
            trouble = error
        while doomed:
            self._disk.remove(chunk_path(recording.folder, doomed[-1]))
            doomed.pop()
        if trouble is not None:
            # What was written and not synced comes again, before the segments of this work.
            raise trouble

    def _check_room(self, work: Pending) -> None:
        needed = sum(len(segment.data) for segment in work.waiting.values()) + len(work.init)
        if needed > self.room_bytes():
            raise OSError(errno.ENOSPC, "the file system is nearly full")

    def _note(self, recording: Recording, work: Pending, report: Report) -> None:
        """Write down how things are, in a fresh chunk if there is none or it is due."""
        if work.is_fresh_due:
            self._seal(recording, report)
        if recording.chunk is None:
            self._open(recording, work, report)
            return
        recording.chunk.note(recording.noted(work.state))
        self._touch(recording)

    def _append(self, recording: Recording, work: Pending, report: Report) -> None:
        rest = list(work.waiting.values())
        while rest:
            chunk = recording.chunk or self._open(recording, work, report)
            count, size = 0, chunk.size_bytes
            while count < len(rest) and (not count or size < self._chunk_bytes):
                size += len(rest[count].data)
                count += 1
            batch, rest = rest[:count], rest[count:]
            chunk.append(batch)
            recording.written = batch[-1].sequence
            self._touch(recording)
            if chunk.size_bytes >= self._chunk_bytes:
                self._seal(recording, report)

    def _open(self, recording: Recording, work: Pending, report: Report) -> Chunk:
        in_use = [one for one in self._recordings.values() if one.chunk is not None]
        if len(in_use) >= OPEN_CHUNKS:
            self._seal(in_use[0], report)
        self._disk.make_folders(recording.folder)
        number, recording.next_number = recording.next_number, recording.next_number + 1
        state = recording.noted(work.state)
        recording.chunk = Chunk(self._disk, recording.folder, number, work.init, state)
        recording.is_new = True
        self._touch(recording)
        # The last that was begun stands last.
        self._recordings[recording.session_id] = self._recordings.pop(recording.session_id)
        return recording.chunk

    def _touch(self, recording: Recording) -> None:
        recording.is_unsynced = True
        if self._sync_at is None:
            self._sync_at = self._monotonic() + SYNC_SECONDS

    def _sync(self, recording: Recording, report: Report) -> None:
        chunk = recording.chunk
        if chunk is None or not recording.is_unsynced:
            return
        try:
            places = chunk.sync()
            if recording.is_new:
                self._disk.sync_folder(recording.folder)
                self._disk.sync_folder(self._folder)
        except OSError:
            self._abandon(recording, report)
            raise
        recording.is_unsynced = recording.is_new = False
        recording.synced = places[-1].sequence if places else recording.synced
        placed = Placed(recording.session_id, chunk.number, chunk.size_bytes, places)
        report.placed.append(placed)

    def _seal(self, recording: Recording, report: Report) -> None:
        """End the open chunk of a session, if it has one."""
        state = self._inbox.state(recording.session_id)
        if recording.chunk is None or state is None:
            return
        try:
            recording.chunk.seal(recording.noted(state))
        except OSError:
            self._abandon(recording, report)
            raise
        recording.is_unsynced = True
        self._sync(recording, report)
        recording.chunk.close()
        recording.chunk = None

    def _abandon(self, recording: Recording, report: Report, doomed: Sequence[int] = ()) -> None:
        """Have what is not known to be on the disk written again, elsewhere; and chunks that are
        `doomed` removed again."""
        chunk, recording.chunk = recording.chunk, None
        if chunk is not None:
            chunk.abandon()
            placed = Placed(recording.session_id, chunk.number, chunk.size_bytes, [])
            report.placed.append(placed)
        recording.written = recording.synced
        recording.is_unsynced = False
        self._inbox.retry(recording.session_id, doomed)

    def _begin(self, session_id: str, next_number: int) -> Recording:
        folder = os.path.join(self._folder, session_id)
        recording = self._recordings[session_id] = Recording(session_id, folder, next_number)
        return recording
