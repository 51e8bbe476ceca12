"""The stretches of parts that were found to be what was recorded, so that nobody checks them again.

A part that was read is kept open, together with the stretches of it that were checked, as long as
the file is what it was: the same one, of the same size, and not changed since. So what is asked for
again is given out without a look at anything but the system's memory, by whoever may not wait. A
part that this server is writing to is changed by that alone: as long as it only grows, what was
checked of it stands where it stood.

Bounds: `most_parts` descriptors, and :data:`MOST_STRETCHES` of all of them; those go that were used
least lately. A part is not kept that was changed a moment ago, as its time would not tell whether
it is changed once more; nor is one that the system cannot read without waiting, as on most network
file systems: of such a file nothing at all can be known without waiting.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from zope.interface import implementer

from vidlink.disk import Disk, FileMark
from vidlink.interfaces import IStretch
from vidlink.model import Ranges

#: So many parts are kept open, without another bound.
MOST_PARTS = 128
#: So many stretches that do not touch are known of all parts together: 10 MB.
MOST_STRETCHES = 65_536
#: The time of a change tells changes apart that are so far from each other, on every file system.
_SETTLED_US = 3_000_000
#: A page of this size is in memory if the system has read its neighbours: it reads ahead.
_PROBE_BYTES = 128 * 1024


class ReadPart:
    """A part that is open for reading. It is closed when nobody has it any more."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self._disk = disk
        self.descriptor = descriptor
        self.mark: FileMark | None = disk.mark_of(descriptor)
        self.sound = Ranges()

    def __del__(self) -> None:
        """Let go of the descriptor."""
        self._disk.close(self.descriptor)

    def look(self) -> FileMark | None:
        """The file as it is now."""
        return self._disk.mark_of(self.descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` octets from `offset`, fewer at its end. Blocks."""
        return self._disk.pread(self.descriptor, offset, size)

    def read_now(self, offset: int, size: int) -> bytes | None:
        """`size` octets from `offset` if the system has them in its memory. Never waits."""
        return self._disk.pread_now(self.descriptor, offset, size)

    def is_in_memory(self, offset: int, size: int) -> bool:
        """True if the system has these octets in its memory, as far as a look here and there can
        tell. Never waits."""
        last = offset + size - 1
        has_now, descriptor = self._disk.has_now, self.descriptor
        if not has_now(descriptor, last):
            return False
        return all(has_now(descriptor, place) for place in range(offset, last, _PROBE_BYTES))


@implementer(IStretch)
@dataclass(frozen=True, slots=True)
class Stretch:
    """Octets that were checked, as they lie in a file: `size` of them from `offset`."""

    part: ReadPart
    offset: int
    size: int

    @property
    def descriptor(self) -> int:
        """The file; open for as long as this is had."""
        return self.part.descriptor


class SoundParts:
    """The parts that were read last. Every method may be called in any thread.

    :param wall_clock_us: microseconds since the epoch, as files are stamped.
    """

    def __init__(self, disk: Disk, wall_clock_us: Callable[[], int]) -> None:
        self._disk = disk
        self._wall_clock_us = wall_clock_us
        #: Tells whether this server is writing to the part at a path. Never waits.
        self.is_written: Callable[[str], bool] = lambda path: False
        #: So many are kept open.
        self.most_parts = MOST_PARTS
        self._lock = Lock()
        #: By path.
        self._parts: OrderedDict[str, ReadPart] = OrderedDict()

    def __len__(self) -> int:
        """The number of those that are kept open."""
        return len(self._parts)

    def open(self, path: str) -> ReadPart:
        """The part at `path`, for reading. Blocks.

        :raises OSError: if it cannot be opened.
        """
        fresh = ReadPart(self._disk, self._disk.open_for_reading(path))
        with self._lock:
            known = self._parts.get(path)
            return known if known is not None and self._is_same(path, known, fresh.mark) else fresh

    def at_hand(self, path: str, offset: int, size: int) -> ReadPart | None:
        """The part at `path`, if these octets of it were checked. Never waits."""
        with self._lock:
            part = self._parts.get(path)
            if part is None:
                return None
            if not self._is_same(path, part, part.look()):
                del self._parts[path]
                return None
            if not _is_sound(part, offset, size):
                return None
            self._parts.move_to_end(path)
            return part

    def is_sound(self, part: ReadPart, offset: int, size: int) -> bool:
        """True if these octets of `part` were checked."""
        with self._lock:
            return _is_sound(part, offset, size)

    def remembers(self, path: str, part: ReadPart) -> bool:
        """True if it is remembered what of `part`, which is at `path`, is sound."""
        mark = part.mark
        if mark is None:
            return False
        return self._wall_clock_us() - mark.changed_us >= _SETTLED_US or self.is_written(path)

    def found_sound(self, path: str, part: ReadPart, offset: int, size: int) -> None:
        """These octets of `part`, which is at `path`, are what was recorded. Blocks."""
        if not self.remembers(path, part) or part.read_now(offset, 1) is None:
            return
        with self._lock:
            if not self._is_same(path, part, part.look()):
                return
            part.sound.add(offset, offset + size - 1)
            self._parts[path] = part
            self._parts.move_to_end(path)
            while len(self._parts) > self.most_parts or self._stretches > MOST_STRETCHES:
                self._parts.popitem(last=False)

    def forget(self, folder: str) -> None:
        """Have the parts in `folder` checked again; those that were deleted give their room on the
        disk back."""
        with self._lock:
            for path in [path for path in self._parts if os.path.dirname(path) == folder]:
                del self._parts[path]

    def forget_all(self) -> None:
        """Have everything checked again."""
        with self._lock:
            self._parts.clear()

    def _is_same(self, path: str, part: ReadPart, mark: FileMark | None) -> bool:
        """True if what was found sound of `part` is so of the file at `path`, which is this."""
        before = part.mark
        if mark is None or before is None:
            return False
        if mark == before:
            return True
        has_grown = mark.place == before.place and mark.size_bytes > before.size_bytes
        if not (has_grown and self.is_written(path)):
            return False
        part.mark = mark
        return True

    @property
    def _stretches(self) -> int:
        return sum(len(part.sound) for part in self._parts.values())


def _is_sound(part: ReadPart, offset: int, size: int) -> bool:
    return next(part.sound.missing(offset, offset + size - 1), None) is None
