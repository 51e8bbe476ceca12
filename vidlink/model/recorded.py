"""Recordings: sessions, their spans and gaps, and the queries and pages of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Session:
    """Everything sent under one initialization segment, as known at its start."""

    sentinel_id: str
    session_id: str
    name: str
    group: str
    software: str
    started_time_us: int
    init: bytes
    mime: str
    width: int
    height: int
    timescale: int
    track_id: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A session is not to be deleted by anybody, for this `reason` and since `time_us`."""

    reason: str
    time_us: int


class SessionState(Enum):
    """Where a session is in its life."""

    LIVE = "live"
    ENDED = "ended"
    SEALED = "sealed"


class Cause(Enum):
    """Why sequences of a session, or a time of it, are missing.

    Of what is `MISSING` nobody knows more yet; it is `UNDELIVERED` once nothing more will come.
    """

    SERVER_STOPPED = "server-stopped"
    QUEUE_FULL = "queue-full"
    DISK_FULL = "disk-full"
    WRITE_ERROR = "write-error"
    SPOOL_FULL = "spool-full"
    DAMAGED = "damaged"
    DECLARED = "declared"
    MISSING = "missing"
    UNDELIVERED = "undelivered"
    ASLEEP = "computer-asleep"

    @property
    def words(self) -> str:
        """The cause for a person, as the end of a sentence; the page has the same words."""
        return _WORDS[self]


_WORDS = {
    Cause.SERVER_STOPPED: "the server stopped",
    Cause.QUEUE_FULL: "the disk was too slow",
    Cause.DISK_FULL: "the disk was full",
    Cause.WRITE_ERROR: "the disk reported an error",
    Cause.SPOOL_FULL: "the sentinel was cut off for longer than its spool lasts",
    Cause.DAMAGED: "what was written is damaged",
    Cause.DECLARED: "the sentinel lost it",
    Cause.MISSING: "it has not arrived",
    Cause.UNDELIVERED: "it never arrived",
    Cause.ASLEEP: "the computer was asleep",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences `first` to `last` (both included) are missing.

    `first` is None where no sequence is known to be lost but time is: the session was cut
    short at `start_time_us`. `detail` is a sentence for a person.
    """

    first: int | None
    last: int | None
    cause: Cause
    start_time_us: int | None = None
    end_time_us: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """An unbroken run of recorded sequences, `first` to `last`, and the time it covers."""

    first: int
    last: int
    start_time_us: int
    end_time_us: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session as history shows it.

    `size_bytes` counts segments without the initialization segment. `first_sequence`,
    `last_sequence`, `start_time_us` and `end_time_us` are None while nothing is recorded. What
    has a `hold` is not deleted. `age_from_us` is from when its age counts where the clock that
    gave `ended_time_us` was wrong. Of very many `spans` and `gaps` only those up to the sequence
    `listed_to` are named; None: all are.
    """

    session: Session
    state: SessionState
    ended_time_us: int | None
    end_reason: str
    segment_count: int
    size_bytes: int
    first_sequence: int | None
    last_sequence: int | None
    start_time_us: int | None
    end_time_us: int | None
    spans: tuple[Span, ...] = ()
    gaps: tuple[Gap, ...] = ()
    hold: Hold | None = None
    age_from_us: int | None = None
    listed_to: int | None = None


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One recorded segment as a listing shows it.

    `is_durable` is False while it is only in memory. `media_time` and `media_duration` count in
    the session's timescale. `is_time_corrected` says that its start time is not what its Sentinel
    said, but follows from its media time; `is_misplaced` that its media time is not between those
    of its neighbours, so that no film has it.
    """

    sequence: int
    start_time_us: int
    duration_ms: int
    framerate_mhz: int
    is_keyframe: bool
    is_late: bool
    is_undecodable: bool
    size_bytes: int
    media_time: int
    media_duration: int
    received_time_us: int
    is_durable: bool
    is_time_corrected: bool = False
    is_misplaced: bool = False


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions are asked for; None means no bound.

    A session matches a time range when it overlaps it. `after` is the `next` of the page
    before; `limit` is how many at most. `within` are the groups that whoever asks may see.
    """

    sentinel_id: str | None = None
    group: str | None = None
    from_time_us: int | None = None
    to_time_us: int | None = None
    after: str | None = None
    limit: int = 100
    within: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, newest first, and where the next page begins (None: there is none)."""

    sessions: tuple[SessionRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class SegmentQuery:
    """Which segments of a session are asked for.

    The time range counts by `start_time_us`; `after` is a sequence: only higher ones.
    """

    from_time_us: int | None = None
    to_time_us: int | None = None
    after: int | None = None
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """Segments in the order of their sequence, and the `after` of the next page, if any."""

    segments: tuple[SegmentRecord, ...]
    gaps: tuple[Gap, ...]
    next: int | None
