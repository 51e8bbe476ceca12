"""The ranges that are wanted of sessions that are over: neither durable nor lost for good.

The database is asked, in the pool. Of a session that is still on its way to the disk the ledger
knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from vidlink.errors import VidlinkError
from vidlink.model import MAX_RANGES, Ranges, SessionState
from vidlink.quantities import count, repeated
from vidlink.store.handover.inbox import RunInPool
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.deletions import is_deleted
from vidlink.store.queue.account import Tail, WantedRanges
from vidlink.store.sequences.gaps import final_ranges
from vidlink.store.sequences.times import age_from_us, state_at

#: So often the log says that tails cannot be looked up: a thousand Sentinels may ask at once.
QUIET_SECONDS = 60.0


class TailLookup:
    """Looks up tails; nothing is wanted of what was deleted."""

    _log = Logger()

    def __init__(
        self,
        catalog: Catalog,
        locks: SessionLocks,
        run_in_pool: RunInPool,
        seconds: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._locks = locks
        self._run_in_pool = run_in_pool
        self._seconds = seconds
        self._told_seconds = float("-inf")
        self._withheld = 0

    def wanted(
        self, sentinel_id: str, tails: Sequence[Tail], now_us: int
    ) -> Deferred[list[WantedRanges]]:
        """The ranges that are wanted of each of `tails`, in their order; never fails."""

        def unknown(failure: Any) -> list[WantedRanges]:
            self._say(sentinel_id, len(tails), failure)
            return [None] * len(tails)

        def look_up() -> list[WantedRanges]:
            return [self._of_filed(sentinel_id, *tail, now_us) for tail in tails]

        return self._run_in_pool(look_up).addErrback(unknown)

    def _say(self, sentinel_id: str, tails: int, failure: Any) -> None:
        now = self._seconds()
        if now - self._told_seconds < QUIET_SECONDS:
            self._withheld += 1
            return
        text = "{sentinel} is asked for nothing of {sessions}: {reason}{since}"
        what: Any = {
            "sentinel": sentinel_id,
            "sessions": count(tails, "earlier session"),
            "since": repeated(self._withheld, "others neither"),
        }
        self._told_seconds, self._withheld = now, 0
        if failure.check(VidlinkError):
            self._log.error(text, reason=failure.value, **what)
        else:
            self._log.failure(text, failure, reason=failure.value, **what)

    def _of_filed(
        self, sentinel_id: str, session_id: str, first: int, last: int, now_us: int
    ) -> WantedRanges:
        filed = self._catalog.find(session_id)
        if filed is None:
            is_hidden = self._locks.is_hidden(session_id)
            is_gone = is_hidden or is_deleted(self._catalog, session_id)
            return () if is_gone else ((first, last),)
        record = filed.record
        state = state_at(record.state, age_from_us(record), now_us)
        if state is not SessionState.ENDED or record.session.sentinel_id != sentinel_id:
            return ()
        settled = Ranges((span.first, span.last) for span in self._catalog.spans(filed.row))
        for low, high in final_ranges(self._catalog.gaps(filed.row)):
            settled.add(low, high)
        return tuple(islice(settled.missing(first, last), MAX_RANGES))
