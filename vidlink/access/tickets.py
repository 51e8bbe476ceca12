"""Tickets: one thing opened for a short while, for whoever cannot show a credential.

Players and pages of other origins take an address and nothing else. A ticket in it
(``?ticket=...``) has to be used within 30 s, and opens what it was made for and nothing else: the
socket of proctors once, a film or a playlist with its segments for as long as it may be played.
It ends with the credential that it was asked for with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vidlink.access.hashing import digest_of, new_token
from vidlink.errors import NotFound, TooManyTickets
from vidlink.model import USUAL, Bounds, Principal

#: A ticket that was not used by then is worth nothing.
UNUSED_SECONDS = 30.0
#: One that was opens a film for so long.
LIFE_SECONDS = 12 * 60 * 60.0
#: With so many out, all of them are looked through this often at most.
_LOOK_SECONDS = 1.0

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
    :param bounds: of the tickets of one credential and of all; the next is refused until one has
        ended.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        is_current: Callable[[Principal], bool],
        bounds: Bounds = USUAL,
    ) -> None:
        self._seconds = seconds
        self._is_current = is_current
        self._most_each, self._most = bounds.tickets_per_credential, bounds.tickets
        self._out: dict[bytes, _Ticket] = {}
        #: Those of each credential, as all of them are too many to be looked through for one.
        self._of: dict[str, set[bytes]] = {}
        self._looked_seconds = float("-inf")

    def issue(self, principal: Principal, path: str) -> str:
        """A ticket that opens `path`, such as ``/ws/proctor``, with the rights of `principal`.

        :raises NotFound: if there are no tickets for that.
        :raises TooManyTickets: if too many are out.
        """
        if path != _SOCKET and _FILM.fullmatch(path) is None:
            raise NotFound(f"there are tickets for {_SOCKET}, a recording.mp4 and an index.m3u8")
        now = self._seconds()
        each = self._of.get(principal.credential_id, set())
        if len(each) >= self._most_each:
            self._forget_ended(tuple(each))
        if len(self._out) >= self._most and now - self._looked_seconds >= _LOOK_SECONDS:
            self._looked_seconds = now
            self._forget_ended(tuple(self._out))
        if len(each) >= self._most_each or len(self._out) >= self._most:
            raise TooManyTickets("too many tickets are out; wait until some have ended")
        ticket = new_token()
        digest = digest_of(ticket)
        self._out[digest] = _Ticket(principal, path, now + UNUSED_SECONDS)
        self._of.setdefault(principal.credential_id, set()).add(digest)
        return ticket

    def redeem(self, ticket: str, path: str) -> Principal | None:
        """Whom the `ticket` stands for at `path`; None if it does not open that, or nothing."""
        digest = digest_of(ticket)
        found = self._out.get(digest)
        if found is None or not _opens(found.path, path):
            return None
        if self._is_over(found):
            self._forget(digest)
            return None
        if found.path == _SOCKET:
            self._forget(digest)
        elif not found.is_used:
            found.is_used, found.until_seconds = True, self._seconds() + LIFE_SECONDS
        return found.principal

    def _is_over(self, one: _Ticket) -> bool:
        return self._seconds() >= one.until_seconds or not self._is_current(one.principal)

    def _forget_ended(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            if self._is_over(self._out[digest]):
                self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        credential_id = self._out.pop(digest).principal.credential_id
        self._of[credential_id].discard(digest)
        if not self._of[credential_id]:
            del self._of[credential_id]


def _opens(what: str, path: str) -> bool:
    if path == what:
        return True
    film = _FILM.fullmatch(what)
    if film is None or film["name"] != "index.m3u8":
        return False
    rest = path.removeprefix(film["session"])
    return rest != path and _OF_A_PLAYLIST.fullmatch(rest) is not None
