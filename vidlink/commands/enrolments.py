"""``vidlink enrolments``: the machines that have a token of their own by that of a room."""

from __future__ import annotations

from typing import ClassVar

from vidlink.access.credentials import Credentials
from vidlink.commands.asking import AnywhereOptions
from vidlink.commands.output import tell
from vidlink.commands.table import put_table
from vidlink.commands.words import moment, shown
from vidlink.errors import UserMistake
from vidlink.model import Enrolment

COMMAND = "vidlink enrolments"
HEAD = ("SENTINEL", "ASKED FOR", "MACHINE", "FROM", "ENROLLED", "BY", "TOKEN")
_VERBS = {"list": False, "forget": True}
#: As many digits of a fingerprint as tell machines apart for a person.
_DIGITS = 8


class Options(AnywhereOptions):
    """The options of the command."""

    command = COMMAND
    synopsis = "[list] | forget SENTINEL [options]"
    longdesc = (
        "Shows the machines that have enrolled with a token of 'vidlink token add --enrol', from "
        "the data folder of a server, which may be running. Who asked for an id that another had "
        "is a sentinel of another id. Revoking the token of a machine keeps it out until it is "
        "forgotten here; a machine that is forgotten loses its token too, and may enrol again."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["data", "d", "vidlink-data", "The data folder of the server."],
    ]

    def parseArgs(self, verb: str = "list", *names: str) -> None:
        """A verb, and the sentinel that goes with it."""
        if verb not in _VERBS:
            raise UserMistake(f"say what to do: {COMMAND} {'|'.join(_VERBS)}")
        if len(names) != _VERBS[verb]:
            wants = "takes one sentinel" if _VERBS[verb] else "takes no sentinel"
            raise UserMistake(f"'{COMMAND} {verb}' {wants}")
        self["verb"], self["name"] = verb, names[0] if names else ""


def run(options: Options) -> int:
    """Do what is asked; the exit status.

    :raises ~vidlink.errors.VidlinkError: if it cannot be done.
    """
    credentials = Credentials(options["data"])
    if options["verb"] == "forget":
        if not credentials.forget_enrolment(options["name"]):
            raise UserMistake(f"no machine has enrolled as {shown(options['name'])}")
        tell(f"{options['name']} is forgotten, and may enrol again")
        return 0
    put_table(tell, HEAD, [(_row(one), ()) for one in credentials.read().enrolments])
    return 0


def _row(one: Enrolment) -> tuple[str, ...]:
    return (
        one.sentinel_id,
        one.asked_id,
        one.machine[:_DIGITS],
        shown(one.address),
        moment(one.enrolled_us),
        one.room_token,
        one.own_token if one.is_valid else "revoked",
    )
