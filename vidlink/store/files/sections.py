"""Stretches of a body: pieces in memory, and segments in parts, where each is checked.

Of what a body is made is decided in `reading` and `film`; `film.body` puts sections together.
"""

from __future__ import annotations

import errno
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from typing import Protocol
from zlib import crc32

from vidlink.errors import Damaged, NotFound, StoreError
from vidlink.model import Octets
from vidlink.store.files.sound import SoundParts, Stretch
from vidlink.store.files.stored import StoredSession

#: Told of segments that cannot be had, by their numbers in the places; and of those among them that
#: were read, and are not what was recorded.
FoundDamaged = Callable[[Sequence[int], Sequence[int]], None]
#: So much is checked with what is read first: who plays a film goes on there, and to have a
#: thread read costs as much as to read that.
AHEAD_BYTES = 256 * 1024


def is_damage(error: OSError) -> bool:
    """True if what was to be read is not there any more; False if this may pass, as a lack of
    descriptors does."""
    return error.errno in (errno.EIO, errno.ENOENT)


class SegmentPlaces:
    """The places of segments, in the order in which they are served.

    Four numbers each and no object: ten hours at five frames a second are 4 MB. It only grows
    at its end, so that whoever uses its first `count` segments is not disturbed.
    """

    def __init__(self) -> None:
        #: Where each segment ends when they are put together.
        self.ends = array("Q")
        #: Their CRC-32, their offset in their part, and the number of that part.
        self.checks = array("I")
        self.offsets = array("Q")
        self.parts = array("I")

    def __len__(self) -> int:
        """The number of segments."""
        return len(self.ends)

    def add(self, part: int, offset: int, size: int, check: int) -> None:
        """Put one more segment behind the others."""
        self.extend(part, (offset,), (size,), (check,))

    def extend(
        self, part: int, offsets: Sequence[int], sizes: Sequence[int], checks: Sequence[int]
    ) -> None:
        """Put segments of one part behind the others."""
        before = self.size_of_first(len(self))
        self.ends.extend(islice(accumulate(sizes, initial=before), 1, None))
        self.checks.extend(checks)
        self.offsets.extend(offsets)
        self.parts.extend(array("I", (part,)) * len(sizes))

    def size_of_first(self, count: int) -> int:
        """The octets of the first `count` segments together."""
        return self.ends[count - 1] if count else 0

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        arrays = (self.ends, self.checks, self.offsets, self.parts)
        return sum(one.itemsize * len(one) for one in arrays)


class Section(Protocol):
    """A stretch of a body, which is asked only for what lies within. `read` may block; the others
    never wait."""

    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """`size` octets from `offset`."""

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """The same, if it is in memory and was checked; None: it has to be read."""

    def stretch(self, offset: int, size: int) -> Stretch | None:
        """At most `size` octets from `offset` as they lie in a file, if that is so of any, and they
        are in memory and were checked."""


class MemorySection:
    """Octets in memory, one after the other."""

    def __init__(self, pieces: Sequence[Octets]) -> None:
        self._pieces = pieces
        self._ends = list(accumulate(len(piece) for piece in pieces))
        self.size_bytes = self._ends[-1] if pieces else 0

    def read(self, offset: int, size: int) -> bytes:
        """`size` octets from `offset`."""
        found: list[Octets] = []
        number = bisect_right(self._ends, offset)
        while size > 0:
            piece = self._pieces[number]
            start = offset - (self._ends[number] - len(piece))
            found.append(piece[start : start + size])
            offset += len(found[-1])
            size -= len(found[-1])
            number += 1
        return b"".join(found)

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """The same."""
        return self.read(offset, size)

    def stretch(self, offset: int, size: int) -> Stretch | None:
        """Nothing of it is in a file."""
        return None


