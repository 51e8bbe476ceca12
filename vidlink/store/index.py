"""The database: which sessions there are, their unbroken spans and their gaps.

It is written by the writer's thread only, one transaction a round; `catalog` reads it. Truth
is in the folders: whatever this loses, `recovery` finds again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vidlink.errors import StoreError
from vidlink.model import Gap, SessionRecord, Span
from vidlink.store import listing
from vidlink.store.layout import FORMAT, SessionFile

_SCHEMA = """
CREATE TABLE folder (uuid TEXT NOT NULL);
CREATE TABLE sentinels (
    sentinel_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    software TEXT NOT NULL,
    started_time_us INTEGER NOT NULL,
    end_time_us INTEGER
) WITHOUT ROWID;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    sentinel_id TEXT NOT NULL,
    name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    software TEXT NOT NULL,
    started_time_us INTEGER NOT NULL,
    init_size_bytes INTEGER NOT NULL,
    init_crc32 INTEGER NOT NULL,
    mime TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    timescale INTEGER NOT NULL,
    track_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_time_us INTEGER,
    end_reason TEXT NOT NULL,
    segment_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    first_sequence INTEGER,
    last_sequence INTEGER,
    start_time_us INTEGER,
    end_time_us INTEGER,
    begins_us INTEGER NOT NULL,
    reaches_us INTEGER NOT NULL
);
CREATE INDEX sessions_by_start ON sessions (started_time_us, session_id);
CREATE INDEX sessions_by_sentinel ON sessions (sentinel_id, started_time_us, session_id);
CREATE INDEX sessions_by_group ON sessions (group_name, started_time_us, session_id);
CREATE INDEX sessions_by_both ON sessions (sentinel_id, group_name, started_time_us, session_id);
CREATE INDEX sessions_by_lead ON sessions (started_time_us - begins_us);
CREATE INDEX sessions_by_length ON sessions (reaches_us - started_time_us);
CREATE INDEX sessions_by_state ON sessions (state, ended_time_us);
CREATE TABLE spans (
    session INTEGER NOT NULL,
    part INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    start_time_us INTEGER NOT NULL,
    end_time_us INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (session, first, part)
) WITHOUT ROWID;
CREATE TABLE gaps (
    session INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    cause TEXT NOT NULL,
    start_time_us INTEGER,
    end_time_us INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
"""

#: The columns of `sessions` that a record fills, in order.
COLUMNS = (
    "session_id", "sentinel_id", "name", "group_name", "software", "started_time_us",
    "init_size_bytes", "init_crc32", "mime", "width", "height", "timescale", "track_id",
    "state", "ended_time_us", "end_reason", "segment_count", "size_bytes", "first_sequence",
    "last_sequence", "start_time_us", "end_time_us", "begins_us", "reaches_us",
)  # fmt: skip

#: The state of a session that has ended and is open for what comes late.
FILLING = "filling"

_PUT_SESSION = (
    f"INSERT INTO sessions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    f"ON CONFLICT (session_id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)
_ROW_OF = "SELECT id FROM sessions WHERE session_id = ?"
_PUT_SENTINEL = """
INSERT INTO sentinels VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sentinel_id) DO UPDATE SET
    name = iif(excluded.started_time_us >= started_time_us, excluded.name, name),
    group_name = iif(excluded.started_time_us >= started_time_us, excluded.group_name, group_name),
    software = iif(excluded.started_time_us >= started_time_us, excluded.software, software),
    started_time_us = max(started_time_us, excluded.started_time_us),
    end_time_us = max(coalesce(end_time_us, excluded.end_time_us),
                      coalesce(excluded.end_time_us, end_time_us))
"""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PUT_SPAN = "INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_GAP = "INSERT OR REPLACE INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is new of one session, as described in `file`.

    `record` is None where the database has it, under the id `row`; spans are by part, gaps by
    number. `anew`: spans and gaps that are there are dropped. `is_filling`: the session has
    ended, and is written to all the same.
    """

    file: SessionFile
    record: SessionRecord | None
    row: int | None
    spans: list[tuple[int, Span]] = field(default_factory=list)
    gaps: list[tuple[int, Gap]] = field(default_factory=list)
    anew: bool = False
    is_filling: bool = False


class UnusableIndex(StoreError):
    """The database is damaged, or is not that of this data folder; it can be made anew."""


def connect(path: str, *, synchronous: str | None) -> sqlite3.Connection:
    """A connection for whichever thread uses it at a time; None: for reading only.

    `synchronous` is SQLite's word for when a commit is on the disk: ``FULL`` at once,
    ``NORMAL`` with whatever syncs the file system next.

    Raises:
        sqlite3.Error: the file is no database.
    """
    connection = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        if synchronous is None:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


