"""Making lost records anew from the boxes of a part, and putting aside what is no segment.

Such records are marked as unverified: when a segment came, and what its bytes were then, nobody
knows any more. The records that were there are kept beside the new ones.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from vidlink.disk import Disk, write_all
from vidlink.errors import NotMedia
from vidlink.fmp4 import MediaInfo, read_init
from vidlink.store.files.layout import RECORD_BYTES, IndexRecord, SessionFile, read_records
from vidlink.store.files.pieces import PIECE_BYTES, PieceReader
from vidlink.store.files.segments import Segments
from vidlink.store.fsck.findings import FindingKind
from vidlink.store.fsck.part import BAD, RECORDS_AT_ONCE, CheckedPart


class Rebuild:
    """The work on one part of the session that `file` describes.

    `now_us` names what is put aside; `came` is told of every octet that is read.

    :raises OSError: from every method, if the disk fails.
    """

    def __init__(
        self,
        disk: Disk,
        file: SessionFile,
        part: CheckedPart,
        now_us: int,
        came: Callable[[int], None],
    ) -> None:
        self._disk = disk
        self._file = file
        self._part = part
        self._now_us = now_us
        self._came = came
        #: The new records, packed: there may be as many as a part has segments.
        self._made = bytearray()
        self._newest: IndexRecord | None = None
        #: Where what is no segment begins at the end of the part.
        self._tail = part.part_bytes or 0

    def run(self, *, is_rebuilding: bool) -> bool:
        """Do what can be done; returns whether the part has to be looked at again.

        Without `is_rebuilding` only a tail that does not begin with a segment is put aside,
        and a record that is not whole is cut.
        """
        part = self._part
        if part.part_bytes is None or not part.has_init:
            return False
        with PieceReader(self._disk, part.path, self._came) as reader:
            media = self._media(reader)
            if media is None:
                return False
            for start, end in part.unknown:
                self._read(reader, media, start, end)
            if self._made and not is_rebuilding:
                return False
            is_changed = self._write_records() if is_rebuilding else self._cut_record()
            if self._tail < part.part_bytes and part.records_bytes is not None:
                self._put_aside(reader)
                is_changed = True
        return is_changed

    def _media(self, reader: PieceReader) -> MediaInfo | None:
        try:
            return read_init(reader.read(0, self._file.init_size_bytes))
        except NotMedia:
            return None

    def _read(self, reader: PieceReader, media: MediaInfo, start: int, end: int) -> None:
        """Make records of the segments that lie there."""
        place = start
        for record in Segments(reader, start, end, media, self._file.session.started_time_us):
            if not _ascends(self._newest, record):
                break
            self._newest = record
            self._made += record.pack()
            place = record.end
        if end == self._part.part_bytes:
            self._tail = place

    def _write_records(self) -> bool:
        """Put old and new ones, in the order of the part, in the place of what was there."""
        part, count = self._part, len(self._made) // RECORD_BYTES
        if not count and part.records_bytes is not None:
            return self._cut_record()
        fresh = f"{part.records_path}.new"
        self._disk.remove(fresh)
        descriptor = self._disk.create(fresh)
        try:
            merged = self._merged()
            while piece := list(islice(merged, RECORDS_AT_ONCE)):
                write_all(self._disk, descriptor, [b"".join(piece)])
            self._disk.fdatasync(descriptor)
        finally:
            self._disk.close(descriptor)
        if part.records_bytes and (BAD in part.marks or part.records_bytes % RECORD_BYTES):
            os.link(part.records_path, f"{part.records_path}.before-{self._now_us}")
        os.replace(fresh, part.records_path)
        self._disk.sync_folder(os.path.dirname(part.path))
        part.records_bytes = part.records_bytes or 0
        noun = "record was" if count == 1 else "records were"
        self._say(
            {FindingKind.RECORD, FindingKind.NO_RECORDS, FindingKind.TAIL},
            f"{count:,} {noun} made anew",
        )
        return True

    def _merged(self) -> Iterator[bytes]:
        """The records as they will be: a new one only where it keeps the order."""
        made = deque(one for one in read_records(bytes(self._made)) if one is not None)
        newest: IndexRecord | None = None
        for old in self._old():
            while made and made[0].offset < old.offset:
                one = made.popleft()
                if _ascends(newest, one) and _ascends(one, old):
                    newest = one
                    yield one.pack()
            newest = old
            yield old.pack()
        for one in made:
            if _ascends(newest, one):
                newest = one
                yield one.pack()

    def _old(self) -> Iterator[IndexRecord]:
        """The records that were there and are sound."""
        part = self._part
        for low in range(0, part.count, RECORDS_AT_ONCE):
            size = min(RECORDS_AT_ONCE, part.count - low) * RECORD_BYTES
            data = self._disk.read(part.records_path, low * RECORD_BYTES, size)
            for place, record in enumerate(read_records(data), low):
                if record is not None and part.marks[place] != BAD:
                    yield record

    def _cut_record(self) -> bool:
        """Cut what there is of a record that is not whole."""
        part = self._part
        if not (part.records_bytes or 0) % RECORD_BYTES:
            return False
        self._disk.truncate(part.records_path, part.count * RECORD_BYTES)
        self._disk.flush(part.records_path)
        self._say({FindingKind.TAIL}, "cut to whole records")
        return True

    def _put_aside(self, reader: PieceReader) -> None:
        """Move what is no segment at the end of the part into a file of its own."""
        part, size = self._part, reader.size_bytes
        aside = f"{part.path}.tail-{self._tail}-{self._now_us}"
        descriptor = self._disk.create(aside)
        try:
            for place in range(self._tail, size, PIECE_BYTES):
                data = reader.read(place, min(PIECE_BYTES, size - place))
                write_all(self._disk, descriptor, [data])
            self._disk.fdatasync(descriptor)
        finally:
            self._disk.close(descriptor)
        if self._disk.size(aside) != size - self._tail:
            raise OSError(errno.EIO, "the end of a part cannot be read, and is left where it is")
        self._disk.sync_folder(os.path.dirname(part.path))
        self._disk.truncate(part.path, self._tail)
        self._disk.flush(part.path)
        count = size - self._tail
        text = f"{count:,} octets that are no segment were put aside as {os.path.basename(aside)}"
        self._say({FindingKind.TAIL}, text)

    def _say(self, kinds: set[FindingKind], text: str) -> None:
        """Say of the findings of these kinds that they are mended."""
        self._part.findings = [
            replace(one, mended=f"{one.mended}; {text}" if one.mended else text)
            if one.kind in kinds
            else one
            for one in self._part.findings
        ]


def _ascends(before: IndexRecord | None, record: IndexRecord) -> bool:
    """True if `record` may follow the one `before`, if there is one."""
    return before is None or (
        record.sequence > before.sequence and record.media_time > before.media_time
    )
