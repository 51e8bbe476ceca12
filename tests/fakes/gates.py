"""Gates: one that lets everybody in, and one with credentials of its own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import execute
from twisted.internet.interfaces import IReactorTime

from vidlink.access.credentials import Credentials, Login, Token, User
from vidlink.access.gate import LOGIN_US, Gate
from vidlink.access.hashing import digest_of, new_token
from vidlink.access.register import Register
from vidlink.audit.files import AuditFiles
from vidlink.audit.trail import Trail
from vidlink.disk import Disk
from vidlink.model import USUAL, Bounds, Principal, Right, Role

#: Whoever may do everything, everywhere.
ANYBODY = Principal("tester", "token:test", frozenset(Right))
#: The password of every user here, and its hash, which costs next to nothing to check.
PASSWORD = "correct horse"
KEPT = "$scrypt$ln=1,r=1,p=1$c2FsdHNhbHRzYWx0$JhpuZJylqyMnEt0gssPxLNbLygkaTPP/3ipC7oclHqw"


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


class Keys:
    """Credentials in `folder`, and a gate that asks for them as long as there has been one.

    :param checkers: of passwords from elsewhere.
    """

    def __init__(self, folder: str, clock: Any, checkers: Any = (), bounds: Bounds = USUAL) -> None:
        self.clock = clock
        #: As a command has them; the server reads them for itself.
        self.credentials = Credentials(folder)
        self.register = Register(Credentials(folder), now_us=self.now_us, run_in_pool=execute)
        self.gate = Gate(
            self.register,
            clock,
            now_us=self.now_us,
            run_in_pool=execute,
            checkers=checkers,
            is_open=lambda: not self.register.is_begun,
            bounds=bounds,
        )
        self._made = 0

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return int(self.clock.seconds() * 1_000_000)

    def user(
        self,
        name: str,
        *roles: Role,
        groups: frozenset[str] | None = None,
        password: str | None = KEPT,
        is_new: bool = True,
    ) -> None:
        """Make or change a user, whose password is :data:`PASSWORD`."""
        user = User(name, password, frozenset(roles), groups, self.now_us())
        self.credentials.put_user(user, is_new=is_new)
        self.register.refresh()

    def login(self, name: str, login_id: str = "0badcafe") -> str:
        """Log a user in; what its browser shows then."""
        token = new_token()
        now_us = self.now_us()
        login = Login(login_id, digest_of(token), name, now_us, now_us + LOGIN_US, "::1", "test/1")
        self.credentials.put_login(login, 20)
        self.register.refresh()
        return token

    def token(
        self,
        *roles: Role,
        groups: frozenset[str] | None = None,
        sentinel_id: str | None = None,
        sentinel_group: str | None = None,
        expires_us: int | None = None,
        most: int | None = None,
    ) -> str:
        """Make a token; its secret. The first has the id ``token-1``."""
        secret = new_token()
        self._made += 1
        self.credentials.put_token(
            Token(
                f"token-{self._made}",
                digest_of(secret),
                f"program {self._made}",
                frozenset(roles),
                groups,
                sentinel_id,
                sentinel_group,
                self.now_us(),
                expires_us,
                most,
            )
        )
        self.register.refresh()
        return secret

    def revoke(self, number: int = 1) -> None:
        """Revoke the token with that number."""
        self.credentials.remove_token(f"token-{number}")
        self.register.refresh()
