"""The recording: what is written, and what is read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred

    from vidlink.model import (
        Arrival,
        Clip,
        ClipQuery,
        DiskSpace,
        Gap,
        Hold,
        Receipt,
        ReceiptPage,
        RecordingHealth,
        RecordingState,
        Retention,
        SegmentPage,
        SegmentQuery,
        Session,
        SessionPage,
        SessionQuery,
        SessionRecord,
    )

#: Nothing late is recorded while the queue is fuller than this: the rest is for what is live.
LATE_LOAD = 0.5


class IStore(Interface):
    """The recording, its writing side. Calls hand over and return; a thread writes.

    The queue between is bounded; at the bound a segment is not recorded, a gap is, and the
    state becomes trouble. Nothing here ever raises because of the disk.
    """

    load = Attribute("""`float`: how full the queue is, 0.0 to 1.0.""")

    def reserve(session: Session) -> None:
        """Use the id of `session`, which may :meth:`begin` then until it is ended; nothing else is
        kept of it.

        :raises ~vidlink.errors.RequestError: the id has been used before.
        :raises ~vidlink.errors.NotFound: the recording is stopped.
        """

    def begin(session: Session, durable: Callable[[int], None]) -> None:
        """Start recording `session`, whether its id was reserved or not.

        `durable(sequence)` is called in the reactor's thread whenever every sequence up to
        `sequence` has become durable or a final gap.

        :raises ~vidlink.errors.RequestError: the id has been used before.
        :raises ~vidlink.errors.NotFound: the recording is stopped.
        """

    def tails(
        sentinel_id: str, tails: Sequence[tuple[str, int, int]]
    ) -> Deferred[tuple[tuple[tuple[int, int], ...] | None, ...]]:
        """The ranges wanted of earlier sessions: of an id, from a first to a last sequence.

        Fires with, for each tail, the lowest 1,024 of the ranges that are neither durable nor
        a final gap: all of an unknown session, nothing of one that is being recorded, sealed,
        or another Sentinel's. None where that cannot be found out; the log tells. Never fails.
        """

    def reopen(session: Session, durable: Callable[[int], None]) -> Deferred[None]:
        """Open a session that has ended for what comes late; that may follow at once.

        What was recorded of it stays as it was said then; an unknown one begins as one that has
        just ended. `durable` is as for :meth:`begin`, and is told of what there is already.
        Fires when it is open. Fails with :exc:`~vidlink.errors.SessionSealed`,
        :exc:`~vidlink.errors.SessionGone` if it is another Sentinel's or was deleted,
        :exc:`~vidlink.errors.RequestError` if it is being recorded or there is no room;
        :exc:`~vidlink.errors.NotMedia` if its init was another. Then nothing is kept.
        """

    def append(session_id: str, arrival: Arrival) -> bool:
        """Record one segment of a session that has begun, or was reopened, and not ended.

        A sequence that is recorded already is dropped. Returns whether there was room; for
        what is late there is below :data:`LATE_LOAD`.

        :raises ~vidlink.errors.NotFound: it is any other session.
        :raises ~vidlink.errors.BadMessage: the session has too many holes already.
        """

    def gap(session_id: str, gap: Gap) -> None:
        """Record that sequences are missing; what comes late after all fills the gap.

        :raises ~vidlink.errors.NotFound: as :meth:`append`.
        """

    def end(session_id: str, reason: str, ended_time_us: int) -> None:
        """End a session; that becomes durable with everything before it.

        The first end counts; without one to end, nothing happens.
        """

    def seal(session_id: str) -> bool:
        """Seal a session that was reopened: nothing will ever come.

        When that is durable, `durable` is told the highest sequence, once more if it was told
        before. False if there was no room for something that came: then it has only ended.

        :raises ~vidlink.errors.NotFound: the session is not reopened.
        """

    def crowds(sentinel_id: str) -> bool:
        """True if nothing more is to be read from this Sentinel now: too much of what it has sent
        waits for a disk that does its work. It stays so until half of that is on the disk."""

    def lost(session_id: str) -> tuple[tuple[int, int], ...]:
        """The ranges of a session that were durable and are not any more, since this was asked
        last: somebody has removed what they were in. Looked at about once a second."""

    def recording(session_id: str) -> RecordingState:
        """The state of a session's recording: whether what is appended reaches the disk."""


class IVitals(Interface):
    """The state of the recording, for alarms and metrics; looked at about once a second."""

    counts = Attribute(""":class:`~vidlink.model.RecordingCounts`: what it has come to.""")

    def health() -> RecordingHealth:
        """The state at this moment, also before it is open and after it was closed."""

    def space() -> Deferred[DiskSpace]:
        """Fires with how much room the disk has; fails with
        :exc:`~vidlink.errors.StoreError` if that cannot be found out."""


