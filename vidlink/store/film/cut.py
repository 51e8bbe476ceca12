"""The segments of a film that lie in a time range, by the time of their capture."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from vidlink.errors import NotFound
from vidlink.model import Clip, ClipQuery
from vidlink.store.film.footage import Footage
from vidlink.store.sequences.times import end_us


@dataclass(frozen=True, slots=True)
class Cut:
    """The segments of a footage from `begin` up to `stop` without it, their media times
    `rebased_ticks` earlier than they were."""

    begin: int
    stop: int
    rebased_ticks: int = 0


def cut(footage: Footage, query: ClipQuery) -> Cut:
    """The part of `footage` that `query` asks for; it ends where the query's `last` says.

    Times ascend with sequences: they are held to that when they come.

    :raises NotFound: if nothing of it can be shown.
    """
    numbers = range(len(footage))
    begin, stop = 0, len(footage)
    if query.end_time_us is not None:
        stop = bisect_left(numbers, query.end_time_us, key=footage.start_us)
    if query.start_time_us is not None:
        begin = _shown_at(footage, query.start_time_us)
    if begin >= stop:
        raise NotFound("nothing that could be shown was captured in this time")
    begin = _keyframe_before(footage, begin)
    return Cut(begin, stop, footage.time(begin))


def clip_of(footage: Footage, taken: Cut) -> Clip:
    """The time from the first to the last of the segments that were taken."""
    last = taken.stop - 1
    over_us = end_us(footage.start_us(last), footage.duration_ms(last))
    return Clip(footage.start_us(taken.begin), over_us, taken.rebased_ticks)


def _shown_at(footage: Footage, time_us: int) -> int:
    """The segment whose picture is to be seen at `time_us`, or the first one after that."""
    number = bisect_right(range(len(footage)), time_us, key=footage.start_us) - 1
    if number < 0:
        return 0
    if number + 1 < len(footage) and _follows(footage, number + 1):
        return number
    is_over = end_us(footage.start_us(number), footage.duration_ms(number)) <= time_us
    return number + 1 if is_over else number


def _follows(footage: Footage, number: int) -> bool:
    """True if no sequence is missing before segment `number`."""
    scene, place = footage.find(number)
    before, place_before = footage.find(number - 1)
    return scene.sequences[place] == before.sequences[place_before] + 1


def _keyframe_before(footage: Footage, number: int) -> int:
    """The newest keyframe at or before segment `number`."""
    scene, place = footage.find(number)
    found = bisect_right(scene.keys, place)
    if found:
        return number - place + scene.keys[found - 1]
    return footage.scene.keys[bisect_left(footage.scene.keys, footage.count) - 1]
