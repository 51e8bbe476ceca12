"""Tests of `vidlink.sentinel.enrolment`: how a token of one's own is got, and how it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import open_gate
from tests.fakes.locked import LockedGate
from tests.joined import BINARY
from tests.sentinel.test_service import ConnectedCase
from tests.sentinel.test_uplink import URL
from vidlink.dialling.address import Address
from vidlink.errors import EnrolmentClosed, Forbidden, Unreachable, UserMistake
from vidlink.httpjson.objects import Enrolled
from vidlink.messages import SentinelRegister
from vidlink.model import SessionQuery
from vidlink.sentinel.enrolment import Enrolment, NotEnrolled
from vidlink.sentinel.service import SentinelService
from vidlink.sentinel.uplink import UplinkFactory

SERVER = "http://127.0.0.1:8080"


class KeptCase(SynchronousTestCase):
    """A state folder, and a server that answers what it is told to."""

    def setUp(self) -> None:
        """Nothing is kept yet."""
        self.folder = self.mktemp()
        self.answer: Any = Enrolled("desk-1", "vidlink_own", "Room A")
        self.asked = 0

    def enrolment(self, **other: str) -> Enrolment:
        """The token as a process finds it at its start."""
        who = {"server": SERVER, "asked_id": "desk-1", "machine": "a" * 64}

        async def ask() -> Any:
            self.asked += 1
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return Enrolment(self.folder, **{**who, **other}, ask=ask)

    def ready(self, enrolment: Enrolment) -> Any:
        """What becomes of getting ready."""
        return self.successResultOf(Deferred.fromCoroutine(enrolment.make_ready()))

    def kept(self) -> Enrolment:
        """One that has enrolled."""
        enrolment = self.enrolment()
        self.ready(enrolment)
        return enrolment


class KeptTests(KeptCase):
    """What is in the folder."""

    def test_kept(self) -> None:
        """It is asked for once, by whoever has none, and kept for all processes to come, for nobody
        else to read."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        first = self.enrolment()
        self.assertEqual((first.token, first.sentinel_id), (None, "desk-1"))
        self.ready(first)
        self.ready(first)
        again = self.enrolment()
        self.ready(again)
        self.assertEqual((again.token, again.sentinel_id, self.asked), ("vidlink_own", "desk-1", 1))
        (file,) = Path(self.folder).iterdir()
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(Path(self.folder).stat().st_mode & 0o777, 0o700)

    def test_told_apart(self) -> None:
        """Who is told to be another sentinel is that one from then on, also at the next start."""
        self.answer = Enrolled("desk-1_5f3e", "vidlink_own", None)
        first = self.enrolment()
        names: list[str] = []
        first.became = names.append
        self.ready(first)
        self.assertEqual(names, ["desk-1_5f3e"])
        self.assertEqual(self.enrolment().sentinel_id, "desk-1_5f3e")

    def test_copied(self) -> None:
        """A copy on another machine throws the token away and says so; it enrols itself."""
        self.kept()
        with capturedLogs() as events:
            copy = self.enrolment(machine="b" * 64)
        self.assertIsNone(copy.token)
        self.assertIn("given to another machine", formatEvent(events[0]))
        self.answer = Enrolled("desk-1_5f3e", "vidlink_other", None)
        self.ready(copy)
        self.assertEqual(self.enrolment(machine="b" * 64).token, "vidlink_other")

    def test_for_whom(self) -> None:
        """A token is shown to no other server than gave it, and is for no other id."""
        self.kept()
        self.assertIsNone(self.enrolment(server="http://192.0.2.9").token)
        self.assertIsNone(self.enrolment(asked_id="desk-2").token)

    def test_damaged(self) -> None:
        """A file that is damaged costs an enrolment; one that cannot be read is one line."""
        path = Path(self.kept().path)
        good = path.read_text()
        for text in (
            *("", "{", "[]", "null", "{}", good[:-20], "[" * 10_000),
            good.replace('"format": 1', '"format": 2'),
            good.replace('"sentinel_id": "desk-1"', '"sentinel_id": "/"'),
            good.replace('"vidlink_own"', "7"),
        ):
            path.write_text(text)
            self.assertIsNone(self.enrolment().token, text)
        path.unlink()
        path.mkdir()
        with self.assertRaisesRegex(UserMistake, "state .* cannot be read"):
            self.enrolment()

    def test_not_kept(self) -> None:
        """Where it cannot be kept it is used all the same, and the log says what that means."""
        enrolment = self.enrolment()
        Path(f"{enrolment.path}.new").mkdir(parents=True)
        with capturedLogs() as events:
            self.ready(enrolment)
        self.assertEqual(enrolment.token, "vidlink_own")
        self.assertIn("enrol again at its next start", formatEvent(events[0]))


