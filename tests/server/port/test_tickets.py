"""Tickets, from asking for one to what it opens, and that nothing repeats it or a token."""

from __future__ import annotations

import re

from twisted.logger import capturedLogs

from tests.server.api.histories import DESK_PATH, GATE_PATH
from tests.server.port.closed import ClosedCase, bearer
from tests.server.port.test_rights import ADMIN, OF_WARD, OF_YARD
from vidlink.access.tickets import LIFE_SECONDS, UNUSED_SECONDS
from vidlink.model import (
    USUAL,
    Role,
)

FILM, LIST = f"{DESK_PATH}/recording.mp4", f"{DESK_PATH}/index.m3u8"


class TicketCase(ClosedCase):
    """Somebody who asks for tickets."""

    def ticket(self, path: str, name: str = OF_WARD) -> str:
        """A ticket for `path`."""
        answer = self.ask("POST", "/api/v1/tickets", self.shown[name], {"path": path})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        return str(answer.json["ticket"])

    def status(self, path: str, ticket: str, **headers: str) -> int:
        """How a request with a ticket alone is answered."""
        mark = "&" if "?" in path else "?"
        return self.ask("GET", f"{path}{mark}ticket={ticket}", headers).status


class TicketTests(TicketCase):
    """What a ticket opens."""

    def test_film(self) -> None:
        """It is led to a version of the film with the ticket, and gets all of it, in parts, too."""
        ticket = self.ticket(FILM)
        moved = self.ask("GET", f"{FILM}?ticket={ticket}", {})
        self.assertEqual(moved.status, 307)
        where = f"{DESK_PATH}/{moved.headers['location']}"
        self.assertIn(f"ticket={ticket}", where)
        for headers, status in (({}, 200), ({"Range": "bytes=5-9"}, 206)):
            self.assertEqual(self.ask("GET", where, headers).status, status)
        self.assertEqual(self.ask("HEAD", where, {}).status, 200)
        self.assertEqual(self.status(f"{FILM}?start=1704067200000000", ticket), 307)

    def test_list(self) -> None:
        """Every address in a list has its ticket, and opens; so has the list a validator of its
        own, and parts."""
        ticket = self.ticket(LIST)
        listed = self.ask("GET", f"{LIST}?ticket={ticket}", {})
        plain = self.ask("GET", LIST, self.shown[OF_WARD])
        self.assertEqual(listed.body.replace(f"?ticket={ticket}".encode(), b""), plain.body)
        self.assertNotEqual(listed.headers["etag"], plain.headers["etag"])
        self.assertEqual(listed.headers["cache-control"], plain.headers["cache-control"])
        names = re.findall(rb'^([^#\n].*)$|URI="([^"]+)"', listed.body, re.MULTILINE)
        addresses = [(one or other).decode() for one, other in names]
        self.assertGreater(len(addresses), 2)
        for address in addresses:
            answer = self.ask("GET", f"{DESK_PATH}/{address}", {"Range": "bytes=0-3"})
            self.assertEqual(answer.status, 206, address)
        part = self.ask("GET", f"{LIST}?ticket={ticket}", {"Range": "bytes=-10"})
        self.assertEqual((part.status, part.body), (206, listed.body[-10:]))

    def test_nothing_else(self) -> None:
        """It opens nothing else: no other film, no other path of the session, no list."""
        for made, opens in ((FILM, {FILM}), (LIST, {LIST, f"{DESK_PATH}/init.mp4"})):
            ticket = self.ticket(made)
            self.assertIn(self.status(made, ticket), (200, 307))
            for path in (
                *(DESK_PATH, f"{DESK_PATH}/segments", f"{DESK_PATH}/hold", FILM, LIST),
                *(f"{GATE_PATH}/index.m3u8", f"{GATE_PATH}/recording.mp4", "/api/v1/me"),
                *("/api/v1/sessions", "/api/v1/openapi.json", f"{DESK_PATH}/init.mp4"),
                *(f"{DESK_PATH}/segments/../../../x/init.mp4", f"{DESK_PATH}//init.mp4"),
            ):
                if path not in opens:
                    self.assertEqual(self.status(path, ticket), 401, path)
            self.assertEqual(self.ask("DELETE", f"{DESK_PATH}?ticket={ticket}", {}).status, 401)
            self.assertEqual(self.dial(f"/ws/proctor?ticket={ticket}", {}).status, 401)

    def test_socket(self) -> None:
        """That of the socket opens it once, to watch, and no other socket."""
        ticket = self.ticket("/ws/proctor")
        self.assertEqual(self.dial(f"/ws/sentinel?ticket={ticket}", {}).status, 401)
        self.assertEqual(self.dial(f"/ws/proctor?ticket={ticket}", {}).status, 101)
        self.assertEqual(self.dial(f"/ws/proctor?ticket={ticket}", {}).status, 401)

    def test_refused(self) -> None:
        """There are none for anything else, nor for somebody who may not watch; and what one
        opens is held to the groups of whoever asked."""
        for path in ("/api/v1/me", "/", DESK_PATH, f"{FILM}?start=1", "http://x/ws/proctor"):
            answer = self.ask("POST", "/api/v1/tickets", self.shown[ADMIN], {"path": path})
            self.assertEqual((answer.status, answer.error_code), (404, "not-found"), path)
        ticket = self.ticket(FILM, OF_YARD)
        self.assertEqual(self.status(FILM, ticket), 403)

    def test_time(self) -> None:
        """Unused, it is good for half a minute; used, for the length of a working day."""
        used, unused = self.ticket(FILM), self.ticket(FILM)
        self.assertEqual(self.status(FILM, used), 307)
        self.clock.advance(UNUSED_SECONDS)
        self.assertEqual(self.status(FILM, unused), 401)
        token = bearer(self.keys.token(Role.PROCTOR))
        made = self.ask("POST", "/api/v1/tickets", token, {"path": FILM}).json["ticket"]
        self.assertEqual(self.status(FILM, made), 307)
        self.clock.advance(LIFE_SECONDS - 1)
        self.assertEqual(self.status(FILM, made), 307)
        self.clock.advance(1)
        self.assertEqual(self.status(FILM, made), 401)

    def test_revoked(self) -> None:
        """It ends with the login that it was asked for with."""
        ticket = self.ticket(LIST)
        self.assertEqual(self.status(LIST, ticket), 200)
        self.ask("DELETE", "/api/v1/login", self.shown[OF_WARD])
        self.assertEqual(self.status(LIST, ticket), 401)

    def test_bounds(self) -> None:
        """One who asks has so many out; others still get some, and so do they when these end."""
        for _ in range(USUAL.tickets_per_credential):
            self.ticket("/ws/proctor")
        asked = ("POST", "/api/v1/tickets", self.shown[OF_WARD], {"path": "/ws/proctor"})
        answer = self.ask(*asked)
        self.assertEqual((answer.status, answer.error_code), (429, "too-many-tickets"))
        self.ticket("/ws/proctor", ADMIN)
        self.clock.advance(UNUSED_SECONDS)
        self.assertEqual(self.ask(*asked).status, 200)


