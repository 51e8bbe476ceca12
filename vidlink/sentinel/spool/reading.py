"""Reading segments back from their chunks, each held against its checksums."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from vidlink.disk import Disk
from vidlink.model import Segment
from vidlink.sentinel.spool.chunk import chunk_path
from vidlink.sentinel.spool.inbox import Inbox, Read
from vidlink.sentinel.spool.index import end_of
from vidlink.sentinel.spool.layout import ENTRY_BYTES, EntryKind, EntryPlace, read_entry

#: These errors do not go away by waiting: what cannot be read for them is lost.
_FINAL = frozenset({errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})


class Reader:
    """Answers the reads in the `inbox`; what fails for a passing reason, later."""

    def __init__(
        self, folder: str, inbox: Inbox, disk: Disk, call_in_reactor: Callable[..., object]
    ) -> None:
        self._folder = folder
        self._inbox = inbox
        self._disk = disk
        self._call_in_reactor = call_in_reactor
        self._left: list[Read] = []

    def round(self) -> bool:
        """Answer what can be answered; returns whether something is left."""
        reads, self._left = [*self._left, *self._inbox.collect_reads()], []
        for read in reads:
            try:
                segments, damaged = self._fetch(read)
            except OSError:
                self._left.append(read)
            else:
                self._call_in_reactor(read.answer, segments, damaged)
        return bool(self._left)

    def give_up(self) -> None:
        """Answer what is left with nothing."""
        for read in [*self._left, *self._inbox.collect_reads()]:
            self._call_in_reactor(read.answer, [], [])
        self._left = []

    def _fetch(self, read: Read) -> tuple[list[Segment], list[int]]:
        """The segments at these places, and the sequences of those that are damaged."""
        path = chunk_path(os.path.join(self._folder, read.session_id), read.number)
        segments: list[Segment] = []
        damaged: list[int] = []
        try:
            descriptor = self._disk.open_for_reading(path)
        except OSError as error:
            if error.errno not in _FINAL:
                raise
            return [], [place.sequence for place in read.places]
        try:
            for place in read.places:
                segment = self._segment(descriptor, place, read.session_id)
                if segment is None:
                    damaged.append(place.sequence)
                else:
                    segments.append(segment)
        finally:
            self._disk.close(descriptor)
        return segments, damaged

    def _segment(self, descriptor: int, place: EntryPlace, session_id: str) -> Segment | None:
        try:
            data = self._disk.pread(descriptor, place.offset, end_of(place) - place.offset)
        except OSError as error:
            if error.errno not in _FINAL:
                raise
            return None
        entry, payload = read_entry(data), data[ENTRY_BYTES:]
        if entry is None or entry.kind != EntryKind.SEGMENT or entry.sequence != place.sequence:
            return None
        if not entry.holds(payload):
            return None
        return Segment(
            sentinel_id=os.path.basename(self._folder),
            session_id=session_id,
            sequence=entry.sequence,
            start_time_us=entry.start_time_us,
            duration_ms=entry.duration_ms,
            framerate_mhz=entry.framerate_mhz,
            is_keyframe=entry.is_keyframe,
            data=payload,
            is_late=True,
        )
