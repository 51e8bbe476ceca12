"""A gate that knows one token."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed

from vidlink.errors import NotAuthenticated
from vidlink.model import Principal, Right


class LockedGate:
    """A gate for whoever shows the token of the moment, as long as it is that of the moment."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.did: Callable[..., None] = lambda *about, **more: None
        #: What was shown, in order.
        self.shown: list[str | None] = []

    def identify(
        self,
        token: str | None,
        ticket: str | None = None,
        path: str = "",
        *,
        place: object = None,
        address: str = "",
    ) -> Deferred[Principal]:
        """Whoever shows it."""
        self.shown.append(token)
        if token != self.token:
            return fail(NotAuthenticated("the credential that was shown is not valid"))
        return succeed(self._bearer())

    def is_current(self, principal: Principal) -> bool:
        """True until the token is another one."""
        return principal == self._bearer()

    def _bearer(self) -> Principal:
        return Principal("bearer", f"token:{self.token}", frozenset(Right))
