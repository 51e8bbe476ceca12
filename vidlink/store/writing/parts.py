"""The parts of one session that are written now, and which of them a segment goes to.

What a part is, and how it gets to the disk, is in `part`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from vidlink.model import Arrival
from vidlink.store.handover.orders import Past
from vidlink.store.writing.part import OpenParts, Part

#: So many parts of one session may be written to by turns; the oldest are left alone.
_MOST_TAILS = 8
#: So much the making of files counts in a round, of a session or of one more part: it takes about
#: a millisecond, and they stay open until the round is over.
START_BYTES = 64 * 1024
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
        #: The numbers of those that are there and not written to any more.
        self.left: frozenset[int] = frozenset(() if past is None else past.parts)
        #: In ascending order of their numbers.
        self.begun: list[Part] = []
        #: Those that hold something that is not on disk yet.
        self.unsynced: list[Part] = []
        self._tails: list[Part] = []

    def begin(self) -> None:
        """Let there be a first part, also of a session without a segment: it has the init."""
        if not (self.begun or self._has_first):
            self._begin_part()

    def take(self, todo: deque[Arrival], most_bytes: int, misfits: list[Arrival]) -> int:
        """Put what is `todo` into parts, in its order, until that counts `most_bytes` or more;
        returns how much it counts. What has no place goes to `misfits`.

        Whatever fails, each segment is in its part by then, or still to be put there.
        """
        size = 0
        while todo and size < most_bytes:
            arrival = todo[0]
            octets, part = len(arrival.segment.data), self._part_before(arrival)
            if part is None and not (self._tails and self._next_number >= MOST_PARTS):
                part = self._begin_part()
                size += START_BYTES
            if part is None:
                misfits.append(arrival)
            else:
                size += octets
                if not part.is_dirty:
                    self.unsynced.append(part)
                part.add(arrival)
            todo.popleft()
        return size

    def _part_before(self, arrival: Arrival) -> Part | None:
        """The part that `arrival` follows most closely; None if it breaks the order of all."""
        sequence, media_time = arrival.segment.sequence, arrival.media_time
        best: Part | None = None
        for part in self._tails:
            last = part.last_sequence
            if last < sequence and part.last_media_time < media_time:
                best = part if best is None or best.last_sequence < last else best
        return best

    def _begin_part(self) -> Part:
        part = Part(self._folder, self._next_number, self._init)
        self._next_number += 1
        self.begun.append(part)
        self.unsynced.append(part)
        self._tails = [*self._tails[1 - _MOST_TAILS :], part]
        return part

    def commit(self) -> tuple[list[Arrival], list[tuple[int, int]]]:
        """Count all as synced; returns what that is, and each part that has grown, as number and
        count of records."""
        grown, self.unsynced = self.unsynced, []
        arrivals: list[Arrival] = []
        for part in grown:
            arrivals += part.commit()
        return arrivals, [(part.number, part.committed_count) for part in grown]

    def lose(self) -> list[Arrival]:
        """Give up what is not synced; returns it by sequence, to come again for other parts."""
        lost, self.unsynced = self.unsynced, []
        arrivals = [arrival for part in lost for arrival in part.uncommitted]
        for part in lost:
            if part.abandon(self._open_parts):
                self.begun.remove(part)
                self._next_number = min(self._next_number, part.number)
            if part in self._tails:
                self._tails.remove(part)
        return sorted(arrivals, key=lambda arrival: arrival.segment.sequence)

    def leave(self, left: Iterable[int], next_number: int) -> None:
        """Write to none of them any more: by name those of the numbers `left` were found, and what
        comes goes to parts from `next_number` on, or from where these have ended."""
        self.lose()
        self.close()
        self.left = frozenset(left)
        self._next_number = max(self._next_number, next_number)
        self.begun, self._tails, self._has_first = [], [], next_number > 0

    def close(self) -> None:
        """Close what is open of them."""
        for part in self.begun:
            self._open_parts.drop(part)
