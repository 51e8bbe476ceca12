"""Sets of sequences as unbroken runs: small however long a session is.

The common case, the next sequence after the last, costs one comparison.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from vidlink.model import Range, Span
from vidlink.model.ranges import missing
from vidlink.store.sequences.window import SequenceWindow


def widened(extent: tuple[int, int] | None, sequence: int) -> tuple[int, int]:
    """The range from the first to the last of `extent` and `sequence`."""
    first, last = extent or (sequence, sequence)
    return min(first, sequence), max(last, sequence)


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans that do not overlap, in any order, joined where the next sequence follows."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        if merged and merged[-1].last + 1 == span.first:
            before = merged.pop()
            span = Span(
                first=before.first,
                last=span.last,
                start_time_us=before.start_time_us,
                end_time_us=span.end_time_us,
                size_bytes=before.size_bytes + span.size_bytes,
            )
        merged.append(span)
    return tuple(merged)


class Runs:
    """A set of sequences; `runs` are ascending and neither touch nor overlap.

    `count` says how many sequences there are, `size_bytes` the octets of all of them. Each run is
    five numbers and no object: a Sentinel may leave out every other sequence.
    """

    __slots__ = ("_ends", "_firsts", "_lasts", "_sizes", "_starts", "count", "size_bytes")

    def __init__(self) -> None:
        self._firsts, self._lasts = array("q"), array("q")
        self._starts, self._ends, self._sizes = array("q"), array("q"), array("q")
        self.count = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        """The number of runs."""
        return len(self._firsts)

    @property
    def runs(self) -> RunsInOrder:
        """The runs, each as a value when it is looked at."""
        return RunsInOrder(self)

    def add(
        self,
        first: int,
        last: int,
        start_time_us: int = 0,
        end_time_us: int = 0,
        size_bytes: int = 0,
    ) -> None:
        """Add `first` to `last`, which may overlap what is there."""
        lasts = self._lasts
        newest = lasts[-1] if lasts else -2
        self.size_bytes += size_bytes
        self.count += last - first + 1
        if first == newest + 1:
            lasts[-1] = last
            self._ends[-1] = end_time_us
            self._sizes[-1] += size_bytes
        elif first > newest:
            self._firsts.append(first)
            lasts.append(last)
            self._starts.append(start_time_us)
            self._ends.append(end_time_us)
            self._sizes.append(size_bytes)
        else:
            self._insert(Span(first, last, start_time_us, end_time_us, size_bytes))

    def _insert(self, run: Span) -> None:
        first, last, size_bytes = run.first, run.last, run.size_bytes
        start_us, end_us = run.start_time_us, run.end_time_us
        self.count -= last - first + 1
        low = bisect_right(self._firsts, first)
        if low and self._lasts[low - 1] + 1 >= first:
            low -= 1
        high = low
        while high < len(self) and self._firsts[high] <= last + 1:
            other = self.at(high)
            if other.first < first:
                first, start_us = other.first, other.start_time_us
            if other.last > last:
                last, end_us = other.last, other.end_time_us
            size_bytes += other.size_bytes
            self.count -= other.last - other.first + 1
            high += 1
        self.count += last - first + 1
        self._put(low, high, (first, last, start_us, end_us, size_bytes))

    def _put(self, low: int, high: int, *runs: tuple[int, int, int, int, int]) -> None:
        """Let these numbers be in the place of the runs from `low` up to `high`."""
        columns = self._firsts, self._lasts, self._starts, self._ends, self._sizes
        for number, column in enumerate(columns):
            column[low:high] = array("q", [run[number] for run in runs])

    def at(self, place: int) -> Span:
        """The run in this place."""
        return Span(
            self._firsts[place],
            self._lasts[place],
            self._starts[place],
            self._ends[place],
            self._sizes[place],
        )

    def would_add_run(self, sequence: int) -> bool:
        """Tell whether one more sequence, which is not in it, would touch none of the others."""
        place = bisect_right(self._firsts, sequence)
        follows = place > 0 and self._lasts[place - 1] + 1 >= sequence
        return not follows and (place == len(self) or self._firsts[place] > sequence + 1)

    def discard(self, sequence: int, start_time_us: int, end_time_us: int, size_bytes: int) -> None:
        """Take out `sequence`, which is of this time and size."""
        if sequence not in self:
            return
        self.count -= 1
        self.size_bytes -= size_bytes
        place = bisect_right(self._firsts, sequence) - 1
        run = self.at(place)
        # How the octets of the rest are divided nobody knows: by the number of segments.
        left, right = sequence - run.first, run.last - sequence
        rest = run.size_bytes - size_bytes
        share = rest * left // max(1, left + right)
        pieces = (
            (run.first, sequence - 1, run.start_time_us, start_time_us, share),
            (sequence + 1, run.last, end_time_us, run.end_time_us, rest - share),
        )
        self._put(place, place + 1, *(piece for piece in pieces if piece[0] <= piece[1]))

    def __contains__(self, sequence: int) -> bool:
        """True if `sequence` is in the set."""
        lasts = self._lasts
        if not lasts or sequence > lasts[-1]:
            return False
        place = bisect_right(self._firsts, sequence)
        return place > 0 and sequence <= lasts[place - 1]

    def missing(self, first: int, last: int) -> Iterator[Range]:
        """The ranges of sequences from `first` to `last` that are not in the set, ascending."""
        place = max(0, bisect_right(self._firsts, first) - 1)
        near = range(place, len(self))
        return missing(((self._firsts[one], self._lasts[one]) for one in near), first, last)

    @property
    def reached(self) -> int:
        """The highest sequence up to which none is missing, from 0 on; -1 if 0 is missing."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 0 else -1

    def copy(self) -> Runs:
        """The runs as of now, whatever is added later."""
        copied = Runs()
        copied.count, copied.size_bytes = self.count, self.size_bytes
        copied._firsts, copied._lasts = self._firsts[:], self._lasts[:]
        copied._starts, copied._ends, copied._sizes = self._starts[:], self._ends[:], self._sizes[:]
        return copied

    def spans_near(self, window: SequenceWindow) -> tuple[Span, ...]:
        """The runs in `window`, and the next to it on both sides, as values."""
        low = bisect_right(self._firsts, window.low)
        high = len(self)
        if window.high is not None:
            high = bisect_right(self._firsts, window.high) + 1
        return tuple(self.runs[max(0, low - 1) : high])

    def spans(self) -> tuple[Span, ...]:
        """The runs as values."""
        return tuple(self.runs)


class RunsInOrder(Sequence[Span]):
    """The runs of a set, as of when each is looked at."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def __len__(self) -> int:
        """The number of them."""
        return len(self._runs)

    @overload
    def __getitem__(self, place: int) -> Span: ...
    @overload
    def __getitem__(self, place: slice) -> list[Span]: ...
    def __getitem__(self, place: int | slice) -> Span | list[Span]:
        """One of them, or some."""
        if isinstance(place, slice):
            return [self._runs.at(one) for one in range(*place.indices(len(self._runs)))]
        return self._runs.at(place)
