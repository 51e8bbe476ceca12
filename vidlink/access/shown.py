"""Where in a request a credential is: in its header, in a cookie, in its address.

The cookie is for pages of our own origin alone. Over TLS its name begins with ``__Host-``, which
browsers let nobody set for another host, path or port, or in the clear (RFC 6265bis section
4.1.3.2). Over plain HTTP there can be none of that name; the one that is used instead is given
out on loopback only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote_plus

from vidlink.errors import NotAuthenticated

SECURE_COOKIE, PLAIN_COOKIE = "__Host-vidlink", "vidlink"
#: The parameter of an address that carries a ticket.
TICKET = "ticket"
#: RFC 6750 section 2.1; the scheme's letters may be of either case (RFC 9110 section 11.1).
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,512}=*)", re.IGNORECASE)
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
    if authorization:
        match = _BEARER.fullmatch(authorization[0].strip()) if len(authorization) == 1 else None
        if match is None:
            raise NotAuthenticated("the header Authorization has to be: Bearer, and a token")
        return match[1]
    values = _values_of(cookie_name(is_secure), cookie)
    if len(values) > 1:
        # One of them may have been set by another program of the same host, which on plain HTTP
        # nothing prevents.
        raise NotAuthenticated("there are two cookies of one name: delete those of this site")
    # What a logout leaves is empty.
    return values[0] if values and _TOKEN.fullmatch(values[0]) else None


def has_secure_cookie(cookie: Sequence[str]) -> bool:
    """True if there is a cookie that browsers send over TLS alone."""
    return bool(_values_of(SECURE_COOKIE, cookie))


def _values_of(wanted: str, cookie: Sequence[str]) -> list[str]:
    pairs = (pair.strip().partition("=") for line in cookie for pair in line.split(";"))
    return [value for name, _, value in pairs if name == wanted]


def ticket_shown(query: str) -> str | None:
    """The ticket in the query of an address; None if there is none, and empty, which opens nothing,
    if there are several."""
    if not _may_show(query):
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    found = [value for name, value in pairs if name == TICKET]
    return found[0] if len(found) == 1 else "" if found else None


def with_ticket(address: str, ticket: str) -> str:
    """An address that shows `ticket`, too."""
    return f"{address}{'&' if '?' in address else '?'}{TICKET}={ticket}"


def without_ticket(target: str) -> str:
    """A request's target without its tickets, as it was otherwise; so it may be told to others."""
    path, _, query = target.partition("?")
    if not _may_show(query):
        return target
    pairs = query.split("&")
    rest = [one for one in pairs if not _is_ticket(one)]
    if len(rest) == len(pairs):
        return target
    return f"{path}?{'&'.join(rest)}" if rest else path


def _may_show(query: str) -> bool:
    """False if there is no ticket in it, however it is spelt."""
    return TICKET in query or "%" in query


def _is_ticket(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]) == TICKET
