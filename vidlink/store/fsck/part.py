"""Checking one part: its initialization segment, each record, and each segment's bytes.

Both files are read from their beginning to their end, a piece at a time. What is done about
what is found is in `mending`.
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
from vidlink.store.files.pieces import Window
from vidlink.store.fsck.findings import Finding, Kind
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.times import end_us

#: What a record is: fine, no record, of a damaged segment, of one that was known to be damaged
#: before, of one that was and is whole now, or behind all that a sync has covered.
FINE, BAD, TORN, STATED, WHOLE, UNSYNCED = range(6)
_RECORDS_AT_ONCE = 16_384
_FINDING = {
    BAD: (Kind.RECORD, "damaged, or out of order"),
    TORN: (Kind.SEGMENT, "not what was recorded"),
    STATED: (Kind.STATED, "known to be damaged"),
    WHOLE: (Kind.WHOLE_AGAIN, "known to be damaged, and whole again"),
}


@dataclass(slots=True)
class PartState:
    """What was found of part `number`.

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
        """How many whole records there are."""
        return (self.records_bytes or 0) // RECORD_BYTES

    @property
    def rest_bytes(self) -> int:
        """How much there is of a record that is not whole."""
        return (self.records_bytes or 0) % RECORD_BYTES


@dataclass(frozen=True, slots=True)
class Taken:
    """What later parts of a session have: of a sequence in two parts the later copy counts."""

    listed: Runs = field(default_factory=Runs)
    present: Runs = field(default_factory=Runs)

    def take(self, state: PartState) -> None:
        """A part has been checked; earlier ones are next."""
        for mine, its in ((self.listed, state.listed), (self.present, state.present)):
            for run in its.runs:
                mine.add(run.first, run.last)


