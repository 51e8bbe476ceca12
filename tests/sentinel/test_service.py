"""The Sentinel's service: what stopping it waits for, and what it says of the way there."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY, Joined
from tests.sentinel.test_uplink import URL, ScriptedCapture
from vidlink.links.uplink import Uplink
from vidlink.model import Registration
from vidlink.sentinel.address import read_address
from vidlink.sentinel.backoff import BackOff
from vidlink.sentinel.service import STOP_SECONDS, ReportingEndpoint, SentinelService
from vidlink.sentinel.uplink import UplinkEvents, UplinkFactory


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
    """An endpoint that cannot connect."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connect(self, factory: object) -> Deferred[object]:
        """Fail."""
        return fail(self._error)


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
            UplinkEvents(URL, back_off),
            seconds=self.reactor.seconds,
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
        self.reactor.advance(STOP_SECONDS - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.2)
        self.successResultOf(stopped)
        # Its cancellation is dealt with, and not reported when it is collected.
        self.assertIsNone(self.capture.stopped.result)


class ReportTests(SynchronousTestCase):
    """What the log says of attempts to connect."""

    def attempts(self, *failures: Exception) -> list[LogEvent]:
        """The warnings of attempts that end like this."""
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for failure in failures:
            endpoint = ReportingEndpoint(Failing(failure), URL)
            self.assertEqual(f"{endpoint!r}", URL)
            self.failureResultOf(endpoint.connect(Factory()), type(failure))
        return [event for event in events if event["log_level"] is LogLevel.warn]

    def test_unreachable(self) -> None:
        """An attempt that fails is told, with the address and the reason."""
        (event,) = self.attempts(ConnectionRefusedError("nobody is there"))
        self.assertEqual(formatEvent(event), f"cannot reach {URL}: nobody is there")

    def test_given_up(self) -> None:
        """An attempt that is given up, because the Sentinel stops, is not."""
        address = IPv4Address("TCP", "127.0.0.1", 8080)
        self.assertEqual(self.attempts(CancelledError(), ConnectingCancelledError(address)), [])
