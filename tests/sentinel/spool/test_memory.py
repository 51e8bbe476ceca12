"""What the spool in memory keeps to beside the contract of all spools: its bound."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vidlink.fmp4 import write_fragment
from vidlink.interfaces import ISpool
from vidlink.model import MAX_RANGES, DroppedRange, Segment
from vidlink.sentinel.spool.complaints import AGAIN_SECONDS
from vidlink.sentinel.spool.memory import SEGMENT_BYTES, MemorySpool
from vidlink.sentinel.spool.spool import MAX_SESSIONS

OLD, NEW = "session-that-was0", "session-that-is00"


def segment(session_id: str, sequence: int, *, keyframe: bool = False, size: int = 100) -> Segment:
    """A segment; only its size and its flags matter."""
    return Segment("desk-1", session_id, sequence, sequence, 200, 5_000, keyframe, bytes(size))


def summary(spool: MemorySpool, session_id: str = OLD) -> tuple[object, ...]:
    """What is held, what there ever was, and what was dropped."""
    (one,) = (one for one in spool.sessions() if one.session_id == session_id)
    return one.first, one.last, one.newest, [(gap.first, gap.last) for gap in one.dropped]


class BoundTests(SynchronousTestCase):
    """A spool that has room for ten small segments."""

    def setUp(self) -> None:
        """Make it."""
        self.told: list[str] = []
        self.now = 0.0
        self.spool = self.make(10)

    def make(self, segments: int) -> MemorySpool:
        """A spool with just so much room."""
        size = segments * (100 + SEGMENT_BYTES)
        spool = MemorySpool(size, self.told.append, monotonic=lambda: self.now)
        verifyObject(ISpool, spool)
        return spool

    def fill(self, session_id: str, *sequences: int) -> None:
        """Append segments, every fifth a keyframe."""
        for sequence in sequences:
            self.spool.append(segment(session_id, sequence, keyframe=sequence % 5 == 0))

    def held(self, session_id: str = OLD) -> list[int]:
        """The sequences that can be read."""
        found = self.successResultOf(self.spool.read(session_id, 0, 10**6))
        return [one.sequence for one in found]

    def test_oldest_group_goes(self) -> None:
        """When it is full the oldest segments go, up to the next keyframe, and are remembered;
        that it is full is said once."""
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, *range(10))
        self.assertEqual((self.spool.load, self.told), (1.0, []))
        self.fill(OLD, *range(10, 18))
        self.assertEqual(self.held(), list(range(10, 18)))
        self.assertEqual(summary(self.spool), (10, 17, 17, [(0, 9)]))
        (text,) = self.told
        self.assertIn("full", text)

    def test_oldest_session_goes_first(self) -> None:
        """The oldest session gives first, until nothing is held of it; the session itself stays,
        so that what is missing of it can be declared."""
        self.spool = self.make(10)
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, *range(7))
        self.spool.begin(NEW, b"init", True)
        self.fill(NEW, *range(4))
        self.assertEqual(summary(self.spool), (5, 6, 6, [(0, 4)]))
        self.fill(NEW, *range(4, 9))
        self.assertEqual(summary(self.spool), (None, None, 6, [(0, 6)]))
        self.assertEqual(self.held(NEW), list(range(9)))
        self.assertEqual(summary(self.spool, NEW)[3], [])

    def test_more_than_all(self) -> None:
        """A segment larger than the spool is dropped itself, and what follows up to the next
        keyframe; nothing exceeds the bound."""
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, 0, 1)
        self.spool.append(segment(OLD, 2, size=10_000))
        self.assertEqual(summary(self.spool), (None, None, 2, [(0, 2)]))
        self.fill(OLD, *range(3, 7))
        self.assertEqual(summary(self.spool), (5, 6, 6, [(0, 4)]))
        self.assertEqual(self.held(), [5, 6])

    def test_room_comes_back(self) -> None:
        """What is acknowledged makes room; being full is said again, but once a minute at most."""
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, *range(11))
        self.spool.forget(OLD, 9)
        self.assertEqual(summary(self.spool), (10, 10, 10, []))
        self.fill(OLD, *range(11, 21))
        self.assertEqual(len(self.told), 1)
        self.now += AGAIN_SECONDS
        self.fill(OLD, *range(21, 31))
        self.assertEqual(len(self.told), 2)
        self.spool.remove(OLD)
        self.assertEqual((self.spool.load, self.spool.sessions()), (0.0, ()))

    def test_lost_at_the_end(self) -> None:
        """When it is closed it says how much the server has not acknowledged, if anything."""
        self.spool = self.make(10)
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, 0, 1)
        self.spool.forget(OLD, 1)
        self.successResultOf(self.spool.close())
        self.assertEqual(self.told, [])
        self.spool = self.make(10)
        self.spool.begin(OLD, b"init", True)
        self.spool.begin(NEW, b"init", True)
        self.fill(OLD, 0, 1)
        self.fill(NEW, 0)
        self.successResultOf(self.spool.close())
        (text,) = self.told
        self.assertIn("3 segments in 2 sessions are lost", text)

    def test_many_sessions(self) -> None:
        """The number of sessions is bounded as well."""
        spool = MemorySpool(on_trouble=self.told.append, monotonic=lambda: self.now)
        for number in range(MAX_SESSIONS + 3):
            spool.begin(f"session-number-{number:04}", b"init", True)
        known = spool.sessions()
        self.assertEqual(len(known), MAX_SESSIONS)
        self.assertEqual(known[0].session_id, "session-number-0003")
        self.assertEqual(len(self.told), 1)

    def test_many_holes(self) -> None:
        """So is the number of dropped ranges; neighbours become one, and none is forgotten."""
        self.spool = self.make(3 * MAX_RANGES)
        self.spool.begin(OLD, b"init", True)
        for number in range(MAX_RANGES + 2):
            self.fill(OLD, 2 * number + 1)
            self.spool.drop(OLD, 2 * number, 2 * number, "too large")
        (one,) = self.spool.sessions()
        self.assertEqual(len(one.dropped), MAX_RANGES)
        self.assertEqual(one.dropped[0], DroppedRange(0, 4, "too large"))
        self.assertEqual(self.held()[0], 5)

    def test_given_up(self) -> None:
        """What is given up is a dropped range, held before or not, but for what is acknowledged;
        ranges of one cause that touch are one."""
        self.spool.begin(OLD, b"init", True)
        self.fill(OLD, *range(8))
        self.spool.drop(OLD, 8, 8, "too large")
        self.spool.forget(OLD, 2)
        self.spool.drop(OLD, 1, 3, "damaged")
        self.spool.drop(OLD, 4, 4, "damaged")
        self.spool.drop("unknown-session-0", 0, 9, "damaged")
        (one,) = self.spool.sessions()
        self.assertEqual(
            one.dropped, (DroppedRange(3, 4, "damaged"), DroppedRange(8, 8, "too large"))
        )
        self.assertEqual((one.acknowledged, one.newest, self.held()), (2, 8, [5, 6, 7]))
        self.spool.drop(OLD, 0, 1, "damaged")
        self.assertEqual(self.spool.sessions(), (one,))

    def test_times_are_moved_once(self) -> None:
        """A session that is not corrected is read with its offset, times in the octets and all;
        the first offset counts, and a corrected session has none."""
        data = write_fragment(
            sequence=0, decode_time=0, duration=9, keyframe=True, data=b"x", producer_time_us=10**15
        )
        for is_corrected, shift_us in ((False, 5_000_000), (True, 0)):
            self.spool = self.make(10)
            self.spool.begin(OLD, b"init", is_corrected)
            self.spool.append(Segment("desk-1", OLD, 0, 10**15, 200, 5_000, True, data))
            self.spool.correct(OLD, 5_000_000)
            self.spool.correct(OLD, 7_000_000)
            (one,) = self.successResultOf(self.spool.read(OLD, 0, 0))
            moved = write_fragment(
                sequence=0, decode_time=0, duration=9, keyframe=True, data=b"x",
                producer_time_us=10**15 + shift_us,
            )  # fmt: skip
            self.assertEqual((one.start_time_us, one.is_late), (10**15 + shift_us, True))
            self.assertEqual(one.data, moved)
            self.assertTrue(self.spool.sessions()[0].is_corrected)
