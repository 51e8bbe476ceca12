"""The system calls on files, in one place, so that a test can make any of them fail.

What is written where is decided by whoever keeps something: the store, and a Sentinel's spool.
SQLite makes its own calls. It is one idea: each call that the system can refuse is here, and
nothing that decides.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from vidlink.model import Octets

#: The most that the mode of a file, and of a folder, allows; the umask may leave less of it.
FILE_MODE, FOLDER_MODE = 0o640, 0o750
#: The most buffers of one `writev` (POSIX promises 16, Linux has 1,024).
_MOST_BUFFERS = min(1_024, os.sysconf("SC_IOV_MAX"))
#: macOS has no `fdatasync`.
_sync_data = getattr(os, "fdatasync", os.fsync)


#: Device and inode.
Place = tuple[int, int]
#: A read with this does not wait for the disk. Linux alone has it.
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
#: Who reads changes nothing of a file then, and so never waits for the file system's journal.
_NO_TIME: int = getattr(os, "O_NOATIME", 0)


class FileMark(NamedTuple):
    """A file as it is at one moment: which one, how large, and when it was changed last."""

    place: Place
    size_bytes: int
    changed_us: int


class Disk:
    """Files as we use them. Every call may block.

    :raises OSError: out of any of them, if the system cannot do it.
    """

    def create(self, path: str) -> int:
        """Open a file that is not there yet, for writing; returns the descriptor.

        What is written goes behind what was written before, whatever others do to the file.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, FILE_MODE)

    def reopen(self, path: str) -> int:
        """Open a file that is there, for writing on behind its end as it is now."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.lseek(descriptor, 0, os.SEEK_END)
        return descriptor

    def writev(self, descriptor: int, buffers: Sequence[Octets]) -> int:
        """Write `buffers`; returns how many octets of them were written, maybe not all."""
        return os.writev(descriptor, buffers)

    def close(self, descriptor: int) -> None:
        """Let go of a descriptor."""
        os.close(descriptor)

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file to this size."""
        os.truncate(path, size_bytes)

    def overwrite(self, path: str, offset: int, data: bytes) -> None:
        """Write `data` over what is at `offset`, and wait until it is on the disk."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while data:
                written = os.pwrite(descriptor, data, offset)
                data, offset = data[written:], offset + written
            self.fdatasync(descriptor)
        finally:
            self.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file, unless it is gone already."""
        try:
            os.remove(path)
        except FileNotFoundError:
            return

    def make_folders(self, path: str) -> None:
        """Make a folder and those above it, where they are not there yet."""
        # `os.makedirs` has its own mode for those above, and looks at each before it is made.
        if not path:
            return
        try:
            os.mkdir(path, FOLDER_MODE)
        except FileNotFoundError:
            self.make_folders(os.path.dirname(path))
            with suppress(FileExistsError):
                os.mkdir(path, FOLDER_MODE)
        except FileExistsError:
            return

    def replace(self, path: str, data: bytes, *, flush: bool) -> None:
        """Put `data` in the place of a file, whole or not at all.

        `flush`: the bytes reach the disk before the name does.
        """
        fresh = f"{path}.new"
        descriptor = make_anew(fresh, FILE_MODE)
        try:
            write_all(self, descriptor, [data])
            if flush:
                self.fdatasync(descriptor)
        finally:
            self.close(descriptor)
        os.replace(fresh, path)

    def append(self, path: str, data: bytes, *, flush: bool) -> None:
        """Put `data` at the end of a file, which is made; some of it may be there on an error.

        `flush`: and wait until it is on the disk. A link is not followed, as it may lead anywhere.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, FILE_MODE)
        try:
            write_all(self, descriptor, [data])
            if flush:
                self.fdatasync(descriptor)
        finally:
            self.close(descriptor)

    def rename(self, path: str, new: str) -> None:
        """Give a file or a folder another name on the same file system."""
        os.rename(path, new)

    def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty, unless it is gone already."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return

    def fdatasync(self, descriptor: int) -> None:
        """Wait until what was written to a file is on the disk."""
        _sync_data(descriptor)

    def flush(self, path: str) -> None:
        """Wait until a file is on the disk as it is now."""
        descriptor = self.reopen(path)
        try:
            self.fdatasync(descriptor)
        finally:
            self.close(descriptor)

    def syncfs(self, descriptor: int) -> None:
        """Wait until everything on the file system of `descriptor` is on the disk.

        Python has no name for it; where the C library has none either this is `ENOSYS`.
        """
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if call(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def sync_folder(self, path: str) -> None:
        """Wait until the names in a folder are on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Up to `size` octets from `offset`, fewer only at the end of the file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self.pread(descriptor, offset, size)
        finally:
            os.close(descriptor)

    def open_for_reading(self, path: str) -> int:
        """Open a file for :meth:`pread`."""
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            return os.open(path, flags | _NO_TIME)
        except PermissionError:  # It is not ours, and so neither is the time of its reading.
            return os.open(path, flags)

    def pread(self, descriptor: int, offset: int, size: int) -> bytes:
        """Up to `size` octets from `offset`, fewer only at the end of the file."""
        data = os.pread(descriptor, size, offset)
        if len(data) == size or not data:
            return data
        pieces = [data]
        got = len(data)
        while got < size and (data := os.pread(descriptor, size - got, offset + got)):
            pieces.append(data)
            got += len(data)
        return b"".join(pieces)

    def pread_now(self, descriptor: int, offset: int, size: int) -> bytes | None:
        """`size` octets from `offset` if all of them are in the system's memory; never waits.

        None: they are not, or the file system cannot tell.
        """
        if _NOWAIT is None:
            return None
        data = bytearray(size)
        try:
            return bytes(data) if os.preadv(descriptor, (data,), offset, _NOWAIT) == size else None
        except OSError:
            return None

    def has_now(self, descriptor: int, offset: int) -> bool:
        """True if the octet at `offset` is in the system's memory; never waits."""
        if _NOWAIT is None:
            return False
        try:
            return os.preadv(descriptor, (bytearray(1),), offset, _NOWAIT) == 1
        except OSError:
            return False

    def drop(self, descriptor: int, offset: int, size: int) -> None:
        """Have the system forget what it has in its memory of these octets, so that they are read
        from the disk; where it cannot be told, it does not."""
        with suppress(OSError, AttributeError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)

    def mark_of(self, descriptor: int) -> FileMark | None:
        """An open file as it is now; None if it has been removed."""
        found = os.fstat(descriptor)
        if not found.st_nlink:
            return None
        return FileMark((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns // 1_000)

    def place(self, path: str) -> Place:
        """Which file or folder is at `path`, to the system."""
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def place_of(self, descriptor: int) -> Place:
        """Which file is open, whatever its name is by now."""
        found = os.fstat(descriptor)
        return found.st_dev, found.st_ino

    def names_mark(self, path: str) -> tuple[int, int, int]:
        """Which folder is at `path`, and when a name in it came or went last."""
        found = os.stat(path)
        return found.st_dev, found.st_ino, found.st_ctime_ns

    def position(self, descriptor: int) -> int:
        """Where the next write to a file goes."""
        return os.lseek(descriptor, 0, os.SEEK_CUR)

    def size(self, path: str) -> int:
        """The size of a file in octets."""
        return os.stat(path).st_size

    def free_bytes(self, path: str) -> int:
        """The octets that may still be written to the file system of `path`."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def total_bytes(self, path: str) -> int:
        """The size of the file system of `path` in octets."""
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize


def make_anew(path: str, mode: int) -> int:
    """Make a file, in the place of what was left there, and open it for writing.

    What was left is removed and not emptied: it may be a link, to a file of somebody else's.

    :raises OSError: if it cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode)
    except FileExistsError:
        os.remove(path)
        return os.open(path, flags, mode)


def write_all(disk: Disk, descriptor: int, buffers: Sequence[Octets]) -> None:
    """Append all of `buffers`, going on after a short write.

    :raises OSError: if the rest cannot be written; to write nothing counts as a full disk.
    """
    left = sum(map(len, buffers))
    while left:
        written = disk.writev(descriptor, buffers[:_MOST_BUFFERS])
        if written <= 0:
            raise OSError(errno.ENOSPC, "nothing could be written")
        left -= written
        if left:
            buffers = _behind(buffers, written)


def _behind(buffers: Sequence[Octets], size_bytes: int) -> Sequence[Octets]:
    """The rest of `buffers`, which are more than the first `size_bytes` of them."""
    done = 0
    while size_bytes >= len(buffers[done]):
        size_bytes -= len(buffers[done])
        done += 1
    return [memoryview(buffers[done])[size_bytes:], *buffers[done + 1 :]]


def is_for_others(path: str) -> bool:
    """True if others than its user and group may do anything with what is at `path`.

    :raises OSError: if it is not there.
    """
    return bool(os.stat(path).st_mode & 0o007)


class Locked(Exception):
    """Another process, `owner` by its number if known, has the lock."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


def take_lock(path: str) -> int:
    """Lock the file at `path`, which is made; returns the descriptor that holds the lock.

    The lock goes with the process, however it ends. The file has its number in it.

    :raises Locked: if another process has it.
    :raises OSError: if it cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, FILE_MODE)
    _flock(descriptor, fcntl.LOCK_EX)
    try:
        sign_lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sign_lock(descriptor: int) -> None:
    """Put the number of this process into the lock that it has.

    A process that goes into the background takes its locks along, and has another number then.

    :raises OSError: if it cannot be written.
    """
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def share_lock(path: str) -> int:
    """Keep others from taking the lock at `path`, as any number of readers may at a time.

    Nothing is written, and nothing made.

    :raises Locked: if another process has taken it.
    :raises OSError: if it is not there, or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    _flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _flock(descriptor: int, way: int) -> None:
    """Lock what is open, or close it and say who has the lock."""
    try:
        fcntl.flock(descriptor, way | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise Locked(owner or "unknown") from None
    except BaseException:
        os.close(descriptor)
        raise
