"""Tests of the way to an identity provider and back, with one in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.providers import (
    ISSUER,
    NOW_SECONDS,
    OTHER_KEY,
    RSA_KEY,
    FakeProvider,
    Response,
    claims,
    jwk,
    signed,
)
from vidlink.access.oidc.provider import (
    AGAIN_SECONDS,
    ANSWER_SECONDS,
    KEPT_SECONDS,
    KEYS_SECONDS,
    MOST_BYTES,
)
from vidlink.errors import LoginRefused, ProviderFailed, TooManyTries
from vidlink.model import USUAL

BACK = "https://vidlink.example.org/api/v1/oidc/callback"
METADATA = "/.well-known/openid-configuration"
ADDRESS = "10.0.0.7"


class WayCase(SynchronousTestCase):
    """A provider, and the way there and back."""

    def setUp(self) -> None:
        """Nobody is on their way."""
        self.fake = FakeProvider()
        self.way = self.fake.returning()

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` gives, at once."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, work: Coroutine[Any, Any, Any], kind: type[Exception] = LoginRefused) -> str:
        """The sentence that `work` refuses with, at once."""
        return str(self.failureResultOf(Deferred.fromCoroutine(work), kind).value)

    def begin(self) -> tuple[str, str]:
        """Somebody is sent to the provider; the query that they come back with, and their
        secret."""
        where, secret = self.now(self.way.begin(BACK, ADDRESS))
        return self.fake.sent_back(where), secret

    def finish(self, query: str, secret: str | None) -> Coroutine[Any, Any, Any]:
        """They come back."""
        return self.way.finish(secret, query, BACK, ADDRESS)


class WayTests(WayCase):
    """The way, and whoever is on it."""

    def test_there(self) -> None:
        """The browser is sent where the provider says, with what the flow has to have; the secret
        is not among it, and no two are the same."""
        where, secret = self.now(self.way.begin(BACK, ADDRESS))
        self.assertTrue(where.startswith(f"{ISSUER}/auth?tenant=1&"))
        query = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
        derived = {query.pop(name) for name in ("state", "nonce", "code_challenge")}
        self.assertEqual(
            query,
            {
                "tenant": "1",
                "response_type": "code",
                "client_id": "vidlink",
                "redirect_uri": BACK,
                "scope": "openid",
                "code_challenge_method": "S256",
            },
        )
        self.assertEqual(len(derived), 3)
        self.assertNotIn(secret, where)
        again, other = self.now(self.way.begin(BACK, ADDRESS))
        self.assertNotEqual((where, secret), (again, other))

    def test_back(self) -> None:
        """Whoever comes back is the user that the claims say, with their roles and groups; the
        verifier that goes with the code is the one of the challenge."""
        where, secret = self.now(self.way.begin(BACK, ADDRESS))
        person = self.now(self.finish(self.fake.sent_back(where), secret))
        self.assertEqual(person.user.groups, {"room-1"})
        self.assertEqual([role.value for role in person.user.roles], ["proctor"])
        self.assertIsNone(person.user.password)
        form = self.fake.form
        challenge = hashlib.sha256(form.pop("code_verifier").encode()).digest()
        said = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        self.assertIn(f"code_challenge={said}&", where)
        expected = {"grant_type": "authorization_code", "code": "c0de", "redirect_uri": BACK}
        self.assertEqual(form, expected)
        basic = base64.b64encode(b"vidlink:sesame").decode()
        self.assertEqual(self.fake.headers["Authorization"], f"Basic {basic}")

    def test_secret_in_form(self) -> None:
        """The secret goes into the form where the provider takes it nowhere else, or may read it
        otherwise in a header; a public client has none."""
        for ways, secret, is_shown in (
            (["client_secret_post"], "sesame", True),
            (["client_secret_basic", "client_secret_post"], "a b+c", True),
            (["client_secret_basic"], "a b+c", False),
            (["none"], None, False),
        ):
            self.fake.metadata["token_endpoint_auth_methods_supported"] = ways
            self.way = self.fake.returning(secret=secret)
            query, kept = self.begin()
            self.now(self.finish(query, kept))
            self.assertEqual(self.fake.form.get("client_secret"), secret if is_shown else None)
            has_header = "Authorization" in self.fake.headers
            self.assertEqual(has_header, secret is not None and not is_shown)

    def test_another_browser(self) -> None:
        """Whoever brings an answer to a login that was not begun in their browser is refused
        before the provider is asked for anything."""
        query, secret = self.begin()
        _, other = self.begin()
        for answer, kept in (
            (query, None),
            (query, ""),
            (query, other),
            (query, "x" * 43),
            (query, f"{secret}\n"),
            ("code=c0de", secret),
            (f"{query}&state=x", secret),
            (f"{query}&code=x", secret),
            (query.replace("code=", "c="), secret),
            (query.replace("state=", "state=%ED%A0%80"), secret),
            ("", secret),
        ):
            self.assertIn("begin again", self.refused(self.finish(answer, kept)))
        self.assertNotIn("/token", self.fake.asked)

    def test_denied(self) -> None:
        """What the provider refuses is told in a sentence, without any word but a code's."""
        query, secret = self.begin()
        for error, words in (
            ("access_denied", "the login was denied at the identity provider"),
            ("login_required", "does not let you in: login_required"),
            ("<b>Call 555", "for a reason that it should not give"),
        ):
            answer = query.replace("code=c0de", f"error={error}&error_description=Call+555")
            said = self.refused(self.finish(answer, secret))
            self.assertIn(words, said)
            self.assertNotIn("555", said)

    def test_more_parameters(self) -> None:
        """What a provider sends besides is passed over."""
        query, secret = self.begin()
        self.now(self.finish(f"{query}&session_state=x&session_state=y&scope=openid", secret))

    def test_mixed_up(self) -> None:
        """The answer of another provider is refused, and so is one that does not say whose it is
        where the provider always does (RFC 9207)."""
        query, secret = self.begin()
        said = self.refused(self.finish(f"{query}&iss=https://evil.example", secret))
        self.assertIn("another identity provider", said)
        self.fake.metadata["authorization_response_iss_parameter_supported"] = True
        self.way = self.fake.returning()
        self.refused(self.finish(query, secret))
        self.assertNotIn("/token", self.fake.asked)
        self.now(self.finish(f"{query}&iss={ISSUER}", secret))

    def test_used_code(self) -> None:
        """A code that the provider does not take is told apart from a provider that fails."""
        query, secret = self.begin()
        self.fake.instead["/token"] = (400, b'{"error": "invalid_grant"}')
        self.assertIn("begin again", self.refused(self.finish(query, secret)))
        for answer in (
            (401, b'{"error": "invalid_client"}'),
            (200, b"{}"),
            (200, b"[]"),
            (200, b"[" * 100_000),
            (200, b'{"id_token": 3}'),
            (302, b""),
        ):
            self.fake.instead["/token"] = answer
            self.refused(self.finish(query, secret), ProviderFailed)

    def test_another_login(self) -> None:
        """A token that answers another login is refused."""
        query, secret = self.begin()
        self.begin()
        self.assertIn("another login", self.refused(self.finish(query, secret)))

    def test_crowd(self) -> None:
        """So many may be on their way, and so many of one place, from however many addresses of its
        IPv6 network, and then others are asked to try again; nobody stays who has ended."""
        hanging: Deferred[Any] = Deferred()
        self.fake.instead[METADATA] = hanging
        for place in range(USUAL.oidc_logins // USUAL.oidc_logins_per_place):
            for number in range(USUAL.oidc_logins_per_place):
                begun = self.way.begin(BACK, f"2001:db8:0:{place:x}::{number:x}")
                Deferred.fromCoroutine(begun).addErrback(lambda _: None)
            self.refused(self.way.begin(BACK, f"2001:db8:0:{place:x}::ffff"), TooManyTries)
        self.refused(self.way.begin(BACK, "10.9.9.9"), TooManyTries)
        self.assertEqual(self.fake.asked, [METADATA])
        hanging.errback(ConnectionRefusedError())
        del self.fake.instead[METADATA]
        self.fake.clock.advance(AGAIN_SECONDS)
        self.begin()


class ProviderTests(WayCase):
    """A provider that is away, slow, or not what it should be; and what is kept of it."""

    def test_unreachable(self) -> None:
        """One that cannot be reached is told of in a sentence, the reason is in the log, and it is
        asked again a little later and no sooner."""
        self.fake.instead[METADATA] = ConnectionRefusedError()
        for _ in range(3):
            said = self.refused(self.way.begin(BACK, ADDRESS), ProviderFailed)
            self.assertIn("cannot be reached", said)
            self.assertNotIn(ISSUER, said)
        self.assertEqual(len(self.fake.asked), 1)
        del self.fake.instead[METADATA]
        self.fake.clock.advance(AGAIN_SECONDS)
        self.begin()

    def test_silent(self) -> None:
        """One that does not answer is waited for so long, with all who wait for the same."""
        asked: list[bool] = []
        self.fake.instead[METADATA] = Deferred(lambda _: asked.append(True))
        waiting = [Deferred.fromCoroutine(self.way.begin(BACK, ADDRESS)) for _ in range(2)]
        self.fake.clock.advance(ANSWER_SECONDS - 1)
        for one in waiting:
            self.assertNoResult(one)
        self.fake.clock.advance(1)
        for one in waiting:
            self.failureResultOf(one, ProviderFailed)
        self.assertEqual((asked, len(self.fake.asked)), ([True], 1))

    def test_too_long(self) -> None:
        """More than so much of an answer is not read, nor is one that stops in the middle."""
        whole = Response(200, b" " * (MOST_BYTES + 2))
        self.fake.request = lambda *_, **__: whole_answer(whole)  # type: ignore[method-assign]
        self.refused(self.way.begin(BACK, ADDRESS), ProviderFailed)
        self.assertTrue(whole.transport.disconnecting or whole.transport.disconnected)

    def test_description(self) -> None:
        """One that calls itself something else, or leads to where anybody could listen, is not
        used."""
        for name, value in (
            ("issuer", f"{ISSUER}/"),
            ("issuer", None),
            ("token_endpoint", "http://id.example.org/token"),
            ("token_endpoint", "https://user@id.example.org/token"),
            ("token_endpoint", "file:///etc/passwd"),
            ("jwks_uri", "http://127.0.0.1/keys"),
            ("jwks_uri", 3),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("authorization_endpoint", "https://id.example.org/\r\nSet-Cookie: x"),
        ):
            fake = FakeProvider()
            fake.metadata[name] = value
            self.refused(fake.returning().begin(BACK, ADDRESS), ProviderFailed)

    def test_kept(self) -> None:
        """Description and keys are fetched once in a while, not for each login."""
        later = NOW_SECONDS + KEPT_SECONDS + 300
        self.fake.token = lambda nonce: signed(claims(nonce=nonce, exp=later))
        for _ in range(3):
            query, secret = self.begin()
            self.now(self.finish(query, secret))
        self.assertEqual(self.fake.asked.count(METADATA), 1)
        self.assertEqual(self.fake.asked.count("/keys"), 1)
        self.fake.clock.advance(KEPT_SECONDS)
        query, secret = self.begin()
        self.now(self.finish(query, secret))
        self.assertEqual(self.fake.asked.count(METADATA), 2)
        self.assertEqual(self.fake.asked.count("/keys"), 2)

    def test_new_key(self) -> None:
        """A key that the provider has begun to sign with is fetched, but however many tokens come
        with unknown ones, no more than once a minute."""
        query, secret = self.begin()
        self.now(self.finish(query, secret))
        self.fake.keys = [jwk(OTHER_KEY, "new")]
        self.fake.token = lambda nonce: signed(claims(nonce=nonce), OTHER_KEY, key_id="new")
        self.refused(self.finish(query, secret))
        self.fake.clock.advance(KEYS_SECONDS)
        self.now(self.finish(query, secret))
        self.assertEqual(self.fake.asked.count("/keys"), 2)
        self.fake.token = lambda nonce: signed(claims(nonce=nonce), RSA_KEY, key_id="made up")
        for _ in range(5):
            self.refused(self.finish(query, secret))
        self.assertEqual(self.fake.asked.count("/keys"), 2)


def whole_answer(response: Response) -> Deferred[Any]:
    """It has come."""
    answer: Deferred[Any] = Deferred()
    answer.callback(response)
    return answer
