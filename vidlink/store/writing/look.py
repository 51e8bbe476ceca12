"""A second look at segments that were not what was recorded: what is found, and how it is said.

Looks are taken in `marking`; of a session that is being written to `recording` leaves out what one
has found.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from dataclasses import dataclass, field
from zlib import crc32

from vidlink.disk import Disk
from vidlink.model import Gap, Range, Ranges
from vidlink.store.files.flags import change_flags
from vidlink.store.files.layout import DAMAGED
from vidlink.store.files.paths import records_file
from vidlink.store.files.records import SessionRecords
from vidlink.store.files.stored import StoredSession
from vidlink.store.handover.orders import LookAgain
from vidlink.store.sequences.runs import Runs

#: About so many octets are read again in one round.
MOST_LOOK_BYTES = 8 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Look:
    """An order to look again: `left` is what was not looked at yet, `torn` what is not what was
    recorded, by part; `lost` are those sequences of it of which there is no other copy, `gaps` what
    was stated for it."""

    order: LookAgain
    left: deque[Range]
    torn: dict[int, Ranges] = field(default_factory=lambda: defaultdict(Ranges))
    lost: Ranges = field(default_factory=Ranges)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def found(self) -> int:
        """The number of segments that are not what was recorded."""
        return sum(last - first + 1 for ranges in self.torn.values() for first, last in ranges)

    def go_on(self, stored: StoredSession) -> bool:
        """Read what is to be looked at, as much as a round has time for; returns whether that was
        all.

        :raises OSError: if the records cannot be read.
        """
        budget = MOST_LOOK_BYTES
        with stored.records() as records:
            while self.left:
                first, last = self.left.popleft()
                for part, (sequence, offset, size, check, *_) in records.between(first, last):
                    if budget <= 0:
                        self.left.appendleft((sequence, last))
                        return False
                    budget -= size
                    if _is_torn(stored, part, offset, size, check):
                        self.torn[part].add(sequence, sequence)
        return True

    def lose_all_but(self, there: Runs) -> None:
        """Count as lost what was found and is not `there`."""
        for ranges in self.torn.values():
            for first, last in ranges:
                for low, high in there.missing(first, last):
                    self.lost.add(low, high)

    def mark(self, disk: Disk, folder: str) -> None:
        """Say in the records of what was found that it is damaged.

        :raises OSError: if they cannot be written to.
        """
        for number, ranges in self.torn.items():
            with SessionRecords(disk, folder, None) as records:
                places = records.places(number, ranges)
            path = os.path.join(folder, records_file(number))
            each = (place for low, high in places for place in range(low, high + 1))
            change_flags(disk, path, each, lambda flags: flags | DAMAGED)


def _is_torn(stored: StoredSession, part: int, offset: int, size: int, check: int) -> bool:
    """True if a segment can be read, and is not what was recorded; what cannot be read may be so
    for now."""
    try:
        data = stored.read(part, offset, size)
    except OSError:
        return False
    return len(data) != size or crc32(data) != check
