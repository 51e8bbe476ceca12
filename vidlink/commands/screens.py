"""Synthetic screens in a process of their own, for ``vidlink demo``.

Run as ``python -m vidlink.commands.screens SERVER ID...``; ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO

from vidlink.sentinel import tap
from vidlink.terminal.output import log_warnings

SIZE = "1280x720"


class Leash(Protocol):
    """Ends this process when the one that started it is gone."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connectionLost(self, reason: object = None) -> None:
        """Standard input is closed."""
        # It may be stopping already, at the same Ctrl-C.
        with contextlib.suppress(ReactorNotRunning):
            self._clock.stop()


def main(server: str, names: list[str]) -> None:
    """Run one sentinel with a test picture for each of `names`."""
    from twisted.internet import reactor

    clock: Any = reactor
    log_warnings()
    services = MultiService()
    for name in names:
        options = tap.Options()
        chosen = ["--server", server, "--id", name, "--group", "demo"]
        options.parseOptions([*chosen, "--source", f"test:{SIZE}", "--encoder", "libx264"])
        tap.makeService(options).setServiceParent(services)
    StandardIO(Leash(clock))
    services.startService()
    clock.addSystemEventTrigger("before", "shutdown", services.stopService)
    clock.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
