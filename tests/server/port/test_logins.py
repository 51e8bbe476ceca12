"""Logins over HTTP: what anybody may send, what a browser is given, and what is written down."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed

from tests.fakes.gates import KEPT, PASSWORD
from tests.server.api.histories import DESK_PATH, GATE
from tests.server.port.closed import HOST, ClosedCase, bearer
from tests.server.sockets.opened import Answer, Connection
from vidlink.access import gate as module
from vidlink.errors import WrongPassword
from vidlink.model import AuditQuery, Deed, Role

LOGIN = "/api/v1/login"
ADMIN = "administrator"
#: Any JSON, and such as is near a login.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["user", "password", "User", "x"])
SOFTWARE = st.sampled_from(["curl", "\xff", "x" * 900])
TYPES = st.sampled_from(
    ["application/json", "Application/JSON; charset=x", "text/plain", "\xff", "a" * 500, ""]
)


class LoginCase(ClosedCase):
    """A server whose passwords cost next to nothing to check."""

    def setUp(self) -> None:
        """Those of nobody too."""
        super().setUp()
        self.patch(module, "NOBODYS_HASH", KEPT)

    def post(self, body: bytes, kind: str = "application/json", **headers: str) -> Answer:
        """The answer to a login."""
        shown = {"Host": HOST, "Content-Type": kind, "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in shown.items())
        connection = Connection(self.site, self.clock)
        connection.send(f"POST {LOGIN} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        (answer,) = connection.answers()
        connection.vanish()
        return answer

    def type(self, user: str, password: str, **headers: str) -> Answer:
        """Log in as a page does."""
        body = json.dumps({"user": user, "password": password}).encode()
        return self.post(body, **headers)


class AnyLoginTests(LoginCase):
    """Whatever a stranger sends."""

    def assert_refused(self, answer: Answer) -> None:
        """It is refused, by an error in JSON that is the stranger's."""
        self.assertIn(answer.status, (400, 401, 403, 413, 415, 429), answer)
        self.assertTrue(answer.error_code)
        self.assertNotIn("set-cookie", answer.headers)

    @given(
        VALUES | st.dictionaries(NAMES, VALUES), TYPES, st.sampled_from(["curl", "\xff", "x" * 900])
    )
    @example({"user": "\ud800", "password": "\ud800"}, "application/json", "\xff")
    @example({"user": "a\0b", "password": "\0"}, "application/json", "x")
    @example({"user": ADMIN, "password": PASSWORD, "x": 1}, "application/json", "x")
    @example({"user": [ADMIN], "password": {}}, "application/json", "x")
    def test_any_value(self, value: Any, kind: str, software: str) -> None:
        """Any JSON, as whatever it is sent and by whatever software, lets nobody in who does not
        give a name and its password."""
        self.assert_refused(self.post(json.dumps(value).encode(), kind, User_Agent=software))

    @given(st.binary(max_size=200))
    @example(b"[" * 60_000)
    @example(b'{"user":' * 5_000)
    @example(b'{"user":1' + b"0" * 50_000 + b"}")
    @example(b"\xff\xfe{\0}\0")
    @example(f'{{"user":"{ADMIN}","user":"{ADMIN}","password":"{PASSWORD}"}}'.encode())
    def test_any_octets(self, body: bytes) -> None:
        """So with octets that are no JSON, or too deep, too large, or twice the same."""
        self.assert_refused(self.post(body))

    def test_forms(self) -> None:
        """What a form of another page can send logs nobody in, whatever it says."""
        body = json.dumps({"user": ADMIN, "password": PASSWORD}).encode()
        for kind in (
            "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "",
            "text/plain; application/json", "application/json+x", "application/jsonp",
        ):  # fmt: skip
            answer = self.post(body, kind)
            self.assertIn(answer.status, (400, 415), kind)
        for origin in ("http://evil.example", "null", f"https://{HOST}", "http://127.0.0.1:9090"):
            self.assertEqual(self.post(body, Origin=origin).status, 403, origin)
        self.assertEqual(self.post(body, Origin=f"http://{HOST}").status, 200)


class CookieTests(LoginCase):
    """What a browser is given."""

    def test_in_the_clear(self) -> None:
        """On the server's own machine: for this host alone, out of reach of scripts, and sent by
        no other site."""
        (name, value), *rest = self.cookie(self.type(ADMIN, PASSWORD))
        self.assertEqual(name, "vidlink")
        self.assertRegex(value, r"\Avidlink_[\w-]{43}\Z")
        self.assertEqual(
            sorted(rest),
            [("HttpOnly", ""), ("Max-Age", "43200"), ("Path", "/"), ("SameSite", "strict")],
        )

    def test_secure(self) -> None:
        """Over TLS: besides, by a name that nobody can set in the clear or for another host."""
        self.site.proxies = frozenset({"127.0.0.1"})
        self.assertEqual(self.type(ADMIN, PASSWORD).status, 403)
        answer = self.type(ADMIN, PASSWORD, X_Forwarded_Proto="https")
        (name, _), *rest = self.cookie(answer)
        self.assertEqual(name, "__Host-vidlink")
        self.assertEqual(
            sorted(rest),
            [
                ("HttpOnly", ""), ("Max-Age", "43200"), ("Path", "/"), ("SameSite", "strict"),
                ("Secure", ""),
            ],
        )  # fmt: skip

    def test_log_out(self) -> None:
        """Whoever logs out leaves nothing in the browser: no cookie, and no media that it keeps."""
        answer = self.ask("DELETE", LOGIN, self.shown[ADMIN])
        (cookie, value), *_ = self.cookie(answer)
        self.assertEqual((cookie, value), ("vidlink", ""))
        self.assertEqual(answer.headers["clear-site-data"], '"cache"')
        self.assertEqual(self.ask("GET", "/api/v1/me", self.shown[ADMIN]).status, 401)

    def test_fixation(self) -> None:
        """Who logs in is given a fresh secret, whatever was shown; that one stays nobody's."""
        planted = "vidlink_" + "x" * 43
        answer = self.type(ADMIN, PASSWORD, Cookie=f"vidlink={planted}")
        self.assertNotEqual(dict(self.cookie(answer))["vidlink"], planted)
        self.assertEqual(
            self.ask("GET", "/api/v1/me", {"Cookie": f"vidlink={planted}"}).status, 401
        )

    def cookie(self, answer: Answer) -> list[tuple[str, str]]:
        """The cookie that comes with an answer, and all that is said of it."""
        self.assertEqual(answer.status, 200, answer)
        pairs = (part.strip().partition("=") for part in answer.headers["set-cookie"].split(";"))
        return [(name, value) for name, _, value in pairs]