class RefusedTests(KeptCase):
    """Servers that give none."""

    def test_refused(self) -> None:
        """Without any token the server's sentence is why there is no connection."""
        self.answer = EnrolmentClosed("this token has enrolled as many machines as it may (30)")
        enrolment = self.enrolment()
        failed = Deferred.fromCoroutine(enrolment.make_ready())
        error = self.failureResultOf(failed, NotEnrolled).value
        self.assertEqual(str(error), f"cannot enrol at {SERVER}: {self.answer}")

    def test_doubted(self) -> None:
        """A token that the server does not take is replaced by another one, and until there is one
        tried again: who was told so by mistake, in a room that is closed, loses nothing."""
        enrolment = self.kept()
        self.assertTrue(enrolment.doubt())
        self.assertFalse(enrolment.doubt())
        self.answer = EnrolmentClosed("enrolment with this token has ended")
        with capturedLogs() as events:
            self.ready(enrolment)
        self.assertEqual((enrolment.token, self.enrolment().token), ("vidlink_own",) * 2)
        self.assertIn("has ended", formatEvent(events[0]))
        enrolment.trust()
        self.ready(enrolment)
        self.assertEqual(self.asked, 2)
        enrolment.doubt()
        self.answer = Enrolled("desk-1", "vidlink_new", None)
        self.ready(enrolment)
        self.assertEqual((enrolment.token, self.enrolment().token), ("vidlink_new",) * 2)


class SharedTests(KeptCase):
    """A copy that is the same machine in everything."""

    def test_shared(self) -> None:
        """Who finds another one connected by its token asks for one again, and is told apart as
        long as it runs; what is kept stays, as it may be the other one's."""
        self.kept()
        copy = self.enrolment()
        copy.share()
        self.answer = Enrolled("desk-1_5f3e", "vidlink_apart", None)
        self.ready(copy)
        self.ready(copy)
        self.assertEqual((copy.token, copy.sentinel_id), ("vidlink_apart", "desk-1_5f3e"))
        self.assertEqual(self.asked, 2)
        again = self.enrolment()
        self.assertEqual((again.token, again.sentinel_id), ("vidlink_own", "desk-1"))

    def test_alone_again(self) -> None:
        """Where the other one has gone meanwhile it is what it was, by a new token that is kept;
        where nobody is enrolled any more, by the old one."""
        self.kept()
        copy = self.enrolment()
        copy.share()
        self.answer = EnrolmentClosed("no more")
        self.ready(copy)
        self.assertEqual(copy.token, "vidlink_own")
        self.answer = Enrolled("desk-1", "vidlink_new", None)
        self.ready(copy)
        self.assertEqual(self.enrolment().token, "vidlink_new")


class EnrollingCase(ConnectedCase):
    """A Sentinel in memory that has to enrol before it is let in."""

    def setUp(self) -> None:
        """A server with a lock, which gives out the key."""
        super().setUp()
        self.gate = LockedGate("own")
        gates: Any = self.server.ingest
        gates.gate = self.gate
        self.answer: Callable[[], Any] = lambda: succeed(Enrolled("desk-1", "own", None))
        self.asked_seconds: list[float] = []

        async def ask() -> Any:
            self.asked_seconds.append(self.server.clock.seconds())
            return await self.answer()

        self.enrolment = Enrolment(
            self.mktemp(), server=SERVER, asked_id="desk-1", machine="a" * 64, ask=ask
        )
        self.enrolment.became = self.uplink.rename
        address = Address(self.endpoint, URL, SERVER, is_private=True)
        factory = UplinkFactory(
            URL,
            self.uplink,
            self.server.codecs[BINARY],
            self.back_off,
            self.server.clock,
            lambda: address.headers(self.enrolment.token),
            self.enrolment,
        )
        self.service = SentinelService(
            self.capture, address, factory, self.back_off, self.server.clock
        )

    def refuse(self, error: Exception) -> None:
        """Give out no key any more."""

        async def answer() -> Any:
            raise error

        self.answer = answer

    def registered(self) -> set[str]:
        """The Sentinels that are there."""
        statuses = self.server.hub.statuses()
        return {one.sentinel_id for one in statuses if one.state.value != "offline"}


