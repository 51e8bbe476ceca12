"""The check of a file that should be a recording: its boxes, one after the other, and its index.

No frame is decoded; what is checked is what a player relies on. Reading blocks.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidlink.errors import NotMedia
from vidlink.fmp4 import FragmentInfo, MediaInfo, SegmentIndex, read_fragment, read_init, read_sidx
from vidlink.fmp4.boxes import read_header

_BESIDE_INIT = frozenset((b"ftyp", b"moov", b"free", b"skip", b"uuid"))


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a recording: the sequences of its segments, ascending."""

    media: MediaInfo
    sequences: array[int]


def read_recording(path: Path) -> Contents:
    """Walk the whole of a ``recording.mp4``.

    :raises NotMedia: if it is no whole recording; the text says what is wrong, and where.
    :raises OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise NotMedia("the file is empty")
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return _Walk(data).contents()


class _Walk:
    """One walk through the bytes of a recording."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._size = len(data)
        self._place = 0
        #: Where a player may jump to, and when that is: the places of segments, or of what in
        #: them is their `moof`.
        self._marks: dict[int, int] = {}

    def contents(self) -> Contents:
        media = self._init()
        self._index(media)
        sequences = array("Q")
        time = -1
        for start, info in self._segments(media):
            jumped = not sequences or info.sequence != sequences[-1] + 1
            if sequences and info.sequence <= sequences[-1]:
                raise NotMedia(f"segment {info.sequence} follows {sequences[-1]} at byte {start}")
            if info.decode_time <= time:
                raise NotMedia(f"segment {info.sequence} goes back in time at byte {start}")
            if jumped and not info.is_keyframe:
                raise NotMedia(f"segment {info.sequence} cannot be decoded where it stands")
            for place in self._marks.keys() & {start, start + info.moof_start}:
                if self._marks.pop(place) != info.decode_time or not info.is_keyframe:
                    raise NotMedia(f"the index is wrong about segment {info.sequence}")
            sequences.append(info.sequence)
            time = info.decode_time
        if self._marks:
            raise NotMedia(f"the index names {len(self._marks)} places where no segment begins")
        return Contents(media, sequences)

    def _init(self) -> MediaInfo:
        while self._place < self._size:
            kind, _, stop = read_header(self._data, self._place, self._size)
            if kind not in _BESIDE_INIT:
                break
            self._place = stop
        with self._data[: self._place] as init:
            return read_init(init)

    def _index(self, media: MediaInfo) -> None:
        """Read the index, if there is one, and note what has to be found."""
        if self._place >= self._size:
            return
        kind, _, stop = read_header(self._data, self._place, self._size)
        if kind != b"sidx":
            raise NotMedia("there is no index before the first segment")
        with self._data[self._place : stop] as box:
            index = read_sidx(box)
        self._place = stop
        if index.timescale != media.timescale:
            raise NotMedia("the index counts in another timescale than the media")
        self._note(index, stop)

    def _note(self, index: SegmentIndex, end: int) -> None:
        place, time = end + index.first_offset, index.earliest
        for size_bytes, duration, is_keyframe in index.references:
            if is_keyframe:
                self._marks[place] = time
            place += size_bytes
            time += duration
        if place != self._size:
            raise NotMedia(f"the index covers {place} bytes of {self._size}")

    def _segments(self, media: MediaInfo) -> Iterator[tuple[int, FragmentInfo]]:
        start = self._place
        while self._place < self._size:
            kind, _, self._place = read_header(self._data, self._place, self._size)
            if kind == b"mdat":
                with self._data[start : self._place] as segment:
                    yield start, read_fragment(segment, media)
                start = self._place
        if start != self._size:
            raise NotMedia(f"the last segment has no media, from byte {start} on")
