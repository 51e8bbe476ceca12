"""What is wanted of sessions that are over: what is neither durable nor lost for good.

Of a session that is still on its way to the disk the ledger knows; of all others the database
does, which is asked in the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from vidlink.errors import VidlinkError
from vidlink.model import MAX_RANGES, Range, Ranges, SessionState
from vidlink.store.film.body import RunInPool
from vidlink.store.index.catalog import Catalog
from vidlink.store.queue.ledger import Ledger
from vidlink.store.sequences import gaps as listing

#: So often the log says that tails cannot be looked up: a thousand Sentinels may ask at once.
QUIET_SECONDS = 60.0

#: A session id, and the first and last sequence that can be had.
Tail = tuple[str, int, int]
#: The lowest ranges that are wanted of a tail; None where they could not be found out.
WantedRanges = tuple[Range, ...] | None


class Tails:
    """Looks up tails; nothing is wanted of what `is_deleted`, which may block."""

    _log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        is_deleted: Callable[[str], bool],
        run_in_pool: RunInPool,
        wall_clock_us: Callable[[], int],
        seconds: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._is_deleted = is_deleted
        self._run_in_pool = run_in_pool
        self._wall_clock_us = wall_clock_us
        self._seconds = seconds
        self._told_seconds = float("-inf")
        self._withheld = 0

    def wanted(self, sentinel_id: str, tails: Sequence[Tail]) -> Deferred[tuple[WantedRanges, ...]]:
        """What is wanted of each of `tails`, in their order; never fails."""
        now_us = self._wall_clock_us()
        found = {tail: self._of_account(sentinel_id, tail, now_us) for tail in tails}
        others = [tail for tail, ranges in found.items() if ranges is None]
        if not others:
            return succeed(tuple(found[tail] for tail in tails))

        def put_together(looked_up: list[WantedRanges]) -> tuple[WantedRanges, ...]:
            found.update(zip(others, looked_up, strict=True))
            return tuple(found[tail] for tail in tails)

        def unknown(failure: Any) -> list[WantedRanges]:
            self._say(sentinel_id, len(others), failure)
            return [None] * len(others)

        looking: Deferred[list[WantedRanges]] = self._run_in_pool(
            self._look_up, sentinel_id, others, now_us
        )
        return looking.addErrback(unknown).addCallback(put_together)

    def _say(self, sentinel_id: str, count: int, failure: Any) -> None:
        now = self._seconds()
        if now - self._told_seconds < QUIET_SECONDS:
            self._withheld += 1
            return
        text = "{sentinel} is asked for nothing of {count} earlier sessions: {reason}"
        text += " ({withheld} others neither, since this was last said)"
        what: Any = {"sentinel": sentinel_id, "count": count, "withheld": self._withheld}
        self._told_seconds, self._withheld = now, 0
        if failure.check(VidlinkError):
            self._log.error(text, reason=failure.value, **what)
        else:
            self._log.failure(text, failure, reason=failure.value, **what)

    def _of_account(self, sentinel_id: str, tail: Tail, now_us: int) -> WantedRanges:
        """What the ledger says; None if it does not know the session."""
        session_id, first, last = tail
        account = self._ledger.account(session_id)
        if account is None:
            return None
        ending = account.ending
        ended_time_us = account.ended[0] if account.ended else None
        state = listing.state_at(account.state, ended_time_us, now_us)
        is_closed = state is SessionState.SEALED or ending is None or ending.is_sealed
        if is_closed or account.session.sentinel_id != sentinel_id:
            return ()
        # What waits for the disk is not there yet: it would be lost with this process.
        return tuple(islice(account.settled.missing(first, last), MAX_RANGES))

    # In the pool

    def _look_up(self, sentinel_id: str, tails: list[Tail], now_us: int) -> list[WantedRanges]:
        return [self._of_filed(sentinel_id, *tail, now_us) for tail in tails]

    def _of_filed(
        self, sentinel_id: str, session_id: str, first: int, last: int, now_us: int
    ) -> WantedRanges:
        filed = self._catalog.find(session_id)
        if filed is None:
            return () if self._is_deleted(session_id) else ((first, last),)
        record = filed.record
        state = listing.state_at(record.state, record.ended_time_us, now_us)
        if state is not SessionState.ENDED or record.session.sentinel_id != sentinel_id:
            return ()
        settled = Ranges((span.first, span.last) for span in self._catalog.spans(filed.row))
        for low, high in listing.final_ranges(self._catalog.gaps(filed.row)):
            settled.add(low, high)
        return tuple(islice(settled.missing(first, last), MAX_RANGES))
