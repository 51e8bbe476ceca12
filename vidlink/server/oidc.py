"""The identity provider where users log in: its options, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from vidlink.access.oidc.provider import ANSWER_SECONDS, Provider
from vidlink.access.oidc.returning import Returning
from vidlink.access.oidc.settings import Settings, read_settings, role_given, scope_asked
from vidlink.disk import is_for_others
from vidlink.errors import UserMistake
from vidlink.model import Bounds
from vidlink.options import OneLineOptions

_log = Logger()


class OidcOptions(OneLineOptions):
    """The options about the provider; what they say together is ``self["oidc"]``."""

    optParameters = [  # noqa: RUF012  # the form that twisted.python.usage reads
        ["oidc-issuer", None, None, "Identity provider where users log in: its https:// address."],
        ["oidc-name", None, None, "What the login page calls it; without it, its host."],
        ["oidc-client-id", None, None, "How it calls this server."],
        ["oidc-client-secret-file", None, None, "File with the secret that it has given out."],
        ["oidc-roles-claim", None, None, "Claim that --oidc-role looks at; groups, if not said."],
        ["oidc-groups-claim", None, None, "Claim with the groups whose screens one sees."],
    ]
    optFlags = [  # noqa: RUF012
        ["oidc-all-groups", None, "Who comes from the identity provider sees every group."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["oidc-role"], self["oidc-scope"] = [], []

    def opt_oidc_role(self, text: str) -> None:
        """Role of those whose claim has a value: administrator=staff-it; repeatable."""
        self["oidc-role"].append(role_given(text))

    def opt_oidc_scope(self, text: str) -> None:
        """Scope to ask for besides openid, such as groups; repeatable."""
        self["oidc-scope"].append(scope_asked(text))

    def postOptions(self) -> None:
        """Put them together."""
        self["oidc"] = read_settings(self)


def returning(
    options: OidcOptions, clock: Any, now_us: Callable[[], int], bounds: Bounds
) -> Returning | None:
    """The way to the identity provider and back; None if there is none.

    :raises UserMistake: if what it takes is not installed.
    """
    settings: Settings | None = options["oidc"]
    if settings is None:
        return None
    path = options["oidc-client-secret-file"]
    if path is not None and is_for_others(path):
        _log.warn("others can read the secret in {path}; close it with: chmod o= {path}", path=path)
    try:
        from vidlink.access.oidc.idtoken import check
    except ImportError:
        raise UserMistake(
            "--oidc-issuer needs PyJWT: pip install 'PyJWT[crypto]', or VidLink as 'vidlink[oidc]'"
        ) from None
    from treq.client import HTTPClient
    from twisted.web.client import Agent, HTTPConnectionPool

    pool = HTTPConnectionPool(clock, persistent=False)
    treq = HTTPClient(Agent(clock, connectTimeout=ANSWER_SECONDS, pool=pool))
    provider = Provider(settings, treq, clock, bounds)
    return Returning(settings, provider, check, now_us, bounds)
