"""The index of one chunk in memory: thirteen octets for each segment that is held."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from vidlink.sentinel.spool.layout import ENTRY_BYTES, EntryPlace


class ChunkIndex:
    """The places of the segments that are still held; sequences strictly ascend."""

    def __init__(self) -> None:
        # A spool of 4 GiB holds some 400,000 segments: as objects they would take 100 MB.
        self._sequences = array("I")
        self._offsets = array("I")
        self._sizes = array("I")
        self._keyframes = bytearray()

    def __len__(self) -> int:
        return len(self._sequences)

    def __iter__(self) -> Iterator[EntryPlace]:
        return (self._at(number) for number in range(len(self)))

    def add(self, place: EntryPlace) -> None:
        """Add one more at the end; one that does not follow the last is passed over."""
        if len(self) and place.sequence <= self.last:
            return
        self._sequences.append(place.sequence)
        self._offsets.append(place.offset)
        self._sizes.append(place.size_bytes)
        self._keyframes.append(place.is_keyframe)

    def fill(
        self,
        sequences: Iterable[int],
        offsets: Iterable[int],
        sizes: Iterable[int],
        keyframes: Iterable[int],
    ) -> None:
        """Take over what an index on disk lists, whole columns at a time."""
        self._sequences = array("I", sequences)
        self._offsets = array("I", offsets)
        self._sizes = array("I", sizes)
        self._keyframes = bytearray(keyframes)

    @property
    def first(self) -> int:
        """The lowest sequence; there is one."""
        return self._sequences[0]

    @property
    def last(self) -> int:
        """The highest sequence; there is one."""
        return self._sequences[-1]

    def forget(self, sequence: int) -> None:
        """Take out everything up to `sequence`."""
        self._cut(0, bisect_right(self._sequences, sequence))

    def discard(self, first: int, last: int) -> None:
        """Take out everything from `first` to `last`."""
        self._cut(bisect_left(self._sequences, first), bisect_right(self._sequences, last))

    def keyframe_after(self, sequence: int) -> int | None:
        """The first keyframe segment behind `sequence`; None if there is none."""
        found = self._keyframes.find(1, bisect_right(self._sequences, sequence))
        return None if found < 0 else self._sequences[found]

    def between(self, first: int, last: int, most_bytes: int) -> list[EntryPlace]:
        """Places held from `first` to `last`: at most `most_bytes` of them, but one at least."""
        found: list[EntryPlace] = []
        for number in range(bisect_left(self._sequences, first), len(self)):
            place = self._at(number)
            most_bytes -= place.size_bytes
            if place.sequence > last or (found and most_bytes < 0):
                break
            found.append(place)
        return found

    def _at(self, number: int) -> EntryPlace:
        return EntryPlace(
            self._sequences[number],
            self._offsets[number],
            self._sizes[number],
            bool(self._keyframes[number]),
        )

    def _cut(self, low: int, high: int) -> None:
        for column in (self._sequences, self._offsets, self._sizes, self._keyframes):
            del column[low:high]


def end_of(place: EntryPlace) -> int:
    """The octet behind the entry at `place`."""
    return place.offset + ENTRY_BYTES + place.size_bytes
