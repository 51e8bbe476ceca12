"""Tests of WebSockets that have been upgraded and have not registered."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY, Joined
from tests.server.port.test_door import Turns
from tests.server.sockets.test_link import framed, handshake, register
from vidlink.messages import Clock, Message, ProctorRegister
from vidlink.model import USUAL, SentinelState
from vidlink.server.port.lobby import Lobby
from vidlink.server.sockets.link import LEAVING_FACTOR

BINARY_FRAME, TEXT = 2, 1


class Wire(FakeTransport):
    """The server's end of a connection that remembers whether it is read, and broken off."""

    is_read = True
    is_broken = False

    def pauseProducing(self) -> None:
        """Read nothing."""
        self.is_read = False

    def resumeProducing(self) -> None:
        """Read on."""
        self.is_read = True

    def abortConnection(self) -> None:
        """Remember it."""
        self.is_broken = True


class NewcomerTests(SynchronousTestCase):
    """A server whose turns are taken one by one, and room for sixteen that say nothing."""

    def setUp(self) -> None:
        """Nobody is there."""
        self.clock = Turns()
        self.server = Joined(clock=self.clock)
        self.lobby = Lobby(self.clock, 256)
        self.server.ingest.lobby = self.server.watch.lobby = self.lobby

    def connect(self, factory: Any = None) -> Any:
        """The server's end of a connection that is open."""
        link = (factory or self.server.ingest).buildProtocol(None)
        link.makeConnection(Wire(link, isServer=True))
        link.dataReceived(handshake())
        return link

    def say(self, link: Any, message: Message) -> None:
        """The peer of `link` sends `message`."""
        payload, is_binary = self.server.codecs[BINARY].encode(message)
        assert len(payload) < 126
        link.dataReceived(framed(BINARY_FRAME if is_binary else TEXT, payload))

    def test_late(self) -> None:
        """Of those that all register within one turn, so many are taken in as of newcomers at the
        door; the others wait, unread, in their order, and are read on afterwards."""
        links = [self.connect() for _ in range(10)]
        for number, link in enumerate(links):
            self.say(link, register(f"desk-{number}"))
        known = [link.is_known for link in links]
        self.assertEqual(known, [True] * USUAL.newcomers_per_turn + [False] * 6)
        self.assertEqual([link.transport.is_read for link in links], known)
        self.clock.turn()
        self.assertEqual(sum(link.is_known for link in links), 2 * USUAL.newcomers_per_turn)
        for _ in range(2):
            self.clock.turn()
        self.assertTrue(all(link.is_known and link.transport.is_read for link in links))
        self.assertEqual(len(self.server.hub.statuses()), 10)

    def test_follows(self) -> None:
        """What comes behind a registration that waits is taken after it, and nothing twice."""
        links = [self.connect(self.server.watch) for _ in range(5)]
        for link in links:
            self.say(link, ProctorRegister("test/1"))
        last = links[-1]
        sent = len(last.transport.stream)
        self.say(last, Clock(1, None, None))
        last.dataReceived(framed(9, b"ping"))
        self.assertEqual(len(last.transport.stream), sent)
        self.clock.turn()
        self.assertTrue(last.is_known)
        self.assertIn(framed(10, b"ping")[6:], b"".join(last.transport.stream))

    def test_whatever_it_says(self) -> None:
        """Who says something else first waits as well, and is as little known as before."""
        links = [self.connect() for _ in range(6)]
        for link in links:
            self.say(link, Clock(1, None, None))
        self.assertEqual([link.is_waiting for link in links], [False] * 4 + [True] * 2)
        self.clock.turn()
        self.assertFalse(any(link.is_waiting or link.is_known for link in links))

    def test_counted(self) -> None:
        """A handshake alone makes nobody one of those that stay: the longest goes. Who has
        registered, as a sentinel or a proctor, is nobody's to turn away."""
        known = [self.connect(), self.connect(self.server.watch)]
        self.say(known[0], register())
        self.say(known[1], ProctorRegister("test/1"))
        crowd = [self.connect() for _ in range(40)]
        self.clock.turn()
        self.clock.turn()
        broken = [link.transport.is_broken for link in crowd]
        self.assertEqual(broken, [True] * 24 + [False] * 16)
        self.assertFalse(any(link.transport.is_broken for link in known))

    def test_gone(self) -> None:
        """Who goes while it waits leaves nothing behind."""
        links = [self.connect() for _ in range(9)]
        for number, link in enumerate(links):
            self.say(link, register(f"desk-{number}"))
        for link in links:
            link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(self.server.ingest.door), 0)
        self.assertEqual(self.lobby._guests, {})
        for _ in range(3):
            self.clock.turn()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.server.hub.statuses()), 4)

    def test_lost_at_once(self) -> None:
        """Of many that are lost within one turn some have their end told in it, the others one turn
        after the other; who has waited for its turn to register never registers."""
        links = [self.connect() for _ in range(40)]
        for number, link in enumerate(links):
            self.say(link, register(f"desk-{number}"))
        for _ in range(8):
            self.clock.turn()
        self.assertEqual(sum(link.is_known for link in links), 36)
        for link in links:
            link.connectionLost(Failure(ConnectionLost()))
        most = LEAVING_FACTOR * USUAL.newcomers_per_turn
        self.assertEqual(len(self.server.ingest.links), 40 - most)
        left = []
        for _ in range(3):
            self.clock.turn()
            left.append(len(self.server.ingest.links))
        self.assertEqual(left, [40 - 2 * most, 0, 0])
        self.assertEqual(sum(link.is_known for link in links), 36)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual({row.state for row in self.server.hub.statuses()}, {SentinelState.OFFLINE})

    def test_deadline(self) -> None:
        """Who has registered in time and has to wait is not too late; who says something else
        until the time is over is."""
        links = [self.connect() for _ in range(6)]
        for link in links[:4]:
            self.say(link, Clock(1, None, None))
        self.say(links[4], register())
        self.say(links[5], Clock(1, None, None))
        self.clock.rightNow += USUAL.registration_seconds
        for link in links:
            link._deadline.stop()
            link._too_late()
        self.assertTrue(links[4].is_waiting)
        self.clock.turn()
        self.assertEqual([link.failedByMe for link in links], [True] * 4 + [False, True])

    def test_closed(self) -> None:
        """Who is told to go while it waits is read on, so that its answer ends the connection."""
        for factory in (self.server.watch, self.server.ingest):
            links = [self.connect(factory) for _ in range(5)]
            for link in links:
                self.say(link, Clock(1, None, None))
            last = links[-1]
            self.assertEqual((last.is_waiting, last.transport.is_read), (True, False))
            last.conversation.going_away()
            self.assertEqual((last.is_waiting, last.transport.is_read), (False, True))
            self.assertIn(last, factory.links)
            last.dataReceived(framed(8, b"\x03\xe9"))
            self.assertEqual(last.state, last.STATE_CLOSED)

    def test_fault(self) -> None:
        """A fault of ours while a registration is taken costs its own connection only."""
        links = [self.connect() for _ in range(6)]
        for number, link in enumerate(links):
            self.say(link, register(f"desk-{number}"))

        def fail(message: Message) -> None:
            raise ZeroDivisionError

        links[4].conversation.received = fail
        self.clock.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(links[4].transport.is_broken)
        self.assertTrue(links[5].is_known)