class StoredSection:
    """The segments `first` up to `stop` of `places`, read from the parts of `stored`.

    What was not checked yet is fetched by whole segments, and each checked against its CRC-32
    before anything of it is given out; the last one is kept for the read that goes on after it.
    Where one is damaged `found_damaged` is told of it, and of those that follow it and are too, by
    their places. Of what follows `stop` what lies before `ahead` may be checked with it.
    """

    def __init__(
        self,
        stored: StoredSession,
        places: SegmentPlaces,
        stop: int,
        *,
        first: int = 0,
        found_damaged: FoundDamaged | None = None,
        ahead: int = 0,
    ) -> None:
        self._stored = stored
        # Without a place for it, nothing is remembered.
        sound = stored.sound
        self._sound = SoundParts(stored.disk, lambda: 0) if sound is None else sound
        self._places = places
        self._stop = stop
        self._ahead_stop = max(stop, ahead)
        self._found_damaged = found_damaged
        self._start = places.size_of_first(first)
        self._kept: tuple[int, bytes] = (-1, b"")
        self.size_bytes = places.size_of_first(stop) - self._start

    def read(self, offset: int, size: int) -> bytes:
        """`size` octets from `offset`.

        :raises Damaged: if a segment of them is not what was recorded.
        :raises NotFound: if the session has been deleted meanwhile.
        :raises StoreError: if it cannot be read now, for another reason.
        """
        if size <= 0:
            return b""
        low = offset + self._start
        high = low + size
        number, last = self._numbers(low, high)
        kept_number, kept = self._kept
        found: list[Octets] = []
        if kept_number == number:
            start = self._places.size_of_first(number)
            found.append(memoryview(kept)[low - start : high - start])
            number += 1
        while number <= last:
            stop = self._side_by_side(number, last)
            found.append(self._fetch(number, stop, low, high))
            number = stop + 1
        return b"".join(found)

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """The same, if it lies in one part, was checked, and is in the system's memory."""
        stretch = self._sound_stretch(offset, size)
        if stretch is None or stretch.size < size:
            return None
        return stretch.part.read_now(stretch.offset, size)

    def stretch(self, offset: int, size: int) -> Stretch | None:
        """At most `size` octets from `offset` as they lie in a part, if that is so of them."""
        stretch = self._sound_stretch(offset, size)
        if stretch is None or not stretch.part.is_in_memory(stretch.offset, stretch.size):
            return None
        return stretch

    def _sound_stretch(self, offset: int, size: int) -> Stretch | None:
        """At most `size` octets from `offset` as they lie in a part, if they were checked."""
        places = self._places
        low = offset + self._start
        number, last = self._numbers(low, low + size)
        size = min(size, places.ends[self._side_by_side(number, last)] - low)
        place = places.offsets[number] + low - places.size_of_first(number)
        path = self._stored.part_path(places.parts[number])
        part = self._sound.at_hand(path, place, size)
        return None if part is None else Stretch(part, place, size)

    def _numbers(self, low: int, high: int) -> tuple[int, int]:
        """The first and the last of the segments in which the octets `low` up to `high` are."""
        ends = self._places.ends
        first = bisect_right(ends, low, 0, self._stop)
        return first, bisect_right(ends, high - 1, first, self._stop)

    def _side_by_side(self, number: int, last: int) -> int:
        """The last segment up to which they lie in one part without a break."""
        parts, offsets, ends = self._places.parts, self._places.offsets, self._places.ends
        shift = offsets[number] - self._places.size_of_first(number)
        if offsets[last] - self._places.size_of_first(last) == shift:
            # Within a part they ascend, so there is room for none between them.
            beside = parts[number : last + 1]
            if beside.count(beside[0]) == len(beside):
                return last
        while (
            number < last
            and parts[number + 1] == parts[number]
            and offsets[number + 1] - ends[number] == shift
        ):
            number += 1
        return number

    def _fetch(self, first: int, last: int, low: int, high: int) -> Octets:
        """The octets `low` up to `high`, as far as they are in these segments, side by side."""
        places = self._places
        start = places.size_of_first(first)
        low, high = max(low, start), min(high, places.ends[last])
        place = places.offsets[first]
        path = self._stored.part_path(places.parts[first])
        try:
            part = self._sound.open(path)
            if self._sound.is_sound(part, place + low - start, high - low):
                data = part.read(place + low - start, high - low)
                if len(data) == high - low:
                    return data
            checked = self._ahead(last) if self._sound.remembers(path, part) else last
            data = part.read(place, places.ends[checked] - start)
        except OSError as error:
            if self._stored.is_gone:
                raise NotFound("the session has been deleted meanwhile") from None
            if not is_damage(error):
                raise StoreError(f"the recording cannot be read: {error.strerror}") from error
            self._tell_damaged(first, last)
            raise Damaged(f"a part of the recording cannot be read: {error.strerror}") from error
        view = memoryview(data)
        for number in range(first, checked + 1):
            segment = view[places.size_of_first(number) - start : places.ends[number] - start]
            size = places.ends[number] - places.size_of_first(number)
            if len(segment) != size or crc32(segment) != places.checks[number]:
                if number > last:
                    checked = number - 1
                    break
                self._tell_damaged(number, last)
                raise Damaged("a segment in this place is not what was recorded")
            if number == last:
                self._kept = last, bytes(segment)
        self._sound.found_sound(path, part, place, places.ends[checked] - start)
        return view[low - start : high - start]

    def _ahead(self, last: int) -> int:
        """The last of the segments that are checked together with `last`, which they follow."""
        ends = self._places.ends
        stop = bisect_right(ends, ends[last] + AHEAD_BYTES, last, self._ahead_stop)
        return self._side_by_side(last, stop - 1)

    def _tell_damaged(self, first: int, last: int) -> None:
        """Tell of what is damaged from `first` to `last`, and from there up to a sound one."""
        if self._found_damaged is None:
            return
        damaged: list[int] = []
        wrong: list[int] = []
        for number in range(first, self._stop):
            is_sound = self._is_sound(number)
            if not is_sound:
                damaged.append(number)
                if is_sound is not None:
                    wrong.append(number)
            elif number > last:
                break
        self._found_damaged(damaged, wrong)

    def _is_sound(self, number: int) -> bool | None:
        """True if a segment is what was recorded; None if it cannot be read."""
        places = self._places
        size = places.ends[number] - places.size_of_first(number)
        try:
            data = self._stored.read(places.parts[number], places.offsets[number], size)
        except OSError as error:
            if not is_damage(error):
                raise StoreError(f"the recording cannot be read: {error.strerror}") from error
            return None
        return len(data) == size and crc32(data) == places.checks[number]
