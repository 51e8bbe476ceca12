"""Reading a file from its beginning to its end in large pieces, however small what is asked for.

Never more than one piece is in memory. Where the disk reports an error, what is asked for is
read by itself, so that only that counts as unreadable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from zlib import crc32

from vidlink.disk import Disk

PIECE_BYTES = 4 * 1024 * 1024


class PieceReader:
    """The file at `path`, open in a ``with``; `came` is told how many octets were read.

    :raises OSError: if it cannot be opened.
    """

    def __init__(self, disk: Disk, path: str, came: Callable[[int], None]) -> None:
        self._disk = disk
        self._came = came
        self._descriptor = disk.open_for_reading(path)
        self.size_bytes = os.fstat(self._descriptor).st_size
        self._start = 0
        self._data = memoryview(b"")

    def __enter__(self) -> PieceReader:
        """The file is open already."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close it."""
        self._disk.close(self._descriptor)

    def check(self, offset: int, size: int) -> int | None:
        """The CRC-32 of so many octets; None where they are not there or cannot be read."""
        check = 0
        for piece in self._pieces(offset, size):
            check = crc32(piece, check)
            size -= len(piece)
        return None if size else check

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` octets from `offset`, fewer at the end and before what is unreadable."""
        return b"".join(self._pieces(offset, size))

    def _pieces(self, offset: int, size: int) -> Iterator[memoryview]:
        """The octets, as they are in memory or come into it, up to what cannot be had."""
        while size:
            place = offset - self._start
            if not 0 <= place < len(self._data):
                self._move(offset, size)
                place = offset - self._start
            piece = self._data[place : place + size]
            if not piece:
                return
            yield piece
            offset += len(piece)
            size -= len(piece)

    def _move(self, offset: int, size: int) -> None:
        self._start, self._data = offset, memoryview(b"")
        for count in (PIECE_BYTES, min(size, PIECE_BYTES)):
            try:
                data = self._disk.pread(self._descriptor, offset, count)
            except OSError:
                continue
            self._data = memoryview(data)
            self._came(len(data))
            return
