"""Requests whose credential is not known yet, while the database is looked at for it."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred

from tests.server.port.closed import ClosedCase, Speaker
from tests.server.port.test_hostile import TEXT, frame
from tests.server.port.test_upgrade import asked
from tests.server.sockets.opened import Connection
from vidlink.model import Principal


class LookedUpTests(ClosedCase):
    """A credential that was made a moment ago, for which the database is looked at."""

    def setUp(self) -> None:
        """That look takes a while."""
        super().setUp()
        self.looks: list[Deferred[Any]] = []
        self.patch(self.site.gate, "identify", self._look)

    def _look(self, *_: Any, **__: Any) -> Deferred[Any]:
        self.looks.append(Deferred())
        return self.looks[-1]

    def let_in(self) -> Principal:
        """It is found; whose it is."""
        found = self.keys.register.find(self.shown["proctor of all"]["Cookie"].rpartition("=")[2])
        assert found is not None
        while self.looks:
            self.looks.pop(0).callback(found)
        for connection in self._connections:
            connection.turn()
        return found

    def test_early(self) -> None:
        """What a client says behind its handshake meanwhile is heard, and it is upgraded once."""
        handshake = asked("Sec-WebSocket-Protocol: vidlink.v1.json")
        register, *clocks = (
            frame(TEXT, text)
            for text in (
                b'{"type":"proctor.register","software":"test/1"}',
                b'{"type":"clock","t0":7}',
                b'{"type":"clock","t0":8}',
            )
        )
        connection = Connection(self.site, self.clock)
        self._connections.append(connection)
        for read in (handshake + register, *clocks):
            connection.protocol.dataReceived(read)
        speaker = Speaker(connection)
        self.let_in()
        self.assertEqual(speaker.status, 101)
        self.assertEqual([one["type"] for one in speaker.heard()][:1], ["registered"])
        self.assertEqual([one["t0"] for one in speaker.heard_of("clock")], [7, 8])
        self.assertEqual(bytes(connection.received).count(b"HTTP/1.1 "), 1)

    def test_gone(self) -> None:
        """Who has left meanwhile is answered nothing, and takes nobody's place."""
        self.dial("/ws/proctor", {})
        self.connect("GET", "/api/v1/me", {})
        gone, self._connections = self._connections, []
        for connection in gone:
            connection.vanish()
        whose = self.let_in().credential_id
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.site.answering, set())
        sockets = [self.watch.shares.take(whose) for _ in range(self.watch.shares.most_each)]
        self.assertTrue(all(sockets))
