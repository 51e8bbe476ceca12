"""Logging in at an identity provider, over connections in memory: what a browser is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tests.fakes.gates import trail
from tests.fakes.providers import FakeProvider, claims, signed
from tests.server.sockets.opened import Connection
from vidlink.access.credentials import Credentials, User
from vidlink.access.gate import Gate
from vidlink.access.hashing import hash_password
from vidlink.access.oidc.claims import user_name
from vidlink.access.oidc.provider import AGAIN_SECONDS
from vidlink.access.register import Register
from vidlink.model import AuditQuery, Deed, Role
from vidlink.relay.hub import Hub
from vidlink.server.api.access import Access
from vidlink.server.api.enrolling import Enrolling
from vidlink.server.api.oidc import Oidc
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts
from vidlink.server.port.site import Root, Site, is_own, principal_of

ABOUT, START, CALLBACK = "/api/v1/oidc", "/api/v1/oidc/start", "/api/v1/oidc/callback"
METADATA = "/.well-known/openid-configuration"
HERE = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Seen:
    """What a browser has seen of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        """The one header of that name."""
        (value,) = (value for one, value in self.headers if one == name)
        return value

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets, by name, with all that is said of each."""
        lines = [value for name, value in self.headers if name == "set-cookie"]
        return dict(line.split("=", 1) for line in lines)


class Believer:
    """A checker from elsewhere that takes every password of everybody."""

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """It is right."""
        return succeed(credentials.username)


class OidcCase(SynchronousTestCase):
    """A site, its credentials, and a provider."""

    has_provider = True

    def setUp(self) -> None:
        """Nobody is logged in."""
        self.clock = MemoryReactorClock()
        self.fake = FakeProvider(self.clock)
        folder = self.mktemp()
        self.book = Credentials(folder)
        self.addCleanup(self.book.close)
        self.register = Register(self.book, now_us=self.fake.now_us, run_in_pool=execute)
        self.gate = Gate(
            self.register,
            self.clock,
            now_us=self.fake.now_us,
            run_in_pool=execute,
            checkers=[Believer()],
            is_open=lambda: False,
        )
        self.trail = trail(folder, self.clock)
        common: Any = {"is_own": is_own, "trail": self.trail}
        returning = self.fake.returning() if self.has_provider else None
        enrolling = Enrolling(self.gate.register, Hub(self.clock.seconds), lambda: 0)
        access = Access(self.gate, principal_of=principal_of, enrolling=enrolling, **common)
        oidc = Oidc(returning, self.gate, **common)
        root = Root(
            Resource(),
            access.resource(),
            Resource(),
            Resource(),
            Resource(),
            Resource(),
            oidc=oidc.resource(),
        )
        hosts = Hosts([Listening.parse("tcp:8080:interface=127.0.0.1")])
        self.site = Site(root, clock=self.clock, hosts=hosts, gate=self.gate)
        self.site.doStart()
        self.addCleanup(self.site.doStop)

    def ask(self, path: str, cookie: str = "", *lines: str, method: str = "GET") -> Seen:
        """The answer to a browser; without a line for the proxy it comes from this machine."""
        is_forwarded = any(line.startswith("X-Forwarded") for line in lines)
        self.site.proxies = frozenset({"127.0.0.1"} if is_forwarded else ())
        sent = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8080", *lines]
        if cookie:
            sent.append(f"Cookie: {cookie}")
        connection = Connection(self.site, self.clock)
        connection.send("\r\n".join([*sent, "", ""]).encode())
        head, _, body = bytes(connection.received).decode().partition("\r\n\r\n")
        connection.vanish()
        status, *rest = head.split("\r\n")
        pairs = [line.split(": ", 1) for line in rest]
        return Seen(int(status.split()[1]), [(one.lower(), two) for one, two in pairs], body)

    def begin(self, *lines: str) -> tuple[str, str]:
        """A browser is sent to the provider: the query that it comes back with, and its cookie."""
        seen = self.ask(START, "", *lines)
        self.assertEqual(seen.status, 303, seen.body)
        ((name, value),) = seen.cookies.items()
        return self.fake.sent_back(seen.header("location")), f"{name}={value.split(';')[0]}"

    def come_back(self, *lines: str) -> Seen:
        """A browser comes back."""
        query, cookie = self.begin(*lines)
        return self.ask(f"{CALLBACK}?{query}", cookie, *lines)

    def noted(self) -> list[tuple[Deed, str, dict[str, Any]]]:
        """The audit trail."""
        entries = self.successResultOf(self.trail.page(AuditQuery())).entries
        return [(one.deed, one.who, dict(one.about)) for one in reversed(entries)]


class LoginTests(OidcCase):
    """Somebody logs in."""

    def test_login(self) -> None:
        """Whoever comes back gets the cookie of a login, which pages of others do not send; the
        one of the way is taken away, and the trail has who it was."""
        query, cookie = self.begin()
        seen = self.ask(f"{CALLBACK}?{query}", cookie, "User-Agent: Navigator")
        self.assertEqual((seen.status, seen.header("location")), (303, "../../../"))
        self.assertEqual(seen.header("cache-control"), "no-store")
        self.assertEqual(set(seen.cookies), {"vidlink", "vidlink-oidc"})
        self.assertIn("Max-Age=0", seen.cookies["vidlink-oidc"])
        for words in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            self.assertIn(words.lower(), seen.cookies["vidlink"].lower())
        token = seen.cookies["vidlink"].split(";")[0]
        name = user_name(self.fake.settings.issuer, "f3b0")
        told = json.loads(self.ask("/api/v1/logins", f"vidlink={token}").body)
        self.assertEqual(told["user"], name)
        (row,) = told["logins"]
        self.assertEqual((row["address"], row["software"]), ("127.0.0.1", "Navigator"))
        ((deed, who, about),) = self.noted()
        self.assertEqual((deed, who, about["via"]), (Deed.LOGGED_IN, name, "oidc"))

    def test_way(self) -> None:
        """The cookie of the way is for a while, goes to this server alone, and comes along when
        another page leads here."""
        seen = self.ask(START)
        said = seen.cookies["vidlink-oidc"].lower()
        for words in ("httponly", "samesite=lax", "path=/", "max-age=600"):
            self.assertIn(words, said)
        query = parse_qs(urlsplit(seen.header("location")).query)
        self.assertEqual(query["redirect_uri"], [HERE + CALLBACK])
        self.assertEqual(seen.header("cache-control"), "no-store")

    def test_tls(self) -> None:
        """Over TLS nobody else can have set the cookies, and the way back is over TLS too; in the
        clear it goes from nowhere but this machine."""
        away = "X-Forwarded-For: 10.0.0.7"
        seen = self.ask(START, "", away, "X-Forwarded-Proto: https")
        cookie = seen.cookies["__Host-vidlink-oidc"]
        self.assertIn("secure", cookie.lower())
        query = parse_qs(urlsplit(seen.header("location")).query)
        self.assertEqual(query["redirect_uri"], ["https://127.0.0.1:8080" + CALLBACK])
        done = self.come_back(away, "X-Forwarded-Proto: https")
        self.assertEqual(set(done.cookies), {"__Host-vidlink", "__Host-vidlink-oidc"})
        for path in (START, CALLBACK):
            refused = self.ask(path, "", away)
            self.assertEqual(refused.status, 403)
            self.assertIn("needs-tls", refused.body)

    def test_again(self) -> None:
        """Whoever logs in again is the same user, and stays logged in elsewhere; with other roles
        or groups the logins before have ended."""
        first = self.come_back().cookies["vidlink"].split(";")[0]
        second = self.come_back().cookies["vidlink"].split(";")[0]
        for token in (first, second):
            self.assertEqual(self.ask("/api/v1/logins", f"vidlink={token}").status, 200)
        self.fake.token = lambda nonce: signed(claims(nonce=nonce, groups=["staff-it"]))
        third = self.come_back().cookies["vidlink"].split(";")[0]
        for token, status in ((first, 401), (second, 401), (third, 200)):
            self.assertEqual(self.ask("/api/v1/logins", f"vidlink={token}").status, status)

    def test_removed(self) -> None:
        """A user who is removed is out, as any other."""
        token = self.come_back().cookies["vidlink"].split(";")[0]
        (user,) = self.book.read().users
        self.successResultOf(self.register.change(lambda book: book.remove_user(user.name)))
        self.assertEqual(self.ask("/api/v1/logins", f"vidlink={token}").status, 401)

    def test_nobodys_password(self) -> None:
        """A subject that is called as a local user is another one; and nobody logs in as one of
        the provider's users with a password, whoever else knows passwords."""
        local = User("f3b0", hash_password("swordfish"), frozenset({Role.AUDITOR}), None, 1)
        self.book.put_user(local, is_new=True)
        self.come_back()
        users = {user.name: user for user in self.book.read().users}
        self.assertEqual(users.pop("f3b0"), local)
        (name,) = users
        body = json.dumps({"user": name, "password": "swordfish"})
        lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        sent = Connection(self.site, self.clock)
        sent.send(
            "\r\n".join(
                ["POST /api/v1/login HTTP/1.1", "Host: 127.0.0.1:8080", *lines, "", body]
            ).encode()
        )
        (answer,) = sent.answers()
        self.assertEqual((answer.status, answer.error_code), (401, "wrong-password"))

    def test_about(self) -> None:
        """The name of the provider is told to everybody."""
        seen = self.ask(ABOUT)
        self.assertEqual((seen.status, json.loads(seen.body)), (200, {"name": "the school"}))


