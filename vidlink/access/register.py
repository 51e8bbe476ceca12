"""The credentials in memory: who stands behind what is shown, now.

Every look is in memory and takes no time to speak of; the database is only read anew, in a
thread, when somebody has changed it. As long as it cannot be read, what was known stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger

from vidlink.access.credentials import Credentials, Everything, Login, User
from vidlink.access.hashing import digest_of
from vidlink.errors import StoreError
from vidlink.model import Enrolment, Principal, rights_of

T = TypeVar("T")
#: The kinds of credentials; an id is one, a colon, and a key.
USER, TOKEN, LOGIN = "user", "token", "login"


class Register:
    """All credentials of `credentials`, as they were when last looked at.

    :param now_us: microseconds since the epoch, by which they expire.
    :param run_in_pool: runs a function in a thread, and fires with what it gives.
    """

    _log = Logger()

    def __init__(
        self,
        credentials: Credentials,
        *,
        now_us: Callable[[], int],
        run_in_pool: Callable[..., Deferred[Any]],
    ) -> None:
        self._credentials = credentials
        self._now_us = now_us
        self._run_in_pool = run_in_pool
        # The database is used by one thread at a time.
        self._lock = DeferredLock()
        #: Called with every change that was seen: of what, by name, and how.
        self.did: Callable[..., None] = lambda **about: None
        self._version: object = None
        self._is_in_trouble = self._is_looking = False
        self._take(Everything((), (), ()))

    @property
    def is_begun(self) -> bool:
        """True if there has ever been a credential, also if there is none by now."""
        return self._version is not None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing by which anybody could be let in."""
        return not (self._users or self._tokens)

    def load(self) -> None:
        """Read everything now; may block.

        :raises StoreError: if that cannot be done.
        """
        self._version = self._credentials.version()
        self._take(self._credentials.read())
        # Opened by whoever starts the server, and used by whom it then runs as.
        self._credentials.close()

    def refresh(self) -> Deferred[None]:
        """Look whether somebody has changed something, and if so read it; never fails.

        To be called about once a second; does nothing as long as the last look goes on.
        """
        if self._is_looking:
            return succeed(None)
        self._is_looking = True
        return Deferred.fromCoroutine(self._refresh())

    def change(self, work: Callable[[Credentials], T]) -> Deferred[T]:
        """Do `work` in a thread, and know what it has changed; fires with what it gives.

        It is done to its end even if nobody waits for it any more: the next has to wait for it.

        :raises StoreError: if that cannot be done.
        """
        answer: Deferred[T] = Deferred()
        Deferred.fromCoroutine(self._change(work)).chainDeferred(answer)
        return answer

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    def logins(self, user_name: str) -> tuple[Login, ...]:
        """Where a user is logged in, the newest last."""
        mine = (one for one in self._logins.values() if one.user_name == user_name)
        now = self._now_us()
        return tuple(sorted((one for one in mine if now < one.expires_us),
                            key=lambda one: one.created_us))  # fmt: skip

    @property
    def enrolments(self) -> tuple[Enrolment, ...]:
        """The machines that have enrolled, by id."""
        return self._enrolments

    def find(self, token: str) -> Principal | None:
        """Whoever shows `token`, which may also be what a login has given; None: nobody."""
        credential_id = self._by_digest.get(digest_of(token))
        return None if credential_id is None else self.principal(credential_id)

    def principal(self, credential_id: str) -> Principal | None:
        """Whom the credential with that id stands for now; None if it is not valid any more."""
        kind, _, key = credential_id.partition(":")
        if kind == TOKEN:
            token = self._tokens.get(key)
            if token is None or self._is_over(token.expires_us):
                return None
            return Principal(
                token.name,
                credential_id,
                rights_of(token.roles),
                token.groups,
                token.sentinel_id,
                token.sentinel_group,
            )
        if kind == LOGIN:
            login = self._logins.get(key)
            if login is None or self._is_over(login.expires_us):
                return None
            key = login.user_name
        user = self._users.get(key)
        if user is None:
            return None
        return Principal(user.name, credential_id, rights_of(user.roles), user.groups)

    def _is_over(self, expires_us: int | None) -> bool:
        return expires_us is not None and self._now_us() >= expires_us

    async def _refresh(self) -> None:
        try:
            found: Everything | None = await self._lock.run(self._run_in_pool, self._look)
        except StoreError as error:
            if not self._is_in_trouble:
                self._log.error("{error}; those that were known stay valid", error=error)
            self._is_in_trouble = True
            return
        finally:
            self._is_looking = False
        self._is_in_trouble = False
        if found is not None:
            self._tell(found)
            self._take(found)

    def _look(self) -> Everything | None:
        """Everything, if somebody has changed something; for a thread."""
        version = self._credentials.version()
        if version == self._version:
            return None
        if version is None:
            raise StoreError(f"the credentials in {self._credentials.path} are gone")
        found = self._credentials.read()
        self._version = version
        return found

    async def _change(self, work: Callable[[Credentials], T]) -> T:
        def do() -> tuple[T, Everything]:
            return work(self._credentials), self._credentials.read()

        outcome: T
        outcome, found = await self._lock.run(self._run_in_pool, do)
        self._tell(found)
        self._take(found)
        return outcome

    def _tell(self, found: Everything) -> None:
        """Tell what is another than it was, but for logins and what enrolment has given."""
        users = {user.name: user for user in found.users}
        now = {one.sentinel_id: one.own_token for one in found.enrolments}
        given = {*now.values()} - self._tokens.keys()
        replaced = {
            one.own_token
            for one in self._enrolments
            if now.get(one.sentinel_id, one.own_token) != one.own_token
        }
        tokens, before = (
            {f"{one.token_id} of {one.name}": one for one in some if one.token_id not in passed}
            for some, passed in ((found.tokens, given), (self._tokens.values(), replaced))
        )
        kinds: tuple[tuple[str, Mapping[str, object], Mapping[str, object]], ...] = (
            (USER, self._users, users),
            (TOKEN, before, tokens),
        )
        for kind, old, new in kinds:
            for name in sorted({*old, *new}):
                if old.get(name) != new.get(name):
                    change = "added" if name not in old else "changed"
                    self.did(**{kind: name, "how": change if name in new else "removed"})

    def _take(self, found: Everything) -> None:
        self._users = {user.name: user for user in found.users}
        self._tokens = {token.token_id: token for token in found.tokens}
        self._logins = {login.login_id: login for login in found.logins}
        self._enrolments = found.enrolments
        self._by_digest = {
            **{token.digest: f"{TOKEN}:{token.token_id}" for token in found.tokens},
            **{login.digest: f"{LOGIN}:{login.login_id}" for login in found.logins},
        }
