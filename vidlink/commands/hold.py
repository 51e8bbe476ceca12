"""``vidlink hold``: have a recording not deleted by anybody, or release it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vidlink.client import History
from vidlink.errors import Answered, UserMistake
from vidlink.terminal.asking import AskingOptions
from vidlink.terminal.running import asking
from vidlink.terminal.words import moment, shown

COMMAND = "vidlink hold"


class Options(AskingOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "SENTINEL SESSION [options]"
    longdesc = (
        "Holds a session, live or over: nobody deletes it until it is released. It takes "
        "an administrator's credential."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["reason", "r", "held by hand", "Why, for whoever wonders."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [["release", None, "Hold it no more."]]

    def parseArgs(self, sentinel: str = "", session: str = "") -> None:
        """A sentinel and one of its sessions."""
        self["sentinel"], self["session"] = sentinel, session

    def postOptions(self) -> None:
        """A reason has to be one."""
        self.check_names()
        if not 0 < len(self["reason"]) <= 200:
            raise UserMistake("--reason takes 1 to 200 characters")


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


run = asking(hold)
