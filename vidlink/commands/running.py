"""How a command that waits is run: one coroutine in a reactor, ended by itself or by Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from vidlink.daemon import prepare

#: As a shell has it for what SIGINT has ended.
INTERRUPTED = 130


def run_in_reactor(main: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> int:
    """Run ``main(reactor)`` and return what it returns; what it raises is raised.

    SIGINT and SIGTERM cancel it, and then it has its time to end. One that lets the
    cancellation out ends with :data:`INTERRUPTED`.
    """
    from twisted.internet import reactor

    clock: Any = reactor
    prepare(clock)
    warnings = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([warnings], redirectStandardIO=False)
    ended: list[Any] = []
    begun: list[Deferred[Any]] = []

    def begin() -> None:
        running = Deferred.fromCoroutine(main(clock))
        begun.append(running)
        running.addBoth(finish)

    def finish(outcome: Any) -> None:
        ended.append(outcome)
        try:
            clock.stop()
        except ReactorNotRunning:
            return

    def interrupt() -> Deferred[Any] | None:
        if ended or not begun:
            return None
        over: Deferred[Any] = Deferred()
        begun[0].addBoth(over.callback)
        begun[0].cancel()
        return over

    clock.callWhenRunning(begin)
    clock.addSystemEventTrigger("before", "shutdown", interrupt)
    clock.run()
    return _status(ended[0] if ended else INTERRUPTED)


def _status(outcome: Any) -> int:
    if isinstance(outcome, int):
        return outcome
    if outcome.check(CancelledError):
        return INTERRUPTED
    outcome.raiseException()
    raise AssertionError("not reached")


def complain(command: str, text: str) -> None:
    """Say something on standard error, as a line of the command's."""
    print(f"{command}: {text}", file=sys.stderr, flush=True)
