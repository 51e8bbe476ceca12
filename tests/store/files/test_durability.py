"""Tests of how written bytes are made durable."""

from __future__ import annotations

import errno
import os
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.store.files.durability import (
    Durability,
    FileDurability,
    FileSystemDurability,
    Unsynced,
    choose_durability,
    why_not_syncfs,
)

#: Nothing here takes a hundredth of it.
PATIENCE_SECONDS = 30


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

    def test_many_sessions(self) -> None:
        """Of many sessions each is synced once, by several threads, and what fails is said of the
        one that it has failed for; a mistake of ours is raised, in whichever it is made."""
        disk = FaultyDisk()
        disk.has_syncfs = False
        found, synced = self.chosen("disk", disk), list[int]()
        failures: dict[int, Exception] = {70: OSError(errno.EIO, "Input/output error")}
        threads = set[int]()
        two = threading.Barrier(2)

        def fdatasync(descriptor: int) -> None:
            threads.add(threading.get_ident())
            if descriptor < 2:
                # Whoever has one of these waits until somebody else has the other.
                two.wait(PATIENCE_SECONDS)
            if descriptor in failures:
                raise failures[descriptor]
            synced.append(descriptor)

        disk.fdatasync = fdatasync  # type: ignore[method-assign]
        reasons = found.sync_sessions([([number], []) for number in range(100)])
        self.assertEqual(reasons, [failures.get(number) for number in range(100)])
        self.assertEqual(sorted(synced), [one for one in range(100) if one not in failures])
        self.assertGreater(len(threads), 1)
        failures[80] = ValueError("no")
        sessions: list[Unsynced] = [([number], []) for number in range(2, 100)]
        self.assertRaises(ValueError, found.sync_sessions, sessions)

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
