"""File systems of a test's own, that can be filled, cut off and made read-only.

They need root, and are unmounted by whoever made them, whatever happens (`conftest`). They are seen
by this process and those that it starts alone; if it is killed they end with the last of those,
such as a server that goes on. And no other namespace made meanwhile can hold a file system that was
unmounted here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.rigs.needs import do_without, need

#: ``FS_IOC_SHUTDOWN``, `_IOR('X', 125, __u32)`: the file system takes nothing more, as if
#: its disk were gone. `NOLOGFLUSH` leaves out what the journal has not written, as a power cut
#: does; 0 would write everything back first, and prove nothing.
SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
_CLONE_NEWNS = 0x00020000
_PATIENCE_SECONDS = 30.0


def need_root() -> None:
    """Skip the test, by name, where nothing may be mounted or traced."""
    if os.geteuid() != 0:
        do_without("needs root, to mount and to trace")


def run(program: str, *words: object) -> None:
    """Run `program`, a name that `needs` knows, to its end."""
    command = [need(program), *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
    if ran.returncode and "permission denied" in ran.stderr.lower():
        do_without(f"needs leave to mount: {ran.stderr.strip()}")
    assert ran.returncode == 0, (command, ran.stderr)


@cache
def seclude() -> None:
    """From now on what this thread and its processes mount is for themselves."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        do_without(f"needs leave to mount: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


class Mount:
    """A file system of its own at `path`, which is made."""

    def __init__(self, path: Path) -> None:
        need_root()
        seclude()
        self.path = path
        path.mkdir()
        self.mount()

    def mount(self) -> None:
        """Put it there."""
        raise NotImplementedError

    def unmount(self, *, lazily: bool = False) -> None:
        """Take it away; `lazily`, also while somebody uses it.

        A process that was killed lets go of its files a moment after it is gone.
        """
        if lazily:
            return run("umount", "-l", self.path)
        deadline = time.monotonic() + 5.0
        while True:
            try:
                return run("umount", self.path)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def clear(self) -> None:
        """Take it away whatever state it is in; nothing happens if it is not there."""
        while os.path.ismount(self.path):
            self.unmount(lazily=True)


class Tmpfs(Mount):
    """A file system in memory that holds `size_bytes`."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._ballast = path / "ballast"
        super().__init__(path)

    def mount(self) -> None:
        """Put an empty one there."""
        run("mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "none", self.path)

    def fill(self) -> None:
        """Take all the room there is."""
        with open(self._ballast, "ab", buffering=0) as file:
            while (left := os.statvfs(self.path).f_bfree * os.statvfs(self.path).f_frsize) > 0:
                try:
                    file.write(bytes(min(left, 1 << 16)))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    @contextmanager
    def full(self, server: object = None) -> Iterator[None]:
        """There is no room at all meanwhile; then there is, and more than before."""
        self.fill()
        yield
        run("mount", "-o", f"remount,size={8 * self._size_bytes}", self.path)
        self._ballast.unlink()


class Ext4(Mount):
    """An ext4 in the file `image`, whose power can be cut; it survives being unmounted."""

    def __init__(self, path: Path, image: Path, size_bytes: int = 256 * 1024 * 1024) -> None:
        need_root()
        self._image = image
        with image.open("wb") as file:
            file.truncate(size_bytes)
        run("mkfs.ext4", "-q", image)
        super().__init__(path)

    def mount(self) -> None:
        """Put it there; the journal is replayed if it was cut off."""
        run("mount", "-o", "loop,errors=remount-ro", self._image, self.path)

    def cut_power(self) -> None:
        """Nothing reaches the disk any more, and what has not reached it is gone."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def turn_read_only(self) -> None:
        """Do as the kernel does on finding that the file system is damaged."""
        device = os.stat(self.path).st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test\n")
