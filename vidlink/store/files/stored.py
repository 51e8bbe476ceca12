"""One session as it is stored, for reading: its description, its index records, its parts' bytes.

Who reads a session is handed one of these, and knows of no path. When files are written is said
elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from zlib import crc32

from vidlink.disk import Disk
from vidlink.errors import Damaged, StoreError, VidlinkError
from vidlink.store.files.layout import MOST_FILE_BYTES, SessionFile, read_session
from vidlink.store.files.paths import SESSION_FILE, part_file
from vidlink.store.files.records import SessionRecords, count_records
from vidlink.store.files.sound import SoundParts


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The session in `folder`. Everything may block.

    `sound`: what of its parts need not be checked; None: nothing of that is kept.

    :raises OSError: from every method, if the disk fails.
    """

    disk: Disk
    folder: str
    sound: SoundParts | None = field(default=None, compare=False)

    @property
    def is_gone(self) -> bool:
        """True if nothing of it is there any more: it has been deleted."""
        return not os.path.isdir(self.folder)

    @property
    def ids(self) -> tuple[str, str]:
        """The ids of its Sentinel and its own, which are the names of its folders."""
        *_, sentinel_id, session_id = self.folder.split(os.sep)
        return sentinel_id, session_id

    def read_file(self, *, is_checked: bool = True) -> SessionFile:
        """Read its description; unless `is_checked`, also with a wrong bit in it.

        :raises StoreError: if it cannot be understood, or is of another session
            than the names of the folders say.
        """
        path = os.path.join(self.folder, SESSION_FILE)
        data = self.disk.read(path, 0, MOST_FILE_BYTES)
        file = read_session(data, is_checked=is_checked)
        if (file.session.sentinel_id, file.session.session_id) != self.ids:
            raise StoreError(f"{SESSION_FILE} is of another session")
        return file

    def count_records(self) -> dict[int, int]:
        """The number of whole index records of each part."""
        return count_records(self.disk, self.folder)

    def records(self, counts: Mapping[int, int] | None = None) -> SessionRecords:
        """The index records, of each part so many as `counts` says; None: all there are."""
        return SessionRecords(self.disk, self.folder, counts)

    def part_path(self, number: int) -> str:
        """Where part `number` is."""
        return f"{self.folder}{os.sep}{part_file(number)}"

    def open_part(self, number: int) -> int:
        """A descriptor of part `number`, for reading."""
        return self.disk.open_for_reading(self.part_path(number))

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Up to `size` octets of part `number` from `offset`, fewer at its end."""
        return self.disk.read(self.part_path(number), offset, size)

    def read_init(self, size_bytes: int, check: int) -> bytes:
        """The initialization segment: from the first part whose copy is of this CRC-32, or else
        from the description, which says by itself that it is sound.

        :raises Damaged: if there are copies, and none is sound.
        """
        gone: FileNotFoundError | None = None
        for number in sorted(self.count_records()):
            try:
                data = self.read(number, 0, size_bytes)
            except FileNotFoundError as error:
                gone = error
                continue
            if len(data) == size_bytes and crc32(data) == check:
                return data
        with suppress(OSError, StoreError):
            file = self.read_file()
            if file.init and (len(file.init), crc32(file.init)) == file.init_mark:
                return file.init
        if gone is not None:
            raise gone
        raise Damaged("the initialization segment is not what was recorded")

    def with_init(self, file: SessionFile) -> SessionFile:
        """`file` with its copy of the initialization segment, if a sound one is anywhere."""
        if not file.init:
            with suppress(OSError, VidlinkError):
                return replace(file, init=self.read_init(*file.init_mark))
        return file


#: Gives a stored session by the ids of its Sentinel and its own.
LookUpStored = Callable[[str, str], StoredSession]
