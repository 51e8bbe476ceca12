"""The bytes of a range of segments as received, from the disk and from what waits for it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from vidlink.errors import NotFound
from vidlink.model import Octets, Ranges
from vidlink.store.files.sections import (
    AHEAD_BYTES,
    MemorySection,
    Section,
    SegmentPlaces,
    StoredSection,
)
from vidlink.store.files.stored import StoredSession
from vidlink.store.handover.suspects import Suspects
from vidlink.store.reading.known import Rows
from vidlink.store.reading.view import View

#: Where a record says when its segment was received, behind its place.
_RECEIVED = 4
#: The records of so many segments behind those that are asked for are kept.
ROWS_AHEAD = 64


@dataclass(frozen=True, slots=True)
class Media:
    """A range: its sections in order, a validator of its bytes, the ranges of sequences that
    are missing, and whether all the rest is durable."""

    sections: tuple[Section, ...]
    etag: str
    missing: tuple[tuple[int, int], ...]
    is_durable: bool
    #: When the newest of those that are durable was received.
    received_us: int | None


class _Collected:
    """Segments in the order of sequences, as sections."""

    def __init__(self, stored: StoredSession, suspects: Suspects) -> None:
        self._stored = stored
        self._suspects = suspects
        self._places = SegmentPlaces()
        self._sequences = array("Q")
        self._pieces: list[Octets] = []
        self._sections: list[Section] = []
        self._following = 0
        self.numbers = array("Q")

    def stored(self, sequence: int, part: int, offset: int, size: int, check: int) -> None:
        """The next segment is on disk."""
        self._close_pieces()
        self._places.add(part, offset, size, check)
        self._sequences.append(sequence)
        self.numbers.extend((sequence, size, check))

    def waiting(self, sequence: int, data: Octets) -> None:
        """The next segment is in memory."""
        self._close_places()
        self._pieces.append(data)
        self.numbers.extend((sequence, len(data), crc32(data)))

    def ahead(self, sequence: int, part: int, offset: int, size: int, check: int) -> None:
        """The next segment follows, and may be checked with the others."""
        self._following += 1
        self._places.add(part, offset, size, check)
        self._sequences.append(sequence)

    def sections(self) -> tuple[Section, ...]:
        """All that has been collected."""
        self._close_pieces()
        self._close_places()
        return tuple(self._sections)

    def _close_places(self) -> None:
        if len(self._places):
            places, self._places = self._places, SegmentPlaces()
            sequences, self._sequences = self._sequences, array("Q")

            def found_damaged(damaged: Sequence[int], wrong: Sequence[int]) -> None:
                told = Ranges.of(sequences[place] for place in wrong)
                self._suspects.tell(*self._stored.ids, told)

            stop, self._following = len(places) - self._following, 0
            self._sections.append(
                StoredSection(
                    self._stored, places, stop, found_damaged=found_damaged, ahead=len(places)
                )
            )

    def _close_pieces(self) -> None:
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._sections.append(MemorySection(pieces))


def media_of(
    stored: StoredSession, rows: Rows, first: int, last: int, suspects: Suspects
) -> Media | None:
    """Segments `first` to `last` of a session that nobody writes to, if all of them are among
    `rows`. Never waits."""
    if not all(sequence in rows for sequence in range(first, last + 1)):
        return None
    collected = _Collected(stored, suspects)
    received_us = -(2**63)
    for sequence in range(first, last + 1):
        part, (_, offset, size, check, *rest) = rows[sequence]
        received_us = max(received_us, rest[_RECEIVED])
        collected.stored(sequence, part, offset, size, check)
    left_bytes = AHEAD_BYTES
    while left_bytes > 0 and (row := rows.get(last := last + 1)) is not None:
        part, (_, offset, size, check, *_) = row
        collected.ahead(last, part, offset, size, check)
        left_bytes -= size
    etag = blake2b(collected.numbers.tobytes(), digest_size=16)
    return Media(collected.sections(), etag.hexdigest(), (), True, received_us)


def rows_from(view: View, first: int, last: int) -> Rows:
    """The records of `first` to `last`, and of some behind them; none of more than
    :data:`ROWS_AHEAD`, which are read each time. Blocks."""
    if last - first >= ROWS_AHEAD:
        return {}
    with view.stored.records(view.counts) as records:
        found = records.between(first, last + ROWS_AHEAD)
        return {numbers[0]: (part, numbers) for part, numbers in found}


def read_media(view: View, first: int, last: int, suspects: Suspects) -> Media:
    """Segments `first` to `last` of `view`; `suspects` is told of damage. Blocks.

    :raises NotFound: if none of them is recorded.
    :raises OSError: if the disk fails.
    """
    collected = _Collected(view.stored, suspects)
    waiting = [a.segment for a in view.waiting if first <= a.segment.sequence <= last]
    missing: list[tuple[int, int]] = []
    expected, place = first, 0
    received_us: int | None = None

    def reach(sequence: int) -> None:
        nonlocal expected
        if sequence > expected:
            missing.append((expected, sequence - 1))
        expected = sequence + 1

    with view.stored.records(view.counts) as records:
        for part, (sequence, offset, size, check, *rest) in records.between(first, last):
            received_us = max(received_us or rest[_RECEIVED], rest[_RECEIVED])
            while place < len(waiting) and waiting[place].sequence < sequence:
                reach(waiting[place].sequence)
                collected.waiting(waiting[place].sequence, waiting[place].data)
                place += 1
            reach(sequence)
            collected.stored(sequence, part, offset, size, check)
    for segment in waiting[place:]:
        reach(segment.sequence)
        collected.waiting(segment.sequence, segment.data)
    if not len(collected.numbers):
        raise NotFound(f"nothing is recorded of segments {first} to {last}")
    reach(last + 1)
    etag = blake2b(collected.numbers.tobytes(), digest_size=16)
    return Media(collected.sections(), etag.hexdigest(), tuple(missing), not waiting, received_us)
