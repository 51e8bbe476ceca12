"""A file of room: what is given up on a full disk so that a receipt can be written.

Deleting makes room, but its receipt and the database need a little of it first. Who writes
recordings tries again every second; so it is given up in slices, each for one receipt.
"""

from __future__ import annotations

import os

from twisted.logger import Logger

from vidlink.disk import Disk

RESERVE_BYTES = 1024 * 1024
SLICE_BYTES = 64 * 1024


class Reserve:
    """The file at `path`. Everything may block; nothing raises because of the disk."""

    _log = Logger()

    def __init__(self, path: str, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def fill(self) -> None:
        """Take the room again, if there is enough of it for others too."""
        size = self._size()
        missing = RESERVE_BYTES - size
        try:
            if (
                missing > 0
                and self._disk.free_bytes(os.path.dirname(self._path)) > 2 * RESERVE_BYTES
            ):
                self._disk.append(self._path, os.urandom(missing), flush=False)
        except OSError as error:
            self._log.debug("no room is kept for receipts: {reason}", reason=str(error))

    def give(self) -> bool:
        """Give up a slice; False if there is none left."""
        return self._cut(max(0, self._size() - SLICE_BYTES))

    def give_all(self) -> None:
        """Give up all of it."""
        self._cut(0)

    def _cut(self, size: int) -> bool:
        if self._size() <= size:
            return False
        try:
            self._disk.truncate(self._path, size)
        except OSError as error:
            self._log.error("no room can be given up: {reason}", reason=str(error))
            return False
        return True

    def _size(self) -> int:
        try:
            return self._disk.size(self._path)
        except OSError:
            return 0
