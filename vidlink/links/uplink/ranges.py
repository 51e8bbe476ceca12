"""Sets of sequences, kept as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vidlink.messages import Range


class Ranges:
    """A set of sequences as ascending ranges that neither overlap nor touch."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for first, last in ranges:
            self.add(first, last)

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._ranges)

    def __iter__(self) -> Iterator[Range]:
        """The ranges, the lowest first."""
        return iter(tuple(self._ranges))

    @property
    def lowest(self) -> Range:
        """The lowest range; there has to be one."""
        return self._ranges[0]

    def add(self, first: int, last: int) -> None:
        """Put `first` to `last` in; nothing if `last` is lower."""
        if first > last:
            return
        kept: list[Range] = []
        place = 0
        for low, high in self._ranges:
            if high < first - 1:
                kept.append((low, high))
                place = len(kept)
            elif low > last + 1:
                kept.append((low, high))
            else:
                first, last = min(first, low), max(last, high)
        kept.insert(place, (first, last))
        self._ranges = kept

    def discard(self, first: int, last: int) -> None:
        """Take `first` to `last` out, as far as they are in it."""
        kept: list[Range] = []
        for low, high in self._ranges:
            if low < first:
                kept.append((low, min(high, first - 1)))
            if high > last:
                kept.append((max(low, last + 1), high))
        self._ranges = [one for one in kept if one[0] <= one[1]]

    def clear(self) -> None:
        """Take everything out."""
        self._ranges.clear()
