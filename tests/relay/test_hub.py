"""Tests of the hub: who has a Sentinel's place, who hears of the list, and the buffers' budget."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.relay.arrivals import arrival
from tests.relay.publishers import FakeFollower, FakePublisher
from tests.relay.test_stream import session
from vidlink.errors import IdInUse, NoResources
from vidlink.interfaces import IPublisher
from vidlink.model import Bounds, RecordingState, Registration, SentinelState
from vidlink.relay.alarms import QUIET_SECONDS
from vidlink.relay.hub import PROBE_SECONDS, RENEWAL_SECONDS, Hub
from vidlink.relay.stream import Stream


class ClaimTests(SynchronousTestCase):
    """Who has a Sentinel's place, and who is known."""

    def setUp(self) -> None:
        """A hub on a clock that stands still, and a Sentinel that has its place."""
        self.clock = Clock()
        self.hub = Hub(self.clock.seconds, bounds=Bounds(sentinels=3))
        self.older = FakePublisher("one")
        self.stream = self.successResultOf(self.claim(self.older))

    def claim(self, publisher: FakePublisher) -> Deferred[Stream]:
        """Let `publisher` ask for its place."""
        claim = self.hub.claim(publisher.registration, publisher)
        return claim.addCallback(publisher.seated)

    def test_publisher(self) -> None:
        """The fake that these tests use has every member of its role."""
        verifyObject(IPublisher, self.older)

    def test_first_come(self) -> None:
        """A Sentinel that nobody else speaks for has its place at once."""
        self.assertIs(self.stream.publisher, self.older)
        self.assertIs(self.hub.stream("desk-1"), self.stream)
        self.assertIsNone(self.hub.stream("desk-2"))

    def test_same_process_again(self) -> None:
        """The same process on a new connection replaces the old one at once."""
        newer = FakePublisher("one")
        self.assertIs(self.successResultOf(self.claim(newer)), self.stream)
        self.assertEqual(self.older.asked, ["replace"])
        self.assertIs(self.stream.publisher, newer)

    def test_place_is_free(self) -> None:
        """Another process takes a place that has been left, without asking anybody."""
        self.older.leave("disconnected")
        newer = FakePublisher("two")
        self.assertIs(self.successResultOf(self.claim(newer)), self.stream)
        self.assertEqual(self.older.asked, [])

    def test_two_machines_with_one_id(self) -> None:
        """While the older answers, another process is refused and changes nothing but the log."""
        newer = FakePublisher("two")
        with capturedLogs() as events:
            claim = self.claim(newer)
        self.assertNoResult(claim)
        self.assertEqual(self.older.asked, [("probe", PROBE_SECONDS)])
        self.assertEqual([event["sentinel"] for event in events], ["desk-1"])
        with capturedLogs() as events:
            self.older.probes[0].callback(True)
        error = self.failureResultOf(claim, IdInUse).value
        self.assertIs(self.stream.publisher, self.older)
        self.assertEqual(newer.asked, [])
        # People have to find both; whoever is refused is not told where the other one is.
        newer_at, older_at = newer.address, self.older.address
        (told,) = [formatEvent(event) for event in events]
        alarm, _ = self.hub.alarms.after(0)
        assert alarm is not None
        words = f"two machines use the id desk-1: {older_at} has it, {newer_at} is refused"
        self.assertEqual((told, str(alarm.error)), (words, words))
        self.assertNotIn(older_at, str(error))

    def test_again_and_again(self) -> None:
        """However often a second machine tries, the log has it twice a minute, with the number."""
        newer = FakePublisher("two")
        with capturedLogs() as events:
            for _ in range(3):
                claim = self.claim(newer)
                self.older.probes.pop().callback(True)
                self.failureResultOf(claim, IdInUse)
            self.clock.advance(QUIET_SECONDS)
            claim = self.claim(newer)
            self.older.probes.pop().callback(True)
            self.failureResultOf(claim, IdInUse)
        told = [formatEvent(event) for event in events if "registers" not in formatEvent(event)]
        self.assertEqual(len(told), 2)
        self.assertTrue(told[0].endswith("is refused"), told[0])
        self.assertIn("(2 times more since this was last said)", told[1])

    def test_older_is_dead(self) -> None:
        """If the older does not answer, it is replaced."""
        newer = FakePublisher("two")
        claim = self.claim(newer)
        self.older.probes[0].callback(False)
        self.assertIs(self.successResultOf(claim), self.stream)
        self.assertIn("replace", self.older.asked)
        self.assertIs(self.stream.publisher, newer)

    def test_older_goes_while_probed(self) -> None:
        """If the older goes by itself meanwhile, the place is simply taken."""
        newer = FakePublisher("two")
        claim = self.claim(newer)
        self.older.leave("disconnected")
        self.older.probes[0].callback(False)
        self.successResultOf(claim)
        self.assertNotIn("replace", self.older.asked)
        self.assertIs(self.stream.publisher, newer)

    def test_older_is_succeeded_while_probed(self) -> None:
        """If the older reconnects meanwhile, its new connection is the one to be asked."""
        newer = FakePublisher("two")
        claim = self.claim(newer)
        again = FakePublisher("one")
        self.successResultOf(self.claim(again))
        self.older.probes[0].callback(False)
        self.assertNoResult(claim)
        self.assertEqual(again.asked, [("probe", PROBE_SECONDS)])
        again.probes[0].callback(True)
        self.failureResultOf(claim, IdInUse)
        self.assertIs(self.stream.publisher, again)

    def test_two_claims_at_once(self) -> None:
        """Of two that wait for a dead one, one has the place and is asked for the other."""
        second, third = FakePublisher("two"), FakePublisher("three")
        claims = self.claim(second), self.claim(third)
        for probe in self.older.probes:
            probe.callback(False)
        self.successResultOf(claims[0])
        self.assertNoResult(claims[1])
        second.probes[0].callback(True)
        self.failureResultOf(claims[1], IdInUse)
        self.assertIs(self.stream.publisher, second)

    def test_withdrawn(self) -> None:
        """A claim that is withdrawn while the older is asked leaves everything as it was."""
        for alive in (True, False):
            newer = FakePublisher("two")
            claim = self.claim(newer)
            claim.addErrback(lambda failure: None)
            claim.cancel()
            probe = self.older.probes.pop()
            if not probe.called:
                probe.callback(alive)
            self.assertIs(self.stream.publisher, self.older)
            self.assertNotIn("replace", self.older.asked)
            self.assertEqual(self.hub.statuses()[0].name, "Desk 1")

    def test_left_too_late(self) -> None:
        """A connection that has been replaced cannot take its successor's place with it."""
        newer = FakePublisher("one")
        self.successResultOf(self.claim(newer))
        self.stream.detach(self.older)
        self.assertIs(self.stream.publisher, newer)

    def test_crowded(self) -> None:
        """Beyond its number of Sentinels, all connected, a hub takes no newcomer, but everybody it
        knows."""
        for name in ("desk-2", "desk-3"):
            self.successResultOf(self.claim(FakePublisher("one", name)))
        self.failureResultOf(self.claim(FakePublisher("one", "desk-4")), NoResources)
        self.assertIsNone(self.hub.stream("desk-4"))
        self.successResultOf(self.claim(FakePublisher("one", "desk-2")))

    def come_and_go(self, name: str, *, with_session: bool = True) -> None:
        """A Sentinel has been here."""
        publisher = FakePublisher("one", name)
        stream = self.successResultOf(self.claim(publisher))
        if with_session:
            stream.begin(session("session-0001"), lambda: RecordingState.OK)
            stream.has_history = True
        publisher.leave("disconnected")
        self.hub.tick()

    def test_longest_offline_goes(self) -> None:
        """For a newcomer beyond the number the one is forgotten that is offline for longest; those
        that are connected, or came again, stay."""
        for name in ("desk-2", "desk-3"):
            self.come_and_go(name)
        self.come_and_go("desk-2")
        self.successResultOf(self.claim(FakePublisher("one", "desk-4")))
        self.assertEqual([row.sentinel_id for row in self.hub.statuses()][1:], ["desk-2", "desk-4"])
        self.come_and_go("desk-5")
        self.come_and_go("desk-6")
        known = [row.sentinel_id for row in self.hub.statuses()]
        self.assertEqual(known, ["desk-1", "desk-4", "desk-6"])

    def test_just_left(self) -> None:
        """Also one that has left since the last tick makes room."""
        for name in ("desk-2", "desk-3"):
            publisher = FakePublisher("one", name)
            self.successResultOf(self.claim(publisher)).has_history = True
            publisher.leave("disconnected")
        self.successResultOf(self.claim(FakePublisher("one", "desk-4")))
        self.assertIsNone(self.hub.stream("desk-2"))
        self.assertIsNotNone(self.hub.stream("desk-3"))

    def test_nothing_left_behind(self) -> None:
        """Who has registered and left without a session is forgotten, however many do."""
        for number in range(100):
            self.come_and_go(f"stranger-{number}", with_session=False)
        self.assertEqual([row.sentinel_id for row in self.hub.statuses()], ["desk-1"])
        self.come_and_go("desk-2")
        self.assertEqual(len(self.hub.statuses()), 2)

    def test_forgotten_and_followed(self) -> None:
        """Who follows one that was forgotten is served when it comes again."""
        publisher = FakePublisher("one", "desk-2")
        stream = self.successResultOf(self.claim(publisher))
        follower = FakeFollower()
        stream.follow(follower, self.fail)
        publisher.leave("disconnected")
        self.hub.tick()
        self.assertIsNone(self.hub.stream("desk-2"))
        again = self.successResultOf(self.claim(FakePublisher("two", "desk-2")))
        stirs = follower.stirs
        again.begin(session("session-0001"), lambda: RecordingState.OK)
        self.assertGreater(follower.stirs, stirs)
        self.assertTrue(again.is_known)

    def test_no_room_to_wait(self) -> None:
        """Of those that are forgotten and followed as many are waited for as there is room; who
        follows another is told, and hears no more of it, also when it comes again."""
        self.hub = Hub(self.clock.seconds, bounds=Bounds(sentinels=3, awaited_sentinels=2))
        told: list[int] = []
        followers = [FakeFollower() for _ in range(4)]
        for number, follower in enumerate(followers):
            publisher = FakePublisher("one", f"brief-{number}")
            stream = self.successResultOf(self.claim(publisher))
            stream.follow(follower, partial(told.append, number))
            publisher.leave("disconnected")
            self.hub.tick()
        self.assertEqual((told, len(self.hub._awaited)), ([2, 3], 2))
        for number, follower in enumerate(followers):
            publisher = FakePublisher("two", f"brief-{number}")
            again, stirs = self.successResultOf(self.claim(publisher)), follower.stirs
            again.begin(session("session-0001"), lambda: RecordingState.OK)
            self.assertEqual(follower.stirs > stirs, number < 2)
            publisher.leave("disconnected")
            self.hub.tick()

    def test_live_before_anything_came(self) -> None:
        """A stream with a session is not forgotten before its first segment, whoever is there."""
        publisher = FakePublisher("one", "desk-2")
        stream = self.successResultOf(self.claim(publisher))
        stream.begin(session("session-0001"), lambda: RecordingState.OK)
        stream.detach(publisher)
        self.hub.tick()
        self.assertIs(self.hub.stream("desk-2"), stream)

    def test_history_beyond_the_number(self) -> None:
        """Of a longer history those are listed that were heard of last; they make room for
        newcomers, the oldest first."""
        history = [
            (Registration(f"old-{n}", "", f"old {n}", "", "test"), None if n == 2 else 1_000 - n)
            for n in range(9)
        ]
        self.hub.remember(history, 0.0)
        known = [row.sentinel_id for row in self.hub.statuses()]
        self.assertEqual(known, ["desk-1", "old-0", "old-1"])
        self.successResultOf(self.claim(FakePublisher("one", "desk-2")))
        known = [row.sentinel_id for row in self.hub.statuses()]
        self.assertEqual(known, ["desk-1", "desk-2", "old-0"])

    def test_statuses(self) -> None:
        """Everybody known is listed by id, connected or not."""
        self.successResultOf(self.claim(FakePublisher("one", "a-desk")))
        self.older.leave("disconnected")
        rows = [(row.sentinel_id, row.state) for row in self.hub.statuses()]
        self.assertEqual(rows, [("a-desk", SentinelState.LIVE), ("desk-1", SentinelState.OFFLINE)])