class RefusalTests(OidcCase):
    """Somebody is not let in."""

    def test_sentence(self) -> None:
        """Whoever is refused reads why on a page, or as JSON where a program asks; the trail has
        it, no cookie is given out, and that of the way is taken away."""
        self.fake.token = lambda nonce: signed(claims(nonce=nonce, groups=["pupils"]))
        page = self.come_back("Accept: text/html,*/*;q=0.8")
        self.assertEqual(page.status, 403)
        self.assertEqual(page.header("content-type"), "text/html; charset=utf-8")
        self.assertIn('<p role="alert">The identity provider knows you', page.body)
        program = self.come_back()
        self.assertEqual(json.loads(program.body)["error"]["code"], "login-refused")
        for seen in (page, program):
            self.assertEqual(list(seen.cookies), ["vidlink-oidc"])
            self.assertIn("Max-Age=0", seen.cookies["vidlink-oidc"])
        about = {"via": "oidc", "why": "login-refused"}
        self.assertEqual(self.noted(), [(Deed.REFUSED, "", about)] * 2)
        self.assertEqual(self.book.read().users, ())

    def test_harmless(self) -> None:
        """Nothing of what is sent along is on the page."""
        _, cookie = self.begin()
        seen = self.ask(f"{CALLBACK}?state=<script>&error=<script>", cookie, "Accept: text/html")
        self.assertEqual(seen.status, 403)
        self.assertNotIn("script>", seen.body)
        self.assertIn("default-src 'none'", seen.header("content-security-policy"))

    def test_any_octets(self) -> None:
        """Octets in headers that are no UTF-8 are a stranger's mistake, and no fault of ours."""
        _, cookie = self.begin()
        for path in (START, CALLBACK, f"{CALLBACK}?state=x"):
            connection = Connection(self.site, self.clock)
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nCookie: {cookie}\r\n"
            head += "Accept: text/html, \xff\r\nUser-Agent: \xff\r\n\r\n"
            connection.send(head.encode("latin-1"))
            status = int(bytes(connection.received).split()[1])
            self.assertEqual(status, 303 if path == START else 403, path)
            connection.vanish()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_stranger(self) -> None:
        """An answer that somebody else has begun lets nobody in: neither without the cookie, nor
        with that of another way (forged logins)."""
        query, _ = self.begin()
        _, other = self.begin()
        for cookie in ("", other, "vidlink-oidc=", "vidlink-oidc=\xe9"):
            seen = self.ask(f"{CALLBACK}?{query}", cookie)
            self.assertEqual(seen.status, 403)
            self.assertNotIn("vidlink", seen.cookies)
        self.assertNotIn("/token", self.fake.asked)

    def test_provider_away(self) -> None:
        """While the provider is away that is told, with 502, and the rest goes on."""
        self.fake.instead[METADATA] = ConnectionRefusedError()
        seen = self.ask(START, "", "Accept: text/html")
        self.assertEqual((seen.status, seen.cookies), (502, {}))
        self.assertIn("The identity provider cannot be reached", seen.body)
        self.flushLoggedErrors()
        del self.fake.instead[METADATA]
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.come_back().status, 303)

    def test_gone_meanwhile(self) -> None:
        """A browser that goes while the provider is asked does no harm, and the trail has it."""
        hanging: Deferred[Any] = Deferred()
        query, cookie = self.begin()
        self.fake.instead["/token"] = hanging
        connection = Connection(self.site, self.clock)
        lines = ["Host: 127.0.0.1:8080", f"Cookie: {cookie}", "", ""]
        connection.send("\r\n".join([f"GET {CALLBACK}?{query} HTTP/1.1", *lines]).encode())
        connection.vanish()
        hanging.errback(ConnectionRefusedError())
        self.assertEqual(self.flushLoggedErrors(), [])
        about = {"via": "oidc", "why": "provider-failed"}
        self.assertEqual(self.noted(), [(Deed.REFUSED, "", about)])

    def test_methods(self) -> None:
        """Nothing but GET goes there, and nothing of it is told apart by whoever may not ask."""
        for path in (ABOUT, START, CALLBACK):
            self.assertEqual(self.ask(path, method="POST").status, 405)
            self.assertEqual(self.ask(f"{path}/x").status, 401)
        self.assertEqual(self.ask(f"{START}?to=https://evil.example").status, 400)

    def test_log(self) -> None:
        """Neither codes nor tokens, nor cookies, are in the log."""
        with capturedLogs() as logs:
            query, cookie = self.begin()
            seen = self.ask(f"{CALLBACK}?{query}", cookie)
            self.ask(f"{CALLBACK}?{query}", "vidlink-oidc=other")
        text = repr(logs)
        self.assertIn(CALLBACK, text)
        secrets = [query, "c0de", cookie.partition("=")[2], self.fake.nonce, "eyJ"]
        for secret in (*secrets, seen.cookies["vidlink"].split(";")[0]):
            self.assertNotIn(secret, text)


class WithoutTests(OidcCase):
    """A server without a provider."""

    has_provider = False

    def test_without(self) -> None:
        """It says that there is none, and leads nowhere."""
        self.assertEqual(json.loads(self.ask(ABOUT).body), {"name": None})
        for path in (START, f"{CALLBACK}?code=x&state=y"):
            seen = self.ask(path)
            self.assertEqual((seen.status, seen.cookies), (404, {}))
