"""Where in a request a credential is: in its header, in a cookie, in its address.

The cookie is for pages of our own origin alone. Over TLS its name begins with ``__Host-``, which
browsers let nobody set for another host, path or port, or in the clear (RFC 6265bis section
4.1.3.2). Over plain HTTP there can be none of that name; the one that is used instead is given
out on loopback only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from vidlink.errors import NotAuthenticated

SECURE_COOKIE, PLAIN_COOKIE = "__Host-vidlink", "vidlink"
#: The parameter of an address that carries a ticket.
TICKET = "ticket"
#: RFC 6750 section 2.1; the scheme's letters may be of either case (RFC 9110 section 11.1).
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,512}=*)", re.IGNORECASE)
_OURS = re.compile(r"\s*bearer(?![\w-])", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,512}=*")


def cookie_name(is_secure: bool) -> str:
    """The name of the cookie of a login."""
    return SECURE_COOKIE if is_secure else PLAIN_COOKIE


def token_shown(
    authorization: Sequence[str], cookie: Sequence[str], *, is_secure: bool
) -> str | None:
    """The token that a request shows; None if it shows none.

    :param authorization: all values of the header ``Authorization``.
    :param cookie: all values of the header ``Cookie``; none where the page that asks is not ours.
    :raises NotAuthenticated: if what it shows is no token.
    """
    # What a proxy before us has asked for (Basic, mostly) is not meant for us.
    authorization = [one for one in authorization if _OURS.match(one)]
    if authorization:
        match = _BEARER.fullmatch(authorization[0].strip()) if len(authorization) == 1 else None
        if match is None:
            raise NotAuthenticated("the header Authorization has to be: Bearer, and a token")
        return match[1]
    wanted = cookie_name(is_secure)
    for line in cookie:
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted and _TOKEN.fullmatch(value):
                return value
    return None


def ticket_shown(query: str) -> str | None:
    """The ticket in the query of an address; None if there is none, or more than one."""
    found = [value for name, value in parse_qsl(query) if name == TICKET]
    return found[0] if len(found) == 1 else None


def without_ticket(query: str) -> str:
    """The query of an address without its tickets, as it was otherwise."""
    return "&".join(one for one in query.split("&") if one.partition("=")[0] != TICKET)
