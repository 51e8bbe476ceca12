"""The sound part of one session's folder: tails that no sync ever covered are cut.

Only a session that was being recorded when the server stopped has such tails. Truth is in the
index records and the segments' checksums; which sessions to look at is decided in `recovery`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import Span
from vidlink.store.files.layout import (
    RECORD_BYTES,
    IndexRecord,
    SessionFile,
    read_numbers,
    read_records,
)
from vidlink.store.files.paths import part_file, part_numbers, records_file
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.times import end_us

_log = Logger()

#: No sync ever leaves more than a round and one segment behind it, and a part's tail is no
#: longer; what is longer is damage, and is left for a person to look at.
MOST_TAIL_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The content of a session's folder: unbroken spans, each with the part that it is in."""

    spans: list[tuple[int, Span]]
    was_cut: bool


def _place(span: tuple[int, Span]) -> tuple[int, int]:
    return span[0], span[1].first


@dataclass(slots=True)
class Salvage:
    """The folder of one session, described by `file`.

    `known` has the spans of each part that an earlier sync covered, as the database has them;
    None where there is no database to say so. Parts that were whole before the session was
    opened again are not touched.
    """

    disk: Disk
    folder: str
    file: SessionFile
    known: Mapping[int, list[Span]] | None
    taken: Runs = field(default_factory=Runs, init=False)
    has_to_flush: bool = field(default=False, init=False)
    was_cut: bool = field(default=False, init=False)

    def cut(self, has_to_flush: bool) -> Salvaged:
        """Cut every part to what is sound, and say what there is.

        :param has_to_flush: wait for each file that was cut until it is so on the disk.
        :raises OSError: the disk fails.
        """
        self.has_to_flush = has_to_flush
        spans: list[tuple[int, Span]] = []
        # Of a sequence in two parts the copy in the later one counts.
        for number in reversed(self._numbers()):
            if number < (self.file.filling_from or 0) or self._cut_part(number):
                spans += self._spans(number)
        return Salvaged(sorted(spans, key=_place), self.was_cut)

    def look(self) -> Salvaged:
        """Say what there is in a session that was closed in order, and cut nothing."""
        spans = [span for number in reversed(self._numbers()) for span in self._spans(number)]
        return Salvaged(sorted(spans, key=_place), was_cut=False)

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            _log.error("the recording in {folder} is gone", folder=self.folder)
            return []
        return part_numbers(names)

    def _paths(self, number: int) -> tuple[str, str]:
        folder = self.folder
        return os.path.join(folder, part_file(number)), os.path.join(folder, records_file(number))

    def _size(self, path: str) -> int:
        try:
            return self.disk.size(path)
        except FileNotFoundError:
            return 0

    def _cut_part(self, number: int) -> bool:
        """Cut one part; returns whether anything is left of it."""
        path, records_path = self._paths(number)
        size, records_size = self._size(path), self._size(records_path)
        count = records_size // RECORD_BYTES
        # The last record is looked at even if it was synced: it costs one segment.
        first = max(0, min(self._synced(number, records_path, count), count - 1))
        end = self._end_before(records_path, first)
        data = self.disk.read(records_path, first * RECORD_BYTES, (count - first) * RECORD_BYTES)
        records = list(read_records(data))
        kept = 0
        for record in records:
            if record is None or not self._is_sound(record, path, size, end):
                kept = self._whole_behind(records, kept, path, size)
                break
            end = record.end
            kept += 1
        if kept and (newest := records[kept - 1]) is not None:
            end = newest.end
        sound = first + kept
        self._truncate(records_path, records_size, sound * RECORD_BYTES)
        if not sound and not self._has_init(path):
            self.disk.remove(records_path)
            self.disk.remove(path)
            self.was_cut = True
            return False
        if end is not None and size > end:
            self._truncate_part(path, size, end, self._synced_bytes(number, count))
        return True

    def _synced_bytes(self, number: int, count: int) -> int:
        """Up to where a part is known to have been synced; without a database, and without
        any record, all of it may have been."""
        if self.known is None:
            return 0 if count else sys.maxsize
        spans = self.known.get(number, ())
        return self.file.init_size_bytes + sum(span.size_bytes for span in spans) if spans else 0

    def _whole_behind(
        self, records: Sequence[IndexRecord | None], first: int, path: str, size: int
    ) -> int:
        """The number of `records` that are no tail, although the one at `first` is not sound: up
        to the last whole one.

        A whole segment in the wrong place is none of a tail: its place is what is wrong. And where
        no database says what was synced, all that lies before a whole segment may have been.
        """
        last = first + 1 if self.known is not None else len(records)
        for place in reversed(range(first, last)):
            record = records[place]
            if record is not None and self._is_sound(record, path, size, None):
                _log.error("{path} is damaged before its end; see vidlink fsck", path=path)
                return place + 1
        return first

    def _has_init(self, path: str) -> bool:
        data = self.disk.read(path, 0, self.file.init_size_bytes) if self._size(path) else b""
        return len(data) == self.file.init_size_bytes and crc32(data) == self.file.init_check

    def _synced(self, number: int, records_path: str, count: int) -> int:
        """The number of records of a part that need no second look."""
        if self.known is not None:
            return sum(span.last - span.first + 1 for span in self.known.get(number, ()))
        low, high = 0, count
        last = self._record(records_path, count - 1)
        border = 0 if last is None else last.offset - MOST_TAIL_BYTES
        while low < high:
            middle = (low + high) // 2
            record = self._record(records_path, middle)
            if record is not None and record.offset < border:
                low = middle + 1
            else:
                high = middle
        return low

    def _end_before(self, records_path: str, place: int) -> int | None:
        """The offset at which the segment of record `place` has to begin; None: unknown, because
        the record before it is damaged."""
        if place == 0:
            return self.file.init_size_bytes
        record = self._record(records_path, place - 1)
        return None if record is None else record.end

    def _record(self, records_path: str, place: int) -> IndexRecord | None:
        if place < 0:
            return None
        data = self.disk.read(records_path, place * RECORD_BYTES, RECORD_BYTES)
        return next(read_records(data), None)

    def _is_sound(self, record: IndexRecord, path: str, size: int, end: int | None) -> bool:
        if end not in (None, record.offset) or record.end > size:
            return False
        # One that is known to be damaged was synced before that was known.
        if record.is_damaged:
            return True
        return crc32(self.disk.read(path, record.offset, record.size_bytes)) == record.check

    def _truncate(self, path: str, size: int, keep: int) -> None:
        if size > keep:
            self.disk.truncate(path, keep)
            self.was_cut = True
            if self.has_to_flush:
                self.disk.flush(path)

    def _truncate_part(self, path: str, size: int, end: int, synced: int) -> None:
        """Cut a part where its last sound record ends, unless more than that was synced."""
        if size - end <= MOST_TAIL_BYTES and end >= synced:
            self._truncate(path, size, end)
        else:
            _log.error(
                "{path} holds {count} octets that no index record tells of; they are left alone",
                path=path,
                count=size - end,
            )

    def _spans(self, number: int) -> list[tuple[int, Span]]:
        """The spans of a part, without what a later part has."""
        _, records_path = self._paths(number)
        count = self._size(records_path) // RECORD_BYTES
        runs = Runs()
        known = [] if self.known is None else self.known.get(number, [])
        first = sum(span.last - span.first + 1 for span in known)
        if first > count:
            known, first = [], 0
        for span in known:
            runs.add(span.first, span.last, span.start_time_us, span.end_time_us, span.size_bytes)
        data = self.disk.read(records_path, first * RECORD_BYTES, (count - first) * RECORD_BYTES)
        for row in read_numbers(data):
            if row is None:
                continue
            sequence, _, size, _, start_us, _, duration_ms, *_ = row
            if sequence not in self.taken:
                runs.add(sequence, sequence, start_us, end_us(start_us, duration_ms), size)
        for run in runs.runs:
            self.taken.add(run.first, run.last)
        return [(number, run.as_span()) for run in runs.runs]
