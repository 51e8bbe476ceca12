"""The parts of one session that are written now, and which of them a segment goes to.

What a part is, and how it gets to the disk, is in `part`.
"""

from __future__ import annotations

from vidlink.model import Arrival
from vidlink.store.handover.orders import Past
from vidlink.store.writing.part import OpenParts, Part

#: So many parts of one session may be written to by turns; the oldest are left alone.
_MOST_TAILS = 8
#: So much the making of files counts in a round, of a session or of one more part: it takes about
#: a millisecond, and they stay open until the round is over.
START_BYTES = 32 * 1024
#: A segment that breaks the order in so many parts is not recorded: each part is two files.
MOST_PARTS = 1_000


class Parts:
    """The parts of a session in `folder` that this process has begun, besides those of `past`."""

    def __init__(self, folder: str, init: bytes, open_parts: OpenParts, past: Past | None) -> None:
        self._folder = folder
        self._init = init
        self._open_parts = open_parts
        self._has_first = past is not None and bool(past.parts)
        self._next_number = 0 if past is None else past.next_number
        #: In ascending order of their numbers.
        self.begun: list[Part] = []
        self._tails: list[Part] = []

    @property
    def unsynced(self) -> list[Part]:
        """The parts that hold something that is not on disk yet."""
        return [part for part in self.begun if part.is_dirty]

    def begin(self) -> None:
        """Let there be a first part, also of a session without a segment: it has the init."""
        if not (self.begun or self._has_first):
            self._begin_part()

    def add(self, arrival: Arrival) -> int | None:
        """Put a segment into a part; returns how many octets that counts, None for no place."""
        count = len(self.begun)
        part = self._part_for(arrival)
        if part is None:
            return None
        part.add(arrival)
        return len(arrival.segment.data) + START_BYTES * (len(self.begun) - count)

    def _part_for(self, arrival: Arrival) -> Part | None:
        """The part that `arrival` follows most closely; a new one if none keeps the order, and
        None if there are too many for that."""
        best: Part | None = None
        for part in self._tails:
            if part.can_add(arrival) and (best is None or part.last_sequence > best.last_sequence):
                best = part
        if best is None and not (self._tails and self._next_number >= MOST_PARTS):
            return self._begin_part()
        return best

    def _begin_part(self) -> Part:
        part = Part(self._folder, self._next_number, self._init)
        self._next_number += 1
        self.begun.append(part)
        self._tails = [*self._tails[1 - _MOST_TAILS :], part]
        return part

    def commit(self) -> list[tuple[int, int]]:
        """Count all as synced; returns each part that has grown, as number and count of records."""
        grown = self.unsynced
        for part in grown:
            part.commit()
        return [(part.number, part.committed_count) for part in grown]

    def lose(self) -> None:
        """Give up what is not synced: it comes again, for other parts."""
        for part in self.unsynced:
            if part.abandon(self._open_parts):
                self.begun.remove(part)
                self._next_number = min(self._next_number, part.number)
            if part in self._tails:
                self._tails.remove(part)

    def leave(self, next_number: int) -> None:
        """Write to none of them any more: what is there has been looked for by name, and what
        comes goes to parts from `next_number` on, or from where these have ended."""
        self.lose()
        self.close()
        self._next_number = max(self._next_number, next_number)
        self.begun, self._tails, self._has_first = [], [], next_number > 0

    def close(self) -> None:
        """Close what is open of them."""
        for part in self.begun:
            self._open_parts.drop(part)