class WrittenTests(LoginCase):
    """What is left of it on the disk."""

    def test_deeds(self) -> None:
        """Whoever logs in, fails to, fetches, deletes, holds, releases, controls or logs out is in
        the audit, with the name and from where."""
        self.type(ADMIN, "wrong password")
        answer = self.type(ADMIN, PASSWORD)
        shown = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        spare, kept = self.spare(), self.spare()
        for method, path, value in (
            ("GET", f"{DESK_PATH}/segments/0-3", None),
            ("DELETE", spare, None),
            ("PUT", f"{kept}/hold", {"reason": "appeal"}),
            ("DELETE", f"{kept}/hold", None),
            ("PUT", f"/api/v1/sentinels/{GATE.sentinel_id}/framerate", {"framerate": 1}),
            ("DELETE", LOGIN, None),
        ):
            status = self.ask(method, path, shown, value).status
            self.assertLess(status, 300 if "framerate" not in path else 500, (method, path))
        entries = self.successResultOf(self.trail.page(AuditQuery())).entries
        found = [(one.deed, one.who, one.address) for one in reversed(entries)]
        deeds = (
            Deed.LOGGED_IN, Deed.FETCHED, Deed.DELETED, Deed.HELD, Deed.RELEASED, Deed.LOGGED_OUT
        )  # fmt: skip
        wanted = [(Deed.REFUSED, "", "127.0.0.1")]
        wanted += [(deed, ADMIN, "127.0.0.1") for deed in deeds]
        self.assertEqual([one for one in found if one[0] is not Deed.CONTROLLED], wanted)

    def test_gone_meanwhile(self) -> None:
        """Whoever leaves before the answer comes has all the same done what they have, a wrong
        guess too, and it is in the audit."""
        wrong: Deferred[Any] = fail(WrongPassword())
        first, second = succeed(None), succeed(None)
        for target, value, owner, name, outcome, deed in (
            (LOGIN, {"user": ADMIN, "password": "x"}, self.keys.gate, "log_in", wrong,
             Deed.REFUSED),
            (self.spare(), None, self.store, "delete", first, Deed.DELETED),
            (f"{self.spare()}/hold", {"reason": "x"}, self.store, "hold", second, Deed.HELD),
        ):  # fmt: skip
            under_way: Deferred[Any] = Deferred()
            self.patch(owner, name, lambda *_, _answer=under_way, **__: _answer)
            method = "POST" if target == LOGIN else "PUT" if value else "DELETE"
            shown = {} if target == LOGIN else self.shown[ADMIN]
            connection = self.connect(method, target, shown, value)
            self._connections.remove(connection)
            connection.vanish()
            outcome.chainDeferred(under_way)
            newest = self.successResultOf(self.trail.page(AuditQuery(limit=1))).entries
            self.assertEqual([one.deed for one in newest], [deed])

    def test_watched_through_a_proxy(self) -> None:
        """Who watches through a proxy that was named is written down with their own address, and
        nobody else with one that they say."""
        said = {"X-Forwarded-For": "127.0.0.1, 10.9.9.9"}
        for proxies, address in ((set(), "127.0.0.1"), ({"127.0.0.1"}, "10.9.9.9")):
            self.site.proxies = frozenset(proxies)
            token = self.keys.token(Role.PROCTOR)
            speaker = self.dial("/ws/proctor", {**bearer(token), **said})
            speaker.say(type="proctor.register", software="test/1")
            speaker.say(type="subscribe", sentinelId=GATE.sentinel_id, tier="full", start="newest")
            speaker.say(type="unsubscribe", sentinelId=GATE.sentinel_id)
            self.tick()
            newest = self.successResultOf(self.trail.page(AuditQuery(limit=1))).entries[0]
            self.assertEqual((newest.deed, newest.address), (Deed.WATCHED, address))

    def test_no_secrets(self) -> None:
        """Neither a password nor a token, a login or a ticket is in any file, nor in the audit."""
        self.type(ADMIN, "wrong password")
        answer = self.type(ADMIN, PASSWORD)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        made = self.ask("POST", "/api/v1/tickets", {"Cookie": cookie}, {"path": "/ws/proctor"})
        secrets = [PASSWORD, "wrong password", made.json["ticket"], cookie.partition("=")[2]]
        shown = [text for headers in self.shown.values() for text in headers.values()]
        secrets += [re.split("[ =]", text)[-1] for text in shown]
        held = b""
        for folder in (os.path.dirname(self.keys.credentials.path), self.audit_folder):
            for path in Path(folder).rglob("*.*"):
                held += path.read_bytes()
        self.assertIn(b"SQLite format 3", held)
        self.assertIn(b"logged-in", held)
        self.assertEqual([one for one in secrets if one.encode() in held], [])
