"""Clocks and signals of the daemons, set up before anything is scheduled."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning


def wall_clock_us() -> int:
    """Microseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1000


def steady_clock(
    wall_clock_us: Callable[[], int], monotonic: Callable[[], float]
) -> Callable[[], int]:
    """A clock that shows what the wall clock shows now, and is never set afterwards.

    For a Sentinel, which compares it with the server's: were it set while a session is on, the
    times of segments would jump, and then be wrong until the next comparison and long after.
    """
    began_us = wall_clock_us() - round(monotonic() * 1_000_000)
    return lambda: began_us + round(monotonic() * 1_000_000)


def prepare(reactor: Any) -> None:
    """Make `reactor` keep time by the monotonic clock, and end on signals with status 0.

    Twisted's timers follow the wall clock (twisted/twisted#2424): set back an hour, it would
    stop them for an hour. And Twisted lets twistd, once stopped by a signal, kill itself with
    the same signal, so that a daemon which did as it was told looks like one that was killed.
    """
    reactor.seconds = time.monotonic

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
