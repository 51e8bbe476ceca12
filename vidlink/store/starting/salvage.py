"""The sound part of one session's folder: tails that no sync ever covered are cut.

Only a session that was being recorded when the server stopped has such tails. What lies before a
segment that is whole is none: if it is not whole itself, it is damaged, which its record says from
then on. Truth is in the index records and the segments' checksums; which sessions to look at is
decided in `recovery`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import Ranges, Span
from vidlink.store.files.flags import change_flags
from vidlink.store.files.layout import (
    DAMAGED,
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
    """The content of a session's folder: unbroken spans, each with the part that it is in.

    `lost` are sequences of which there is a copy that is damaged.
    """

    spans: list[tuple[int, Span]]
    was_cut: bool
    lost: Ranges = field(default_factory=Ranges)


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
    _lost: Ranges = field(default_factory=Ranges, init=False)
    #: The parts of which less is whole than the database tells of.
    _disproved: set[int] = field(default_factory=set, init=False)

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
        return Salvaged(sorted(spans, key=_place), self.was_cut, self._lost)

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
        synced = self._synced(number, records_path, count)
        # The last record is looked at even if it was synced: it costs one segment.
        first = max(0, min(synced, count - 1))
        data = self.disk.read(records_path, first * RECORD_BYTES, (count - first) * RECORD_BYTES)
        records = list(read_records(data))
        is_whole = [self._is_whole(record, path, size) for record in records]
        kept = len(records) - is_whole[::-1].index(True) if True in is_whole else 0
        kept = max(kept, min(synced - first, len(records)))
        if not all(is_whole[:kept]):
            _log.error("{path} is damaged before its end; see vidlink fsck", path=path)
            self._disproved.add(number)
        before = self._record(records_path, first - 1)
        self._lose(
            records[:kept],
            is_whole,
            before.sequence if before is not None else -1 if not first else None,
        )
        self._mark(records_path, first, records[:kept], is_whole)
        self._truncate(records_path, records_size, (first + kept) * RECORD_BYTES)
        if not first + kept and not self._has_init(path):
            self.disk.remove(records_path)
            self.disk.remove(path)
            self.was_cut = True
            return False
        newest = records[kept - 1] if kept else before
        end = (
            newest.end
            if newest is not None
            else None
            if first + kept
            else self.file.init_size_bytes
        )
        if end is not None and size > end:
            self._truncate_part(path, size, end, self._synced_bytes(number, count))
        return True

    def _synced_bytes(self, number: int, count: int) -> int:
        """Up to where a part is known to have been synced; all of it may have been where there is
        no record and no database, or no file of records: that is made before anything is
        written."""
        if not count and (self.known is None or not os.path.exists(self._paths(number)[1])):
            return sys.maxsize
        spans = () if self.known is None else self.known.get(number, ())
        return self.file.init_size_bytes + sum(span.size_bytes for span in spans) if spans else 0

    def _lose(
        self,
        records: Sequence[IndexRecord | None],
        is_whole: Sequence[bool],
        sequence: int | None,
    ) -> None:
        """Note what is lost of these `records`, which follow the one of `sequence`, if known."""
        is_broken = False
        for record, was_whole in zip(records, is_whole, strict=False):
            if record is None:
                is_broken = True
                continue
            if is_broken and sequence is not None:
                self._lost.add(sequence + 1, record.sequence - 1)
            if record.is_damaged or not was_whole:
                self._lost.add(record.sequence, record.sequence)
            sequence, is_broken = record.sequence, False

    def _mark(
        self,
        records_path: str,
        first: int,
        records: Sequence[IndexRecord | None],
        is_whole: Sequence[bool],
    ) -> None:
        """Say in the record of each damaged segment that it is, from the `first` on."""
        torn = (
            first + place
            for place, record in enumerate(records)
            if record is not None and not is_whole[place]
        )
        change_flags(self.disk, records_path, torn, lambda flags: flags | DAMAGED)

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

    def _record(self, records_path: str, place: int) -> IndexRecord | None:
        if place < 0:
            return None
        data = self.disk.read(records_path, place * RECORD_BYTES, RECORD_BYTES)
        return next(read_records(data), None)

    def _is_whole(self, record: IndexRecord | None, path: str, size: int) -> bool:
        """True if the segment of `record` is what was recorded, or was known to be damaged: that
        one was synced before."""
        if record is None or record.is_damaged:
            return record is not None
        return record.end <= size and record.check == crc32(
            self.disk.read(path, record.offset, record.size_bytes)
        )

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
        is_known = self.known is not None and number not in self._disproved
        known = self.known.get(number, []) if self.known is not None and is_known else []
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
            # Records of what is damaged are among the first, and not in what is known: so some of
            # those that are known may be among these.
            if sequence not in self.taken and sequence not in runs:
                runs.add(sequence, sequence, start_us, end_us(start_us, duration_ms), size)
        for run in runs.runs:
            self.taken.add(run.first, run.last)
        return [(number, run) for run in runs.runs]
