"""Tests of how written bytes are made durable."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.store.files.durability import (
    Durability,
    FileDurability,
    FileSystemDurability,
    choose_durability,
    why_not_syncfs,
)


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
        self.assertTrue(found.has_to_flush)

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
