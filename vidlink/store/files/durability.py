"""Ways to make what was written survive a power cut, and the choice of one for this machine.

One `syncfs` makes a round of 1,000 files durable in the time that `fdatasync` takes for a
hundred, so it is the way wherever it can be trusted to report an error.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Thread

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.store.files.paths import Paths

_log = Logger()

#: `syncfs` reports write-back errors since Linux 5.8.
_SYNCFS_SINCE = (5, 8)
#: File systems on which it does: ext2 to ext4, XFS, Btrfs; and tmpfs, which has no disk.
_TRUSTED = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs"}
_STATFS_BYTES = 256
#: So many threads beside that of the writer sync files of a round at a time; the system then does
#: with one write of its journal what it does with one for each file otherwise.
MOST_SYNCS = 16
#: Of fewer sessions for each of them, there are fewer threads.
_SESSIONS_A_THREAD = 8

#: The descriptors of files, and the folders with new names, that a sync of one session covers.
Unsynced = tuple[Iterable[int], Iterable[str]]


class Durability:
    """A way to make written bytes durable: first each session's files, then all at once.

    This one leaves it to the operating system: what was written survives the death of the
    process, and a power cut only if the kernel had it written back by then.

    :raises OSError: from every method, if it is not sure that they are durable.
    """

    name = "operating system"
    #: True if a file that is replaced must be flushed by itself.
    has_to_flush = False
    #: True if anything is synced at all.
    has_sync = False

    def sync_session(self, descriptors: Iterable[int], folders: Iterable[str]) -> None:
        """Make one session's files and the names in these folders durable, if it is done so."""

    def sync_sessions(self, sessions: Sequence[Unsynced]) -> list[OSError | None]:
        """Do that for each of these; returns of each why it is not durable, None where it is.

        Many are done at a time, by threads that keep no process from ending.
        """
        reasons: list[OSError | None] = [None] * len(sessions)
        mistakes: list[Exception] = []
        left = deque(enumerate(sessions))

        def sync() -> None:
            while True:
                try:
                    place, session = left.popleft()
                except IndexError:
                    return
                try:
                    self.sync_session(*session)
                except OSError as error:
                    reasons[place] = error
                except Exception as error:
                    mistakes.append(error)

        count = min(MOST_SYNCS, len(sessions) // _SESSIONS_A_THREAD)
        others: list[Thread] = []
        # Where the system gives no more threads, fewer do it.
        with suppress(RuntimeError):
            for _ in range(count):
                thread = Thread(target=sync, name="vidlink-sync", daemon=True)
                thread.start()
                others.append(thread)
        sync()
        for thread in others:
            thread.join()
        if mistakes:
            raise mistakes[0]
        return reasons

    def sync_all(self) -> None:
        """Make everything durable, if it is done in one."""

    def close(self) -> None:
        """Let go of descriptors."""


class FileDurability(Durability):
    """`fdatasync` for each file, `fsync` for each folder with new names."""

    name = "fdatasync for each file"
    has_to_flush = True
    has_sync = True

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def sync_session(self, descriptors: Iterable[int], folders: Iterable[str]) -> None:
        """Wait for each file and folder."""
        for descriptor in descriptors:
            self._disk.fdatasync(descriptor)
        for folder in folders:
            self._disk.sync_folder(folder)


class FileSystemDurability(Durability):
    """One `syncfs` for all, through a descriptor that stays open.

    It must stay open: the kernel reports an error of writing back once, to the descriptors
    that were open when it happened.
    """

    name = "syncfs"
    has_sync = True

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync_all(self) -> None:
        """Wait for the whole file system."""
        self._disk.syncfs(self._descriptor)

    def close(self) -> None:
        """Let go of the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def choose_durability(wanted: str, root: str, disk: Disk) -> Durability:
    """The best way for the data folder `root`, said in the log.

    `wanted` is ``disk`` (what is acknowledged survives a power cut) or ``os`` (it survives
    the death of the process).

    :raises UserMistake: if `wanted` is neither.
    """
    if wanted not in ("os", "disk"):
        raise UserMistake(f"durability is 'disk' or 'os', not {wanted!r}")
    if wanted == "os":
        chosen, reason = Durability(), "as asked for"
    else:
        chosen, reason = _best(root, disk)
    _log.info("durability by {way} ({reason})", way=chosen.name, reason=reason)
    return chosen


def _best(root: str, disk: Disk) -> tuple[Durability, str]:
    reason = why_not_syncfs(root)
    if not reason:
        found = FileSystemDurability(disk, root)
        try:
            found.sync_all()
        except OSError as error:
            found.close()
            reason = f"syncfs does not work here: {error.strerror}"
        else:
            return found, "this file system reports errors through it"
    return FileDurability(disk), reason


def why_not_syncfs(root: str) -> str:
    """The reason why `syncfs` cannot be trusted on the file system of `root`; empty if it can."""
    if sys.platform != "linux":
        return "syncfs is for Linux"
    version = re.match(r"([0-9]+)\.([0-9]+)", platform.release())
    if version is None or (int(version[1]), int(version[2])) < _SYNCFS_SINCE:
        return f"Linux {platform.release()} does not report errors through syncfs"
    recordings = Paths(root).recordings
    if os.path.isdir(recordings) and os.stat(recordings).st_dev != os.stat(root).st_dev:
        return "the recordings are on a disk of their own"
    kind = _file_system(root)
    return (
        "" if kind in _TRUSTED else f"file system of kind {kind:#x} is not known to report errors"
    )


def _file_system(root: str) -> int:
    """The `f_type` that `statfs` gives: the first word of its answer."""
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(root), answer) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), root)
    return ctypes.c_uint32.from_buffer(answer).value
