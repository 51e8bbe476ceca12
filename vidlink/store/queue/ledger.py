"""The reactor's view of what is being recorded: what waits, what is durable, what is refused.

This is one idea, the accounts and the bound of what they hold, which every call and every report
counts in. Nothing here touches the disk; a session leaves the ledger when it is wholly on disk,
and from then on `index.catalog` knows it. One that is opened again comes back (`openings`);
sessions that the writer does not know yet are in `unstarted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.errors import BadMessage, NotFound, RequestError, SessionGone, VidlinkError
from vidlink.interfaces import IStore
from vidlink.model import (
    Arrival,
    Cause,
    Gap,
    Range,
    Ranges,
    RecordingHealth,
    RecordingState,
    Session,
)
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.orders import (
    Acknowledged,
    End,
    LookAgain,
    Past,
    Reduced,
    Report,
)
from vidlink.store.queue.account import Account, Tail, WantedRanges
from vidlink.store.queue.openings import Openings
from vidlink.store.queue.refused import Refused
from vidlink.store.queue.room import (
    ROOM_AGAIN,
    Room,
    as_text,
    check_arrival,
    check_session,
)
from vidlink.store.queue.unstarted import Unstarted
from vidlink.store.queue.vitals import RecordingVitals
from vidlink.store.sequences.fit import fitted
from vidlink.store.sequences.gaps import (
    FOUND_WHEN_READ,
    TAKEN_AWAY,
    put_statement,
    sealed_gaps,
    state_damage,
)
from vidlink.store.sequences.runs import follow_each_other
from vidlink.store.sequences.times import segment_end_us
from vidlink.store.sequences.trusted import TrustedTime, age_beside

#: So many runs of sequences one session may have while it is written to; each takes some 180
#: octets of memory.
MOST_RUNS = 100_000


@implementer(IStore)
class Ledger:
    """Every session that is not wholly on disk, and the bound of what waits.

    At `queue_bytes` or `queue_segments` a segment is refused, which is recorded as a gap.
    `look_up_tails` finds out what is wanted of sessions without an account, as of the time that
    it is given, and never fails; `seconds` is the monotonic clock, `trusted` the time by which
    sessions are sealed.
    """

    _log = Logger()

    def __init__(
        self,
        inbox: Inbox,
        *,
        queue_bytes: int,
        queue_segments: int,
        look_up_tails: Callable[[str, Sequence[Tail], int], Deferred[list[WantedRanges]]],
        seconds: Callable[[], float],
        elapsed: Callable[[], float],
        wall_clock_us: Callable[[], int],
        trusted: TrustedTime,
    ) -> None:
        self._inbox = inbox
        self._room = Room(queue_bytes, queue_segments, seconds, lambda: len(self._accounts))
        self._vitals = RecordingVitals(self._room, seconds, elapsed)
        self.counts = self._vitals.counts
        self._look_up_tails = look_up_tails
        self._wall_clock_us = wall_clock_us
        self._trusted = trusted
        self._is_used: Callable[[str], bool] = lambda session_id: False
        self._used: set[str] = set()
        #: The ids of sessions that may begin, of which nothing has come yet.
        self._reserved: set[str] = set()
        self._accounts: dict[str, Account] = {}
        self._openings = Openings(inbox, self._room)
        self._unstarted = Unstarted(inbox, self._room)
        self._refused = Refused(self._vitals, self._unstarted.state)
        #: Sessions may begin: from :meth:`open` to :meth:`end_all`.
        self.is_open = False

    def open(self, is_used: Callable[[str], bool]) -> None:
        """Let sessions begin, under ids that were not used before this server started."""
        self._is_used = is_used
        self.is_open = True

    def __iter__(self) -> Iterator[Account]:
        """The accounts in the order in which their sessions began."""
        return iter(self._accounts.values())

    def account(self, session_id: str) -> Account | None:
        """The account of a session; None if it is wholly on disk, or unknown."""
        return self._accounts.get(session_id)

    @property
    def load(self) -> float:
        """The share of the queue that is full, 0.0 to 1.0."""
        return self._room.load

    def crowds(self, sentinel_id: str) -> bool:
        """Tell whether a Sentinel is to be read from no more for now.

        Not while the disk is in trouble: that is nobody's doing, and what is live has to go on.
        """
        return self._room.crowds(sentinel_id) and self._vitals.is_well

    def reserve(self, session: Session) -> None:
        """Use the id of a session."""
        session_id = session.session_id
        check_session(session)
        if not self.is_open:
            raise NotFound("nothing is recorded any more")
        if session_id in self._used or self._is_used(session_id):
            raise RequestError(f"session {session_id} has been used before")
        self._used.add(session_id)
        self._reserved.add(session_id)

    def begin(self, session: Session, durable: Callable[[int], None]) -> None:
        """Start an account."""
        session_id = session.session_id
        if session_id not in self._reserved or not self.is_open:
            self.reserve(session)
        self._reserved.remove(session_id)
        account = Account(session, durable, replace(session, init=b""))
        self._accounts[session_id] = account
        self._unstarted.add(account)

    def tails(self, sentinel_id: str, tails: Sequence[Tail]) -> Deferred[tuple[WantedRanges, ...]]:
        """The ranges that are wanted of earlier sessions."""
        now_us = self._trusted.now_us()
        found = {
            tail: self._accounts[tail[0]].wanted(sentinel_id, *tail[1:], now_us)
            for tail in tails
            if tail[0] in self._accounts
        }
        others = [tail for tail in dict.fromkeys(tails) if tail not in found]
        if not others:
            return succeed(tuple(found[tail] for tail in tails))

        def put_together(looked_up: list[WantedRanges]) -> tuple[WantedRanges, ...]:
            found.update(zip(others, looked_up, strict=True))
            return tuple(found[tail] for tail in tails)

        return self._look_up_tails(sentinel_id, others, now_us).addCallback(put_together)

    def reopen(self, session: Session, durable: Callable[[int], None]) -> Deferred[None]:
        """Open a session that has ended for what comes late."""
        account = self._accounts.get(session.session_id)
        try:
            check_session(session)
            if account is not None and account.session.sentinel_id != session.sentinel_id:
                raise SessionGone("this is the session of another sentinel")
            if account is not None and account.ending is None:
                raise RequestError("the session is being recorded")
            # One that is just being closed is opened when it is wholly on disk.
            now = self._wall_clock_us(), self._trusted.now_us()
            answer = self._openings.add(session, durable, now, is_closed=account is None)
        except VidlinkError as error:
            return fail(error)
        self._used.add(session.session_id)
        return answer

    def append(self, session_id: str, arrival: Arrival) -> bool:
        """Accept one segment, or refuse it."""
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            return self._openings.append(session_id, arrival)
        sequence, size = arrival.segment.sequence, len(arrival.segment.data)
        taken = account.taken
        if sequence != taken.highest + 1:
            if sequence in taken:
                return True
            if len(taken) >= MOST_RUNS and taken.would_add_run(sequence):
                raise BadMessage(f"a session has at most {MOST_RUNS:,} holes; begin another")
        check_arrival(arrival)
        owner, is_late = account.session.sentinel_id, arrival.segment.is_late
        if not self._room.has(owner, size, is_late=is_late) or not (
            account.is_handed_over or self._unstarted.hand_over(account)
        ):
            self._refused.add(account, arrival)
            return False
        if account.refusing is not None and not is_late:
            self._refused.end(account)
        self._room.occupy(owner, size, 1)
        self._accept(account, arrival)
        return True

    def _accept(self, account: Account, arrival: Arrival) -> None:
        """Hand over a segment that has been counted."""
        segment, taken = arrival.segment, account.taken
        sequence, size = segment.sequence, len(segment.data)
        opens = closes = sequence, segment.start_time_us, arrival.media_time
        if segment.is_late:
            around = taken.around(sequence)
            arrival, opens, closes = fitted(arrival, account.session.timescale, *around)
            segment = arrival.segment
        end_us = segment_end_us(segment)
        taken.add(sequence, sequence, segment.start_time_us, end_us, size, opens, closes)
        account.waiting[sequence] = arrival
        self._inbox.put(arrival, size)

    def gap(self, session_id: str, gap: Gap) -> None:
        """State a gap."""
        gap = replace(gap, detail=as_text(gap.detail))
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            self._openings.gap(session_id, gap)
        else:
            self._vitals.stated(gap)
            number = put_statement(account.gaps, gap)
            if account.gaps[number] != gap:
                # It is lost whatever becomes of the statement, so nothing has to wait for that.
                account.settle_gaps((gap,))
                self._tell(account, account.settled.reached)
            self._unstarted.state(account, number)

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """End a session; nothing happens if that was said before."""
        self._reserved.discard(session_id)
        age = age_beside(ended_time_us, self._trusted.now_us())
        self._finish(End(session_id, as_text(reason), ended_time_us, age_from_us=age))

    def seal(self, session_id: str) -> bool:
        """Seal a session that was opened again; False if it has only ended."""
        account = self._accounts.get(session_id)
        if account is not None and account.past is None and account.ending is None:
            raise NotFound(f"session {session_id} is live")
        ending = self._finish(End(session_id, "", 0, is_sealed=True))
        if ending is None:
            raise NotFound(f"session {session_id} is not being recorded")
        return ending.is_sealed

    def _finish(self, ending: End) -> End | None:
        """End a session; returns how it ends, or None if it is not being recorded."""
        account = self._accounts.get(ending.session_id)
        if account is None or account.ending is not None:
            return self._openings.end(ending)
        return self._end(account, ending)

    def _end(self, account: Account, ending: End) -> End:
        self._refused.end(account)
        if ending.is_sealed and not account.is_whole:
            ending = replace(ending, is_sealed=False)
        if ending.is_sealed:
            # Where it was cut short nothing is missing any more, nor at its end.
            ended_us = None if account.past is None else account.past.ended_time_us
            known = account.gaps
            account.gaps = sealed_gaps(known, ended_us)
            for number, gap in enumerate(account.gaps):
                if number >= len(known) or gap is not known[number]:
                    self._unstarted.state(account, number)
        account.ending = ending
        if account.is_handed_over:
            self._inbox.put(ending, is_awaited=ending.is_sealed)
        elif self._unstarted.gives_up(account):
            self._close(account.session.session_id)
        return ending

    def end_all(self, reason: str, ended_time_us: int) -> None:
        """End every session that has not ended; none begins any more."""
        self.is_open = False
        self._openings.drop_all(reason, ended_time_us)
        for session_id in tuple(self._accounts):
            self.end(session_id, reason, ended_time_us)
        self._unstarted.hand_over_all(is_last=True)

    def recording(self, session_id: str) -> RecordingState:
        """The state of the recording of one session."""
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            return RecordingState.NONE
        is_bad = self._is_troubled(account) or self._vitals.index_trouble is not None
        return RecordingState.TROUBLE if is_bad else RecordingState.OK

    def _is_troubled(self, account: Account) -> bool:
        return (
            account.refusing is not None
            or not account.is_handed_over
            or self._vitals.trouble(account.session.session_id) is not None
        )

    def health(self) -> RecordingHealth:
        """The state of the whole recording at this moment."""
        live = [account for account in self._accounts.values() if account.ending is None]
        troubled = sum(map(self._is_troubled, live))
        return self._vitals.health(self.is_open, len(live), troubled)

    def apply(self, report: Report) -> None:
        """Apply the report of a round, and tell those who wait for it."""
        self._vitals.apply(report)
        for past in report.opened:
            self._open(past)
        for session_id, error in report.refused:
            self._openings.drop(session_id, error)
        for session_id, arrival in report.dropped:
            account = self._accounts.get(session_id)
            if account is not None:
                self._drop(account, arrival)
        for reduced in report.reduced:
            account = self._accounts.get(reduced.session_id)
            if account is not None:
                self._reduce(account, reduced)
        for ack in report.acks:
            account = self._accounts.get(ack.session_id)
            if account is not None:
                self._settle(account, ack)
        for session_id in report.begun:
            account = self._accounts.get(session_id)
            if account is not None:
                self._room.free(account.session.sentinel_id, account.start_bytes, 0)
                account.start_bytes = 0
        for session_id in report.closed:
            self._close(session_id)
        self._unstarted.hand_over_all()
        if self._room.load <= ROOM_AGAIN:
            self._refused.end_all()

    def _open(self, past: Past) -> None:
        """Hand over what was kept for a session that the writer has opened."""
        session_id = past.session.session_id
        opening = self._openings.pop(session_id)
        if opening is None:
            # The server is stopping, and the writer has been told so.
            return
        account = self._accounts[session_id] = Account.again(past, opening.durable)
        account.start_bytes, account.refused = opening.start_bytes, opening.refused
        opening.answer(None)
        self._tell(account, account.settled.reached)
        for gap in opening.gaps:
            self.gap(session_id, gap)
        for sequence, arrival in opening.arrivals.items():
            if sequence in account.taken:
                self._room.free(past.session.sentinel_id, len(arrival.segment.data), 1)
            else:
                self._accept(account, arrival)
        if opening.ending is not None:
            self._end(account, opening.ending)

    def _close(self, session_id: str) -> None:
        """Close the account of a session that is wholly on disk; it may be opened again."""
        account = self._accounts.pop(session_id, None)
        if account is not None and account.ending is not None and account.ending.is_sealed:
            # Also where all of it was acknowledged before: it says that the session is sealed.
            account.told = -1
            self._tell(account, account.highest)
        self._openings.order(session_id)

    def _reduce(self, account: Account, reduced: Reduced) -> None:
        """Miss what was durable and has been taken away, and say so."""
        lost = account.reduce(reduced.there, reduced.parts)
        session = account.session
        if account.ending is None:
            detail = FOUND_WHEN_READ if reduced.is_damage else TAKEN_AWAY
            for gap in state_damage(lost, Ranges(), account.gaps, detail):
                self.gap(session.session_id, gap)
        elif reduced.is_damage and lost:
            # It has ended meanwhile: who closes it states nothing more, who looks at it then does.
            self._inbox.put(LookAgain(session.sentinel_id, session.session_id, tuple(lost)))

    def lost(self, session_id: str) -> tuple[Range, ...]:
        """The ranges that were durable and are not any more, since this was asked last."""
        account = self._accounts.get(session_id)
        if account is None or not account.lost:
            return ()
        lost = tuple(account.lost)
        account.lost.clear()
        return lost

    def _settle(self, account: Account, ack: Acknowledged) -> None:
        arrivals, settled = ack.arrivals, account.settled
        if arrivals:
            size_bytes = 0
            for arrival in arrivals:
                segment = arrival.segment
                del account.waiting[segment.sequence]
                size_bytes += len(segment.data)
            # Those of one part ascend.
            if len(ack.parts) == 1 and follow_each_other(arrivals):
                settled.add(arrivals[0].segment.sequence, segment.sequence)
            else:
                for arrival in arrivals:
                    settled.add(arrival.segment.sequence, arrival.segment.sequence)
            self._room.free(account.session.sentinel_id, size_bytes, len(arrivals))
            self._vitals.settled(ack, size_bytes)
        account.parts.update(ack.parts)
        if ack.gaps:
            account.settle_gaps(account.gaps[number] for number in ack.gaps)
        self._tell(account, account.settled.reached)

    def _drop(self, account: Account, arrival: Arrival) -> None:
        """Miss a segment that the writer has no place for, as if it had been refused."""
        segment = arrival.segment
        sequence, size = segment.sequence, len(segment.data)
        del account.waiting[sequence]
        self._room.free(account.session.sentinel_id, size, 1)
        end_us = segment_end_us(segment)
        account.taken.discard(sequence, segment.start_time_us, end_us, size)
        if account.ending is None:
            detail = "the session has no room for another part"
            self.gap(
                account.session.session_id,
                Gap(sequence, sequence, Cause.WRITE_ERROR, detail=detail),
            )

    def _tell(self, account: Account, reached: int) -> None:
        if reached > account.told:
            account.told = reached
            try:
                account.durable(reached)
            except Exception:
                self._log.failure("an acknowledgement failed")
