"""Tests of what everybody has to hear of: once each, and how often."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.relay.publishers import FakeFollower, FakePublisher
from vidlink.errors import IdInUse
from vidlink.model import USUAL
from vidlink.relay.alarms import QUIET_SECONDS, Alarms
from vidlink.relay.hub import Hub

ERROR = IdInUse("two of them")


class AlarmsTests(SynchronousTestCase):
    """The alarms of a server, and readers of them."""

    def setUp(self) -> None:
        """None yet."""
        self.clock = Clock()
        self.alarms = Alarms(self.clock.seconds)

    def read(self, seen: int) -> list[str]:
        """What a reader that has seen so many is given."""
        given: list[str] = []
        while True:
            alarm, seen = self.alarms.after(seen)
            if alarm is None:
                self.assertEqual(seen, self.alarms.count)
                return given
            given.append(alarm.sentinel_id)

    def test_each_once(self) -> None:
        """Every reader is given what is new to it, in order, and once."""
        for name in "abc":
            self.alarms.sound(name, ERROR)
        self.assertEqual(self.read(0), ["a", "b", "c"])
        self.assertEqual(self.read(2), ["c"])
        self.assertEqual(self.read(3), [])

    def test_not_too_often(self) -> None:
        """About one Sentinel there is one alarm in so much time; how many were withheld is told
        with the next one."""
        self.assertEqual(self.alarms.sound("a", ERROR), 0)
        self.clock.advance(QUIET_SECONDS - 0.1)
        self.assertEqual([self.alarms.sound("a", ERROR) for _ in range(3)], [None] * 3)
        self.assertEqual(self.alarms.sound("b", ERROR), 0)
        self.clock.advance(0.1)
        self.assertEqual(self.alarms.sound("a", ERROR), 3)
        self.assertEqual(self.read(0), ["a", "b", "a"])

    def test_bound(self) -> None:
        """A reader that sleeps misses the oldest, and costs nothing."""
        for number in range(USUAL.alarms + 5):
            self.alarms.sound(f"desk-{number}", ERROR)
        given = self.read(0)
        self.assertEqual(len(given), USUAL.alarms)
        self.assertEqual(given[0], "desk-5")


class CloneTests(SynchronousTestCase):
    """Two machines with one id."""

    def test_alarm(self) -> None:
        """The refusal of the second is an alarm and a warning, told at once and not at every
        attempt; and who reads the list is stirred."""
        clock = Clock()
        hub = Hub(clock.seconds)
        reader = FakeFollower()
        hub.read_list(reader)
        first = FakePublisher("one")
        hub.claim(first.registration, first)
        with capturedLogs() as events:
            for _ in range(5):
                clone = FakePublisher("two")
                claim = hub.claim(clone.registration, clone)
                first.probes[-1].callback(True)
                self.failureResultOf(claim, IdInUse)
        self.assertEqual((hub.alarms.count, reader.stirs), (1, 1))
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(warnings), 1)
        self.assertEqual(warnings[0]["sentinel"], "desk-1")
