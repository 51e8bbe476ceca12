"""The health of the recording: what keeps it from the disk now, and what has been counted.

Counts are plain numbers that only grow; whoever wants to know looks at them when they want to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from vidlink.model.recorded import Cause
from vidlink.model.retained import Waiting


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something could not be written, and is tried again; `text` is the system's word for it."""

    cause: Cause
    text: str


@dataclass(slots=True)
class Times:
    """A histogram of durations: `counts` by the `bounds` in seconds that each was within, and one
    more for what took longer."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        """Count a duration, in seconds; a negative one is 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_seconds += seconds


@dataclass(slots=True)
class RecordingCounts:
    """The counts of the recording since the start.

    `refused_late` are late segments that found no room; they are asked for again. `gaps` are
    statements about what is missing, `missing` the sequences in them, `failures` what could not
    be written, each by cause. `rounds` is what writing took, `delays` how long the oldest
    segment of each session waited to become durable. The scrub has read `scrubbed_bytes`, found
    `scrub_wrong` segments not to be what was recorded and `scrub_unreadable` not to be readable,
    and of everything there is it has checked `scrub_progress`, 0 to 1.
    """

    segments: int = 0
    size_bytes: int = 0
    refused_late: int = 0
    gaps: Counter[Cause] = field(default_factory=Counter)
    missing: Counter[Cause] = field(default_factory=Counter)
    failures: Counter[Cause] = field(default_factory=Counter)
    rounds: Times = field(
        default_factory=lambda: Times((0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0))
    )
    delays: Times = field(
        default_factory=lambda: Times((0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0))
    )
    scrubbed_bytes: int = 0
    scrub_wrong: int = 0
    scrub_unreadable: int = 0
    scrub_progress: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordingHealth:
    """The recording at this moment.

    `live` sessions are being recorded, of which `troubled` do not reach the disk; `trouble` is
    why, the first reason if there are several. `index_trouble` is what keeps the database from
    being written; recordings go on. `load` is how full the queue is, 0.0 to 1.0, and
    `waiting_bytes` and `waiting_segments` what is in it; `waiting_seconds` is how long something
    has waited since everything went well, 0 if nothing waits. `undeleted` is why something that is
    due is not deleted yet; `clock_ahead_seconds` is the wall clock less the time that is trusted.
    """

    is_open: bool
    live: int = 0
    troubled: int = 0
    trouble: Trouble | None = None
    index_trouble: Trouble | None = None
    load: float = 0.0
    waiting_bytes: int = 0
    waiting_segments: int = 0
    waiting_seconds: float = 0.0
    undeleted: tuple[Waiting, ...] = ()
    clock_ahead_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system of the recordings: what may still be written to it, and all of it."""

    free_bytes: int
    total_bytes: int
