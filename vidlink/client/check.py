"""The check of a file that should be a recording: its segments, one after the other, and its head.

No frame is decoded; what is checked is what a player relies on: that every place and time in the
head is that of a frame, as its own segment has it. Reading blocks.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidlink.errors import NotMedia
from vidlink.fmp4 import (
    FragmentInfo,
    MediaInfo,
    Movie,
    Samples,
    find_moof,
    read_fragment,
    read_init,
    read_movie,
    read_samples,
)
from vidlink.fmp4.boxes import read_header


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a recording: the sequences of its segments, ascending."""

    sequences: array[int]


def read_recording(path: Path, init: bytes) -> Contents:
    """Walk the whole of a ``recording.mp4`` of a session with this initialization segment.

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
            if data == init:
                return Contents(array("Q"))
            return _Walk(data, read_init(init)).contents()


class _Walk:
    """One walk through the bytes of a recording."""

    def __init__(self, data: memoryview, media: MediaInfo) -> None:
        self._data = data
        self._size = len(data)
        self._media = media
        self._movie: Movie = read_movie(data)
        if self._movie.track_id != media.track_id:
            raise NotMedia("its head is of another track than its segments")
        #: The samples of the head that have been found.
        self._found = 0
        self._syncs = frozenset(self._movie.samples.syncs)
        self._origin = 0

    def contents(self) -> Contents:
        sequences = array("Q")
        time = -1
        for start, info, samples in self._segments():
            jumped = not sequences or info.sequence != sequences[-1] + 1
            if sequences and info.sequence <= sequences[-1]:
                raise NotMedia(f"segment {info.sequence} follows {sequences[-1]} at byte {start}")
            if info.decode_time <= time:
                raise NotMedia(f"segment {info.sequence} goes back in time at byte {start}")
            if jumped and not info.is_keyframe:
                raise NotMedia(f"segment {info.sequence} cannot be decoded where it stands")
            if not sequences:
                self._origin = info.decode_time
            if not self._is_in_head(start, samples):
                raise NotMedia(f"the head is wrong about segment {info.sequence}")
            sequences.append(info.sequence)
            time = samples.times[-1]
        if self._found != len(self._movie.samples.sizes):
            raise NotMedia("the head names frames that are in no segment")
        return Contents(sequences)

    def _is_in_head(self, start: int, samples: Samples) -> bool:
        """True if the head says the same of the samples of a segment, which come next."""
        table, low = self._movie.samples, self._found
        high = self._found = low + len(samples.sizes)
        own, ticks = self._media.timescale, self._movie.timescale
        # The ticks of a film are coarser where it has a gap too long to be counted in finer ones.
        times = [(time - self._origin) * ticks // own for time in samples.times]
        shifts = [shift * ticks // own for shift in samples.shifts]
        syncs = [number in self._syncs for number in range(low, high)]
        return (
            list(table.places[low:high]) == [start + place for place in samples.places]
            and list(table.sizes[low:high]) == samples.sizes
            and list(table.times[low:high]) == times
            and list(table.shifts[low:high] or [0] * len(shifts)) == shifts
            and syncs == samples.syncs
        )

    def _segments(self) -> Iterator[tuple[int, FragmentInfo, Samples]]:
        """Each segment, with where it begins; they are what the last box holds."""
        place = 0
        while True:
            kind, body, stop = read_header(self._data, place, self._size)
            if stop == self._size:
                break
            place = stop
        if kind != b"mdat":
            raise NotMedia("it does not end with its segments")
        start = place = body
        while place < self._size:
            kind, _, place = read_header(self._data, place, self._size)
            if kind == b"mdat":
                with self._data[start:place] as segment:
                    info = read_fragment(segment, self._media)
                    yield start, info, self._samples(segment, info)
                start = place
        if start != self._size:
            raise NotMedia(f"the last segment has no media, from byte {start} on")

    def _samples(self, segment: memoryview, info: FragmentInfo) -> Samples:
        if info.sample_offset:
            size = len(segment) - info.sample_offset
            end = info.decode_time + info.duration
            one = [info.sample_offset], [size], [info.decode_time], [0], [info.is_keyframe]
            return Samples(*one, end)
        place, moof = find_moof(lambda low, size: bytes(segment[low : low + size]), len(segment))
        return read_samples(moof, place, len(segment), self._media)