class Index:
    """The database at `path`, which belongs to the data folder with this `uuid`.

    `is_new` says that there was none; `synchronous` is as for :func:`connect`. Everything may
    block.
    """

    def __init__(self, path: str, uuid: str, synchronous: str = "NORMAL") -> None:
        self.path = path
        self._uuid = uuid
        self._synchronous = synchronous
        self.is_new = not os.path.exists(path)
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open and check it; a missing one is made.

        Raises:
            UnusableIndex: it is damaged, or of another folder or format.
            StoreError: it cannot be opened for another reason, such as a full disk.
        """
        try:
            with self._reported("opened"):
                self._check() if not self.is_new else self._make()
        except StoreError:
            self.close()
            raise

    def _make(self) -> None:
        with self._transaction() as cursor:
            for statement in _SCHEMA.split(";"):
                cursor.execute(statement)
            cursor.execute("INSERT INTO folder VALUES (?)", (self._uuid,))
            cursor.execute(f"PRAGMA user_version = {FORMAT}")

    def _check(self) -> None:
        connection = self._connected()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != FORMAT:
            raise UnusableIndex(f"the index has format {version}, not {FORMAT}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise UnusableIndex(f"the index is damaged: {found}")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'folder'")
        if not tables.fetchall():
            raise UnusableIndex("the index is the database of something else")
        if connection.execute("SELECT uuid FROM folder").fetchall() != [(self._uuid,)]:
            raise UnusableIndex("the index belongs to another data folder")

    def save(self, sheets: Iterable[Sheet]) -> list[int]:
        """Put `sheets` into the database, all or none; returns the row of each session.

        Raises:
            StoreError: it could not be done; the next call opens the database anew.
        """
        with self._reported("written"), self._transaction() as cursor:
            return [_put(cursor, sheet) for sheet in sheets]

    def remove(self, row: int) -> None:
        """Forget a session, as if it had never been. Raises as :meth:`save`."""
        with self._reported("written"), self._transaction() as cursor:
            _drop_details(cursor, row)
            cursor.execute("DELETE FROM sessions WHERE id = ?", (row,))

    def seal(self, now_us: int) -> None:
        """Mark as sealed what ended long enough ago. Raises as :meth:`save`."""
        with self._reported("written"), self._transaction() as cursor:
            cursor.execute(
                "UPDATE sessions SET state = 'sealed' WHERE state = 'ended' AND ended_time_us <= ?",
                (now_us - listing.SEALING_US,),
            )

    def known(self) -> set[str]:
        """The ids of all sessions."""
        with self._reported("read"):
            rows = self._connected().execute("SELECT session_id FROM sessions")
            return {session_id for (session_id,) in rows}

    def open_sessions(self) -> list[tuple[str, str]]:
        """The sessions that were being written to, as the ids of Sentinel and session."""
        with self._reported("read"):
            rows = self._connected().execute(
                "SELECT sentinel_id, session_id FROM sessions WHERE state IN ('live', ?)",
                (FILLING,),
            )
            return rows.fetchall()

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.path, synchronous=self._synchronous)
        return self._connection

    @contextmanager
    def _reported(self, doing: str) -> Iterator[None]:
        """Say what SQLite says as an error of the store, and start anew after it."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            kind = UnusableIndex if error.sqlite_errorcode & 0xFF in _DAMAGED else StoreError
            raise kind(f"the index cannot be {doing}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._connected().cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            if cursor.connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise


def _put(cursor: sqlite3.Cursor, sheet: Sheet) -> int:
    row = sheet.row
    if sheet.record is not None:
        session = sheet.record.session
        cursor.execute(_PUT_SESSION, _as_row(sheet.record, sheet))
        (row,) = cursor.execute(_ROW_OF, (session.session_id,)).fetchone()
        cursor.execute(
            _PUT_SENTINEL,
            (
                session.sentinel_id,
                session.name,
                session.group,
                session.software,
                session.started_time_us,
                sheet.record.end_time_us,
            ),
        )
    assert row is not None
    if sheet.anew:
        _drop_details(cursor, row)
    cursor.executemany(_PUT_SPAN, [_span_as_row(row, part, span) for part, span in sheet.spans])
    cursor.executemany(_PUT_GAP, [_gap_as_row(row, number, gap) for number, gap in sheet.gaps])
    return row


def _drop_details(cursor: sqlite3.Cursor, row: int) -> None:
    cursor.execute("DELETE FROM spans WHERE session = ?", (row,))
    cursor.execute("DELETE FROM gaps WHERE session = ?", (row,))


def _as_row(record: SessionRecord, sheet: Sheet) -> tuple[object, ...]:
    session, file = record.session, sheet.file
    state = FILLING if sheet.is_filling else record.state.value
    return (
        session.session_id, session.sentinel_id, session.name, session.group, session.software,
        session.started_time_us, file.init_size_bytes, file.init_check, session.mime,
        session.width, session.height, session.timescale, session.track_id,
        state, record.ended_time_us, record.end_reason, record.segment_count,
        record.size_bytes, record.first_sequence, record.last_sequence, record.start_time_us,
        record.end_time_us, *listing.extent_us(record),
    )  # fmt: skip


def _span_as_row(row: int, part: int, span: Span) -> tuple[int, ...]:
    times = span.start_time_us, span.end_time_us
    return row, part, span.first, span.last, *times, span.size_bytes


def _gap_as_row(row: int, number: int, gap: Gap) -> tuple[object, ...]:
    times = gap.start_time_us, gap.end_time_us
    return row, number, gap.first, gap.last, gap.cause.value, *times, gap.detail
