"""Values of one thing: a time range of a recording, as it is asked for and as it is found.

All others are in :mod:`vidlink.model`, which this stands beside; standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClipQuery:
    """Which time range of a recording is asked for; None means no bound.

    Times are of capture: from `start_time_us` on, and before `end_time_us`; nothing after
    sequence `last`. It is given from the keyframe segment at or before the start on or, where
    the start falls into a gap, from the first segment after that.
    """

    start_time_us: int | None = None
    end_time_us: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """What became of a time range that was asked for.

    Its first frame was captured at `start_time_us`, its last is over at `end_time_us`;
    `rebased_ticks` were taken from every media time, so that it begins at 0.
    """

    start_time_us: int
    end_time_us: int
    rebased_ticks: int
