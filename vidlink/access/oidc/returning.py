"""The way to the provider and back: what is sent along, and what has to come back.

Nothing of it is kept here, so that strangers can make nothing grow: the browser keeps one secret in
a cookie, and all that goes out of our hands (state, nonce, the challenge) is derived from it, one
way. Whoever does not have the cookie cannot answer, and who has made up one has begun that login.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

from vidlink.access.oidc.claims import Person, person
from vidlink.access.oidc.provider import Metadata, Provider, UnknownKey
from vidlink.access.oidc.settings import Settings
from vidlink.errors import LoginRefused, TooManyTries
from vidlink.model import USUAL, Bounds, network_of

#: Somebody has so long to log in there; the browser forgets the secret then.
RETURN_SECONDS = 600
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
#: Error codes of RFC 6749 section 4.1.2.1 and their like.
_ERROR = re.compile(r"[a-z_]{1,40}", re.ASCII)
_ANSWERS = ("code", "state", "error", "iss")
_NOT_BEGUN = (
    "this is no answer to a login that was begun in this browser within the last ten minutes; "
    "begin again"
)

#: Checks an ID token: token, keys, settings, nonce, seconds since the epoch.
Check = Callable[..., Mapping[str, Any]]


class Returning:
    """Sends people to the provider, and takes them when they come back.

    :param check: :func:`vidlink.access.oidc.idtoken.check`.
    :param now_us: microseconds since the epoch.
    :param bounds: of those who are on their way at a time.
    """

    def __init__(
        self,
        settings: Settings,
        provider: Provider,
        check: Check,
        now_us: Callable[[], int],
        bounds: Bounds = USUAL,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._provider = provider
        self._check = check
        self._now_us = now_us
        self._most, self._most_each = bounds.oidc_logins, bounds.oidc_logins_per_place
        self._going: list[str] = []

    async def begin(self, redirect_uri: str, address: str) -> tuple[str, str]:
        """The address to send the browser to, and the secret that it has to keep.

        :raises ProviderFailed: if the provider does not say where.
        :raises TooManyTries: if too many are on their way.
        """
        with self._counted(address):
            metadata = await self._provider.metadata()
        secret = secrets.token_urlsafe(32)
        challenge = hashlib.sha256(_derived(secret, "verifier").encode("ascii")).digest()
        asked = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self._settings.scopes),
                "state": _derived(secret, "state"),
                "nonce": _derived(secret, "nonce"),
                "code_challenge": _b64(challenge),
                "code_challenge_method": "S256",
            }
        )
        where = metadata.authorization_endpoint.partition("#")[0]
        return f"{where}{'&' if '?' in where else '?'}{asked}", secret

    async def finish(
        self, secret: str | None, query: str, redirect_uri: str, address: str
    ) -> Person:
        """The person who comes back with `query` and with the `secret` of the begin.

        :raises LoginRefused: if they are not let in.
        :raises ProviderFailed: if the provider does not say who they are.
        :raises TooManyTries: if too many are on their way.
        """
        answers = _answers(query)
        if secret is None or not _SECRET.fullmatch(secret):
            raise LoginRefused(_NOT_BEGUN)
        state = answers.get("state", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(state, _derived(secret, "state").encode("ascii")):
            raise LoginRefused(_NOT_BEGUN)
        with self._counted(address):
            self._check_answers(answers, await self._provider.metadata())
            verifier = _derived(secret, "verifier")
            token = await self._provider.exchange(answers["code"], verifier, redirect_uri)
            claims = await self._claims(token, _derived(secret, "nonce"))
        return person(claims, self._settings, self._now_us())

    def _check_answers(self, answers: Mapping[str, str], metadata: Metadata) -> None:
        # RFC 9207: an answer of another provider than the one that was asked.
        if answers.get("iss", self._settings.issuer) != self._settings.issuer or (
            metadata.says_issuer and "iss" not in answers
        ):
            raise LoginRefused("this is the answer of another identity provider; begin again")
        error = answers.get("error")
        if error == "access_denied":
            raise LoginRefused("the login was denied at the identity provider")
        if error is not None:
            word = error if _ERROR.fullmatch(error) else "for a reason that it should not give"
            raise LoginRefused(f"the identity provider does not let you in: {word}")
        if not answers.get("code"):
            raise LoginRefused(_NOT_BEGUN)

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        async def look(*, has_unknown: bool) -> Mapping[str, Any]:
            keys = await self._provider.keys(has_unknown=has_unknown)
            return self._check(token, keys, self._settings, nonce, self._now_us() / 1_000_000)

        try:
            return await look(has_unknown=False)
        except UnknownKey:
            # It may have begun to sign with a new one.
            return await look(has_unknown=True)

    @contextmanager
    def _counted(self, address: str) -> Iterator[None]:
        place = network_of(address)
        each = self._going.count(place)
        if len(self._going) >= self._most or each >= self._most_each:
            raise TooManyTries("too many log in at this moment; try again")
        self._going.append(place)
        try:
            yield
        finally:
            self._going.remove(place)


def _answers(query: str) -> dict[str, str]:
    """The parameters that are ours of a query; a provider may send more, which is to be passed
    over (RFC 6749 section 4.1.2).

    :raises LoginRefused: if something is there twice.
    """
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    found = [(name, value) for name, value in pairs if name in _ANSWERS]
    if len(dict(found)) != len(found):
        raise LoginRefused(_NOT_BEGUN)
    return dict(found)


def _derived(secret: str, purpose: str) -> str:
    """43 characters that tell nothing of `secret`, nor of those of another purpose."""
    return _b64(hmac.digest(secret.encode("ascii"), purpose.encode("ascii"), "sha256"))


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
