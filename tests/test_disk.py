"""Tests of the system calls on files."""

from __future__ import annotations

import errno
import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from vidlink.disk import Disk, Locked, take_lock, write_all


class WriteTests(SynchronousTestCase):
    """Writing all of it or failing."""

    def written(self, disk: Disk, buffers: list[bytes]) -> bytes:
        """The content of a file after these buffers."""
        path = self.mktemp()
        descriptor = disk.create(path)
        self.addCleanup(os.close, descriptor)
        write_all(disk, descriptor, buffers)
        return Disk().read(path, 0, 10**9)

    @given(st.lists(st.binary(max_size=9), max_size=20), st.integers(1, 30))
    def test_short_writes(self, buffers: list[bytes], most: int) -> None:
        """However little a write takes, all arrives in the end, once and in order."""
        disk = FaultyDisk()
        disk.most_bytes = most
        self.assertEqual(self.written(disk, buffers), b"".join(buffers))

    def test_many_buffers(self) -> None:
        """More buffers than one call takes are written with several."""
        buffers = [b"%d " % number for number in range(5_000)]
        self.assertEqual(self.written(Disk(), buffers), b"".join(buffers))

    def test_nothing_written(self) -> None:
        """A write that takes nothing is a full disk, and not an endless loop."""
        disk = FaultyDisk()
        disk.most_bytes = 0
        error = self.assertRaises(OSError, self.written, disk, [b"x"])
        self.assertEqual(error.errno, errno.ENOSPC)

    def test_lengthened_by_others(self) -> None:
        """What is written goes behind what was written before, wherever the file ends by now; a
        file that is opened again is gone on with at its end."""
        disk, path = Disk(), self.mktemp()
        descriptor = disk.create(path)
        write_all(disk, descriptor, [b"one "])
        with open(path, "ab") as file:
            file.write(b"others")
        write_all(disk, descriptor, [b"two "])
        self.assertEqual(disk.position(descriptor), 8)
        disk.close(descriptor)
        descriptor = disk.reopen(path)
        self.addCleanup(os.close, descriptor)
        write_all(disk, descriptor, [b"!"])
        self.assertEqual(disk.read(path, 0, 99), b"one two rs!")

    def test_folders(self) -> None:
        """Folders are made where they are missing, and left as they are where they are there; what
        is in the way of one is an error."""
        disk, root = Disk(), self.mktemp()
        for path in (f"{root}/a/b/c", f"{root}/a/b/c", f"{root}/a/d/", f"{root}/a", ""):
            disk.make_folders(path)
            self.assertTrue(os.path.isdir(path or "."))
        os.symlink("nowhere", f"{root}/link")
        self.assertRaises(FileNotFoundError, disk.make_folders, f"{root}/link/a/b")
        disk.replace(f"{root}/file", b"", flush=False)
        self.assertRaises(NotADirectoryError, disk.make_folders, f"{root}/file/a")

    def test_replace(self) -> None:
        """A file is replaced whole, and after a failure the old one is still there."""
        path = self.mktemp()
        disk = FaultyDisk()
        disk.replace(path, b"first", flush=True)
        self.assertIn(("sync", ""), disk.done)
        disk.room_bytes = 3
        self.assertRaises(OSError, disk.replace, path, b"second", flush=False)
        self.assertEqual(disk.read(path, 0, 99), b"first")

    def test_links(self) -> None:
        """No link is followed to a file that would be emptied, appended to or locked: one that was
        left where a file is made anew goes, any other is an error."""
        victim, folder = self.mktemp(), self.mktemp()
        Disk().replace(victim, b"of somebody else", flush=False)
        os.mkdir(folder)
        path = os.path.join(folder, "file")
        os.symlink(os.path.abspath(victim), f"{path}.new")
        Disk().replace(path, b"ours", flush=False)
        self.assertEqual(os.listdir(folder), ["file"])
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(victim), link)
        self.assertRaises(OSError, Disk().append, link, b"more", flush=False)
        self.assertRaises(OSError, take_lock, link)
        self.assertEqual(Disk().read(path, 0, 99), b"ours")
        self.assertEqual(Disk().read(victim, 0, 99), b"of somebody else")

    def test_read(self) -> None:
        """Reading gives what there is, to the end of the file and no further."""
        path = self.mktemp()
        disk = Disk()
        disk.replace(path, b"0123456789", flush=False)
        self.assertEqual(disk.read(path, 8, 99), b"89")
        self.assertEqual(disk.read(path, 20, 5), b"")


class LockTests(SynchronousTestCase):
    """A folder for one process alone."""

    def test_second(self) -> None:
        """Whoever comes second is told who has it, until it is let go."""
        path = self.mktemp()
        first = take_lock(path)
        refused = self.assertRaises(Locked, take_lock, path)
        self.assertEqual(refused.owner, str(os.getpid()))
        os.close(first)
        os.close(take_lock(path))
