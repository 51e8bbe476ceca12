"""Answers that take long, when the credential of whoever asked ceases to be valid meanwhile."""

from __future__ import annotations

from typing import Any

from tests.server.api.histories import DESK_PATH, NOW_US
from tests.server.api.test_bodies import ScriptedArchive, ScriptedBody
from tests.server.port.test_site import SiteCase, get
from vidlink.model import EVERYBODY, Deed
from vidlink.relay.hub import Hub
from vidlink.server.api.bodies import PIECE_BYTES
from vidlink.server.api.history import Api
from vidlink.server.port.site import principal_of


class RevokedTests(SiteCase):
    """A film that is being sent."""

    def setUp(self) -> None:
        """Serve a large film, to whoever is let in."""
        super().setUp()
        archive = ScriptedArchive(ScriptedBody(8 * PIECE_BYTES))
        self.history = Api(
            archive,
            Hub(self.clock.seconds),
            archive,
            document={},
            wall_clock_us=lambda: NOW_US,
            principal_of=principal_of,
        )
        self.serve(self.scripted)
        self.is_valid = True
        self.site.gate.is_open = lambda: self.is_valid

    def test_valid(self) -> None:
        """As long as the credential is valid, a film is sent to its end, however long it takes."""
        connection = self.connect(get(DESK_PATH + "/segments/0-9"), room_bytes=PIECE_BYTES)
        for _ in range(20):
            self.site.tick()
            connection.take(PIECE_BYTES)
        self.assertEqual(len(connection.answers()[0].body), 8 * PIECE_BYTES)
        self.assertEqual(self.site.answering, set())

    def test_revoked(self) -> None:
        """When it is not any more, the answer is broken off, so that nobody takes it for whole;
        and nothing of it is left behind."""
        connection = self.connect(get(DESK_PATH + "/segments/0-9"), room_bytes=PIECE_BYTES)
        other = self.connect(get("/"))
        self.is_valid = False
        deeds: list[tuple[Any, ...]] = []
        self.site.gate.did = lambda *about, **more: deeds.append((*about, more["path"]))
        self.site.tick()
        connection.pass_time(0)
        self.site.tick()
        path = DESK_PATH + "/segments/0-9"
        self.assertEqual(deeds, [(Deed.LOGGED_OUT, EVERYBODY, "127.0.0.1", path)])
        self.assertIsNotNone(connection.lost)
        self.assertIsNone(other.lost)
        self.assertEqual(self.site.answering, set())

    def test_gone(self) -> None:
        """A client that has gone is not remembered."""
        connection = self.connect(get(DESK_PATH + "/segments/0-9"), room_bytes=PIECE_BYTES)
        self.assertEqual(len(self.site.answering), 1)
        connection.vanish()
        self.assertEqual(self.site.answering, set())
