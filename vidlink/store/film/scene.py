"""The segments of a session that can be decoded, and each of their samples, side by side.

After a hole nothing is shown before the next keyframe: three lost frames would be six wrong
pictures. Where the segments come from is in `reel`, a film of some of them in `footage`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress, count, islice, pairwise, repeat
from operator import gt, le, ne

from vidlink.fmp4 import Samples
from vidlink.fmp4.lanes import are_alike, ascend, changes, raised
from vidlink.store.files.columns import Columns
from vidlink.store.files.layout import KEYFRAME, MISPLACED
from vidlink.store.files.sections import SegmentPlaces

#: Gives the samples of the segment of this place in the :class:`Columns`, by its boxes; None: they
#: cannot be read, and it cannot be shown.
ReadSamples = Callable[[int], Samples | None]
_KEY_BITS = bytes(flags & KEYFRAME for flags in range(256))
_MISPLACED_BITS = bytes(flags & MISPLACED for flags in range(256))


class Decoding:
    """The choice of segments that can be shown, as they come in the order of their sequence."""

    __slots__ = ("expected", "floor")

    def __init__(self, before: Decoding | None = None) -> None:
        self.expected: int = -1 if before is None else before.expected
        self.floor: int = -1 if before is None else before.floor

    def accepts(
        self, sequence: int, media_time: int, is_key: bool, newest: int | None = None
    ) -> bool:
        """True if a player that got all before it can show this one.

        One that would go back in time is not taken, as no player would show it; `newest` is
        when its last sample is decoded, if that is known.
        """
        if (is_key or sequence == self.expected) and media_time > self.floor:
            self.expected = sequence + 1
            self.floor = media_time if newest is None else newest
            return True
        self.expected = -1
        return False


class SceneSamples:
    """The samples of the segments of a scene, side by side; `places` are those in the film's media.

    `shifts` stays empty until one of them is not 0.
    """

    def __init__(self) -> None:
        self.places = array("Q")
        self.sizes = array("I")
        self.times = array("Q")
        self.shifts = array("i")
        self.syncs = array("I")

    def add(self, samples: Samples, start: int) -> None:
        """Put the samples of a segment behind the others; it begins at `start` in the media."""
        before = len(self.sizes)
        self.places.extend(map(start.__add__, samples.places))
        self.sizes.extend(samples.sizes)
        self.times.extend(samples.times)
        self.syncs.extend(compress(count(before), samples.syncs))
        if any(samples.shifts) and not self.shifts:
            self.shifts.extend(repeat(0, before))
        if self.shifts or any(samples.shifts):
            self.shifts.extend(samples.shifts)

    def are_plain(self, number: int) -> None:
        """Say of the last `number` samples that they are shown when they are decoded."""
        if self.shifts:
            self.shifts.extend(repeat(0, number))

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        arrays = (self.places, self.sizes, self.times, self.shifts, self.syncs)
        return sum(one.itemsize * len(one) for one in arrays)


class Scene:
    """The segments of a film, side by side, or those that follow `before`.

    It only grows at its end, so that whoever uses its first `count` segments is not disturbed.
    """

    def __init__(self, before: Scene | None = None) -> None:
        self.places = SegmentPlaces()
        self.samples = SceneSamples()
        #: The number of the first sample of each; empty as long as each has just one, without
        #: another beside it.
        self.firsts = array("I")
        self.sequences = array("Q")
        self.durations_ms = array("I")
        #: When each was captured.
        self.starts_us = array("q")
        #: The places, in the other arrays, of the keyframes, and of what follows a hole.
        self.keys = array("I")
        self.breaks = array("I")
        #: The highest sequence that was offered, shown or not.
        self.seen: int = -1 if before is None else before.seen
        self._decoding: Decoding = Decoding(None if before is None else before._decoding)
        self._last: int = -1 if before is None else before._last
        #: The highest time of capture so far: none is before it.
        self._start_us: int = -(2**63) if before is None else before._start_us

    def __len__(self) -> int:
        """The number of segments."""
        return len(self.sequences)

    def take(self, part: int, columns: Columns, read: ReadSamples) -> None:
        """Add the next segments, higher than all before, as far as they can be decoded.

        Where the samples lie is mostly said by the records; else `read` is asked.
        """
        if max(columns.sample_offsets, default=0) >= min(columns.sizes, default=1):
            columns = _without_impossible(columns)
        for low, high in _stretches(columns):
            if columns.flags[low] & MISPLACED:
                self._decoding.expected = -1
            elif columns.sample_offsets[low]:
                self._take_plain(part, columns, low, high)
            else:
                self._take_by_boxes(part, columns, low, read)
        if columns.sequences:
            self.seen = columns.sequences[-1]

    def _take_by_boxes(self, part: int, columns: Columns, place: int, read: ReadSamples) -> None:
        """Add one segment whose record does not say where its samples lie."""
        sequence, time = columns.sequences[place], columns.times[place]
        is_key = bool(columns.flags[place] & KEYFRAME)
        decoding = self._decoding
        can_follow = (is_key or sequence == decoding.expected) and time > decoding.floor
        samples = read(place) if can_follow else None
        if samples is None:
            decoding.expected = -1
            return
        decoding.accepts(sequence, time, is_key, samples.times[-1])
        if not self.firsts:
            self.firsts.extend(range(len(self)))
        self.firsts.append(len(self.samples.sizes))
        self._add(part, columns, place, place + 1, [place] if is_key else [])
        self.samples.add(samples, self.places.size_of_first(len(self) - 1))

    def _take_plain(self, part: int, columns: Columns, low: int, high: int) -> None:
        """Add segments of one sample each, whose sequences and times go on without a break."""
        keys = list(compress(count(low), columns.flags[low:high].translate(_KEY_BITS)))
        decoding, samples = self._decoding, self.samples
        if columns.sequences[low] != decoding.expected or columns.times[low] <= decoding.floor:
            # Nothing can be shown before a keyframe that goes on in time.
            keys = [key for key in keys if columns.times[key] > decoding.floor]
            if not keys:
                decoding.expected = -1
                return
            low = keys[0]
        number, first = len(self), len(samples.sizes)
        if self.firsts:
            self.firsts.extend(range(first, first + high - low))
        self._add(part, columns, low, high, keys)
        offset = columns.sample_offsets[low]
        samples.sizes.extend(raised(columns.sizes[low:high], -offset))
        starts = array("Q", (self.places.size_of_first(number),))
        starts.extend(self.places.ends[number:-1])
        samples.places.extend(raised(starts, offset))
        samples.times.extend(columns.times[low:high])
        samples.syncs.extend(map((first - low).__add__, keys))
        samples.are_plain(high - low)
        decoding.expected, decoding.floor = columns.sequences[high - 1] + 1, columns.times[high - 1]

    def _add(self, part: int, columns: Columns, low: int, high: int, keys: Sequence[int]) -> None:
        """Add what is known of segments that go on side by side, but for their samples."""
        number = len(self)
        sequences = columns.sequences[low:high]
        if 0 <= self._last != sequences[0] - 1:
            self.breaks.append(number)
        self._last = sequences[-1]
        self.keys.extend(map((number - low).__add__, keys))
        self.places.extend(
            part, columns.offsets[low:high], columns.sizes[low:high], columns.checks[low:high]
        )
        self.sequences.extend(sequences)
        self.durations_ms.extend(columns.durations_ms[low:high])
        starts_us = columns.starts_us[low:high]
        starts_us[0] = max(starts_us[0], self._start_us)
        if not ascend(starts_us) and any(map(gt, starts_us, islice(starts_us, 1, None))):
            # Recordings of before start times were held to ascend have some that do not.
            starts_us = array("q", accumulate(starts_us, max))
        self.starts_us.extend(starts_us)
        self._start_us = starts_us[-1]

    def count_to(self, last: int) -> int:
        """The number of segments with a sequence of at most `last`."""
        return bisect_right(self.sequences, last)

    def first_sample(self, place: int) -> int:
        """The number of the first sample of segment `place`, or behind all of them."""
        if not self.firsts:
            return place
        return self.firsts[place] if place < len(self.firsts) else len(self.samples.sizes)

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        arrays = [self.sequences, self.durations_ms, self.starts_us]
        arrays += [self.firsts, self.keys, self.breaks]
        own = sum(one.itemsize * len(one) for one in arrays)
        return own + self.places.memory_bytes + self.samples.memory_bytes


def _without_impossible(columns: Columns) -> Columns:
    """`columns` in which no frame begins behind its segment: of such nothing is said."""
    offsets = columns.sample_offsets
    told = (place * (place < size) for place, size in zip(offsets, columns.sizes, strict=True))
    return columns._replace(sample_offsets=array(offsets.typecode, told))


def _stretches(columns: Columns) -> Iterator[tuple[int, int]]:
    """From where to where records go on without a break, and samples begin at the same place of
    their segments; those of which that is not known, and those that are misplaced, stand alone."""
    sequences, times, offsets = columns.sequences, columns.times, columns.sample_offsets
    total = len(sequences)
    if not total:
        return
    misplaced = columns.flags.translate(_MISPLACED_BITS)
    if (
        offsets[0]
        and misplaced == bytes(total)
        and are_alike(offsets)
        and sequences[-1] - sequences[0] == total - 1
        and ascend(sequences)
        and ascend(times)
    ):
        yield 0, total
        return
    expected = map((1).__add__, sequences)
    cuts = set(compress(count(1), map(ne, islice(sequences, 1, None), expected)))
    cuts.update(compress(count(1), map(le, islice(times, 1, None), times)))
    cuts.update(changes(offsets))
    cuts.update(place for place, offset in enumerate(offsets) if not offset)
    alone = list(compress(count(), misplaced))
    cuts.update(alone, map((1).__add__, alone))
    yield from pairwise(sorted(cuts | {0, total}))
