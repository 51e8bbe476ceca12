"""Gates that let everybody in, or whoever has the key, and whoever may do everything."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.interfaces import IReactorTime

from vidlink.access.credentials import Credentials
from vidlink.access.gate import Gate
from vidlink.access.register import Register
from vidlink.audit.files import AuditFiles
from vidlink.audit.trail import Trail
from vidlink.disk import Disk
from vidlink.errors import NotAuthenticated
from vidlink.model import Principal, Right

#: Whoever may do everything, everywhere.
ANYBODY = Principal("tester", "token:test", frozenset(Right))


def anybody(request: Any) -> Principal:
    """Takes whoever sends a request for one who may do everything."""
    return ANYBODY


def open_gate(clock: IReactorTime) -> Gate:
    """A gate that asks nobody for a credential."""
    register = Register(Credentials("no-folder"), now_us=lambda: 0, run_in_pool=execute)
    return Gate(register, clock, now_us=lambda: 0, run_in_pool=execute, is_open=lambda: True)


def trail(folder: str, clock: IReactorTime) -> Trail:
    """An audit trail in `folder`, written at once."""
    files = AuditFiles(folder, Disk())
    return Trail(files, seconds=clock.seconds, now_us=lambda: 0, run_in_pool=execute)


class LockedGate:
    """A gate for whoever shows the token of the moment, as long as it is that of the moment."""

    def __init__(self, token: str) -> None:
        self.token = token
        #: What was shown, in order.
        self.shown: list[str | None] = []

    def identify(
        self, token: str | None, ticket: str | None = None, path: str = ""
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
