"""The substance of a film: the segments that can be decoded, and the index that players seek by.

After a hole nothing is shown before the next keyframe: three lost frames would be six wrong
pictures. Where the segments come from is in `reel`, which of them a time range takes in `cut`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from vidlink.fmp4 import MAX_REFERENCE_BYTES, MAX_REFERENCE_DURATION
from vidlink.store.files.sections import SegmentPlaces
from vidlink.store.sequences.times import media_ticks

#: One entry of a `sidx`: octets, ticks, and whether it starts with a keyframe.
Reference = tuple[int, int, bool]


class Decoding:
    """The choice of segments that can be shown, as they come in the order of their sequence."""

    __slots__ = ("_expected", "_floor")

    def __init__(self, before: Decoding | None = None) -> None:
        self._expected: int = -1 if before is None else before._expected
        self._floor: int = -1 if before is None else before._floor

    def accepts(self, sequence: int, media_time: int, is_key: bool) -> bool:
        """True if a player that got all before it can show this one.

        One that would go back in time is not taken, as no player would show it.
        """
        if (is_key or sequence == self._expected) and media_time > self._floor:
            self._expected = sequence + 1
            self._floor = media_time
            return True
        self._expected = -1
        return False


class Scene:
    """The segments of a film, side by side, or those that follow `before`.

    It only grows at its end. `places` has their places; nine numbers each are kept in all.
    """

    def __init__(self, before: Scene | None = None) -> None:
        self.places = SegmentPlaces()
        self.sequences = array("Q")
        self.times = array("Q")
        self.durations_ms = array("I")
        #: When each was captured.
        self.starts_us = array("q")
        #: The places, in the other arrays, of the keyframes.
        self.keys = array("Q")
        #: The octets before the `moof` of each keyframe segment.
        self.leads = array("I")
        #: The highest sequence that was offered, shown or not.
        self.seen: int = -1 if before is None else before.seen
        self._decoding: Decoding = Decoding(None if before is None else before._decoding)

    def offer(
        self, sequence: int, media_time: int, duration_ms: int, is_key: bool, start_us: int = 0
    ) -> bool:
        """Add the next segment, higher than all before, if it can be decoded after them.

        Its place has then to be added to `places`, and of a keyframe its lead to `leads`.
        """
        self.seen = sequence
        if not self._decoding.accepts(sequence, media_time, is_key):
            return False
        if is_key:
            self.keys.append(len(self.times))
        self.sequences.append(sequence)
        self.times.append(media_time)
        self.durations_ms.append(duration_ms)
        # Recordings of before start times were held to ascend have some that do not.
        starts_us = self.starts_us
        starts_us.append(max(start_us, starts_us[-1]) if starts_us else start_us)
        return True

    def count_to(self, last: int) -> int:
        """The number of segments with a sequence of at most `last`."""
        return bisect_right(self.sequences, last)

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        arrays = [self.sequences, self.times, self.durations_ms, self.starts_us]
        arrays += [self.keys, self.leads]
        return self.places.memory_bytes + sum(one.itemsize * len(one) for one in arrays)


@dataclass(frozen=True, slots=True)
class Footage:
    """The first `count` segments of `scene` and all of its `tail`, as if they were one."""

    scene: Scene
    count: int
    tail: Scene

    def __len__(self) -> int:
        """The number of segments."""
        return self.count + len(self.tail.times)

    def find(self, number: int) -> tuple[Scene, int]:
        """The scene that has segment `number`, and its place there."""
        if number < self.count:
            return self.scene, number
        return self.tail, number - self.count

    def position(self, number: int) -> int:
        """The octets of all segments before `number`."""
        if number <= self.count:
            return self.scene.places.size_of_first(number)
        base = self.scene.places.size_of_first(self.count)
        return base + self.tail.places.size_of_first(number - self.count)

    def time(self, number: int) -> int:
        """The media time of segment `number`, in ticks."""
        scene, place = self.find(number)
        return scene.times[place]

    def start_us(self, number: int) -> int:
        """The time of capture of segment `number`."""
        scene, place = self.find(number)
        return scene.starts_us[place]

    def duration_ms(self, number: int) -> int:
        """The duration that segment `number` states."""
        scene, place = self.find(number)
        return scene.durations_ms[place]

    def lead(self, number: int) -> int:
        """The octets before the `moof` of keyframe segment `number`."""
        scene, place = self.find(number)
        return scene.leads[bisect_left(scene.keys, place)]

    def keys(self, begin: int, stop: int) -> list[int]:
        """The numbers of the keyframes from `begin` up to `stop` without it."""
        keys, tail = self.scene.keys, self.tail.keys
        count = min(stop, self.count)
        found = list(keys[bisect_left(keys, begin) : bisect_left(keys, count)])
        low = bisect_left(tail, max(0, begin - self.count))
        high = bisect_left(tail, max(0, stop - self.count))
        return found + [self.count + place for place in tail[low:high]]


def references(footage: Footage, begin: int, stop: int, timescale: int) -> list[Reference]:
    """The `sidx` entries of the segments from `begin`, a keyframe, up to `stop` without it.

    One for each keyframe interval, from `moof` to `moof`: its octets, and how long until the
    next one begins; the last lasts as long as its frames do.
    """
    if begin == stop:
        return []
    position = footage.position
    marks = [
        (number, position(number) + footage.lead(number), footage.time(number))
        for number in footage.keys(begin, stop)
    ]
    length = media_ticks(footage.duration_ms(stop - 1), timescale)
    marks.append((stop, position(stop), footage.time(stop - 1) + length))
    entries: list[Reference] = []
    for (low, low_place, start), (high, high_place, end) in pairwise(marks):
        size, duration = high_place - low_place, end - start
        if size <= MAX_REFERENCE_BYTES and duration <= MAX_REFERENCE_DURATION:
            entries.append((size, duration, True))
        else:
            places = [low_place, *(position(number) for number in range(low + 1, high)), high_place]
            entries.extend(_divided(places, duration))
    return entries


def _divided(places: list[int], duration: int) -> Iterator[Reference]:
    """Cut an interval that one entry cannot hold at segments.

    What matters is that the entries after it stand at the right times, so the duration is
    dealt out from the first entry on; an interval of too few segments for it is cut short.
    """
    cuts = [0]
    for number in range(1, len(places) - 1):
        too_large = places[number + 1] - places[cuts[-1]] > MAX_REFERENCE_BYTES
        if too_large or len(cuts) * MAX_REFERENCE_DURATION < duration:
            cuts.append(number)
    for start, stop in pairwise([*cuts, len(places) - 1]):
        share = min(duration, MAX_REFERENCE_DURATION)
        duration -= share
        yield places[stop] - places[start], share, start == 0
