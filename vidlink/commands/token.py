"""``vidlink token``: what sentinels and scripts are let in by."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import ClassVar

from vidlink.access.credentials import Token
from vidlink.access.enrolments import USUAL_MOST
from vidlink.access.hashing import digest_of, new_token
from vidlink.commands.letting import LettingOptions, group_words, role_words
from vidlink.daemon import wall_clock_us
from vidlink.errors import UserMistake
from vidlink.model import Role, is_sentinel_id
from vidlink.terminal.output import tell
from vidlink.terminal.running import complain
from vidlink.terminal.table import put_table
from vidlink.terminal.words import moment, shown

COMMAND = "vidlink token"
HEAD = ("TOKEN", "FOR", "ROLES", "GROUPS", "MADE", "VALID UNTIL")
MACHINES = ("SENTINEL", "ASKED FOR", "MACHINE", "FROM", "ENROLLED", "BY", "TOKEN")
#: As many digits of a fingerprint as tell machines apart for a person.
_DIGITS = 8
#: A token enrols no more than this.
_MANY = 100_000
_DAY_US = 24 * 60 * 60 * 1_000_000


class Options(LettingOptions):
    """The options of the command."""

    command = COMMAND
    verbs: ClassVar[dict[str, bool]] = {
        "add": True,
        "list": False,
        "revoke": True,
        "enrolled": False,
        "forget": True,
    }
    synopsis = "add NAME | list | revoke TOKEN | enrolled | forget SENTINEL [options]"
    longdesc = (
        "Keeps the tokens that sentinels and scripts show, in the data folder of a server, which "
        "may be running: it sees a change within seconds, and who bears a revoked one is out. "
        "Without --role, NAME is the id of the one sentinel that the token is for. With --enrol it "
        "is for all machines of a room, each of which is given a token of its own by it, which "
        "stays valid when this one is revoked; 'enrolled' lists them. A machine whose token is "
        "revoked stays out until it is forgotten; one that is forgotten loses its token, and may "
        "enrol again. A new token is printed once; only its hash is kept."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["days", None, None, "It is valid for so many days; for ever if this is left out."],
        ["most", None, None, f"It enrols so many machines, with --enrol; else {USUAL_MOST}."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["enrol", None, "By it each machine is given a token of its own; NAME is for people."],
    ]

    def postOptions(self) -> None:
        """A name has to be one."""
        if self["days"] is not None:
            self.number("days", float, 0.001, 36_500)
        if self["verb"] != "add":
            return
        name = self["name"]
        if self["most"] is not None and not self["enrol"]:
            raise UserMistake("--most goes with --enrol")
        is_for_one = not (self["roles"] or self["enrol"])
        if not is_for_one and not (0 < len(name) <= 64 and name.isprintable()):
            raise UserMistake("the name of a token has 1 to 64 characters")
        if self["enrol"]:
            if self["roles"]:
                raise UserMistake("give --role or --enrol, not both")
            self["most"] = self["most"] or str(USUAL_MOST)
            self.number("most", int, 1, _MANY)
        if self["roles"]:
            self.granted()
        elif len(self["groups"]) > 1 or self["all-groups"]:
            raise UserMistake("a sentinel is in one group")
        elif is_for_one and not is_sentinel_id(name):
            raise UserMistake(
                f"{name!r} is no sentinel's id; for a script, say with --role what it may do"
            )


def run(options: Options) -> int:
    """Do what is asked; the exit status.

    :raises ~vidlink.errors.VidlinkError: if it cannot be done.
    """
    with_them = {"add": _add, "list": _list, "revoke": _revoke}
    with_them |= {"enrolled": _enrolled, "forget": _forget}
    with_them[options["verb"]](options)
    return 0


def _add(options: Options) -> None:
    now_us, days, name = wall_clock_us(), options["days"], options["name"]
    roles, groups = frozenset({Role.SENTINEL}), None
    sentinel_id = sentinel_group = None
    if options["roles"]:
        roles, groups = options.granted()
    elif options["enrol"]:
        roles, sentinel_group = frozenset({Role.ENROLMENT}), next(iter(options["groups"]), None)
    else:
        sentinel_id, sentinel_group = name, next(iter(options["groups"]), None)
    secret = new_token()
    token = Token(
        token_id=secrets.token_hex(4),
        digest=digest_of(secret),
        name=name,
        roles=roles,
        groups=groups,
        sentinel_id=sentinel_id,
        sentinel_group=sentinel_group,
        created_us=now_us,
        expires_us=None if days is None else now_us + int(days * _DAY_US),
        most=options["most"],
    )
    options.credentials().put_token(token)
    complain(COMMAND, f"token {token.token_id} for {shown(name)}; it is shown this once:")
    tell(secret)


def _list(options: Options) -> None:
    everything = options.credentials().read()
    enrolled = Counter(one.room_token for one in everything.enrolments)
    rows = [
        (
            token.token_id,
            shown(token.name),
            _role(token, enrolled[token.token_id]),
            _group(token),
            moment(token.created_us),
            "for ever" if token.expires_us is None else moment(token.expires_us),
        )
        for token in sorted(everything.tokens, key=lambda one: one.created_us)
    ]
    put_table(tell, HEAD, [(row, ()) for row in rows])


def _role(token: Token, enrolled: int) -> str:
    words = role_words(token.roles)
    return words if token.most is None else f"{words}, {enrolled} of {token.most}"


def _group(token: Token) -> str:
    if token.roles & {Role.SENTINEL, Role.ENROLMENT}:
        return token.sentinel_group or ""
    return group_words(token.groups)


def _revoke(options: Options) -> None:
    token_id = options["name"]
    if not options.credentials().remove_token(token_id):
        raise UserMistake(f"there is no token {token_id}; '{COMMAND} list' lists them")
    tell(f"{token_id} is revoked")


def _enrolled(options: Options) -> None:
    rows = [
        (
            one.sentinel_id,
            one.asked_id,
            one.machine[:_DIGITS],
            shown(one.address),
            moment(one.enrolled_us),
            one.room_token,
            one.own_token if one.is_valid else "revoked",
        )
        for one in options.credentials().read().enrolments
    ]
    put_table(tell, MACHINES, [(row, ()) for row in rows])


def _forget(options: Options) -> None:
    name = options["name"]
    if not options.credentials().forget_enrolment(name):
        raise UserMistake(f"no machine has enrolled as {shown(name)}; see '{COMMAND} enrolled'")
    tell(f"{name} is forgotten, and may enrol again")
