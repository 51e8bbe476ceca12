"""The lead of a keyframe segment: what stands before its `moof` and describes it, such as `prft`.

The index of a film has to point there. FFmpeg, and with it Chromium, takes a place in the index
for that of a `moof`; where it is not, it reads fragments twice after a seek, and shows wrong
pictures. Records do not say it, so the first bytes of keyframe segments are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vidlink.disk import Disk
from vidlink.fmp4 import moof_offset
from vidlink.model import Octets
from vidlink.store.files.stored import StoredSession

#: Part, offset and size of a segment.
SegmentPlace = tuple[int, int, int]


def read_leads(stored: StoredSession, places: Iterable[SegmentPlace]) -> list[int]:
    """The octets before the `moof` of each of these segments.

    What cannot be read counts as 0: the film is still there, and says so where it is read.
    """
    descriptors: dict[int, int] = {}
    found: list[int] = []
    try:
        for part, offset, size in places:
            try:
                if part not in descriptors:
                    descriptors[part] = stored.open_part(part)
                found.append(moof_offset(_reading(stored.disk, descriptors[part], offset), size))
            except OSError:
                found.append(0)
    finally:
        for descriptor in descriptors.values():
            stored.disk.close(descriptor)
    return found


def lead_of(segment: Octets) -> int:
    """The octets before the `moof` of a segment in memory."""
    return moof_offset(lambda place, count: segment[place : place + count], len(segment))


def _reading(disk: Disk, descriptor: int, offset: int) -> Callable[[int, int], Octets]:
    return lambda place, count: disk.pread(descriptor, offset + place, count)
