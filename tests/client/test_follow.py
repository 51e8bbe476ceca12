"""One Sentinel followed over lost connections, sessions and restarts of the server."""

from __future__ import annotations

from twisted.internet.task import Clock

from tests.client.joining import JoinedEndpoint, LiveCase, Screen
from tests.joined import Joined
from vidlink.client import Connected, Follow, Live, Lost
from vidlink.client.live import connect_to
from vidlink.dialling.address import Address
from vidlink.dialling.backoff import BackOff
from vidlink.errors import BadMessage, GoingAway, NotAllowed, NotFound, Unreachable
from vidlink.messages import Skipped, StartFrom, Subscribed
from vidlink.model import InitSegment, Segment
from vidlink.relay.stream import Stream


class FollowTests(LiveCase):
    """What a follower is given."""

    def setUp(self) -> None:
        """A follower of the screen."""
        super().setUp()
        self.clock = Clock()
        self.followed = self.follow()

    def follow(self, **wishes: object) -> Follow:
        """A new follower."""
        back_off = BackOff(lambda: 0.0)

        async def join() -> Live:
            return await connect_to(self.address, self.server.clock)

        return Follow("desk-1", join, self.clock, back_off=back_off, **wishes)  # type: ignore[arg-type]

    def sequences(self, count: int) -> list[int]:
        """The sequences of the next so many segments."""
        found: list[int] = []
        while len(found) < count:
            event = self.read(self.followed)[0]
            if isinstance(event, Segment):
                found.append(event.sequence)
        return found

    def break_off(self) -> None:
        """The connection breaks."""
        for link in tuple(self.server.watch.links):
            link.transport.abortConnection()
        self.server.flush()

    def until_lost(self) -> Lost:
        """The next event of that kind."""
        while True:
            event = self.read(self.followed)[0]
            if isinstance(event, Lost):
                return event

    def reconnect(self, lost: Lost) -> None:
        """Time passes until the next attempt."""
        waiting = self.start(self.followed.__anext__())
        self.clock.advance(lost.retry_seconds - 0.01)
        self.assertNoResult(waiting)
        self.clock.advance(0.02)
        self.assertIsInstance(self.successResultOf(waiting), Connected)

    def test_goes_on_where_it_was(self) -> None:
        """After a lost connection not a segment is missing, and none comes twice."""
        self.screen.connect()
        self.screen.send(2)
        self.assertEqual(self.sequences(2), [0, 1])
        self.screen.send(2)
        self.break_off()
        self.screen.send(2)
        # What had come before it broke comes first.
        self.assertEqual(self.sequences(2), [2, 3])
        lost = self.until_lost()
        self.assertIsInstance(lost.error, Unreachable)
        self.reconnect(lost)
        self.assertEqual(self.sequences(2), [4, 5])

    def test_what_cannot_be_had_is_named(self) -> None:
        """What the server no longer has when it is back is named."""
        self.server = Joined(window_seconds=2.0)
        self.screen, self.endpoint = Screen(self.server), JoinedEndpoint(self.server)
        self.address = Address(self.endpoint, self.address.url, self.address.base_url)
        self.screen.connect()
        self.screen.send(2)
        self.assertEqual(self.sequences(2), [0, 1])
        self.break_off()
        for _ in range(40):
            self.screen.send()
            self.server.pass_time(0.2)
        lost = self.until_lost()
        self.reconnect(lost)
        events = self.read(self.followed, 5)
        skipped = [event for event in events if isinstance(event, Skipped)]
        self.assertEqual(skipped[0].first, 2)
        segment = next(event for event in events if isinstance(event, Segment))
        self.assertEqual(segment.sequence, skipped[-1].last + 1)
        self.assertTrue(segment.is_keyframe)

    def test_waits_grow(self) -> None:
        """It tries for ever, more and more slowly, and quickly again once it was in."""
        self.endpoint.is_down = True
        waits = []
        for _ in range(8):
            waiting = self.start(self.followed.__anext__())
            self.clock.advance(60)
            lost = self.successResultOf(waiting)
            self.assertIsInstance(lost.error, Unreachable)
            waits.append(lost.retry_seconds)
        self.assertEqual(waits, sorted(waits))
        self.assertLessEqual(waits[-1], 30)
        self.endpoint.is_down = False
        waiting = self.start(self.followed.__anext__())
        self.clock.advance(60)
        self.assertIsInstance(self.successResultOf(waiting), Connected)
        self.break_off()
        self.assertEqual(self.until_lost().retry_seconds, waits[0])

    def test_whom_the_server_does_not_want(self) -> None:
        """One that is not allowed asks again no faster than once a minute."""
        self.screen.connect()
        self.read(self.followed)
        for error, at_least in ((GoingAway("x"), 0), (BadMessage("x"), 0), (NotAllowed("x"), 60)):
            (link,) = self.server.watch.links
            link.close(error)
            self.server.flush()
            lost = self.until_lost()
            self.assertIsInstance(lost.error, type(error))
            self.assertGreaterEqual(lost.retry_seconds, at_least)
            self.reconnect(lost)

    def test_next_session(self) -> None:
        """A session that began meanwhile is shown from its newest keyframe on, with its init."""
        self.screen.connect()
        self.screen.send(1)
        self.assertEqual(self.sequences(1), [0])
        self.break_off()
        self.screen.leave()
        self.screen.connect("session-000000000002")
        self.screen.send(3)
        self.reconnect(self.until_lost())
        while not isinstance(self.read(self.followed)[0], InitSegment):
            pass
        self.assertEqual(self.sequences(3), [0, 1, 2])

    def test_never_seen(self) -> None:
        """A Sentinel that the server has never seen is waited for, and that is told."""
        events = self.read(self.followed, 3)
        self.assertIn(Subscribed("desk-1", is_known=False), events)
        self.screen.connect()
        self.screen.send(2)
        self.assertEqual(self.sequences(2), [0, 1])

    def test_server_that_does_not_wait(self) -> None:
        """Where the server lets nobody wait for whom it has never seen, as older ones do not, the
        list tells when it is there."""

        def refuse(sentinel_id: str) -> Stream:
            raise NotFound("no sentinel desk-1 is known")

        self.patch(self.server.hub, "expect", refuse)
        self.followed = self.follow(start_from=StartFrom.OLDEST)
        events = self.read(self.followed, 3)
        self.assertIn(Subscribed("desk-1", is_known=False), events)
        self.screen.connect()
        self.screen.send(2)
        self.server.pass_time(1.0)
        self.assertEqual(self.sequences(2), [0, 1])

    def test_restarted_server(self) -> None:
        """A server that was restarted, and knows nothing yet, is waited for as well."""
        self.screen.connect()
        self.screen.send(1)
        self.sequences(1)
        self.break_off()
        lost = self.until_lost()
        self.server = Joined()
        self.endpoint.server = self.server
        self.screen = Screen(self.server)
        self.reconnect(lost)
        self.read(self.followed, 2)
        self.screen.connect("session-000000000002")
        self.screen.send(2)
        self.server.pass_time(1.0)
        self.assertEqual(self.sequences(2), [0, 1])

    def test_close(self) -> None:
        """Closed, it leaves no connection."""
        self.read(self.followed)
        self.result_of(self.followed.close())
        self.assertEqual(self.server.watch.links, set())
        self.result_of(self.followed.close())
