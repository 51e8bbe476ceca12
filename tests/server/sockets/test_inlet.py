"""Sockets that read for themselves, in pairs and without a network."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any
from unittest import skipUnless

from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.sockets.inlet import Inlet


class Reading(Protocol):
    """A connection that reads for itself, and remembers what it has read."""

    def __init__(self) -> None:
        self.heard = b""
        self.by_reactor = b""
        self.lost: Failure | None = None
        self.first: Callable[[], object] = lambda: None

    def read(self) -> bool:
        """Do what comes first, then read once."""
        self.first()
        transport: Any = self.transport
        data = transport.socket.recv(100)
        self.heard += data
        return bool(data)

    def dataReceived(self, data: bytes) -> None:
        """The reactor has read it."""
        self.by_reactor += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember why."""
        self.lost = reason


@skipUnless(hasattr(select, "epoll"), "this machine has no epoll")
class InletTests(SynchronousTestCase):
    """An inlet, and a reactor that does what a test has it do."""

    def setUp(self) -> None:
        """Nobody is there yet."""
        self.reactor = MemoryReactorClock()
        self.inlet = Inlet(self.reactor)

    def pair(self, is_paused: bool = False) -> tuple[Reading, Any, socket.socket]:
        """A connection that the inlet has taken, its transport, and its peer."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        near.setblocking(False)
        protocol = Reading()
        port: Any = None
        transport: Any = Server(near, protocol, ("peer", 1), port, 1, self.reactor)
        protocol.makeConnection(transport)
        self.inlet.take(transport, protocol.read, is_paused)
        return protocol, transport, far

    def turn(self) -> None:
        """Let the reactor see to whatever can be read."""
        ready, _, _ = select.select(list(self.reactor.getReaders()), (), (), 0)
        for one in ready:
            reason = one.doRead()
            if reason is not None:
                self.reactor.removeReader(one)
                one.connectionLost(Failure(reason))
        self.reactor.advance(0)

    def test_reads_for_itself(self) -> None:
        """Each reads what has come for it, and to the reactor all of them are one descriptor."""
        pairs = [self.pair() for _ in range(3)]
        for number, (_, _, far) in enumerate(pairs):
            far.send(b"%d" % number)
        self.assertEqual(list(self.reactor.getReaders()), [self.inlet])
        self.turn()
        self.assertEqual([one.heard for one, _, _ in pairs], [b"0", b"1", b"2"])
        self.assertEqual([one.by_reactor for one, _, _ in pairs], [b""] * 3)

    def test_paused(self) -> None:
        """One that is paused is not read until it is resumed, whoever paused it and when."""
        early, resumed, far = self.pair(is_paused=True)
        far.send(b"x")
        self.turn()
        self.assertEqual(early.heard, b"")
        for _ in range(2):
            resumed.resumeProducing()
            self.turn()
            self.assertEqual(early.heard, b"x")
            resumed.pauseProducing()
            far.send(b"x")
            self.turn()
            self.assertEqual(early.heard, b"x")
            early.heard = b""

    def test_end(self) -> None:
        """What came before the end is read, and of the end the reactor tells, once."""
        protocol, transport, far = self.pair()
        far.send(b"last")
        far.close()
        for _ in range(4):
            self.turn()
        self.assertEqual(protocol.heard + protocol.by_reactor, b"last")
        self.assertIsNotNone(protocol.lost)
        self.assertEqual(list(self.reactor.getReaders()), [self.inlet])
        self.assertFalse(transport.connected)

    def test_fault(self) -> None:
        """A fault of ours costs that one connection, is logged, and the others are read on."""
        bad, _, bad_far = self.pair()
        good, _, good_far = self.pair()
        bad.first = lambda: 1 / 0
        for far in (bad_far, good_far):
            far.send(b"x")
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(bad.lost)
        self.assertEqual(good.heard, b"x")

    def test_closed_by_another(self) -> None:
        """One that another has closed in the same turn is not read any more."""
        first, _, first_far = self.pair()
        second, transport, second_far = self.pair()
        first.first = lambda: transport.connectionLost(Failure(ConnectionLost()))
        # The kernel tells of them in the order in which something came.
        for far in (first_far, second_far):
            far.send(b"x")
        self.turn()
        self.assertEqual((first.heard, second.heard), (b"x", b""))
        self.assertIsNotNone(second.lost)

    def test_number_of_another(self) -> None:
        """One that is lost leaves a newcomer alone to whom its descriptor has come, whatever is
        still asked of it."""
        _, lost, _ = self.pair()
        number = lost.fileno()
        lost.connectionLost(Failure(ConnectionLost()))
        newcomer, transport, far = self.pair()
        self.assertEqual(transport.fileno(), number)
        lost.pauseProducing()
        far.send(b"x")
        self.turn()
        self.assertEqual(newcomer.heard, b"x")

    def test_gone(self) -> None:
        """One that is gone before it is taken is let be; one that goes is not held by itself."""
        protocol, transport, _ = self.pair()
        transport.connectionLost(Failure(ConnectionLost()))
        self.inlet.take(transport, protocol.read)
        self.assertNotIn("stopReading", vars(transport))
        self.assertNotIn("startReading", vars(transport))

    def test_few_a_turn(self) -> None:
        """No more are read in a turn than may, and the others are first in the next one."""
        self.inlet = Inlet(self.reactor, 2)
        pairs = [self.pair() for _ in range(5)]
        for _, _, far in pairs:
            far.send(b"x" * 101)
        for read in (2, 4, 5):
            self.turn()
            self.assertEqual(sum(bool(one.heard) for one, _, _ in pairs), read)

    def test_reactor_stops(self) -> None:
        """Where the reactor stops, every connection is over, whatever one of them makes of it."""
        pairs = [self.pair() for _ in range(3)]
        self.patch(pairs[0][0], "connectionLost", lambda reason: 1 / 0)
        self.inlet.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([one.lost is not None for one, _, _ in pairs], [False, True, True])
        self.flushLoggedErrors(ZeroDivisionError)
