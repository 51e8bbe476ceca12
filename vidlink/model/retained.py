"""Retention: the policy, what would go by it, and receipts of what was deleted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vidlink.model.recorded import SessionState


class DeletionReason(Enum):
    """Why a session was deleted, or would be."""

    AGE = "age"
    BYTES = "bytes"
    SPACE = "space"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds to what is kept of the recordings; None means that there is no such bound.

    `max_age_us` counts from the end of a session; `max_bytes` bounds what all of them take;
    `min_free_bytes` is what the disk shall have left. `is_rehearsal`: nothing is deleted by it,
    the log says what would be.
    """

    max_age_us: int | None = None
    max_bytes: int | None = None
    min_free_bytes: int | None = None
    is_rehearsal: bool = False

    @property
    def is_off(self) -> bool:
        """True if nothing would ever be deleted by this policy."""
        return (self.max_age_us, self.max_bytes, self.min_free_bytes) == (None, None, None)


#: Everything is kept for ever.
KEEP_ALL = Policy()


@dataclass(frozen=True, slots=True)
class Seen:
    """The time that a data folder has seen, and the time that no clock can set it back beyond.

    `claimed_us` is what a wall clock in doubt has shown that is not believed yet, and `served_us`
    how much of the hour after which it is has passed; 0: nothing is in doubt.
    """

    time_us: int
    floor_us: int
    claimed_us: int = 0
    served_us: int = 0


@dataclass(frozen=True, slots=True)
class ScrubPlace:
    """The place up to which everything was checked since `began_us`: all sessions up to `row`, as
    they were filed, and `size_bytes` in all; `is_over`: that was everything."""

    began_us: int
    row: int = 0
    size_bytes: int = 0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session as a policy sees it: `size_bytes` are its segments and their index records.

    `ended_time_us` is None while it is live; `age_from_us` is as in a record of it.
    """

    sentinel_id: str
    session_id: str
    state: SessionState
    ended_time_us: int | None
    size_bytes: int
    is_held: bool = False
    age_from_us: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A session that is to go, and why."""

    candidate: Candidate
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum of all recordings; `bytes` as :class:`Candidate` counts them."""

    sessions: int
    bytes: int
    held_sessions: int
    held_bytes: int


class WaitReason(Enum):
    """Why sessions that are due by the policy are not deleted yet."""

    CLOCK = "clock"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that is not deleted yet: why, in a word and in a sentence, and for how long.

    `seconds` is None if it will not be deleted as long as things are as they are.
    """

    reason: WaitReason
    text: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Retention:
    """The policy, what there is, and what would go now, in this order.

    `is_more`: what is named is not all that would go. `waiting` is why some of it does not go
    yet, or is not even named.
    """

    policy: Policy
    totals: Totals
    free_bytes: int
    due: tuple[Due, ...]
    is_more: bool
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of a deletion: when, why and by whom, and what there was of the session.

    `number` counts from 1; it and `deleted_time_us` are None in a rehearsal. `by` is who asked,
    or ``policy``. `lost` has, by the cause of a gap, how many sequences were missing.
    `records_sha256` is over the index records of all `parts`, in the order of their numbers.
    """

    number: int | None
    deleted_time_us: int | None
    reason: DeletionReason
    by: str
    sentinel_id: str
    session_id: str
    name: str
    group: str
    started_time_us: int
    ended_time_us: int | None
    end_reason: str
    start_time_us: int | None
    end_time_us: int | None
    first_sequence: int | None
    last_sequence: int | None
    segment_count: int
    size_bytes: int
    lost: tuple[tuple[str, int], ...]
    parts: int
    records_sha256: str


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """Receipts, the newest first, and the number to ask for next (None: there is none)."""

    receipts: tuple[Receipt, ...]
    next: int | None
