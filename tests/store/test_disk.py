"""Tests of the system calls, and of how written bytes are made durable."""

from __future__ import annotations

import errno
import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.faults import FaultyDisk
from vidlink.errors import UserMistake
from vidlink.store.disk import Disk, write_all
from vidlink.store.durability import (
    Durability,
    FileDurability,
    FileSystemDurability,
    choose_durability,
    why_not_syncfs,
)


class WriteTests(SynchronousTestCase):
    """Writing all of it or failing."""

    def written(self, disk: Disk, buffers: list[bytes]) -> bytes:
        """What is in a file after these buffers."""
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

    def test_replace(self) -> None:
        """A file is replaced whole, and after a failure the old one is still there."""
        path = self.mktemp()
        disk = FaultyDisk()
        disk.replace(path, b"first", flush=True)
        self.assertIn(("sync", ""), disk.done)
        disk.room_bytes = 3
        self.assertRaises(OSError, disk.replace, path, b"second", flush=False)
        self.assertEqual(disk.read(path, 0, 99), b"first")

    def test_read(self) -> None:
        """Reading gives what there is, to the end of the file and no further."""
        path = self.mktemp()
        disk = Disk()
        disk.replace(path, b"0123456789", flush=False)
        self.assertEqual(disk.read(path, 8, 99), b"89")
        self.assertEqual(disk.read(path, 20, 5), b"")


class DurabilityTests(SynchronousTestCase):
    """Which way is chosen, and what each does."""

    def chosen(self, wanted: str, disk: Disk) -> Durability:
        """What is chosen for a folder of the tests."""
        root = self.mktemp()
        os.mkdir(root)
        found = choose_durability(wanted, root, disk)
        self.addCleanup(found.close)
        return found

    def test_real_disk(self) -> None:
        """On this machine the way that is chosen works."""
        found = self.chosen("disk", Disk())
        found.sync_session([], [])
        found.sync_all()
        root = self.mktemp()
        os.mkdir(root)
        self.assertEqual(isinstance(found, FileSystemDurability), not why_not_syncfs(root))

    def test_syncfs_refused(self) -> None:
        """Where `syncfs` is forbidden or missing, each file is synced by itself."""
        disk = FaultyDisk()
        disk.has_syncfs = False
        found = self.chosen("disk", disk)
        self.assertIsInstance(found, FileDurability)
        self.assertTrue(found.flushes_files)

    def test_not_trusted(self) -> None:
        """`syncfs` is not used where it is not known to report errors, such as on /proc."""
        self.assertIn("not known to report errors", why_not_syncfs("/proc"))

    def test_left_to_the_system(self) -> None:
        """With ``os`` nothing waits for the disk."""
        disk = FaultyDisk()
        found = self.chosen("os", disk)
        found.sync_session([1], ["/"])
        found.sync_all()
        self.assertEqual(disk.done, [])

    def test_unknown_word(self) -> None:
        """Anything else is the user's mistake."""
        self.assertRaises(UserMistake, choose_durability, "rock", "/", Disk())
