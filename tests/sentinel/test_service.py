"""The Sentinel's service: what stopping it waits for, and what it says of the way there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionDone
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    capturedLogs,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.fakes.locked import LockedGate
from tests.fmp4.media import annexb_to_avc, encoded
from tests.joined import BINARY, Joined, Peer
from tests.sentinel.test_uplink import URL, ScriptedCapture
from vidlink.dialling.address import Address, read_address
from vidlink.dialling.backoff import UNREACHED_SECONDS, BackOff
from vidlink.dialling.token import token_source
from vidlink.links.uplink.conversation import Uplink
from vidlink.messages import SentinelRegister
from vidlink.model import EncodedFrame, Registration
from vidlink.sentinel.service import (
    ACKNOWLEDGED_SECONDS,
    CAPTURE_SECONDS,
    CONNECT_SECONDS,
    ReportingEndpoint,
    SentinelService,
)
from vidlink.sentinel.spool.memory import MemorySpool
from vidlink.sentinel.uplink import UplinkFactory
from vidlink.sentinel.uplink_log import UplinkLog


class StudioCapture(ScriptedCapture):
    """A capture that ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: Deferred[None] = Deferred()

    def start(self) -> None:
        """Remember."""
        self.asked.append("start")

    def stop(self) -> Deferred[None]:
        """Fires when the test wants it."""
        return self.stopped


class Failing:
    """An endpoint that cannot connect, unless it `answers`."""

    answers = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connect(self, factory: object) -> Deferred[object]:
        """Fail, or not."""
        return succeed(None) if self.answers else fail(self._error)


