"""Tests of what is done once a second for each of many connections."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import Joined
from tests.server.sockets.test_link import handshake
from vidlink.server.sockets.ingest import IngestProtocol
from vidlink.server.sockets.link import SPREAD_SECONDS, TICKED_AT_ONCE

COUNT = 4 * TICKED_AT_ONCE


class TickTests(SynchronousTestCase):
    """A server with a hundred Sentinels, which are looked at."""

    def setUp(self) -> None:
        """They are connected; who is looked at is remembered."""
        self.server = Joined()
        self.ticked: list[Any] = []
        self.patch(IngestProtocol, "tick", lambda link: self.ticked.append(link))
        self.links = [self.connect() for _ in range(COUNT)]

    def connect(self) -> Any:
        """The server's end of a connection that is open."""
        link = self.server.ingest.buildProtocol(None)
        link.makeConnection(FakeTransport(link, isServer=True))
        link.dataReceived(handshake())
        return link

    def second(self, step: float = 0.01) -> list[int]:
        """A second, with its tick; how many were looked at in each step."""
        self.server.ingest.tick()
        counts, before = [], 0
        for _ in range(round(1 / step)):
            counts.append(len(self.ticked) - before)
            before = len(self.ticked)
            self.server.clock.advance(step)
        return counts

    def test_spread(self) -> None:
        """Each is looked at once a second, few at any moment, and all of them before the next
        second begins."""
        for _ in range(3):
            self.ticked.clear()
            counts = self.second()
            self.assertEqual(Counter(self.ticked), Counter(self.links))
            self.assertEqual(max(counts), TICKED_AT_ONCE)
            self.assertEqual(sum(counts[round(SPREAD_SECONDS * 100) :]), 0)

    def test_late(self) -> None:
        """Where the loop is so late that a second was not enough, those that are left have their
        turn before the others have it again."""
        for _ in range(COUNT // TICKED_AT_ONCE - 1):
            self.server.ingest.tick()
            self.server.clock.advance(1.0)
        self.assertEqual(Counter(self.ticked), Counter(self.links))

    def test_gone(self) -> None:
        """Whoever has gone meanwhile is not looked at."""
        self.server.ingest.tick()
        left = [link for link in self.links if link not in self.ticked]
        gone, stays = left[::2], left[1::2]
        for link in gone:
            self.server.ingest.links.discard(link)
        self.ticked.clear()
        self.server.clock.pump([0.01] * 100)
        self.assertEqual(Counter(self.ticked), Counter(stays))

    def test_let_go(self) -> None:
        """Once all have been looked at nothing remembers them: who is lost then is let go."""
        self.server.ingest.tick()
        self.server.clock.pump([0.01] * 100)
        self.ticked.clear()
        last = weakref.ref(self.links[-1])
        while self.links:
            self.links.pop().connectionLost(Failure(ConnectionLost()))
        self.server.clock.pump([0.0] * 100)
        gc.collect()
        self.assertIsNone(last())

    def test_end(self) -> None:
        """When the server goes away nobody is looked at any more."""
        self.server.ingest.tick()
        self.ticked.clear()
        self.server.ingest.going_away()
        self.server.clock.pump([0.01] * 100)
        self.assertEqual(self.ticked, [])
