"""The reading side of the store in memory, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from tests.fakes.kept import Kept
from vidlink.errors import NotFound, RequestError, SessionHeld, SessionLive, VidlinkError
from vidlink.interfaces import IArchive, IBody, IRetention
from vidlink.model import (
    ALL,
    Candidate,
    Clip,
    ClipQuery,
    DeletionReason,
    Hold,
    Policy,
    Receipt,
    ReceiptPage,
    Registration,
    Retention,
    SegmentPage,
    SegmentQuery,
    SessionPage,
    SessionQuery,
    SessionRecord,
    Totals,
    Waiting,
)
from vidlink.store.deleting.policy import what_goes
from vidlink.store.deleting.receipt import describe
from vidlink.store.files.layout import size_of
from vidlink.store.handover.removals import Removal
from vidlink.store.index.catalog import clamp_limit
from vidlink.store.queue.room import as_text
from vidlink.store.reading.session_page import matches, page_key, read_token, write_token
from vidlink.store.sequences.times import segment_end_us

T = TypeVar("T")
#: What the disk of a recording in memory says that it has.
FREE_BYTES = 10**9


@implementer(IArchive, IRetention)
class MemoryKeeping:
    """What was recorded in memory, and what is deleted and held of it."""

    _wall_clock_us: Callable[[], int]

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._kept: dict[str, Kept] = {}
        self._deleted: set[str] = set()
        self._receipts: list[Receipt] = []
        #: What waits, for a test to set.
        self.waiting: tuple[Waiting, ...] = ()

    # IArchive

    def sentinels(self) -> Deferred[tuple[Any, ...]]:
        """Every Sentinel ever recorded, with the newest time recorded of it."""
        newest: dict[str, tuple[Registration, int | None]] = {}
        for kept in sorted(self._kept.values(), key=lambda one: one.session.started_time_us):
            one = kept.session
            ends = [segment_end_us(a.segment) for a in kept.arrivals.values()]
            _, before = newest.get(one.sentinel_id, (None, None))
            known = Registration(one.sentinel_id, "", one.name, one.group, one.software)
            end = max((*ends, *(() if before is None else (before,))), default=None)
            newest[one.sentinel_id] = known, end
        return succeed(tuple(newest[sentinel_id] for sentinel_id in sorted(newest)))

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions, newest first."""
        try:
            place = None if query.after is None else read_token(query.after)
        except RequestError as error:
            return fail(error)
        limit = clamp_limit(query.limit)
        now_us = self._wall_clock_us()
        records = [kept.record(now_us, has_details=False) for kept in self._kept.values()]
        found = sorted(
            (
                record
                for record in records
                if matches(query, record) and (place is None or page_key(record) < place)
            ),
            key=page_key,
            reverse=True,
        )
        more = write_token(found[limit - 1]) if len(found) > limit else None
        return succeed(SessionPage(tuple(found[:limit]), more))

    def group(self, sentinel_id: str, session_id: str) -> Deferred[str]:
        """The group that its Sentinel was in."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.session.group)

    def session(self, sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.record(now, True))

    def init(self, sentinel_id: str, session_id: str) -> Deferred[tuple[bytes, int]]:
        """The initialization segment, and when the session began."""

        def read(kept: Kept, now: int) -> tuple[bytes, int]:
            return kept.session.init, kept.session.started_time_us

        return self._of(sentinel_id, session_id, read)

    def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> Deferred[SegmentPage]:
        """One page of segments."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.page(now, query))

    def media(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of segments `first` to `last`, and what is missing of them."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.media(now, first, last))

    def film(
        self,
        sentinel_id: str,
        session_id: str,
        query: ClipQuery = ALL,
        version: str | None = None,
    ) -> Deferred[tuple[IBody, Clip]]:
        """``recording.mp4``, or a time range of it; nothing is remembered of a version."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.film(now, query, version))

    def playlist(self, sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``."""
        return self._of(sentinel_id, session_id, lambda kept, now: kept.playlist(now))

    def _of(self, sentinel_id: str, session_id: str, read: Callable[[Kept, int], T]) -> Deferred[T]:
        kept = self._kept.get(session_id)
        if kept is None or kept.session.sentinel_id != sentinel_id:
            return fail(NotFound(f"there is no session {session_id} of {sentinel_id}"))
        try:
            return succeed(read(kept, self._wall_clock_us()))
        except VidlinkError as error:
            return fail(error)

    # IRetention

    def delete(
        self, sentinel_id: str, session_id: str, by: str, *, rehearse: bool
    ) -> Deferred[Receipt]:
        """Delete one session."""

        def go(kept: Kept, now_us: int) -> Receipt:
            if kept.is_open:
                raise SessionLive("the session is being written to; it can be deleted later")
            if kept.hold is not None:
                raise SessionHeld(f"the session is held: {kept.hold.reason}")
            removal = Removal(sentinel_id, session_id, DeletionReason.ASKED, by)
            receipt = describe(kept.record(now_us, has_details=True), removal, (1, "0" * 64))
            if not rehearse:
                number = len(self._receipts) + 1
                receipt = replace(receipt, number=number, deleted_time_us=now_us)
                self._receipts.append(receipt)
                self._deleted.add(session_id)
                del self._kept[session_id]
            return receipt

        return self._of(sentinel_id, session_id, go)

    def hold(self, sentinel_id: str, session_id: str, reason: str | None) -> Deferred[Hold | None]:
        """Hold a session, or hold it no more."""

        def hold(kept: Kept, now_us: int) -> Hold | None:
            kept.hold = None if reason is None else Hold(as_text(reason), now_us)
            return kept.hold

        return self._of(sentinel_id, session_id, hold)

    def receipts(self, before: int | None, limit: int) -> Deferred[ReceiptPage]:
        """One page of receipts."""
        numbered = enumerate(self._receipts, 1)
        found = [one for number, one in numbered if before is None or number < before][::-1]
        shown = tuple(found[: clamp_limit(limit)])
        return succeed(ReceiptPage(shown, shown[-1].number if len(found) > len(shown) else None))

    def retention(self, limit: int) -> Deferred[Retention]:
        """The policy, and what would go by it now."""
        now_us = self._wall_clock_us()
        candidates = [
            Candidate(
                record.session.sentinel_id,
                record.session.session_id,
                record.state,
                record.ended_time_us,
                size_of(record.size_bytes, record.segment_count),
                record.hold is not None,
                record.age_from_us,
            )
            for record in (kept.record(now_us, has_details=False) for kept in self._kept.values())
        ]
        held = [one.size_bytes for one in candidates if one.is_held]
        total = sum(one.size_bytes for one in candidates)
        may_go = [one for one in candidates if not self._kept[one.session_id].is_open]
        due = tuple(
            what_goes(self._policy, may_go, total_bytes=total, free_bytes=FREE_BYTES, now_us=now_us)
        )
        totals = Totals(len(candidates), total, len(held), sum(held))
        shown = due[: clamp_limit(limit)]
        is_more = len(due) > len(shown)
        found = Retention(self._policy, totals, FREE_BYTES, shown, is_more, self.waiting)
        return succeed(found)