class StoppingTests(SynchronousTestCase):
    """A service that has not reached its server yet."""

    def setUp(self) -> None:
        """Start it."""
        self.reactor = MemoryReactorClock()
        self.capture = StudioCapture()
        back_off = BackOff(lambda: 0.5)
        uplink = Uplink(
            Registration("desk-1", "one", "", "", "test/1"),
            self.capture,
            UplinkLog(URL, back_off),
            spool=MemorySpool(monotonic=self.reactor.seconds),
            clock=self.reactor,
            wall_clock_us=lambda: 0,
        )
        codec = Joined().codecs[BINARY]
        factory = UplinkFactory(URL, uplink, codec, back_off, self.reactor)
        address = read_address("tcp:127.0.0.1:8080", self.reactor)
        self.service = SentinelService(self.capture, address, factory, back_off, self.reactor)
        self.service.startService()

    def test_waits_for_the_capture(self) -> None:
        """It has stopped when the capture thread has ended, and leaves no timer behind."""
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.capture.stopped.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_does_not_wait_for_ever(self) -> None:
        """A capture thread that a device blocks is not waited for longer than a few seconds."""
        stopped = self.service.stopService()
        self.reactor.advance(CAPTURE_SECONDS - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.2)
        self.successResultOf(stopped)
        # Its cancellation is dealt with, and not reported when it is collected.
        self.assertIsNone(self.capture.stopped.result)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to a server in memory, and remembers when."""

    def __init__(self, server: Joined) -> None:
        self._server = server
        self.attempts_seconds: list[float] = []

    def connect(self, factory: object) -> Deferred[Any]:
        """At once."""
        self.attempts_seconds.append(self._server.clock.seconds())
        return succeed(self._server.connect(self._server.ingest, factory))


class ConnectedCase(SynchronousTestCase):
    """A service and its server, in memory."""

    def setUp(self) -> None:
        """A server, and a way to it."""
        self.server = Joined()
        self.endpoint = MemoryEndpoint(self.server)
        self.capture = StudioCapture()
        back_off = self.back_off = BackOff(lambda: 0.0)
        self.uplink = Uplink(
            Registration("desk-1", "one", "", "", "test/1"),
            self.capture,
            UplinkLog(URL, back_off),
            spool=MemorySpool(monotonic=self.server.clock.seconds),
            clock=self.server.clock,
            wall_clock_us=self.server.wall_clock_us,
        )
        codec = self.server.codecs[BINARY]
        factory = UplinkFactory(URL, self.uplink, codec, back_off, self.server.clock)
        address = Address(self.endpoint, URL, "http://127.0.0.1:8080")
        self.service = SentinelService(self.capture, address, factory, back_off, self.server.clock)

    def capture_frame(self) -> None:
        """Have the first frame of an epoch captured."""
        self.uplink.initialized(encoded().init)
        shot = EncodedFrame(
            epoch=self.capture.epoch,
            media_time=0,
            start_time_us=self.server.wall_clock_us(),
            duration=18_000,
            duration_ms=200,
            is_keyframe=True,
            framerate_mhz=5_000,
            data=annexb_to_avc(encoded().packets[0][0]),
        )
        self.uplink.encoded(shot)
        self.server.flush()


class ConnectedTests(ConnectedCase):
    """The way there and back."""

    def rival(self) -> Peer:
        """Another machine that has this one's id."""
        rival = self.server.sentinel()
        rival.say(SentinelRegister("desk-1", "two", "test/1", "first-session-000"))
        self.server.flush()
        return rival

    def test_leaves_in_order(self) -> None:
        """Stopped, it says why and closes with 1001, and both sides are done with it at once."""
        self.service.startService()
        self.server.flush()
        (server,) = self.server.ingest.links
        ingest = server.conversation
        stopped = self.service.stopService()
        self.server.flush()
        self.assertIsNone(ingest.farewell)
        self.capture.stopped.callback(None)
        self.server.flush()
        self.successResultOf(stopped)
        farewell = ingest.farewell
        assert farewell is not None
        self.assertEqual(farewell.code, "going-away")
        self.assertEqual(server.remoteCloseCode, 1001)
        self.assertTrue(server.wasClean)
        self.assertEqual(self.server.ingest.links, set())
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def stop_after_a_frame(self) -> tuple[Any, Deferred[Any]]:
        """Stopped when a frame has just been sent; the server's part of the conversation, and what
        stopping fires."""
        self.service.startService()
        self.server.flush()
        (server,) = self.server.ingest.links
        ingest = server.conversation
        self.capture_frame()
        stopped = self.service.stopService()
        self.capture.stopped.callback(None)
        self.server.flush()
        return ingest, stopped

    def test_waits_for_the_last_acknowledgement(self) -> None:
        """Stopped, it stays until the server has what was captured last, and not longer."""
        ingest, stopped = self.stop_after_a_frame()
        self.assertNoResult(stopped)
        self.assertIsNone(ingest.farewell)
        self.server.pass_time(1.0)
        self.assertEqual(ingest.farewell.code, "going-away")
        self.assertEqual(self.uplink.spool.load, 0)
        self.successResultOf(stopped)

    def test_leaves_without_acknowledgement(self) -> None:
        """A server that records nothing is not waited for longer than two seconds."""
        ingest, stopped = self.stop_after_a_frame()
        self.server.clock.advance(ACKNOWLEDGED_SECONDS - 0.1)
        self.server.flush()
        self.assertIsNone(ingest.farewell)
        self.server.clock.advance(0.2)
        self.server.flush()
        self.assertEqual(ingest.farewell.code, "going-away")
        self.successResultOf(stopped)

    def test_id_in_use(self) -> None:
        """Refused because another machine has its id, it tries again no faster than once a
        minute; and once the other one has gone, it is let in."""
        rival = self.rival()
        self.service.startService()
        self.server.flush()
        for _ in range(600):
            self.server.pass_time(0.5, 0.5)
        attempts = self.endpoint.attempts_seconds
        self.assertEqual(len(attempts), 6)
        for first, second in pairwise(attempts):
            self.assertGreaterEqual(second - first, 60.0)
        rival.sendClose()
        self.server.pass_time(61.0)
        self.assertEqual(self.capture.asked[-1], "session")

    def test_lost_connection(self) -> None:
        """A connection that breaks is taken up again within half a second."""
        self.service.startService()
        self.server.flush()
        (server,) = self.server.ingest.links
        server.transport.abortConnection()
        self.server.flush()
        self.server.pass_time(0.5, 0.1)
        self.assertEqual(len(self.endpoint.attempts_seconds), 2)
        self.assertEqual(self.capture.asked, ["start", "session", "session"])


