"""One chunk being written: entries appended to one file, which is never touched again later.

Everything here is called in the spool's thread, may block, and fails with an `OSError`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence

from vidlink.disk import Disk, write_all
from vidlink.model import Octets, Segment
from vidlink.sentinel.spool.index import ChunkIndex, end_of
from vidlink.sentinel.spool.layout import (
    EntryPlace,
    SavedState,
    pack_index,
    pack_init,
    pack_segment,
    pack_state,
)

_NAME = re.compile(r"([0-9]{8,})\.chunk", re.ASCII)


def chunk_path(folder: str, number: int) -> str:
    """The file of chunk `number` of the session in `folder`."""
    return os.path.join(folder, f"{number:08}.chunk")


def chunk_number(name: str) -> int | None:
    """The number of the chunk with this file name; None if it is another file."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


class Chunk:
    """The open chunk of one session; `size_bytes` of it have been written.

    Its initialization segment and its state stand at the head, so that each chunk can be read
    without the others. `unsynced` are the segments of which it is not known yet whether they
    would survive a power cut.
    """

    def __init__(
        self, disk: Disk, folder: str, number: int, init: bytes, state: SavedState
    ) -> None:
        self.number = number
        self.size_bytes = 0
        self._synced_bytes = 0
        self.unsynced: list[EntryPlace] = []
        self._disk = disk
        self._path = chunk_path(folder, number)
        self._index = ChunkIndex()
        self._descriptor = disk.create(self._path)
        try:
            self._write([pack_init(init), pack_state(state)])
        except BaseException:
            self.abandon()
            # It holds nothing, and must not be taken for the newest chunk.
            with contextlib.suppress(OSError):
                disk.remove(self._path)
            raise

    def append(self, segments: Sequence[Segment]) -> None:
        """Write these segments."""
        buffers: list[Octets] = []
        places: list[EntryPlace] = []
        offset = self.size_bytes
        for segment in segments:
            buffers += (pack_segment(segment), segment.data)
            place = EntryPlace(segment.sequence, offset, len(segment.data), segment.is_keyframe)
            places.append(place)
            offset = end_of(place)
        self._write(buffers)
        self.unsynced += places

    def note(self, state: SavedState) -> None:
        """Write down how things are with the session now."""
        self._write([pack_state(state)])

    def seal(self, state: SavedState) -> None:
        """End the chunk with the state and the index; nothing more will be written."""
        noted = pack_state(state)
        self._write([noted, pack_index([*self._index, *self.unsynced], len(noted))])

    def sync(self) -> list[EntryPlace]:
        """Make what was written survive a power cut; returns the places of its segments."""
        self._disk.fdatasync(self._descriptor)
        self._synced_bytes = self.size_bytes
        synced, self.unsynced = self.unsynced, []
        for place in synced:
            self._index.add(place)
        return synced

    def close(self) -> None:
        """Let go of the file."""
        self._disk.close(self._descriptor)

    def abandon(self) -> None:
        """Let go after an error; what is not known to be on disk is to be written elsewhere."""
        self.unsynced = []
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            self._disk.truncate(self._path, self._synced_bytes)
            self.size_bytes = self._synced_bytes

    def _write(self, buffers: Sequence[Octets]) -> None:
        write_all(self._disk, self._descriptor, buffers)
        self.size_bytes += sum(len(buffer) for buffer in buffers)
