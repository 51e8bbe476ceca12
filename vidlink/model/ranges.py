"""Sets of sequences as ranges: small however many sequences there are.

Sets that also know times and octets are :mod:`vidlink.store.sequences.runs`; what was dropped, and
why, is :class:`~vidlink.model.DroppedRange`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter

#: An inclusive range of sequences: the first and the last.
Range = tuple[int, int]
#: At most so many ranges of sequences, and sessions of which one is named, stand in one list.
MAX_RANGES = 1_024

_first, _last = itemgetter(0), itemgetter(1)


class Ranges:
    """A set of sequences as ascending ranges that neither overlap nor touch."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for first, last in ranges:
            self.add(first, last)

    @classmethod
    def of(cls, sequences: Iterable[int]) -> Ranges:
        """The set of `sequences`, in any order."""
        return cls((sequence, sequence) for sequence in sequences)

    def __len__(self) -> int:
        """The number of ranges."""
        return len(self._ranges)

    def __iter__(self) -> Iterator[Range]:
        """The ranges as of now, the lowest first."""
        return iter(tuple(self._ranges))

    @property
    def lowest(self) -> Range:
        """The lowest range; there has to be one."""
        return self._ranges[0]

    @property
    def highest(self) -> Range:
        """The highest range; there has to be one."""
        return self._ranges[-1]

    def add(self, first: int, last: int) -> None:
        """Put `first` to `last` in; nothing if `last` is lower."""
        if first > last:
            return
        ranges = self._ranges
        if not ranges or ranges[-1][1] + 1 < first:
            ranges.append((first, last))
            return
        low = bisect_left(ranges, first - 1, key=_last)
        high = bisect_right(ranges, last + 1, lo=low, key=_first)
        if low < high:
            first, last = min(first, ranges[low][0]), max(last, ranges[high - 1][1])
        ranges[low:high] = [(first, last)]

    def discard(self, first: int, last: int) -> None:
        """Take `first` to `last` out, as far as they are in it."""
        if first > last:
            return
        ranges = self._ranges
        low = bisect_left(ranges, first, key=_last)
        high = bisect_right(ranges, last, lo=low, key=_first)
        if low < high:
            around = (ranges[low][0], first - 1), (last + 1, ranges[high - 1][1])
            ranges[low:high] = [one for one in around if one[0] <= one[1]]

    def clear(self) -> None:
        """Take everything out."""
        self._ranges.clear()

    def missing(self, first: int, last: int) -> Iterator[Range]:
        """The ranges of what from `first` to `last` is not in the set, ascending."""
        low = bisect_left(self._ranges, first, key=_last)
        return missing(islice(self._ranges, low, None), first, last)


def missing(ranges: Iterable[Range], first: int, last: int) -> Iterator[Range]:
    """The ranges that `ranges`, which ascend and do not overlap, leave of `first` to `last`."""
    for low, high in ranges:
        if low > last:
            break
        if low > first:
            yield first, low - 1
        first = max(first, high + 1)
    if first <= last:
        yield first, last


def without(ranges: Iterable[Range], others: Iterable[Range]) -> Iterator[Range]:
    """The ranges of what is in `ranges` and not in `others`, ascending; both ascend and neither
    overlaps itself."""
    rest = iter(others)
    other = next(rest, None)
    for first, last in ranges:
        while other is not None and other[1] < first:
            other = next(rest, None)
        while other is not None and other[0] <= last:
            if other[0] > first:
                yield first, other[0] - 1
            first = other[1] + 1
            if first > last:
                break
            other = next(rest, None)
        if first <= last:
            yield first, last