class TokenTests(ConnectedCase):
    """The same where the server asks for a token, which the Sentinel has in a file."""

    def setUp(self) -> None:
        """A gate with a lock, and a key to it."""
        super().setUp()
        self.gate = LockedGate("first")
        gates: Any = self.server.ingest
        gates.gate = self.gate
        self.path = Path(self.mktemp())
        self.path.write_text("first\n")
        self.path.chmod(0o600)
        address = Address(self.endpoint, URL, "http://127.0.0.1:8080", is_private=True)
        look = token_source(str(self.path), {}, self.fail)
        self.service = SentinelService(
            self.capture,
            address,
            UplinkFactory(
                URL,
                self.uplink,
                self.server.codecs[BINARY],
                self.back_off,
                self.server.clock,
                lambda: address.headers(look()),
            ),
            self.back_off,
            self.server.clock,
        )

    def pass_minutes(self, minutes: int) -> None:
        """Let time pass."""
        for _ in range(120 * minutes):
            self.server.pass_time(0.5, 0.5)

    def waits(self) -> list[float]:
        """The seconds between attempts."""
        return [second - first for first, second in pairwise(self.endpoint.attempts_seconds)]

    def test_replaced_before_it_is_revoked(self) -> None:
        """A token that was replaced in time costs a connection, and no waiting."""
        self.service.startService()
        self.server.flush()
        self.path.write_text("second")
        self.gate.token = "second"
        self.server.pass_time(2.0, 0.25)
        self.assertEqual(self.gate.shown, ["first", "second"])
        self.assertEqual(len(self.server.ingest.links), 1)

    def test_revoked(self) -> None:
        """Revoked, it is closed out and stays out: it asks again no faster than once a minute,
        and the log has what the server says and what is to be done. A new token in the file is
        shown at the next attempt."""
        with capturedLogs() as events:
            self.service.startService()
            self.server.flush()
            self.gate.token = "second"
            self.pass_minutes(5)
        self.assertEqual(self.server.ingest.links, set())
        self.assertEqual(len(self.gate.shown), 5)
        self.assertEqual(set(self.gate.shown), {"first"})
        for wait in self.waits()[1:]:
            self.assertGreaterEqual(wait, 60.0)
        said = "\n".join(formatEvent(event) for event in events)
        self.assertIn("the credential is not valid any more (not-authenticated)", said)
        self.assertRegex(said, "closed with 4401 .*; put a valid token into .* --token-file")
        self.assertRegex(said, "refuses: the credential that was shown is not valid .*401")
        self.assertNotIn("first", said.replace("first-session", ""))
        self.path.write_text("second")
        self.pass_minutes(2)
        self.assertEqual(self.gate.shown[-1], "second")
        self.assertEqual(len(self.server.ingest.links), 1)

    def test_never_valid(self) -> None:
        """With a token that was never valid it asks no faster than once a minute from the first
        refusal on."""
        self.path.write_text("forged")
        self.service.startService()
        self.server.flush()
        self.pass_minutes(5)
        self.assertEqual(self.gate.shown, ["forged"] * 6)
        self.assertGreaterEqual(min(self.waits()), 60.0)

    def test_unreadable(self) -> None:
        """While the file has no token, nobody is asked, one line says so, and a token that is
        there is shown within seconds."""
        self.path.write_text("")
        with capturedLogs() as events:
            self.service.startService()
            self.server.pass_time(30.0)
        self.assertEqual(self.endpoint.attempts_seconds, [])
        (line,) = [one for one in map(formatEvent, events) if "token" in one]
        self.assertIn(f"the token file {self.path.absolute()} is empty", line)
        self.path.write_text("first")
        self.server.pass_time(UNREACHED_SECONDS, 0.25)
        self.assertEqual(len(self.server.ingest.links), 1)


