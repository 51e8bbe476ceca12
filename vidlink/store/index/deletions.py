"""Sessions to be kept or let go, read from the database: candidates, totals, receipts.

`catalog` reads the same database for those who look back. Nothing here looks at a folder.
"""

from __future__ import annotations

from vidlink.model import Candidate, SessionState, Totals
from vidlink.store.files.layout import size_of
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import FILLING

#: A receipt: its number, its place in the file, and its size.
Line = tuple[int, int, int]

_TOTALS = (
    "SELECT count(*), sum({size}), sum({count}), count(held_time_us), "
    "sum(iif(held_time_us IS NULL, 0, {size})), sum(iif(held_time_us IS NULL, 0, {count})) "
    "FROM {table}"
)
#: Of what is being written to, the row says how it was when that began.
_OPEN = (
    "(SELECT held_time_us, "
    "(SELECT sum(size_bytes) FROM spans WHERE session = sessions.id) AS size, "
    "(SELECT sum(last - first + 1) FROM spans WHERE session = sessions.id) AS count "
    "FROM sessions WHERE state IN ('live', ?))"
)
_OVER = "sessions WHERE state NOT IN ('live', ?)"


class Deletions:
    """Questions to `catalog`. Everything blocks, may run in any thread, and fails as that does."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def candidates(self, count: int) -> list[Candidate]:
        """Of sealed and of ended sessions that nobody holds, the `count` that ended first."""
        found: list[Candidate] = []
        with self._catalog.connection() as connection:
            for state in (SessionState.SEALED, SessionState.ENDED):
                rows = connection.execute(
                    "SELECT sentinel_id, session_id, ended_time_us, size_bytes, segment_count "
                    "FROM sessions WHERE state = ? AND held_time_us IS NULL "
                    "AND ended_time_us IS NOT NULL ORDER BY ended_time_us, session_id LIMIT ?",
                    (state.value, count),
                )
                found += [
                    Candidate(sentinel_id, session_id, state, ended_us, size_of(size, segments))
                    for sentinel_id, session_id, ended_us, size, segments in rows
                ]
        return found

    def totals(self) -> Totals:
        """The sums of all sessions; of those that are being written to, as of a second ago."""
        with self._catalog.connection() as connection:
            over, being_written = (
                connection.execute(
                    _TOTALS.format(size=size, count=count, table=table), (FILLING,)
                ).fetchone()
                for size, count, table in (
                    ("size_bytes", "segment_count", _OVER),
                    ("size", "count", _OPEN),
                )
            )
        sessions, size, segments, held_sessions, held_size, held_segments = (
            (one or 0) + (other or 0) for one, other in zip(over, being_written, strict=True)
        )
        return Totals(
            sessions=sessions,
            bytes=size_of(size, segments),
            held_sessions=held_sessions,
            held_bytes=size_of(held_size, held_segments),
        )

    def is_deleted(self, session_id: str) -> bool:
        """True if the session has a receipt that the database knows."""
        with self._catalog.connection() as connection:
            rows = connection.execute(
                "SELECT 1 FROM receipts WHERE session_id = ?", (session_id,)
            ).fetchall()
        return bool(rows)

    def receipts(self, before: int | None, count: int) -> list[Line]:
        """The places of the newest `count` receipts with a number below `before`, newest first."""
        with self._catalog.connection() as connection:
            return connection.execute(
                "SELECT number, place, size_bytes FROM receipts "
                "WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
                (before, before, count),
            ).fetchall()

    def every_receipt(self) -> dict[int, tuple[str, int, int]]:
        """The session of each receipt, its place in the file, and its size, by number."""
        with self._catalog.connection() as connection:
            rows = connection.execute(
                "SELECT number, session_id, place, size_bytes FROM receipts ORDER BY number"
            )
            return {number: (session_id, place, size) for number, session_id, place, size in rows}

    def last_receipt(self) -> int:
        """The highest number of a receipt, 0 if there is none."""
        lines = self.receipts(None, 1)
        return lines[0][0] if lines else 0
