"""Tickets: one thing opened for a short while, for whoever cannot show a credential.

Players and pages of other origins take an address and nothing else. A ticket in it
(``?ticket=...``) has to be used within 30 s, and opens what it was made for and nothing else: the
socket of proctors once, a film or a playlist with its segments for as long as it may be played.
It ends with the credential that it was asked for with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vidlink.access.hashing import digest_of, new_token
from vidlink.errors import NotFound, TooManyTickets
from vidlink.model import Principal

#: A ticket that was not used by then is worth nothing.
UNUSED_SECONDS = 30.0
#: One that was opens a film for so long.
LIFE_SECONDS = 12 * 60 * 60.0
#: Tickets of one principal, and of all together; the next is refused until one has ended.
MOST_EACH, MOST = 200, 10_000

_SOCKET = "/ws/proctor"
_FILM = re.compile(
    r"(?P<session>/api/v1/sentinels/[^/?]+/sessions/[^/?]+)/(?P<name>recording\.mp4|index\.m3u8)"
)
_OF_A_PLAYLIST = re.compile(r"/(index\.m3u8|init\.mp4|segments/[0-9]+(-[0-9]+)?(\.mp4)?)")


@dataclass(slots=True)
class _Ticket:
    principal: Principal
    path: str
    until_seconds: float
    is_used: bool = False


class Tickets:
    """The tickets that are out.

    :param seconds: the monotonic clock.
    :param is_current: whether a principal's credential is still valid.
    """

    def __init__(
        self, seconds: Callable[[], float], is_current: Callable[[Principal], bool]
    ) -> None:
        self._seconds = seconds
        self._is_current = is_current
        self._out: dict[bytes, _Ticket] = {}

    def issue(self, principal: Principal, path: str) -> str:
        """A ticket that opens `path`, such as ``/ws/proctor``, with the rights of `principal`.

        :raises NotFound: if there are no tickets for that.
        :raises TooManyTickets: if too many are out.
        """
        if path != _SOCKET and _FILM.fullmatch(path) is None:
            raise NotFound(f"there are tickets for {_SOCKET}, a recording.mp4 and an index.m3u8")
        self._forget_ended()
        each = sum(1 for one in self._out.values() if one.principal == principal)
        if each >= MOST_EACH or len(self._out) >= MOST:
            raise TooManyTickets("too many tickets are out; wait until some have ended")
        ticket = new_token()
        self._out[digest_of(ticket)] = _Ticket(principal, path, self._seconds() + UNUSED_SECONDS)
        return ticket

    def redeem(self, ticket: str, path: str) -> Principal | None:
        """Whom the `ticket` stands for at `path`; None if it does not open that, or nothing."""
        digest = digest_of(ticket)
        found = self._out.get(digest)
        if found is None or not _opens(found.path, path):
            return None
        if self._seconds() >= found.until_seconds or not self._is_current(found.principal):
            del self._out[digest]
            return None
        if found.path == _SOCKET:
            del self._out[digest]
        elif not found.is_used:
            found.is_used, found.until_seconds = True, self._seconds() + LIFE_SECONDS
        return found.principal

    def _forget_ended(self) -> None:
        now = self._seconds()
        self._out = {
            digest: one
            for digest, one in self._out.items()
            if now < one.until_seconds and self._is_current(one.principal)
        }


def _opens(what: str, path: str) -> bool:
    if path == what:
        return True
    film = _FILM.fullmatch(what)
    if film is None or film["name"] != "index.m3u8":
        return False
    rest = path.removeprefix(film["session"])
    return rest != path and _OF_A_PLAYLIST.fullmatch(rest) is not None
