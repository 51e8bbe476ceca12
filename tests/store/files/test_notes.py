"""Tests of `vidlink.store.files.notes`: what a data folder keeps for who deletes in it."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from vidlink.disk import Disk
from vidlink.model import Policy, Seen
from vidlink.store.files.notes import read_policy, read_seen, write_policy, write_seen

SEEN = Seen(1_795_000_000_000_000, 1_794_000_000_000_000, 1_796_000_000_000_000, 3_000_000_000)
POLICY = Policy(max_age_us=30 * 86_400_000_000, min_free_bytes=10**9)


class NotesTests(SynchronousTestCase):
    """``clock.json`` and ``policy.json``."""

    def setUp(self) -> None:
        """A folder without any."""
        self.disk = Disk()
        folder = self.mktemp()
        os.makedirs(folder)
        self.clock, self.policy = os.path.join(folder, "clock"), os.path.join(folder, "policy")

    def test_kept(self) -> None:
        """What was written is read, and nothing before that."""
        self.assertIsNone(read_seen(self.clock, self.disk))
        self.assertIsNone(read_policy(self.policy, self.disk))
        write_seen(self.clock, SEEN, self.disk)
        write_policy(self.policy, POLICY, self.disk)
        self.assertEqual(read_seen(self.clock, self.disk), SEEN)
        self.assertEqual(read_policy(self.policy, self.disk), POLICY)

    def test_older(self) -> None:
        """A note of an older version has both times, and nothing that was served."""
        with open(self.clock, "w") as file:
            file.write(
                '{"format": 1, "time_us": 1704070800000000, "floor_us": 1704070800000000,'
                ' "crc32": 4055667610}'
            )
        self.assertEqual(read_seen(self.clock, self.disk), Seen(1704070800000000, 1704070800000000))

    def test_wrong_bits(self) -> None:
        """One wrong bit anywhere makes neither another time nor another policy."""
        write_seen(self.clock, SEEN, self.disk)
        write_policy(self.policy, POLICY, self.disk)
        for path, read, written in (
            (self.clock, read_seen, SEEN),
            (self.policy, read_policy, POLICY),
        ):
            with open(path, "rb") as file:
                good = file.read()
            for bit in range(8 * len(good)):
                data = bytearray(good)
                data[bit // 8] ^= 1 << bit % 8
                with open(path, "wb") as file:
                    file.write(data)
                self.assertIn(read(path, self.disk), (None, written))
