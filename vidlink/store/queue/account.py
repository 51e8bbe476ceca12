"""The account of one session that is not wholly on disk: all that the reactor knows of it.

Accounts are kept by `ledger`; what is shown of them is made in `reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from vidlink.model import (
    MAX_RANGES,
    Arrival,
    Gap,
    Hold,
    Range,
    Ranges,
    Session,
    SessionRecord,
    SessionState,
)
from vidlink.model.ranges import without
from vidlink.store.handover.orders import End, Past
from vidlink.store.sequences.gaps import final_ranges
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.times import Life, age_from_us, segment_end_us, state_at
from vidlink.store.sequences.window import MOST_SPANS, SequenceWindow, named

#: Among many runs each one that is put between them moves the others: of more than so many all
#: are put together anew.
_MANY = 200
#: A session id, and the first and last sequence that can be had.
Tail = tuple[str, int, int]
#: The lowest ranges that are wanted of a tail; None where they could not be found out.
WantedRanges = tuple[Range, ...] | None


@dataclass(slots=True, weakref_slot=True)
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
    #: The session as it had ended before it was opened again; None for one that began here.
    past: Past | None = None
    #: The first and the last of what came late and found no room.
    refused: tuple[int, int] | None = None
    #: The number of the gap that grows while segments are refused.
    refusing: int | None = None
    is_handed_over: bool = False
    #: The octets that the start of the session counts in the queue, until it is on disk.
    start_bytes: int = 0
    told: int = -1
    hold: Hold | None = None
    #: The sequences that were durable and are not there any more, since the last question.
    lost: Ranges = field(default_factory=Ranges)

    @classmethod
    def again(cls, past: Past, durable: Callable[[int], None]) -> Account:
        """The account of a session that is opened again, with what there is of it."""
        session = past.session
        account = cls(session, durable, replace(session, init=b""), past=past)
        # There may be a run for every other sequence: they are taken as they were made.
        account.taken, account.settled = past.taken, past.settled
        account.gaps = list(past.gaps)
        account.parts = dict(past.parts)
        account.is_handed_over = True
        account.hold = past.hold
        return account

    def reduce(self, there: Runs, parts: dict[int, int]) -> Ranges:
        """Count as durable what is `there` alone; returns the sequences that are not any more."""
        self.settled, self.parts = there.copy(), parts
        self.settle_gaps(self.gaps)
        for sequence, arrival in self.waiting.items():
            segment = arrival.segment
            start_us, end_us = segment.start_time_us, segment_end_us(segment)
            mark = None if arrival.is_misplaced else (sequence, start_us, arrival.media_time)
            there.add(sequence, sequence, start_us, end_us, len(segment.data), mark, mark)
        lost = Ranges(without(self.taken.ranges, there.ranges))
        self.taken = there
        for low, high in lost:
            self.lost.add(low, high)
        return lost

    def settle_gaps(self, gaps: Iterable[Gap]) -> None:
        """Settle what nobody will deliver any more, by these durable statements."""
        ranges = sorted(final_ranges(gaps))
        if len(ranges) > _MANY:
            self.settled = Runs.of(sorted((*self.settled.ranges, *ranges)))
            return
        for first, last in ranges:
            self.settled.add(first, last)

    @property
    def is_whole(self) -> bool:
        """True if all that found no room has come again, or was declared lost."""
        if self.refused is None:
            return True
        lost = Runs.of(sorted(final_ranges(self.gaps)))
        return next(without(self.taken.missing(*self.refused), lost.ranges), None) is None

    @property
    def state(self) -> SessionState:
        """The place of the session in its life; one that is opened again has ended all the same.

        None is sealed before that is on disk: what is said of sealed ones is kept for ever.
        """
        is_over = self.ending is not None or self.past is not None
        return SessionState.ENDED if is_over else SessionState.LIVE

    @property
    def ended(self) -> tuple[int, str] | None:
        """The time and the reason of its end; None while it is live."""
        if self.past is not None:
            return self.past.ended_time_us, self.past.end_reason
        return None if self.ending is None else (self.ending.ended_time_us, self.ending.reason)

    @property
    def age_from_us(self) -> int | None:
        """From when its age counts, as in a record."""
        end = self.ending if self.past is None else self.past
        return None if end is None else end.age_from_us

    @property
    def life(self) -> Life:
        """The time that it lasted."""
        ended_us = None if self.ended is None else self.ended[0]
        return Life(self.session.started_time_us, ended_us, is_sealed=False)

    @property
    def highest(self) -> int:
        """The highest sequence that is recorded, or said to be missing; -1 if there is none."""
        runs = self.taken.runs
        stated = [gap.last for gap in self.gaps if gap.last is not None]
        return max([-1 if not runs else runs[-1].last, *stated])

    def wanted(self, sentinel_id: str, first: int, last: int, now_us: int) -> WantedRanges:
        """The ranges from `first` to `last` that `sentinel_id` is asked to deliver.

        What waits for the disk is not there yet: it would be lost with this process.
        """
        is_sealed = state_at(self.state, age_from_us(self.record()), now_us) is SessionState.SEALED
        is_closed = is_sealed or self.ending is None or self.ending.is_sealed
        if is_closed or self.session.sentinel_id != sentinel_id:
            return ()
        return tuple(islice(self.settled.missing(first, last), MAX_RANGES))

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
            age_from_us=self.age_from_us,
        )

    def snapshot(self) -> Callable[[], SessionRecord]:
        """A function that makes the record of the session as it is now, in any thread."""
        record = replace(self.record(), session=self.session)
        taken, gaps, life = self.taken.copy(), list(self.gaps), self.life

        def make() -> SessionRecord:
            spans = tuple(taken.runs[:MOST_SPANS])
            listed_to = None if len(taken) == len(spans) else spans[-1].last
            window = SequenceWindow(high=listed_to)
            found = named(window.explain(taken.spans_near(window), gaps, life), listed_to)
            return replace(record, spans=spans, gaps=found, listed_to=listed_to)

        return make
