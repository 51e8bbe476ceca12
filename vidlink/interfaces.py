"""The roles that the parts of VidLink play for each other, as zope interfaces.

Each has a contract suite in ``tests/contracts`` that every provider passes. Unless a member
says otherwise it is synchronous, is called in the reactor's thread, and does not block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from vidlink.clips import Clip, ClipQuery
    from vidlink.errors import PeerError
    from vidlink.model import (
        Arrival,
        Frame,
        Gap,
        RecordingState,
        Registration,
        SegmentPage,
        SegmentQuery,
        SentinelStatus,
        Session,
        SessionPage,
        SessionQuery,
        SessionRecord,
    )
    from vidlink.wire.messages import Message


#: Nothing late is recorded while the queue is fuller than this: the rest is for what is live.
LATE_LOAD = 0.5


class ICodec(Interface):
    """One serialization of the wire protocol: messages to payloads and back.

    Providers are found as Twisted plugins, so another format is a drop-in file. They hold no
    state and may be shared by all connections.
    """

    name = Attribute("""`str`: the WebSocket subprotocol, such as ``vidlink.v1.binary``.""")
    rank = Attribute(
        """`int`: the server's preference among the formats a peer offers; the lowest wins."""
    )
    canonical = Attribute(
        """`bool`: whether a binary payload that :meth:`decode` accepts is byte for byte what
        :meth:`encode` gives for the result, so that it may be forwarded as it came."""
    )

    def encode(message: Message) -> tuple[bytes, bool]:
        """The payload, and whether it goes into a binary (True) or a text (False) frame.

        Raises :exc:`~vidlink.errors.Unsendable` if a value is not in its range; sentences for
        people (`message`, `reason`, `cause`, `about`) are made to fit instead.
        """

    def decode(payload: bytes, is_binary: bool) -> Message:
        """The message in `payload`; media may be views into it.

        Raises :exc:`~vidlink.errors.BadMessage` for anything that is not exactly one valid
        message, and no other exception, whatever the bytes; its time is linear in them.
        """


