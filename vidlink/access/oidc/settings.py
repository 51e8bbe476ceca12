"""The provider that is believed, and what its claims give, as the operator says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vidlink.errors import UserMistake
from vidlink.model import Role

#: Paths of the server: what is told to everybody, that there is a provider; the way to it; and
#: where it sends the browser back to.
ABOUT, START, CALLBACK = "/api/v1/oidc", "/api/v1/oidc/start", "/api/v1/oidc/callback"
#: The roles that a provider can give; a sentinel has a token.
ROLES = (Role.PROCTOR, Role.ADMINISTRATOR, Role.AUDITOR)
_OPTIONS = (
    "name", "client-id", "client-secret-file", "roles-claim", "groups-claim", "all-groups", "role",
    "scope",
)  # fmt: skip
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})
#: RFC 6749 section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
_MOST_SECRET_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """The words of the operator about the provider.

    `secret` is None for a public client; `groups_claim` is None where everybody who is let in sees
    all groups. `roles` are the values of `roles_claim` that give each role.
    """

    issuer: str
    name: str
    client_id: str
    secret: str | None
    roles: tuple[tuple[Role, str], ...]
    roles_claim: str
    groups_claim: str | None
    scopes: tuple[str, ...]


def role_given(text: str) -> tuple[Role, str]:
    """The role and the value of a claim in `text`, such as ``administrator=staff-it``.

    :raises UserMistake: if it is not that.
    """
    word, _, value = text.partition("=")
    role = {one.value: one for one in ROLES}.get(word)
    if role is None or not value:
        known = ", ".join(one.value for one in ROLES)
        raise UserMistake(
            f"--oidc-role takes a role ({known}), an equals sign and a value of the claim, such as "
            f"administrator=staff-it, not {text!r}"
        )
    return role, value


def scope_asked(text: str) -> str:
    """One scope to ask for.

    :raises UserMistake: if it is none.
    """
    if not _SCOPE.fullmatch(text):
        raise UserMistake(f"--oidc-scope takes one scope, such as groups, not {text!r}")
    return text


def read_settings(options: Mapping[str, Any]) -> Settings | None:
    """The settings in the options of the server; None if no provider is named.

    :raises UserMistake: if they do not go together, or the secret cannot be read.
    """
    issuer = options["oidc-issuer"]
    if issuer is None:
        for name in _OPTIONS:
            if options[f"oidc-{name}"]:
                raise UserMistake(f"--oidc-{name} needs --oidc-issuer: the URL of the provider")
        return None
    host = _host_of(issuer)
    if options["no-auth"]:
        raise UserMistake("give --oidc-issuer or --no-auth, not both")
    if not options["oidc-client-id"]:
        raise UserMistake("say with --oidc-client-id how the provider calls this server")
    roles: Sequence[tuple[Role, str]] = options["oidc-role"]
    if not roles:
        raise UserMistake(
            "nobody could log in: say with --oidc-role whose users may do what, such as "
            "administrator=staff-it"
        )
    groups_claim, is_all = options["oidc-groups-claim"], bool(options["oidc-all-groups"])
    if is_all and groups_claim:
        raise UserMistake("give --oidc-groups-claim or --oidc-all-groups, not both")
    if not (is_all or groups_claim) and any(role is Role.PROCTOR for role, _ in roles):
        raise UserMistake(
            "say with --oidc-groups-claim or --oidc-all-groups whose screens a proctor sees"
        )
    path = options["oidc-client-secret-file"]
    return Settings(
        issuer=issuer,
        name=options["oidc-name"] or host,
        client_id=options["oidc-client-id"],
        secret=None if path is None else _secret(path),
        roles=tuple(roles),
        roles_claim=options["oidc-roles-claim"] or "groups",
        groups_claim=groups_claim,
        scopes=("openid", *options["oidc-scope"]),
    )


def is_safe(url: object, issuer: str) -> bool:
    """True if `url` may be asked for: over TLS, or on this machine if the issuer is there too."""
    if not isinstance(url, str):
        return False
    try:
        parts, around = urlsplit(url), urlsplit(issuer)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or port == 0 or not url.isascii():
        return False
    if re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", url):
        return False
    is_here = host in _LOOPBACK and around.hostname in _LOOPBACK and around.scheme == "http"
    return parts.scheme == "https" or (parts.scheme == "http" and is_here)


def _host_of(issuer: str) -> str:
    if not is_safe(issuer, issuer) or "?" in issuer or "#" in issuer:
        raise UserMistake(
            "--oidc-issuer takes the https:// address of the provider, as it calls itself, "
            f"without ? and #, not {issuer!r}"
        )
    return str(urlsplit(issuer).hostname)


def _secret(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read(_MOST_SECRET_BYTES).strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UserMistake(f"--oidc-client-secret-file {path} cannot be read ({why})") from None
    if not secret:
        raise UserMistake(f"--oidc-client-secret-file {path} is empty")
    return secret
