"""The ``vidlink`` command: what a person runs by hand. The daemons are twistd plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from vidlink.commands import demo, export, fsck, ls, watch
from vidlink.errors import UserMistake, VidlinkError
from vidlink.options import OneLineOptions


class Options(OneLineOptions):
    """The command and its subcommands."""

    command = "vidlink"
    synopsis = "<command> [options]"
    longdesc = (
        "Live screens, relayed and recorded. The daemons are started with "
        "'twistd vidlink-server' and 'twistd vidlink-sentinel'."
    )
    subCommands = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["demo", None, demo.Options, "A server and some synthetic screens on this machine."],
        ["export", None, export.Options, "Recordings as MP4 files."],
        ["fsck", None, fsck.Options, "Check a data folder, and mend what can be mended."],
        ["ls", None, ls.Options, "Which sentinels there are, and what was recorded of them."],
        ["watch", None, watch.Options, "One sentinel, live, for a player to read from a pipe."],
    ]

    def postOptions(self) -> None:
        """There must be a subcommand."""
        if self.subCommand is None:
            raise UserMistake("say which command, such as 'vidlink demo'")


_RUNS: dict[str, Callable[[Any], int | None]] = {
    "demo": demo.run,
    "export": export.run,
    "fsck": fsck.run,
    "ls": ls.run,
    "watch": watch.run,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; leaves with its status, or with 1 and one line that says what is wrong."""
    options = Options()
    options.parseOptions(sys.argv[1:] if arguments is None else arguments)
    command = str(options.subCommand)
    try:
        status = _RUNS[command](options.subOptions)
        sys.stdout.flush()
    except VidlinkError as error:
        raise SystemExit(f"vidlink {command}: {error}") from None
    except BrokenPipeError:
        # Whoever read has gone. Python would complain of what it cannot write at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if status:
        raise SystemExit(status)
