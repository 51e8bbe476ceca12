"""Late segments on one connection, piece by piece: live comes first.

Only what the socket has room for at once is sent, no faster than :mod:`vidlink.links.uplink.pace`
allows. What there is to be sent is :mod:`vidlink.links.uplink.debts`; what the server says about it
is taken by :mod:`vidlink.links.uplink.late`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from twisted.internet.interfaces import IReactorTime

from vidlink.bucket import Bucket
from vidlink.interfaces import IServerPeer, ISpool
from vidlink.links.uplink.debt import NOT_HELD, Debt, Stage, gaps
from vidlink.links.uplink.debts import Debts
from vidlink.links.uplink.events import UplinkEvents
from vidlink.links.uplink.live import TOO_LARGE
from vidlink.links.uplink.pace import Pace
from vidlink.messages import BackfillDone, DeclareGap
from vidlink.model import InitSegment, Ranges, Segment
from vidlink.timer import Timer

#: An earlier session that may not be opened yet, because so many were, is tried again after this.
OPENING_SECONDS = 10.0
#: So long the first live segment is waited for.
LIVE_SECONDS = 2.0
#: The octets that a segment counts beside its own.
_SEGMENT_BYTES = 512


class LateSending:
    """Sends what is owed, from the spool, to one peer.

    :param openings: how often an earlier session may be opened.
    :param offset_us: what times lack that were not corrected when they were captured; None:
        that is not known.
    :param max_segment_bytes: the server takes none that is larger.
    """

    def __init__(
        self,
        peer: IServerPeer,
        sentinel_id: str,
        spool: ISpool,
        debts: Debts,
        events: UplinkEvents,
        *,
        openings: Bucket,
        offset_us: int | None,
        max_segment_bytes: int,
        clock: IReactorTime,
    ) -> None:
        self.pace = Pace(clock.seconds)
        self._peer = peer
        self._sentinel_id = sentinel_id
        self._spool = spool
        self._debts = debts
        self._events = events
        self._openings = openings
        self._offset_us = offset_us
        self._max_segment_bytes = max_segment_bytes
        self._seconds = clock.seconds
        self._timer = Timer(clock)
        self._begun_seconds = clock.seconds()
        self._batch: deque[Segment] = deque()
        #: The session of what was sent last, or is sent next.
        self.current: Debt | None = None
        self._is_reading = self._is_stepping = self._is_over = False

    def stop(self) -> None:
        """Send nothing more: the connection is gone."""
        self._is_over = True
        self._timer.stop()

    def is_sending(self, debt: Debt) -> bool:
        """True if something of it has been read and waits to be sent."""
        return debt is self.current and bool(self._batch)

    def step(self) -> None:
        """Send what may be sent now, and see to it that the rest follows."""
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._has_work():
                wait = self.pace.wait_seconds()
                if wait > 0:
                    self.schedule(wait)
                    return
                self._work()
        finally:
            self._is_stepping = False

    def schedule(self, seconds: float) -> None:
        """Go on after so long."""
        if not self._timer.is_running:
            self._timer.start(seconds, self.step)

    def _has_work(self) -> bool:
        """True if there is something to send, and nothing waits for the socket."""
        if self._is_over or self._is_reading or not self._peer.is_idle:
            return False
        if self._debts.holes is None and self._seconds() - self._begun_seconds < LIVE_SECONDS:
            return False
        if self.current is None or self.current.stage is not Stage.OPEN:
            self._batch.clear()
        return bool(self._batch) or self._debts.next(self._seconds()) is not None

    def _work(self) -> None:
        """Send a chunk, or get ready for the next one."""
        debt = self._debts.next(self._seconds())
        if self._batch and self.current is not None:
            self._send_chunk(self.current)
        elif debt is not None and debt.stage is Stage.WAITING:
            self._open(debt)
        elif debt is not None:
            self._read(debt)

    def _open(self, debt: Debt) -> None:
        """Open an earlier session, and say what is lost of it."""
        now = self._seconds()
        if not self._openings.spend():
            debt.not_before_seconds = now + OPENING_SECONDS
            return
        if self._offset_us is not None:
            self._spool.correct(debt.session_id, self._offset_us)
        spooled = self._debts.spooled(debt.session_id)
        if spooled is None:
            self._debts.remove(debt)
            return
        self._peer.send(InitSegment(self._sentinel_id, debt.session_id, spooled.init, is_late=True))
        self.current = debt
        debt.open(spooled, now)
        for gap in gaps(spooled, 0, debt.newest):
            self._declare(gap)

    def _read(self, debt: Debt) -> None:
        """Ask the spool for what comes next of a session."""
        first, last = debt.ranges.lowest
        self._is_reading = True
        reading = self._spool.read(debt.session_id, first, last)
        reading.addCallback(self._found, debt, first, last)

    def _found(self, found: tuple[Segment, ...], debt: Debt, first: int, last: int) -> None:
        """The spool has answered; what it does not have any more is lost."""
        self._is_reading = False
        if self._is_over:
            return
        if debt.stage is Stage.OPEN:
            last = found[-1].sequence if found else last
            debt.ranges.discard(first, last)
            self._batch, self.current = deque(found), debt
            held = Ranges.of(segment.sequence for segment in found)
            for low, high in held.missing(first, last):
                self._lose(debt, low, high)
        self.step()

    def _send_chunk(self, debt: Debt) -> None:
        """Send as much as may stand in front of a live segment."""
        sent, room = 0, self.pace.room_bytes
        while self._batch:
            segment = self._batch[0]
            size = len(segment.data) + _SEGMENT_BYTES
            if sent and sent + size > room:
                break
            self._batch.popleft()
            if segment.sequence <= debt.reached:
                continue
            if len(segment.data) > self._max_segment_bytes:
                sequence = segment.sequence
                self._spool.drop(debt.session_id, sequence, sequence, TOO_LARGE)
                self._lose(debt, sequence, sequence)
                continue
            if segment.sentinel_id != self._sentinel_id:
                segment = replace(segment, sentinel_id=self._sentinel_id)
            self._peer.send(segment)
            sent += size
        self.pace.spend(sent)
        debt.moved_seconds = self._seconds()

    def _lose(self, debt: Debt, first: int, last: int) -> None:
        """Declare what is not held, for the cause that the spool knows, if it knows one."""
        spooled = self._debts.spooled(debt.session_id)
        first = max(first, debt.reached + 1)
        lost = [] if spooled is None else list(gaps(spooled, first, last))
        for low, high in Ranges((gap.first, gap.last) for gap in lost).missing(first, last):
            lost.append(DeclareGap(debt.session_id, low, high, NOT_HELD))
        for gap in sorted(lost, key=lambda one: one.first):
            self._declare(gap)

    def _declare(self, gap: DeclareGap) -> None:
        self._peer.send(gap)
        self._events.on_lost(gap)

    def settle(self, debt: Debt) -> None:
        """Say that nothing more of a session will come, if that is so."""
        if debt.is_settled:
            debt.stage, debt.moved_seconds = Stage.DONE, self._seconds()
            self._peer.send(BackfillDone(debt.session_id))
