"""What comes late: the tails of earlier sessions, and what was not sent live, from the spool.

Live comes first: this sends only what the socket has room for at once, no faster than
:mod:`vidlink.links.pace` allows. What there is to be sent is :mod:`vidlink.links.debts`; frames
become segments in :mod:`vidlink.links.sending`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from vidlink.errors import SessionGone, SessionSealed
from vidlink.interfaces import IServerPeer, ISpool
from vidlink.links.debt import NOT_HELD, Debt, Stage, gaps, holes
from vidlink.links.debts import Debts
from vidlink.links.moving import Moving
from vidlink.links.pace import CHUNK_BYTES, Pace
from vidlink.links.sending import TOO_LARGE
from vidlink.model import InitSegment, Limits, Segment
from vidlink.relay.bucket import Allowance, Bucket
from vidlink.wire.messages import Ack, BackfillDone, DeclareGap, Tail, Wanted

#: So often an earlier session may be opened; the server closes who does not keep to this, on all
#: connections together. One that was not gets another chance after a while.
OPENINGS = Allowance(burst=1_000, per_second=0.1)
OPENING_SECONDS = 10.0
#: So long the first live segment is waited for.
LIVE_SECONDS = 2.0
#: What a segment counts beside its octets.
_SEGMENT_BYTES = 512


class DeliveryEvents(Protocol):
    """Who wants to know how the delivery goes."""

    def on_backfill(self, sessions: int, segments: int) -> None:
        """So many earlier sessions, and segments that the server lacks of them, wait."""

    def on_delivered(self, session_id: str, waiting: int) -> None:
        """The server has all there is of an earlier session, and so many wait."""

    def on_lost(self, gap: DeclareGap) -> None:
        """The server was told that these are lost."""

    def on_refused(self, session_id: str, segments: int) -> None:
        """The server will never take so many segments of a session; they are given up."""

    def on_moved(self, old_id: str, new_id: str) -> None:
        """A session is sealed; what was still held of it is delivered as another one."""

    def on_set_aside(self, session_id: str) -> None:
        """The server closes whenever it is sent this session; it is not offered again."""


class Delivery:
    """What is delivered late, from connection to connection.

    :param live: the session that is live, and its highest sequence that was sent, if there is.
    :param seconds: the monotonic clock.
    :param call_later: `IReactorTime.callLater`.
    """

    def __init__(
        self,
        sentinel_id: str,
        spool: ISpool,
        events: DeliveryEvents,
        *,
        live: Callable[[], tuple[str, int] | None],
        seconds: Callable[[], float],
        call_later: Callable[..., Any],
    ) -> None:
        self.max_segment_bytes = Limits().max_segment_bytes
        self._sentinel_id = sentinel_id
        self._spool = spool
        self._events = events
        self._live = live
        self._seconds = seconds
        self._call_later = call_later
        self._debts = Debts(spool)
        self._moving = Moving(spool, call_later, self._moved)
        self._openings = Bucket(OPENINGS, seconds)
        self._peer: IServerPeer | None = None
        self._is_stepping = False
        self._timer: Any = None
        self._reset()

    def _reset(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._debts.clear()
        self._pace = Pace(self._seconds)
        self._offset_us: int | None = None
        self._begun_seconds = self._seconds()
        self._batch: deque[Segment] = deque()
        self._batch_of: Debt | None = None
        self._reading: object | None = None

    # The course of a connection

    def tails(self) -> tuple[Tail, ...]:
        """What is held of each session, the oldest first, as far as one message has room."""
        return self._debts.tails()

    def begin(
        self,
        peer: IServerPeer,
        named: tuple[Tail, ...],
        answers: tuple[Wanted, ...],
        *,
        offset_us: int | None,
        unfinished_id: str,
    ) -> None:
        """The server has answered which of the tails `named` it wants; see `Debts.begin`.

        Times that were not corrected when they were captured are now, by `offset_us`.
        """
        self._reset()
        self._peer, self._offset_us = peer, offset_us
        segments = self._debts.begin(named, answers, unfinished_id)
        if len(self._debts):
            self._events.on_backfill(len(self._debts), segments)

    def stop(self) -> None:
        """The connection is gone: the next one begins anew."""
        self._peer = None
        self._reset()

    def began(self, session_id: str) -> None:
        """A session has begun live; from now on what is older may follow it."""
        self._debts.holes = Debt(
            session_id, -1, False, stage=Stage.OPEN, moved_seconds=self._seconds()
        )
        self._schedule(0)

    def over(self, session_id: str, newest: int) -> None:
        """Nothing more is captured of this session."""
        if self._peer is not None:
            self._settle(self._debts.over(session_id, newest, self._seconds()))

    def acknowledged(self, ack: Ack) -> None:
        """The server has more of a session than before, or lacks something of it."""
        self._pace.heard(ack.load)
        self._spool.forget(ack.session_id, ack.sequence)
        debt = self._debts.find(ack.session_id)
        if debt is not None and debt.stage is Stage.DONE:
            self._delivered(debt)
        elif debt is not None:
            debt.acknowledged(ack.sequence, self._seconds())
            if debt.stage is Stage.OPEN:
                for first, last in ack.missing:
                    debt.ranges.add(first, last)
                self._settle(debt)
        self.step()

    def refused(self, code: str, about: str | None) -> None:
        """The server has said that something is wrong with a session, or with all of it."""
        if about is None:
            debt = self._batch_of
            is_ours = code in ("bad-message", "not-media") and debt is not None
            if is_ours and debt is not None and self._debts.strike(debt):
                self._events.on_set_aside(debt.session_id)
            return
        debt = self._debts.find(about)
        if debt is None or debt is self._debts.holes:
            return
        spooled = self._debts.spooled(about)
        if code == SessionGone.code:
            self._events.on_refused(about, self._debts.remove(debt))
        elif code == SessionSealed.code and (spooled is None or spooled.first is None):
            self._delivered(debt)
        else:
            debt.put_off(self._seconds())
            if code == SessionSealed.code and spooled is not None and debt.is_over:
                self._moving.start(spooled)

    def _delivered(self, debt: Debt) -> None:
        self._debts.remove(debt)
        self._events.on_delivered(debt.session_id, len(self._debts))

    def _moved(self, old_id: str, new_id: str, newest: int) -> None:
        """What was held of a session that is sealed is another session's now."""
        self._debts.forget(old_id)
        self._events.on_moved(old_id, new_id)
        self.over(new_id, newest)

    def reached(self, session_id: str) -> int:
        """How far a session has been acknowledged on this connection; -1: not at all."""
        debt = self._debts.find(session_id)
        return -1 if debt is None else debt.reached

    def tick(self) -> None:
        """To be called about once a second: what makes no headway is sent again."""
        if self._peer is None:
            return
        now = self._seconds()
        _, sent = self._live() or ("", -1)
        for debt in self._debts:
            if self._pace.is_held or (debt is self._batch_of and self._batch):
                debt.moved_seconds = now
            elif debt is self._debts.holes:
                debt.push(sent, now)
            else:
                debt.push(debt.newest if debt.is_over else debt.covered, now)
        self.step()

    # What is sent

    def step(self) -> None:
        """Send what may be sent now, and see to it that the rest follows."""
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._peer is not None and self._has_work(self._peer):
                wait = self._pace.wait_seconds()
                if wait > 0:
                    self._schedule(wait)
                    return
                self._work(self._peer)
        finally:
            self._is_stepping = False

    def _schedule(self, seconds: float) -> None:
        if self._timer is None or not self._timer.active():
            self._timer = self._call_later(seconds, self.step)

    def _has_work(self, peer: IServerPeer) -> bool:
        """Whether there is something to send, and nothing waits for the socket."""
        if self._reading is not None or not peer.is_idle:
            return False
        if self._debts.holes is None and self._seconds() - self._begun_seconds < LIVE_SECONDS:
            return False
        if self._batch_of is None or self._batch_of.stage is not Stage.OPEN:
            self._batch.clear()
        return bool(self._batch) or self._debts.next(self._seconds()) is not None

    def _work(self, peer: IServerPeer) -> None:
        """Send a chunk, or get ready for the next one."""
        debt = self._debts.next(self._seconds())
        if self._batch and self._batch_of is not None:
            self._send_chunk(peer, self._batch_of)
        elif debt is not None and debt.stage is Stage.WAITING:
            self._open(peer, debt)
        elif debt is not None:
            self._read(debt)

    def _open(self, peer: IServerPeer, debt: Debt) -> None:
        """Open an earlier session, and say what is lost of it."""
        now = self._seconds()
        if not self._openings.take():
            debt.not_before_seconds = now + OPENING_SECONDS
            return
        if self._offset_us is not None:
            self._spool.correct(debt.session_id, self._offset_us)
        spooled = self._debts.spooled(debt.session_id)
        if spooled is None:
            self._debts.remove(debt)
            return
        peer.send(InitSegment(self._sentinel_id, debt.session_id, spooled.init, late=True))
        self._batch_of = debt
        debt.open(spooled, now)
        for gap in gaps(spooled, 0, debt.newest):
            self._declare(peer, gap)

    def _read(self, debt: Debt) -> None:
        """Ask the spool for what comes next of a session."""
        first, last = debt.ranges.lowest
        turn = self._reading = object()
        reading = self._spool.read(debt.session_id, first, last)
        reading.addCallback(self._found, debt, first, last, turn)

    def _found(
        self, found: tuple[Segment, ...], debt: Debt, first: int, last: int, turn: object
    ) -> None:
        """The spool has answered; what it does not have any more is lost."""
        if turn is not self._reading or self._peer is None:
            return
        self._reading = None
        if debt.stage is Stage.OPEN:
            last = found[-1].sequence if found else last
            debt.ranges.discard(first, last)
            self._batch, self._batch_of = deque(found), debt
            for low, high in holes((segment.sequence for segment in found), first, last):
                self._lose(self._peer, debt, low, high)
        self.step()

    def _send_chunk(self, peer: IServerPeer, debt: Debt) -> None:
        """Send as much as may stand in front of a live segment."""
        sent = 0
        while self._batch:
            segment = self._batch[0]
            size = len(segment.data) + _SEGMENT_BYTES
            if sent and sent + size > CHUNK_BYTES:
                break
            self._batch.popleft()
            if segment.sequence <= debt.reached:
                continue
            if len(segment.data) > self.max_segment_bytes:
                sequence = segment.sequence
                self._spool.drop(debt.session_id, sequence, sequence, TOO_LARGE)
                self._lose(peer, debt, sequence, sequence)
                continue
            peer.send(segment)
            sent += size
        self._pace.spend(sent)
        debt.moved_seconds = self._seconds()

    def _lose(self, peer: IServerPeer, debt: Debt, first: int, last: int) -> None:
        """Declare what is not held, for the cause that the spool knows, if it knows one."""
        spooled = self._debts.spooled(debt.session_id)
        first = max(first, debt.reached + 1)
        known = () if spooled is None else tuple(gaps(spooled, first, last))
        for gap in known:
            for low, high in holes((), first, gap.first - 1):
                self._declare(peer, DeclareGap(debt.session_id, low, high, NOT_HELD))
            self._declare(peer, gap)
            first = gap.last + 1
        for low, high in holes((), first, last):
            self._declare(peer, DeclareGap(debt.session_id, low, high, NOT_HELD))

    def _declare(self, peer: IServerPeer, gap: DeclareGap) -> None:
        peer.send(gap)
        self._events.on_lost(gap)

    def _settle(self, debt: Debt) -> None:
        """Say that nothing more of a session will come, if that is so."""
        if debt.is_settled and self._peer is not None:
            debt.stage, debt.moved_seconds = Stage.DONE, self._seconds()
            self._peer.send(BackfillDone(debt.session_id))
