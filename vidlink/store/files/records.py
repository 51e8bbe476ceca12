"""Reading the index records of one session: where a page begins, and what is on it.

It is one idea: what records may be asked for, and how they are found. Within a part they ascend, so
a place is found by halving: what a page costs does not depend on how long the session is. Start
times ascend as well, but for those of older recordings, which are looked at one by one. Several
parts are read side by side, in the order of sequences. Records that are damaged are passed over;
the segments beside them are served.
"""

from __future__ import annotations

import heapq
import os
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice, pairwise
from operator import itemgetter

from vidlink.disk import Disk
from vidlink.model import Range, Ranges, SegmentQuery
from vidlink.store.files.columns import Columns, read_columns
from vidlink.store.files.layout import (
    RECORD_BYTES,
    RecordNumbers,
    pack_numbers,
    read_numbers,
)
from vidlink.store.files.paths import part_number, records_file

_SEQUENCE, _START_TIME, _RECEIVED_TIME, _SAMPLE_OFFSET = 0, 4, 8, 10
#: Above all sequences that a record can have.
_BEYOND = 2**64
#: So many records are read at a time. Of more the system would give the memory anew each time,
#: which costs more than reading them.
_CHUNK = 1_024


#: The sequence of a first record, the number of its part, and from where to where it goes on.
_Stretch = tuple[int, int, int, int]
#: The number of a part, and a record in it.
_Copy = tuple[int, RecordNumbers]


