"""``vidlink logout``: end what ``vidlink login`` began."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from vidlink.client import open_history
from vidlink.dialling.address import PROCTOR_PATH, read_address
from vidlink.errors import NotAuthenticated, UserMistake
from vidlink.quantities import count
from vidlink.terminal.asking import ServerOptions
from vidlink.terminal.kept import KeptLogin
from vidlink.terminal.output import tell
from vidlink.terminal.running import run_in_reactor

COMMAND = "vidlink logout"


class Options(ServerOptions):
    """The options of the command."""

    command = COMMAND
    longdesc = "Ends the login of these commands at a server, and forgets it."
    optFlags: ClassVar[list[list[str | None]]] = [
        ["everywhere", None, "End all logins of the user, also those in browsers."],
    ]


def run(options: Options) -> int:
    """Log out; the exit status.

    :raises ~vidlink.errors.VidlinkError: if the server cannot be told.
    """

    async def main(reactor: Any) -> int:
        server = options["server"]
        address = read_address(server, reactor, PROCTOR_PATH)
        kept = KeptLogin(server, address, os.environ)
        token = kept.token()
        if token is None:
            raise UserMistake(f"there is no login at {address.base_url}")
        history = open_history(server, reactor, token=token, trust=options.trust())
        try:
            ended = await history.log_out(is_everywhere=bool(options["everywhere"]))
            tell(f"{count(ended, 'login')} at {address.base_url} ended")
        except NotAuthenticated:
            tell(f"the login at {address.base_url} had ended before")
        finally:
            await history.close()
        kept.forget()
        return 0

    return run_in_reactor(main)
