"""The samples of segments whose records do not say where they lie: by their boxes, head by head.

What boxes mean is in :mod:`vidlink.fmp4`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from zlib import crc32

from vidlink.disk import Disk
from vidlink.errors import NotMedia
from vidlink.fmp4 import MediaInfo, Samples, find_moof, read_own_fragment, read_samples
from vidlink.fmp4.boxes import HEAD_BYTES
from vidlink.model import Arrival, Octets, Ranges
from vidlink.store.files.columns import Columns, read_columns
from vidlink.store.files.layout import pack_record
from vidlink.store.files.sections import is_damage
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.scene import Scene

#: The error that the declared duration of a segment may have.
_SLACK_MS = 1_000


def samples_of(read: Callable[[int, int], Octets], size: int, media: MediaInfo) -> Samples:
    """The samples of a segment of which `read(place, count)` gives octets.

    :raises NotMedia: if it is none.
    """
    head = read(0, HEAD_BYTES)
    own = read_own_fragment(head, size, media)
    if own is not None and own.sample_offset:
        place, time = own.sample_offset, own.decode_time
        end = time + own.duration
        return Samples([place], [size - place], [time], [0], [own.is_keyframe], end)
    start, moof = find_moof(read, size)
    return read_samples(moof, start, size, media)


class StoredHeads:
    """The heads of stored segments whose records do not say where their samples lie."""

    def __init__(self, stored: StoredSession, media: MediaInfo) -> None:
        self._stored = stored
        self._media = media
        self._open: tuple[int, int] | None = None
        #: The sequences of segments that were read, and are not what was recorded.
        self.wrong = Ranges()

    def __enter__(self) -> StoredHeads:
        """Parts are opened when they are looked at."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close what is open."""
        if self._open is not None:
            self._stored.disk.close(self._open[1])
            self._open = None

    def reading(self, part: int, columns: Columns) -> Callable[[int], Samples | None]:
        """Gives the samples of the segment of a record in `columns`, by its boxes; None if they
        are damaged.

        Times that are not what the records have are believed only of octets that are sound: by
        one wrong bit all that follows would seem to go back in time.
        """

        def read(place: int) -> Samples | None:
            offset, size = columns.offsets[place], columns.sizes[place]
            samples: Samples | None = None
            try:
                part_of = _reading(self._stored.disk, self._descriptor(part), offset)
                with suppress(NotMedia):
                    samples = samples_of(part_of, size, self._media)
                if samples is not None and self._agree(samples, columns, place):
                    return samples
                if crc32(part_of(0, size)) == columns.checks[place]:
                    return samples
                self.wrong.add(columns.sequences[place], columns.sequences[place])
                return None
            except OSError as error:
                if is_damage(error):
                    return None
                raise

        return read

    def _agree(self, samples: Samples, columns: Columns, place: int) -> bool:
        """Tell whether samples begin when their record says, and are over before the next begins;
        of the last, soon after its record says that it is."""
        time = columns.times[place]
        if place + 1 < len(columns.times):
            end = columns.times[place + 1]
        else:
            declared_ms = columns.durations_ms[place] + _SLACK_MS
            end = time + declared_ms * self._media.timescale // 1_000
        return samples.times[0] == time and samples.times[-1] < end

    def _descriptor(self, part: int) -> int:
        if self._open is None or self._open[0] != part:
            self.__exit__()
            self._open = part, self._stored.open_part(part)
        return self._open[1]


def _reading(disk: Disk, descriptor: int, offset: int) -> Callable[[int, int], Octets]:
    return lambda place, count: disk.pread(descriptor, offset + place, count)


def tail_of(
    scene: Scene, waiting: Iterable[Arrival], last: int | None, media: MediaInfo
) -> tuple[Scene, list[Octets]]:
    """The segments that wait behind everything in `scene`, and their bytes."""
    tail, pieces = Scene(before=scene), list[Octets]()
    for arrival in waiting:
        data = arrival.segment.data
        sequence = arrival.segment.sequence
        if sequence <= scene.seen or (last is not None and sequence > last):
            continue

        def read(place: int, data: Octets = data) -> Samples | None:
            try:
                return samples_of(lambda low, size: data[low : low + size], len(data), media)
            except NotMedia:
                return None

        count = len(tail)
        tail.take(0, read_columns(pack_record(arrival, 0, crc32(data))), read)
        if len(tail) > count:
            pieces.append(data)
    return tail, pieces
