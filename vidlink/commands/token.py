"""``vidlink token``: what sentinels and scripts are let in by."""

from __future__ import annotations

import secrets
from typing import ClassVar

from vidlink.access.credentials import Token
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
_DAY_US = 24 * 60 * 60 * 1_000_000


class Options(LettingOptions):
    """The options of the command."""

    command = COMMAND
    verbs: ClassVar[dict[str, bool]] = {"add": True, "list": False, "revoke": True}
    synopsis = "add NAME | list | revoke TOKEN [options]"
    longdesc = (
        "Keeps the tokens that sentinels and scripts show, in the data folder of a server, which "
        "may be running: it sees a change within seconds, and who bears a revoked one is out. "
        "Without --role, NAME is the id of the one sentinel that the token is for. A new token is "
        "printed once; only its hash is kept."
    )
    optParameters: ClassVar[list[list[str | None]]] = [
        ["days", None, None, "It is valid for so many days; for ever if this is left out."],
    ]

    def postOptions(self) -> None:
        """A name has to be one."""
        if self["days"] is not None:
            self.number("days", float, 0.001, 36_500)
        if self["verb"] != "add":
            return
        name = self["name"]
        if self["roles"]:
            self.granted()
            if not 0 < len(name) <= 64 or not name.isprintable():
                raise UserMistake("the name of a token has 1 to 64 characters")
        elif not is_sentinel_id(name):
            raise UserMistake(
                f"{name!r} is no sentinel's id; for a script, say with --role what it may do"
            )
        elif len(self["groups"]) > 1 or self["all-groups"]:
            raise UserMistake("a sentinel is in one group")


def run(options: Options) -> int:
    """Do what is asked; the exit status.

    :raises ~vidlink.errors.VidlinkError: if it cannot be done.
    """
    {"add": _add, "list": _list, "revoke": _revoke}[options["verb"]](options)
    return 0


def _add(options: Options) -> None:
    now_us, days, name = wall_clock_us(), options["days"], options["name"]
    roles, groups = frozenset({Role.SENTINEL}), None
    sentinel_id = sentinel_group = None
    if options["roles"]:
        roles, groups = options.granted()
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
    )
    options.credentials().put_token(token)
    complain(COMMAND, f"token {token.token_id} for {shown(name)}; it is shown this once:")
    tell(secret)


def _list(options: Options) -> None:
    rows = [
        (
            token.token_id,
            shown(token.name),
            role_words(token.roles),
            group_words(token.groups) if token.sentinel_id is None else token.sentinel_group or "",
            moment(token.created_us),
            "for ever" if token.expires_us is None else moment(token.expires_us),
        )
        for token in sorted(options.credentials().read().tokens, key=lambda one: one.created_us)
    ]
    put_table(tell, HEAD, [(row, ()) for row in rows])


def _revoke(options: Options) -> None:
    token_id = options["name"]
    if not options.credentials().remove_token(token_id):
        raise UserMistake(f"there is no token {token_id}; '{COMMAND} list' lists them")
    tell(f"{token_id} is revoked")
