"""``vidlink demo``: a server and synthetic screens on loopback, with nothing to set up.

The server runs in this process; the screens run in others (:mod:`vidlink.commands.screens`),
because encoding would hold up the relay and the server imports no encoder.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol

from vidlink.errors import UserMistake
from vidlink.options import OneLineOptions
from vidlink.terminal.output import log_warnings, tell

MAX_SCREENS = 100
#: A screen's process that does not end when asked to is killed after this.
STOP_SECONDS = 5.0


class Options(OneLineOptions):
    """The options of the command."""

    command = "vidlink demo"
    longdesc = (
        "Starts a server and synthetic screens on this machine, prints the address of the "
        "page, and records until Ctrl-C. Only this machine can reach it."
    )
    optParameters = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["screens", "n", "6", "How many synthetic screens."],
        ["seconds", None, "0", "Stop by itself after so many seconds; 0: at Ctrl-C."],
        ["port", "p", "8080", "Where the server listens; 0: any port that is free."],
        ["data", "d", "vidlink-demo", "Folder for the recordings; they stay there."],
    ]

    def postOptions(self) -> None:
        """Check the numbers."""
        self.number("screens", int, 1, MAX_SCREENS)
        self.number("seconds", float, 0, 86_400 * 365)
        self.number("port", int, 0, 65_535)


class ScreensProcess(ProcessProtocol):
    """One process of synthetic screens; what it complains of goes to our standard error.

    It ends by itself when its standard input ends, so it cannot outlive us.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self.is_stopping = False

    def outReceived(self, data: bytes) -> None:
        """Pass on a complaint."""
        sys.stderr.buffer.write(data)
        sys.stderr.flush()

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        """Say so if the end was not our wish."""
        if not self.is_stopping and not reason.check(ProcessDone):
            print(f"vidlink demo: screens have ended: {reason.value}", file=sys.stderr)
        self.ended.callback(None)

    def stop(self, clock: Any) -> Deferred[None]:
        """Ask it to end; fires when it has."""
        self.is_stopping = True
        if self.transport is not None and not self.ended.called:
            self.transport.closeStdin()
            killing = clock.callLater(STOP_SECONDS, self.transport.signalProcess, "KILL")
            self.ended.addCallback(lambda _: killing.active() and killing.cancel())
        return self.ended


def run(options: Options) -> None:
    """Run the demo until it is interrupted or its time is over.

    :raises UserMistake: if the port is taken, or the folder cannot be used.
    """
    from twisted.internet import reactor

    clock: Any = reactor
    # That there are no credentials is no news here: only this machine can come in.
    log_warnings(besides="vidlink.server.tap")
    port = _usable_port(options["port"])
    data = Path(options["data"]).resolve()
    service = _server(port, data)
    service.privilegedStartService()
    service.startService()
    screens = [
        _spawn(clock, port, names) for names in _shared_out(options["screens"], os.cpu_count() or 1)
    ]
    clock.addSystemEventTrigger(
        "before",
        "shutdown",
        lambda: DeferredList([screen.stop(clock) for screen in screens]).addCallback(
            lambda _: service.stopService()
        ),
    )
    tell(f"VidLink demo: {options['screens']} screens at http://127.0.0.1:{port}/")
    tell(f"Recordings go to {data}. Stop with Ctrl-C.")
    if options["seconds"]:
        clock.callLater(options["seconds"], clock.stop)
    clock.run()
    tell(f"Stopped. The recordings are in {data}.")


def _server(port: int, data: Path) -> Any:
    from vidlink.server import tap

    options = tap.Options()
    listen = f"tcp:{port}:interface=127.0.0.1"
    options.parseOptions(["--listen", listen, "--data", str(data)])
    return tap.makeService(options)


def _spawn(clock: Any, port: int, names: list[str]) -> ScreensProcess:
    process = ScreensProcess()
    # -P: a folder called vidlink where the demo was started is not our package.
    arguments = [sys.executable, "-P", "-m", "vidlink.commands.screens", f"ws://127.0.0.1:{port}"]
    clock.spawnProcess(process, sys.executable, [*arguments, *names], env=os.environ)
    return process


def _shared_out(screens: int, processes: int) -> list[list[str]]:
    """The names of all screens, shared out among at most so many processes."""
    names = [f"demo-{number:02}" for number in range(1, screens + 1)]
    return [names[first::processes] for first in range(min(processes, screens))]


def _usable_port(port: int) -> int:
    """`port`, or a free one for 0, after seeing that we may listen there.

    :raises UserMistake: if we may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserMistake(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None
        return int(probe.getsockname()[1])
