"""What the reactor knows of one session that is not wholly on disk.

How accounts are kept is in `ledger`; what is shown of them is made in `archive` and `view`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from vidlink.model import Arrival, Gap, Hold, Ranges, Session, SessionRecord, SessionState
from vidlink.store.handover.orders import End, Past
from vidlink.store.sequences import gaps as listing
from vidlink.store.sequences.runs import Runs, widened


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
    #: How it had ended before it was opened again; None for one that began here.
    past: Past | None = None
    #: The first and the last of what came late and found no room.
    refused: tuple[int, int] | None = None
    #: The number of the gap that grows while segments are refused.
    refusing: int | None = None
    is_handed_over: bool = False
    #: What the start of the session counts in the queue, until it is on disk.
    start_bytes: int = 0
    told: int = -1
    hold: Hold | None = None

    @classmethod
    def again(cls, past: Past, durable: Callable[[int], None]) -> Account:
        """The account of a session that is opened again, with what there is of it."""
        session = past.session
        account = cls(session, durable, listing.without_init(session), past=past)
        # There may be a run for every other sequence: they are taken as they were made.
        account.taken, account.settled = past.taken, past.settled
        account.gaps = list(past.gaps)
        account.parts = dict(past.parts)
        account.is_handed_over = True
        account.hold = past.hold
        return account

    def settle_gaps(self, gaps: Iterable[Gap]) -> None:
        """These are durable: what nobody will deliver any more is settled."""
        for first, last in listing.final_ranges(gaps):
            self.settled.add(first, last)

    def refuse(self, sequence: int) -> None:
        """There is no room for something that came late."""
        self.refused = widened(self.refused, sequence)

    @property
    def is_whole(self) -> bool:
        """Whether all that found no room has come again, or was declared lost."""
        if self.refused is None:
            return True
        lost = Ranges(listing.final_ranges(self.gaps))
        return not any(
            next(lost.missing(first, last), None)
            for first, last in self.taken.missing(*self.refused)
        )

    @property
    def state(self) -> SessionState:
        """Where the session is in its life; one that is opened again has ended all the same.

        None is sealed before that is on disk: what is said of sealed ones is kept for ever.
        """
        is_over = self.ending is not None or self.past is not None
        return SessionState.ENDED if is_over else SessionState.LIVE

    @property
    def ended(self) -> tuple[int, str] | None:
        """When it ended, and why; None while it is live."""
        if self.past is not None:
            return self.past.ended_time_us, self.past.end_reason
        return None if self.ending is None else (self.ending.ended_time_us, self.ending.reason)

    @property
    def life(self) -> listing.Life:
        """From when to when it lasted."""
        ended_us = None if self.ended is None else self.ended[0]
        return listing.Life(self.session.started_time_us, ended_us, is_sealed=False)

    @property
    def highest(self) -> int:
        """The highest sequence that is recorded, or said to be missing; -1 if there is none."""
        runs = self.taken.runs
        stated = [gap.last for gap in self.gaps if gap.last is not None]
        return max([-1 if not runs else runs[-1].last, *stated])

    def record(self) -> SessionRecord:
        """The session as pages of sessions show it: without spans, gaps and init."""
        runs = self.taken.runs
        ended_time_us, end_reason = (None, "") if self.ended is None else self.ended
        return SessionRecord(
            session=self.listed,
            state=self.state,
            ended_time_us=ended_time_us,
            end_reason=end_reason,
            segment_count=self.taken.count,
            size_bytes=self.taken.size_bytes,
            first_sequence=runs[0].first if runs else None,
            last_sequence=runs[-1].last if runs else None,
            start_time_us=runs[0].start_time_us if runs else None,
            end_time_us=runs[-1].end_time_us if runs else None,
            hold=self.hold,
        )

    def snapshot(self) -> Callable[[], SessionRecord]:
        """What makes the whole record of the session as it is now, in any thread."""
        record = replace(self.record(), session=self.session)
        taken, gaps, life = self.taken.copy(), list(self.gaps), self.life

        def make() -> SessionRecord:
            spans = taken.spans()
            return replace(record, spans=spans, gaps=listing.explain(spans, gaps, life))

        return make
