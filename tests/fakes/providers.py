"""An identity provider in memory, with keys of its own, and treq in front of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from vidlink.access.oidc.idtoken import check
from vidlink.access.oidc.provider import Provider
from vidlink.access.oidc.returning import Returning
from vidlink.access.oidc.settings import Settings
from vidlink.model import Role

ISSUER = "https://id.example.org/school"
CLIENT = "vidlink"
NOW_SECONDS = 1_800_000_000
SETTINGS = Settings(
    issuer=ISSUER,
    name="the school",
    client_id=CLIENT,
    secret="sesame",
    roles=((Role.ADMINISTRATOR, "staff-it"), (Role.PROCTOR, "teachers")),
    roles_claim="groups",
    groups_claim="rooms",
    scopes=("openid",),
)
#: Made once: it takes a while.
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def jwk(key: Any, key_id: str, **more: object) -> dict[str, Any]:
    """The public half of `key`, as a JWK."""
    family = jwt.algorithms.RSAAlgorithm
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {
            **jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True),
            "kid": key_id,
            **more,
        }
    return {**family.to_jwk(key.public_key(), as_dict=True), "kid": key_id, **more}


KEYS = [jwk(RSA_KEY, "rsa", alg="RS256", use="sig"), jwk(EC_KEY, "ec")]


def claims(**other: object) -> dict[str, Any]:
    """Claims that are right; `other` ones take their place, and None takes one away."""
    right = {
        "iss": ISSUER,
        "sub": "f3b0",
        "aud": CLIENT,
        "exp": NOW_SECONDS + 300,
        "iat": NOW_SECONDS,
        "groups": ["teachers"],
        "rooms": ["room-1"],
    }
    return {name: value for name, value in {**right, **other}.items() if value is not None}


def signed(
    what: dict[str, Any],
    key: Any = RSA_KEY,
    algorithm: str = "RS256",
    key_id: str | None = "rsa",
    **header: object,
) -> str:
    """A token with these claims."""
    head = {**header, **({} if key_id is None else {"kid": key_id})}
    return jwt.encode(what, key, algorithm, headers=head)


class Response:
    """What treq gives: a status, and a body that comes to whoever wants it."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self._body = body
        self.transport = StringTransport()

    def deliverBody(self, protocol: Any) -> None:
        """All of it, in two pieces."""
        protocol.makeConnection(self.transport)
        half = len(self._body) // 2
        for piece in (self._body[:half], self._body[half:]):
            protocol.dataReceived(piece)
        protocol.connectionLost(Failure(ResponseDone()))


@dataclass
class FakeProvider:
    """Answers as a provider does; each part can be made to answer something else."""

    clock: Clock = field(default_factory=Clock)
    settings: Settings = SETTINGS
    keys: list[dict[str, Any]] = field(default_factory=lambda: list(KEYS))
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
    )
    #: The token that is given for a code, from the nonce that was asked for.
    token: Callable[[str], str] = field(default=lambda nonce: signed(claims(nonce=nonce)))
    #: Paths, each with what is answered there in place of what is right.
    instead: dict[str, Deferred[Any] | Exception | tuple[int, bytes]] = field(default_factory=dict)
    #: Paths that were asked for, and the form and the headers that came last.
    asked: list[str] = field(default_factory=list)
    form: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    nonce: str = ""

    def request(self, method: str, url: str, **wishes: Any) -> Deferred[Any]:
        """As treq has it; nothing may be followed elsewhere, or be read at once."""
        assert wishes["allow_redirects"] is False
        assert wishes["unbuffered"] is True
        path = url.removeprefix(ISSUER)
        self.asked.append(path)
        instead = self.instead.get(path)
        if isinstance(instead, Deferred):
            return instead
        if isinstance(instead, Exception):
            failed: Deferred[Any] = Deferred()
            failed.errback(instead)
            return failed
        if instead is not None:
            return succeed(Response(*instead))
        value: object
        if path == "/token":
            assert method == "POST"
            self.headers = dict(wishes["headers"])
            given = parse_qs(wishes["data"].decode(), keep_blank_values=True)
            self.form = {name: values[0] for name, values in given.items()}
            value = {"id_token": self.token(self.nonce), "access_token": "-"}
        elif path == "/keys":
            value = {"keys": self.keys}
        else:
            assert path == "/.well-known/openid-configuration", path
            value = self.metadata
        return succeed(Response(200, json.dumps(value).encode()))

    def returning(self, **other: Any) -> Returning:
        """The way there and back."""
        settings = replace(self.settings, **other)
        provider = Provider(settings, self, self.clock)
        return Returning(settings, provider, check, self.now_us)

    def now_us(self) -> int:
        """The time by the wall clock, which goes with the other one."""
        return int((NOW_SECONDS + self.clock.seconds()) * 1_000_000)

    def sent_back(self, where: str) -> str:
        """The query with which somebody comes back who was sent to `where` and has logged in."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
        self.nonce = query["nonce"]
        return f"code=c0de&state={query['state']}"
