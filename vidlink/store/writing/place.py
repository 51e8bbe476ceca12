"""The place of a session that is written to: whether what was written is where it is looked for.

A folder may be removed, moved away or replaced by a copy under a running server, and descriptors
go on working. So all is looked at by its name before it is acknowledged: the folder, which tells
whether a name in it came or went; and if so, each file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vidlink.disk import Disk
from vidlink.model import Ranges, Span
from vidlink.store.files.layout import MISPLACED, RECORD_BYTES, read_numbers
from vidlink.store.files.paths import SESSION_FILE, part_file, part_numbers, records_file
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.times import end_us
from vidlink.store.writing.part import Part

_GONE = "a file or folder of the session was removed, moved away or replaced"


class SessionPlace:
    """The folder of one session, as it was when it was looked at last."""

    def __init__(self, folder: str, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._mark: tuple[int, int, int] | None = None

    def check(
        self, parts: Sequence[Part], left: Iterable[int] = (), *, has_new_names: bool
    ) -> None:
        """Make sure that the description, `parts`, and those of the numbers `left` are in the
        folder.

        Where we have made names ourselves in this round, the next one looks at each again: the
        clock of the file system does not tell apart what happens within some milliseconds.

        :raises OSError: if they are not, or not the files that were written to.
        """
        try:
            mark = self._disk.names_mark(self._folder)
            if mark != self._mark:
                self._disk.size(os.path.join(self._folder, SESSION_FILE))
                if not all(part.is_in_place(self._disk) for part in parts):
                    raise FileNotFoundError
                for number in left:
                    for name in (part_file(number), records_file(number)):
                        self._disk.size(os.path.join(self._folder, name))
                self._mark = None if has_new_names else mark
        except FileNotFoundError as error:
            self._mark = None
            raise OSError(errno.ENOENT, _GONE) from error


@dataclass(slots=True)
class Remains:
    """The content of a folder, found by names: runs by part, and the records of each part."""

    runs: list[tuple[int, Runs]] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    next_number: int = 0

    @property
    def spans(self) -> list[tuple[int, Span]]:
        """The runs as values, each with its part."""
        return [(number, span) for number, runs in self.runs for span in runs.runs]


def find_remains(folder: str, disk: Disk, torn: Sequence[Mapping[int, Ranges]] = ()) -> Remains:
    """All that is in the folder of a session now, which may not be there at all, but for what is
    `torn`, by part.

    :raises OSError: if it cannot be read.
    """
    remains, taken = Remains(), Runs()
    try:
        numbers = part_numbers(os.listdir(folder))
    except FileNotFoundError:
        return remains
    remains.next_number = 1 + max(numbers, default=-1)
    # Of a sequence in two parts the copy in the later one counts.
    for number in reversed(numbers):
        try:
            size = disk.size(os.path.join(folder, part_file(number)))
            path = os.path.join(folder, records_file(number))
            data = disk.read(path, 0, disk.size(path))
        except FileNotFoundError:
            continue
        remains.counts[number] = len(data) // RECORD_BYTES
        lost = [ranges for one in torn for ranges in one.get(number, ())]
        runs = _runs(data, size, taken, Ranges(lost))
        for run in runs.runs:
            taken.add(run.first, run.last)
        remains.runs.append((number, runs))
    return remains


def _runs(data: bytes, size: int, besides: Runs, torn: Ranges) -> Runs:
    """The runs that these records tell of and that are in a part of this size."""
    runs = Runs()
    lost = {sequence for low, high in torn for sequence in range(low, high + 1)}
    for row in read_numbers(data):
        if row is None:
            continue
        sequence, offset, octets, _, start_us, media_time, duration_ms, _, _, flags, *_ = row
        if offset + octets <= size and sequence not in besides and sequence not in lost:
            mark = None if flags & MISPLACED else (sequence, start_us, media_time)
            over_us = end_us(start_us, duration_ms)
            runs.add(sequence, sequence, start_us, over_us, octets, mark, mark)
    return runs


def merged(remains: Remains) -> Runs:
    """The runs that those of all parts come to, with their marks."""
    runs = Runs()
    each = [
        (own.at(place), own.marks(place)) for _, own in remains.runs for place in range(len(own))
    ]
    for span, marks in sorted(each, key=lambda one: one[0].first):
        start_us, over_us = span.start_time_us, span.end_time_us
        runs.add(span.first, span.last, start_us, over_us, span.size_bytes, *marks)
    return runs
