"""What a film is made of: the segments that can be decoded, and the index that players seek by.

After a hole nothing is shown before the next keyframe: three lost frames would be six wrong
pictures. Where the segments come from is in `reel`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

from vidlink.fmp4 import MAX_REFERENCE_BYTES, MAX_REFERENCE_DURATION
from vidlink.store.body import Strip
from vidlink.store.listing import media_ticks

#: One entry of a `sidx`: octets, ticks, and whether it starts with a keyframe.
Reference = tuple[int, int, bool]


class Scene:
    """The segments of a film, side by side, or those that follow `before`.

    It only grows at its end. `strip` has their places; eight numbers each are kept in all.
    """

    def __init__(self, before: Scene | None = None) -> None:
        self.strip = Strip()
        self.sequences = array("Q")
        self.times = array("Q")
        self.durations_ms = array("I")
        #: The places, in the other arrays, of the keyframes.
        self.keys = array("Q")
        #: The highest sequence that was offered, shown or not.
        self.seen: int = -1 if before is None else before.seen
        self._expected: int = -1 if before is None else before._expected
        self._floor: int = -1 if before is None else before._floor

    def offer(self, sequence: int, media_time: int, duration_ms: int, is_key: bool) -> bool:
        """Take the next segment, higher than all before, if it can be decoded after them.

        Its place has then to be added to `strip`. One that would go back in time is not taken,
        as no player would show it.
        """
        self.seen = sequence
        if (is_key or sequence == self._expected) and media_time > self._floor:
            self._expected = sequence + 1
            self._floor = media_time
            if is_key:
                self.keys.append(len(self.times))
            self.sequences.append(sequence)
            self.times.append(media_time)
            self.durations_ms.append(duration_ms)
            return True
        self._expected = -1
        return False

    def count_to(self, last: int) -> int:
        """How many segments have a sequence of at most `last`."""
        return bisect_right(self.sequences, last)

    @property
    def memory_bytes(self) -> int:
        """What it takes of memory."""
        arrays = (self.sequences, self.times, self.durations_ms, self.keys)
        return self.strip.memory_bytes + sum(one.itemsize * len(one) for one in arrays)


def references(first: Scene, count: int, tail: Scene, timescale: int) -> list[Reference]:
    """The `sidx` entries of the first `count` segments of `first` and all of `tail`.

    One for each keyframe interval: its octets, and how long until the next one begins; the
    last lasts as long as its frames do.
    """
    total = count + len(tail.times)
    if not total:
        return []
    base = first.strip.size_of_first(count)

    def position(number: int) -> int:
        if number <= count:
            return first.strip.size_of_first(number)
        return base + tail.strip.size_of_first(number - count)

    marks = [(place, first.times[place]) for place in first.keys[: bisect_left(first.keys, count)]]
    marks += [(count + place, tail.times[place]) for place in tail.keys]
    newest, at = (tail, -1) if tail.times else (first, count - 1)
    marks.append((total, newest.times[at] + media_ticks(newest.durations_ms[at], timescale)))
    entries: list[Reference] = []
    for (low, start), (high, stop) in pairwise(marks):
        size, duration = position(high) - position(low), stop - start
        if size <= MAX_REFERENCE_BYTES and duration <= MAX_REFERENCE_DURATION:
            entries.append((size, duration, True))
        else:
            entries.extend(_divided(low, high, duration, position))
    return entries


def _divided(
    low: int, high: int, duration: int, position: Callable[[int], int]
) -> Iterator[Reference]:
    """Cut an interval that one entry cannot hold at segments.

    What matters is that the entries after it stand at the right times, so the duration is
    dealt out from the first entry on; an interval of too few segments for it is cut short.
    """
    cuts = [low]
    for number in range(low + 1, high):
        too_large = position(number + 1) - position(cuts[-1]) > MAX_REFERENCE_BYTES
        if too_large or len(cuts) * MAX_REFERENCE_DURATION < duration:
            cuts.append(number)
    for start, stop in pairwise([*cuts, high]):
        share = min(duration, MAX_REFERENCE_DURATION)
        duration -= share
        yield position(stop) - position(start), share, start == low
