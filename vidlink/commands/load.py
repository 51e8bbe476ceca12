"""Screens and proctors in a process of their own, for ``vidlink rehearse``.

Run as ``python -m vidlink.commands.load``; ends when its standard input does. A line of that is
JSON: the plan, and then what to do. A line of standard output is a report.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C is for whoever has started it, who ends it when there is nothing more to measure.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

import json
from typing import Any

from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from vidlink.daemon import prepare
from vidlink.loadtest.load import Load
from vidlink.loadtest.plan import Plan
from vidlink.server.service import raise_descriptor_limit
from vidlink.terminal.leash import Leash
from vidlink.terminal.output import log_warnings


class Orders(Leash, LineOnlyReceiver):
    """The words of whoever has started this process."""

    delimiter = b"\n"
    #: The film, for the most part.
    MAX_LENGTH = 256 * 1024 * 1024

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._load: Load | None = None

    def lineReceived(self, line: bytes) -> None:
        """Do what the line says; the first is the plan."""
        order = json.loads(line)
        if self._load is None:
            self._load = Load(Plan.of_plain(order), self._clock, self._say)
            self._clock.addSystemEventTrigger("before", "shutdown", self._load.stop)
            return
        word, *rest = order
        getattr(self._load, word)(*rest)

    def _say(self, report: Any) -> None:
        assert self.transport is not None
        self.transport.write(json.dumps(report).encode("ascii") + b"\n")


def main() -> None:
    """Do what is said until that ends."""
    from twisted.internet import reactor

    clock: Any = reactor
    log_warnings()
    prepare(clock)
    clock.callWhenRunning(signal.signal, signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    StandardIO(Orders(clock))
    clock.run()


if __name__ == "__main__":
    main()
