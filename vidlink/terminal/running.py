"""Commands that wait: one coroutine in a reactor, ended by itself or by Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from vidlink.client import History, open_history
from vidlink.daemon import prepare
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.output import log_warnings, tell
from vidlink.terminal.typed import INTERRUPTED

Main = Callable[[Any], Coroutine[Deferred[Any], Any, int]]
#: Takes one line.
Put = Callable[[str], None]


def run_in_reactor(main: Main) -> int:
    """Run ``main(reactor)`` and return what it returns; what it raises is raised.

    SIGINT and SIGTERM cancel it, and then it has its time to end. One that lets the
    cancellation out ends with :data:`INTERRUPTED`.
    """
    from twisted.internet import reactor

    clock: Any = reactor
    prepare(clock)
    log_warnings()
    running = _Run(main, clock)
    clock.callWhenRunning(running.begin)
    clock.addSystemEventTrigger("before", "shutdown", running.interrupt)
    clock.run()
    return running.status()


def run_with_history(
    options: AskingOptions, work: Callable[[History, Any], Coroutine[Any, Any, int]]
) -> int:
    """The same for ``work(history, reactor)``, with the history of the server that `options` name.

    :raises ~vidlink.errors.UserMistake: if that is no address of one, or no token can be shown.
    """

    async def main(reactor: Any) -> int:
        history = open_history(options["server"], reactor, **options.shown(reactor))
        try:
            return await work(history, reactor)
        finally:
            await history.close()

    return run_in_reactor(main)


def asking(work: Callable[[Any, History, Put], Coroutine[Any, Any, int]]) -> Callable[[Any], int]:
    """The command that does ``work(options, history, put)``, and puts on standard output.

    :raises ~vidlink.errors.VidlinkError: when it runs: as `work` does, and without a server.
    """

    def run(options: Any) -> int:
        return run_with_history(options, lambda history, _: work(options, history, tell))

    return run


class _Run:
    """A coroutine from its beginning to the end of the reactor."""

    def __init__(self, main: Main, reactor: Any) -> None:
        self._main = main
        self._reactor = reactor
        self._running: Deferred[Any] | None = None
        self._outcome: Any = INTERRUPTED

    def begin(self) -> None:
        """The reactor runs."""
        self._running = Deferred.fromCoroutine(self._main(self._reactor))
        self._running.addBoth(self._finish)

    def interrupt(self) -> Deferred[Any]:
        """The reactor is to stop, for whatever reason; fires when it may."""
        over: Deferred[Any] = Deferred()
        if self._running is None:
            over.callback(None)
        else:
            self._running.addBoth(over.callback)
            self._running.cancel()
        return over

    def status(self) -> int:
        """The status that the coroutine returned; its error is raised."""
        if isinstance(self._outcome, Failure):
            if self._outcome.check(CancelledError):
                return INTERRUPTED
            self._outcome.raiseException()
        return int(self._outcome)

    def _finish(self, outcome: Any) -> None:
        self._outcome = outcome
        with contextlib.suppress(ReactorNotRunning):
            self._reactor.stop()


def complain(command: str, text: str) -> None:
    """Say something on standard error, as a line of the command's."""
    print(f"{command}: {text}", file=sys.stderr, flush=True)
