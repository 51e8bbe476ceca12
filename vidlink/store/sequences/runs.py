"""Sets of sequences as unbroken runs: small however long a session is.

The common case, the next sequence after the last, costs one comparison.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from vidlink.model import Range, Span
from vidlink.model.ranges import missing
from vidlink.store.sequences.window import SequenceWindow

#: Where a segment lies: its sequence, its start time, and its media time in ticks.
Mark = tuple[int, int, int]


@dataclass(slots=True)
class Run:
    """Sequences `first` to `last`, the time they cover and how many octets they are.

    `opens` and `closes` are the marks of the first and of the last of them; None: not known.
    """

    first: int
    last: int
    start_time_us: int
    end_time_us: int
    size_bytes: int
    opens: Mark | None = None
    closes: Mark | None = None

    def __len__(self) -> int:
        return self.last - self.first + 1

    def as_span(self) -> Span:
        """A value of it."""
        return Span(self.first, self.last, self.start_time_us, self.end_time_us, self.size_bytes)


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
                end_time_us=max(before.start_time_us, span.end_time_us),
                size_bytes=before.size_bytes + span.size_bytes,
            )
        merged.append(span)
    return tuple(merged)


class Runs:
    """A set of sequences; `runs` are ascending and neither touch nor overlap.

    `count` says how many sequences there are, `size_bytes` the octets of all of them.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.count = 0
        self.size_bytes = 0

    def add(
        self,
        first: int,
        last: int,
        start_time_us: int = 0,
        end_time_us: int = 0,
        size_bytes: int = 0,
        opens: Mark | None = None,
        closes: Mark | None = None,
    ) -> None:
        """Add `first` to `last`, which may overlap what is there."""
        runs = self.runs
        self.size_bytes += size_bytes
        self.count += last - first + 1
        if runs and first == runs[-1].last + 1:
            newest = runs[-1]
            newest.last = last
            newest.end_time_us = end_time_us
            newest.size_bytes += size_bytes
            newest.closes = closes
        elif not runs or first > runs[-1].last:
            runs.append(Run(first, last, start_time_us, end_time_us, size_bytes, opens, closes))
        else:
            self._insert(Run(first, last, start_time_us, end_time_us, size_bytes, opens, closes))

    def _insert(self, run: Run) -> None:
        runs = self.runs
        self.count -= len(run)
        low = bisect_right(runs, run.first, key=lambda one: one.first)
        if low and runs[low - 1].last + 1 >= run.first:
            low -= 1
        high = low
        while high < len(runs) and runs[high].first <= run.last + 1:
            other = runs[high]
            if other.first < run.first:
                run.first, run.start_time_us = other.first, other.start_time_us
                run.opens = other.opens
            if other.last > run.last:
                run.last, run.end_time_us = other.last, other.end_time_us
                run.closes = other.closes
            run.size_bytes += other.size_bytes
            high += 1
        self.count += len(run) - sum(map(len, runs[low:high]))
        runs[low:high] = [run]

    def discard(self, sequence: int, start_time_us: int, end_time_us: int, size_bytes: int) -> None:
        """Take out `sequence`, which is of this time and size."""
        if sequence not in self:
            return
        self.count -= 1
        self.size_bytes -= size_bytes
        place = bisect_right(self.runs, sequence, key=lambda one: one.first) - 1
        run = self.runs[place]
        # How the octets of the rest are divided nobody knows: by the number of segments.
        left, right = sequence - run.first, run.last - sequence
        rest = run.size_bytes - size_bytes
        share = rest * left // max(1, left + right)
        self.runs[place : place + 1] = [
            piece
            for piece in (
                Run(run.first, sequence - 1, run.start_time_us, start_time_us, share, run.opens),
                Run(
                    sequence + 1,
                    run.last,
                    end_time_us,
                    run.end_time_us,
                    rest - share,
                    closes=run.closes,
                ),
            )
            if len(piece) > 0
        ]

    def __contains__(self, sequence: int) -> bool:
        """True if `sequence` is in the set."""
        runs = self.runs
        if not runs or sequence > runs[-1].last:
            return False
        place = bisect_right(runs, sequence, key=lambda one: one.first)
        return place > 0 and sequence <= runs[place - 1].last

    def around(self, sequence: int) -> tuple[Mark | None, Mark | None]:
        """The marks next to `sequence`, which is not in the set, on both sides; None: there is
        nothing, or it is not known."""
        runs = self.runs
        place = bisect_right(runs, sequence, key=lambda one: one.first)
        before = runs[place - 1].closes if place else None
        return before, runs[place].opens if place < len(runs) else None

    def missing(self, first: int, last: int) -> Iterator[Range]:
        """The ranges of sequences from `first` to `last` that are not in the set, ascending."""
        place = max(0, bisect_right(self.runs, first, key=lambda one: one.first) - 1)
        near = islice(self.runs, place, None)
        return missing(((run.first, run.last) for run in near), first, last)

    @property
    def reached(self) -> int:
        """The highest sequence up to which none is missing, from 0 on; -1 if 0 is missing."""
        return self.runs[0].last if self.runs and self.runs[0].first == 0 else -1

    def copy(self) -> Runs:
        """The runs as of now, whatever is added later."""
        copied = Runs()
        copied.count, copied.size_bytes = self.count, self.size_bytes
        # Only the newest of them ever grows; where others are joined, a new one takes their place.
        copied.runs = [*self.runs[:-1], *(replace(run) for run in self.runs[-1:])]
        return copied

    def spans_near(self, window: SequenceWindow) -> tuple[Span, ...]:
        """The runs in `window`, and the next to it on both sides, as values."""
        low = bisect_right(self.runs, window.low, key=lambda one: one.first)
        high = len(self.runs)
        if window.high is not None:
            high = bisect_right(self.runs, window.high, key=lambda one: one.first) + 1
        return tuple(run.as_span() for run in self.runs[max(0, low - 1) : high])

    def spans(self) -> tuple[Span, ...]:
        """The runs as values."""
        return tuple(run.as_span() for run in self.runs)
