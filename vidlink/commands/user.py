"""``vidlink user``: people who are let in by a name and a password."""

from __future__ import annotations

import re
from typing import ClassVar

from vidlink.access.credentials import VOUCHED, Credentials, User
from vidlink.access.hashing import LEAST_PASSWORD, MOST_PASSWORD, hash_password
from vidlink.commands.letting import LettingOptions, group_words, role_words
from vidlink.daemon import wall_clock_us
from vidlink.errors import UserMistake
from vidlink.terminal.output import tell
from vidlink.terminal.table import put_table
from vidlink.terminal.typed import is_somebody_there, typed_password
from vidlink.terminal.words import moment

COMMAND = "vidlink user"
HEAD = ("USER", "ROLES", "GROUPS", "PASSWORD", "CHANGED")
#: Names are typed, and stand in logs and lists: no spaces, no colons.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class Options(LettingOptions):
    """The options of the command."""

    command = COMMAND
    verbs: ClassVar[dict[str, bool]] = {"add": True, "passwd": True, "list": False, "remove": True}
    synopsis = "add|passwd|remove NAME | list [options]"
    longdesc = (
        "Keeps the people who may log in, in the data folder of a server, which may be running: it "
        "sees a change within seconds, and whoever is removed is out. The password is asked for, "
        "or read as one line where no person is typing. Whoever gets a new one is logged out "
        "everywhere."
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        ["no-password", None, "The password is checked elsewhere (--auth of the server)."],
    ]

    def postOptions(self) -> None:
        """A name has to be one."""
        is_elsewhere = self["verb"] == "remove" and self["name"].startswith(VOUCHED)
        if self["name"] and not is_elsewhere and not _NAME.fullmatch(self["name"]):
            raise UserMistake(
                f"{self['name']!r} is no user's name: 1 to 64 letters, digits, dots, hyphens, "
                "underscores or @, the first a letter or a digit"
            )
        if self["verb"] == "add":
            self.granted()


def run(options: Options) -> int:
    """Do what is asked; the exit status.

    :raises ~vidlink.errors.VidlinkError: if it cannot be done.
    """
    with_them = {"add": _add, "passwd": _passwd, "list": _list, "remove": _remove}
    with_them[options["verb"]](options)
    return 0


def _add(options: Options) -> None:
    roles, groups = options.granted()
    name = options["name"]
    kept = None if options["no-password"] else hash_password(read_password(name))
    user = User(name, kept, roles, groups, wall_clock_us())
    options.credentials().put_user(user, is_new=True)
    tell(f"{name} may log in as {role_words(roles)}")


def _passwd(options: Options) -> None:
    book, name = options.credentials(), options["name"]
    _found(book, name)
    kept = hash_password(read_password(name))
    # Typing takes its time, in which somebody may have made another of that name.
    found = _found(book, name)
    book.put_user(User(name, kept, found.roles, found.groups, wall_clock_us()), is_new=False)
    tell(f"{name} has a new password, and is logged out everywhere")


def _found(book: Credentials, name: str) -> User:
    found = {user.name: user for user in book.read().users}.get(name)
    if found is None:
        raise UserMistake(f"there is no user {name}; '{COMMAND} list' lists them")
    return found


def _list(options: Options) -> None:
    rows = [
        (
            user.name,
            role_words(user.roles),
            group_words(user.groups),
            "elsewhere" if user.password is None else "here",
            moment(user.changed_us),
        )
        for user in sorted(options.credentials().read().users, key=lambda user: user.name)
    ]
    put_table(tell, HEAD, [(row, ()) for row in rows])


def _remove(options: Options) -> None:
    name = options["name"]
    if not options.credentials().remove_user(name):
        raise UserMistake(f"there is no user {name}; '{COMMAND} list' lists them")
    tell(f"{name} may not log in any more")


def read_password(name: str) -> str:
    """A new password, typed twice by a person, or one line of standard input.

    :raises UserMistake: if it cannot be one.
    """
    password = typed_password(f"Password of {name}: ")
    if is_somebody_there() and typed_password("Once more: ") != password:
        raise UserMistake("these are two passwords; begin again")
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise UserMistake(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return password
