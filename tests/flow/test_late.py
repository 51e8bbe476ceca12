"""Tests of late delivery on the whole road: Sentinel, server, Proctor and the real recording."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer, FakeSentinelPeer
from tests.links.memory import BINARY, JSON, MemoryServer
from tests.store.recorded import folder_of, stored
from tests.store.rig import Rig
from vidlink.messages import (
    Ack,
    BackfillDone,
    DeclareGap,
    ErrorMessage,
    SentinelRegistered,
    SessionEnded,
    Skipped,
    Subscribe,
    Subscribed,
    Tail,
)
from vidlink.model import Segment, SegmentQuery, SessionState

OLD, NEW, UNHEARD = "session-that-was0", "session-that-is00", "session-unheard-0"


class LateCase(SynchronousTestCase):
    """A server with a recording on a real disk, whose rounds are done by hand."""

    def setUp(self) -> None:
        """Start it."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(lambda: self.rig.close())
        self.server = MemoryServer(store=self.rig.store.ledger)

    def second(self) -> None:
        """A second passes: what waits is written, and what is due is said."""
        self.rig.settle()
        self.server.second()

    def killed(self) -> None:
        """The server is killed, and started again."""
        self.rig = self.rig.killed(self.mktemp())
        self.server = MemoryServer(store=self.rig.store.ledger)

    def watching(self) -> FakeProctorPeer:
        """A Proctor that watches, and has read what there is."""
        proctor = self.server.proctor()
        proctor.say(Subscribe("desk-1"))
        proctor.read()
        return proctor

    def connect(self, *tails: Tail, session_id: str = NEW) -> FakeSentinelPeer:
        """The Sentinel, registered with these tails; its live session has begun."""
        sentinel = self.server.sentinel()
        sentinel.register(session_id, resume=tails)
        self.rig.settle()
        sentinel.init()
        sentinel.segment(0)
        return sentinel

    def wanted(self, sentinel: FakeSentinelPeer) -> dict[str, list[int]]:
        """The sequences that the Sentinel has been asked for."""
        (answer,) = sentinel.all_heard(SentinelRegistered)
        return {
            one.session_id: [n for low, high in one.missing for n in range(low, high + 1)]
            for one in answer.resume
        }

    def history(self, session_id: str) -> dict[int, bytes]:
        """What history serves of a session."""
        page = self.rig.store.archive.segments("desk-1", session_id, SegmentQuery(limit=10_000))
        found = {}
        for row in self.successResultOf(page).segments:
            one = self.rig.store.archive.media("desk-1", session_id, row.sequence, row.sequence)
            body, _ = self.successResultOf(one)
            found[row.sequence] = self.successResultOf(body.read(0, body.size_bytes))
        return found

    def record(self, session_id: str) -> Any:
        """A session as history shows it."""
        return self.successResultOf(self.rig.store.archive.session("desk-1", session_id))


class LateTests(LateCase):
    """A connection is lost, and what was lost with it comes late."""

    def test_beside_live(self) -> None:
        """An earlier session and one never heard of are filled up and sealed beside the live
        one, acknowledged each by itself; a viewer sees the live one and nothing else."""
        lost = self.connect(session_id=OLD)
        sent = {0: media.segment(0)}
        for number in (1, 2, 5, 6):
            sent[number] = lost.segment(number)
        self.second()
        (ack,) = lost.all_heard(Ack)
        self.assertEqual((ack.sequence, ack.missing), (2, ((3, 4),)))
        lost.vanish()

        sentinel = self.connect(Tail(OLD, 0, 9), Tail(UNHEARD, 0, 3))
        self.assertEqual(self.wanted(sentinel), {OLD: [3, 4, 7, 8, 9], UNHEARD: [0, 1, 2, 3]})
        proctor = self.watching()
        proctor.forget()
        unheard = {}
        sentinel.init(OLD, late=True)
        sentinel.init(UNHEARD, late=True)
        for number in range(1, 6):
            sentinel.segment(number)
            if number <= 4:
                unheard[number - 1] = sentinel.late_segment(UNHEARD, number - 1)
            for late in {1: (7, 8), 2: (3,), 4: (4, 7)}.get(number, ()):
                sent[late] = sentinel.late_segment(OLD, late)
            self.second()
            proctor.read()
        sentinel.say(DeclareGap(OLD, 9, 9, "the spool was full"))
        self.assertIs(self.record(OLD).state, SessionState.ENDED)
        sentinel.say(BackfillDone(OLD))
        sentinel.say(BackfillDone(UNHEARD))
        self.second()

        live = [(one.session_id, one.sequence) for one in proctor.all_heard(Segment)]
        self.assertEqual(live, [(NEW, number) for number in range(1, 6)])
        for kind in (Skipped, SessionEnded, Subscribed):
            self.assertEqual(proctor.all_heard(kind), [])
        self.assertEqual(sentinel.all_heard(ErrorMessage), [])
        acks: dict[str, list[int]] = {}
        for ack in sentinel.all_heard(Ack):
            acks.setdefault(ack.session_id, []).append(ack.sequence)
        self.assertEqual(acks[OLD], [2, 3, 8, 9])
        self.assertEqual((acks[UNHEARD][-1], acks[NEW][-1]), (3, 5))
        self.assertEqual(self.history(OLD), sent)
        self.assertEqual(self.history(UNHEARD), unheard)
        for session_id, gaps in ((OLD, [(9, 9, "the spool was full")]), (UNHEARD, [])):
            record = self.record(session_id)
            self.assertIs(record.state, SessionState.SEALED)
            self.assertEqual([(gap.first, gap.last, gap.detail) for gap in record.gaps], gaps)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(
        st.lists(
            st.tuples(st.lists(st.integers(0, 14), max_size=8), st.booleans(), st.booleans()),
            max_size=6,
        ),
        st.sampled_from([BINARY, JSON]),
    )
    def test_interrupted(self, attempts: list[tuple[list[int], bool, bool]], codec: Any) -> None:
        """However often the connection or the server dies in the middle, with whatever sent
        twice, in the end everything is recorded once, and nothing acknowledged was asked for."""
        self.setUp()
        sent = {number: media.segment(number) for number in range(15)}
        acknowledged = -1
        for place, (numbers, has_round, is_killed) in enumerate([*attempts, ([], True, False)]):
            sentinel = self.server.sentinel(codec=codec)
            sentinel.register(f"live-session-{place:04}", resume=(Tail(OLD, 0, 14),))
            asked = self.wanted(sentinel)[OLD]
            self.assertGreater(min(asked, default=15), acknowledged)
            sentinel.init(OLD, late=True)
            is_last = place == len(attempts)
            for number in asked if is_last else numbers:
                sentinel.late_segment(OLD, number)
            if has_round:
                self.second()
            acks = [ack.sequence for ack in sentinel.all_heard(Ack) if ack.session_id == OLD]
            acknowledged = max([acknowledged, *acks])
            if is_last:
                sentinel.say(BackfillDone(OLD))
                self.second()
            elif is_killed:
                self.killed()
            else:
                sentinel.vanish()
        self.assertEqual(acknowledged, 14)
        self.assertEqual(self.history(OLD), sent)
        record = self.record(OLD)
        self.assertEqual((record.state, record.gaps), (SessionState.SEALED, ()))
        self.assertEqual(len(stored(self.rig, record.session)), 15)
        self.assertTrue(folder_of(self.rig, record.session).endswith(OLD))
        self.rig.close()
