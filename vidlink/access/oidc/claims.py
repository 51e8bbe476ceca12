"""Users and their roles here, by the claims of an ID token that was checked.

Default deny: whoever has none of the roles that were named is refused, and a proctor whose claims
name no group sees none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vidlink.access.credentials import VOUCHED, User
from vidlink.access.oidc.settings import Settings
from vidlink.errors import LoginRefused
from vidlink.model import Role

#: Values of a claim that are looked at, and characters of each.
MOST_VALUES, LONGEST_VALUE = 1_000, 128
#: OpenID Connect Core section 2.
_LONGEST_SUBJECT = 255
_MOST_SHOWN = 36
_CALLED = ("preferred_username", "email", "name")
_LONGEST_CALLED = 64


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in at the provider: the user here, and what people call them."""

    user: User
    called: str


def person(claims: Mapping[str, object], settings: Settings, now_us: int) -> Person:
    """The person that `claims` are of.

    :raises LoginRefused: if they give no role here.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT:
        raise LoginRefused("the identity provider does not say who you are")
    found = _values(claims, settings.roles_claim)
    roles = frozenset(role for role, value in settings.roles if value in found)
    if not roles:
        raise LoginRefused(
            "the identity provider knows you, and nothing that it says of you gives you a role "
            "here; ask whoever runs this server"
        )
    groups: frozenset[str] | None = None
    if settings.groups_claim is not None and Role.ADMINISTRATOR not in roles:
        groups = frozenset(_values(claims, settings.groups_claim))
    name = user_name(settings.issuer, subject)
    return Person(User(name, None, roles, groups, now_us), _called(claims))


def user_name(issuer: str, subject: str) -> str:
    """The name here of whom `issuer` calls `subject`, which it calls nobody else, ever.

    A local name has no colon, so that it is none of those; the same subject of another provider is
    somebody else, so both are in the digest. What stands before it is for people to read.
    """
    digest = hashlib.sha256(f"{issuer}\n{subject}".encode("utf-8", "surrogatepass")).hexdigest()
    shown = re.sub(r"[^A-Za-z0-9._@-]", "", subject)[:_MOST_SHOWN]
    return f"{VOUCHED}{shown}:{digest[:20]}"


def _values(claims: Mapping[str, object], name: str) -> list[str]:
    """The texts of a claim, one or several; dots lead inwards where no claim has them in its name
    (``realm_access.roles`` of Keycloak)."""
    found: object = claims
    if name in claims:
        found = claims[name]
    else:
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    several = found if isinstance(found, list) else [found]
    return [
        one
        for one in several[:MOST_VALUES]
        if isinstance(one, str) and 1 <= len(one) <= LONGEST_VALUE
    ]


def _called(claims: Mapping[str, object]) -> str:
    for name in _CALLED:
        text = claims.get(name)
        if isinstance(text, str):
            # For people to read, in a trail: nothing that bends a line.
            shown = re.sub(r"[^\w .@'+-]", "", text).strip()[:_LONGEST_CALLED]
            if shown:
                return shown
    return ""
