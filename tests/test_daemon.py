"""Tests of the clocks of the daemons."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vidlink.daemon import (
    awake_clock,
    elapsed_clock,
    sleep_clock,
    steady_clock,
)


class SteadyClockTests(SynchronousTestCase):
    """A Sentinel's own clock."""

    def test_is_never_set(self) -> None:
        """A steady clock begins as the wall clock, and goes on alone, whoever sets that."""
        wall_us, elapsed = [1_700_000_000_000_000], Clock()
        elapsed.advance(5)
        now_us = steady_clock(lambda: wall_us[0], elapsed.seconds)
        self.assertEqual(now_us(), 1_700_000_000_000_000)
        wall_us[0] -= 3_600_000_000
        elapsed.advance(0.25)
        self.assertEqual(now_us(), 1_700_000_000_250_000)


class SleepTests(SynchronousTestCase):
    """The clocks of a computer that sleeps."""

    def test_elapsed(self) -> None:
        """What is dated goes by the clock of each system that counts sleep, if it has one."""
        names = {"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC_RAW": 4}
        known = SimpleNamespace(
            clock_gettime={7: 70.0, 4: 40.0}.__getitem__, monotonic=lambda: 10.0, **names
        )
        found = [elapsed_clock(system, known)() for system in ("linux", "darwin", "win32")]
        self.assertEqual(found, [70.0, 40.0, 10.0])
        bare = SimpleNamespace(monotonic=lambda: 10.0)
        self.assertEqual(elapsed_clock("netbsd10", bare)(), 10.0)

    def test_here(self) -> None:
        """Both clocks of this system run on, and none is behind the other."""
        awake, elapsed = awake_clock(), elapsed_clock()
        self.assertIs(awake, time.monotonic)
        self.assertGreaterEqual(elapsed(), awake() - 1.0)
        self.assertLessEqual(elapsed(), elapsed())

    def test_windows(self) -> None:
        """On Windows the system is asked for the time that it was awake."""

        def query(ticks: Any) -> None:
            ticks._obj.value = 12_500_000

        kernel = SimpleNamespace(QueryUnbiasedInterruptTime=query)
        system = SimpleNamespace(windll=SimpleNamespace(kernel32=kernel))
        self.assertEqual(awake_clock("win32")(system), 1.25)  # type: ignore[call-arg]

    def test_slept(self) -> None:
        """Sleep is by how much the two clocks have moved apart."""
        awake, elapsed = Clock(), Clock()
        slept = sleep_clock(elapsed.seconds, awake.seconds)
        before = slept()
        for clock in (awake, elapsed):
            clock.advance(100)
        self.assertEqual(slept() - before, 0.0)
        elapsed.advance(28_800)
        self.assertEqual(slept() - before, 28_800.0)

    def test_held_up(self) -> None:
        """A process that is held up between the two readings has not slept."""
        now = [0.0]
        stalls = [3.0, 0.0, 0.0]

        def elapsed() -> float:
            now[0] += stalls.pop(0)
            return now[0]

        self.assertEqual(sleep_clock(elapsed, lambda: now[0])(), 0.0)
        self.assertEqual(stalls, [0.0])
