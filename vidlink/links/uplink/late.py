"""Late delivery: the tails of earlier sessions, and what was not sent live.

Here a delivery begins, ends and is confirmed; what is sent, and when, is
:mod:`vidlink.links.uplink.late_sending`, and what there is to be sent
:mod:`vidlink.links.uplink.debts`. Frames become segments in :mod:`vidlink.links.uplink.live`.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from vidlink.bucket import Allowance, Bucket
from vidlink.errors import BadMessage, NotMedia, SessionGone, SessionSealed
from vidlink.interfaces import IServerPeer, ISpool
from vidlink.links.uplink.debt import Debt, Stage
from vidlink.links.uplink.debts import Debts
from vidlink.links.uplink.events import UplinkEvents
from vidlink.links.uplink.late_sending import LateSending
from vidlink.links.uplink.resealed import Resealing
from vidlink.messages import Ack, Tail, Wanted

#: So often an earlier session may be opened; the server closes who does not keep to this, on all
#: connections together.
OPENINGS = Allowance(burst=1_000, per_second=0.1)


class LateDelivery:
    """The delivery of what was not sent live, from connection to connection."""

    def __init__(
        self, sentinel_id: str, spool: ISpool, events: UplinkEvents, clock: IReactorTime
    ) -> None:
        self.sentinel_id = sentinel_id
        self._spool = spool
        self._events = events
        self._clock = clock
        self._seconds = seconds = clock.seconds
        self._resealing = Resealing(spool, clock.callLater, self._moved)
        self._debts = Debts(spool, self._resealing.is_filling)
        self._openings = Bucket(OPENINGS, seconds)
        self._sending: LateSending | None = None

    def tails(self) -> tuple[Tail, ...]:
        """The tail of each session, the oldest first, as far as one message has room."""
        return self._debts.tails()

    def begin(
        self,
        peer: IServerPeer,
        named: tuple[Tail, ...],
        answers: tuple[Wanted, ...],
        *,
        offset_us: int | None,
        max_segment_bytes: int,
        unfinished_id: str,
    ) -> None:
        """Begin with what the server wants of the tails `named`; see `Debts.begin`.

        Times that were not corrected when they were captured are now, by `offset_us`.
        """
        self.stop()
        self._sending = LateSending(
            peer,
            self.sentinel_id,
            self._spool,
            self._debts,
            self._events,
            openings=self._openings,
            offset_us=offset_us,
            max_segment_bytes=max_segment_bytes,
            clock=self._clock,
        )
        segments = self._debts.begin(named, answers, unfinished_id)
        if len(self._debts):
            self._events.on_backfill(len(self._debts), segments)

    def stop(self) -> None:
        """Stop, for the connection is gone; the next one begins anew."""
        if self._sending is not None:
            self._sending.stop()
        self._sending = None
        self._debts.clear()

    def began(self, session_id: str) -> None:
        """Note the session that has begun live; from now on what is older may follow it."""
        if self._sending is not None:
            now = self._seconds()
            self._debts.holes = Debt(session_id, -1, False, stage=Stage.OPEN, moved_seconds=now)
            self._sending.schedule(0)

    def over(self, session_id: str, newest: int) -> None:
        """Deliver the rest of a session of which nothing more is captured."""
        if self._sending is not None:
            self._sending.settle(self._debts.over(session_id, newest, self._seconds()))

    def acknowledged(self, ack: Ack) -> None:
        """Note that the server has more of a session than before, or lacks something of it."""
        self._spool.forget(ack.session_id, ack.sequence)
        sending = self._sending
        if sending is None:
            return
        sending.pace.heard(ack.load)
        debt = self._debts.find(ack.session_id)
        if debt is not None and debt.stage is Stage.DONE:
            self._delivered(debt)
        elif debt is not None:
            debt.acknowledged(ack.sequence, self._seconds())
            if debt.stage is Stage.OPEN:
                for first, last in ack.missing:
                    debt.ranges.add(first, last)
                sending.settle(debt)
        sending.step()

    def refused(self, code: str, about: str | None) -> None:
        """Give in to what the server has said is wrong with a session, or with all of it."""
        if about is None:
            late = None if self._sending is None else self._sending.current
            is_about_media = code in (BadMessage.code, NotMedia.code)
            if late is not None and is_about_media and self._debts.strike(late):
                self._events.on_set_aside(late.session_id)
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
                self._resealing.start(spooled)

    def _delivered(self, debt: Debt) -> None:
        self._debts.remove(debt)
        self._events.on_delivered(debt.session_id, len(self._debts))

    def _moved(self, old_id: str, new_id: str, newest: int) -> None:
        """Deliver as another session what was held of one that is sealed."""
        self._debts.forget(old_id)
        self._events.on_moved(old_id, new_id)
        self.over(new_id, newest)

    def reached(self, session_id: str) -> int:
        """The sequence up to which a session is acknowledged on this connection; -1: none."""
        debt = self._debts.find(session_id)
        return -1 if debt is None else debt.reached

    def tick(self, sent: int) -> None:
        """Send again what makes no headway; to be called about once a second.

        :param sent: the highest sequence of the live session that was sent; -1: none.
        """
        sending = self._sending
        if sending is None:
            return
        now = self._seconds()
        for debt in self._debts:
            if sending.pace.is_held or sending.is_sending(debt):
                debt.moved_seconds = now
            elif debt is self._debts.holes:
                debt.push(sent, now)
            else:
                debt.push(debt.newest if debt.is_over else debt.covered, now)
        sending.step()

    def drained(self) -> None:
        """Go on: the socket has taken everything."""
        if self._sending is not None:
            self._sending.step()