class ReportTests(SynchronousTestCase):
    """What the log says of attempts to connect."""

    def setUp(self) -> None:
        """Many attempts have failed before."""
        self.clock = MemoryReactorClock()
        self.back_off = BackOff(lambda: 1.0)
        for _ in range(9):
            self.back_off.next_seconds()

    def reporting(self, endpoint: Any) -> ReportingEndpoint:
        """`endpoint`, reported on."""
        return ReportingEndpoint(endpoint, URL, self.back_off, self.clock)

    def warnings(self) -> list[LogEvent]:
        """Will have the warnings from now on."""
        events: list[LogEvent] = []

        def observe(event: LogEvent) -> None:
            if event["log_level"] is LogLevel.warn:
                events.append(event)

        observer = cast(ILogObserver, observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return events

    def attempts(self, *failures: Exception) -> list[LogEvent]:
        """The warnings of attempts that end like this."""
        events = self.warnings()
        for failure in failures:
            endpoint = self.reporting(Failing(failure))
            self.assertEqual(f"{endpoint!r}", URL)
            self.failureResultOf(endpoint.connect(Factory()), type(failure))
        return events

    def test_unreachable(self) -> None:
        """An attempt that fails is told, with the address and the reason."""
        (event,) = self.attempts(ConnectionRefusedError("nobody is there"))
        self.assertEqual(formatEvent(event), f"cannot reach {URL}: nobody is there")
        self.assertEqual(self.back_off.next_seconds(), UNREACHED_SECONDS)

    def test_repeated(self) -> None:
        """The same thing is told at once, and then once a minute with the number of attempts;
        after a connection it is told at once again."""
        events = self.warnings()
        failing = Failing(ConnectionRefusedError("nobody is there"))
        endpoint = self.reporting(failing)
        for _ in range(61):
            self.failureResultOf(endpoint.connect(Factory()), ConnectionRefusedError)
            self.clock.advance(1.0)
        first, second = map(formatEvent, events)
        self.assertEqual(first, f"cannot reach {URL}: nobody is there")
        self.assertEqual(second, first + " (59 times more since this was last said)")
        failing.answers = True
        self.successResultOf(endpoint.connect(Factory()))
        failing.answers = False
        self.failureResultOf(endpoint.connect(Factory()), ConnectionRefusedError)
        self.assertEqual(formatEvent(events[2]), first)

    def test_failure_in_a_failure(self) -> None:
        """What Twisted wraps in a failure of its own is told in words."""
        inner = Failure(ConnectionDone())
        (event,) = self.attempts(ConnectError(string=inner))
        self.assertEqual(formatEvent(event), f"cannot reach {URL}: Connection was closed cleanly.")

    def test_no_answer(self) -> None:
        """An attempt that nobody answers, not even to refuse it, is one that fails after some
        seconds, so that a network that is back is noticed soon."""
        events = self.warnings()
        endpoint = TCP4ClientEndpoint(self.clock, "127.0.0.1", 8080)
        connecting = self.reporting(endpoint).connect(Factory())
        self.clock.advance(CONNECT_SECONDS - 0.1)
        self.assertNoResult(connecting)
        self.clock.advance(0.2)
        self.failureResultOf(connecting, ConnectTimeout)
        self.assertIn("no answer within 8 s", formatEvent(events[0]))
        self.assertEqual(self.back_off.next_seconds(), UNREACHED_SECONDS)

    def test_given_up(self) -> None:
        """An attempt that is given up, because the Sentinel stops, is not."""
        address = IPv4Address("TCP", "127.0.0.1", 8080)
        self.assertEqual(self.attempts(CancelledError(), ConnectingCancelledError(address)), [])
        self.assertGreater(self.back_off.next_seconds(), UNREACHED_SECONDS)
