"""What every hub promises (:class:`vidlink.interfaces.IHub`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.relay.publishers import FakePublisher
from vidlink.errors import IdInUse, NoResources
from vidlink.interfaces import IHub, IPublisher
from vidlink.model import SentinelState
from vidlink.relay.hub import PROBE_SECONDS, Hub

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object


class HubContract(_Case):
    """The promises of `IHub`; a subclass says in :meth:`make` who keeps them."""

    def make(self, max_sentinels: int) -> Any:
        """A hub that nobody is known to."""
        raise NotImplementedError

    def setUp(self) -> None:
        """A hub, and a Sentinel that has its place."""
        self.hub = self.make(3)
        self.older = FakePublisher("one")
        self.stream = self.successResultOf(self.claim(self.older))

    def claim(self, publisher: FakePublisher) -> Deferred[Any]:
        """Let `publisher` ask for its place."""
        answer: Deferred[Any] = self.hub.claim(publisher.registration, publisher)
        return answer.addCallback(publisher.seated)

    def test_interfaces(self) -> None:
        """The hub has every member of its role; so has the fake that these tests use."""
        verifyObject(IHub, self.hub)
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
        self.older.probes[0].callback(True)
        self.failureResultOf(claim, IdInUse)
        self.assertIs(self.stream.publisher, self.older)
        self.assertEqual(newer.asked, [])

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
        """Beyond its number of Sentinels a hub takes no newcomer, but everybody it knows."""
        for name in ("desk-2", "desk-3"):
            self.successResultOf(self.claim(FakePublisher("one", name)))
        self.failureResultOf(self.claim(FakePublisher("one", "desk-4")), NoResources)
        self.assertIsNone(self.hub.stream("desk-4"))
        self.successResultOf(self.claim(FakePublisher("one", "desk-2")))

    def test_statuses(self) -> None:
        """Everybody known is listed by id, connected or not."""
        self.successResultOf(self.claim(FakePublisher("one", "a-desk")))
        self.older.leave("disconnected")
        rows = [(row.sentinel_id, row.state) for row in self.hub.statuses()]
        self.assertEqual(rows, [("a-desk", SentinelState.LIVE), ("desk-1", SentinelState.OFFLINE)])


class HubTests(HubContract, SynchronousTestCase):
    """The hub of the server."""

    def make(self, max_sentinels: int) -> Any:
        """A hub on a clock that stands still."""
        return Hub(Clock().seconds, max_sentinels=max_sentinels)
