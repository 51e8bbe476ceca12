"""The words between the reactor's thread and the writer's: orders one way, reports the other.

Orders go by `inbox`; orders to delete are in `removals`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vidlink.errors import VidlinkError
from vidlink.model import Arrival, Cause, Gap, Hold, Range, Session, Span, Trouble
from vidlink.store.sequences.runs import Runs


@dataclass(frozen=True, slots=True)
class Begin:
    """Order: start recording `session`."""

    session: Session


@dataclass(frozen=True, slots=True)
class Reopen:
    """Order: open `session` for what comes late; if it is unknown, it begins as one that has
    ended at `now_us`. `trusted_us` is that moment as it counts for whether it is sealed."""

    session: Session
    now_us: int
    trusted_us: int


@dataclass(frozen=True, slots=True)
class StateGap:
    """Order: gap `number` of a session is `gap`, in the place of what was said before."""

    session_id: str
    number: int
    gap: Gap


@dataclass(frozen=True, slots=True)
class End:
    """Order: nothing more comes for a session; `is_sealed`: nor will anything ever.

    One that was opened again keeps the reason and the times of its first ending.
    """

    session_id: str
    reason: str
    ended_time_us: int
    is_sealed: bool = False
    age_from_us: int | None = None


@dataclass(frozen=True, slots=True)
class SetHold:
    """Order: a session of a Sentinel has this hold, or none any more."""

    sentinel_id: str
    session_id: str
    hold: Hold | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Order: a session has a receipt, which lies in this place; the database lets it go."""

    sentinel_id: str
    session_id: str
    number: int
    place: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Order: these sequences of a session, which are recorded, were not what was recorded when
    they were read; where that is so, it is said of them for good."""

    sentinel_id: str
    session_id: str
    ranges: tuple[Range, ...]


#: Any order for the writer; an `Arrival` is the order to record it.
Order = Begin | Reopen | Arrival | StateGap | End | SetHold | Forget | LookAgain


@dataclass(frozen=True, slots=True)
class Past:
    """Report: a session is open for what comes late; this is what there is of it.

    `session` is as it was recorded, with its init. `parts` has the count of records of each
    part; the parts that are written now count from `next_number` on. `taken` is what is
    recorded, `settled` that and what is lost for good: they are made where there is time for
    it, and are the receiver's from then on.
    """

    session: Session
    ended_time_us: int
    end_reason: str
    spans: tuple[Span, ...] = ()
    gaps: tuple[Gap, ...] = ()
    parts: dict[int, int] = field(default_factory=dict)
    next_number: int = 0
    taken: Runs = field(default_factory=Runs)
    settled: Runs = field(default_factory=Runs)
    hold: Hold | None = None
    age_from_us: int | None = None


@dataclass(slots=True)
class Acknowledged:
    """Report: these segments and gaps of a session have become durable.

    `parts` are the parts that have grown, as number and count of records.
    """

    session_id: str
    arrivals: list[Arrival]
    gaps: list[int]
    parts: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Reduced:
    """Report: of what was durable of a session, only this is there any more.

    `there` is what is recorded, and the receiver's from then on; `parts` has the count of records
    of each part. `is_damage`: files are where they were, and some of what is in them is not what
    was recorded.
    """

    session_id: str
    there: Runs
    parts: dict[int, int]
    is_damage: bool = False


@dataclass(slots=True)
class Report:
    """The outcome of a round.

    `opened` are sessions that could be opened again, `refused` those that could not, with the
    reason. `dropped` are segments that would have begun one part too many. `begun` are sessions
    whose folders have become durable, `reduced` those of which something was removed, `closed`
    those that are wholly on disk. `troubles`, by session, and `index_trouble`, of the database,
    last until it has gone well again; `failures` are those of this round, by cause. `held` are
    orders about holds that have become durable, `not_held` those that came to nothing. `looked`
    are orders to look again that are done, whatever was found; `stated` are the gaps that were
    stated of sessions without an account; `forgotten` are sessions that the database has let go.
    `took_seconds` is how long the round was.
    """

    opened: list[Past] = field(default_factory=list)
    refused: list[tuple[str, VidlinkError]] = field(default_factory=list)
    dropped: list[tuple[str, Arrival]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    reduced: list[Reduced] = field(default_factory=list)
    acks: list[Acknowledged] = field(default_factory=list)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    index_trouble: Trouble | None = None
    held: list[SetHold] = field(default_factory=list)
    not_held: list[tuple[SetHold, VidlinkError]] = field(default_factory=list)
    looked: list[LookAgain] = field(default_factory=list)
    stated: list[Gap] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    failures: Counter[Cause] = field(default_factory=Counter)
    took_seconds: float = 0.0

    @property
    def is_of_others(self) -> bool:
        """False if it is of sessions alone that were and are being written to, and all went well:
        then the database says of all others what it said before."""
        others = (self.opened, self.refused, self.reduced, self.closed, self.held, self.not_held)
        marks = (self.looked, self.stated, self.forgotten, self.troubles, self.failures)
        return self.index_trouble is not None or any((*others, *marks))
