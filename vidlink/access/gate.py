"""Who asks: from what a request shows to a principal, through ``twisted.cred``.

A token is looked up in memory, so that no request waits for a disk; a password is checked in a
thread, one after another. Checkers of passwords from elsewhere can be added; what somebody may do
who came through one stands in our own list of users all the same. It is one idea: whatever is
shown, one place decides whom it stands for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials, IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, TimeoutError, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface, classImplements, implementer

from vidlink.access.credentials import VOUCHED, Credentials, Login, User
from vidlink.access.guesses import Guesses
from vidlink.access.hashing import MOST_PASSWORD, NOBODYS_HASH, digest_of, is_password, new_token
from vidlink.access.misses import Misses
from vidlink.access.register import Register
from vidlink.access.tickets import Tickets
from vidlink.errors import LoginRefused, NotAuthenticated, TooManyTries, WrongPassword
from vidlink.model import EVERYBODY, NOBODY, USUAL, Bounds, Deed, Principal, network_of

#: A login lasts for a working day; then the password is asked for again.
LOGIN_US = 12 * 60 * 60 * 1_000_000
_LONGEST_SOFTWARE = 200
#: A checker from elsewhere has so long.
_OTHERS_SECONDS = 10.0


class IBearerToken(ICredentials):
    """A token, as RFC 6750 has it; whoever bears it is let in."""

    token = Attribute("The secret (`str`).")


class IPrincipal(Interface):
    """Whoever asks; :class:`vidlink.model.Principal` is the one kind."""


classImplements(Principal, IPrincipal)


@implementer(IBearerToken)
@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token that was shown."""

    token: str


@implementer(IRealm)
class Realm:
    """Principals by the id of what was shown."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def requestAvatar(
        self, avatarId: Any, mind: object, *interfaces: Any
    ) -> tuple[Any, Principal, Callable[[], None]]:
        """The principal behind a credential id.

        :raises NotImplementedError: if something else is wanted than an :class:`IPrincipal`.
        :raises UnauthorizedLogin: if the credential has ceased to be valid meanwhile.
        """
        if IPrincipal not in interfaces:
            raise NotImplementedError("there are principals here, and nothing else")
        principal = self._register.principal(avatarId)
        if principal is None:
            raise UnauthorizedLogin
        return IPrincipal, principal, lambda: None


@implementer(ICredentialsChecker)
class TokenChecker:
    """Checks tokens, those of logins too."""

    credentialInterfaces = (IBearerToken,)

    def __init__(self, register: Register) -> None:
        self._register = register

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The credential id of a token."""
        principal = self._register.find(credentials.token)
        if principal is None:
            return fail(UnauthorizedLogin())
        return succeed(principal.credential_id)


