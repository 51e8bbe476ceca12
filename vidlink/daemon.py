"""Clocks, turns and signals of the daemons, set up before anything is scheduled.

A computer that sleeps has two clocks that are never set. One goes on: what is dated goes by it.
One stands still: what waits goes by it, since nobody was silent for as long as we could not hear
them.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning

#: Two readings of a clock that are farther apart are not of the same moment.
READING_SECONDS = 0.05


def wall_clock_us() -> int:
    """Microseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1000


def elapsed_clock(platform: str = sys.platform, clocks: Any = time) -> Callable[[], float]:
    """The monotonic clock in seconds that goes on while the computer sleeps.

    Where there is none it is that of :func:`awake_clock`: no sleep is seen then.

    :param clocks: the module `time`.
    """
    if platform == "win32":
        # It counts sleep, whether Python reads the tick count or the performance counter.
        return clocks.monotonic  # type: ignore[no-any-return]
    name = "CLOCK_MONOTONIC_RAW" if platform == "darwin" else "CLOCK_BOOTTIME"
    number = getattr(clocks, name, None)
    if number is None:
        return clocks.monotonic  # type: ignore[no-any-return]
    return lambda: float(clocks.clock_gettime(number))


def awake_clock(platform: str = sys.platform) -> Callable[[], float]:
    """The monotonic clock in seconds that stands still while the computer sleeps."""
    return _unbiased_seconds if platform == "win32" else time.monotonic


def _unbiased_seconds(system: Any = ctypes) -> float:
    """The seconds since the start of Windows without those of sleep, which it counts in 100 ns."""
    ticks = ctypes.c_ulonglong()
    system.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(ticks))
    return ticks.value / 10_000_000


def sleep_clock(elapsed: Callable[[], float], awake: Callable[[], float]) -> Callable[[], float]:
    """A clock of the seconds that this computer has slept, since whenever: only differences count.

    The two clocks are read one after the other. Were the process held up in between, that would
    look like sleep, so they are read again then.
    """

    def slept_seconds() -> float:
        while True:
            before = awake()
            slept = elapsed() - before
            if awake() - before < READING_SECONDS:
                return slept

    return slept_seconds


def steady_clock(
    wall_clock_us: Callable[[], int], elapsed: Callable[[], float]
) -> Callable[[], int]:
    """A clock that shows what the wall clock shows now, and is never set afterwards.

    For a Sentinel, which compares it with the server's: were it set while a session is on, the
    times of segments would jump, and then be wrong until the next comparison and long after.
    """
    began_us = wall_clock_us() - round(elapsed() * 1_000_000)
    return lambda: began_us + round(elapsed() * 1_000_000)


def prepare(reactor: Any) -> None:
    """Make `reactor` keep time by the clock of :func:`awake_clock`, and end on signals with
    status 0.

    Twisted's timers follow the wall clock (twisted/twisted#2424): set back an hour, it would
    stop them for an hour. And Twisted lets twistd, once stopped by a signal, kill itself with
    the same signal, so that a daemon which did as it was told looks like one that was killed.
    """
    reactor.seconds = awake_clock()

    def stop(number: int, frame: object) -> None:
        reactor.callFromThread(stop_running)

    def stop_running() -> None:
        # A second signal while it is stopping, or has stopped, changes nothing.
        with contextlib.suppress(ReactorNotRunning):
            reactor.stop()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    reactor.callWhenRunning(take_signals)
