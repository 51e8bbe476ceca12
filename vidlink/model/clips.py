"""A time range of a recording, as it is asked for and as it is found, and in the name of a file."""

from __future__ import annotations

from dataclasses import dataclass

from vidlink.model.times import time_or_us


@dataclass(frozen=True, slots=True)
class ClipQuery:
    """The time range of a recording that is asked for; None means no bound.

    Times are of capture: from `start_time_us` on, and before `end_time_us`; nothing after
    sequence `last`. The first picture is the one that is to be seen at the start or, where that
    falls into a gap, the first after it.
    """

    start_time_us: int | None = None
    end_time_us: int | None = None
    last: int | None = None


#: All of a recording.
ALL = ClipQuery()


@dataclass(frozen=True, slots=True)
class Clip:
    """The part of a recording that was found for a :class:`ClipQuery`.

    The first picture shown was captured at `start_time_us`, the last is over at `end_time_us`.
    `last` is the sequence that was asked for or, unasked, the newest that is known: asked for up
    to it, more that comes changes nothing.
    """

    start_time_us: int
    end_time_us: int
    last: int


def stamp(time_us: int) -> str:
    """A time for a file's name, such as ``20260701T093000Z``; any number will do."""
    return time_or_us(time_us, lambda at: at.strftime("%Y%m%dT%H%M%SZ")).replace(" ", "")