@implementer(IUsernamePassword)
class Typed(UsernamePassword):
    """A name and a password that somebody typed at `address`."""

    def __init__(self, name: str, password: str, address: str) -> None:
        super().__init__(
            name.encode("utf-8", "surrogatepass"), password.encode("utf-8", "surrogatepass")
        )
        self.name, self.secret, self.address = name, password, address


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Checks passwords: our own, and for users without one those of other checkers in turn.

    :param others: `ICredentialsChecker` for names with passwords.
    """

    _log = Logger()
    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self,
        register: Register,
        clock: IReactorTime,
        run_in_pool: Callable[..., Deferred[Any]],
        others: Sequence[Any] = (),
        bounds: Bounds = USUAL,
    ) -> None:
        self._register = register
        self._clock = clock
        self._run_in_pool = run_in_pool
        self._others = others
        self._guesses = Guesses(clock.seconds, self._has_logged_in, bounds)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """The credential id of a user, from :class:`Typed`."""
        return Deferred.fromCoroutine(self._request(credentials))

    def _has_logged_in(self, name: str, network: str) -> bool:
        return any(network_of(one.address) == network for one in self._register.logins(name))

    async def _request(self, typed: Typed) -> str:
        # Whom an identity provider vouches for has a password nowhere.
        is_ours = not typed.name.startswith(VOUCHED)
        user = self._register.user(typed.name) if is_ours else None

        def check() -> Deferred[bool]:
            # Where nobody else is asked, that takes as long as a wrong password.
            if user is not None and user.password is None and self._others:
                return Deferred.fromCoroutine(self._ask_others(typed))
            kept = NOBODYS_HASH if user is None or user.password is None else user.password
            return self._run_in_pool(is_password, typed.secret, kept)

        is_right = await self._guesses.check(network_of(typed.address), typed.name, check)
        if not is_right or user is None:
            raise UnauthorizedLogin
        return f"user:{user.name}"

    async def _ask_others(self, typed: Typed) -> bool:
        for other in self._others:
            asked = maybeDeferred(other.requestAvatarId, typed)
            try:
                # One that never answers would keep out everybody who waits behind it.
                await asked.addTimeout(_OTHERS_SECONDS, self._clock)
            except (LoginFailed, TimeoutError):
                continue
            except Exception:
                self._log.failure("a checker of passwords has a fault; it is passed over")
                continue
            return True
        return False


class Gate:
    """Lets in, by what is shown.

    :param now_us: microseconds since the epoch.
    :param checkers: of passwords from elsewhere.
    :param is_open: whether whoever shows nothing is let in as everybody, now.
    :param bounds: of logins, tickets, and what is shown that is wrong.
    """

    def __init__(
        self,
        register: Register,
        clock: IReactorTime,
        *,
        now_us: Callable[[], int],
        run_in_pool: Callable[..., Deferred[Any]],
        checkers: Sequence[Any] = (),
        is_open: Callable[[], bool],
        bounds: Bounds = USUAL,
    ) -> None:
        self.register = register
        self.is_open = is_open
        #: Called with every token and ticket that was refused, as a trail's `note` is.
        self.did: Callable[..., None] = lambda *about, **more: None
        self._now_us = now_us
        # The oldest login of a user ends for a newer one beyond it.
        self._most_logins = bounds.logins_per_user
        self._misses = Misses(clock.seconds, bounds)
        passwords = PasswordChecker(register, clock, run_in_pool, checkers, bounds)
        self.tickets = Tickets(clock.seconds, self.is_current, bounds)
        self._portal = Portal(Realm(register), (TokenChecker(register), passwords))

    def identify(
        self,
        token: str | None,
        ticket: str | None = None,
        path: str = "",
        *,
        place: Hashable = None,
        address: str = "",
    ) -> Deferred[Principal]:
        """Whoever shows `token`, or a `ticket` for `path`, or nothing, at `place` and `address`.

        :raises NotAuthenticated: if that lets nobody in.
        :raises TooManyTries: if too much was wrong lately that was shown there.
        """
        asked = self._identify(token, ticket, path, place)
        if token is None and ticket is None:
            return asked

        def note(failure: Failure) -> Failure:
            error: Any = failure.value
            if isinstance(error, NotAuthenticated | TooManyTries):
                via = "ticket" if token is None else "token"
                self.did(Deed.REFUSED, NOBODY, address, via=via, path=path, why=error.code)
            return failure

        return asked.addErrback(note)

    def _identify(
        self, token: str | None, ticket: str | None, path: str, place: Hashable
    ) -> Deferred[Principal]:
        if token is None and ticket is not None:
            principal = self.tickets.redeem(ticket, path)
            if principal is None:
                return fail(self._missed(place, "the ticket is not valid here, or not any more"))
            return succeed(principal)
        if token is not None:

            def missed(failure: Failure) -> Deferred[Principal]:
                failure.trap(NotAuthenticated)
                error = self._missed(place, "the credential that was shown is not valid")
                if not isinstance(error, NotAuthenticated):
                    raise error
                return Deferred.fromCoroutine(self._look_again(token, error))

            return self._admit(BearerToken(token)).addErrback(missed)
        if self.is_open():
            return succeed(EVERYBODY)
        return fail(NotAuthenticated("this server asks for a credential"))

    async def _look_again(self, token: str, error: NotAuthenticated) -> Principal:
        """Whoever shows a token that may have been made a moment ago."""
        await self.register.refresh()
        principal = self.register.find(token)
        if principal is None:
            raise error
        return principal

    def recognise(self, token: str | None, ticket: str | None, path: str) -> Principal | None:
        """The same as :meth:`identify` says, of what has let somebody in before; None if it does
        not now, or not at once."""
        if token is not None:
            return self.register.find(token)
        if ticket is not None:
            return self.tickets.redeem(ticket, path)
        return EVERYBODY if self.is_open() else None

    def is_current(self, principal: Principal) -> bool:
        """True as long as what it has shown is valid, and gives what it gave then."""
        if not principal.credential_id:
            return self.is_open()
        return self.register.principal(principal.credential_id) == principal

    async def log_in(
        self, name: str, password: str, *, address: str, software: str
    ) -> tuple[str, Principal]:
        """Log a user in; gives what the browser has to show from now on, and the user.

        :raises WrongPassword: if it is not theirs, or there is no such user.
        :raises TooManyTries: if too many were wrong lately.
        """
        if len(password) > MOST_PASSWORD:
            raise WrongPassword("name or password is wrong")
        typed = Typed(name, password, address)
        user = self.register.user(name)
        try:
            principal = await self._admit(typed)
        except NotAuthenticated:
            raise WrongPassword("name or password is wrong") from None
        token, login = self._login(principal.name, address, software)
        # The check waits for its turn, and the password may be another one by then.
        most, changed_us = self._most_logins, None if user is None else user.changed_us
        await self.register.change(lambda book: book.put_login(login, most, changed_us))
        found = self.register.find(token)
        if found is None:
            raise WrongPassword("the user was changed or removed just now")
        return token, found

    async def log_in_vouched(
        self, user: User, *, address: str, software: str
    ) -> tuple[str, Principal]:
        """The same for a user whom an identity provider vouches for, with what it says they may
        do.

        :raises LoginRefused: if they were removed at the same moment.
        """
        token, login = self._login(user.name, address, software)

        def keep(book: Credentials) -> None:
            book.put_vouched(user)
            book.put_login(login, self._most_logins)

        await self.register.change(keep)
        found = self.register.find(token)
        if found is None:
            raise LoginRefused("you were removed just now; begin again")
        return token, found

    def _login(self, name: str, address: str, software: str) -> tuple[str, Login]:
        token, now_us = new_token(), self._now_us()
        return token, Login(
            secrets.token_hex(4),
            digest_of(token),
            name,
            now_us,
            now_us + LOGIN_US,
            address,
            software[:_LONGEST_SOFTWARE],
        )

    def _missed(self, place: Hashable, otherwise: str) -> NotAuthenticated | TooManyTries:
        if self._misses.count(place):
            return NotAuthenticated(otherwise)
        return TooManyTries("too many wrong credentials were shown; wait for a minute")

    def _admit(self, shown: Any) -> Deferred[Principal]:
        def admitted(outcome: tuple[Any, Principal, Any]) -> Principal:
            return outcome[1]

        def refused(failure: Failure) -> Principal:
            failure.trap(LoginFailed)
            raise NotAuthenticated

        return self._portal.login(shown, None, IPrincipal).addCallbacks(admitted, refused)
