"""A disk that fails when it is told to, and knows what a power cut would leave."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence

from vidlink.disk import Disk
from vidlink.model import Octets


class FaultyDisk(Disk):
    """The real files, without waiting for the real disk.

    `errors` has the error number that an operation fails with for now, by its name (``write``,
    ``create``, ``reopen``, ``truncate``, ``overwrite``, ``remove``, ``replace``, ``sync``,
    ``read``), and `errors_once` the one that its next call fails with, but for ``read``;
    `room_bytes` is how much may still be written, short writes included;
    `most_bytes` is how much one write takes; `has_syncfs` whether there is such a call; `is_cold`
    whether the system has nothing of any file in its memory. `done`
    lists the operations that a test asks about; `before` is called ahead of each.
    """

    def __init__(self) -> None:
        self.has_syncfs = True
        self.is_cold = False
        self.errors: dict[str, int] = {}
        self.errors_once: dict[str, int] = {}
        self.room_bytes: int | None = None
        self.most_bytes: int | None = None
        self.done: list[tuple[str, str]] = []
        self.before: Callable[[str, str], object] = lambda name, path: None
        self._names: dict[int, str] = {}
        self._created: set[str] = set()
        self._synced: dict[str, int] = {}

    def _may(self, name: str, path: str = "") -> None:
        self.before(name, path)
        self.done.append((name, os.path.basename(path)))
        number = self.errors_once.pop(name, self.errors.get(name))
        if number is not None:
            raise OSError(number, os.strerror(number), path)

    def create(self, path: str) -> int:
        """Open a new file."""
        self._may("create", path)
        descriptor = super().create(path)
        self._names[descriptor] = path
        self._created.add(path)
        return descriptor

    def reopen(self, path: str) -> int:
        """Open a file again."""
        self._may("reopen", path)
        descriptor = super().reopen(path)
        self._names[descriptor] = path
        return descriptor

    def writev(self, descriptor: int, buffers: Sequence[Octets]) -> int:
        """Write as much as there is room for."""
        self._may("write", self._names.get(descriptor, ""))
        data = b"".join(buffers)
        if self.room_bytes is not None:
            if data and not self.room_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: self.room_bytes]
            self.room_bytes -= len(data)
        if self.most_bytes is not None:
            data = data[: self.most_bytes]
        return os.write(descriptor, data)

    def close(self, descriptor: int) -> None:
        """Let go of a descriptor."""
        self._names.pop(descriptor, None)
        super().close(descriptor)

    def pread(self, descriptor: int, offset: int, size: int) -> bytes:
        """Read."""
        if "read" in self.errors:
            raise OSError(self.errors["read"], os.strerror(self.errors["read"]))
        return super().pread(descriptor, offset, size)

    def pread_now(self, descriptor: int, offset: int, size: int) -> bytes | None:
        """Read what is in memory: everything that is there, unless `is_cold`."""
        data = os.pread(descriptor, size, offset)
        return None if self.is_cold or len(data) < size else data

    def has_now(self, descriptor: int, offset: int) -> bool:
        """Likewise, of one octet."""
        return self.pread_now(descriptor, offset, 1) is not None

    def free_bytes(self, path: str) -> int:
        """How much room there is."""
        return super().free_bytes(path) if self.room_bytes is None else self.room_bytes

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file."""
        self._may("truncate", path)
        super().truncate(path, size_bytes)

    def overwrite(self, path: str, offset: int, data: bytes) -> None:
        """Write over what is there."""
        self._may("overwrite", path)
        super().overwrite(path, offset, data)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._may("remove", path)
        super().remove(path)

    def replace(self, path: str, data: bytes, *, flush: bool) -> None:
        """Put a file in the place of another."""
        self._may("replace", path)
        if self.room_bytes is not None and len(data) > self.room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        super().replace(path, data, flush=flush)

    def append(self, path: str, data: bytes, *, flush: bool) -> None:
        """Put something at the end of a file."""
        self._may("append", path)
        super().append(path, data, flush=flush)

    def rename(self, path: str, new: str) -> None:
        """Give another name."""
        self._may("rename", path)
        super().rename(path, new)

    def remove_folder(self, path: str) -> None:
        """Remove a folder."""
        self._may("remove", path)
        super().remove_folder(path)

    def fdatasync(self, descriptor: int) -> None:
        """Sync one file."""
        path = self._names.get(descriptor, "")
        self._may("sync", path)
        if path:
            self._synced[path] = os.fstat(descriptor).st_size

    def sync_folder(self, path: str) -> None:
        """Sync one folder."""
        self._may("sync", path)

    def syncfs(self, descriptor: int) -> None:
        """Sync everything."""
        if not self.has_syncfs:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._may("sync")
        for path in self._created:
            if os.path.exists(path):
                self._synced[path] = os.path.getsize(path)

    def adopt(self, root: str) -> None:
        """What is in the folder `root` now was synced by an earlier process."""
        for folder, _, names in os.walk(os.path.abspath(root)):
            for path in (os.path.join(folder, name) for name in names):
                self._created.add(path)
                self._synced[path] = os.path.getsize(path)

    def after_power_cut(self, root: str, copy: str, kept: Callable[[int, int], int]) -> None:
        """Copy the folder `root` as a power cut might leave it.

        `kept(low, high)` says how long a file is then: it was `low` octets long at the last
        sync, and is `high` octets long now.
        """
        root = os.path.abspath(root)
        shutil.copytree(root, copy)
        for folder, _, names in os.walk(copy):
            for name in names:
                if name.endswith((".mp4", ".idx", ".chunk")):
                    path = os.path.join(folder, name)
                    original = os.path.join(root, os.path.relpath(path, copy))
                    size = os.path.getsize(path)
                    low = min(size, self._synced.get(original, 0))
                    os.truncate(path, kept(low, size))