class ListTests(SynchronousTestCase):
    """The list of Sentinels and who reads it."""

    def setUp(self) -> None:
        """A hub with one reader of its list."""
        self.clock = Clock()
        self.hub = Hub(self.clock.seconds)
        self.reader = FakeFollower()
        self.hub.read_list(self.reader)

    def connect(self, sentinel_id: str) -> FakePublisher:
        """Let a Sentinel take its place."""
        publisher = FakePublisher("one", sentinel_id)
        claim = self.hub.claim(publisher.registration, publisher)
        publisher.seated(self.successResultOf(claim))
        return publisher

    def test_once_a_second(self) -> None:
        """Changes are told at the tick, together, and only if there are any."""
        self.connect("desk-1")
        self.connect("desk-2")
        self.assertEqual(self.reader.stirs, 0)
        self.hub.tick()
        self.assertEqual(self.reader.stirs, 1)
        self.assertEqual(len(self.hub.roster.since(0)), 2)
        self.hub.tick()
        self.assertEqual(self.reader.stirs, 1)

    def test_forgotten(self) -> None:
        """Readers are sent the whole list when somebody in it was forgotten, but twice a minute at
        most; who is gone before anybody was told is no news."""
        self.connect("desk-1")
        for number in range(3):
            publisher = self.connect(f"stranger-{number}")
            self.hub.tick()
            seen = self.hub.roster.version
            publisher.leave("disconnected")
            self.hub.tick()
            self.assertEqual(self.hub.roster.full_version > seen, number == 0)
        self.connect("brief").leave("disconnected")
        self.hub.tick()
        self.clock.advance(RENEWAL_SECONDS)
        seen = self.hub.roster.version
        self.hub.tick()
        self.assertEqual([row.sentinel_id for row in self.hub.roster.since(seen)], ["desk-1"])
        self.assertEqual(self.hub.roster.since(self.hub.roster.version), ())

    def test_states_change_by_themselves(self) -> None:
        """A Sentinel that falls silent is news at the next tick."""
        self.connect("desk-1")
        self.hub.tick()
        seen = self.hub.roster.version
        self.clock.advance(3.1)
        self.hub.tick()
        (row,) = self.hub.roster.since(seen)
        self.assertEqual(row.state, SentinelState.STALE)
        self.assertEqual(self.reader.stirs, 2)

    def test_leaves_the_list(self) -> None:
        """Who has left the list hears nothing more; leaving twice does no harm."""
        self.hub.leave_list(self.reader)
        self.hub.leave_list(self.reader)
        self.connect("desk-1")
        self.hub.tick()
        self.assertEqual(self.reader.stirs, 0)

    def test_remembered(self) -> None:
        """Sentinels that history knows are listed as offline, and can be followed."""
        known = Registration("desk-9", "", "Old desk", "attic", "")
        self.hub.remember([(known, 77)], 0.0)
        (row,) = self.hub.roster.since(0)
        self.assertEqual(
            (row.name, row.group, row.state), ("Old desk", "attic", SentinelState.OFFLINE)
        )
        self.assertEqual(row.last_segment_time_us, 77)
        self.assertIsNotNone(self.hub.stream("desk-9"))

    def test_remembered_while_connected(self) -> None:
        """What history says of a Sentinel does not touch one that is connected already."""
        publisher = self.connect("desk-1")
        self.hub.remember([(Registration("desk-1", "", "Old", "attic", ""), 77)], 0.0)
        stream = self.hub.stream("desk-1")
        assert stream is not None
        self.assertIs(stream.publisher, publisher)
        self.assertEqual((stream.name, stream.last_segment_time_us), ("Desk 1", None))

    def test_remembered_and_gone(self) -> None:
        """One that had come before history was known is not forgotten when it leaves without having
        sent anything: there is something to be fetched."""
        publisher = self.connect("desk-1")
        self.hub.remember([(publisher.registration, 77)], 0.0)
        publisher.leave("disconnected")
        self.hub.tick()
        self.assertIsNotNone(self.hub.stream("desk-1"))

    def test_deleted(self) -> None:
        """Of whom history has nothing any more there is no row either, unless it is connected; who
        has left since history was asked is not judged by the answer."""
        for name in ("desk-1", "desk-2", "desk-3"):
            publisher = self.connect(name)
            assert publisher.stream is not None
            publisher.stream.has_history = True
            self.clock.advance(1)
            if name != "desk-3":
                publisher.leave("disconnected")
            self.hub.tick()
        self.hub.remember([], 1.5)
        self.assertEqual([row.sentinel_id for row in self.hub.statuses()], ["desk-2", "desk-3"])

    def test_windows_move(self) -> None:
        """The tick lets every buffer go of what is old."""
        self.connect("desk-1")
        stream = self.hub.stream("desk-1")
        assert stream is not None
        stream.begin(session("session-00000001"), lambda: RecordingState.OK)
        stream.push(arrival(0, at=0.0))
        self.assertGreater(self.hub.budget.used_bytes, 0)
        self.clock.advance(20.0)
        self.hub.tick()
        self.assertEqual(self.hub.budget.used_bytes, 0)

    def test_shared_budget(self) -> None:
        """All buffers of a hub draw on one budget."""
        for name in ("desk-1", "desk-2"):
            self.connect(name)
            stream = self.hub.stream(name)
            assert stream is not None
            stream.begin(session("session-" + name), lambda: RecordingState.OK)
        self.assertEqual(self.hub.budget.buffers, 2)
