"""``vidlink hold``: have a recording not deleted by anybody, or release it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vidlink.client import History
from vidlink.commands.asking import AskingOptions, checked_sentinel, checked_session
from vidlink.commands.output import tell
from vidlink.commands.running import run_with_history
from vidlink.commands.words import moment, shown
from vidlink.errors import Answered, UserMistake

COMMAND = "vidlink hold"


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "SENTINEL SESSION [options]"
    longdesc = (
        "Holds a session, live or over: nobody deletes it until it is released. The server has "
        "to be started with --allow-delete."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["reason", "r", "held by hand", "Why, for whoever wonders."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [["release", None, "Hold it no more."]]

    def parseArgs(self, sentinel: str = "", session: str = "") -> None:
        """A sentinel and one of its sessions."""
        self["sentinel"] = checked_sentinel(sentinel)
        self["session"] = checked_session(session)

    def postOptions(self) -> None:
        """A reason has to be one."""
        if not 0 < len(self["reason"]) <= 200:
            raise UserMistake("--reason takes 1 to 200 characters")


def run(options: Options) -> int:
    """Hold or release it.

    :raises ~vidlink.errors.VidlinkError: if there is no such session, or no server, or it does
        not allow it.
    """
    return run_with_history(options["server"], lambda history, _: hold(options, history, tell))


async def hold(options: Options, history: History, put: Callable[[str], None]) -> int:
    """Hold or release what `options` name, and `put` a line that says so."""
    reason = None if options["release"] else options["reason"]
    session_id = options["session"]
    try:
        found = await history.hold(options["sentinel"], session_id, reason)
    except Answered as error:
        raise UserMistake(str(error)) from None
    if found is None:
        put(f"{session_id} is held no more")
    else:
        put(f"{session_id} is held since {moment(found.time_us)}: {shown(found.reason)}")
    return 0
