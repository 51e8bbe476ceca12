"""Tests of :mod:`vidlink.server.port.shares`, and of what is kept of answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.server.port.test_site import SiteCase, get
from tests.server.sockets.opened import Connection
from vidlink.model import USUAL
from vidlink.server.api.history import Api
from vidlink.server.port.held import Held
from vidlink.server.port.shares import Shares

KIB = 1024


class SharesTests(SynchronousTestCase):
    """How many each may have."""

    def test_each(self) -> None:
        """Each has its own share, and what is over makes room for as many."""
        shares = Shares(2)
        self.assertEqual([shares.take("a") for _ in range(3)], [True, True, False])
        self.assertTrue(shares.take("b"))
        shares.give_back("a")
        self.assertEqual([shares.take("a") for _ in range(2)], [True, False])


class RequestTests(SiteCase):
    """Requests that are being answered."""

    def setUp(self) -> None:
        """Answers under /api wait until the test gives them."""
        super().setUp()
        self.patch(Api, "resource", lambda _: self.scripted)
        self.serve(self.scripted)

    def test_too_many_at_once(self) -> None:
        """Of one who asks so many are answered at a time; the next is told to wait, and is
        answered once one is over or given up; other paths go on meanwhile."""
        waiting = [self.connect(get("/api/v1/x")) for _ in range(USUAL.requests_per_credential)]
        self.assertEqual(len(self.scripted.requests), USUAL.requests_per_credential)
        refused = self.ask(get("/api/v1/x"))
        self.assertEqual((refused.status, refused.error_code), (429, "too-many-requests"))
        self.assertEqual(refused.headers["retry-after"], "5")
        self.assertEqual(self.ask(get("/healthz")).status, 200)
        self.scripted.requests[0].finish()
        waiting[1].vanish()
        for _ in range(2):
            waiting.append(self.connect(get("/api/v1/x")))
        self.assertEqual(len(self.scripted.requests), USUAL.requests_per_credential + 2)
        self.assertEqual(self.ask(get("/api/v1/x")).status, 429)
        for connection in waiting:
            connection.vanish()


class AnswerTests(SiteCase):
    """Answers that are not taken."""

    def setUp(self) -> None:
        """Together they may have a megabyte."""
        super().setUp()
        self.serve(self.scripted)
        self.site.answers = Held(KIB * KIB, "of an answer")

    def answer(self, connection_bytes: int, size_bytes: int) -> None:
        """Begin to answer the newest request."""
        connection = self.connect(get("/"), room_bytes=connection_bytes)
        self.scripted.requests[-1].write(bytes(size_bytes))
        connection.turn()
        self.connections.append(connection)

    def test_slow_readers(self) -> None:
        """What is kept for those that read slowly is bounded in sum: whoever has more than a share,
        and has had it longest, is broken off; who asks for little is not, nor who takes it."""
        self.connections: list[Connection] = []
        self.answer(0, 70 * KIB)
        for _ in range(3):
            self.answer(0, 250 * KIB)
        self.answer(400 * KIB, 150 * KIB)
        self.assertEqual([one.is_open for one in self.connections], [True] * 5)
        self.answer(0, 250 * KIB)
        self.clock.advance(0)
        open_now = [one.is_open for one in self.connections]
        self.assertEqual(open_now, [True, False, True, True, True, True])
        self.assertEqual(self.site.answers.held_bytes // KIB, 70 + 3 * 250)
        self.connections[2].take(None)
        self.assertEqual(self.site.answers.held_bytes // KIB, 70 + 2 * 250)
        for connection in self.connections:
            connection.vanish()
        self.assertEqual(self.site.answers.held_bytes, 0)
