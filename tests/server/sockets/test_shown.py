"""Tests of handshakes with credentials: how many sockets one has, and wrong ones."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import execute
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import Joined
from tests.server.port.test_hostile import Wire, handshake
from vidlink.access.credentials import Credentials, Token
from vidlink.access.gate import Gate
from vidlink.access.hashing import digest_of, new_token
from vidlink.access.register import Register
from vidlink.model import (
    USUAL,
    Role,
)

JSON = "vidlink.v1.json"


class ShownTests(SynchronousTestCase):
    """A server that asks for tokens, of which there are two."""

    def setUp(self) -> None:
        """Make them."""
        self.server = Joined()
        credentials = Credentials(self.mktemp())
        self.tokens = [new_token() for _ in range(2)]
        for number, secret in enumerate(self.tokens):
            name, roles = f"program-{number}", frozenset({Role.SENTINEL, Role.PROCTOR})
            token = Token(name, digest_of(secret), name, roles, None, None, None, 0, None)
            credentials.put_token(token)
        register = Register(credentials, now_us=lambda: 0, run_in_pool=execute)
        register.load()
        gate = Gate(
            register,
            self.server.clock,
            now_us=lambda: 0,
            run_in_pool=execute,
            is_open=lambda: False,
        )
        self.server.ingest.gate = self.server.watch.gate = gate

    def connect(self, factory: Any, token: str, *more: str) -> Any:
        """The server's end of a connection that shows `token`, and whatever `more` says."""
        link = factory.buildProtocol(None)
        link.makeConnection(Wire(link, isServer=True))
        lines = (f"Authorization: Bearer {token}", *more)
        head = "".join(f"{line}\r\n" for line in lines).encode()
        link.dataReceived(handshake(JSON)[:-2] + head + b"\r\n")
        return link

    def status(self, link: Any) -> int:
        """How it was answered."""
        return int(link.transport.octets.split(b" ")[1])

    def test_sockets_each(self) -> None:
        """One credential watches on so many sockets; others are not counted with it; and for one
        that is closed another one may come."""
        watch = self.server.watch
        links = [self.connect(watch, self.tokens[0]) for _ in range(USUAL.sockets_per_credential)]
        self.assertEqual({self.status(link) for link in links}, {101})
        refused = self.connect(watch, self.tokens[0])
        self.assertEqual(self.status(refused), 429)
        refused.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.status(self.connect(watch, self.tokens[1])), 101)
        self.assertEqual(self.status(self.connect(self.server.ingest, self.tokens[0])), 101)
        links[0].connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.status(self.connect(watch, self.tokens[0])), 101)
        self.assertEqual(self.status(self.connect(watch, self.tokens[0])), 429)

    def test_wrong_tokens(self) -> None:
        """Who shows many wrong ones is told to stop; the right ones of that place are let in, and
        what a proxy says of others counts for those."""
        for factory in (self.server.ingest, self.server.watch):
            for _ in range(USUAL.wrong_tokens_per_place // 2):
                self.assertEqual(self.status(self.connect(factory, "wrong")), 401)
        for factory in (self.server.ingest, self.server.watch):
            self.assertEqual(self.status(self.connect(factory, "wrong")), 429)
            self.assertEqual(self.status(self.connect(factory, self.tokens[0])), 101)
            for said in ("203.0.113.9", "203.0.113.1, 2001:db8::1"):
                other = self.connect(factory, "wrong", f"X-Forwarded-For: {said}")
                self.assertEqual(self.status(other), 401)
