"""Sessions to be kept or let go, read from the database: candidates, totals, receipts.

Questions to the `catalog`, which has those of who looks back. Everything blocks, may run in any
thread, and fails as that does; nothing here looks at a folder.
"""

from __future__ import annotations

from vidlink.model import Candidate, SessionState, Totals
from vidlink.store.files.layout import size_of
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import FILLING

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


def candidates(catalog: Catalog, count: int) -> list[Candidate]:
    """Of sealed and of ended sessions that nobody holds, the `count` oldest."""
    return [
        Candidate(
            sentinel_id, session_id, state, ended_us, size_of(size, segments), age_from_us=age_us
        )
        for state in (SessionState.SEALED, SessionState.ENDED)
        for sentinel_id, session_id, ended_us, age_us, size, segments in catalog.fetch(
            "SELECT sentinel_id, session_id, ended_time_us, age_from_us, size_bytes, "
            "segment_count FROM sessions WHERE state = ? AND held_time_us IS NULL "
            "AND age_from_us IS NOT NULL ORDER BY age_from_us, session_id LIMIT ?",
            state.value,
            count,
        )
    ]


def totals(catalog: Catalog) -> Totals:
    """The sums of all sessions; of those that are being written to, as of a second ago."""
    (over,) = catalog.fetch(
        _TOTALS.format(size="size_bytes", count="segment_count", table=_OVER), FILLING
    )
    (being_written,) = catalog.fetch(
        _TOTALS.format(size="size", count="count", table=_OPEN), FILLING
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


def is_deleted(catalog: Catalog, session_id: str) -> bool:
    """True if the session has a receipt that the database knows."""
    return bool(catalog.fetch("SELECT 1 FROM receipts WHERE session_id = ?", session_id))


def newest_receipts(catalog: Catalog, before: int | None, count: int) -> list[tuple[int, int, int]]:
    """Of the newest `count` receipts below `before`: number, place in the file, and size."""
    return catalog.fetch(
        "SELECT number, place, size_bytes FROM receipts "
        "WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
        *(before, before, count),
    )


def every_receipt(catalog: Catalog) -> dict[int, tuple[str, int, int]]:
    """The session of each receipt, its place in the file, and its size, by number."""
    with catalog.connection() as connection:
        # One after the other: there may be millions.
        rows = connection.execute(
            "SELECT number, session_id, place, size_bytes FROM receipts ORDER BY number"
        )
        return {number: (session_id, place, size) for number, session_id, place, size in rows}


def last_receipt(catalog: Catalog) -> int:
    """The highest number of a receipt, 0 if there is none."""
    return max((number for number, _, _ in newest_receipts(catalog, None, 1)), default=0)
