"""The ``vidlink`` command: what a person runs by hand. The daemons are twistd plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from vidlink.commands import (
    audit,
    certificate,
    delete,
    demo,
    export,
    fsck,
    hold,
    login,
    logout,
    ls,
    receipts,
    rehearse,
    retention,
    token,
    user,
    watch,
)
from vidlink.errors import UserMistake, VidlinkError
from vidlink.options import OneLineOptions
from vidlink.terminal.output import given_up, printing


class Options(OneLineOptions):
    """The command and its subcommands."""

    command = "vidlink"
    synopsis = "<command> [options]"
    longdesc = (
        "Live screens, relayed and recorded. The daemons are started with "
        "'twistd vidlink-server' and 'twistd vidlink-sentinel'."
    )
    subCommands = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["audit", None, audit.Options, "Who did what, and whether that is all of it."],
        ["certificate", None, certificate.Options, "A key and a certificate for TLS."],
        ["delete", None, delete.Options, "Delete recordings, for good."],
        ["demo", None, demo.Options, "A server and some synthetic screens on this machine."],
        ["export", None, export.Options, "Recordings as MP4 files."],
        ["fsck", None, fsck.Options, "Check a data folder, and mend what can be mended."],
        ["hold", None, hold.Options, "Have a recording not deleted by anybody."],
        ["login", None, login.Options, "Let these commands in as a user of a server."],
        ["logout", None, logout.Options, "End that, here or everywhere."],
        ["ls", None, ls.Options, "Which sentinels there are, and what was recorded of them."],
        ["receipts", None, receipts.Options, "What was deleted, when, and why."],
        [
            "rehearse",
            None,
            rehearse.Options,
            "How many screens a machine carries, tried out.",
        ],
        ["retention", None, retention.Options, "What is kept for how long, and what would go."],
        ["token", None, token.Options, "What sentinels and scripts are let in by."],
        ["user", None, user.Options, "People who are let in by a password."],
        ["watch", None, watch.Options, "One sentinel, live, for a player to read from a pipe."],
    ]

    def postOptions(self) -> None:
        """There must be a subcommand."""
        if self.subCommand is None:
            raise UserMistake("say which command, such as 'vidlink demo'")


_RUNS: dict[str, Callable[[Any], int | None]] = {
    "audit": audit.run,
    "certificate": certificate.run,
    "delete": delete.run,
    "demo": demo.run,
    "export": export.run,
    "fsck": fsck.run,
    "hold": hold.run,
    "login": login.run,
    "logout": logout.run,
    "ls": ls.run,
    "receipts": receipts.run,
    "rehearse": rehearse.run,
    "retention": retention.run,
    "token": token.run,
    "user": user.run,
    "watch": watch.run,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; leaves with its status, or with 1 and one line that says what is wrong."""
    options = Options()
    status: int | None = 0
    try:
        with printing():
            try:
                options.parseOptions(sys.argv[1:] if arguments is None else arguments)
            except OSError as error:  # All that it does with files is to print the help.
                raise given_up(error) from None
            status = _RUNS[str(options.subCommand)](options.subOptions)
    except VidlinkError as error:
        command = f"vidlink {options.subCommand or ''}".rstrip()
        raise SystemExit(f"{command}: {error}") from None
    except BrokenPipeError:
        return
    if status:
        raise SystemExit(status)