class IArchive(Interface):
    """The recording, its reading side: what is on disk, and what is about to be.

    Everything fires with the value named, or fails with
    :exc:`~vidlink.errors.NotFound` or :exc:`~vidlink.errors.StoreError`.
    """

    def sentinels() -> Deferred[tuple[Any, ...]]:
        """A :class:`~vidlink.model.Registration` (with an empty `instance_id`) and the newest
        `end_time_us` (or None) of every Sentinel ever recorded, as pairs, by id."""

    def sessions(query: SessionQuery) -> Deferred[SessionPage]:
        """One page of sessions, newest first; spans, gaps and initialization segments are left
        out of the records. :exc:`~vidlink.errors.RequestError` for an `after` that is none."""

    def group(sentinel_id: str, session_id: str) -> Deferred[str]:
        """The group that its Sentinel was in, cheaply: by it is told who may see the session."""

    def session(sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps; its init is empty if the server stopped before
        anything of it had reached the disk."""

    def init(sentinel_id: str, session_id: str) -> Deferred[tuple[bytes, int]]:
        """Its initialization segment, and when it began in microseconds since the epoch;
        :exc:`~vidlink.errors.NotFound` if nothing of it had reached the disk."""

    def segments(sentinel_id: str, session_id: str, query: SegmentQuery) -> Deferred[SegmentPage]:
        """One page of its segments. Its cost depends on the page, not on the session."""

    def media(
        sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of segments `first` to `last` as received, in order, and the ranges of
        sequences that are missing; :exc:`~vidlink.errors.NotFound` if all are."""

    def film(
        sentinel_id: str,
        session_id: str,
        query: ClipQuery = ...,
        version: str | None = None,
    ) -> Deferred[tuple[IBody, Clip]]:
        """``recording.mp4``: a plain MP4 of every decodable segment, or of what `query` asks for
        of them. :exc:`~vidlink.errors.NotFound` if there is nothing in a time range.

        `version` is the etag that the body is wanted with. As long as the film of that etag is
        remembered, it is that one; the caller has to look.
        """

    def playlist(sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``, of what is durable. Until the session is sealed it only grows, and
        what came late is not in it."""


class IRetention(Interface):
    """Keeping and deleting of sessions: they go for good, and with a receipt."""

    def delete(sentinel_id: str, session_id: str, by: str, *, rehearse: bool) -> Deferred[Receipt]:
        """Delete a session that is over, because `by` asks for it.

        Fires with the receipt when that is on the disk, the session is listed no more and its
        files are removed; its id is never accepted again. With `rehearse`, nothing is done, and
        the receipt has no number and no time. Fails with :exc:`~vidlink.errors.NotFound`;
        :exc:`~vidlink.errors.SessionLive` if it is being written to, live or late;
        :exc:`~vidlink.errors.SessionHeld`; :exc:`~vidlink.errors.StoreError` if the receipt
        cannot be written: then nothing is deleted.
        """

    def hold(sentinel_id: str, session_id: str, reason: str | None) -> Deferred[Hold | None]:
        """From now on, nobody deletes this session for `reason`; None: it is held no more.

        Fires with the hold when that is durable, for a live session too; the last call counts.
        Fails with :exc:`~vidlink.errors.NotFound`, :exc:`~vidlink.errors.RequestError` if it is
        just being deleted, or :exc:`~vidlink.errors.StoreError`.
        """

    def receipts(before: int | None, limit: int) -> Deferred[ReceiptPage]:
        """The newest receipts with a number below `before` (None: of all), at most `limit`.

        Fails with :exc:`~vidlink.errors.StoreError`.
        """

    def retention(limit: int) -> Deferred[Retention]:
        """The policy, what there is, and the first `limit` of what would go by it now.

        Fails with :exc:`~vidlink.errors.StoreError`.
        """


class IStretch(Interface):
    """Octets that were checked, as they lie in a file, which is open as long as this is had."""

    descriptor = Attribute("""`int`: the file.""")
    offset = Attribute("""`int`: where they begin in it.""")
    size = Attribute("""`int`: how many there are.""")


class IBody(Interface):
    """Bytes to be served over HTTP, read piece by piece, of a size known beforehand."""

    size_bytes = Attribute("""`int`: how many octets there are.""")
    etag = Attribute("""`str`: a strong validator without quotes (RFC 9110 section 8.8.3).""")
    is_final = Attribute("""`bool`: whether these bytes can never change.""")
    modified_us = Attribute(
        """`int | None`: when the newest of what is in it was received; looked at once it is final,
        None where that is not known."""
    )

    def read(offset: int, size: int) -> Deferred[bytes]:
        """Fires with at most `size` octets from `offset`, fewer only at the end.

        Fails with :exc:`~vidlink.errors.Damaged` when a segment in that place is not what was
        recorded: damaged bytes are never given out.
        """

    def stretch(offset: int, size: int) -> IStretch | None:
        """The octets from `offset`, at most `size`, as they lie in a file.

        None: they do not, or were not checked yet, or the disk has to be waited for; all that is
        found out by :meth:`read`. Never waits.
        """

    def at_hand(offset: int, size: int) -> bytes | None:
        """The octets that :meth:`read` would fire with, if they are known to be sound and in
        memory. Never waits."""

    def again() -> IBody | None:
        """The same body, if whoever asked for it anew would be given just that. Never waits.

        None: that is not known, and it has to be asked for.
        """