class ISentinelPeer(Interface):
    """The server's end of one Sentinel's connection, as its conversation sees it."""

    def send(message: Message) -> None:
        """Send `message`; does nothing once the connection is closing."""

    def close(error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""

    def probe(seconds: float) -> Deferred[bool]:
        """Fires with whether the peer answers a ping within `seconds`; never fails."""


class IProctorPeer(Interface):
    """The server's end of one Proctor's connection, as its conversation sees it."""

    def wake() -> None:
        """There is something to pull; at most one flush per reactor turn comes of it."""

    def close(error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""


class IServerPeer(Interface):
    """The Sentinel's end of its connection to the server."""

    backlog_bytes = Attribute("""`int`: octets given to :meth:`send` that are not sent yet.""")

    def send(message: Message) -> None:
        """Send `message`; does nothing once the connection is closing."""

    def close(error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""


class ICapture(Interface):
    """What the uplink may ask of the capture thread; every call may come at any time."""

    def begin_session() -> int:
        """Start a session: the next frame is captured at once, is an IDR, has media time 0.

        Returns its epoch: frames of an older epoch belong to an earlier session.
        """

    def request_keyframe() -> None:
        """Capture now, outside the cadence, as an IDR."""

    def set_framerate(framerate_mhz: int) -> None:
        """Capture at this rate (mHz, clamped) from now on; the next frame is an IDR."""


class IPublisher(Interface):
    """What may be asked of a connected Sentinel."""

    registration = Attribute(""":class:`~vidlink.model.Registration`: who it is.""")

    def request_keyframe() -> None:
        """Ask it for an IDR; requests within a second become one."""

    def change_framerate(framerate_mhz: int) -> None:
        """Ask it for another frame rate (mHz, already clamped); of several within a second the
        last one counts."""

    def replace() -> None:
        """A newer connection takes over: close this one with 4409."""

    def probe(seconds: float) -> Deferred[bool]:
        """Fires with whether it answers a ping within `seconds`; never fails."""


class IFollower(Interface):
    """Somebody who follows one stream; told in the reactor turn in which it happens.

    Calls must be short and must not raise; what there is to see is pulled through cursors.
    """

    def stirred() -> None:
        """A segment has arrived, or a session has begun or ended."""


class IBuffer(Interface):
    """The memory buffer of one session: the newest segments, by ascending position.

    Positions count arrivals from 0 and are never reused.
    """

    first = Attribute("""`int`: the position of the oldest entry held.""")
    end = Attribute("""`int`: one past the position of the newest; equal to `first` if empty.""")
    newest_sequence = Attribute(
        """`int | None`: of the newest segment ever appended, whether still held or not."""
    )
    size_bytes = Attribute(
        """`int`: octets held: the media, what was encoded of them for viewers of other formats,
        and a fixed sum for what else an entry costs."""
    )

    def append(arrival: Arrival) -> bool:
        """Add the newest segment. True if since the last one a cap has forced entries out that
        the window keeps."""

    def keep(arrival: Arrival, name: str, frame: Frame) -> None:
        """Keep with `arrival`, which must be held, what it is in the format `name`; counted in
        `size_bytes`. A cap that this exceeds is kept at the next append or trim."""

    def at(position: int) -> Arrival:
        """The entry at `position`; :exc:`IndexError` unless ``first <= position < end``."""

    def newest_keyframe(at_or_after: int) -> int | None:
        """The newest position >= `at_or_after` where a viewer may join; None if none."""

    def oldest_keyframe(at_or_after: int) -> int | None:
        """The oldest position >= `at_or_after` where a viewer may join; None if none."""

    def trim(now_seconds: float) -> None:
        """Let go of what the window at monotonic time `now_seconds` no longer needs, and of
        the oldest entries while a cap is exceeded; the newest always stays."""


class ICursor(Interface):
    """One viewer's place in one buffer."""

    def next() -> object | None:
        """What comes next: an :class:`~vidlink.model.Arrival`, a
        :class:`~vidlink.relay.cursor.Hole`, or None when there is nothing yet."""

    def finish() -> object | None:
        """The last :class:`~vidlink.relay.cursor.Hole` when the place is given up; None if
        nothing was held back. Nothing comes after it."""


class IHub(Interface):
    """Who publishes, who follows: the server's live state."""

    def claim(registration: Registration, publisher: IPublisher) -> Deferred[Any]:
        """Take a Sentinel's place; fires with its :class:`~vidlink.relay.stream.Stream`,
        or fails with :exc:`~vidlink.errors.IdInUse` or :exc:`~vidlink.errors.NoResources`.

        Cancelling what is returned withdraws the claim: then nothing has changed.
        """

    def stream(sentinel_id: str) -> Any:
        """The stream of a known Sentinel, connected or not; None if never seen."""

    def statuses() -> tuple[SentinelStatus, ...]:
        """A :class:`~vidlink.model.SentinelStatus` of every known Sentinel, by id."""

    def tick() -> None:
        """To be called about once a second: states, windows, changes of the list."""


class IStore(Interface):
    """The recording, its writing side. Calls hand over and return; a thread writes.

    The queue between is bounded; at the bound a segment is not recorded, a gap is, and the
    state becomes trouble. Nothing here ever raises because of the disk.
    """

    load = Attribute("""`float`: how full the queue is, 0.0 to 1.0.""")

    def begin(session: Session, durable: object) -> None:
        """Start recording `session`.

        `durable(sequence)` is called in the reactor's thread whenever every sequence up to
        `sequence` has become durable or a final gap.
        Raises :exc:`~vidlink.errors.RequestError` if the id has been used before.
        """

    def tails(
        sentinel_id: str, tails: Sequence[tuple[str, int, int]]
    ) -> Deferred[tuple[tuple[tuple[int, int], ...] | None, ...]]:
        """What is wanted of earlier sessions: of a session id, from a first to a last sequence.

        Fires with, for each tail, the lowest 1,024 of the ranges that are neither durable nor
        a final gap: all of an unknown session, nothing of one that is being recorded, sealed,
        or another Sentinel's. None where that cannot be found out; the log tells. Never fails.
        """

    def reopen(session: Session, durable: object) -> Deferred[None]:
        """Open a session that has ended for what comes late; that may follow at once.

        What was recorded of it stays as it was said then; an unknown one begins as one that has
        just ended. `durable` is as for :meth:`begin`, and is told of what there is already.
        Fires when it is open. Fails with :exc:`~vidlink.errors.RequestError` if it is being
        recorded, sealed or another Sentinel's, or there is no room; with
        :exc:`~vidlink.errors.NotMedia` if its init was another. Then nothing is kept.
        """

    def append(session_id: str, arrival: Arrival) -> bool:
        """Record one segment of a session that has begun, or was reopened, and not ended.

        A sequence that is recorded already is dropped. Returns whether there was room; for
        what is late there is below :data:`LATE_LOAD`. Raises :exc:`~vidlink.errors.NotFound`
        for any other session.
        """

    def gap(session_id: str, gap: Gap) -> None:
        """Record that sequences are missing; what comes late after all fills the gap.

        Raises :exc:`~vidlink.errors.NotFound` as :meth:`append` does.
        """

    def end(session_id: str, reason: str, ended_time_us: int) -> None:
        """The session is over; it becomes durable with everything before it.

        The first end counts; without one to end, nothing happens.
        """

    def seal(session_id: str) -> bool:
        """A session that was reopened is over for good, which `durable` is told by its highest
        sequence. False if there was no room for something that came: then it has only ended.
        Raises :exc:`~vidlink.errors.NotFound` for a session that is not reopened."""

    def recording(session_id: str) -> RecordingState:
        """Whether what is appended reaches the disk."""

    def stop() -> Deferred[None]:
        """End live sessions, write and sync everything, and close. Fires when done."""


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

    def session(sentinel_id: str, session_id: str) -> Deferred[SessionRecord]:
        """One session with its spans and gaps."""

    def segments(sentinel_id: str, session_id: str, query: SegmentQuery) -> Deferred[SegmentPage]:
        """One page of its segments. Its cost depends on the page, not on the session."""

    def media(
        sentinel_id: str, session_id: str, first: int, last: int
    ) -> Deferred[tuple[IBody, tuple[tuple[int, int], ...]]]:
        """The bytes of segments `first` to `last` as received, in order, and the ranges of
        sequences that are missing; :exc:`~vidlink.errors.NotFound` if all are."""

    def film(sentinel_id: str, session_id: str, last: int | None) -> Deferred[IBody]:
        """``recording.mp4``: initialization segment, `sidx`, every decodable segment up to
        sequence `last` (None: all there is now)."""

    def clip(sentinel_id: str, session_id: str, query: ClipQuery) -> Deferred[tuple[IBody, Clip]]:
        """A time range of it; :exc:`~vidlink.errors.NotFound` if nothing in it can be shown."""

    def playlist(sentinel_id: str, session_id: str) -> Deferred[IBody]:
        """``index.m3u8``, of what is durable. Until the session is sealed it only grows, and
        what came late is not in it."""


class IBody(Interface):
    """Bytes to be served over HTTP, read piece by piece, of a size known beforehand."""

    size_bytes = Attribute("""`int`: how many octets there are.""")
    etag = Attribute("""`str`: a strong validator without quotes (RFC 9110 section 8.8.3).""")
    final = Attribute("""`bool`: whether these bytes can never change.""")

    def read(offset: int, size: int) -> Deferred[bytes]:
        """Fires with at most `size` octets from `offset`, fewer only at the end.

        Fails with :exc:`~vidlink.errors.Damaged` when a segment in that place is not what was
        recorded: damaged bytes are never given out.
        """