class PartCheck:
    """A check of the part `number` in `folder`, of the session that `file` describes.

    `taken` is what later parts have; `came` is told of every octet that is read. Of a session
    that was being recorded when the server stopped, `synced` says how many records are known
    to have been synced; None: all.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        number: int,
        file: SessionFile,
        taken: Taken,
        came: Callable[[int], None],
        synced: int | None = None,
    ) -> None:
        self._disk = disk
        self._file = file
        self._taken = taken
        self._came = came
        self._synced = synced
        self._state = PartState(
            number,
            os.path.join(folder, part_file(number)),
            os.path.join(folder, records_file(number)),
            end=file.init_size_bytes,
        )
        self._sequence = self._media_time = -1
        #: The last kind of mark, the places and the sequences that it goes from and to.
        self._range: tuple[int, int, int, int, int] | None = None

    def run(self) -> PartState:
        """Look at everything. A file that cannot be opened is a finding."""
        state = self._state
        try:
            state.part_bytes = _size(state.path)
            state.records_bytes = _size(state.records_path)
            if state.part_bytes is None:
                self._walk(None)
            else:
                with Window(self._disk, state.path, self._came) as part:
                    self._check_init(part)
                    self._walk(part)
        except OSError as error:
            self._find(Kind.UNREADABLE, f"cannot be read: {error.strerror or error}")
        else:
            self._check_ends()
        return state

    def _check_init(self, part: Window) -> None:
        file = self._file
        found = part.check(0, file.init_size_bytes)
        self._state.has_init = found == file.init_check
        if not self._state.has_init and self._synced is None:
            self._find(Kind.INIT, "the initialization segment is not what was recorded")

    def _walk(self, part: Window | None) -> None:
        state = self._state
        for place, record in enumerate(self._records()):
            if record is None or not self._follows(record):
                self._mark(place, BAD, -1)
                continue
            if record.offset > state.end:
                self._skip(place, record.offset)
            state.end = record.end
            self._lose_between(self._sequence, record.sequence)
            self._sequence, self._media_time = record.sequence, record.media_time
            found = None if part is None else part.check(record.offset, record.size_bytes)
            self._judge(place, record, found == record.check)
        if state.marks and state.marks[-1] == BAD:
            count = len(state.marks) - len(state.marks.rstrip(bytes((BAD,))))
            state.lost.add(self._sequence + 1, self._sequence + count)
        self._say_range()

    def _records(self) -> Iterator[IndexRecord | None]:
        state = self._state
        if state.records_bytes is None:
            return
        with Window(self._disk, state.records_path, self._came) as records:
            size = _RECORDS_AT_ONCE * RECORD_BYTES
            for offset in range(0, state.count * RECORD_BYTES, size):
                wanted = min(size, state.count * RECORD_BYTES - offset)
                data = records.read(offset, wanted)
                # What cannot be read is no record.
                yield from read_records(data + bytes(wanted - len(data)))

    def _follows(self, record: IndexRecord) -> bool:
        return (
            record.sequence > self._sequence
            and record.media_time > self._media_time
            and record.offset >= self._state.end
            and record.size_bytes > 0
        )

    def _skip(self, place: int, offset: int) -> None:
        """Octets before `offset` are told of by no record."""
        state = self._state
        state.unknown.append((state.end, offset))
        if not place or state.marks[place - 1] != BAD:
            self._find(Kind.RECORD, f"no record tells of octets {state.end} to {offset - 1}")

    def _lose_between(self, before: int, sequence: int) -> None:
        """Behind records that are none: what they told of lies between these two."""
        marks = self._state.marks
        if marks and marks[-1] == BAD and sequence > before + 1:
            self._state.lost.add(before + 1, sequence - 1)

    def _judge(self, place: int, record: IndexRecord, is_whole: bool) -> None:
        state, sequence, start_us = self._state, record.sequence, record.start_time_us
        is_stated = record.is_damaged
        if self._synced is not None and place >= self._synced:
            mark = FINE if is_whole and not is_stated else UNSYNCED
        elif is_whole:
            mark = WHOLE if is_stated else FINE
        else:
            mark = STATED if is_stated else TORN
        over_us = end_us(start_us, record.duration_ms)
        known = sequence, sequence, start_us, over_us, record.size_bytes
        if not is_stated and sequence not in self._taken.listed:
            state.listed.add(*known)
        if is_whole and sequence not in self._taken.present:
            state.present.add(*known)
        if not is_whole:
            state.lost.add(sequence, sequence)
        self._mark(place, mark, sequence)

    def _mark(self, place: int, mark: int, sequence: int) -> None:
        """Record `place` is this; what is the same side by side is one finding."""
        current = self._range
        if mark == BAD and self._synced is not None and place >= self._synced:
            mark = UNSYNCED
        self._state.marks.append(mark)
        if current is not None and current[0] == mark:
            self._range = (mark, current[1], place, current[3], sequence)
        else:
            self._say_range()
            self._range = (mark, place, place, sequence, sequence)

    def _say_range(self) -> None:
        """What the records side by side are is one finding; of a part that is gone, none."""
        if self._range is None or self._state.part_bytes is None:
            return
        mark, *places, first, last = self._range
        if mark not in _FINDING:
            return
        kind, text = _FINDING[mark]
        if kind is Kind.RECORD:
            self._find(kind, f"{_range('record', *places)}: {text}")
        else:
            self._find(kind, f"{_range('segment', first, last)}: {text}", first, last)

    def _check_ends(self) -> None:
        """What is there of one file and not of the other."""
        state = self._state
        part_bytes, records_bytes = state.part_bytes, state.records_bytes
        if part_bytes is not None and part_bytes > state.end:
            state.unknown.append((state.end, part_bytes))
        if self._synced is not None:
            return
        if part_bytes is None:
            is_stated = state.marks.count(STATED) == len(state.marks)
            kind = Kind.STATED if is_stated else Kind.NO_PART
            self._find(kind, f"the part is gone, of which {state.count:,} records tell")
        elif records_bytes is None:
            self._find(Kind.NO_RECORDS, f"a part of {part_bytes:,} octets has no records")
        elif part_bytes > state.end:
            count = part_bytes - state.end
            self._find(Kind.TAIL, f"no record tells of the last {count:,} octets")
        if state.rest_bytes:
            self._find(Kind.TAIL, "the last record is not whole")

    def _find(
        self, kind: Kind, text: str, first: int | None = None, last: int | None = None
    ) -> None:
        session, number = self._file.session, self._state.number
        place = session.sentinel_id, session.session_id, number, first, last
        self._state.findings.append(Finding(kind, text, *place))


def _size(path: str) -> int | None:
    """The size of a file; None if there is none. Raises :exc:`OSError`."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"{os.path.basename(path)} is no file")
    return found.st_size


def _range(noun: str, first: int, last: int) -> str:
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"
