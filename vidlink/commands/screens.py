"""Synthetic screens in a process of their own, for ``vidlink demo``.

Run as ``python -m vidlink.commands.screens SERVER ID...``; ends when its standard input does.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.stdio import StandardIO

from vidlink.sentinel import tap
from vidlink.terminal.leash import Leash
from vidlink.terminal.output import log_warnings

SIZE = "1280x720"


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
