"""Tests of the hub's list: what is remembered, when readers hear of it, and its budget."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.relay.arrivals import arrival
from tests.relay.publishers import FakeFollower, FakePublisher
from tests.relay.test_stream import session
from vidlink.model import RecordingState, Registration, SentinelState
from vidlink.relay.hub import Hub


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
        self.hub.remember([(known, 77)])
        (row,) = self.hub.roster.since(0)
        self.assertEqual(
            (row.name, row.group, row.state), ("Old desk", "attic", SentinelState.OFFLINE)
        )
        self.assertEqual(row.last_segment_time_us, 77)
        self.assertIsNotNone(self.hub.stream("desk-9"))

    def test_remembered_while_connected(self) -> None:
        """What history says of a Sentinel does not touch one that is connected already."""
        publisher = self.connect("desk-1")
        self.hub.remember([(Registration("desk-1", "", "Old", "attic", ""), 77)])
        stream = self.hub.stream("desk-1")
        assert stream is not None
        self.assertIs(stream.publisher, publisher)
        self.assertEqual((stream.name, stream.last_segment_time_us), ("Desk 1", None))

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
