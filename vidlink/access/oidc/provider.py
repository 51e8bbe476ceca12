"""The identity provider over HTTP: what it says of itself, its keys, and codes for ID tokens.

Everything is bounded in size and time, nothing is followed elsewhere, and whatever many wait for
is fetched once. That somebody cannot log in now says nothing of why: that stands in the log, and
nothing of codes or tokens does.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredSemaphore,
    TimeoutError,
    fail,
    succeed,
)
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from vidlink.access.oidc.settings import Settings, is_safe
from vidlink.errors import LoginRefused, ProviderFailed
from vidlink.model import USUAL, Bounds

T = TypeVar("T")
#: A whole answer has to be there within this time.
ANSWER_SECONDS = 10.0
MOST_BYTES = 256 * 1024
#: The provider's description of itself, and its keys, are asked for again after this,
KEPT_SECONDS = 3600.0
#: its keys for one that is not among them no sooner than after this,
KEYS_SECONDS = 60.0
#: and what could not be had no sooner than after this.
AGAIN_SECONDS = 5.0
MOST_KEYS = 100
#: Ways to show the secret of this server, in a header or in the form.
_BASIC, _POST = "client_secret_basic", "client_secret_post"


class UnknownKey(LoginRefused):
    """A token is signed with a key that is not among those of the provider."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The description that a provider gives of itself (OpenID Connect Discovery section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    ways: frozenset[str]
    says_issuer: bool


class _Kept(Generic[T]):
    """One thing that is fetched for all who wait for it, and kept for a while."""

    def __init__(
        self,
        seconds: Callable[[], float],
        fetch: Callable[[], Coroutine[Any, Any, T]],
    ) -> None:
        self._seconds = seconds
        self._fetch = fetch
        self._value: T | None = None
        self._failure: Failure | None = None
        self._asked_seconds = 0.0
        self._waiting: list[Deferred[T]] | None = None

    def get(self, newest_seconds: float = KEPT_SECONDS) -> Deferred[T]:
        """The thing, not older than so long."""
        if self._waiting is not None:
            answer: Deferred[T] = Deferred()
            self._waiting.append(answer)
            return answer
        age = self._seconds() - self._asked_seconds
        if self._failure is not None and age < AGAIN_SECONDS:
            return fail(self._failure.value)
        if self._value is not None and age < newest_seconds:
            return succeed(self._value)
        self._waiting, self._asked_seconds = [], self._seconds()
        answer = Deferred()
        self._waiting.append(answer)
        Deferred.fromCoroutine(self._fetch()).addCallbacks(self._have, self._lack)
        return answer

    def _have(self, value: T) -> None:
        self._value, self._failure = value, None
        for one in self._taken():
            one.callback(value)

    def _lack(self, failure: Failure) -> None:
        self._value, self._failure = None, failure
        for one in self._taken():
            one.errback(failure.value)

    def _taken(self) -> list[Deferred[T]]:
        waiting, self._waiting = self._waiting or [], None
        return waiting


