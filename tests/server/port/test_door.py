"""Tests of how many newcomers are let in at a time."""

from __future__ import annotations

from functools import partial

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.fakes.gates import open_gate
from tests.server.sockets.opened import Connection
from vidlink.model import USUAL, Bounds
from vidlink.server.port import channel
from vidlink.server.port.door import Door
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Root, Site

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"


class Turns(MemoryReactorClock):
    """A reactor whose turns are taken one by one: what is due at once is due in the next one."""

    def advance(self, amount: float) -> None:
        """Let time pass, unless it is none."""
        if amount:
            super().advance(amount)

    def turn(self) -> None:
        """Call what is due."""
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


class Empty(Resource):
    """A page with nothing on it."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Nothing."""
        return b""


class DoorTests(SynchronousTestCase):
    """A door that lets in three in a turn."""

    def setUp(self) -> None:
        """Nobody has come."""
        self.clock = Turns()
        self.door = Door(self.clock, per_turn=3)
        self.inside: list[int] = []

    def test_parts(self) -> None:
        """Who costs a part of what a newcomer does counts as that, at once or after waiting."""
        for _ in range(6):
            self.assertTrue(self.door.is_free)
            self.door.count(0.5)
        self.assertFalse(self.door.has_room)
        for name in range(9):
            self.door.wait(partial(self.inside.append, name), 0.5)
        self.clock.turn()
        self.assertEqual(self.inside, [0, 1, 2, 3, 4, 5])
        self.clock.turn()
        self.assertEqual(len(self.inside), 9)
        self.assertTrue(self.door.is_free)

    def come(self, *names: int) -> list[bool]:
        """These come; whether each is let in at once."""
        return [self.door.knock(partial(self.inside.append, name)) for name in names]

    def test_one_by_one(self) -> None:
        """Who comes alone is let in at once, however many came before, and no timer is left."""
        for name in range(10):
            self.assertEqual(self.come(name), [True])
            self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """Of many at once, three are let in a turn, in the order in which they came; also those
        that come while others wait."""
        self.assertEqual(self.come(*range(7)), [True] * 3 + [False] * 4)
        self.assertEqual(self.inside, [0, 1, 2])
        self.clock.turn()
        self.assertEqual(self.come(7), [False])
        self.assertEqual(self.inside, [0, 1, 2, 3, 4, 5])
        self.clock.turn()
        self.assertEqual(self.inside, list(range(8)))
        self.assertEqual(self.come(8), [True])
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone(self) -> None:
        """Who has gone while waiting takes nobody's place, and is not let in."""
        self.come(0, 1, 2)

        def enter() -> None:
            self.inside.append(99)

        self.assertFalse(self.door.knock(enter))
        self.come(3, 4, 5)
        self.door.leave(enter)
        self.door.leave(enter)
        self.clock.turn()
        self.assertEqual(self.inside, list(range(6)))

    def test_came_free(self) -> None:
        """Who was let in beside the door counts when it asks, and however many do at once, those at
        the door wait as many turns longer."""
        for _ in range(7):
            self.door.count()
        self.assertEqual(self.come(0), [False])
        self.clock.turn()
        self.assertEqual((self.inside, len(self.door)), ([], 1))
        self.clock.turn()
        self.assertEqual((self.inside, len(self.door)), ([0], 0))
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_debt(self) -> None:
        """What they have taken of the turns to come is given back by itself."""
        for _ in range(7):
            self.door.count()
        for _ in range(3):
            self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.come(0), [True])

    def test_stumbles(self) -> None:
        """One that fails while it is let in does not shut the door behind it."""
        self.come(0, 1, 2)

        def stumble() -> None:
            raise OSError("it has just gone")

        self.door.knock(stumble)
        self.come(3, 4)
        self.assertRaises(OSError, self.clock.turn)
        self.clock.turn()
        self.assertEqual(self.inside, [0, 1, 2, 3, 4])
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SiteTests(SynchronousTestCase):
    """A whole site, and more connections than are let in within one turn."""

    def setUp(self) -> None:
        """Put it together, and let it be busy with newcomers."""
        self.clock = Turns()
        hosts = Hosts([Listening.parse("tcp:8080:interface=127.0.0.1")])
        page = Empty()
        self.site = Site(
            Root(*[page] * 6), clock=self.clock, hosts=hosts, gate=open_gate(self.clock)
        )
        self.inside = [self.connect() for _ in range(USUAL.newcomers_per_turn)]

    def connect(self) -> Connection:
        """A client that has sent a request."""
        connection = Connection(self.site, self.clock)
        connection.send(REQUEST)
        return connection

    def silent(self, count: int) -> list[Connection]:
        """Clients that are in, and have not sent anything."""
        self.clock.turn()
        self.patch(channel, "may_have_asked", lambda transport: False)
        return [Connection(self.site, self.clock) for _ in range(count)]

    def answered(self, connections: list[Connection]) -> list[int]:
        """How often each of them has been answered."""
        for connection in connections:
            connection.turn()
        return [len(connection.answers()) for connection in connections]

    def test_waits(self) -> None:
        """One more is not read in this turn; it is answered in the next one, and its deadline
        begins then."""
        outside = self.connect()
        self.assertTrue(all(connection.received for connection in self.inside))
        self.assertEqual(outside.received, b"")
        self.clock.turn()
        outside.turn()
        self.assertTrue(outside.received.startswith(b"HTTP/1.1 200 OK"))

    def test_deadline(self) -> None:
        """The deadline of one that says nothing begins when it is let in."""
        idle = Connection(self.site, self.clock)
        calls = len(self.clock.getDelayedCalls())
        self.clock.turn()
        self.assertEqual(len(self.clock.getDelayedCalls()), calls)
        self.clock.advance(Bounds().header_seconds + 0.1)
        idle.turn()
        self.assertIsNotNone(idle.lost)

    def test_late(self) -> None:
        """Of those that say nothing at first and then all ask within one turn, no more are answered
        in it than of others, in the order in which they asked; and nobody comes before them."""
        late = self.silent(3 * USUAL.newcomers_per_turn)
        for connection in reversed(late):
            connection.send(REQUEST)
        self.assertEqual(self.answered(late), [0] * 8 + [1] * 4)
        newcomer = self.connect()
        self.clock.turn()
        self.assertEqual(self.answered(late), [0] * 4 + [1] * 8)
        self.clock.turn()
        self.assertEqual(self.answered([*late, newcomer]), [1] * 12 + [0])
        self.clock.turn()
        self.assertEqual(self.answered([newcomer]), [1])

    def test_rest_is_late(self) -> None:
        """So it is where only the end of a request comes late, of its header or its body, where
        another one follows, and over TLS, where what came first was a greeting."""
        post = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 2\r\n\r\n1"
        for first, rest in ((REQUEST[:-1], b"\n"), (post, b"2"), (REQUEST, REQUEST)):
            many = [Connection(self.site, self.clock) for _ in range(8)]
            for _ in range(9):
                self.clock.turn()
            for connection in many:
                connection.send(first)
            for _ in range(9):
                self.clock.turn()
            before = sum(self.answered(many))
            for connection in many:
                connection.send(rest)
            self.assertEqual(sum(self.answered(many)), before + USUAL.newcomers_per_turn, first)
            for connection in many:
                connection.vanish()
        # Whatever is not the transport itself stands for TLS.
        self.patch(channel, "beneath", lambda transport: None)
        many = [Connection(self.site, self.clock) for _ in range(8)]
        for _ in range(9):
            self.clock.turn()
        for connection in many:
            connection.send(REQUEST)
        self.assertEqual(sum(self.answered(many)), USUAL.newcomers_per_turn)

    def test_late_and_gone(self) -> None:
        """Who goes while its request waits is not answered, and leaves nothing behind."""
        late = self.silent(9)
        for connection in late:
            connection.send(REQUEST)
        self.assertEqual(len(self.site.door), 5)
        for connection in [*late, *self.inside]:
            connection.vanish()
        self.assertEqual(len(self.site.door), 0)
        self.clock.turn()
        self.assertEqual(self.answered(late), [1] * 4 + [0] * 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_goes(self) -> None:
        """One that goes while it waits leaves nothing behind."""
        outside = self.connect()
        outside.vanish()
        for connection in self.inside:
            connection.vanish()
        self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])
