"""Reading the index records of one session: where a page begins, and what is on it.

Within a part records ascend, so a place is found by halving: what a page costs does not depend
on how long the session is. Several parts are read side by side, in the order of sequences.
Records that are damaged are passed over; the segments beside them are served.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Mapping
from itertools import islice

from vidlink.model import SegmentQuery
from vidlink.store.disk import Disk
from vidlink.store.layout import RECORD_BYTES, Row, read_rows
from vidlink.store.paths import part_number, records_file

_SEQUENCE, _START_TIME = 0, 4
#: So many records are read at a time.
_CHUNK = 1_024


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

    def rows(self, low: int, high: int, chunk: int = _CHUNK) -> Iterator[Row]:
        """The records from place `low` up to `high` without it, read `chunk` at a time."""
        while low < high:
            count = min(chunk, high - low)
            data = self._disk.pread(self._descriptor, low * RECORD_BYTES, count * RECORD_BYTES)
            for row in read_rows(data):
                if row is not None:
                    yield row
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

    def _from(self, low: int, high: int) -> tuple[int, Row | None]:
        """The first sound record from `low` up to `high`, and its place."""
        for place in range(low, high):
            data = self._disk.pread(self._descriptor, place * RECORD_BYTES, RECORD_BYTES)
            for row in read_rows(data):
                if row is not None:
                    return place, row
        return high, None


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
        """Open every part."""
        try:
            for number, count in sorted(self.counts.items()):
                path = os.path.join(self._folder, records_file(number))
                self._parts.append(PartRecords(self._disk, path, number, count))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        """Close every part."""
        while self._parts:
            self._parts.pop().close()

    def page(self, query: SegmentQuery, count: int) -> list[tuple[int, Row]]:
        """The first `count` records that `query` asks for, each with the number of its part."""
        after = -1 if query.after is None else query.after
        chunk = min(count, _CHUNK)
        sources = []
        for part in self._parts:
            low = part.find(_SEQUENCE, after + 1)
            if query.from_time_us is not None:
                low = max(low, part.find(_START_TIME, query.from_time_us))
            high = part.count
            if query.to_time_us is not None:
                high = part.find(_START_TIME, query.to_time_us)
            sources.append((part, part.rows(low, high, chunk)))
        return list(islice(_merge(sources), count))

    def between(self, first: int, last: int) -> Iterator[tuple[int, Row]]:
        """The records of sequences `first` to `last`, each with the number of its part."""
        sources = []
        for part in self._parts:
            low = part.find(_SEQUENCE, first)
            high = part.find(_SEQUENCE, last + 1)
            sources.append((part, part.rows(low, high)))
        return _merge(sources)

    def beyond(self, counts: Mapping[int, int]) -> Iterator[tuple[int, Row]]:
        """What follows the first `counts` records of each part."""
        return _merge(
            [(part, part.rows(counts.get(part.number, 0), part.count)) for part in self._parts]
        )


def count_records(disk: Disk, folder: str) -> dict[int, int]:
    """How many whole records each part in `folder` has."""
    counts: dict[int, int] = {}
    for name in os.listdir(folder):
        number = part_number(name)
        if number is not None and name == records_file(number):
            counts[number] = disk.size(os.path.join(folder, name)) // RECORD_BYTES
    return counts


def _merge(sources: list[tuple[PartRecords, Iterator[Row]]]) -> Iterator[tuple[int, Row]]:
    """All rows by sequence; of two with the same sequence the one in the later part."""
    if len(sources) == 1:
        part, rows = sources[0]
        for row in rows:
            yield part.number, row
        return
    tagged = [_tagged(part.number, rows) for part, rows in sources]
    previous = -1
    for sequence, number, row in heapq.merge(*tagged):
        if sequence != previous:
            previous = sequence
            yield -number, row


def _tagged(number: int, rows: Iterator[Row]) -> Iterator[tuple[int, int, Row]]:
    for row in rows:
        yield row[_SEQUENCE], -number, row
