"""Checking one part: its initialization segment, each record, and each segment's bytes.

Both files are read from their beginning to their end, a piece at a time. This is one idea, the one
walk in which records and segments are held against each other. What is done about what is found is
in `mending`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vidlink.disk import Disk
from vidlink.store.files.layout import RECORD_BYTES, IndexRecord, SessionFile, read_records
from vidlink.store.files.paths import part_file, records_file
from vidlink.store.files.pieces import PieceReader
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.times import end_us

#: The marks of a record: fine, no record, of a damaged segment, of one that was known to be damaged
#: before, of one that was and is whole now, or behind all that a sync has covered.
FINE, BAD, TORN, STATED, WHOLE, UNSYNCED = range(6)
#: Those from which it does not follow that there was something before them.
_LOOSE = bytes((BAD, TORN, UNSYNCED))
#: So many records are read at a time.
RECORDS_AT_ONCE = 16_384
_FINDING = {
    BAD: (FindingKind.RECORD, "damaged, or out of order"),
    TORN: (FindingKind.SEGMENT, "not what was recorded"),
    STATED: (FindingKind.STATED, "known to be damaged"),
    WHOLE: (FindingKind.WHOLE_AGAIN, "known to be damaged, and whole again"),
}


@dataclass(slots=True)
class CheckedPart:
    """Part `number` as it was found.

    `marks` has what each record is. `part_bytes` and `records_bytes` are the sizes of the
    files, None where there is none; `end` is where the last segment that a record tells of
    ends, and `unknown` are the stretches of the part that no record tells of. `listed` is what
    the records say is there, `present` what is; `lost` are sequences that cannot be had.
    """

    number: int
    path: str
    records_path: str
    part_bytes: int | None = None
    records_bytes: int | None = None
    has_init: bool = False
    end: int = 0
    marks: bytearray = field(default_factory=bytearray)
    unknown: list[tuple[int, int]] = field(default_factory=list)
    listed: Runs = field(default_factory=Runs)
    present: Runs = field(default_factory=Runs)
    lost: Runs = field(default_factory=Runs)
    findings: list[Finding] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of whole records."""
        return (self.records_bytes or 0) // RECORD_BYTES

    @property
    def rest_bytes(self) -> int:
        """The octets that there are of a record that is not whole."""
        return (self.records_bytes or 0) % RECORD_BYTES


@dataclass(frozen=True, slots=True)
class LaterParts:
    """The sequences of later parts: of a sequence in two parts the later copy counts."""

    listed: Runs = field(default_factory=Runs)
    present: Runs = field(default_factory=Runs)

    def add(self, checked: CheckedPart) -> None:
        """Add those of a part that has been checked; earlier ones are next."""
        for mine, its in ((self.listed, checked.listed), (self.present, checked.present)):
            for run in its.runs:
                mine.add(run.first, run.last)


