"""``vidlink demo``: a server and synthetic screens on loopback, with nothing to set up.

The server runs in this process; the screens run in others (:mod:`vidlink.commands.screens`),
because encoding would hold up the relay and the server imports no encoder.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.error import ProcessDone

from vidlink.access.credentials import Credentials, Token
from vidlink.access.hashing import digest_of, new_token
from vidlink.daemon import wall_clock_us
from vidlink.dialling.token import VARIABLE
from vidlink.errors import UserMistake
from vidlink.model import Role
from vidlink.options import OneLineOptions
from vidlink.terminal.leash import Leashed
from vidlink.terminal.output import log_warnings, tell

MAX_SCREENS = 100
#: The name of the token of the screens, where credentials are asked for.
TOKEN_NAME = "screens of vidlink demo"


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


class ScreensProcess(Leashed):
    """One process of synthetic screens; what it complains of goes to our standard error."""

    def outReceived(self, data: bytes) -> None:
        """Pass on a complaint."""
        sys.stderr.buffer.write(data)
        sys.stderr.flush()

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        """Say so if the end was not our wish."""
        if not self.is_stopping and not reason.check(ProcessDone):
            print(f"vidlink demo: screens have ended: {reason.value}", file=sys.stderr)
        super().processEnded(reason)


def run(options: Options) -> None:
    """Run the demo until it is interrupted or its time is over.

    :raises UserMistake: if the port is taken, or the folder cannot be used.
    """
    from twisted.internet import reactor

    clock: Any = reactor
    # That there are no credentials is no news here: only this machine can come in.
    log_warnings(besides="vidlink.server.tap")
    port = usable_port(options["port"])
    data = Path(options["data"]).resolve()
    with token_of_screens(str(data)) as (token, forget_others):
        _run(options, clock, port, data, token, forget_others)


def _run(
    options: Options,
    clock: Any,
    port: int,
    data: Path,
    token: str | None,
    forget_others: Callable[[], None],
) -> None:
    service = loopback_server(port, data)
    service.privilegedStartService()
    service.startService()
    # Now the folder is ours alone: a demo that was killed has left its token.
    forget_others()
    screens = [
        _spawn(clock, port, names, token)
        for names in _shared_out(options["screens"], os.cpu_count() or 1)
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
    if token is not None:
        tell(
            "There are credentials in that folder, so log in with one of its users; "
            f"'vidlink user add NAME --role administrator --data {data}' makes one."
        )
    if options["seconds"]:
        clock.callLater(options["seconds"], clock.stop)
    clock.run()
    tell(f"Stopped. The recordings are in {data}.")


@contextmanager
def token_of_screens(data: str) -> Iterator[tuple[str | None, Callable[[], None]]]:
    """A token for the screens, for as long as they run, and what forgets those of others; None
    where nobody is asked for one, and where the first would close the door to everybody else."""
    credentials = Credentials(data)
    try:
        if credentials.version() is None:
            yield None, lambda: None
            return
        secret, token_id = new_token(), secrets.token_hex(4)
        roles, now_us = frozenset({Role.SENTINEL}), wall_clock_us()
        credentials.put_token(
            Token(token_id, digest_of(secret), TOKEN_NAME, roles, None, None, None, now_us, None)
        )
        try:
            yield secret, partial(_forget_others, credentials, token_id)
        finally:
            credentials.remove_token(token_id)
    finally:
        credentials.close()


def _forget_others(credentials: Credentials, own_id: str) -> None:
    for token in credentials.read().tokens:
        if token.name == TOKEN_NAME and token.token_id != own_id:
            credentials.remove_token(token.token_id)


def loopback_server(port: int, data: Path) -> Any:
    """The service of a server that only this machine can reach.

    :raises SystemExit: if the data folder cannot be used.
    """
    from vidlink.server import tap

    options = tap.Options()
    listen = f"tcp:{port}:interface=127.0.0.1"
    options.parseOptions(["--listen", listen, "--data", str(data)])
    return tap.makeService(options)


def _spawn(clock: Any, port: int, names: list[str], token: str | None) -> ScreensProcess:
    process = ScreensProcess()
    # One that stands there for other servers would be refused by this one.
    environ = {name: text for name, text in os.environ.items() if name != VARIABLE}
    if token is not None:
        environ[VARIABLE] = token
    # -P: a folder called vidlink where the demo was started is not our package.
    arguments = [sys.executable, "-P", "-m", "vidlink.commands.screens", f"ws://127.0.0.1:{port}"]
    clock.spawnProcess(process, sys.executable, [*arguments, *names], env=environ)
    return process


def _shared_out(screens: int, processes: int) -> list[list[str]]:
    """The names of all screens, shared out among at most so many processes."""
    names = [f"demo-{number:02}" for number in range(1, screens + 1)]
    return [names[first::processes] for first in range(min(processes, screens))]


def usable_port(port: int) -> int:
    """`port`, or a free one for 0, after seeing that one may listen there on loopback.

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
