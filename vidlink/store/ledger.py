"""The reactor's view of what is being recorded: what waits, what is durable, what is refused.

It keeps the bound of the queue: what has been handed to the writer and is not durable yet.
Nothing here touches the disk; a session leaves the ledger when it is wholly on disk, and from
then on `catalog` knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from twisted.logger import Logger

from vidlink.errors import NotFound, RequestError
from vidlink.model import (
    Arrival,
    Cause,
    Gap,
    RecordingState,
    Session,
    SessionRecord,
    SessionState,
    is_sentinel_id,
    is_session_id,
)
from vidlink.store import listing
from vidlink.store.handover import Begin, End, Inbox, Report, StateGap, Trouble
from vidlink.store.runs import Runs

#: After the queue has been full, segments are taken again below this part of the bound, so
#: that what is missing is one gap and not a sieve.
_ROOM_AGAIN = 0.75
#: So many statements about gaps are kept of one session; holes show without them too.
_MOST_GAPS = 10_000
#: What the start of a session counts in the queue, beside its initialization segment.
_START_BYTES = 1_024
_U32, _I63 = 2**32, 2**63


@dataclass(slots=True)
class Account:
    """One session that is not wholly on disk.

    `taken` is what was accepted, `settled` what is durable or a final gap, `waiting` what is
    accepted and not durable. `parts` has the count of durable records of each part.
    """

    session: Session
    durable: Callable[[int], None]
    #: The session without its init, for pages of sessions.
    listed: Session
    taken: Runs = field(default_factory=Runs)
    settled: Runs = field(default_factory=Runs)
    waiting: dict[int, Arrival] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    parts: dict[int, int] = field(default_factory=dict)
    ending: End | None = None
    trouble: Trouble | None = None
    #: The number of the gap that grows while segments are refused.
    refusing: int | None = None
    is_handed_over: bool = False
    #: What the start of the session counts in the queue, until it is on disk.
    start_bytes: int = 0
    told: int = -1

    def record(self, *, whole: bool) -> SessionRecord:
        """The session as history shows it; `whole` with spans, gaps and init."""
        runs = self.taken.runs
        spans = self.taken.spans() if whole else ()
        return SessionRecord(
            session=self.session if whole else self.listed,
            state=SessionState.LIVE if self.ending is None else SessionState.ENDED,
            ended_time_us=None if self.ending is None else self.ending.ended_time_us,
            end_reason="" if self.ending is None else self.ending.reason,
            segment_count=self.taken.count,
            size_bytes=self.taken.size_bytes,
            first_sequence=runs[0].first if runs else None,
            last_sequence=runs[-1].last if runs else None,
            start_time_us=runs[0].start_time_us if runs else None,
            end_time_us=runs[-1].end_time_us if runs else None,
            spans=spans,
            gaps=listing.explain(spans, self.gaps) if whole else (),
        )


class Ledger:
    """Every session that is not wholly on disk, and the bound of what waits.

    At `queue_bytes` or `queue_segments` a segment is refused, which is recorded as a gap.
    `is_used` says whether a session id was used before this server started.
    """

    _log = Logger()

    def __init__(
        self,
        inbox: Inbox,
        *,
        queue_bytes: int,
        queue_segments: int,
        is_used: Callable[[str], bool],
    ) -> None:
        self._inbox = inbox
        self._queue_bytes = queue_bytes
        self._queue_segments = queue_segments
        self._is_used = is_used
        self._used: set[str] = set()
        self._accounts: dict[str, Account] = {}
        self._bytes = 0
        self._segments = 0
        self._is_full = False
        self._index_trouble: Trouble | None = None

    def __iter__(self) -> Iterator[Account]:
        """The accounts in the order in which their sessions began."""
        return iter(self._accounts.values())

    def account(self, session_id: str) -> Account | None:
        """The account of a session; None if it is wholly on disk, or unknown."""
        return self._accounts.get(session_id)

    @property
    def load(self) -> float:
        """How full the queue is, 0.0 to 1.0."""
        fullness = max(self._bytes / self._queue_bytes, self._segments / self._queue_segments)
        return min(1.0, fullness)

    def begin(self, session: Session, durable: Callable[[int], None]) -> None:
        """Start an account. Raises :exc:`~vidlink.errors.RequestError`."""
        session_id = session.session_id
        if not (is_sentinel_id(session.sentinel_id) and is_session_id(session_id)):
            raise RequestError("this is not the id of a sentinel and of a session")
        if session_id in self._used or self._is_used(session_id):
            raise RequestError(f"session {session_id} has been used before")
        if not listing.is_text(session.name + session.group + session.software + session.mime):
            raise RequestError("the texts of a session have to be Unicode")
        self._used.add(session_id)
        account = Account(session, durable, listing.without_init(session))
        self._accounts[session_id] = account
        self._hand_over(account)

    def append(self, session_id: str, arrival: Arrival) -> None:
        """Take one segment, or refuse it. Raises :exc:`~vidlink.errors.NotFound`."""
        account = self._live(session_id)
        segment = arrival.segment
        sequence, size = segment.sequence, len(segment.data)
        if sequence in account.taken:
            return
        _check(arrival)
        if not self._has_room(size) or not (account.is_handed_over or self._hand_over(account)):
            self._refuse(account, arrival)
            return
        if account.refusing is not None:
            self._end_refusal(account)
        # What was encoded of it for viewers is not kept waiting for the disk.
        kept = Arrival(
            segment,
            arrival.media_time,
            arrival.media_duration,
            arrival.arrived_seconds,
            arrival.received_time_us,
            arrival.undecodable,
        )
        end_us = listing.segment_end_us(segment)
        account.taken.add(sequence, sequence, segment.start_time_us, end_us, size)
        account.waiting[sequence] = kept
        self._bytes += size
        self._segments += 1
        self._inbox.put(kept, size)

    def gap(self, session_id: str, gap: Gap) -> None:
        """State a gap. Raises :exc:`~vidlink.errors.NotFound`."""
        account = self._live(session_id)
        if len(account.gaps) < _MOST_GAPS:
            account.gaps.append(replace(gap, detail=listing.as_text(gap.detail)))
            self._state(account, len(account.gaps) - 1)

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """Nothing more comes; nothing happens if that was said before."""
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            return
        if account.refusing is not None:
            self._end_refusal(account)
        account.ending = End(session_id, listing.as_text(reason), ended_time_us)
        if account.is_handed_over:
            self._inbox.put(account.ending)
        else:
            self._log.warn("session {session} was never recorded", session=session_id)
            del self._accounts[session_id]

    def end_all(self, reason: str, ended_time_us: int) -> None:
        """End every session that has not ended."""
        for session_id in tuple(self._accounts):
            self.end(session_id, reason, ended_time_us)

    def recording(self, session_id: str) -> RecordingState:
        """Whether what is appended reaches the disk."""
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            return RecordingState.NONE
        is_bad = (
            account.refusing is not None
            or account.trouble is not None
            or not account.is_handed_over
            or self._index_trouble is not None
        )
        return RecordingState.TROUBLE if is_bad else RecordingState.OK

    def take(self, report: Report) -> None:
        """Take the report of a round, and tell those who wait for it."""
        self._index_trouble = report.index_trouble
        for session_id, trouble in report.troubles.items():
            account = self._accounts.get(session_id)
            if account is not None:
                account.trouble = trouble
        for ack in report.acks:
            self._settle(self._accounts[ack.session_id], ack.arrivals, ack.gaps, ack.parts)
        for session_id in report.begun:
            account = self._accounts[session_id]
            self._bytes -= account.start_bytes
            account.start_bytes = 0
        for session_id in report.closed:
            del self._accounts[session_id]

    def _settle(
        self,
        account: Account,
        arrivals: list[Arrival],
        gaps: list[int],
        parts: list[tuple[int, int]],
    ) -> None:
        for arrival in arrivals:
            sequence = arrival.segment.sequence
            del account.waiting[sequence]
            self._bytes -= len(arrival.segment.data)
            account.settled.add(sequence, sequence)
        self._segments -= len(arrivals)
        account.parts.update(parts)
        account.trouble = None
        for number in gaps:
            gap = account.gaps[number]
            if gap.cause in listing.FINAL_CAUSES and gap.first is not None:
                account.settled.add(gap.first, gap.last if gap.last is not None else gap.first)
        if account.settled.reached > account.told:
            account.told = account.settled.reached
            try:
                account.durable(account.told)
            except Exception:
                self._log.failure("an acknowledgement failed")

    def _live(self, session_id: str) -> Account:
        account = self._accounts.get(session_id)
        if account is None or account.ending is not None:
            raise NotFound(f"session {session_id} is not being recorded")
        return account

    def _has_room(self, size: int) -> bool:
        if self._is_full and self.load > _ROOM_AGAIN:
            return False
        self._is_full = (
            self._bytes + size > self._queue_bytes or self._segments + 1 > self._queue_segments
        )
        return not self._is_full

    def _hand_over(self, account: Account) -> bool:
        """Let the writer know of a session, as soon as there is room for it."""
        size = len(account.session.init) + _START_BYTES
        if self._has_room(size):
            account.is_handed_over = True
            account.start_bytes = size
            self._bytes += size
            self._inbox.put(Begin(account.session), size)
            for number in range(len(account.gaps)):
                self._state(account, number)
        return account.is_handed_over

    def _refuse(self, account: Account, arrival: Arrival) -> None:
        """Record that a segment was refused. A late one leaves the hole that is there."""
        segment = arrival.segment
        number, sequence = account.refusing, segment.sequence
        if number is not None and account.gaps[number].last == sequence - 1:
            account.gaps[number] = replace(account.gaps[number], last=sequence)
        elif not segment.late and len(account.gaps) < _MOST_GAPS:
            if number is not None:
                self._end_refusal(account)
            cause, detail = Cause.QUEUE_FULL, "the disk did not keep up"
            if account.trouble is not None:
                cause, detail = account.trouble.cause, account.trouble.text
            account.refusing = len(account.gaps)
            account.gaps.append(Gap(sequence, sequence, cause, detail=detail))
            self._state(account, account.refusing)

    def _end_refusal(self, account: Account) -> None:
        if account.refusing is not None:
            self._state(account, account.refusing)
            account.refusing = None

    def _state(self, account: Account, number: int) -> None:
        if account.is_handed_over:
            gap = account.gaps[number]
            self._inbox.put(StateGap(account.session.session_id, number, gap))


def _check(arrival: Arrival) -> None:
    """Refuse a number that no record holds, which would stop every later round."""
    segment = arrival.segment
    if not (
        0 <= segment.sequence < _U32
        and 0 <= segment.duration_ms < _U32
        and 0 <= segment.framerate_mhz < _U32
        and 0 <= arrival.media_time < _I63
        and -_I63 <= segment.start_time_us < _I63
        and -_I63 <= arrival.received_time_us < _I63
    ):
        raise RequestError(f"a number of segment {segment.sequence} is out of range")
