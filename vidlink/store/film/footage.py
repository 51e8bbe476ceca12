"""The substance of a film: segments of a session, on disk and in memory, as if they were one.

Which segments can be shown at all is decided in `scene`, which of them a time range takes in `cut`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import repeat
from operator import add

from vidlink.fmp4 import SampleTable
from vidlink.fmp4.lanes import raised
from vidlink.store.film.scene import Scene, SceneSamples
from vidlink.store.sequences.times import end_us, media_ticks


@dataclass(frozen=True, slots=True)
class Footage:
    """The first `count` segments of `scene` and all of its `tail`, as if they were one."""

    scene: Scene
    count: int
    tail: Scene
    timescale: int

    def __len__(self) -> int:
        """The number of segments."""
        return self.count + len(self.tail)

    def find(self, number: int) -> tuple[Scene, int]:
        """The scene that has segment `number`, and its place there."""
        if number < self.count:
            return self.scene, number
        return self.tail, number - self.count

    def size_of_first(self, number: int) -> int:
        """The octets of the first `number` segments together."""
        stored = self.scene.places.size_of_first(min(number, self.count))
        return stored + self.tail.places.size_of_first(max(0, number - self.count))

    def sequence(self, number: int) -> int:
        """The sequence of segment `number`."""
        scene, place = self.find(number)
        return scene.sequences[place]

    def time(self, number: int) -> int:
        """The media time of segment `number`, in ticks."""
        scene, place = self.find(number)
        return scene.samples.times[scene.first_sample(place)]

    def end(self, number: int) -> int:
        """When the last sample of segment `number` is over, by what the segment states."""
        scene, place = self.find(number)
        last = scene.samples.times[scene.first_sample(place + 1) - 1]
        length = media_ticks(scene.durations_ms[place], self.timescale)
        return max(self.time(number) + length, last)

    def start_us(self, number: int) -> int:
        """The time of capture of segment `number`."""
        scene, place = self.find(number)
        return scene.starts_us[place]

    def end_us(self, number: int) -> int:
        """When segment `number` is over, by the time of its capture."""
        scene, place = self.find(number)
        return end_us(scene.starts_us[place], scene.durations_ms[place])

    def keyframe_before(self, number: int) -> int:
        """The newest keyframe at or before segment `number`."""
        scene, place = self.find(number)
        found = bisect_right(scene.keys, place)
        if found:
            return number - place + scene.keys[found - 1]
        return self.scene.keys[bisect_left(self.scene.keys, self.count) - 1]

    def keyframe_after(self, number: int) -> int:
        """The next keyframe after segment `number`, or the number of all segments."""
        keys = self.scene.keys
        found = bisect_right(keys, number)
        if found < len(keys) and keys[found] < self.count:
            return keys[found]
        keys = self.tail.keys
        found = bisect_right(keys, number - self.count)
        return self.count + keys[found] if found < len(keys) else len(self)

    def breaks(self, begin: int, stop: int) -> list[int]:
        """The segments from `begin` to `stop`, both not among them, that follow a hole."""
        numbers = [*self.scene.breaks, *(self.count + place for place in self.tail.breaks)]
        return numbers[bisect_right(numbers, begin) : bisect_left(numbers, stop)]

    def follows(self, number: int) -> bool:
        """True if no sequence is missing before segment `number`."""
        return self.sequence(number) == self.sequence(number - 1) + 1

    def shift(self, number: int) -> int:
        """The ticks by which the first sample of segment `number` is shown later than decoded."""
        scene, place = self.find(number)
        shifts = scene.samples.shifts
        return shifts[scene.first_sample(place)] if shifts else 0

    def shown(self, number: int) -> list[int]:
        """When the samples of segment `number` are shown, in the order of decoding."""
        scene, place = self.find(number)
        low, high = scene.first_sample(place), scene.first_sample(place + 1)
        times, shifts = scene.samples.times[low:high], scene.samples.shifts[low:high]
        return [*map(add, times, shifts)] if shifts else [*times]

    @property
    def is_reordered(self) -> bool:
        """True if any sample is not shown when it is decoded."""
        return bool(self.scene.samples.shifts or self.tail.samples.shifts)

    def samples(self, begin: int, stop: int) -> SampleTable:
        """The samples of the segments from `begin` up to `stop` without it, put together."""
        low, high = min(begin, self.count), min(stop, self.count)
        found = _cut_out(self.scene, low, high, 0)
        size = self.size_of_first(high) - self.size_of_first(low)
        rest = _cut_out(self.tail, max(0, begin - self.count), max(0, stop - self.count), size)
        if rest.shifts and not found.shifts:
            found.shifts.extend(repeat(0, len(found.sizes)))
        elif found.shifts and not rest.shifts:
            rest.shifts.extend(repeat(0, len(rest.sizes)))
        before = len(found.sizes)
        rest.syncs = raised(rest.syncs, before)
        for name in ("places", "sizes", "times", "shifts", "syncs"):
            getattr(found, name).extend(getattr(rest, name))
        return SampleTable(
            found.places,
            found.sizes,
            found.times,
            found.shifts,
            found.syncs,
            self.end(stop - 1) if stop > begin else 0,
            are_apart=not self.scene.firsts and not self.tail.firsts,
        )


def _cut_out(scene: Scene, begin: int, stop: int, base: int) -> SceneSamples:
    """The samples of some segments of `scene`, the first of which lies at `base`."""
    low, high = scene.first_sample(begin), scene.first_sample(stop)
    samples, cut = scene.samples, SceneSamples()
    shift = base - scene.places.size_of_first(begin)
    places = samples.places[low:high]
    cut.places = raised(places, shift)
    cut.sizes, cut.times = samples.sizes[low:high], samples.times[low:high]
    cut.shifts = samples.shifts[low:high]
    syncs = samples.syncs
    syncs = syncs[bisect_left(syncs, low) : bisect_left(syncs, high)]
    cut.syncs = raised(syncs, -low)
    return cut
