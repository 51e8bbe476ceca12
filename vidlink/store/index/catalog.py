"""Reading the database: sessions by page, one session, its spans and gaps, the Sentinels.

Used in the threads of the pool, each call with a connection of its own; what is still being
recorded comes from `queue.ledger`, and `reading.archive` puts the two together.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vidlink.errors import StoreError
from vidlink.model import (
    Cause,
    Gap,
    Hold,
    Registration,
    Session,
    SessionQuery,
    SessionRecord,
    SessionState,
    Span,
)
from vidlink.store.files.layout import SessionFile
from vidlink.store.index.database import COLUMNS, FILLING, connect
from vidlink.store.sequences.runs import merge_spans
from vidlink.store.sequences.window import SequenceWindow

#: At most so many sessions, segments or receipts are on one page.
MAX_PAGE = 10_000
#: So many connections are kept for the next reader.
_MOST_IDLE = 8
_COLUMNS = ", ".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Filed:
    """One session as the database has it: no initialization segment, but what it must be."""

    row: int
    record: SessionRecord
    init_size_bytes: int
    init_check: int

    def as_file(self) -> SessionFile:
        """The description of a session whose own cannot be read; its gaps are not in it."""
        record, ended_us = self.record, self.record.ended_time_us
        return SessionFile(
            session=record.session,
            init_size_bytes=self.init_size_bytes,
            init_check=self.init_check,
            ended_time_us=ended_us,
            end_reason=record.end_reason,
            is_sealed=record.state is SessionState.SEALED,
            filling_from=None if ended_us is None else 0,
            hold=record.hold,
            age_from_us=record.age_from_us,
        )


class Catalog:
    """The database at `path`, for reading. Everything blocks, and may run in any thread.

    :raises StoreError: from every method, if the database fails or has been closed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._most_idle = _MOST_IDLE

    def close(self) -> None:
        """Let go of all connections; those in use go when they are given back."""
        self._most_idle = 0
        self._trim()

    def sentinels(self) -> list[tuple[Registration, int, int | None]]:
        """Every Sentinel, when its newest session began, and the newest time recorded of it."""
        rows = self.fetch(
            "SELECT sentinel_id, name, group_name, software, started_time_us, end_time_us "
            "FROM sentinels"
        )
        return [
            (Registration(sentinel_id, "", name, group, software), started, end)
            for sentinel_id, name, group, software, started, end in rows
        ]

    def sessions(
        self,
        query: SessionQuery,
        below: tuple[int, str] | None,
        besides: Collection[str],
        count: int,
    ) -> list[SessionRecord]:
        """The newest `count` sessions that match, newest first, without the ids `besides`.

        Of `query` its `after` and `limit` are not looked at: what is asked for is `below` a
        time that is shown and, of those of one time, an id; None: from the newest on.
        """
        conditions: list[str] = []
        values: list[object] = []

        def where(condition: str, *given: object) -> None:
            conditions.append(condition)
            values.extend(given)

        if below is not None:
            where("(shown_us, session_id) < (?, ?)", _stored(below[0]), below[1])
        if query.sentinel_id is not None:
            where("sentinel_id = ?", query.sentinel_id)
        if query.group is not None:
            where("group_name = ?", query.group)
        if query.within is not None:
            # As one value: SQLite takes only so many.
            where(
                "group_name IN (SELECT value FROM json_each(?))", json.dumps(sorted(query.within))
            )
        # The second half of each says the same more loosely, of what pages are ordered by: so
        # sessions that began far from the range are not looked at one by one.
        if query.to_time_us is not None:
            where(
                "begins_us < ? AND shown_us < ? + (SELECT max(shown_us - begins_us) FROM sessions)",
                *(_stored(query.to_time_us),) * 2,
            )
        if query.from_time_us is not None:
            where(
                "reaches_us >= ? AND shown_us >= "
                "? - (SELECT max(reaches_us - shown_us) FROM sessions)",
                *(_stored(query.from_time_us),) * 2,
            )
        chosen = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found: list[SessionRecord] = []
        with self.connection() as connection:
            rows = connection.execute(
                f"SELECT id, {_COLUMNS} FROM sessions {chosen} "
                "ORDER BY shown_us DESC, session_id DESC",
                values,
            )
            for row in rows:
                if row[1] not in besides:
                    found.append(_as_filed(row).record)
                    if len(found) == count:
                        break
            rows.close()
        return found

    def session(self, sentinel_id: str, session_id: str) -> Filed | None:
        """One session, without spans and gaps; None if this Sentinel has none of that id."""
        filed = self.find(session_id)
        if filed is None or filed.record.session.sentinel_id != sentinel_id:
            return None
        return filed

    def find(self, session_id: str) -> Filed | None:
        """One session, whichever Sentinel's it is; None if there is none."""
        wanted = f"SELECT id, {_COLUMNS} FROM sessions WHERE session_id = ?"
        return next(map(_as_filed, self.fetch(wanted, session_id)), None)

    def row_after(self, row: int) -> tuple[int, str, str] | None:
        """The session that was filed next after that of `row`, by its row, its Sentinel and its id;
        None if it was the last."""
        following = (
            "SELECT id, sentinel_id, session_id FROM sessions WHERE id > ? ORDER BY id LIMIT 1"
        )
        return next(iter(self.fetch(following, row)), None)

    def total_bytes(self) -> int:
        """The octets of all segments that are recorded."""
        return int(self.fetch("SELECT coalesce(sum(size_bytes), 0) FROM sessions")[0][0])

    def spans(self, row: int) -> tuple[Span, ...]:
        """The unbroken spans of a session, parts put together."""
        return merge_spans(span for _, span in self.part_spans(row))

    def part_spans(self, row: int) -> list[tuple[int, Span]]:
        """The unbroken spans of a session, each with the part that it is in."""
        rows = self.fetch(
            "SELECT part, first, last, start_time_us, max(start_time_us, end_time_us), size_bytes "
            "FROM spans WHERE session = ? ORDER BY part, first",
            row,
        )
        return [(part, Span(*values)) for part, *values in rows]

    def first_spans(self, row: int, count: int) -> tuple[tuple[Span, ...], int | None]:
        """The first unbroken spans of a session, about `count`, and up to which sequence all are
        among them; None: there are no others."""
        rows = self.fetch(
            "SELECT first, last, start_time_us, end_time_us, size_bytes FROM spans "
            "WHERE session = ? ORDER BY first, part LIMIT ?",
            *(row, count + 1),
        )
        spans = merge_spans(Span(*values) for values in rows[:count])
        return spans, spans[-1].last if len(rows) > count else None

    def spans_near(self, row: int, window: SequenceWindow) -> tuple[Span, ...]:
        """The unbroken spans in `window`, and the next to it on both sides."""
        high = _or_most(window.high)
        rows = self.fetch(
            "SELECT first, last, start_time_us, max(start_time_us, end_time_us), size_bytes "
            "FROM spans WHERE session = ? AND first BETWEEN coalesce("
            "(SELECT max(first) FROM spans WHERE session = ? AND first <= ?), 0) "
            "AND coalesce((SELECT min(first) FROM spans WHERE session = ? AND first > ?), ?)",
            *(row, row, window.low, row, high, high),
        )
        return merge_spans(Span(*values) for values in rows)

    def gaps(self, row: int, low: int = 0, high: int | None = None) -> tuple[Gap, ...]:
        """The statements about gaps from `low` to `high`, and of time, as they came."""
        rows = self.fetch(
            "SELECT first, last, cause, start_time_us, end_time_us, detail FROM gaps "
            "WHERE session = ? AND (first IS NULL OR (coalesce(last, first) >= ? "
            "AND first <= ?)) ORDER BY number",
            row,
            low,
            _or_most(high),
        )
        return tuple(
            Gap(first, last, Cause(cause), start, end, detail)
            for first, last, cause, start, end, detail in rows
        )

    def has_damage(self, row: int) -> bool:
        """Tell whether it was stated of a session that something of it is damaged."""
        found = "SELECT 1 FROM gaps WHERE session = ? AND cause = ? LIMIT 1"
        return bool(self.fetch(found, row, Cause.DAMAGED.value))

    def fetch(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows that an SQL statement gives with these values."""
        with self.connection() as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for a ``with``; what SQLite says in it is said as an error of the store."""
        if not self._most_idle:
            raise StoreError("the recording is closed")
        connection: sqlite3.Connection | None = None
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect(self._path, synchronous=None)
            yield connection
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise StoreError(f"the index cannot be read: {error}") from error
        self._idle.append(connection)
        self._trim()

    def _trim(self) -> None:
        while len(self._idle) > self._most_idle:
            self._idle.popleft().close()


def clamp_limit(limit: int) -> int:
    """The number that a page may hold when `limit` are asked for."""
    return max(1, min(MAX_PAGE, limit))


def _or_most(sequence: int | None) -> int:
    return 2**63 - 1 if sequence is None else sequence


def _stored(time_us: int) -> int:
    """`time_us`, or the nearest that a column can hold."""
    return max(-(2**63), min(2**63 - 1, time_us))


def _as_filed(row: tuple[Any, ...]) -> Filed:
    number, *values = row
    known: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
    if known["end_time_us"] is not None:
        # Of before start times were held to ascend.
        known["end_time_us"] = max(known["start_time_us"], known["end_time_us"])
    held_us, age_us = known["held_time_us"], known["age_from_us"]

    def these(*names: str) -> dict[str, Any]:
        return {name: known[name] for name in names}

    session = Session(
        group=known["group_name"],
        init=b"",
        **these("session_id", "sentinel_id", "name", "software", "started_time_us"),
        **these("mime", "width", "height", "timescale", "track_id"),
    )
    record = SessionRecord(
        session=session,
        state=SessionState.ENDED if known["state"] == FILLING else SessionState(known["state"]),
        **these("ended_time_us", "end_reason", "segment_count", "size_bytes"),
        **these("first_sequence", "last_sequence", "start_time_us", "end_time_us"),
        hold=None if held_us is None else Hold(known["hold_reason"], held_us),
        age_from_us=None if age_us == known["ended_time_us"] else age_us,
    )
    return Filed(number, record, known["init_size_bytes"], known["init_crc32"])