class EnrollingTests(EnrollingCase):
    """The way in."""

    def test_first_contact(self) -> None:
        """It enrols once, and is let in; what it is told to be it is."""
        self.answer = lambda: succeed(Enrolled("desk-1_5f3e", "own", None))
        self.service.startService()
        self.server.flush()
        self.assertEqual(self.registered(), {"desk-1_5f3e"})
        self.assertEqual(len(self.asked_seconds), 1)
        self.assertEqual(self.gate.shown, ["own"])

    def test_goes_on_meanwhile(self) -> None:
        """While the server does not answer, pictures are taken and kept; when it does, they are
        there under the id that it has given."""
        waiting: Deferred[Any] = Deferred()
        self.answer = lambda: waiting
        self.service.startService()
        self.server.pass_time(10.0)
        self.assertEqual(self.endpoint.attempts_seconds, [])
        self.capture_frame()
        waiting.callback(Enrolled("desk-1_5f3e", "own", None))
        self.server.flush()
        self.assertEqual(self.registered(), {"desk-1_5f3e"})
        self.capture_frame()
        self.server.pass_time(10.0, 0.5)
        page = self.successResultOf(self.server.store.sessions(SessionQuery()))
        counts = [(one.session.sentinel_id, one.segment_count) for one in page.sessions]
        self.assertEqual(counts, [("desk-1_5f3e", 1), ("desk-1_5f3e", 1)])
        self.assertEqual(self.uplink.spool.load, 0)

    def test_stopped_meanwhile(self) -> None:
        """A Sentinel that ends while it waits for an answer is not held up."""
        given_up: list[object] = []
        waiting: Deferred[Any] = Deferred(given_up.append)
        self.answer = lambda: waiting
        self.service.startService()
        self.capture.stopped.callback(None)
        stopped = self.service.stopService()
        self.server.pass_time(5.0)
        self.successResultOf(stopped)
        self.assertEqual(len(given_up), 1)

    def test_refused(self) -> None:
        """A room that is full is asked again no faster than once a minute, and the log has the
        server's sentence on one line; a server that is not there is asked within seconds."""
        self.refuse(EnrolmentClosed("this token has enrolled as many machines as it may (30)"))
        with capturedLogs() as events:
            self.service.startService()
            self.server.pass_time(300.0)
        self.assertGreater(len(self.asked_seconds), 2)
        for first, second in pairwise(self.asked_seconds):
            self.assertGreaterEqual(second - first, 60.0)
        said = [line for line in map(formatEvent, events) if "enrol" in line]
        told = f"cannot enrol at {SERVER}: this token has enrolled as many machines as it may (30)"
        self.assertEqual({line.partition(" (as said")[0] for line in said}, {told}, said)
        self.assertEqual(self.endpoint.attempts_seconds, [])

    def test_unreachable(self) -> None:
        """A server that is not there is asked again within seconds."""
        self.refuse(Unreachable("nobody listens there"))
        self.service.startService()
        self.server.pass_time(30.0)
        self.assertGreater(len(self.asked_seconds), 8)

    def test_server_that_forgot(self) -> None:
        """A server that does not know the token any more gives another one, within seconds."""
        self.service.startService()
        self.server.flush()
        self.gate.token = "new"
        self.answer = lambda: succeed(Enrolled("desk-1", "new", None))
        self.server.pass_time(5.0)
        self.assertEqual(self.gate.shown, ["own", "new"])
        self.assertEqual(self.registered(), {"desk-1"})

    def test_shared_token(self) -> None:
        """One that finds another connected by its token is refused, and enrols no sooner than a
        minute later: then both are there, and the other has noticed nothing. As long as it is not
        enrolled it asks no faster than that."""
        gates: Any = self.server.ingest
        gates.gate = open_gate(self.server.clock)
        rival = self.server.sentinel()
        rival.say(SentinelRegister("desk-1", "two", "test/1", "first-session-000"))
        self.server.flush()
        gates.gate = self.gate
        self.patch(self.gate, "is_current", lambda principal: True)
        with capturedLogs() as events:
            self.service.startService()
            self.server.flush()
            self.refuse(EnrolmentClosed("no more"))
            for _ in range(600):
                self.server.pass_time(0.5, 0.5)
            self.assertEqual(self.registered(), {"desk-1"})
            for first, second in pairwise(self.asked_seconds):
                self.assertGreaterEqual(second - first, 60.0)
            self.assertGreater(len(self.asked_seconds), 2)
            self.answer = lambda: succeed(Enrolled("desk-1_5f3e", "own", None))
            for _ in range(200):
                self.server.pass_time(0.5, 0.5)
        self.assertEqual(self.registered(), {"desk-1", "desk-1_5f3e"})
        self.assertIsNone(rival.closed)
        said = "\n".join(map(formatEvent, events))
        self.assertIn("closed with 4410 (id-in-use); it asks to be enrolled as another one", said)

    def test_revoked(self) -> None:
        """One that is put out, and not enrolled again, stays out: neither is asked for faster than
        once a minute."""
        self.service.startService()
        self.server.flush()
        self.gate.token = "nobody's"
        self.refuse(Forbidden("this machine was enrolled as desk-1, and that was revoked"))
        with capturedLogs() as events:
            self.server.pass_time(300.0)
        self.assertEqual(self.registered(), set())
        self.assertLess(len(self.asked_seconds), 8)
        self.assertLess(len(self.gate.shown), 8)
        for first, second in list(pairwise(self.asked_seconds))[2:]:
            self.assertGreaterEqual(second - first, 60.0)
        said = "\n".join(map(formatEvent, events))
        self.assertIn("asks to be enrolled again", said)
        self.assertIn("that was revoked", said)
