"""Tests of joining, lagging and resuming, with streams drawn letter by letter.

``K`` is a keyframe segment, ``d`` one that builds on others, ``u`` one that does not decode any
more, ``.`` one that never came; the first is sequence 0.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.relay.arrivals import arrivals
from vidlink.model import SkipReason, Tier
from vidlink.relay.buffer import Budget, Buffer
from vidlink.relay.cursor import Cursor, Hole, join_latest, join_oldest, resume

LAG, LOST, BROKEN = SkipReason.LAG, SkipReason.MISSING, SkipReason.UNDECODABLE


class CursorCase(SynchronousTestCase):
    """Makes buffers, and reads cursors to the end of what is there."""

    def buffer(self, picture: str, keep: int | None = None) -> Buffer:
        """A buffer that a segment came to every second; only the last `keep` are still there.

        With `keep`, the oldest of those has to be a keyframe segment.
        """
        buffer = Buffer(1_000.0 if keep is None else keep - 1, 1 << 30, Budget(1 << 40))
        for one in arrivals(picture, step=1.0):
            buffer.append(one)
        if keep is not None:
            self.assertEqual(buffer.end - buffer.first, keep)
        return buffer

    def add(self, buffer: Buffer, picture: str) -> None:
        """Let more of the stream arrive: `picture` is all of it, from sequence 0."""
        newest = -1 if buffer.newest_sequence is None else buffer.newest_sequence
        for one in arrivals(picture, step=1.0):
            if one.segment.sequence > newest:
                buffer.append(one)

    def read(self, cursor: Cursor) -> list[int | Hole]:
        """All that `cursor` has to give now: sequences, and holes."""
        given: list[int | Hole] = []
        while (thing := cursor.next()) is not None:
            given.append(thing if isinstance(thing, Hole) else thing.segment.sequence)
        return given


class JoinTests(CursorCase):
    """Where a viewer begins."""

    def test_latest(self) -> None:
        """The newest keyframe segment, and on from there to what came last."""
        cursor = join_latest(self.buffer("KddKdd"), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [3, 4, 5])

    def test_oldest(self) -> None:
        """The oldest keyframe segment that is still there."""
        cursor = join_oldest(self.buffer("KddKddKd", keep=5), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [3, 4, 5, 6, 7])

    def test_goes_on(self) -> None:
        """What comes later follows on what was there."""
        buffer = self.buffer("Kd")
        cursor = join_latest(buffer, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0, 1])
        self.add(buffer, "KddK")
        self.assertEqual(self.read(cursor), [2, 3])

    def test_nothing_to_join_yet(self) -> None:
        """With no keyframe segment in the buffer a viewer waits for the first one."""
        buffer = self.buffer("dd")
        for join in (join_latest, join_oldest):
            self.assertEqual(self.read(join(buffer, Tier.FULL, None)), [])
        cursor = join_latest(buffer, Tier.FULL, None)
        self.add(buffer, "dddKd")
        self.assertEqual(self.read(cursor), [3, 4])

    def test_new_session(self) -> None:
        """Of a session that has sent nothing yet, everything is due from its start."""
        buffer = self.buffer("")
        cursor = join_latest(buffer, Tier.FULL, None)
        self.add(buffer, "..Kd")
        self.assertEqual(self.read(cursor), [Hole(0, 1, LOST), 2, 3])

    def test_keyframes_alone(self) -> None:
        """The tier of keyframes passes over the rest, and says nothing of it."""
        cursor = join_oldest(self.buffer("KddKddK"), Tier.KEYFRAMES, None)
        self.assertEqual(self.read(cursor), [0, 3, 6])
        self.assertIsNone(cursor.finish())

    def test_first_sequence(self) -> None:
        """A viewer can be told beforehand what will come first."""
        cases = (
            (join_latest(self.buffer("KddKd"), Tier.FULL, None), 3),
            (join_oldest(self.buffer("KddKd"), Tier.FULL, None), 0),
            (join_oldest(self.buffer("KddKdK"), Tier.FULL, 2.0), 5),
            (join_latest(self.buffer("dd"), Tier.FULL, None), None),
            (resume(self.buffer("KddKd"), 1, Tier.FULL, None), 1),
            (resume(self.buffer("KddKd"), 1, Tier.KEYFRAMES, None), 3),
            (resume(self.buffer("Kd.uuK"), 2, Tier.FULL, None), 5),
            (resume(self.buffer("Kd.uu"), 2, Tier.FULL, None), None),
        )
        for cursor, sequence in cases:
            self.assertEqual(cursor.first_sequence(), sequence)
            delivered = [one for one in self.read(cursor) if isinstance(one, int)]
            self.assertEqual(delivered[:1], [] if sequence is None else [sequence])


class HoleTests(CursorCase):
    """What a viewer is told when something is not delivered."""

    def test_jump(self) -> None:
        """After a lost segment nothing is delivered up to the next keyframe segment."""
        cursor = join_latest(self.buffer("Kd.uuKd"), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [5, 6])
        cursor = join_oldest(self.buffer("Kd.uuKd"), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0, 1, Hole(2, 4, BROKEN), 5, 6])

    def test_jump_to_a_keyframe(self) -> None:
        """Where only lost segments lie between, they are named as missing."""
        cursor = join_oldest(self.buffer("Kd..Kd"), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0, 1, Hole(2, 3, LOST), 4, 5])

    def test_unmarked(self) -> None:
        """What cannot be followed is named even where nobody has marked it undecodable."""
        buffer = self.buffer("")
        cursor = resume(buffer, 0, Tier.FULL, None)
        self.add(buffer, "dd")
        self.assertEqual(self.read(cursor), [])
        self.assertEqual(cursor.finish(), Hole(0, 1, BROKEN))

    def test_keyframes_tier_names_a_jump(self) -> None:
        """A lost segment might have been a keyframe, so that tier is told too."""
        cursor = join_oldest(self.buffer("Kd.uuK"), Tier.KEYFRAMES, None)
        self.assertEqual(self.read(cursor), [0, Hole(2, 4, BROKEN), 5])

    def test_place_has_gone(self) -> None:
        """A viewer whose place has left the buffer goes on at the newest keyframe segment."""
        buffer = self.buffer("Kd", keep=None)
        cursor = join_latest(buffer, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0, 1])
        buffer.window_seconds = 4.0
        self.add(buffer, "KddddKdKdK")
        self.assertGreater(buffer.first, 2)
        self.assertEqual(self.read(cursor), [Hole(2, 8, LAG), 9])

    def test_place_has_gone_and_no_keyframe_is_left(self) -> None:
        """It waits for the next keyframe segment then, and the hole grows up to that."""
        buffer = Buffer(1_000.0, 3 * 1_124, Budget(1 << 40))
        self.add(buffer, "K")
        cursor = join_latest(buffer, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0])
        self.add(buffer, "Kddddd")
        self.assertEqual(self.read(cursor), [])
        self.add(buffer, "KddddddKd")
        self.assertEqual(self.read(cursor), [Hole(1, 6, LAG), 7, 8])

    def test_finish(self) -> None:
        """Given up, a cursor names all that it has not delivered, once."""
        buffer = self.buffer("KddKd")
        cursor = join_oldest(buffer, Tier.FULL, None)
        for _ in range(2):
            cursor.next()
        self.assertEqual(cursor.finish(), Hole(2, 4, LAG))
        self.assertIsNone(cursor.finish())
        self.assertIsNone(cursor.next())

    def test_finish_before_what_builds_on_the_rest(self) -> None:
        """What would have decoded and was not taken is named, keyframe or not."""
        cursor = join_oldest(self.buffer("Kdd"), Tier.FULL, None)
        cursor.next()
        self.assertEqual(cursor.finish(), Hole(1, 2, LAG))

    def test_finish_when_all_has_gone(self) -> None:
        """The same when the buffer went before anybody looked again, at any tier."""
        for tier in Tier:
            buffer = self.buffer("Kdd")
            cursor = join_oldest(buffer, tier, None)
            cursor.next()
            buffer.close()
            self.assertEqual(cursor.finish(), Hole(1, 2, LAG))

    def test_reason_is_of_its_own_hole(self) -> None:
        """What a viewer waited for before it began is no reason for what is missing later."""
        buffer = self.buffer("uu")
        cursor = join_latest(buffer, Tier.FULL, None)
        self.add(buffer, "uuu")
        self.assertEqual(self.read(cursor), [])
        self.add(buffer, "uuuK.K")
        self.assertEqual(self.read(cursor), [3, Hole(4, 4, LOST), 5])

    def test_finish_with_nothing_left(self) -> None:
        """A cursor that has delivered everything has nothing to say at the end."""
        cursor = join_oldest(self.buffer("KddKd"), Tier.FULL, None)
        self.read(cursor)
        self.assertIsNone(cursor.finish())

    def test_finish_of_the_undecodable(self) -> None:
        """What came after a jump and found no keyframe is named at the end."""
        cursor = join_oldest(self.buffer("Kd.uu"), Tier.FULL, None)
        self.assertEqual(self.read(cursor), [0, 1])
        self.assertEqual(cursor.finish(), Hole(2, 4, BROKEN))

    def test_finish_of_keyframes(self) -> None:
        """At the end of the tier of keyframes only keyframes are missed."""
        for picture, hole in (("Kdd", None), ("KddKd", Hole(1, 4, LAG))):
            cursor = join_oldest(self.buffer(picture), Tier.KEYFRAMES, None)
            cursor.next()
            self.assertEqual(cursor.finish(), hole)

    def test_buffer_is_closed(self) -> None:
        """When the buffer goes with its session, what was not delivered is named."""
        buffer = self.buffer("KddKd")
        cursor = join_oldest(buffer, Tier.FULL, None)
        cursor.next()
        buffer.close()
        self.assertEqual(self.read(cursor), [])
        self.assertEqual(cursor.finish(), Hole(1, 4, LAG))

    def test_finish_before_the_first(self) -> None:
        """A viewer that never saw anything of a session is owed nothing of it."""
        cursor = join_latest(self.buffer("dd"), Tier.FULL, None)
        self.assertIsNone(cursor.finish())


class LagTests(CursorCase):
    """Falling behind by more than the viewer wants."""

    def test_jumps_to_the_newest_keyframe(self) -> None:
        """Beyond its lag a cursor jumps to the newest keyframe segment, not the next one."""
        buffer = self.buffer("Kd")
        cursor = join_latest(buffer, Tier.FULL, 3.0)
        cursor.next()
        self.add(buffer, "KdKdKd")
        self.assertEqual(self.read(cursor), [Hole(1, 3, LAG), 4, 5])

    def test_within_its_lag(self) -> None:
        """As long as it is not further behind than its lag, it is given everything."""
        buffer = self.buffer("K")
        cursor = join_latest(buffer, Tier.FULL, 2.0)
        self.read(cursor)
        self.add(buffer, "KdKd")
        self.assertEqual(self.read(cursor), [1, 2, 3])

    def test_no_newer_keyframe(self) -> None:
        """With no newer keyframe segment it goes on, late as it is: nothing else decodes."""
        buffer = self.buffer("K")
        cursor = join_latest(buffer, Tier.FULL, 1.0)
        self.add(buffer, "Kdddddd")
        self.assertEqual(self.read(cursor), [0, 1, 2, 3, 4, 5, 6])

    def test_keyframes_lag_by_keyframes(self) -> None:
        """The tier of keyframes is not behind for segments that are not its own."""
        buffer = self.buffer("K")
        cursor = join_latest(buffer, Tier.KEYFRAMES, 3.0)
        self.read(cursor)
        self.add(buffer, "KddddddK")
        self.assertEqual(self.read(cursor), [7])
        self.add(buffer, "KddddddKdKddddK")
        self.assertEqual(self.read(cursor), [Hole(8, 13, LAG), 14])


class ResumeTests(CursorCase):
    """Going on where a viewer left off."""

    def test_exact(self) -> None:
        """A place that is still there is gone on from, keyframe or not."""
        cursor = resume(self.buffer("KddKdd"), 2, Tier.FULL, None)
        self.assertTrue(cursor.is_joined)
        self.assertEqual(self.read(cursor), [2, 3, 4, 5])

    def test_next(self) -> None:
        """Who has seen everything waits for the next segment."""
        buffer = self.buffer("Kdd")
        cursor = resume(buffer, 3, Tier.FULL, None)
        self.assertTrue(cursor.is_joined)
        self.assertEqual(self.read(cursor), [])
        self.add(buffer, "Kddd")
        self.assertEqual(self.read(cursor), [3])

    def test_from_the_start(self) -> None:
        """Sequence 0 of a session that has not sent it yet is waited for."""
        buffer = self.buffer("")
        cursor = resume(buffer, 0, Tier.FULL, None)
        self.add(buffer, "Kd")
        for beginning in (cursor, resume(buffer, 0, Tier.FULL, None)):
            self.assertFalse(beginning.is_joined)
        self.assertEqual(self.read(cursor), [0, 1])

    def test_gone(self) -> None:
        """A place that has left the buffer: on from the newest keyframe, the rest is named."""
        cursor = resume(self.buffer("KddKddKd", keep=5), 1, Tier.FULL, None)
        self.assertFalse(cursor.is_joined)
        self.assertEqual(self.read(cursor), [Hole(1, 5, LAG), 6, 7])
        cursor = resume(self.buffer("KKdKd", keep=4), 0, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [Hole(0, 2, LAG), 3, 4])

    def test_all_gone(self) -> None:
        """With nothing left in the buffer, the next keyframe segment is waited for."""
        buffer = self.buffer("dddd")
        buffer.trim(10_000.0)
        cursor = resume(buffer, 1, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [])
        self.add(buffer, "dddddK")
        self.assertEqual(self.read(cursor), [Hole(1, 4, LAG), 5])

    def test_undecodable(self) -> None:
        """A place after a jump is gone on from at the next keyframe segment."""
        cursor = resume(self.buffer("Kd.uuKd"), 4, Tier.FULL, None)
        self.assertFalse(cursor.is_joined)
        self.assertEqual(self.read(cursor), [Hole(4, 4, BROKEN), 5, 6])

    def test_never_came(self) -> None:
        """A place that never came: on from what decodes next, and never back behind it."""
        cursor = resume(self.buffer("KdKd.uu"), 4, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [])
        self.assertEqual(cursor.finish(), Hole(4, 6, BROKEN))
        cursor = resume(self.buffer("Kd.Kd"), 2, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [Hole(2, 2, LOST), 3, 4])
        cursor = resume(self.buffer("..KdKd"), 1, Tier.FULL, None)
        self.assertEqual(self.read(cursor), [Hole(1, 1, LOST), 2, 3, 4, 5])

    def test_beyond(self) -> None:
        """A sequence that is not known yet is no place: the viewer joins at the newest."""
        cursor = resume(self.buffer("KddKd"), 6, Tier.FULL, None)
        self.assertFalse(cursor.is_joined)
        self.assertEqual(self.read(cursor), [3, 4])
