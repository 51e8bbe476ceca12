"""Tests of the room in the queue to the disk: who may take how much of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vidlink.store.queue.room import MOST_SHARED, MOST_UNREAD, SHARED_AGAIN, Room

MOST = 8_000


class RoomTests(SynchronousTestCase):
    """A room for 8,000 octets or 80 segments, with four that share it."""

    def setUp(self) -> None:
        """Nothing waits."""
        self.sharers = 4
        self.room = Room(MOST, 80, sharers=lambda: self.sharers)

    def fill(self, owner: str, size: int = 100) -> int:
        """One takes what it gets; returns how many octets that are."""
        taken = 0
        while self.room.has(owner, size):
            self.room.occupy(owner, size, 1)
            taken += size
        return taken

    def test_alone(self) -> None:
        """Who is alone may take all of it."""
        self.sharers = 1
        self.assertEqual(self.fill("fast"), MOST)

    def test_others_find_room(self) -> None:
        """Who takes more than its share leaves a quarter to the others, in octets and in segments;
        and they may take that to the last octet."""
        for size in (100, 1):
            self.setUp()
            most = int(MOST * MOST_SHARED) if size == 100 else int(80 * MOST_SHARED)
            self.assertEqual(self.fill("fast", size), most)
            self.assertFalse(self.room.has("fast", size))
            others = self.fill("slow", size) + self.fill("other", size)
            self.assertEqual(most + others, MOST if size == 100 else 80)

    def test_one_gap(self) -> None:
        """Who was refused is taken again when much of the room is free: one gap, and no sieve."""
        taken = self.fill("fast")
        while not self.room.has("fast", 100):
            self.room.free("fast", 100, 1)
            taken -= 100
        self.assertEqual(taken, int(MOST * SHARED_AGAIN))

    def test_below_the_share(self) -> None:
        """Who has less than its share finds room while others are refused."""
        self.fill("fast")
        for _ in range(10):
            self.assertTrue(self.room.has("slow", 100))
            self.room.occupy("slow", 100, 1)

    def test_crowding(self) -> None:
        """Of whom an eighth waits is not to be read from, until half of that has gone; nor is
        anybody whose many small segments wait."""
        self.room.occupy("fast", int(MOST * MOST_UNREAD), 1)
        self.assertFalse(self.room.crowds("fast"))
        self.room.occupy("fast", 1, 1)
        self.assertTrue(self.room.crowds("fast"))
        self.assertFalse(self.room.crowds("slow"))
        self.room.free("fast", 400, 0)
        self.assertTrue(self.room.crowds("fast"))
        self.room.free("fast", 101, 0)
        self.assertFalse(self.room.crowds("fast"))
        self.room.occupy("small", 11, 11)
        self.assertTrue(self.room.crowds("small"))
        self.room.free("small", 11, 11)
        self.assertFalse(self.room.crowds("small"))
