"""The Sentinel's service: what stopping it waits for, and for how long."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY, Joined
from tests.sentinel.test_uplink import URL, ScriptedCapture
from vidlink.links.uplink import Uplink
from vidlink.model import Registration
from vidlink.sentinel.address import read_address
from vidlink.sentinel.backoff import BackOff
from vidlink.sentinel.service import STOP_SECONDS, SentinelService
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
