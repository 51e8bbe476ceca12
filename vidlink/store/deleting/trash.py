"""``deleting/``: folders of sessions that have a receipt, and their removal, slice by slice.

A file of a gibibyte takes a file system a tenth of a second to let go, and a sync of those that
record would wait for that; so it is cut from its end, with pauses between.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.store.files.paths import Paths

SLICE_BYTES = 64 * 1024 * 1024
PAUSE_SECONDS = 0.02


class Trash:
    """What is to be removed. Everything may block; what fails is logged, and tried again by the
    next start."""

    _log = Logger()

    def __init__(self, paths: Paths, disk: Disk, pause: Callable[[float], object]) -> None:
        self._paths = paths
        self._disk = disk
        self._pause = pause
        self._folders: deque[str] = deque()

    def find(self) -> None:
        """What an earlier process has left."""
        try:
            names = os.listdir(self._paths.deleting)
        except FileNotFoundError:
            return
        except OSError as error:
            self._log.error("what is to be removed cannot be listed: {why}", why=str(error))
            return
        self._folders.extend(os.path.join(self._paths.deleting, name) for name in sorted(names))

    def move_in(self, sentinel_id: str, session_id: str) -> None:
        """Move the folder of a session here."""
        folder = self._paths.session(sentinel_id, session_id)
        bin_folder = os.path.join(self._paths.deleting, session_id)
        try:
            self._disk.make_folders(self._paths.deleting)
            self._disk.rename(folder, bin_folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self._log.error("{folder} cannot be moved: {why}", folder=folder, why=str(error))
            return
        self._folders.append(bin_folder)

    def empty(self, is_enough: Callable[[], bool]) -> None:
        """Remove everything, until `is_enough`; the next start does the rest then."""
        while self._folders and not is_enough():
            folder = self._folders[0]
            try:
                if not self._remove(folder, is_enough):
                    return
            except OSError as error:
                self._log.error("{folder} cannot be removed: {why}", folder=folder, why=str(error))
            self._folders.popleft()

    def _remove(self, folder: str, is_enough: Callable[[], bool]) -> bool:
        if not os.path.isdir(folder) or os.path.islink(folder):
            self._disk.remove(folder)
            return True
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            size = self._disk.size(path)
            while size > SLICE_BYTES:
                if is_enough():
                    return False
                size -= SLICE_BYTES
                self._disk.truncate(path, size)
                self._pause(PAUSE_SECONDS)
            self._disk.remove(path)
        self._disk.remove_folder(folder)
        return True
