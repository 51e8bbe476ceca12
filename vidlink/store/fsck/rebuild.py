"""Making lost records anew from the boxes of a part, and putting aside what is no segment.

Such records are marked as unverified: when a segment came, and what its bytes were then, nobody
knows any more. The records that were there are kept beside the new ones.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from vidlink.disk import Disk, write_all
from vidlink.errors import NotMedia
from vidlink.fmp4 import MediaInfo, read_init
from vidlink.store.files.layout import (
    RECORD_BYTES,
    TIME_CORRECTED,
    IndexRecord,
    SessionFile,
    read_records,
)
from vidlink.store.files.pieces import PIECE_BYTES, PieceReader
from vidlink.store.files.segments import read_segments
from vidlink.store.fsck.findings import FindingKind
from vidlink.store.fsck.part import BAD, RECORDS_AT_ONCE, CheckedPart


@dataclass(slots=True)
class Rebuild:
    """The work on one part of the session that `file` describes.

    `now_us` names what is put aside; `came` is told of every octet that is read.

    :raises OSError: from every method, if the disk fails.
    """

    disk: Disk
    file: SessionFile
    part: CheckedPart
    now_us: int
    came: Callable[[int], None]
    #: The new records, packed: there may be as many as a part has segments.
    made: bytearray = field(default_factory=bytearray, init=False)
    newest: IndexRecord | None = field(default=None, init=False)
    #: Where what is no segment begins at the end of the part.
    tail: int = field(default=0, init=False)

    def run(self, *, is_rebuilding: bool) -> bool:
        """Do what can be done; returns whether the part has to be looked at again.

        Without `is_rebuilding` only a tail that does not begin with a segment is put aside,
        and a record that is not whole is cut.
        """
        part = self.part
        if part.part_bytes is None or not part.has_init:
            return False
        self.tail = part.part_bytes
        with PieceReader(self.disk, part.path, self.came) as reader:
            try:
                media = read_init(reader.read(0, self.file.init_size_bytes))
            except NotMedia:
                return False
            for start, end in part.unknown:
                self._read(reader, media, start, end)
            if self.made and not is_rebuilding:
                return False
            is_changed = self._write_records() if is_rebuilding else self._cut_record()
            if self.tail < part.part_bytes and part.records_bytes is not None:
                self._put_aside(reader)
                is_changed = True
        return is_changed

    def _read(self, reader: PieceReader, media: MediaInfo, start: int, end: int) -> None:
        """Make records of the segments that lie there."""
        place = start
        for record in read_segments(reader, start, end, media, self.file.session.started_time_us):
            if not _ascends(self.newest, record):
                break
            self.newest = record
            self.made += record.pack()
            place = record.end
        if end == self.part.part_bytes:
            self.tail = place

    def _write_records(self) -> bool:
        """Put old and new ones, in the order of the part, in the place of what was there."""
        part, count = self.part, len(self.made) // RECORD_BYTES
        if not count and part.records_bytes is not None:
            return self._cut_record()
        fresh = f"{part.records_path}.new"
        self.disk.remove(fresh)
        descriptor = self.disk.create(fresh)
        try:
            merged = self._merged()
            while piece := list(islice(merged, RECORDS_AT_ONCE)):
                write_all(self.disk, descriptor, [b"".join(piece)])
            self.disk.fdatasync(descriptor)
        finally:
            self.disk.close(descriptor)
        if part.records_bytes and (BAD in part.marks or part.records_bytes % RECORD_BYTES):
            os.link(part.records_path, f"{part.records_path}.before-{self.now_us}")
        os.replace(fresh, part.records_path)
        self.disk.sync_folder(os.path.dirname(part.path))
        part.records_bytes = part.records_bytes or 0
        noun = "record was" if count == 1 else "records were"
        self._say(
            {FindingKind.RECORD, FindingKind.NO_RECORDS, FindingKind.TAIL},
            f"{count:,} {noun} made anew",
        )
        return True

    def _merged(self) -> Iterator[bytes]:
        """The records as they will be: a new one only where it keeps the order."""
        made = deque(one for one in read_records(bytes(self.made)) if one is not None)
        newest: IndexRecord | None = None
        for old in self._old():
            while made and made[0].offset < old.offset:
                one = made.popleft()
                if _ascends(newest, one) and _ascends(one, old):
                    newest = _held(newest, one, old)
                    yield newest.pack()
            newest = old
            yield old.pack()
        for one in made:
            if _ascends(newest, one):
                newest = _held(newest, one, None)
                yield newest.pack()

    def _old(self) -> Iterator[IndexRecord]:
        """The records that were there and are sound."""
        part = self.part
        for low in range(0, part.count, RECORDS_AT_ONCE):
            size = min(RECORDS_AT_ONCE, part.count - low) * RECORD_BYTES
            data = self.disk.read(part.records_path, low * RECORD_BYTES, size)
            for place, record in enumerate(read_records(data), low):
                if record is not None and part.marks[place] != BAD:
                    yield record

    def _cut_record(self) -> bool:
        """Cut what there is of a record that is not whole."""
        part = self.part
        if not (part.records_bytes or 0) % RECORD_BYTES:
            return False
        self.disk.truncate(part.records_path, part.count * RECORD_BYTES)
        self.disk.flush(part.records_path)
        self._say({FindingKind.TAIL}, "cut to whole records")
        return True

    def _put_aside(self, reader: PieceReader) -> None:
        """Move what is no segment at the end of the part into a file of its own."""
        part, size = self.part, reader.size_bytes
        aside = f"{part.path}.tail-{self.tail}-{self.now_us}"
        descriptor = self.disk.create(aside)
        try:
            for place in range(self.tail, size, PIECE_BYTES):
                data = reader.read(place, min(PIECE_BYTES, size - place))
                write_all(self.disk, descriptor, [data])
            self.disk.fdatasync(descriptor)
        finally:
            self.disk.close(descriptor)
        if self.disk.size(aside) != size - self.tail:
            raise OSError(errno.EIO, "the end of a part cannot be read, and is left where it is")
        self.disk.sync_folder(os.path.dirname(part.path))
        self.disk.truncate(part.path, self.tail)
        self.disk.flush(part.path)
        count = size - self.tail
        text = f"{count:,} octets that are no segment were put aside as {os.path.basename(aside)}"
        self._say({FindingKind.TAIL}, text)

    def _say(self, kinds: set[FindingKind], text: str) -> None:
        """Say of the findings of these kinds that they are mended."""
        self.part.findings = [
            replace(one, mended=f"{one.mended}; {text}" if one.mended else text)
            if one.kind in kinds
            else one
            for one in self.part.findings
        ]


def _held(
    before: IndexRecord | None, record: IndexRecord, after: IndexRecord | None
) -> IndexRecord:
    """`record` with a start time between those of its neighbours: by that segments are found."""
    start_us = record.start_time_us
    if after is not None:
        start_us = min(start_us, after.start_time_us)
    if before is not None:
        start_us = max(start_us, before.start_time_us)
    if start_us == record.start_time_us:
        return record
    return record._replace(start_time_us=start_us, flags=record.flags | TIME_CORRECTED)


def _ascends(before: IndexRecord | None, record: IndexRecord) -> bool:
    """True if `record` may follow the one `before`, if there is one."""
    return before is None or (
        record.sequence > before.sequence and record.media_time > before.media_time
    )
