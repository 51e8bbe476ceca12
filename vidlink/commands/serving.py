"""A server in a process of its own, on loopback and for a while, for ``vidlink rehearse``.

Run as ``python -m vidlink.commands.serving PORT FOLDER``; ends when its standard input does, and
takes the folder with it.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C is for whoever has started it, who ends it when there is nothing more to measure.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

import shutil
import sys
from pathlib import Path
from typing import Any

from twisted.internet.stdio import StandardIO

from vidlink.commands.demo import loopback_server
from vidlink.terminal.leash import Leash
from vidlink.terminal.output import log_warnings


def main(port: int, folder: Path) -> None:
    """Serve from `folder` until standard input ends; then it is removed."""
    from twisted.internet import reactor

    clock: Any = reactor
    # That there are no credentials is no news here: only this machine can come in.
    log_warnings(besides="vidlink.server.tap")
    try:
        service = loopback_server(port, folder)
        clock.callWhenRunning(signal.signal, signal.SIGINT, signal.SIG_IGN)
        service.privilegedStartService()
        service.startService()
        clock.addSystemEventTrigger("before", "shutdown", service.stopService)
        StandardIO(Leash(clock))
        clock.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
