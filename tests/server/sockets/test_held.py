"""Tests of messages that never end: what is held of them, and when it is let go."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import JSON, Joined, Peer
from tests.server.port.test_hostile import OCTETS, TEXT, Wire, frame
from tests.server.sockets.test_link import handshake, register
from vidlink.messages import ErrorMessage, SentinelRegistered
from vidlink.server.port.held import Held
from vidlink.wire.bounds import MAX_CONTROL_BYTES

MIB = 1024 * 1024
ANNOUNCED, ARRIVED = 65_536, 63_000


class Receiver:
    """A connection that a bound has closed, or not."""

    peer = "somebody"
    overrun_bytes = 0

    def overrun(self, held_bytes: int) -> None:
        """Remember it."""
        self.overrun_bytes = held_bytes


class HeldTests(SynchronousTestCase):
    """A bound of 1,000 octets for all together."""

    def setUp(self) -> None:
        """Nothing has come yet."""
        self.halves = Held(1_000)

    def test_within(self) -> None:
        """Up to the bound nobody is closed, and what is whole or gone counts no more."""
        one, other = Receiver(), Receiver()
        self.halves.grow(one, 600)
        self.halves.grow(other, 400)
        self.halves.end(one)
        self.halves.end(one)
        self.halves.grow(other, 600)
        self.assertEqual((one.overrun_bytes, other.overrun_bytes), (0, 0))
        self.assertEqual(self.halves.held_bytes, 1_000)

    def test_share(self) -> None:
        """Beyond it the first goes that holds more than its share; small ones stay, old or new."""
        small, large, larger, new = (Receiver() for _ in range(4))
        for receiver, size in ((small, 200), (large, 300), (larger, 450), (new, 51)):
            self.halves.grow(receiver, size)
        overrun = [one.overrun_bytes for one in (small, large, larger, new)]
        self.assertEqual(overrun, [0, 300, 0, 0])
        self.assertEqual(self.halves.held_bytes, 701)

    def test_alone(self) -> None:
        """One alone that is larger than everything goes too."""
        one = Receiver()
        self.halves.grow(one, 1_001)
        self.assertEqual((one.overrun_bytes, self.halves.held_bytes), (1_001, 0))
        self.flushLoggedErrors()


class SocketTests(SynchronousTestCase):
    """Both WebSockets, with a bound of 3 MiB for all together."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()
        self.halves = Held(3 * MIB)
        self.server.ingest.halves = self.server.watch.halves = self.halves

    def sentinel(self, name: str) -> Peer:
        """A Sentinel that is registered."""
        peer = self.server.sentinel(JSON)
        peer.say(register(name))
        self.server.flush()
        self.assertIn("SentinelRegistered", peer.kinds())
        return peer

    def begin(self, peer: Peer, size: int) -> None:
        """`peer` sends so much of a message."""
        peer.beginMessage(isBinary=True)
        peer.beginMessageFrame(16 * MIB)
        self.go_on(peer, size)

    def go_on(self, peer: Peer, size: int) -> None:
        """`peer` sends so much more of it."""
        for _ in range(size // 65_536):
            peer.sendMessageFrameData(bytes(65_536))
            self.server.flush()

    def test_before_registration(self) -> None:
        """Who is not registered may send 64 KiB in a message, and is closed as it begins more."""
        for connect in (self.server.sentinel, self.server.proctor):
            peer = connect(JSON)
            peer.sendMessage(b"[" * MAX_CONTROL_BYTES)
            self.server.flush()
            self.assertEqual(peer.last(ErrorMessage).code, "bad-message")
            peer = connect(JSON)
            peer.beginMessage()
            peer.beginMessageFrame(MAX_CONTROL_BYTES + 1)
            self.server.flush()
            self.assertEqual(peer.remoteCloseCode, 1009)
        self.assertEqual(self.halves.held_bytes, 0)

    def test_after_registration(self) -> None:
        """Who is registered may send what it was told, and is counted until it has."""
        peer = self.sentinel("desk-1")
        limits = peer.last(SentinelRegistered).limits
        self.assertGreater(dict(limits)["maxSegmentBytes"], MAX_CONTROL_BYTES)
        self.begin(peer, 2 * MIB)
        self.assertGreaterEqual(self.halves.held_bytes, 2 * MIB)
        self.assertLess(self.halves.held_bytes, 2 * MIB + 1024)

    def test_whole(self) -> None:
        """A message that is whole counts no more, also where its end comes with another's begin."""
        link = self.raw()
        self.assertEqual(self.server.links(), {link})
        link.dataReceived(
            b" " * (ANNOUNCED - ARRIVED) + frame(OCTETS, b"x" * 100, announced=65_536)
        )
        self.assertLess(self.halves.held_bytes, 5_000)
        self.assertGreater(self.halves.held_bytes, 100)
        self.assertFalse(link.failedByMe)

    def test_bound(self) -> None:
        """When all of them are too many the first large one is closed, with the reason and a code
        with which it tries again later; it holds nothing from then on, and the others go on."""
        first, second, small = (self.sentinel(f"desk-{n}") for n in range(3))
        self.begin(first, MIB + 131_072)
        self.begin(second, MIB + 131_072)
        self.begin(small, 65_536)
        self.go_on(small, 524_288)
        self.assertIsNone(first.remoteCloseCode)
        self.go_on(second, 524_288)
        self.assertEqual(first.last(ErrorMessage).code, "no-resources")
        self.assertEqual(first.remoteCloseCode, 4503)
        self.assertIsNone(second.remoteCloseCode)
        self.assertIsNone(small.remoteCloseCode)
        self.assertLess(self.halves.held_bytes, 3 * MIB)

    def test_closed(self) -> None:
        """Of who is being closed nothing is kept that still comes."""
        link = self.raw()
        link.conversation.going_away()
        held = self.halves.held_bytes
        for _ in range(10):
            link.dataReceived(bytes(65_536))
        self.assertEqual((held, self.halves.held_bytes), (0, 0))
        self.assertFalse(link.message_data or link.frame_data)
        self.assertLessEqual(len(link.data), 65_536)

    def test_let_go(self) -> None:
        """What a connection held is let go with it, whoever still knows of it."""
        link = self.raw()
        self.assertGreater(len(link.frame_data[0]), 60_000)
        link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.halves.held_bytes, 0)
        self.assertFalse(link.message_data or link.frame_data or link.data)

    def test_garbage(self) -> None:
        """What comes behind what was no frame does not pile up until the connection is cut off."""
        link = self.raw()
        for _ in range(30):
            link.dataReceived(bytes(65_536))
        self.assertLessEqual(len(link.data), 65_536)

    def raw(self) -> Any:
        """The server's end of a Proctor's connection on which a message has begun."""
        link = self.server.watch.buildProtocol(None)
        link.makeConnection(Wire(link, isServer=True))
        link.dataReceived(handshake(JSON))
        register = b'{"type": "proctor.register", "software": "test/1"}'
        link.dataReceived(frame(TEXT, register.ljust(ARRIVED), announced=ANNOUNCED))
        self.assertGreater(self.halves.held_bytes, ARRIVED)
        return link
