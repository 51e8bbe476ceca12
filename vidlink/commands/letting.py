"""Options of the commands that say who is let in, in the data folder of a server.

They work on the folder itself, whether a server runs on it or none does; a running one sees a
change within a second or two.
"""

from __future__ import annotations

from typing import ClassVar

from vidlink.access.credentials import Credentials
from vidlink.errors import UserMistake
from vidlink.model import Role
from vidlink.terminal.asking import AnywhereOptions
from vidlink.wire.kinds import Misfit, excerpt
from vidlink.wire.schema import NAME


class LettingOptions(AnywhereOptions):
    """Options of a command with verbs, of which one takes roles and groups."""

    #: The verbs; True if one takes a name after it.
    verbs: ClassVar[dict[str, bool]]
    #: The roles that can be given.
    roles: ClassVar[tuple[Role, ...]] = (Role.PROCTOR, Role.ADMINISTRATOR, Role.AUDITOR)
    optParameters: ClassVar[list[list[str | None]]] = [
        ["data", "d", "vidlink-data", "The data folder of the server; made if it is not there."],
    ]
    optFlags: ClassVar[list[list[str | None]]] = [
        ["all-groups", None, "Sentinels of every group, also of those to come."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["roles"], self["groups"] = [], []

    def opt_role(self, word: str) -> None:
        """proctor, administrator or auditor; repeatable."""
        known = {role.value: role for role in self.roles}
        if word not in known:
            raise UserMistake(f"--role takes {' or '.join(known)}, not {word!r}")
        self["roles"].append(known[word])

    def opt_group(self, group: str) -> None:
        """Sentinels of this group; repeatable."""
        try:
            NAME.dump(group)
        except Misfit as misfit:
            raise UserMistake(f"--group takes {misfit.expected}, not {excerpt(group)}") from None
        self["groups"].append(group)

    opt_r, opt_g = opt_role, opt_group

    def parseArgs(self, verb: str = "", *names: str) -> None:
        """A verb, and the name that goes with it."""
        if verb not in self.verbs:
            raise UserMistake(f"say what to do: {self.command} {'|'.join(self.verbs)}")
        if len(names) != self.verbs[verb]:
            wants = "takes one name" if self.verbs[verb] else "takes no name"
            raise UserMistake(f"'{self.command} {verb}' {wants}")
        self["verb"], self["name"] = verb, names[0] if names else ""

    def granted(self) -> tuple[frozenset[Role], frozenset[str] | None]:
        """The roles and the groups that are given; None: all.

        :raises UserMistake: if a proctor is not told which groups it may see.
        """
        roles, groups = frozenset(self["roles"]), frozenset(self["groups"])
        if not roles:
            known = " or ".join(role.value for role in self.roles)
            raise UserMistake(f"say with --role what they are: {known}")
        if self["all-groups"] and groups:
            raise UserMistake("give --group or --all-groups, not both")
        if groups or (Role.PROCTOR in roles and not self["all-groups"]):
            if not groups:
                raise UserMistake("say with --group or --all-groups whose screens a proctor sees")
            return roles, groups
        return roles, None

    def credentials(self) -> Credentials:
        """Those in the data folder."""
        return Credentials(self["data"])


def group_words(groups: frozenset[str] | None) -> str:
    """Groups, for a listing."""
    return "all" if groups is None else ", ".join(repr(group) for group in sorted(groups))


def role_words(roles: frozenset[Role]) -> str:
    """Roles, for a listing."""
    return ", ".join(sorted(role.value for role in roles))