class Provider:
    """The provider of `settings`.

    :param treq: a :class:`treq.client.HTTPClient`, or what stands in for one.
    :param bounds: of the codes that are being exchanged at a time.
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, treq: Any, clock: IReactorTime, bounds: Bounds = USUAL
    ) -> None:
        self._settings = settings
        self._treq = treq
        self._clock = clock
        self._metadata = _Kept(clock.seconds, self._fetch_metadata)
        self._keys = _Kept(clock.seconds, self._fetch_keys)
        self._exchanges = DeferredSemaphore(bounds.oidc_exchanges)

    def metadata(self) -> Deferred[Metadata]:
        """Its description of itself.

        :raises ProviderFailed: if that cannot be had, or cannot be used.
        """
        return self._metadata.get()

    def keys(self, *, has_unknown: bool = False) -> Deferred[list[dict[str, Any]]]:
        """The keys that it signs with, as JWKs; anew, if one is not among them.

        :raises ProviderFailed: if they cannot be had.
        """
        return self._keys.get(KEYS_SECONDS if has_unknown else KEPT_SECONDS)

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code that the provider has given out.

        :raises LoginRefused: if it does not take the code.
        :raises ProviderFailed: if it answers nothing that can be used.
        """
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        client_id, secret = self._settings.client_id, self._settings.secret
        # RFC 6749 section 2.3.1; some providers leave out to decode it.
        pair = f"{quote_plus(client_id)}:{quote_plus(secret or '')}"
        is_plain = pair == f"{client_id}:{secret}"
        is_header = _POST not in metadata.ways or (is_plain and _BASIC in metadata.ways)
        if secret is not None and is_header:
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode('ascii')}"
        else:
            form["client_id"] = client_id
            if secret is not None:
                form["client_secret"] = secret

        def ask() -> Deferred[tuple[int, Any]]:
            data = urlencode(form).encode("ascii")
            return self._json("POST", metadata.token_endpoint, headers=headers, data=data)

        status, answer = await self._exchanges.run(ask)
        error = answer.get("error") if isinstance(answer, dict) else None
        if error == "invalid_grant":
            raise LoginRefused("the login took too long, or was used already; begin again")
        if status != 200:
            raise self._failed(f"its token endpoint answers {status} ({_word(error)})")
        token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise self._failed("its token endpoint gives no ID token")
        return token

    async def _fetch_metadata(self) -> Metadata:
        issuer = self._settings.issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        status, told = await self._json("GET", url)
        if status != 200 or not isinstance(told, dict):
            raise self._failed(f"{url} answers {status}, and does not describe a provider")
        if told.get("issuer") != issuer:
            raise self._failed(f"it calls itself {_short(told.get('issuer'))}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe(told.get(name), issuer):
                raise self._failed(f"its {name} is no https:// address: {_short(told.get(name))}")
        ways = told.get("token_endpoint_auth_methods_supported")
        return Metadata(
            told["authorization_endpoint"],
            told["token_endpoint"],
            told["jwks_uri"],
            ways=frozenset(one for one in ways if isinstance(one, str))
            if isinstance(ways, list)
            else frozenset({_BASIC}),
            says_issuer=told.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _fetch_keys(self) -> list[dict[str, Any]]:
        url = (await self.metadata()).jwks_uri
        status, told = await self._json("GET", url)
        keys = told.get("keys") if isinstance(told, dict) else None
        if status != 200 or not isinstance(keys, list):
            raise self._failed(f"{url} answers {status}, and has no keys")
        return [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]

    def _json(self, method: str, url: str, **wishes: Any) -> Deferred[tuple[int, Any]]:
        """Status and JSON of an answer; None in place of what is no JSON.

        :raises ProviderFailed: if there is none, or it is too long, or too late.
        """

        def failed(failure: Failure) -> Any:
            error = failure.value
            if isinstance(error, CancelledError):
                # Nobody waits for it any more.
                raise error
            reasons = getattr(error, "reasons", None)
            if reasons:
                # What went wrong is inside what Twisted wraps it in.
                error = reasons[0].value
            what = "is too late" if isinstance(error, TimeoutError) else "cannot be had"
            raise self._failed(f"the answer of {url} {what}: {_short(error or 'no reason')}")

        asked = Deferred.fromCoroutine(self._ask(method, url, **wishes))
        return asked.addTimeout(ANSWER_SECONDS, self._clock).addErrback(failed)

    async def _ask(self, method: str, url: str, **wishes: Any) -> tuple[int, Any]:
        headers: Mapping[str, str] = {"Accept": "application/json", **wishes.pop("headers", {})}
        response = await self._treq.request(
            method, url, headers=headers, allow_redirects=False, unbuffered=True, **wishes
        )
        body = _Body()
        response.deliverBody(body)
        octets = await body.done
        try:
            return response.code, json.loads(octets)
        except (ValueError, RecursionError):
            return response.code, None

    def _failed(self, why: str) -> ProviderFailed:
        self._log.error("the identity provider {issuer} cannot be used: {why}",
                        issuer=self._settings.issuer, why=why)  # fmt: skip
        return ProviderFailed(
            "the identity provider cannot be reached, or does not answer as it should; try again "
            "later, or ask whoever runs this server, whose log says more"
        )


class _Body(Protocol):
    """Takes one body, up to a limit."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self.done: Deferred[bytes] = Deferred(lambda _: self._break_off())

    def dataReceived(self, data: bytes) -> None:
        """A piece of it."""
        self._held_bytes += len(data)
        if self.done.called:
            return
        if self._held_bytes > MOST_BYTES:
            self.done.errback(ValueError(f"it is longer than {MOST_BYTES} bytes"))
            self._break_off()
            return
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        """The body is over, or broken off."""
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(reason)

    def _break_off(self) -> None:
        self._pieces.clear()
        transport: Any = self.transport
        if transport is not None:
            getattr(transport, "abortConnection", transport.loseConnection)()


def _short(value: object) -> str:
    return repr(value if isinstance(value, str) else str(value))[:200]


def _word(value: object) -> str:
    return _short(value) if isinstance(value, str) else "no reason"
