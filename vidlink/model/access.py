"""Who may do what: roles, rights, the table of both, and whoever asks.

The credentials by which somebody is known are :mod:`vidlink.access`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """The part that somebody has; one may have several."""

    SENTINEL = "sentinel"
    PROCTOR = "proctor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    #: That of an image of a machine, by which each machine gets a token of its own.
    ENROLMENT = "enrolment"


class Right(Enum):
    """A thing that may be done; what is no right of somebody's is refused."""

    #: Push a stream, under the id that the credential is bound to.
    PUBLISH = "publish"
    #: See screens, live and recorded, and which there are; fetch and export.
    WATCH = "watch"
    #: Ask for keyframes and frame rates.
    CONTROL = "control"
    #: Delete recordings, and hold and release them.
    DELETE = "delete"
    #: Read of what was deleted, and of what is kept for how long.
    AUDIT = "audit"
    #: Know of, and end, what others have to get in with.
    MANAGE = "manage"
    #: Be given a token of one's own, as a Sentinel; only what enrols has it.
    ENROL = "enrol"


#: The table; what is not in it is refused.
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.SENTINEL: frozenset({Right.PUBLISH}),
    Role.PROCTOR: frozenset({Right.WATCH, Right.CONTROL}),
    Role.ADMINISTRATOR: frozenset(Right) - {Right.PUBLISH, Right.ENROL},
    Role.AUDITOR: frozenset({Right.AUDIT}),
    Role.ENROLMENT: frozenset({Right.ENROL}),
}

#: Rights that are about single Sentinels, and so only hold in the groups that somebody was given.
BY_GROUP = frozenset({Right.WATCH, Right.CONTROL, Right.DELETE})


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks, as a credential shows.

    `name` is for people: logs, receipts. `credential_id` is that of what was shown, and empty if
    nothing was. `groups` are those whose Sentinels it may see, None: all. `sentinel_id` is the
    only one that it may publish as, None: any; `sentinel_group` likewise. Two of one credential
    are equal as long as nothing was changed about it.
    """

    name: str
    credential_id: str
    rights: frozenset[Right]
    groups: frozenset[str] | None = None
    sentinel_id: str | None = None
    sentinel_group: str | None = None

    def may(self, right: Right, group: str | None = None) -> bool:
        """True if it has this right, and has it in `group` where that is said."""
        return right in self.rights and (group is None or self.sees(group))

    def sees(self, group: str) -> bool:
        """True if Sentinels of `group` are its business."""
        return self.groups is None or group in self.groups


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A machine that has a token of its own, and is the Sentinel `sentinel_id` by it.

    It asked to be `asked_id`; `machine` is its fingerprint. `room_token` and `own_token` are the
    ids of the token that it showed and of the one that it was given; that one may be revoked.
    """

    sentinel_id: str
    asked_id: str
    machine: str
    address: str
    software: str
    enrolled_us: int
    room_token: str
    own_token: str
    is_valid: bool


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """The rights that `roles` give together."""
    return frozenset(right for role in roles for right in RIGHTS[role])


#: Everybody, where the operator asks nobody for a credential.
EVERYBODY = Principal("everybody", "", rights_of((Role.SENTINEL, Role.PROCTOR, Role.AUDITOR)))
#: Whoever could not be told.
NOBODY = Principal("", "", frozenset())
