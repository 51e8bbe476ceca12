"""The reading side of the store, and what is kept of it: handed on to who does it.

How the store is put together is in `store`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vidlink.interfaces import IArchive, IBody, IRetention
from vidlink.model import (
    Hold,
    Receipt,
    ReceiptPage,
    Retention,
    SegmentPage,
    SegmentQuery,
    SessionPage,
    SessionQuery,
    SessionRecord,
)
from vidlink.model.clips import Clip, ClipQuery
from vidlink.store.deleting.keeping import Keeping
from vidlink.store.reading.archive import Archive


@implementer(IArchive, IRetention)
class LookingBack:
    """What `_archive` and `_keeping` do, which a subclass puts together."""

    _archive: Archive
    _keeping: Keeping

    # IArchive

    def sentinels(self) -> Deferred[tuple[Any, ...]]:
        """Every Sentinel ever recorded."""
        return self._archive.sentinels()

    def sessions(self, query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions, newest first."""
        return self._archive.sessions(query)

    def session(self, sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps."""
        return self._archive.session(sentinel_id, session_id)

    def segments(
        self, sentinel_id: str, session_id: str, query: SegmentQuery
    ) -> Deferred[SegmentPage]:
        """One page of segments."""
        return self._archive.segments(sentinel_id, session_id, query)

    def media(
        self, sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of a range of segments, and what is missing of it."""
        return self._archive.media(sentinel_id, session_id, first, last)

    def film(self, sentinel_id: str, session_id: str, last: int | None) -> Deferred[IBody]:
        """``recording.mp4``."""
        return self._archive.film(sentinel_id, session_id, last)

    def clip(
        self, sentinel_id: str, session_id: str, query: ClipQuery
    ) -> Deferred[tuple[IBody, Clip]]:
        """A time range of ``recording.mp4``."""
        return self._archive.clip(sentinel_id, session_id, query)

    def playlist(self, sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``."""
        return self._archive.playlist(sentinel_id, session_id)

    # IRetention

    def delete(
        self, sentinel_id: str, session_id: str, by: str, *, rehearse: bool
    ) -> Deferred[Receipt]:
        """Delete one session."""
        return self._keeping.delete(sentinel_id, session_id, by, rehearse=rehearse)

    def hold(self, sentinel_id: str, session_id: str, reason: str | None) -> Deferred[Hold | None]:
        """Hold a session, or hold it no more."""
        return self._keeping.hold(sentinel_id, session_id, reason)

    def receipts(self, before: int | None, limit: int) -> Deferred[ReceiptPage]:
        """One page of receipts."""
        return self._keeping.receipts(before, limit)

    def retention(self, limit: int) -> Deferred[Retention]:
        """The policy, and what would go by it now."""
        return self._keeping.retention(limit)
