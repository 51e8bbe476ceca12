"""The database: which sessions there are, their unbroken spans and their gaps.

It is written by the writer's thread only, one transaction a round; `catalog` reads it. Truth
is in the folders: whatever this loses, `starting.recovery` finds again. It is one idea: one
connection, and how each row is written through it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from functools import cache, partial
from typing import Any
from urllib.parse import quote

from vidlink.disk import FILE_MODE
from vidlink.errors import StoreError
from vidlink.model import Cause, Gap, SessionRecord, SessionState, Span
from vidlink.store.handover.orders import Forget, SetHold
from vidlink.store.index.rows import SessionRows, SpanRow
from vidlink.store.index.schema import FORGET, SCHEMA, SCHEMA_FORMAT, SET_HOLD
from vidlink.store.sequences.times import SEALING_US, age_from_us, extent_us, start_us
from vidlink.store.sequences.trusted import NEAR_US

#: The columns of `sessions` that a record fills, in order.
COLUMNS = (
    "session_id", "sentinel_id", "name", "group_name", "software", "started_time_us",
    "init_size_bytes", "init_crc32", "mime", "width", "height", "timescale", "track_id",
    "state", "ended_time_us", "end_reason", "segment_count", "size_bytes", "first_sequence",
    "last_sequence", "start_time_us", "end_time_us", "begins_us", "reaches_us",
    "held_time_us", "hold_reason", "shown_us", "age_from_us",
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


#: The words of columns that have one of a few, by table and column.
_WORDS = (
    ("sessions", "state", (*(state.value for state in SessionState), FILLING)),
    ("gaps", "cause", tuple(cause.value for cause in Cause)),
)


class UnusableIndex(StoreError):
    """The database is damaged, or is not that of this data folder; it can be made anew."""


def connect(path: str, *, synchronous: str | None) -> sqlite3.Connection:
    """A connection for whichever thread uses it at a time; None: for reading only.

    `synchronous` is SQLite's word for when a commit is on the disk: ``FULL`` at once,
    ``NORMAL`` with whatever syncs the file system next.

    :raises sqlite3.Error: if the file is no database.
    """
    # No file is made: where there is none, an empty one would pass for the database.
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode=rw",
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    # A wrong bit in a name costs a letter, and not the session.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
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

    `synchronous` is as for :func:`connect`. Everything may block.
    """

    def __init__(self, path: str, uuid: str, synchronous: str = "NORMAL") -> None:
        self.path = path
        self._uuid = uuid
        self._synchronous = synchronous
        #: There was none when this was made.
        self.is_new = not os.path.exists(path)
        self._connection: sqlite3.Connection | None = None
        self._place = 0

    def open(self) -> None:
        """Open and check it; a missing one is made.

        :raises UnusableIndex: if it is damaged, or of another folder or format.
        :raises StoreError: if it cannot be opened for another reason, such as a full disk.
        """
        try:
            with self._reported("opened"):
                self._check() if not self.is_new else self._make()
        except UnicodeError as error:
            self.close()
            raise UnusableIndex(f"the index is damaged: {error}") from error
        except StoreError:
            self.close()
            raise

    def check_place(self) -> None:
        """Make sure that what is written to is the file at its path.

        :raises StoreError: if it was removed or replaced: nobody else would find what is in it.
        """
        try:
            is_here = self._connection is None or os.stat(self.path).st_ino == self._place
        except OSError:
            is_here = False
        if not is_here:
            raise StoreError(
                "the index was removed or replaced; restart the server, which makes it anew from "
                "the recordings"
            )

    def _make(self) -> None:
        with self._transaction() as cursor:
            _make_tables(cursor)
            cursor.execute("INSERT INTO folder VALUES (?)", (self._uuid,))
            cursor.execute(f"PRAGMA user_version = {SCHEMA_FORMAT}")
        self.is_new = False

    def _check(self) -> None:
        _check_head(self.path)
        connection = self._connected()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_FORMAT:
            raise UnusableIndex(f"the index has format {version}, not {SCHEMA_FORMAT}")
        if _tables(connection) != _sound_tables():
            raise UnusableIndex("the index is damaged, or the database of something else")
        # Not the quick one: what is in a row and in an index too is held against each other, and
        # that is nearly all of a session.
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise UnusableIndex(f"the index is damaged: {found}")
        if connection.execute("SELECT uuid FROM folder").fetchall() != [(self._uuid,)]:
            raise UnusableIndex("the index belongs to another data folder")
        # SQLite does not mind what a text says: a wrong bit in one is for us to see.
        for table, column, words in _WORDS:
            marks = ", ".join("?" * len(words))
            (wrong,) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column} NOT IN ({marks})", words
            ).fetchone()
            if wrong:
                raise UnusableIndex(f"the index is damaged: {wrong} {table} of an unknown {column}")
        (wrong,) = connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT sentinel_id FROM sessions "
            "EXCEPT SELECT sentinel_id FROM sentinels)"
        ).fetchone()
        if wrong:
            raise UnusableIndex(f"the index is damaged: {wrong} sentinels are not in it")

    def save(
        self,
        sessions: Iterable[SessionRows],
        changes: Iterable[SetHold | Forget] = (),
        spans: Iterable[SpanRow] = (),
    ) -> list[int]:
        """Put `sessions` into the database, and `spans` of others that it has; then `changes` of
        what is there, all or none.

        Returns the row of each of the first.

        :raises StoreError: if it could not be done; the next call opens the database anew.
        """
        with self._reported("written"), self._transaction() as cursor:
            rows = _put_all(cursor, sessions)
            cursor.executemany(_PUT_SPAN, spans)
            for change in changes:
                _change(cursor, change)
            return rows

    def remove(self, row: int) -> None:
        """Forget a session, as if it had never been. Fails as :meth:`save`."""
        with self._reported("written"), self._transaction() as cursor:
            _drop_details(cursor, row)
            cursor.execute("DELETE FROM sessions WHERE id = ?", (row,))

    def settle(self, trusted_us: int, wall_us: int) -> None:
        """Mark as sealed what ended long enough ago, by the trusted time; and let what has ended
        have ended by now, if the clock of then was ahead. Fails as :meth:`save`."""
        newest_us = max(trusted_us, wall_us)
        with self._reported("written"), self._transaction() as cursor:
            cursor.execute(
                "UPDATE sessions SET age_from_us = ? "
                "WHERE state IN ('ended', 'sealed') AND age_from_us > ?",
                (newest_us, newest_us + NEAR_US),
            )
            cursor.execute(
                "UPDATE sessions SET state = 'sealed' WHERE state = 'ended' AND age_from_us <= ?",
                (trusted_us - SEALING_US,),
            )

    def newest_us(self) -> int | None:
        """The newest moment at which a session began or ended; None if there is no session."""
        ((newest_us,),) = self._fetch(
            "SELECT max(coalesce(age_from_us, started_time_us)) FROM sessions"
        )
        return None if newest_us is None else int(newest_us)

    def known(self) -> set[str]:
        """The ids of all sessions."""
        with self._reported("read"):
            rows = self._connected().execute("SELECT session_id FROM sessions")
            return {session_id for (session_id,) in rows}

    def receipts_end(self) -> int:
        """Up to where ``receipts.jsonl`` is known, in octets."""
        ((end,),) = self._fetch("SELECT max(place + size_bytes) FROM receipts")
        return int(end or 0)

    def receipted(self) -> list[int]:
        """The hash of each session id that has a receipt: there may be millions."""
        with self._reported("read"):
            rows = self._connected().execute("SELECT session_id FROM receipts")
            return [hash(session_id) for (session_id,) in rows]

    def open_sessions(self) -> list[tuple[str, str]]:
        """The sessions that were being written to, as the ids of Sentinel and session."""
        return self._fetch(
            "SELECT sentinel_id, session_id FROM sessions WHERE state IN ('live', ?)", FILLING
        )

    def _fetch(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reported("read"):
            return self._connected().execute(statement, values).fetchall()

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            _keep_private(self.path, is_new=self.is_new)
            self._connection = connect(self.path, synchronous=self._synchronous)
            self._place = os.stat(self.path).st_ino
        return self._connection

    @contextmanager
    def _reported(self, doing: str) -> Iterator[None]:
        """Say what SQLite says as an error of the store, and start anew after it."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            # What is no text has no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            kind = UnusableIndex if code & 0xFF in _DAMAGED else StoreError
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


def _check_head(path: str) -> None:
    """Refuse a database that says that it may only be read, which is what one wrong bit makes it
    say; nothing may be open of it, whose locks would go.

    :raises UnusableIndex: if it does.
    """
    with suppress(OSError), open(path, "rb") as file:
        head = file.read(20)
        if len(head) == 20 and not {head[18], head[19]} <= {1, 2}:
            raise UnusableIndex("the index is damaged: its head is not that of a database")


def _make_tables(cursor: sqlite3.Cursor) -> None:
    for statement in SCHEMA.split(";"):
        cursor.execute(statement)


def _tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """The tables and indexes, as SQLite keeps what made them."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    return connection.execute(query).fetchall()


@cache
def _sound_tables() -> list[tuple[str, ...]]:
    """The tables and indexes that there have to be."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _make_tables(connection.cursor())
        return _tables(connection)


def _keep_private(path: str, *, is_new: bool) -> None:
    """Let others than the group have nothing of the database; SQLite would do as the umask says.

    What it makes beside the file gets the mode of the file.
    """
    if is_new and not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError, PermissionError):
            os.chmod(path + suffix, os.stat(path + suffix).st_mode & FILE_MODE)


def _put_all(cursor: sqlite3.Cursor, sessions: Iterable[SessionRows]) -> list[int]:
    """Put the news of each session, all spans in one go and all gaps in one; returns the rows."""
    placed: list[int] = []
    spans: list[SpanRow] = []
    gaps: list[tuple[object, ...]] = []
    for rows in sessions:
        row = rows.row if rows.record is None else _put_session(cursor, rows.record, rows)
        assert row is not None
        if rows.is_complete:
            _drop_details(cursor, row)
        placed.append(row)
        spans += [_span_as_row(row, part, span) for part, span in rows.spans]
        gaps += [_gap_as_row(row, number, gap) for number, gap in rows.gaps]
    cursor.executemany(_PUT_SPAN, spans)
    cursor.executemany(_PUT_GAP, gaps)
    return placed


def _put_session(cursor: sqlite3.Cursor, record: SessionRecord, rows: SessionRows) -> int:
    session = record.session
    cursor.execute(_PUT_SESSION, _as_row(record, rows))
    (row,) = cursor.execute(_ROW_OF, (session.session_id,)).fetchone()
    cursor.execute(
        _PUT_SENTINEL,
        (
            session.sentinel_id,
            session.name,
            session.group,
            session.software,
            session.started_time_us,
            record.end_time_us,
        ),
    )
    return int(row)


def _drop_details(cursor: sqlite3.Cursor, row: int) -> None:
    cursor.execute("DELETE FROM spans WHERE session = ?", (row,))
    cursor.execute("DELETE FROM gaps WHERE session = ?", (row,))


def _change(cursor: sqlite3.Cursor, change: SetHold | Forget) -> None:
    if isinstance(change, SetHold):
        hold = change.hold
        values = (None, None) if hold is None else (hold.time_us, hold.reason)
        cursor.execute(SET_HOLD, (*values, change.session_id))
    else:
        for statement in FORGET:
            cursor.execute(statement, asdict(change))


def _as_row(record: SessionRecord, rows: SessionRows) -> tuple[object, ...]:
    session, file = record.session, rows.file
    state = FILLING if rows.is_filling else record.state.value
    return (
        session.session_id, session.sentinel_id, session.name, session.group, session.software,
        session.started_time_us, file.init_size_bytes, file.init_check, session.mime,
        session.width, session.height, session.timescale, session.track_id,
        state, record.ended_time_us, record.end_reason, record.segment_count,
        record.size_bytes, record.first_sequence, record.last_sequence, record.start_time_us,
        record.end_time_us, *extent_us(record),
        None if record.hold is None else record.hold.time_us,
        None if record.hold is None else record.hold.reason,
        start_us(record), age_from_us(record),
    )  # fmt: skip


def _span_as_row(row: int, part: int, span: Span) -> SpanRow:
    times = span.start_time_us, span.end_time_us
    return row, part, span.first, span.last, *times, span.size_bytes


def _gap_as_row(row: int, number: int, gap: Gap) -> tuple[object, ...]:
    times = gap.start_time_us, gap.end_time_us
    return row, number, gap.first, gap.last, gap.cause.value, *times, gap.detail
