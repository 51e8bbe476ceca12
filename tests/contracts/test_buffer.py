"""What every memory buffer promises (:class:`vidlink.interfaces.IBuffer`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.relay.arrivals import arrival, arrivals
from vidlink.interfaces import IBuffer
from vidlink.relay.buffer import Budget, Buffer

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object


class BufferContract(_Case):
    """The promises of `IBuffer`; a subclass says in :meth:`make` who keeps them."""

    def make(self, window_seconds: float, cap_bytes: int) -> IBuffer:
        """An empty buffer that is alone in the world."""
        raise NotImplementedError

    def filled(
        self, picture: str, *, window_seconds: float = 1_000.0, step: float = 1.0
    ) -> IBuffer:
        """A buffer with the stream `picture` in it, a segment every `step` seconds."""
        buffer = self.make(window_seconds, 1 << 30)
        for one in arrivals(picture, step=step):
            self.assertFalse(buffer.append(one))
        return buffer

    def held(self, buffer: IBuffer) -> list[int]:
        """The sequences that `buffer` holds, in its order."""
        return [buffer.at(place).segment.sequence for place in range(buffer.first, buffer.end)]

    def test_interface(self) -> None:
        """It has every member, with the right arguments."""
        verifyObject(IBuffer, self.make(20.0, 1 << 20))

    def test_empty(self) -> None:
        """An empty buffer has no entry, no place to join and no newest sequence."""
        buffer = self.make(20.0, 1 << 20)
        buffer.trim(1_000_000.0)
        self.assertEqual((buffer.first, buffer.end, buffer.size_bytes), (0, 0, 0))
        self.assertIsNone(buffer.newest_sequence)
        self.assertIsNone(buffer.newest_keyframe(0))
        self.assertIsNone(buffer.oldest_keyframe(0))

    def test_positions_count_arrivals(self) -> None:
        """Positions count what came, whatever sequences are missing."""
        buffer = self.filled("Kd..dK")
        self.assertEqual((buffer.first, buffer.end), (0, 4))
        self.assertEqual(self.held(buffer), [0, 1, 4, 5])

    def test_positions_are_never_reused(self) -> None:
        """What stays keeps its position when the oldest go, and so does what comes."""
        buffer = self.filled("KddKdd", window_seconds=2.0)
        self.assertEqual((buffer.first, buffer.end), (3, 6))
        self.assertEqual(buffer.at(4).segment.sequence, 4)
        buffer.append(arrival(6, at=6.0))
        self.assertEqual(buffer.at(6).segment.sequence, 6)

    def test_outside(self) -> None:
        """There is nothing at a position that is not held."""
        buffer = self.filled("KddKdd", window_seconds=2.0)
        for place in (-1, 0, 2, 6, 7):
            self.assertRaises(IndexError, buffer.at, place)

    def test_window(self) -> None:
        """It keeps the window, and back to the newest keyframe segment at or before its start."""
        buffer = self.filled("KdKdKdKd", window_seconds=3.0)
        self.assertEqual(self.held(buffer), [4, 5, 6, 7])
        buffer.trim(8.9)
        self.assertEqual(self.held(buffer), [4, 5, 6, 7])
        buffer.trim(9.0)
        self.assertEqual(self.held(buffer), [6, 7])

    def test_silence(self) -> None:
        """However long nothing comes, there is a place to join."""
        buffer = self.filled("KdKdd", window_seconds=3.0)
        buffer.trim(1_000_000.0)
        self.assertEqual(self.held(buffer), [2, 3, 4])

    def test_no_keyframe(self) -> None:
        """Segments that nobody can join at are kept for the window, and no longer."""
        buffer = self.filled("dddddd", window_seconds=2.5)
        self.assertEqual(self.held(buffer), [3, 4, 5])
        buffer.trim(1_000_000.0)
        self.assertEqual((self.held(buffer), buffer.first, buffer.size_bytes), ([], 6, 0))

    def test_before_the_first_keyframe(self) -> None:
        """What comes before the first keyframe segment goes when the window has passed it."""
        buffer = self.filled("ddKd", window_seconds=2.5)
        self.assertEqual(self.held(buffer), [1, 2, 3])
        buffer.trim(4.5)
        self.assertEqual(self.held(buffer), [2, 3])

    def test_keyframes(self) -> None:
        """The oldest and the newest place to join are found from any position on."""
        buffer = self.filled("dKddKdKd")
        for place, oldest, newest in ((0, 1, 6), (1, 1, 6), (2, 4, 6), (6, 6, 6), (7, None, None)):
            self.assertEqual(buffer.oldest_keyframe(place), oldest)
            self.assertEqual(buffer.newest_keyframe(place), newest)

    def test_keyframes_that_have_gone(self) -> None:
        """A keyframe segment that is not held is no place to join."""
        buffer = self.filled("KddKdd", window_seconds=2.0)
        self.assertEqual(buffer.oldest_keyframe(0), 3)

    def test_newest_sequence(self) -> None:
        """The newest sequence is known even when its segment has gone."""
        buffer = self.filled("d..d", window_seconds=2.0)
        self.assertEqual(buffer.newest_sequence, 3)
        buffer.trim(1_000_000.0)
        self.assertEqual(buffer.newest_sequence, 3)

    def test_cap(self) -> None:
        """Over the cap the oldest go first, and whoever appended is told."""
        buffer = self.make(1_000.0, 10_000)
        self.assertFalse(buffer.append(arrival(0, True, size=3_000)))
        told = [buffer.append(arrival(number, size=3_000)) for number in (1, 2, 3)]
        self.assertIn(True, told)
        self.assertLessEqual(buffer.size_bytes, 10_000)
        self.assertEqual(self.held(buffer), list(range(buffer.first, 4)))
        self.assertIsNone(buffer.newest_keyframe(0))

    def test_encoded(self) -> None:
        """What is kept of an entry in another format is found with it, and counts."""
        buffer = self.make(1_000.0, 10_000)
        buffer.append(arrival(0, True, size=3_000))
        before, frame = buffer.size_bytes, bytes(4_000)
        buffer.keep(buffer.at(0), "vidlink.v1.json", frame)
        self.assertIs(buffer.at(0).frame_for("vidlink.v1.json"), frame)
        self.assertEqual(buffer.size_bytes, before + 4_000)
        self.assertTrue(buffer.append(arrival(1, True, size=3_000)))
        self.assertEqual(self.held(buffer), [1])

    def test_newest_is_kept(self) -> None:
        """A segment that is larger than the cap is still there to be sent."""
        buffer = self.make(1_000.0, 10_000)
        buffer.append(arrival(0, True))
        self.assertTrue(buffer.append(arrival(1, True, size=50_000)))
        self.assertEqual(self.held(buffer), [1])

    def test_what_the_window_drops_is_not_forced(self) -> None:
        """Whoever appends is told of the cap alone, not of what has grown old."""
        buffer = self.make(1.0, 10_000)
        told = [buffer.append(arrival(n, True, at=n * 2.0, size=3_500)) for n in range(5)]
        self.assertNotIn(True, told)


class BufferTests(BufferContract, SynchronousTestCase):
    """The buffer that the hub gives to every session."""

    def make(self, window_seconds: float, cap_bytes: int) -> IBuffer:
        """A buffer that shares its budget with nobody."""
        return Buffer(window_seconds, cap_bytes, Budget(1 << 40))
