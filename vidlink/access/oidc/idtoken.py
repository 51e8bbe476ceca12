"""ID tokens checked: signature, issuer, audience, times, nonce (OpenID Connect Core 3.1.3.7).

The algorithms are ours, not the token's: none of them takes a key that everybody may know for a
secret, and none is "none". Times are held against the clock that is given.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from vidlink.access.oidc.provider import UnknownKey
from vidlink.access.oidc.settings import Settings
from vidlink.errors import LoginRefused

#: The kind of key that each algorithm takes, as a JWK says it (RFC 7518 section 6.1).
ALGORITHMS: Mapping[str, str] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"ES{bits}": "EC" for bits in (256, 384, 512)},
}
#: So far the clocks of both sides may be apart.
LEEWAY_SECONDS = 30.0
#: RFC 7518 section 3.3.
LEAST_RSA_BITS = 2048
_REQUIRED = ["exp", "iat", "aud", "iss", "sub"]


def check(
    token: str,
    keys: Sequence[Mapping[str, Any]],
    settings: Settings,
    nonce: str,
    now_seconds: float,
) -> dict[str, Any]:
    """The claims of `token`, which has to be for us, of now, and an answer to `nonce`.

    :param keys: those of the provider, as JWKs.
    :raises UnknownKey: if it is signed with none of them.
    :raises LoginRefused: if it is not what it should be.
    """
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _refused("is signed in a way that is not taken")
        key = _key(keys, algorithm, header.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=settings.client_id,
            issuer=settings.issuer,
            # Times are not PyJWT's: it asks the machine's clock.
            options={
                "require": _REQUIRED,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidIssuerError:
        raise _refused("is of another provider") from None
    except jwt.InvalidAudienceError:
        raise _refused("is for somebody else") from None
    except jwt.InvalidSignatureError:
        raise _refused("has a wrong signature") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _refused("is not what it should be") from None
    _check_party(claims, settings.client_id)
    _check_times(claims, now_seconds)
    said = claims.get("nonce")
    if not isinstance(said, str) or not _is_same(said, nonce):
        raise _refused("answers another login than yours")
    return claims


def _key(keys: Sequence[Mapping[str, Any]], algorithm: str, key_id: object) -> jwt.PyJWK:
    usable = [
        key
        for key in keys
        if key.get("kty") == ALGORITHMS[algorithm]
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
    ]
    found = [key for key in usable if key_id is None or key.get("kid") == key_id]
    if len(found) != 1:
        raise UnknownKey("the identity provider signs with a key that it does not show")
    key = jwt.PyJWK(dict(found[0]), algorithm)
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_RSA_BITS:
        raise _refused("is signed with a key that is too short")
    return key


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """The party that it was made for is us, where it says so, and it has to if it is for many."""
    party, audience = claims.get("azp"), claims["aud"]
    is_for_many = isinstance(audience, list) and len(audience) > 1
    if (party is None and is_for_many) or party not in (None, client_id):
        raise _refused("is for somebody else")


def _check_times(claims: Mapping[str, Any], now_seconds: float) -> None:
    if now_seconds >= _time(claims["exp"]) + LEEWAY_SECONDS:
        raise _refused("is too old; look whether the clocks of both servers are right")
    for name in ("iat", "nbf"):
        if name in claims and _time(claims[name]) > now_seconds + LEEWAY_SECONDS:
            raise _refused("is of the future; look whether the clocks of both servers are right")


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused("is not what it should be")
    return float(min(value, 2**60))


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


def _refused(what: str) -> LoginRefused:
    return LoginRefused(f"what the identity provider says cannot be believed: it {what}")
