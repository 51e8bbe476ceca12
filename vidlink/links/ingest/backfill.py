"""What comes late: sessions before the live one, filled up on the same connection.

It goes to the recording alone; live viewers see nothing of it. Who is speaking, and what comes
late of the live session itself, is :mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from vidlink.bucket import Bucket
from vidlink.errors import PeerError, RequestError, TooFast, VidlinkError
from vidlink.interfaces import IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.intake import Intake
from vidlink.messages import DeclareGap, Tail, Wanted
from vidlink.model import InitSegment, Limits, Range, Registration, Segment

#: So many earlier sessions may be open at a time on one connection.
MAX_EARLIER = 8
#: What the list of wanted tails may take of a text, of which 64 KiB are the most; and what one
#: of its entries takes beside its id, and one range.
_LIST_BYTES, _ENTRY_BYTES, _RANGE_BYTES = 60 * 1024, 32, 24


class Backfill:
    """The earlier sessions of one Sentinel that are being filled up on one connection.

    :param tell: tells the Sentinel that something about a session failed.
    :param fail: ends the connection.
    """

    def __init__(
        self,
        store: IStore,
        acks: Acks,
        limits: Limits,
        *,
        tell: Callable[[VidlinkError, str], None],
        fail: Callable[[PeerError], None],
    ) -> None:
        self._store = store
        self._acks = acks
        self._limits = limits
        self._tell = tell
        self._fail = fail
        self._open: dict[str, Intake] = {}

    def open(
        self, sentinel: Registration, message: InitSegment, allowed: Bucket, now_us: int
    ) -> None:
        """Open a session for what comes late of it, by its init; each time spends of `allowed`.

        Raises :exc:`~vidlink.errors.PeerError` for an init that is none, or another than before,
        and when too many have been opened.
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
        if not allowed.take():
            raise TooFast("too many earlier sessions have been opened in too short a time")
        intake = Intake.open(sentinel, message, self._limits, now_us, is_over=True)
        self._open[session_id] = intake
        self._acks.begin(session_id)
        opened = self._store.reopen(intake.session, partial(self._acks.durable, session_id))
        opened.addErrback(self._refused, intake)

    def _refused(self, failure: Any, intake: Intake) -> None:
        failure.trap(VidlinkError)
        session_id = intake.session.session_id
        if self._open.get(session_id) is intake:
            self._forget(session_id)
        if isinstance(failure.value, PeerError):
            self._fail(failure.value)
        else:
            self._tell(failure.value, session_id)

    def take(self, segment: Segment, arrived_seconds: float, received_time_us: int) -> None:
        """Record a late segment. Raises :exc:`~vidlink.errors.PeerError` for what is in it."""
        intake = self._find(segment.session_id)
        if intake is not None:
            arrival = intake.take(segment, arrived_seconds, received_time_us, {})
            if arrival is not None and not self._store.append(segment.session_id, arrival):
                self._acks.missing(segment.session_id, segment.sequence, segment.sequence)

    def gap(self, message: DeclareGap) -> None:
        """Record what the Sentinel has lost."""
        intake = self._find(message.session_id)
        if intake is not None:
            self._store.gap(message.session_id, intake.declared(message))

    def done(self, session_id: str) -> None:
        """Nothing more of a session will ever come."""
        if self._find(session_id) is not None:
            self._forget(session_id)
            if not self._store.seal(session_id):
                error = "there was no room for all that came of this session; send it again"
                self._tell(RequestError(error), session_id)

    def close(self, reason: str, now_us: int) -> None:
        """The connection is over: what is open has ended once more, and is not sealed."""
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
    """What to ask for of `tails`, of which the store wants `found`, as far as there is room.

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
