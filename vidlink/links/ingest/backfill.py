"""Earlier sessions: what comes late of them, on the connection of the live one.

All of it goes to the recording alone. What comes late of the live session itself is
:mod:`vidlink.links.ingest.live`; who is speaking, :mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.python.failure import Failure

from vidlink.errors import PeerError, RequestError, TooFast, VidlinkError
from vidlink.interfaces import IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.intake import Intake
from vidlink.messages import DeclareGap, Tail, Wanted
from vidlink.model import InitSegment, Limits, Range, Registration, Segment
from vidlink.relay.stream import Stream
from vidlink.wire.bounds import MAX_CONTROL_BYTES

#: So many earlier sessions may be open at a time on one connection.
MAX_EARLIER = 8
#: The octets that the list of wanted tails may take of a text; and those that one of its entries
#: takes beside its id, and one range.
_LIST_BYTES, _ENTRY_BYTES, _RANGE_BYTES = MAX_CONTROL_BYTES - 4 * 1024, 32, 24


class Backfill:
    """The earlier sessions of one Sentinel that are being filled up on one connection.

    :param stream: what the hub keeps of it.
    :param tell: tells the Sentinel that something about a session failed.
    :param fail: ends the connection.
    """

    def __init__(
        self,
        sentinel: Registration,
        stream: Stream,
        store: IStore,
        acks: Acks,
        limits: Limits,
        *,
        tell: Callable[[VidlinkError, str], None],
        fail: Callable[[PeerError], None],
    ) -> None:
        self._sentinel = sentinel
        self._stream = stream
        self._store = store
        self._acks = acks
        self._limits = limits
        self._tell = tell
        self._fail = fail
        self._open: dict[str, Intake] = {}

    def open(self, message: InitSegment, now_us: int) -> None:
        """Open a session for what comes late of it, by its init.

        :raises PeerError: if the init is none or another than before, or too many were opened.
        """
        session_id = message.session_id
        known = self._open.get(session_id)
        if known is not None:
            known.repeats(message)
            return
        if len(self._open) >= MAX_EARLIER:
            error = RequestError(f"{MAX_EARLIER} earlier sessions are open; finish one of them")
            self._tell(error, session_id)
            return
        if not self._stream.allowed_earlier.spend():
            raise TooFast("too many earlier sessions have been opened in too short a time")
        intake = Intake(self._sentinel, message, self._limits, now_us, is_over=True)
        self._open[session_id] = intake
        self._acks.begin(session_id)
        opened = self._store.reopen(intake.session, partial(self._acks.durable, session_id))
        opened.addErrback(self._refused, intake)

    def _refused(self, failure: Failure, intake: Intake) -> None:
        error, session_id = failure.value, intake.session.session_id
        if not isinstance(error, VidlinkError):
            failure.raiseException()
        if self._open.get(session_id) is intake:
            self._forget(session_id)
        if isinstance(error, PeerError):
            self._fail(error)
        else:
            self._tell(error, session_id)

    def record(self, segment: Segment, arrived_seconds: float, received_time_us: int) -> None:
        """Record a late segment.

        :raises PeerError: for what is in it.
        """
        intake = self._find(segment.session_id)
        if intake is not None:
            arrival = intake.accept(segment, arrived_seconds, received_time_us)
            if arrival is None:
                return
            if self._store.append(segment.session_id, arrival):
                self._stream.has_history = True
            else:
                self._acks.missing(segment.session_id, segment.sequence, segment.sequence)

    def gap(self, message: DeclareGap) -> None:
        """Record what the Sentinel has lost of an earlier session."""
        intake = self._find(message.session_id)
        if intake is not None:
            self._store.gap(message.session_id, intake.declared(message))

    def done(self, session_id: str) -> None:
        """Seal a session: nothing more of it will ever come."""
        if self._find(session_id) is not None:
            self._forget(session_id)
            if not self._store.seal(session_id):
                error = "there was no room for all that came of this session; send it again"
                self._tell(RequestError(error), session_id)

    def close(self, reason: str, now_us: int) -> None:
        """End once more what is open, and do not seal it: the connection is over."""
        sessions, self._open = self._open, {}
        for session_id in sessions:
            self._store.end(session_id, reason, now_us)

    def _forget(self, session_id: str) -> None:
        del self._open[session_id]
        self._acks.end(session_id)

    def _find(self, session_id: str) -> Intake | None:
        intake = self._open.get(session_id)
        if intake is None:
            error = "this session is not being recorded on this connection; send its init as late"
            self._tell(RequestError(error), session_id)
        return intake


def wanted(tails: Iterable[Tail], found: Sequence[tuple[Range, ...] | None]) -> tuple[Wanted, ...]:
    """The answer to `tails`, of which the store wants `found`, as far as there is room.

    A tail that is not named has not been looked at, or there was no room for it.
    """
    room = _LIST_BYTES
    chosen: list[Wanted] = []
    for tail, ranges in zip(tails, found, strict=False):
        room -= len(tail.session_id) + _ENTRY_BYTES
        if ranges is not None and room >= min(1, len(ranges)) * _RANGE_BYTES:
            shown = ranges[: room // _RANGE_BYTES]
            room -= len(shown) * _RANGE_BYTES
            chosen.append(Wanted(tail.session_id, shown))
    return tuple(chosen)
