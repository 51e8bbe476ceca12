"""One part being written: a file of segments, and the records of its index beside it.

A part is append-only and strictly ascending in sequence and in media time. What has been
synced is *committed*; the rest is gone if its round fails. `parts` decides which part a segment
goes to.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict

from vidlink.disk import Disk, Place, write_all
from vidlink.model import Arrival, Segment
from vidlink.store.files.layout import RECORD_BYTES, pack_records
from vidlink.store.files.paths import part_file, records_file
from vidlink.store.sequences.runs import Runs, follow_each_other
from vidlink.store.sequences.times import segment_end_us


class Part:
    """Part `number` of the session in `folder`; nothing is on disk before :meth:`flush`.

    `committed_count` records and `committed_bytes` octets of it are synced; `runs` are what
    those hold. `is_dirty` says that there is more. `is_made` says that we made its files,
    `is_foreign` that a file of that name was there before.
    """

    def __init__(self, folder: str, number: int, init: bytes) -> None:
        self.number = number
        self.path = os.path.join(folder, part_file(number))
        self.records_path = os.path.join(folder, records_file(number))
        self.is_made = False
        self.is_foreign = False
        self.committed_count = 0
        self.committed_bytes = 0
        self.runs = Runs()
        self.is_dirty = True
        self._init = init
        self._size_bytes = 0
        #: All that was added and is not synced.
        self.uncommitted: list[Arrival] = []
        self.last_sequence = -1
        self.last_media_time = -1
        #: Which files they are, once they are made: that of segments, and that of records.
        self.places: tuple[Place, Place] | None = None

    def add(self, arrival: Arrival) -> None:
        """Put `arrival`, which keeps the order, behind all else with the next :meth:`flush`."""
        self.last_sequence = arrival.segment.sequence
        self.last_media_time = arrival.media_time
        self.is_dirty = True
        self.uncommitted.append(arrival)

    def flush(self, open_parts: OpenParts) -> None:
        """Write what was added, segments before their records; then it is committed or abandoned.

        :raises OSError: the disk fails.
        """
        disk, (descriptor, records) = open_parts.disk, open_parts.open(self)
        begin = self.committed_bytes or len(self._init)
        packed, buffers, self._size_bytes = pack_records(self.uncommitted, begin)
        write_all(disk, descriptor, buffers if self.committed_bytes else [self._init, *buffers])
        write_all(disk, records, [packed])

    def is_in_place(self, disk: Disk) -> bool:
        """Tell whether its files, if they were made, are at their paths.

        :raises FileNotFoundError: if nothing is.
        """
        return self.places is None or self.places == (
            disk.place(self.path),
            disk.place(self.records_path),
        )

    def commit(self) -> list[Arrival]:
        """Count what was written as synced; returns it."""
        arrivals, self.uncommitted = self.uncommitted, []
        if arrivals and follow_each_other(arrivals):
            # Nearly always.
            size_bytes = self._size_bytes - (self.committed_bytes or len(self._init))
            self._count(arrivals[0].segment, arrivals[-1].segment, size_bytes)
        else:
            for arrival in arrivals:
                self._count(arrival.segment, arrival.segment, len(arrival.segment.data))
        self.committed_count += len(arrivals)
        self.committed_bytes = self._size_bytes
        self.is_dirty = False
        return arrivals

    def _count(self, first: Segment, last: Segment, size_bytes: int) -> None:
        """Count what follows each other from `first` to `last`, all together of this size."""
        times = first.start_time_us, segment_end_us(last)
        self.runs.add(first.sequence, last.sequence, *times, size_bytes)

    def abandon(self, open_parts: OpenParts) -> bool:
        """Write nothing more to it, and cut it to what is committed as far as the disk lets us.

        Returns whether nothing is left of it, so that its number is free again.
        """
        open_parts.drop(self)
        self.uncommitted = []
        self.is_dirty = False
        place, records_place = self.places or (None, None)
        size, records_size = self.committed_bytes, self.committed_count * RECORD_BYTES
        files = (self.records_path, records_place, records_size), (self.path, place, size)
        is_cut = True
        try:
            for path, its_place, keep in files if self.is_made else ():
                is_cut &= _cut(open_parts.disk, path, its_place, keep if size else None)
        except OSError:
            # Readers go by the later part where two hold a sequence, and by checksums.
            return False
        return is_cut and not self.committed_bytes and not self.is_foreign


def _cut(disk: Disk, path: str, place: Place | None, size_bytes: int | None) -> bool:
    """Cut a file, or remove it if nothing is to stay; False if another is in its place."""
    try:
        if place is not None and disk.place(path) != place:
            return False
    except FileNotFoundError:
        return False
    if size_bytes is None:
        disk.remove(path)
    else:
        disk.truncate(path, size_bytes)
    return True


class OpenParts:
    """The open descriptors of parts, at most `limit` pairs of them; the longest unused go first.

    A part that is not synced yet stays open: who fills a round keeps it below `limit`.
    """

    def __init__(self, disk: Disk, limit: int) -> None:
        self.disk = disk
        self.limit = limit
        self._open: OrderedDict[Part, tuple[int, int]] = OrderedDict()
        self._paths: set[str] = set()

    def has(self, path: str) -> bool:
        """True if the part at `path` is open. In any thread, at once."""
        return path in self._paths

    def open(self, part: Part) -> tuple[int, int]:
        """The descriptors of the part and of its records; new files are made."""
        found = self._open.get(part)
        if found is not None:
            self._open.move_to_end(part)
            return found
        self._make_room()
        found = self._open[part] = self._open_files(part)
        self._paths.add(part.path)
        return found

    def descriptors(self, part: Part) -> tuple[int, ...]:
        """The open descriptors of `part`."""
        return self._open.get(part, ())

    def drop(self, part: Part) -> None:
        """Close `part`, if it is open."""
        self._paths.discard(part.path)
        for descriptor in self._open.pop(part, ()):
            self._close(descriptor)

    def close(self) -> None:
        """Close everything."""
        for part in list(self._open):
            self.drop(part)

    def _make_room(self) -> None:
        if len(self._open) >= self.limit:
            idle = next((part for part in self._open if not part.is_dirty), None)
            if idle is not None:
                self.drop(idle)

    def _open_files(self, part: Part) -> tuple[int, int]:
        open_file = self.disk.reopen if part.is_made else self.disk.create
        try:
            descriptor = open_file(part.path)
        except FileExistsError:
            part.is_foreign = True
            raise
        part.is_made = True
        try:
            records = open_file(part.records_path)
        except BaseException:
            self._close(descriptor)
            raise
        try:
            self._look(part, descriptor, records)
        except BaseException:
            self._close(descriptor)
            self._close(records)
            raise
        return descriptor, records

    def _look(self, part: Part, descriptor: int, records: int) -> None:
        """Make sure that these are its files and that they end where it goes on."""
        places = self.disk.place_of(descriptor), self.disk.place_of(records)
        part.places = part.places or places
        if part.places != places:
            raise FileNotFoundError(errno.ENOENT, "another file is in its place", part.path)
        ends = self.disk.position(descriptor), self.disk.position(records)
        if ends != (part.committed_bytes, part.committed_count * RECORD_BYTES):
            raise OSError(errno.EIO, f"{part.path} was changed by somebody else")

    def _close(self, descriptor: int) -> None:
        try:
            self.disk.close(descriptor)
        except OSError:
            # The descriptor is free either way, and a sync has already said what was lost.
            return
