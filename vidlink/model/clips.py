"""A time range of a recording, as it is asked for and as it is found, and in the name of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClipQuery:
    """The time range of a recording that is asked for; None means no bound.

    Times are of capture: from `start_time_us` on, and before `end_time_us`; nothing after
    sequence `last`. The clip begins at the keyframe segment at or before the start or,
    where that falls into a gap, at the first segment after it.
    """

    start_time_us: int | None = None
    end_time_us: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """The part of a recording that was found for a :class:`ClipQuery`.

    Its first frame was captured at `start_time_us`, its last is over at `end_time_us`;
    `rebased_ticks` were taken from every media time, so that it begins at 0.
    """

    start_time_us: int
    end_time_us: int
    rebased_ticks: int


def stamp(time_us: int) -> str:
    """A time for a file's name, such as ``20260701T093000Z``; any number will do."""
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y%m%dT%H%M%SZ")
    except OverflowError:
        return f"{time_us}us"
