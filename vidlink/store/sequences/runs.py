"""Sets of sequences as unbroken runs: small however long a session is.

The common case, the next sequence after the last, costs one comparison.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from vidlink.model import Arrival, Range, Span
from vidlink.model.ranges import missing
from vidlink.store.sequences.window import SequenceWindow

#: Where a segment lies: its sequence, its start time, and its media time in ticks.
Mark = tuple[int, int, int]
#: In the place of a media time that is not known.
_UNKNOWN = -1
#: A :class:`Span` as numbers.
SpanNumbers = tuple[int, int, int, int, int]
#: A run as numbers: of a :class:`Span`, the media time that it opens at, and the start time and
#: the media time of its last segment.
_Row = tuple[int, int, int, int, int, int, int, int]


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


def follow_each_other(arrivals: Sequence[Arrival]) -> bool:
    """Tell whether no sequence is left out between these, which ascend."""
    first, last = arrivals[0].segment.sequence, arrivals[-1].segment.sequence
    return last - first == len(arrivals) - 1


class Runs:
    """A set of sequences; `runs` are ascending and neither touch nor overlap.

    `count` says how many sequences there are, `size_bytes` the octets of all of them. Each run is
    eight numbers and no object: a Sentinel may leave out every other sequence.
    """

    __slots__ = ("_columns", "_firsts", "_lasts", "count", "size_bytes")

    def __init__(self) -> None:
        self._columns = tuple(array("q") for _ in range(8))
        self._firsts, self._lasts = self._columns[:2]
        self.count = 0
        self.size_bytes = 0

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> Runs:
        """The sequences of `ranges`, which ascend and may overlap; their times are not known."""
        made, newest = cls(), -2
        firsts, lasts = made._firsts, made._lasts
        for first, last in ranges:
            if first > newest + 1:
                firsts.append(first)
                lasts.append(last)
                newest = last
            elif last > newest:
                lasts[-1] = newest = last
        made.count = sum(lasts) - sum(firsts) + len(made)
        for column, value in zip(made._columns[2:], (0, 0, 0, _UNKNOWN, 0, _UNKNOWN), strict=True):
            column.extend(array("q", (value,)) * len(made))
        return made

    def __len__(self) -> int:
        """The number of runs."""
        return len(self._firsts)

    @property
    def ranges(self) -> Iterator[Range]:
        """The runs as ranges of sequences, ascending."""
        return zip(self._firsts, self._lasts, strict=True)

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
        opens: Mark | None = None,
        closes: Mark | None = None,
    ) -> None:
        """Add `first` to `last`, which may overlap what is there.

        `opens` and `closes` are the marks of the first and of the last of them; None: not known.
        """
        _, lasts, _, ends, sizes, _, closings_us, closings = self._columns
        newest = lasts[-1] if lasts else -2
        self.size_bytes += size_bytes
        self.count += last - first + 1
        if first == newest + 1:
            lasts[-1] = last
            ends[-1] = end_time_us
            sizes[-1] += size_bytes
            if closes is None:
                closings[-1] = _UNKNOWN
            else:
                _, closings_us[-1], closings[-1] = closes
            return
        _, closed_us, closed_at = closes or (last, start_time_us, _UNKNOWN)
        opened_at = opens[2] if opens is not None else _UNKNOWN
        row = first, last, start_time_us, end_time_us, size_bytes, opened_at, closed_us, closed_at
        if first > newest:
            for column, value in zip(self._columns, row, strict=True):
                column.append(value)
        else:
            self._insert(row)

    def _insert(self, row: _Row) -> None:
        first, last, start_us, end_us, size_bytes, *marks = row
        opened_at, closed_us, closed_at = marks
        self.count -= last - first + 1
        low = bisect_right(self._firsts, first)
        if low and self._lasts[low - 1] + 1 >= first:
            low -= 1
        high = low
        while high < len(self) and self._firsts[high] <= last + 1:
            other = self._row(high)
            if other[0] < first:
                first, start_us, opened_at = other[0], other[2], other[5]
            if other[1] > last:
                last, end_us, closed_us, closed_at = other[1], other[3], other[6], other[7]
            size_bytes += other[4]
            self.count -= other[1] - other[0] + 1
            high += 1
        self.count += last - first + 1
        row = first, last, start_us, end_us, size_bytes, opened_at, closed_us, closed_at
        self._put(low, high, row)

    def _put(self, low: int, high: int, *rows: _Row) -> None:
        """Let these be in the place of the runs from `low` up to `high`."""
        for number, column in enumerate(self._columns):
            column[low:high] = array("q", [row[number] for row in rows])

    def _row(self, place: int) -> _Row:
        first, last, start_us, end_us, size, opened_at, closed_us, closed_at = self._columns
        return (
            first[place],
            last[place],
            start_us[place],
            end_us[place],
            size[place],
            opened_at[place],
            closed_us[place],
            closed_at[place],
        )

    def at(self, place: int) -> Span:
        """The run in this place."""
        return Span(*self.numbers(place))

    def numbers(self, place: int) -> SpanNumbers:
        """The same as numbers."""
        first, last, start_us, end_us, size_bytes, *_ = self._row(place)
        return first, last, start_us, end_us, size_bytes

    def mark(self, place: int, opens: Mark | None, closes: Mark | None) -> None:
        """Say of the run in this place where it begins and ends."""
        opened_at, closed_us, closed_at = self._columns[5:]
        opened_at[place] = opens[2] if opens is not None else _UNKNOWN
        if closes is not None:
            closed_us[place], closed_at[place] = closes[1:]
        else:
            closed_at[place] = _UNKNOWN

    def around(self, sequence: int) -> tuple[Mark | None, Mark | None]:
        """The marks next to `sequence`, which is not in the set, on both sides; None: there is
        nothing, or it is not known."""
        place = bisect_right(self._firsts, sequence)
        before = self.marks(place - 1)[1] if place else None
        after = self.marks(place)[0] if place < len(self) else None
        return before, after

    def marks(self, place: int) -> tuple[Mark | None, Mark | None]:
        """The marks of the first and of the last of the run in this place; None: not known."""
        first, last, start_us, _, _, opened_at, closed_us, closed_at = self._row(place)
        opens = None if opened_at == _UNKNOWN else (first, start_us, opened_at)
        return opens, None if closed_at == _UNKNOWN else (last, closed_us, closed_at)

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
        first, last, start_us, end_us, size, opened_at, closed_us, closed_at = self._row(place)
        # How the octets of the rest are divided nobody knows: by the number of segments.
        left, right = sequence - first, last - sequence
        rest = size - size_bytes
        share = rest * left // max(1, left + right)
        pieces: tuple[_Row, ...] = (
            (first, sequence - 1, start_us, start_time_us, share, opened_at, 0, _UNKNOWN),
            (sequence + 1, last, end_time_us, end_us, rest - share, _UNKNOWN, closed_us, closed_at),
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

    @property
    def highest(self) -> int:
        """The highest sequence; -1 if there is none."""
        return self._lasts[-1] if self._lasts else -1

    def copy(self) -> Runs:
        """The runs as of now, whatever is added later."""
        copied = Runs()
        copied.count, copied.size_bytes = self.count, self.size_bytes
        copied._columns = tuple(column[:] for column in self._columns)
        copied._firsts, copied._lasts = copied._columns[:2]
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
