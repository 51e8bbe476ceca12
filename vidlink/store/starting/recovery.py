"""The start: the database and the folders are made to agree before anything is recorded.

A session that was being recorded when the server stopped is closed; a folder that the database
does not know is listed again; a database that is lost or not ours is made anew from the folders.
This is one idea, the start from beginning to end; a single folder is looked at in `salvage`.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import Cause, Gap, Ranges, Seen, Span, is_sentinel_id, is_session_id
from vidlink.store.files.durability import Durability
from vidlink.store.files.layout import RECORD_BYTES, SessionFile, write_session
from vidlink.store.files.paths import SESSION_FILE, Paths, part_number
from vidlink.store.files.pieces import PieceReader
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.files.segments import holds_segments
from vidlink.store.files.stored import StoredSession
from vidlink.store.index.catalog import Catalog, Filed
from vidlink.store.index.database import Index, UnusableIndex
from vidlink.store.index.deletions import is_deleted
from vidlink.store.index.rows import SessionRows, rows_of
from vidlink.store.sequences.gaps import state_damage
from vidlink.store.sequences.trusted import TrustedTime, age_beside, first_seen
from vidlink.store.starting.deleted import add_receipts, clear_sentinels, put_away
from vidlink.store.starting.salvage import Salvage, Salvaged

END_REASON = "server stopped"
#: So many sessions go into one transaction.
_BATCH = 256


class Recovery:
    """One start of the store at `now_us`, by the wall clock. Everything blocks.

    `seen` is what the folder has kept of time; `trusted` goes on from there, once it is known
    what is recorded. `is_thorough`: the description of every session is read, and not only of
    those that the database has as open.
    """

    _log = Logger()

    def __init__(
        self,
        paths: Paths,
        disk: Disk,
        index: Index,
        durability: Durability,
        receipts: ReceiptFile,
        now_us: int,
        *,
        seen: Seen | None,
        trusted: TrustedTime,
        is_thorough: bool = False,
    ) -> None:
        self._paths = paths
        self._disk = disk
        self._index = index
        self._durability = durability
        self._receipts = receipts
        self._now_us = now_us
        self._seen = seen
        self._trusted = trusted
        self._is_thorough = is_thorough
        #: The sessions that were closed, as the ids of Sentinel and session.
        self.closed: list[tuple[str, str]] = []
        self._to_end: list[tuple[SessionFile, int | None, Salvaged]] = []
        self._unsaved: list[SessionRows] = []

    def run(self) -> UsedIds:
        """Make everything agree; returns the ids that must not be used again.

        :raises OSError: the disk fails.
        :raises StoreError: the database fails.
        """
        self._open_index()
        add_receipts(self._index, self._receipts)
        catalog = Catalog(self._paths.index)
        try:
            known = self._index.known()
            open_sessions = self._index.open_sessions()
            folders = dict(self._folders())
            if self._is_thorough:
                open_sessions += self._unfinished(folders, known, open_sessions)
            for session_id, sentinel_id in folders.items():
                if session_id in known:
                    continue
                try:
                    if is_deleted(catalog, session_id):
                        put_away(sentinel_id, session_id, self._paths, self._disk)
                    else:
                        self._add_folder(sentinel_id, session_id)
                except OSError as error:
                    # The others shall be listed all the same; the next start tries again.
                    self._say_unreadable(self._paths.session(sentinel_id, session_id), error)
            for sentinel_id, session_id in open_sessions:
                filed = catalog.session(sentinel_id, session_id)
                if filed is not None:
                    self._close(filed, catalog)
        finally:
            catalog.close()
        # Nobody looks at a session again that says that it has ended: what was cut off has to
        # be gone for good before it does.
        self._durability.sync_all()
        for file, row, salvaged in self._to_end:
            self._end(file, row, salvaged)
        self._save(1)
        self._trusted.open(self._seen or first_seen(self._index.newest_us(), self._now_us))
        self._index.settle(self._trusted.now_us(), self._now_us)
        self._durability.sync_all()
        clear_sentinels(self._paths)
        return UsedIds(known | folders.keys(), self._index.receipted())

    def _open_index(self) -> None:
        """Open the database; what cannot be used is put aside, and never deleted."""
        try:
            self._index.open()
        except UnusableIndex as error:
            aside = f"{self._paths.index}.{self._now_us}.unusable"
            self._log.error(
                "{reason}; it is kept as {aside}, and made anew from the recordings",
                reason=str(error),
                aside=aside,
            )
            for suffix in ("", "-wal", "-shm"):
                if os.path.exists(self._paths.index + suffix):
                    os.replace(self._paths.index + suffix, aside + suffix)
            self._index.is_new = True
            self._index.open()

    def _folders(self) -> Iterator[tuple[str, str]]:
        """Every session folder, as the ids of session and Sentinel."""
        with os.scandir(self._paths.recordings) as sentinels:
            for sentinel in sentinels:
                if is_sentinel_id(sentinel.name) and sentinel.is_dir(follow_symlinks=False):
                    with os.scandir(sentinel.path) as sessions:
                        for session in sessions:
                            if is_session_id(session.name):
                                yield session.name, sentinel.name

    def _unfinished(
        self, folders: dict[str, str], known: set[str], besides: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Sessions that the database has as closed, and their folders do not."""
        found: list[tuple[str, str]] = []
        others = set(besides)
        for session_id, sentinel_id in folders.items():
            if session_id in known and (sentinel_id, session_id) not in others:
                file = self._read_file(sentinel_id, session_id)
                if file is not None and file.is_unfinished:
                    found.append((sentinel_id, session_id))
        return found

    def _add_folder(self, sentinel_id: str, session_id: str) -> None:
        """Put a folder that the database does not know into it."""
        folder = self._paths.session(sentinel_id, session_id)
        file = self._read_file(sentinel_id, session_id)
        if file is None:
            # Nothing else says what it is: a wrong bit is better than no session.
            with suppress(OSError, StoreError):
                file = StoredSession(self._disk, folder).read_file(is_checked=False)
        if file is None:
            self._clear_away(folder)
        elif file.is_unfinished:
            self._cut(folder, file, None, None, file.gaps)
        else:
            self._add(file, None, Salvage(self._disk, folder, file, None).look())

    def _close(self, filed: Filed, catalog: Catalog) -> None:
        """Close a session that was being recorded."""
        session = filed.record.session
        folder = self._paths.session(session.sentinel_id, session.session_id)
        file = self._read_file(session.sentinel_id, session.session_id)
        if file is None:
            file = filed.as_file()
        if not file.is_unfinished:
            try:
                salvaged = Salvage(self._disk, folder, file, None).look()
            except OSError as error:
                self._say_unreadable(folder, error)
                salvaged = Salvaged(catalog.part_spans(filed.row), was_cut=False)
            self._add(file, filed.row, salvaged)
            return
        known: dict[int, list[Span]] = {}
        for part, span in catalog.part_spans(filed.row):
            if part >= (file.filling_from or 0):
                known.setdefault(part, []).append(span)
        # Statements are only added, and either may be the older one: a copy of the database that
        # was put back, or the description, which is not written with each of many.
        gaps = max(catalog.gaps(filed.row), file.gaps, key=len)
        self._cut(folder, file, filed.row, known, gaps)

    def _read_file(self, sentinel_id: str, session_id: str) -> SessionFile | None:
        folder = self._paths.session(sentinel_id, session_id)
        try:
            return StoredSession(self._disk, folder).read_file()
        except (OSError, StoreError) as error:
            path = os.path.join(folder, SESSION_FILE)
            self._log.warn("{path} cannot be read: {reason}", path=path, reason=str(error))
            return None

    def _cut(
        self,
        folder: str,
        file: SessionFile,
        row: int | None,
        known: dict[int, list[Span]] | None,
        gaps: tuple[Gap, ...],
    ) -> None:
        """Cut what was never synced, and end the session there."""
        try:
            has_to_flush = self._durability.has_to_flush
            salvaged = Salvage(self._disk, folder, file, known).cut(has_to_flush)
        except OSError as error:
            # The others shall be recorded all the same.
            self._say_unreadable(folder, error)
            spans = [(part, span) for part, found in (known or {}).items() for span in found]
            salvaged = Salvaged(spans, was_cut=False)
        if file.ended_time_us is None:
            ends = [span.end_time_us for _, span in salvaged.spans]
            end_us = max(ends, default=file.session.started_time_us)
            stop = Gap(None, None, Cause.SERVER_STOPPED, end_us, None, "the server was stopped")
            # Its segments say when it ended by the clock of the Sentinel, which may say anything.
            age_us = None if self._seen is None else age_beside(end_us, self._seen.time_us)
            file = replace(file, ended_time_us=end_us, end_reason=END_REASON, age_from_us=age_us)
            gaps = (*gaps, stop)
        there = Ranges((span.first, span.last) for _, span in salvaged.spans)
        gaps = (*gaps, *state_damage(salvaged.lost, there, gaps, "found at a start"))
        # One that had ended before is not cut short: what it lacks is asked for again.
        ended = replace(file, gaps=gaps, filling_from=None)
        self._to_end.append((ended, row, salvaged))

    def _say_unreadable(self, folder: str, error: OSError) -> None:
        self._log.error(
            "{folder} cannot be put in order, and is left as it is: {reason}; see vidlink fsck",
            folder=folder,
            reason=str(error),
        )

    def _end(self, file: SessionFile, row: int | None, salvaged: Salvaged) -> None:
        session = file.session
        folder = self._paths.session(session.sentinel_id, session.session_id)
        flush_files = self._durability.has_to_flush
        self._disk.make_folders(folder)
        path = os.path.join(folder, SESSION_FILE)
        file = StoredSession(self._disk, folder).with_init(file)
        self._disk.replace(path, write_session(file), flush=flush_files)
        if flush_files:
            self._disk.sync_folder(folder)
        self._add(file, row, salvaged)
        self.closed.append((session.sentinel_id, session.session_id))
        self._log.info(
            "session {session} of {sentinel} was being written to when the server stopped{cut}",
            session=session.session_id,
            sentinel=session.sentinel_id,
            cut="; what had not reached the disk is gone" if salvaged.was_cut else "",
        )

    def _add(self, file: SessionFile, row: int | None, salvaged: Salvaged) -> None:
        self._unsaved.append(rows_of(file, row, salvaged.spans))
        self._save(_BATCH)

    def _save(self, most: int) -> None:
        """Put what has been found into the database if it is at least `most` sessions."""
        if self._unsaved and len(self._unsaved) >= most:
            self._index.save(self._unsaved)
            self._unsaved = []

    def _clear_away(self, folder: str) -> None:
        """Remove a folder without a readable description, unless something is recorded in it."""
        names = os.listdir(folder) if os.path.isdir(folder) else []
        if any(self._is_recorded(os.path.join(folder, name)) for name in names):
            self._log.error(
                "{folder} is left alone: it does not say what it is; see vidlink fsck",
                folder=folder,
            )
            return
        for name in names:
            if part_number(name) is not None or name.startswith(SESSION_FILE):
                self._disk.remove(os.path.join(folder, name))
        try:
            os.rmdir(folder)
        except OSError:
            self._log.warn("{folder} is no recording, and is left alone", folder=folder)

    def _is_recorded(self, path: str) -> bool:
        """Tell whether a file holds a record, or a segment that no record tells of."""
        if path.endswith(".idx"):
            return self._disk.size(path) >= RECORD_BYTES
        if part_number(os.path.basename(path)) is None:
            return False
        with PieceReader(self._disk, path, lambda size: None) as part:
            return holds_segments(part)


class UsedIds:
    """The ids, eight bytes each, for there may be millions.

    `deleted` are the hashes of those that have a receipt.
    """

    def __init__(self, session_ids: set[str], deleted: Iterable[int]) -> None:
        used = {hash(session_id) for session_id in session_ids}
        self._hashes = array("q", sorted(used.union(deleted)))

    def __call__(self, session_id: str) -> bool:
        """Tell whether `session_id` was used, or, once in 10^13 times, one that looks like it."""
        wanted = hash(session_id)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted
