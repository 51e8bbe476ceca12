"""What the Sentinel keeps, and delivers late: every rule of it, against the real server side."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.links.memory import KeepingStore
from tests.links.uplink.uplinked import SENTINEL, Link, Uplinked
from vidlink.fmp4 import read_fragment, read_init
from vidlink.links.uplink.conversation import OFFLINE_SECONDS
from vidlink.links.uplink.debt import PATIENCE_SECONDS
from vidlink.links.uplink.debts import MAX_OPEN, MAX_STRIKES
from vidlink.links.uplink.late_sending import LIVE_SECONDS
from vidlink.links.uplink.live import MAX_BACKLOG_BYTES
from vidlink.links.uplink.pace import CHUNK_BYTES, MOST_BYTES_PER_SECOND
from vidlink.messages import (
    Ack,
    BackfillDone,
    DeclareGap,
    ErrorMessage,
    SentinelRegister,
    SentinelRegistered,
    Wanted,
)
from vidlink.model import InitSegment, Limits, Segment, SegmentQuery, SessionState

DAY_SECONDS = 24 * 60 * 60

TOO_LARGE = "a picture was larger than the server takes"


class DeliveryCase(SynchronousTestCase):
    """A Sentinel that is not connected yet, and a server."""

    def setUp(self) -> None:
        """Start both."""
        self.all = Uplinked()

    def offline(self, *counts: int) -> list[str]:
        """Sessions of so many frames each are captured without a server; their ids."""
        ids = []
        for count in counts:
            self.all.capture.begin_session()
            self.all.shoot(count)
            ids.append(self.all.uplink.live.session_id)
        return ids

    def live(self, seconds: int = 0) -> Link:
        """Connected, a session has begun, and time has passed."""
        link = self.all.online()
        self.all.shoot()
        for _ in range(seconds):
            self.all.second()
        return link

    def seconds(self, count: int, frames: int = 0) -> None:
        """Time passes."""
        for _ in range(count):
            self.all.second(frames)

    def recorded(self, session_id: str) -> list[int]:
        """What of a session is recorded, each as it was captured."""
        store = self.all.server.store
        page = self.successResultOf(store.segments(SENTINEL, session_id, SegmentQuery()))
        numbers = [row.sequence for row in page.segments]
        for number in numbers:
            body, _ = self.successResultOf(store.media(SENTINEL, session_id, number, number))
            data = self.successResultOf(body.read(0, body.size_bytes))
            self.assertEqual(data, self.all.spool.original(session_id, number))
        return numbers

    def record(self, session_id: str) -> Any:
        """A session as history has it."""
        return self.successResultOf(self.all.server.store.session(SENTINEL, session_id))

    def waiting(self) -> list[str]:
        """The sessions in the spool."""
        return [one.session_id for one in self.all.spool.sessions()]

    def sent(self, kind: type) -> list[Any]:
        """What the Sentinel has sent of a kind, on this connection."""
        assert self.all.link is not None
        return [message for message in self.all.link.sent if isinstance(message, kind)]


class OfflineTests(DeliveryCase):
    """There is no server, or not all the time."""

    def test_before_there_was_a_server(self) -> None:
        """What was captured before there ever was a server is delivered whole, and sealed."""
        self.all.shoot(12)
        session_id = self.all.uplink.live.session_id
        self.live(5)
        self.assertEqual(self.recorded(session_id), list(range(12)))
        self.assertIs(self.record(session_id).state, SessionState.SEALED)
        self.assertEqual(self.waiting(), [self.all.uplink.live.session_id])
        self.assertEqual(self.all.told.all("backfill"), [(1, 12)])
        self.assertEqual(self.all.told.all("delivered"), [(session_id, 0)])

    def test_a_server_that_is_there(self) -> None:
        """One that answers at once gets the first session live: nothing was captured before."""
        self.all = Uplinked(patience_seconds=2.0)
        self.assertEqual(self.all.capture.epoch, 0)
        self.live(3)
        self.assertEqual(self.all.capture.epoch, 1)
        self.assertEqual(len(self.waiting()), 1)

    def test_a_server_that_is_not(self) -> None:
        """Without an answer in time the first session begins by itself."""
        self.all = Uplinked(patience_seconds=2.0)
        self.all.clock.advance(1.9)
        self.all.uplink.tick()
        self.assertEqual(self.all.capture.epoch, 0)
        self.all.clock.advance(0.1)
        self.all.uplink.tick()
        self.assertEqual(self.all.capture.epoch, 1)

    def test_lost_connection(self) -> None:
        """When the connection is lost the session goes on without it, and so does what comes of
        it only after the next one has been registered; all of it is delivered."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.cut()
        self.all.shoot(8)
        link = self.all.connect()
        self.all.shoot(3)
        self.all.carry()
        self.all.shoot(2, epoch=self.all.shot_epoch)
        self.assertEqual(self.all.uplink.live.session_id, session_id)
        self.all.shoot()
        self.seconds(5)
        self.assertEqual(self.recorded(session_id), list(range(14)))
        self.assertIs(self.record(session_id).state, SessionState.SEALED)
        (register,) = (one for one in link.sent if isinstance(one, SentinelRegister))
        self.assertEqual(
            [(t.session_id, t.first, t.last) for t in register.resume], [(session_id, 1, 8)]
        )
        self.assertEqual(self.all.uplink.live.session_id, register.session_id)

    def test_lost_before_it_began(self) -> None:
        """A connection that is lost before the first frame of its session changes nothing: the
        session begins without it."""
        self.all.online()
        self.all.cut()
        self.all.shoot(3)
        (session_id,) = self.waiting()
        self.live(5)
        self.assertEqual(self.recorded(session_id), [0, 1, 2])

    def test_captured_before_it_was_registered(self) -> None:
        """What comes only after the registration, but was asked for before it, is no part of the
        session that was registered: it is another one, and is delivered late."""
        link = self.all.online()
        self.all.shoot(2, epoch=self.all.capture.epoch - 1)
        (session_id,) = self.waiting()
        self.assertEqual(self.sent(InitSegment), [])
        self.all.shoot()
        self.seconds(8)
        self.assertEqual(self.recorded(session_id), [0, 1])
        (register,) = self.sent(SentinelRegister)
        self.assertEqual(self.waiting(), [register.session_id])
        self.assertEqual([one for one in link.heard if isinstance(one, ErrorMessage)], [])

    def test_live_comes_first(self) -> None:
        """Nothing late is sent before the first live segment; unless that does not come."""
        (session_id,) = self.offline(3)
        link = self.all.online()
        self.all.clock.advance(LIVE_SECONDS / 2)
        self.all.shoot()
        self.all.clock.advance(0)
        kinds = [(type(one), getattr(one, "is_late", None)) for one in link.sent]
        first = kinds.index((InitSegment, True))
        self.assertEqual(kinds[first - 2 : first], [(InitSegment, False), (Segment, False)])
        self.all.cut()
        link = self.all.online()
        self.assertEqual(self.all.late(), [])
        self.seconds(round(LIVE_SECONDS) + 1)
        self.assertEqual(self.recorded(session_id), [0, 1, 2])

    def test_oldest_first(self) -> None:
        """Earlier sessions are delivered one after the other, the oldest first, and no more are
        open than the server allows."""
        ids = self.offline(*[2] * (MAX_OPEN + 4))
        link = self.live(8)
        told = [one for one in link.sent if isinstance(one, (InitSegment, Segment)) and one.is_late]
        self.assertEqual(list(dict.fromkeys(one.session_id for one in told)), ids)
        for session_id in ids:
            self.assertEqual(self.recorded(session_id), [0, 1])
            self.assertIs(self.record(session_id).state, SessionState.SEALED)
        self.assertEqual([one for one in link.heard if isinstance(one, ErrorMessage)], [])

    def test_only_what_is_wanted(self) -> None:
        """What the server has already is not sent again."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.shoot(5)
        self.all.carry()
        self.all.cut()
        self.all.shoot(2)
        self.live(4)
        self.assertEqual(self.all.late(), [(session_id, 6), (session_id, 7)])
        self.assertEqual(self.recorded(session_id), list(range(8)))

    def test_told_once_a_minute(self) -> None:
        """That there is no server is told once a minute, with how full the spool is."""
        self.all.shoot(5)
        for _ in range(round(2.5 * OFFLINE_SECONDS)):
            self.all.second()
        told = self.all.told.all("offline")
        self.assertEqual([round(seconds) for seconds, _ in told], [60, 120])
        self.assertGreater(told[0][1], 0)


class ChokedTests(DeliveryCase):
    """The connection is slow."""

    def test_delivered_later(self) -> None:
        """What the socket has no room for is sent late when there is; live goes on at a keyframe,
        and a viewer sees nothing late."""
        link = self.live(1)
        proctor = self.all.watch()
        session_id = self.all.uplink.live.session_id
        link.choked = True
        for _ in range(12):
            self.all.shoot(size=1 << 20)
        self.assertLess(link.backlog_bytes, MAX_BACKLOG_BYTES + (2 << 20))
        self.assertIn("fast enough", self.all.told.all("dropped")[0][1])
        self.all.capture.asked.clear()
        link.open_up()
        self.all.shoot(2)
        self.assertEqual(self.all.capture.asked, ["keyframe"])
        self.seconds(12)
        self.assertEqual(self.recorded(session_id), list(range(15)))
        seen = [one for one in proctor.read() if isinstance(one, Segment)]
        self.assertEqual([one.is_late for one in seen], [False] * len(seen))
        self.assertEqual(seen[-1].sequence, 14)
        self.assertNotEqual(self.all.late(), [])

    def test_nothing_late_in_front_of_live(self) -> None:
        """While the socket has not taken everything nothing late is added."""
        self.offline(5)
        link = self.live()
        link.choked = True
        self.seconds(3)
        self.assertEqual(self.all.late(), [])
        link.open_up()
        self.assertNotEqual(self.all.late(), [])

    def test_paced(self) -> None:
        """What comes late is sent in small chunks, slowly at first and never faster than the
        most; and not while the server's queue is half full."""
        self.offline(0)
        for _ in range(200):
            self.all.shoot(size=64 * 1024)
        (session_id,) = self.waiting()
        self.live()
        sizes = []
        for _ in range(40):
            before = len(self.all.late())
            self.all.clock.advance(0.025)
            sizes.append((len(self.all.late()) - before) * 64 * 1024)
        self.assertGreater(sum(sizes), CHUNK_BYTES)
        self.assertLessEqual(max(sizes), CHUNK_BYTES)
        self.assertLess(sum(sizes), 3 * CHUNK_BYTES)
        self.all.carry()
        for _ in range(14):
            before = len(self.all.late())
            self.all.second(frames=1)
            sent = (len(self.all.late()) - before) * 64 * 1024
            self.assertLess(sent, MOST_BYTES_PER_SECOND + 2 * CHUNK_BYTES)
        self.assertEqual(len(self.recorded(session_id)), 200)

    def test_held_back(self) -> None:
        """While the server says that its queue is half full nothing late is sent."""
        self.offline(5)
        self.all.online()
        self.all.uplink.received(Ack("any-session-at-all", 0, (), 0.5))
        self.all.shoot()
        self.all.clock.advance(5)
        self.assertEqual(self.all.late(), [])
        self.all.uplink.received(Ack("any-session-at-all", 1, (), 0.4))
        self.assertEqual(len(self.all.late()), 5)


class LossTests(DeliveryCase):
    """Something cannot be delivered."""

    def gaps_of(self, session_id: str, why: str) -> list[tuple[int | None, int | None]]:
        """What history names as missing of a session, all of it for this reason."""
        gaps = self.record(session_id).gaps
        for gap in gaps:
            self.assertIn(why, f"{gap.cause.value} {gap.detail}")
        return [(gap.first, gap.last) for gap in gaps]

    def test_spool_was_full(self) -> None:
        """What the spool had to drop is declared, and the rest delivered."""
        self.all = Uplinked(spool_bytes=20_000)
        self.all.shoot(40)
        session_id = self.waiting()[-1]
        self.live(5)
        recorded = self.recorded(session_id)
        first = recorded[0]
        self.assertIn(first, (10, 20, 30))
        self.assertEqual(recorded, list(range(first, 40)))
        self.assertEqual(self.gaps_of(session_id, "spool-full"), [(0, first - 1)])
        self.assertIs(self.record(session_id).state, SessionState.SEALED)
        told = [gap for (gap,) in self.all.told.all("lost")]
        self.assertEqual((told[0].first, told[-1].last), (0, first - 1))

    def test_nothing_is_left(self) -> None:
        """A session of which the spool has dropped everything is declared lost, and sealed."""
        self.all = Uplinked(spool_bytes=30_000)
        (lost,) = self.offline(3)
        self.offline(60)
        self.live(5)
        self.assertEqual(self.recorded(lost), [])
        self.assertEqual(self.gaps_of(lost, "spool-full"), [(0, 2)])
        self.assertIs(self.record(lost).state, SessionState.SEALED)

    def test_too_large_live(self) -> None:
        """A frame that the server would not take is declared lost when it is asked for."""
        self.all.limits = Limits(max_segment_bytes=20_000)
        self.live(1)
        session_id = self.all.uplink.live.session_id
        self.all.shoot(size=20_000)
        self.all.shoot(2)
        self.seconds(4)
        self.assertEqual(self.recorded(session_id), [0, 2, 3])
        self.assertEqual(self.gaps_of(session_id, "large"), [(1, 1)])

    def test_too_large_late(self) -> None:
        """What was captured before it was known how much the server takes is declared as well,
        and never sent: the server would close."""
        self.all.shoot(2)
        self.all.shoot(size=20_000)
        self.all.shoot(2)
        (session_id,) = self.waiting()
        self.all.limits = Limits(max_segment_bytes=20_000)
        self.live(5)
        self.assertEqual(self.recorded(session_id), [0, 1, 3, 4])
        self.assertEqual(self.gaps_of(session_id, "large"), [(2, 2)])

    def test_not_held(self) -> None:
        """What is asked for although it was acknowledged is declared lost, so that nobody waits
        for it."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.shoot(3)
        self.seconds(2)
        debt = self.all.uplink.late._debts.holes
        assert debt is not None
        debt.reached = 0
        self.all.uplink.received(Ack(session_id, 0, ((2, 2),)))
        self.assertEqual(self.all.gaps(), [DeclareGap(session_id, 2, 2, "not-held")])


class AnswerTests(DeliveryCase):
    """What the server says of a session, and what comes of it."""

    def answered(self, *answers: ErrorMessage, register: tuple[Wanted, ...] = ()) -> None:
        """A scripted server that accepts, and then says these things."""
        self.all.connect()
        self.all.uplink.received(SentinelRegistered(self.all.server.now_us(), resume=register))
        self.all.shoot()
        self.all.clock.advance(0)
        for answer in answers:
            self.all.uplink.received(answer)

    def test_no_room(self) -> None:
        """A session for which there is no room now is delivered again later, on the same
        connection."""
        (session_id,) = self.offline(3)
        self.answered(ErrorMessage("bad-request", "no room", session_id))
        self.assertEqual(len(self.all.late()), 3)
        self.all.clock.advance(PATIENCE_SECONDS - 1)
        self.all.uplink.tick()
        self.assertEqual(len(self.sent(InitSegment)), 2)
        self.all.clock.advance(1)
        self.all.uplink.tick()
        self.assertEqual(len(self.sent(InitSegment)), 3)
        self.assertEqual(self.all.late().count((session_id, 2)), 2)

    def test_unanswered(self) -> None:
        """What the server has not answered is sent whole; of what it has, only what it wants."""
        one, two = self.offline(3, 3)
        self.answered(register=(Wanted(two, ((1, 1),)),))
        self.assertEqual(self.all.late(), [(one, 0), (one, 1), (one, 2), (two, 1)])

    def test_sealed_in_the_meantime(self) -> None:
        """A session of which nothing is held and that was sealed is forgotten."""
        (session_id,) = self.offline(1)
        self.all.spool.forget(session_id, 0)
        self.answered(ErrorMessage("session-sealed", "sealed", session_id))
        self.assertNotIn(session_id, self.waiting())
        self.assertEqual(self.all.told.all("delivered"), [(session_id, 0)])

    def test_of_another_sentinel(self) -> None:
        """A session that will never be taken is given up, which is told."""
        (session_id,) = self.offline(4)
        self.answered(ErrorMessage("session-gone", "another sentinel's", session_id))
        self.assertNotIn(session_id, self.waiting())
        self.assertEqual(self.all.told.all("refused"), [(session_id, 4)])

    def test_cut_off_for_a_day(self) -> None:
        """A session that was sealed because its Sentinel was away for more than a day loses
        nothing: what is left of it is delivered as a session of its own, which names the first."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.cut()
        self.all.shoot(10)
        self.all.clock.advance(DAY_SECONDS + 1)
        self.live(8)
        self.assertEqual(self.recorded(session_id), [0])
        ((old, new),) = self.all.told.all("moved")
        self.assertEqual(old, session_id)
        self.assertEqual(self.recorded(new), list(range(1, 11)))
        record = self.record(new)
        self.assertIs(record.state, SessionState.SEALED)
        ((first, last, detail),) = ((gap.first, gap.last, gap.detail) for gap in record.gaps)
        self.assertEqual((first, last), (0, 0))
        self.assertIn(session_id, detail)
        self.assertEqual(len(self.waiting()), 1)

    def test_cut_while_it_is_moved(self) -> None:
        """What is left of a sealed session is not offered before all of it is there: else it
        would be sealed, and removed, while the rest is still on its way."""
        self.live(2)
        session_id = self.all.uplink.live.session_id
        self.all.cut()
        self.all.shoot(10)
        self.all.clock.advance(DAY_SECONDS + 1)
        read, held = self.all.spool.read, []

        def read_slowly(name: str, first: int, last: int) -> Any:
            if name != session_id:
                return read(name, first, last)
            if first <= 3:
                return read(name, first, 3)
            held.append((Deferred[Any](), first, last))
            return held[-1][0]

        self.patch(self.all.spool, "read", read_slowly)
        self.live(8)
        self.all.cut()
        self.live(20)
        self.assertEqual(self.all.told.all("moved"), [])
        self.patch(self.all.spool, "read", read)
        ((answer, first, last),) = held
        read(session_id, first, last).chainDeferred(answer)
        self.seconds(10)
        ((_, new),) = self.all.told.all("moved")
        self.assertEqual(self.recorded(new), list(range(1, 11)))
        self.assertIs(self.record(new).state, SessionState.SEALED)
        self.assertEqual(len(self.waiting()), 1)

    def test_no_headway(self) -> None:
        """What is neither acknowledged nor asked for is sent again, each time after longer."""
        (session_id,) = self.offline(2)
        self.answered()
        for patience in (PATIENCE_SECONDS, 2 * PATIENCE_SECONDS):
            count = self.all.late().count((session_id, 1))
            self.all.clock.advance(patience - 1)
            self.all.uplink.tick()
            self.assertEqual(self.all.late().count((session_id, 1)), count)
            self.all.clock.advance(1)
            self.all.uplink.tick()
            self.assertEqual(self.all.late().count((session_id, 1)), count + 1)

    def test_sealing_is_confirmed(self) -> None:
        """A session is forgotten when the server says that it is sealed, and not before; if it
        does not say so, it is offered again."""
        (session_id,) = self.offline(2)
        self.answered()
        self.all.uplink.received(Ack(session_id, 1))
        self.assertEqual(self.sent(BackfillDone), [BackfillDone(session_id)])
        self.assertIn(session_id, self.waiting())
        self.all.clock.advance(PATIENCE_SECONDS)
        self.all.uplink.tick()
        self.all.clock.advance(PATIENCE_SECONDS)
        self.all.uplink.tick()
        self.all.uplink.received(Ack(session_id, 1))
        self.assertEqual(len(self.sent(BackfillDone)), 2)
        self.all.uplink.received(Ack(session_id, 1))
        self.assertNotIn(session_id, self.waiting())

    def test_poison(self) -> None:
        """A session that makes the server close whenever it is sent is set aside, and the next
        ones are delivered."""
        one, two = self.offline(2, 2)
        for _ in range(MAX_STRIKES):
            self.assertEqual(self.all.told.all("set_aside"), [])
            self.answered()
            # As if it had closed while the first was being sent.
            shipping = self.all.uplink.late._sending
            assert shipping is not None
            shipping.current = self.all.uplink.late._debts.find(one)
            self.all.uplink.received(ErrorMessage("not-media", "no boxes"))
            self.all.cut()
        self.assertEqual(self.all.told.all("set_aside"), [(one,)])
        self.answered()
        self.assertNotIn(one, [session_id for session_id, _ in self.all.late()])
        self.assertIn((two, 0), self.all.late())

    def test_many_sessions(self) -> None:
        """More sessions than one registration has room for are delivered all the same."""
        ids = self.offline(*[1] * 700)
        link = self.live(120)
        (register,) = (one for one in link.sent if isinstance(one, SentinelRegister))
        self.assertLess(len(register.resume), 700)
        self.assertEqual(len(self.waiting()), 1)
        for session_id in (ids[0], ids[-1]):
            self.assertEqual(self.recorded(session_id), [0])


class ClockTests(DeliveryCase):
    """Times by the server's clock."""

    def times(self, session_id: str) -> list[tuple[int, int | None]]:
        """Start times as listed, and as they are in the octets."""
        store = self.all.server.store
        page = self.successResultOf(store.segments(SENTINEL, session_id, SegmentQuery()))
        found = []
        for row in page.segments:
            body, _ = self.successResultOf(
                store.media(SENTINEL, session_id, row.sequence, row.sequence)
            )
            data = self.successResultOf(body.read(0, body.size_bytes))
            record = self.record(session_id)
            info = read_fragment(data, read_init(record.session.init))
            found.append((row.start_time_us, info.producer_time_us))
        return found

    def test_corrected_late(self) -> None:
        """What was captured before the clocks could be compared is corrected when it is
        delivered, all of a session by the same."""
        self.all = Uplinked(behind_us=3_600_000_000)
        expected = []
        for _ in range(5):
            self.all.clock.advance(0.2)
            expected.append(self.all.server.now_us())
            self.all.shoot()
        (session_id,) = self.waiting()
        self.live(5)
        for (listed, produced), wanted in zip(self.times(session_id), expected, strict=True):
            self.assertAlmostEqual(listed, wanted, delta=2)
            assert produced is not None
            self.assertAlmostEqual(produced, wanted, delta=2)

    def test_goes_on_as_it_began(self) -> None:
        """A session that goes on without its connection keeps its correction, whatever the next
        connection finds; and one that begins without a connection has the last one found."""
        self.all = Uplinked(behind_us=5_000_000)
        self.live(1)
        session_id = self.all.uplink.live.session_id
        before_us = self.all.server.now_us()
        self.all.cut()
        self.all.shoot()
        (second,) = self.offline(1)
        self.all.behind_us = 9_000_000
        self.live(5)
        listed = [time for time, _ in self.times(session_id)]
        self.assertAlmostEqual(listed[1], before_us, delta=300_000)
        self.assertAlmostEqual(self.times(second)[0][0], before_us, delta=300_000)
        live = self.all.uplink.live.session_id
        self.assertAlmostEqual(self.times(live)[0][0], before_us, delta=300_000)


class StoreTroubleTests(DeliveryCase):
    """The server has no room for what comes late."""

    def test_asked_again(self) -> None:
        """What found no room is asked for, and sent again when there is; nothing is lost."""
        store = KeepingStore(commit_at_once=False, queue_segments=8)
        self.all = Uplinked(store)
        self.all.shoot(12)
        (session_id,) = self.waiting()
        self.live()
        for _ in range(20):
            self.all.second()
            store.commit()
        self.assertEqual(self.recorded(session_id), list(range(12)))
        self.assertIs(self.record(session_id).state, SessionState.SEALED)
