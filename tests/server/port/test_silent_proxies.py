"""Proxies that do not say whether somebody came over TLS: what browsers say of it themselves."""

from __future__ import annotations

import json

from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from tests.fakes.gates import PASSWORD
from tests.server.port.test_logins import ADMIN, LOGIN, LoginCase
from tests.server.sockets.opened import Answer, Connection
from vidlink.access.hashing import new_token
from vidlink.model import AuditQuery, Deed
from vidlink.server.port.exposure import Listening
from vidlink.server.port.origin import Hosts

NAME = "exam.example"
PAGE = f"https://{NAME}"
COOKIE = "__Host-vidlink"


class SilentCase(LoginCase):
    """A server that people reach as exam.example, behind an endpoint ``haproxy:``."""

    def setUp(self) -> None:
        """Say under which name."""
        super().setUp()
        self.site.hosts = Hosts([Listening.parse("haproxy:tcp:8080")], [PAGE])
        self.wrapper = HAProxyWrappingFactory(self.site)

    def send(self, method: str, target: str, *lines: str, body: str = "") -> Connection:
        """A connection on which somebody at 203.0.113.5 has asked through the proxy."""
        connection = Connection(self.wrapper, self.clock)
        sized = [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
        head = (f"{method} {target} HTTP/1.1", f"Host: {NAME}", *sized, *lines, "", body)
        proxied = "PROXY TCP4 203.0.113.5 10.0.0.1 40000 443\r\n"
        connection.send((proxied + "\r\n".join(head)).encode("ascii"))
        return connection

    def get(self, *lines: str, method: str = "GET", target: str = "/api/v1/me") -> Answer:
        """The answer to a request."""
        (answer,) = self.send(method, target, *lines).answers()
        return answer

    def enter(self, *lines: str) -> Answer:
        """The answer to the right password."""
        body = json.dumps({"user": ADMIN, "password": PASSWORD})
        (answer,) = self.send("POST", LOGIN, *lines, body=body).answers()
        return answer

    def cookie_of(self, answer: Answer) -> str:
        """The cookie that comes with it."""
        self.assertEqual(answer.status, 200, answer)
        return answer.headers["set-cookie"].partition(";")[0]


class SilentProxyTests(SilentCase):
    """Logins through it."""

    def test_login(self) -> None:
        """A page that came over TLS logs somebody in, by the cookie that is for TLS; by that the
        browser is let in from then on, with Origin and without, to change things and to watch, and
        its login is where the person is."""
        answer = self.enter(f"Origin: {PAGE}")
        said = answer.headers["set-cookie"]
        self.assertTrue(said.startswith(f"{COOKIE}=vidlink_"), said)
        self.assertIn("Secure", said.split("; "))
        shown = f"Cookie: {self.cookie_of(answer)}"
        self.assertEqual(self.get(shown).json["name"], ADMIN)
        self.assertEqual(self.get(shown, f"Origin: {PAGE}").json["name"], ADMIN)
        self.assertEqual(self.get(shown, f"Origin: {PAGE}:443").json["name"], ADMIN)
        logins = self.get(shown, target="/api/v1/logins").json["logins"]
        self.assertIn("203.0.113.5", [one["address"] for one in logins])
        left = self.get(shown, f"Origin: {PAGE}", method="DELETE", target=LOGIN)
        self.assertEqual((left.status, left.headers["set-cookie"][: len(COOKIE)]), (200, COOKIE))
        self.assertEqual(self.get(shown).status, 401)

    def test_socket(self) -> None:
        """The page's WebSocket is let in by it too; one of a page in the clear is not."""
        shown = f"Cookie: {self.cookie_of(self.enter(f'Origin: {PAGE}'))}"
        handshake = (
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: vidlink.v1.json", shown,
        )  # fmt: skip
        for origin, status in ((PAGE, b"101"), (f"http://{NAME}", b"401")):
            made = self.send("GET", "/ws/proctor", *handshake, f"Origin: {origin}")
            self.assertEqual(bytes(made.received).split()[1], status)

    def test_lies(self) -> None:
        """Where the browser says that its page came in the clear, or nothing, or another page, no
        password is taken, whatever a client claims in headers of proxies; and by no cookie is
        anybody let in: not that of TLS from such a page, and not one that anybody on the way could
        have planted."""
        cookie = self.cookie_of(self.enter(f"Origin: {PAGE}"))
        secret = cookie.partition("=")[2]
        claimed = "X-Forwarded-Proto: https"
        for lines in (
            (),
            (claimed,),
            (f"Origin: http://{NAME}",),
            (f"Origin: http://{NAME}", claimed),
            (f"Origin: http://{NAME}", f"Cookie: {cookie}"),
            (f"Cookie: vidlink={secret}",),
            ("Origin: https://other.example",),
            (f"Origin: {PAGE}:8443",),
            ("Origin: null",),
            (f"Origin: {PAGE}", f"Origin: {PAGE}"),
        ):
            answer = self.enter(*lines)
            self.assertEqual(answer.status, 403, lines)
            self.assertNotIn("set-cookie", answer.headers)
            self.assertNotIn("strict-transport-security", answer.headers)
        page = self.successResultOf(self.trail.page(AuditQuery(deed=Deed.REFUSED)))
        self.assertEqual(page.entries[0].about, {"why": "needs-tls"})
        for lines in (
            (f"Origin: http://{NAME}", f"Cookie: {cookie}"),
            (f"Cookie: vidlink={secret}",),
            (f"Cookie: vidlink={secret}", claimed),
            (f"Cookie: {COOKIE}={new_token()}; vidlink={secret}",),
        ):
            self.assertEqual(self.get(*lines).status, 401, lines)

    def test_stays_secure(self) -> None:
        """Who is known to have come over TLS is told to do so for a year."""
        entered = self.enter(f"Origin: {PAGE}")
        for answer in (entered, self.get(f"Cookie: {self.cookie_of(entered)}")):
            self.assertEqual(answer.headers["strict-transport-security"], "max-age=31536000")
        self.assertNotIn("strict-transport-security", self.get().headers)

    def test_named(self) -> None:
        """So it is behind a proxy that was named and says nothing of TLS; one that says that it was
        none is believed, whatever the client says."""
        self.wrapper = self.site  # type: ignore[assignment]
        self.site.proxies = frozenset({"127.0.0.1"})
        self.patch(self, "send", self.send_plain)
        answer = self.enter(f"Origin: {PAGE}")
        shown = f"Cookie: {self.cookie_of(answer)}"
        self.assertEqual(self.get(shown).json["name"], ADMIN)
        self.assertEqual(self.enter(f"Origin: {PAGE}", "X-Forwarded-Proto: http").status, 403)
        self.assertEqual(self.enter().status, 403)

    def send_plain(self, method: str, target: str, *lines: str, body: str = "") -> Connection:
        """The same without the PROXY protocol."""
        connection = Connection(self.site, self.clock)
        sized = [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
        head = (f"{method} {target} HTTP/1.1", f"Host: {NAME}", *sized, *lines, "", body)
        connection.send("\r\n".join(head).encode("ascii"))
        return connection

    def test_own_page(self) -> None:
        """A page of the server's own address, which had to be named because a proxy is before it,
        is the person in front of it; a page of another one that is let in never is."""
        self.wrapper = self.site  # type: ignore[assignment]
        self.site.proxies = frozenset({"127.0.0.1"})
        self.site.hosts = Hosts([Listening.parse("tcp:80")], [PAGE, "https://portal.example"])
        self.patch(self, "send", self.send_plain)
        tls = "X-Forwarded-Proto: https"
        shown = f"Cookie: {self.cookie_of(self.enter(f'Origin: {PAGE}', tls))}"
        self.assertEqual(self.get(shown, tls, f"Origin: {PAGE}").json["name"], ADMIN)
        self.assertEqual(self.get(shown, tls, "Origin: https://portal.example").status, 401)
