"""Options of the commands that ask a server: where it is, and which time is meant."""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from vidlink.dialling import token
from vidlink.dialling.address import PROCTOR_PATH, read_address
from vidlink.dialling.trust import Trust, read_trust
from vidlink.errors import UserMistake
from vidlink.model import is_sentinel_id, is_session_id
from vidlink.options import OneLineOptions
from vidlink.terminal.kept import KeptLogin
from vidlink.terminal.words import read_moment
from vidlink.wire.kinds import Misfit, excerpt
from vidlink.wire.schema import NAME

#: The server, where ``--server`` does not say.
VARIABLE = "VIDLINK_SERVER"


class AnywhereOptions(OneLineOptions):
    """Options that may stand before and after what is no option."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; options may stand before and after what is no option.

        `twisted.python.usage` takes them before only, as POSIX has it.
        """
        try:
            found, rest = getopt.gnu_getopt(list(options or ()), self.shortOpt, self.longOpt)
        except getopt.GetoptError as mistake:
            raise SystemExit(f"{self.command}: {mistake} (see --help)") from None
        given = [word for name, value in found for word in self._written(name, value)]
        super().parseOptions([*given, "--", *rest])

    def _written(self, name: str, value: str) -> tuple[str, ...]:
        """An option as it is typed; a long one in one word: its value may begin with a dash."""
        if name.startswith("--"):
            return (f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name,)
        return (name, value) if f"{name[1:]}:" in self.shortOpt else (name,)


class ServerOptions(AnywhereOptions):
    """The option that says which server is meant."""

    optParameters: ClassVar[list[list[str | None]]] = [
        [
            "server",
            "s",
            "http://127.0.0.1:8080",
            "The server: http://HOST:PORT, https://HOST, or a client endpoint string. "
            f"The variable {VARIABLE} does the same.",
        ],
        [
            "ca",
            None,
            None,
            "Believe over TLS who has a certificate that is in this file, or below.",
        ],
        ["pin", None, None, "Believe over TLS who has the certificate of this fingerprint."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["server"] = os.environ.get(VARIABLE) or self["server"]

    def trust(self) -> Trust:
        """Whom to believe over TLS.

        :raises UserMistake: if what was given cannot say.
        """
        return read_trust(self["ca"], self["pin"])


class AskingOptions(ServerOptions):
    """Options of a command that asks a server, and shows it who asks."""

    optParameters: ClassVar[list[list[str | None]]] = [
        [
            "token-file",
            None,
            None,
            "A file with the token to show. The variable "
            f"{token.VARIABLE} may hold it instead; else it is that of 'vidlink login'.",
        ],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["plain-token", None, "Show it also where it goes over a network in the clear."],
    ]

    def shown(self, reactor: Any) -> dict[str, Any]:
        """The parameters that show the server who asks, as :mod:`vidlink.client` takes it.

        :raises UserMistake: if there is no such server, or no token where one should be.
        """
        found = token.token_source(self["token-file"], os.environ, self._complain)()
        if found is None:
            address = read_address(self["server"], reactor, PROCTOR_PATH)
            found = KeptLogin(self["server"], address, os.environ).token()
        can_go_plain = bool(self["plain-token"])
        return {"token": found, "can_go_plain": can_go_plain, "trust": self.trust()}

    def _complain(self, text: str) -> None:
        print(f"{self.command}: {text}", file=sys.stderr, flush=True)

    def check_names(self) -> None:
        """Check whichever of sentinel, session and group there is.

        :raises UserMistake: if it cannot be the name of one.
        """
        sentinel, session, group = map(self.get, ("sentinel", "session", "group"))
        if sentinel is not None and not is_sentinel_id(sentinel):
            raise UserMistake(f"{sentinel!r} is no sentinel's id; 'vidlink ls' lists them")
        if session is not None and not is_session_id(session):
            raise UserMistake(f"{session!r} is no session's id; 'vidlink ls SENTINEL' lists them")
        try:
            NAME.dump(group or "")
        except Misfit as misfit:
            raise UserMistake(f"--group takes {misfit.expected}, not {excerpt(group)}") from None


class RangeOptions(AskingOptions):
    """The same for a command that takes a range of time."""

    optParameters: ClassVar[list[list[str | None]]] = [
        ["from", None, None, "What is at or after this time, such as '2026-07-01 09:30'."],
        ["to", None, None, "What is before this time."],
    ]

    def read_range(self) -> None:
        """Replace the texts of both times by microseconds since the epoch.

        :raises UserMistake: if one is no time, or they are the wrong way round.
        """
        for name in ("from", "to"):
            if self[name] is not None:
                self[name] = read_moment(self[name], f"--{name}")
        if None not in (self["from"], self["to"]) and self["from"] >= self["to"]:
            raise UserMistake("--from has to be before --to")
