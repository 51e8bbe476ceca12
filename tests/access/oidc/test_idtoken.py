"""Tests of :mod:`vidlink.access.oidc.idtoken`: right tokens, and a table of forged ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.providers import (
    CLIENT,
    EC_KEY,
    KEYS,
    NOW_SECONDS,
    OTHER_KEY,
    RSA_KEY,
    SETTINGS,
    claims,
    jwk,
    signed,
)
from vidlink.access.oidc.idtoken import LEEWAY_SECONDS, check
from vidlink.access.oidc.provider import UnknownKey
from vidlink.errors import LoginRefused

NONCE = "n0nce"
PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
SHORT_KEY = rsa.generate_private_key(65537, 1024)


def right(**other: object) -> dict[str, Any]:
    """Claims for the nonce."""
    return claims(**{"nonce": NONCE, **other})


def checked(token: str, keys: Any = KEYS, now: float = NOW_SECONDS) -> dict[str, Any]:
    """The claims of a token."""
    return check(token, keys, SETTINGS, NONCE, now)


def part(value: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def by_public_key(key: bytes) -> str:
    """A token whose secret is what everybody may know; PyJWT itself makes none of these."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{part(right())}"
    mac = base64.urlsafe_b64encode(
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), key)
    )
    return f"{head}.{mac.decode().rstrip('=')}"


def bent(token: str) -> str:
    """A token with the claims of somebody else under the signature that there is."""
    head, _, signature = token.split(".")
    return f"{head}.{part(right(sub='root', groups=['staff-it']))}.{signature}"


#: What is wrong with each, the token, and a word of the sentence.
FORGED = {
    "no algorithm": (f"{part({'alg': 'none'})}.{part(right())}.", "taken"),
    "an algorithm written otherwise": (f"{part({'alg': 'NonE'})}.{part(right())}.", "taken"),
    "the public key as a secret": (by_public_key(PEM), "taken"),
    "an empty secret": (by_public_key(b""), "taken"),
    "an algorithm that is a list": (f"{part({'alg': ['RS256']})}.{part(right())}.x", "believed"),
    "other claims under the signature": (bent(signed(right())), "signature"),
    "a key of somebody else under a known name": (signed(right(), OTHER_KEY), "signature"),
    "another algorithm than the key's": (signed(right(), algorithm="RS512"), "does not show"),
    "an unknown key": (signed(right(), key_id="other"), "does not show"),
    "a key that it brings itself": (
        signed(right(), OTHER_KEY, key_id="mine", jwk=jwk(OTHER_KEY, "mine")),
        "does not show",
    ),
    "something critical that is unknown": (signed(right(), crit=["x"], x=1), "believed"),
    "another issuer": (signed(right(iss="https://id.example.org/other")), "another provider"),
    "an issuer that begins alike": (signed(right(iss="https://id.example.org/school/")), "another"),
    "another audience": (signed(right(aud="other")), "somebody else"),
    "an audience in other letters": (signed(right(aud="VidLink")), "somebody else"),
    "many audiences without a party": (signed(right(aud=[CLIENT, "other"])), "somebody else"),
    "many audiences, another party": (
        signed(right(aud=[CLIENT, "other"], azp="other")),
        "somebody else",
    ),
    "another party": (signed(right(azp="other")), "somebody else"),
    "another nonce": (signed(right(nonce="other")), "another login"),
    "no nonce": (signed(right(nonce=None)), "another login"),
    "a nonce that is no text": (signed(right(nonce=[NONCE])), "another login"),
    "no subject": (signed(right(sub=None)), "believed"),
    "no issuer": (signed(right(iss=None)), "believed"),
    "no audience": (signed(right(aud=None)), "believed"),
    "no end": (signed(right(exp=None)), "believed"),
    "no beginning": (signed(right(iat=None)), "believed"),
    "an end that is over": (signed(right(exp=NOW_SECONDS - LEEWAY_SECONDS)), "too old"),
    "an end that is no number": (signed(right(exp="never")), "believed"),
    "an end that never is": (signed(right(exp=float("inf"))), "believed"),
    "an end that is true": (signed(right(exp=True)), "believed"),
    "a beginning that is true": (signed(right(iat=True)), "believed"),
    "of the future": (signed(right(iat=NOW_SECONDS + LEEWAY_SECONDS + 1)), "future"),
    "not valid yet": (signed(right(nbf=NOW_SECONDS + LEEWAY_SECONDS + 1)), "future"),
    "no token": ("abc", "believed"),
    "nothing": ("", "believed"),
    "a header nested without end": (f"{'W1tb' * 100_000}.{part(right())}.x", "believed"),
}


class CheckTests(SynchronousTestCase):
    """Tokens, each checked by itself."""

    def test_right(self) -> None:
        """A token that is right is taken: by either kind of key, for several audiences with us as
        the party, and within what clocks may be apart."""
        for token in (
            signed(right()),
            signed(right(), EC_KEY, "ES256", "ec"),
            signed(right(aud=[CLIENT])),
            signed(right(aud=[CLIENT, "other"], azp=CLIENT)),
            signed(right(exp=NOW_SECONDS - LEEWAY_SECONDS + 1)),
            signed(right(iat=NOW_SECONDS + LEEWAY_SECONDS)),
        ):
            self.assertEqual(checked(token)["sub"], "f3b0")

    def test_without_key_id(self) -> None:
        """A token that names no key is of the one key that there is for its algorithm."""
        token = signed(right(), key_id=None)
        self.assertEqual(checked(token)["sub"], "f3b0")
        self.assertRaises(UnknownKey, checked, token, [*KEYS, jwk(OTHER_KEY, "other")])

    def test_forged(self) -> None:
        """Each token that is not right is refused, in a sentence that tells nothing of it."""
        for what, (token, word) in FORGED.items():
            error = self.assertRaises(LoginRefused, checked, token)
            self.assertIn(word, str(error), what)
            self.assertNotIn("f3b0", str(error), what)

    def test_keys(self) -> None:
        """A key that is secret, short, for encryption, or of another curve, checks nothing."""
        secret = {"kty": "oct", "kid": "rsa", "k": "c2VzYW1l", "alg": "RS256"}
        curve = ec.generate_private_key(ec.SECP384R1())
        for keys in (
            [secret],
            [jwk(RSA_KEY, "rsa", use="enc")],
            [jwk(RSA_KEY, "rsa", alg="RSA-OAEP")],
            [jwk(SHORT_KEY, "rsa")],
            [{"kty": "RSA", "kid": "rsa"}],
            [{"kty": "RSA", "kid": "rsa", "n": [], "e": "AQAB"}],
            [],
        ):
            key = SHORT_KEY if keys and keys[0].get("n") == jwk(SHORT_KEY, "")["n"] else RSA_KEY
            self.assertRaises(LoginRefused, checked, signed(right(), key), keys)
        token = signed(right(), EC_KEY, "ES256", "ec")
        self.assertRaises(LoginRefused, checked, token, [jwk(curve, "ec")])

    @settings(max_examples=200, deadline=None)
    @given(strategies.text(), strategies.binary(), strategies.binary())
    def test_anything(self, header: str, body: bytes, signature: bytes) -> None:
        """Whatever is sent for a token is refused, and nothing else happens."""
        parts = (header.encode("utf-8", "replace"), body, signature)
        token = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in parts)
        for one in (token.decode("ascii"), header):
            self.assertRaises(LoginRefused, checked, one)