class PartRecords:
    """The first `count` records of one part, open for reading until :meth:`close`."""

    def __init__(self, disk: Disk, path: str, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self._disk = disk
        self._descriptor = disk.open_for_reading(path)

    def close(self) -> None:
        """Let go of the file."""
        self._disk.close(self._descriptor)

    def rows(self, low: int, high: int, chunk: int = _CHUNK) -> Iterator[RecordNumbers]:
        """The records from place `low` up to `high` without it, read `chunk` at a time."""
        while low < high:
            count = min(chunk, high - low)
            data = self._disk.pread(self._descriptor, low * RECORD_BYTES, count * RECORD_BYTES)
            for row in read_numbers(data):
                if row is not None:
                    yield row
            if len(data) < count * RECORD_BYTES:
                return
            low += count

    def columns(self, low: int, high: int) -> Iterator[Columns]:
        """The same side by side, many at a time."""
        while low < high:
            count = min(_CHUNK, high - low)
            data = self._disk.pread(self._descriptor, low * RECORD_BYTES, count * RECORD_BYTES)
            yield read_columns(data[: len(data) - len(data) % RECORD_BYTES])
            if len(data) < count * RECORD_BYTES:
                return
            low += count

    def find(self, field: int, value: int) -> int:
        """The place of the first record whose `field` is at least `value`."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            place, row = self._from(middle, high)
            if row is None or row[field] >= value:
                high = middle
            else:
                low = place + 1
        return low

    def between_times(self, low_us: int | None, high_us: int | None) -> tuple[int, int]:
        """From where to where the records of segments lie that begin from one time up to another;
        where start times were not held to ascend, others may lie between them."""
        low, high = 0, self.count
        if low_us is None and high_us is None:
            return low, high
        if self._ascends():
            if low_us is not None:
                low = self.find(_START_TIME, low_us)
            if high_us is not None:
                high = self.find(_START_TIME, high_us)
            return low, high
        starts_us = self._starts_us()
        if low_us is not None:
            places = (place for place, start_us in enumerate(starts_us) if start_us >= low_us)
            low = next(places, high)
        if high_us is not None:
            while high > low and (high > len(starts_us) or starts_us[high - 1] >= high_us):
                high -= 1
        return low, high

    def _ascends(self) -> bool:
        """True if start times are known to ascend: where it is said where frames begin, they were
        held to that too. Nothing but a look at all records tells it of others."""
        for place in (0, self.count // 2, self.count - 1):
            _, row = self._from(max(0, place), self.count)
            if row is not None and not row[_SAMPLE_OFFSET]:
                return False
        return True

    def _starts_us(self) -> array[int]:
        """The start time of each record, whether it is sound or not."""
        starts_us = array("q")
        for low in range(0, self.count, _CHUNK):
            size = min(_CHUNK, self.count - low) * RECORD_BYTES
            data = self._disk.pread(self._descriptor, low * RECORD_BYTES, size)
            words = array("q", data[: len(data) - len(data) % RECORD_BYTES])
            starts_us.extend(words[3::8])
        if sys.byteorder == "little":
            starts_us.byteswap()
        return starts_us

    def places(self, first: int, last: int) -> Iterator[int]:
        """The places of the records of segments `first` to `last`, as far as they count."""
        low = self.find(_SEQUENCE, first)
        while low < self.count:
            count = min(_CHUNK, last - first + 1, self.count - low)
            data = self._disk.pread(self._descriptor, low * RECORD_BYTES, count * RECORD_BYTES)
            for place, row in enumerate(read_numbers(data), low):
                if row is not None and row[_SEQUENCE] > last:
                    return
                if row is not None and row[_SEQUENCE] >= first:
                    yield place
            if len(data) < count * RECORD_BYTES:
                return
            low += count

    def _from(self, low: int, high: int) -> tuple[int, RecordNumbers | None]:
        """The first sound record from `low` up to `high`, and its place."""
        for place in range(low, high):
            data = self._disk.pread(self._descriptor, place * RECORD_BYTES, RECORD_BYTES)
            for row in read_numbers(data):
                if row is not None:
                    return place, row
        return high, None


#: From where to where the records of a part are wanted.
Bounds = Callable[[PartRecords], tuple[int, int]]


class SessionRecords:
    """The records of all parts of the session in `folder`, to be used in a ``with``.

    `counts` says how many records of each part there are to be looked at; None: all there are.
    """

    def __init__(self, disk: Disk, folder: str, counts: Mapping[int, int] | None) -> None:
        self._disk = disk
        self._folder = folder
        self.counts = count_records(disk, folder) if counts is None else counts
        self._parts: list[PartRecords] = []

    def __enter__(self) -> SessionRecords:
        """Parts are opened when they are looked at."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close what is open."""
        while self._parts:
            self._parts.pop().close()

    def page(self, query: SegmentQuery, count: int) -> list[tuple[int, RecordNumbers]]:
        """The first `count` records that `query` asks for, each with the number of its part."""
        after = -1 if query.after is None else query.after

        low_us, high_us = query.from_time_us, query.to_time_us

        def bounds(part: PartRecords) -> tuple[int, int]:
            low, high = part.between_times(low_us, high_us)
            return max(low, part.find(_SEQUENCE, after + 1)), high

        found = (
            one
            for one in self._within(bounds, min(count, _CHUNK))
            if (low_us is None or one[1][_START_TIME] >= low_us)
            and (high_us is None or one[1][_START_TIME] < high_us)
        )
        return list(islice(found, count))

    def between(self, first: int, last: int) -> Iterator[tuple[int, RecordNumbers]]:
        """The records of sequences `first` to `last`, each with the number of its part."""
        return self._within(
            lambda part: (part.find(_SEQUENCE, first), part.find(_SEQUENCE, last + 1))
        )

    def beyond(self, counts: Mapping[int, int]) -> Iterator[tuple[int, RecordNumbers]]:
        """The records behind the first `counts` of each part."""
        return self._within(lambda part: (counts.get(part.number, 0), part.count))

    def columns_beyond(self, counts: Mapping[int, int]) -> Iterator[tuple[int, Columns]]:
        """The same as :meth:`beyond`, many records at a time."""
        new = {part: (counts.get(part, 0), count) for part, count in self.counts.items()}
        order = sorted(part for part, (low, high) in new.items() if low < high)
        if len(order) > 1:
            extents = sorted(self._extents(order, new))
            order = [part for _, _, part in extents]
            is_apart = all(one[1] < other[0] for one, other in pairwise(extents))
        if len(order) <= 1 or is_apart:
            for number in order:
                part = self._open(number)
                yield from ((number, one) for one in part.columns(*new[number]) if one.sequences)
                self._close(part)
            return
        merged = self._within(lambda part: new[part.number])
        for number, rows in groupby(merged, key=itemgetter(0)):
            data = b"".join(pack_numbers(row) for _, row in rows)
            yield number, read_columns(data)

    def places(self, number: int, ranges: Iterable[Range]) -> Ranges:
        """The places in part `number` of the records of these segments, as far as they count;
        none of a part that is not there."""
        if number not in self.counts:
            return Ranges()
        part = self._open(number)
        found = Ranges.of(place for one in ranges for place in part.places(*one))
        self._close(part)
        return found

    def copies_before(self, number: int, ranges: Iterable[Range]) -> Iterator[_Copy]:
        """The records of these segments in parts before `number`, those of the latest first."""
        for other in sorted((one for one in self.counts if one < number), reverse=True):
            part = self._open(other)
            for first, last in ranges:
                low, high = part.find(_SEQUENCE, first), part.find(_SEQUENCE, last + 1)
                yield from ((other, row) for row in part.rows(low, high))
            self._close(part)

    def every_column(self) -> Iterator[Columns]:
        """All records of the first part, then of the next and so on, many at a time."""
        for number in sorted(self.counts):
            part = self._open(number)
            yield from part.columns(0, part.count)
            self._close(part)

    def newest_us(self) -> int | None:
        """When the newest segment was received; None if that cannot be read.

        A part is written in the order in which segments come, so it is in the last of some record.
        """
        newest: list[int] = []
        for number in self.counts:
            part = self._open(number)
            newest += [row[_RECEIVED_TIME] for row in part.rows(max(0, part.count - 8), part.count)]
            self._close(part)
        return max(newest, default=None)

    def _extents(
        self, parts: Iterable[int], bounds: Mapping[int, tuple[int, int]]
    ) -> Iterator[tuple[int, int, int]]:
        """The first and the last sequence between the bounds of each of these parts, and its
        number; not of those where no record is sound."""
        for number in parts:
            part = self._open(number)
            low, high = bounds[number]
            first = next(part.rows(low, high, 1), None)
            lasts = (
                next(part.rows(place, place + 1), None) for place in range(high - 1, low - 1, -1)
            )
            last = next(filter(None, lasts), None)
            if first is not None and last is not None:
                yield first[_SEQUENCE], last[_SEQUENCE], number
            self._close(part)

    def _within(self, bounds: Bounds, chunk: int = _CHUNK) -> Iterator[tuple[int, RecordNumbers]]:
        """The records between the `bounds` of each part, by sequence.

        A part is only open while its records are due: a session may have more parts than a
        process may open files.
        """
        if len(self.counts) == 1:
            (number,) = self.counts
            part = self._open(number)
            return ((number, row) for row in part.rows(*bounds(part), chunk))
        waiting: list[_Stretch] = []
        for number in self.counts:
            part = self._open(number)
            low, high = bounds(part)
            first = next(part.rows(low, high, 1), None)
            if first is not None:
                waiting.append((first[_SEQUENCE], number, low, high))
            self._close(part)
        waiting.sort(reverse=True)
        return self._merged(waiting, chunk)

    def _merged(self, waiting: list[_Stretch], chunk: int) -> Iterator[tuple[int, RecordNumbers]]:
        """All records by sequence; of two with the same sequence the one in the later part."""
        heap: list[tuple[int, int, RecordNumbers, PartRecords, Iterator[RecordNumbers]]] = []
        previous = -1
        while heap or waiting:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, number, low, high = waiting.pop()
                part = self._open(number)
                rows = part.rows(low, high, chunk)
                for row in islice(rows, 1):
                    heapq.heappush(heap, (row[_SEQUENCE], -number, row, part, rows))
            if not heap:
                return
            sequence, negative, row, part, rows = heapq.heappop(heap)
            if sequence != previous:
                yield part.number, row
            # Mostly one part goes on alone for long, and needs no comparing.
            following = next(rows, None)
            until = min(heap[0][0] if heap else _BEYOND, waiting[-1][0] if waiting else _BEYOND)
            while following is not None and following[_SEQUENCE] < until:
                sequence = following[_SEQUENCE]
                yield part.number, following
                following = next(rows, None)
            previous = sequence
            if following is None:
                self._close(part)
            else:
                heapq.heappush(heap, (following[_SEQUENCE], negative, following, part, rows))

    def _open(self, number: int) -> PartRecords:
        path = os.path.join(self._folder, records_file(number))
        part = PartRecords(self._disk, path, number, self.counts[number])
        self._parts.append(part)
        return part

    def _close(self, part: PartRecords) -> None:
        self._parts.remove(part)
        part.close()


def count_records(disk: Disk, folder: str) -> dict[int, int]:
    """The number of whole records of each part in `folder`."""
    counts: dict[int, int] = {}
    for name in os.listdir(folder):
        number = part_number(name)
        if number is not None and name == records_file(number):
            counts[number] = disk.size(os.path.join(folder, name)) // RECORD_BYTES
    return counts