class SecretsTests(TicketCase):
    """Nothing that is logged, at any level, has a ticket or a token in it."""

    def test_never_logged(self) -> None:
        """Neither in the access log, nor in that of sockets, nor where something is refused."""
        token = self.keys.token(Role.PROCTOR)
        cookie = self.shown[OF_WARD]["Cookie"].rpartition("=")[2]
        ticket, film = self.ticket("/ws/proctor"), self.ticket(FILM)
        with capturedLogs() as events:
            for target in (
                *(f"{FILM}?ticket={film}", f"{FILM}?start=1&ticket={film}&%74icket={film}"),
                *(f"/ws/proctor?ticket={film}", f"/?ticket={film}", f"//x?ticket={film}"),
                f"/api/v1/login?ticket={film}",
            ):
                for shown in (bearer(token), self.shown[OF_WARD], {}):
                    self.ask("GET", target, shown)
                    self.ask("GET", target, {**shown, "Origin": "http://evil.example"})
            for target in ("/ws/proctor", f"/ws/proctor?ticket={ticket}"):
                for shown in (bearer(token), self.shown[OF_WARD], {}):
                    speaker = self.dial(target, shown)
                    if speaker.status == 101:
                        speaker.say(type="proctor.register", software="test/1")
            self.keys.credentials.remove_token("token-2")
            self.tick()
        self.assertGreater(len(events), 40)
        for event in events:
            text = repr({name: str(value) for name, value in event.items()})
            for secret in (token, cookie, ticket, film):
                self.assertNotIn(secret, text)
