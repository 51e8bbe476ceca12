"""The segments of a film that lie in a time range, by the time of their capture, and what of
their pictures is shown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from vidlink.errors import NotFound
from vidlink.model import ClipQuery
from vidlink.store.film.footage import Footage


@dataclass(frozen=True, slots=True)
class Cut:
    """The segments of a footage from `begin` up to `stop` without it.

    Of their pictures those are shown that are due from `shown_from` on and before `shown_to`, in
    ticks of the session; the first was captured at `start_us`, and the last is over at `end_us`.
    """

    begin: int
    stop: int
    shown_from: int
    shown_to: int
    start_us: int
    end_us: int


def cut(footage: Footage, query: ClipQuery) -> Cut:
    """The part of `footage` that `query` asks for; it ends where the query's `last` says.

    Times ascend with sequences: a Sentinel's clock is slewed, never set back, in a session.

    :raises NotFound: if nothing of it can be shown.
    """
    numbers = range(len(footage))
    number, stop = 0, len(footage)
    if query.end_time_us is not None:
        stop = bisect_left(numbers, query.end_time_us, key=footage.start_us)
    if query.start_time_us is not None:
        number = _shown_at(footage, query.start_time_us)
    if number >= stop:
        raise NotFound("nothing that could be shown was captured in this time")
    begin = footage.keyframe_before(number)
    # Where pictures are decoded before they are due, they are all as much earlier.
    lead = footage.shift(begin)
    shown_from, start_us = _first_picture(footage, begin, number, lead, query.start_time_us)
    last = stop - 1
    shown_to, end_us = footage.end(last) + lead, footage.end_us(last)
    if query.end_time_us is not None and query.end_time_us < end_us:
        end_us = query.end_time_us
        wanted = footage.time(last) + lead + _ticks(footage, end_us - footage.start_us(last))
        shown_to = max(shown_from + 1, min(shown_to, wanted))
    stop = _with_pictures_before(footage, stop, shown_to, query.last)
    return Cut(begin, stop, shown_from, shown_to, start_us, end_us)


def _first_picture(
    footage: Footage, begin: int, number: int, lead: int, time_us: int | None
) -> tuple[int, int]:
    """When the picture is due that is to be seen at `time_us`, and when it was captured.

    It is in segment `number`, or near it; the keyframe before that is `begin`.
    """
    start_us = footage.start_us(number)
    due = footage.time(number) + lead
    wanted = due
    if time_us is not None:
        wanted += _ticks(footage, max(0, time_us - start_us))
    stop = footage.keyframe_after(number) if footage.is_reordered else number + 1
    low = begin if footage.is_reordered else number
    pictures = (time for one in range(low, stop) for time in footage.shown(one))
    found = max((time for time in pictures if time <= wanted), default=due)
    return found, start_us + (found - due) * 1_000_000 // footage.timescale


def _with_pictures_before(footage: Footage, stop: int, shown_to: int, last: int | None) -> int:
    """Up to which segment everything is there that is shown before `shown_to`."""
    if not footage.is_reordered or not stop:
        return stop
    for number in range(stop, footage.keyframe_after(stop - 1)):
        if last is not None and footage.sequence(number) > last:
            break
        if not footage.follows(number):
            break
        if min(footage.shown(number)) < shown_to:
            stop = number + 1
    return stop


def _ticks(footage: Footage, duration_us: int) -> int:
    return duration_us * footage.timescale // 1_000_000


def _shown_at(footage: Footage, time_us: int) -> int:
    """The segment whose picture is to be seen at `time_us`, or the first one after that."""
    number = bisect_right(range(len(footage)), time_us, key=footage.start_us) - 1
    if number < 0:
        return 0
    if number + 1 < len(footage) and footage.follows(number + 1):
        return number
    is_over = footage.end_us(number) <= time_us
    return number + 1 if is_over else number
