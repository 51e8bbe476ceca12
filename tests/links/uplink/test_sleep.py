"""What becomes of a session whose computer sleeps, against the real server side."""

from __future__ import annotations

from typing import Any

from tests.links.uplink.test_late import DeliveryCase
from tests.links.uplink.uplinked import SENTINEL
from vidlink.fmp4 import read_fragment, read_init
from vidlink.model import Cause, Gap, SegmentQuery, SessionState


class SleepTests(DeliveryCase):
    """A session goes on after a sleep, with a gap that says so."""

    def asleep(self, session_id: str) -> list[tuple[int | None, int | None, float | None]]:
        """What is missing of a session because of sleep, and the seconds that it took."""
        gaps: tuple[Gap, ...] = self.record(session_id).gaps
        for gap in gaps:
            self.assertIs(gap.cause, Cause.ASLEEP)
        return [(gap.first, gap.last, self.length(gap)) for gap in gaps]

    def length(self, gap: Gap) -> float | None:
        """The seconds of a gap, if both of its ends are known."""
        if gap.start_time_us is None or gap.end_time_us is None:
            return None
        return (gap.end_time_us - gap.start_time_us) / 1_000_000

    def rows(self, session_id: str) -> Any:
        """The segments of a session, as listed."""
        store = self.all.server.store
        return self.successResultOf(store.segments(SENTINEL, session_id, SegmentQuery())).segments

    def test_connected(self) -> None:
        """Connected, the session goes on, and the time is a gap, with a keyframe after it."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.sleep(15)
        self.all.shoot(3)
        self.seconds(4)
        self.assertEqual(self.all.uplink.live.session_id, session_id)
        self.assertEqual(self.recorded(session_id), [0, 2, 3, 4])
        self.assertTrue(self.rows(session_id)[1].is_keyframe)
        ((first, last, seconds),) = self.asleep(session_id)
        self.assertEqual((first, last), (1, 1))
        assert seconds is not None
        # Two seconds passed before it without a frame.
        self.assertAlmostEqual(seconds, 17.0, delta=0.5)
        self.assertEqual(self.all.told.all("asleep"), [(15.0,)])

    def test_offline(self) -> None:
        """Without a server the spool keeps it: the gap is delivered with the segments."""
        self.all.shoot(5)
        session_id = self.all.uplink.live.session_id
        self.all.sleep(40)
        self.all.shoot(5)
        self.live(5)
        self.assertEqual(self.recorded(session_id), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10])
        self.assertEqual([gap[:2] for gap in self.asleep(session_id)], [(5, 5)])
        self.assertIs(self.record(session_id).state, SessionState.SEALED)

    def test_process_dies(self) -> None:
        """A process that begins after a sleep declares what the one before it slept through."""
        self.all.shoot(2)
        session_id = self.all.uplink.live.session_id
        self.all.sleep(40)
        self.all.shoot(2)
        self.all.reborn()
        self.live(5)
        self.assertEqual([gap[:2] for gap in self.asleep(session_id)], [(2, 2)])

    def test_media_time(self) -> None:
        """Media time and start time are both later by the sleep."""
        self.all.shoot(1)
        session_id = self.all.uplink.live.session_id
        self.all.sleep(40)
        self.all.shoot(1)
        before, after = (self.all.spool.original(session_id, n) for n in (0, 2))
        held = next(one for one in self.all.spool.sessions() if one.session_id == session_id)
        init = read_init(held.init)
        ticks = read_fragment(after, init).decode_time - read_fragment(before, init).decode_time
        self.assertAlmostEqual(ticks / init.timescale, 40.2, places=3)

    def test_next_session(self) -> None:
        """A session that another one follows after the sleep ends with the gap."""
        self.live(1)
        session_id = self.all.uplink.live.session_id
        self.all.shoot(2)
        self.all.capture.begin_session()
        self.all.sleep(15)
        self.all.shoot(2)
        self.seconds(8)
        self.assertNotEqual(self.all.uplink.live.session_id, session_id)
        self.assertEqual([gap[:2] for gap in self.asleep(session_id)], [(3, 3)])
        self.assertEqual(self.asleep(self.all.uplink.live.session_id), [])

    def test_nothing_was_due(self) -> None:
        """A sleep in which no frame was due is no gap, and neither is a stall without sleep."""
        self.live(1)
        session_id = self.all.uplink.live.session_id
        self.all.shoot()
        self.all.clock.advance(0.2)
        self.all.sleep(0.15, is_late=False)
        self.all.capture.is_keyframe_due = True
        self.all.shoot()
        self.all.clock.advance(3.0)
        self.all.capture.is_keyframe_due = True
        self.all.shoot(2)
        self.seconds(3)
        self.assertEqual(self.recorded(session_id), [0, 1, 2, 3, 4])
        self.assertEqual(self.asleep(session_id), [])

    def test_short(self) -> None:
        """Two seconds of sleep are a gap like any other, of every sleep one."""
        self.live(1)
        session_id = self.all.uplink.live.session_id
        for _ in range(3):
            self.all.sleep(2)
            self.all.shoot(2)
        self.seconds(4)
        self.assertEqual([gap[:2] for gap in self.asleep(session_id)], [(1, 1), (4, 4), (7, 7)])
