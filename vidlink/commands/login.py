"""``vidlink login``: let the commands in as a user, at one server."""

from __future__ import annotations

import os
from typing import Any

from vidlink.client import open_history
from vidlink.dialling.address import PROCTOR_PATH, read_address
from vidlink.errors import UserMistake
from vidlink.terminal.asking import ServerOptions
from vidlink.terminal.kept import KeptLogin
from vidlink.terminal.output import tell
from vidlink.terminal.running import run_in_reactor
from vidlink.terminal.typed import is_somebody_there, typed_line, typed_password

COMMAND = "vidlink login"


class Options(ServerOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[USER] [options]"
    longdesc = (
        "Logs a user of the server in; the other commands are let in by that until 'vidlink "
        "logout'. The password is asked for, or read as one line where no person is typing. It is "
        "not kept: what is kept is a token that ends with the login."
    )

    def parseArgs(self, user: str = "") -> None:
        """The user."""
        self["user"] = user


def run(options: Options) -> int:
    """Log in; the exit status.

    :raises ~vidlink.errors.VidlinkError: if that cannot be done.
    """
    from twisted.internet import reactor

    address = read_address(options["server"], reactor, PROCTOR_PATH)
    if not address.is_private:
        raise UserMistake(
            f"a password would go to {address.base_url} in the clear, for everybody on the way to "
            "read; give --server an address with https://"
        )
    user = options["user"] or (typed_line("User: ") if is_somebody_there() else "")
    if not user:
        raise UserMistake("say who logs in: vidlink login USER")
    password = typed_password(f"Password of {user}: ")

    async def main(reactor: Any) -> int:
        history = open_history(options["server"], reactor, trust=options.trust())
        try:
            token = await history.log_in(user, password)
        finally:
            await history.close()
        KeptLogin(options["server"], address, os.environ).keep(token)
        tell(f"{user} is logged in at {address.base_url}")
        return 0

    return run_in_reactor(main)
