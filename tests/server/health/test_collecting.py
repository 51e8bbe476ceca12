"""Tests of `vidlink.server.health.collecting`: when Python collects, and what that took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.health.collecting import BUSY_SECONDS, QUIET_SECONDS, Collecting


class FakeCollector:
    """The module `gc`, as far as it is called: `did` has what was asked of it."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.threshold = (700, 10, 10)
        self.callbacks: list[Callable[..., None]] = []

    def get_threshold(self) -> tuple[int, int, int]:
        """What is set."""
        return self.threshold

    def set_threshold(self, *threshold: Any) -> None:
        """Set it."""
        self.threshold = threshold

    def collect(self) -> None:
        """All is looked through."""
        self.did.append("collect")

    def freeze(self) -> None:
        """What there is stays."""
        self.did.append("freeze")


class CollectingTests(SynchronousTestCase):
    """A collector that was taken over."""

    def setUp(self) -> None:
        """Take over."""
        self.now = 1_000.0
        self.heard = 0
        self.watch = 0.0
        self.collector = FakeCollector()
        self.collecting = Collecting(
            lambda: self.now, lambda: self.heard, self.collector, lambda: self.watch
        )
        self.collecting.begin()

    def ticks(self, seconds: float, segments: int) -> int:
        """Let time pass in which so many segments come a second; how often all was looked
        through."""
        before = self.collector.did.count("collect")
        for _ in range(int(seconds)):
            self.now += 1.0
            self.heard += segments
            self.collecting.tick()
        return self.collector.did.count("collect") - before

    def pause(self, seconds: float) -> None:
        """Python collects, and that takes so long."""
        (measure,) = self.collector.callbacks
        measure("start", {"generation": 0})
        self.watch += seconds
        measure("stop", {"generation": 0})

    def test_begin(self) -> None:
        """What there is at the start is looked through once and never again, and Python does not
        look through all by itself any more, though through what is young."""
        self.assertEqual(self.collector.did, ["collect", "freeze"])
        young, times, full = self.collector.threshold
        self.assertEqual((young, times), (700, 10))
        self.assertGreater(full, 1_000_000_000)

    def test_busy(self) -> None:
        """While segments come, all is looked through once an hour and no more often."""
        self.assertEqual(self.ticks(BUSY_SECONDS - 1, 1), 0)
        self.assertEqual(self.ticks(2, 1), 1)
        self.assertEqual(self.ticks(BUSY_SECONDS - 2, 1), 0)

    def test_quiet(self) -> None:
        """In a second in which nothing came it is done if it has not been done for five minutes."""
        self.assertEqual(self.ticks(QUIET_SECONDS + 10, 1), 0)
        self.assertEqual(self.ticks(1, 0), 1)
        self.assertEqual(self.ticks(QUIET_SECONDS - 1, 0), 0)
        self.assertEqual(self.ticks(1, 0), 1)

    def test_pauses(self) -> None:
        """What it takes is summed up, and the longest of the last minute is known."""
        self.pause(0.25)
        self.pause(0.5)
        self.ticks(30, 1)
        self.pause(0.125)
        self.assertEqual(self.collecting.longest_seconds, 0.5)
        self.ticks(31, 1)
        self.assertEqual(self.collecting.longest_seconds, 0.125)
        self.ticks(30, 1)
        self.assertEqual(self.collecting.longest_seconds, 0.0)
        self.assertEqual(self.collecting.total_seconds, 0.875)

    def test_end(self) -> None:
        """Once given back all is as it was before; twice is once."""
        for _ in range(2):
            self.collecting.end()
        self.assertEqual(self.collector.threshold, (700, 10, 10))
        self.assertEqual(self.collector.callbacks, [])