class PartChecker:
    """A check of the part `number` in `folder`, of the session that `file` describes.

    `later` is what later parts have; `came` is told of every octet that is read. Of a session
    that was being recorded when the server stopped, `synced` says how many records are known
    to have been synced; None: all.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        number: int,
        file: SessionFile,
        later: LaterParts,
        came: Callable[[int], None],
        synced: int | None = None,
    ) -> None:
        self._disk = disk
        self._file = file
        self._later = later
        self._came = came
        self._synced = synced
        self._checked = CheckedPart(
            number,
            os.path.join(folder, part_file(number)),
            os.path.join(folder, records_file(number)),
            end=file.init_size_bytes,
        )
        self._sequence = self._media_time = -1
        #: Mark and sequence of all that no sync may have covered and is not whole: damaged if
        #: something whole comes behind it, and otherwise what a kill leaves.
        self._tail: list[tuple[int, int]] = []
        self._is_broken = False
        #: The last kind of mark, the places and the sequences that it goes from and to.
        self._range: tuple[int, int, int, int, int] | None = None

    def run(self) -> CheckedPart:
        """Look at everything. A file that cannot be opened is a finding."""
        checked = self._checked
        try:
            checked.part_bytes = _size(checked.path)
            checked.records_bytes = _size(checked.records_path)
            if checked.part_bytes is None:
                self._walk(None)
            else:
                with PieceReader(self._disk, checked.path, self._came) as part:
                    self._check_init(part)
                    self._walk(part)
                if not checked.has_init and (self._synced is None or checked.marks.strip(_LOOSE)):
                    text = "the initialization segment is not what was recorded"
                    self._find(FindingKind.INIT, text)
        except OSError as error:
            self._find(FindingKind.UNREADABLE, f"cannot be read: {error.strerror or error}")
        else:
            self._check_ends()
        return checked

    def _check_init(self, part: PieceReader) -> None:
        file = self._file
        found = part.check(0, file.init_size_bytes)
        self._checked.has_init = found == file.init_check

    def _walk(self, part: PieceReader | None) -> None:
        checked = self._checked
        for place, record in enumerate(self._records()):
            if record is None or not self._follows(record):
                self._mark(place, BAD, -1)
                continue
            if record.offset > checked.end:
                self._skip(record.offset)
            checked.end = record.end
            before, self._sequence = self._sequence, record.sequence
            self._media_time = record.media_time
            found = None if part is None else part.check(record.offset, record.size_bytes)
            self._judge(place, record, found == record.check)
            if self._is_broken and not self._tail:
                checked.lost.add(before + 1, record.sequence - 1)
            self._is_broken = False
        if checked.marks and checked.marks[-1] == BAD:
            count = len(checked.marks) - len(checked.marks.rstrip(bytes((BAD,))))
            checked.lost.add(self._sequence + 1, self._sequence + count)
        self._say_range()
        checked.marks += bytes((UNSYNCED,)) * len(self._tail)

    def _records(self) -> Iterator[IndexRecord | None]:
        checked = self._checked
        if checked.records_bytes is None:
            return
        with PieceReader(self._disk, checked.records_path, self._came) as records:
            size = RECORDS_AT_ONCE * RECORD_BYTES
            for offset in range(0, checked.count * RECORD_BYTES, size):
                wanted = min(size, checked.count * RECORD_BYTES - offset)
                data = records.read(offset, wanted)
                # What cannot be read is no record.
                yield from read_records(data + bytes(wanted - len(data)))

    def _follows(self, record: IndexRecord) -> bool:
        return (
            record.sequence > self._sequence
            and record.media_time > self._media_time
            and record.offset >= self._checked.end
            and record.size_bytes > 0
        )

    def _skip(self, offset: int) -> None:
        """Note the octets before `offset`, which no record tells of."""
        checked = self._checked
        checked.unknown.append((checked.end, offset))
        if not self._is_broken:
            self._find(
                FindingKind.RECORD, f"no record tells of octets {checked.end} to {offset - 1}"
            )

    def _judge(self, place: int, record: IndexRecord, is_whole: bool) -> None:
        checked, sequence, start_us = self._checked, record.sequence, record.start_time_us
        is_stated = record.is_damaged
        mark = (STATED, WHOLE)[is_whole] if is_stated else (TORN, FINE)[is_whole]
        over_us = end_us(start_us, record.duration_ms)
        known = sequence, sequence, start_us, over_us, record.size_bytes
        if not is_stated and sequence not in self._later.listed:
            checked.listed.add(*known)
        if is_whole and sequence not in self._later.present:
            checked.present.add(*known)
        if not is_whole:
            checked.lost.add(sequence, sequence)
        self._mark(place, mark, sequence)

    def _mark(self, place: int, mark: int, sequence: int) -> None:
        """Mark record `place`, or put that off until it is known whether it is in the tail."""
        self._is_broken = self._is_broken or mark == BAD
        if mark in (BAD, TORN) and self._synced is not None and place >= self._synced:
            self._tail.append((mark, sequence))
            return
        tail, self._tail = self._tail, []
        for ahead, one in enumerate([*tail, (mark, sequence)], place - len(tail)):
            self._mark_now(ahead, *one)

    def _mark_now(self, place: int, mark: int, sequence: int) -> None:
        """Mark record `place`; what is the same side by side is one finding."""
        current = self._range
        self._checked.marks.append(mark)
        if current is not None and current[0] == mark:
            self._range = (mark, current[1], place, current[3], sequence)
        else:
            self._say_range()
            self._range = (mark, place, place, sequence, sequence)

    def _say_range(self) -> None:
        """Report records side by side as one finding; of a part that is gone, none."""
        if self._range is None or self._checked.part_bytes is None:
            return
        mark, *places, first, last = self._range
        if mark not in _FINDING:
            return
        kind, text = _FINDING[mark]
        if kind is FindingKind.RECORD:
            self._find(kind, f"{_range('record', *places)}: {text}")
        else:
            self._find(kind, f"{_range('segment', first, last)}: {text}", first, last)

    def _check_ends(self) -> None:
        """Look for what is there of one file and not of the other."""
        checked = self._checked
        part_bytes, records_bytes = checked.part_bytes, checked.records_bytes
        if part_bytes is not None and part_bytes > checked.end:
            checked.unknown.append((checked.end, part_bytes))
        if self._synced is not None:
            self._check_synced(self._synced)
            return
        if part_bytes is None:
            is_stated = checked.marks.count(STATED) == len(checked.marks)
            kind = FindingKind.STATED if is_stated else FindingKind.NO_PART
            self._find(kind, f"the part is gone, of which {checked.count:,} records tell")
        elif records_bytes is None:
            self._find(FindingKind.NO_RECORDS, f"a part of {part_bytes:,} octets has no records")
        elif part_bytes > checked.end:
            count = part_bytes - checked.end
            self._find(FindingKind.TAIL, f"no record tells of the last {count:,} octets")
        if checked.rest_bytes:
            self._find(FindingKind.TAIL, "the last record is not whole")

    def _check_synced(self, synced: int) -> None:
        """Look for what must be there of a part that was being written to."""
        checked = self._checked
        if checked.part_bytes is None and synced:
            self._find(FindingKind.NO_PART, f"the part is gone, of {synced:,} segments")
        elif checked.records_bytes is None and checked.unknown:
            text = f"a part of {checked.part_bytes:,} octets has no records"
            self._find(FindingKind.NO_RECORDS, text)
        elif checked.count < synced:
            text = f"{synced - checked.count:,} records are gone that the database tells of"
            self._find(FindingKind.RECORD, text)

    def _find(
        self, kind: FindingKind, text: str, first: int | None = None, last: int | None = None
    ) -> None:
        session, number = self._file.session, self._checked.number
        place = session.sentinel_id, session.session_id, number, first, last
        self._checked.findings.append(Finding(kind, text, *place))


def _size(path: str) -> int | None:
    """The size of a file; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"{os.path.basename(path)} is no file")
    return found.st_size


def _range(noun: str, first: int, last: int) -> str:
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"
