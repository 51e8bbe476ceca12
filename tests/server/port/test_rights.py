"""Who may do what: every role against every path and every message, cell by cell."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.fmp4.media import encoded
from tests.server.api.histories import DESK_PATH, GATE
from tests.server.api.test_http_reference import routes
from tests.server.port.closed import ClosedCase, bearer
from vidlink.model import RIGHTS, Right, Role

STRANGER, SENTINEL, AUDITOR = "stranger", "sentinel", "auditor"
#: What an image of the machines of a room has.
IMAGE = "image"
OF_WARD, OF_YARD, OF_ALL = "proctor of the ward", "proctor of the yard", "proctor of all"
ADMIN_OF_YARD, ADMIN = "administrator of the yard", "administrator"

USERS = {OF_WARD, OF_YARD, OF_ALL, ADMIN_OF_YARD, ADMIN, AUDITOR}
KNOWN = USERS | {SENTINEL, IMAGE}
ALL = KNOWN | {STRANGER}
WATCHERS = USERS - {AUDITOR}
#: Those who may watch in the ward, where the desk is, and in the yard, where the gate is.
IN_WARD, IN_YARD = WATCHERS - {OF_YARD, ADMIN_OF_YARD}, WATCHERS - {OF_WARD}
ADMINS = {ADMIN_OF_YARD, ADMIN}
AUDITORS = ADMINS | {AUDITOR}

SESSION = "/api/v1/sentinels/{sentinelId}/sessions/{sessionId}"
LIVE = "/api/v1/sentinels/{sentinelId}"
#: Who may, by method and path; about the desk's session, and of the live ones about the gate.
ROWS: dict[tuple[str, str], set[str]] = {
    ("GET", "/healthz"): ALL,
    ("GET", "/readyz"): ALL,
    ("GET", "/metrics"): ALL,
    ("POST", "/api/v1/login"): ALL,
    ("GET", "/api/v1/oidc"): ALL,
    ("DELETE", "/api/v1/login"): KNOWN,
    ("GET", "/api/v1/logins"): KNOWN,
    ("DELETE", "/api/v1/logins"): KNOWN,
    ("DELETE", "/api/v1/logins/{login}"): KNOWN,
    ("POST", "/api/v1/tickets"): WATCHERS,
    ("POST", "/api/v1/enrolments"): {IMAGE},
    ("GET", "/api/v1/enrolments"): ADMINS,
    ("GET", "/api/v1/openapi.json"): KNOWN,
    ("GET", "/api/v1/me"): KNOWN,
    ("GET", "/api/v1/sentinels"): WATCHERS,
    ("GET", "/api/v1/sessions"): WATCHERS,
    ("GET", "/api/v1/retention"): AUDITORS,
    ("GET", "/api/v1/receipts"): AUDITORS,
    ("GET", "/api/v1/audit"): AUDITORS,
    ("GET", SESSION): IN_WARD,
    ("GET", f"{SESSION}/segments"): IN_WARD,
    ("GET", f"{SESSION}/segments/{{sequence}}"): IN_WARD,
    ("GET", f"{SESSION}/segments/{{first}}-{{last}}"): IN_WARD,
    ("GET", f"{SESSION}/init.mp4"): IN_WARD,
    ("GET", f"{SESSION}/recording.mp4"): IN_WARD,
    ("GET", f"{SESSION}/index.m3u8"): IN_WARD,
    ("DELETE", SESSION): {ADMIN},
    ("PUT", f"{SESSION}/hold"): {ADMIN},
    ("DELETE", f"{SESSION}/hold"): {ADMIN},
    ("POST", f"{LIVE}/keyframe"): IN_YARD,
    ("PUT", f"{LIVE}/framerate"): IN_YARD,
}
#: What is sent along.
VALUES: dict[tuple[str, str], object] = {
    ("POST", "/api/v1/login"): {"user": "nobody", "password": "wrong password"},
    ("POST", "/api/v1/tickets"): {"path": "/ws/proctor"},
    ("POST", "/api/v1/enrolments"): {
        "sentinelId": "desk-7",
        "machine": 64 * "a",
        "software": "test/1",
    },
    ("PUT", f"{SESSION}/hold"): {"reason": "an appeal"},
    ("PUT", f"{LIVE}/framerate"): {"framerate": 1},
}


class HttpTests(ClosedCase):
    """Every path of the HTTP interface, asked for by everybody."""

    def setUp(self) -> None:
        """The gate is there, to be controlled."""
        super().setUp()
        self.sentinel(GATE.sentinel_id, GATE.group)

    def path(self, template: str) -> str:
        """The path about the desk's session; about one of its own, where it changes something."""
        spare = self.spare() if template.startswith(SESSION) else ""
        path = template.replace(SESSION, spare).replace(LIVE, "/api/v1/sentinels/gate.2")
        return path.format(sequence=0, first=1, last=3, login="0badcafe")

    def expected(self, row: tuple[str, str], name: str) -> set[int]:
        """The statuses that a cell may have."""
        if name not in ROWS[row]:
            return {401} if name == STRANGER else {403}
        template = row[1]
        if row == ("POST", "/api/v1/login"):
            return {401}  # Because the password is wrong, which the code tells.
        if template == "/api/v1/logins/{login}" or (
            name in (SENTINEL, IMAGE) and "/login" in template
        ):
            return {404}  # There is no such login; that of a token there never is.
        if template.endswith("/recording.mp4"):
            return {307}
        if row == ("POST", "/api/v1/enrolments"):
            return {201}
        return {202} if template.endswith("/keyframe") else {200}

    def test_every_cell(self) -> None:
        """Everybody may do what is in the table, and is refused everything else; with HEAD, too."""
        for row in ROWS:
            method, template = row
            for name in sorted(ALL):
                if "/login" in template and name in USERS:
                    self.log_in(name)
                for asked in (method, "HEAD") if method == "GET" else (method,):
                    path = self.path(template)
                    answer = self.ask(asked, path, self.shown[name], VALUES.get(row))
                    cell = f"{name}: {asked} {path}"
                    self.assertIn(answer.status, self.expected(row, name), cell)
                    if asked != "HEAD" and answer.status == 403:
                        self.assertEqual(answer.error_code, "forbidden", cell)
                    if name == STRANGER and row == ("POST", "/api/v1/login"):
                        self.assertEqual(answer.error_code, "wrong-password")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_every_path_has_a_row(self) -> None:
        """A path that is added has to be put into the table."""
        self.assertEqual(set(ROWS), {row for row in routes() if row[0] != "HEAD"})

    def test_rights(self) -> None:
        """The table of the code gives each role what the one here gives it."""
        watching = {Right.WATCH, Right.CONTROL}
        self.assertEqual(
            {role: set(rights) for role, rights in RIGHTS.items()},
            {
                Role.SENTINEL: {Right.PUBLISH},
                Role.PROCTOR: watching,
                Role.ADMINISTRATOR: {*watching, Right.DELETE, Right.AUDIT, Right.MANAGE},
                Role.AUDITOR: {Right.AUDIT},
                Role.ENROLMENT: {Right.ENROL},
            },
        )

    def test_beforehand(self) -> None:
        """What browsers ask beforehand, without a credential, is answered with methods alone."""
        shown = {"Origin": "https://guest.example", "Access-Control-Request-Method": "GET"}
        for method, template in ROWS:
            answer = self.ask("OPTIONS", self.path(template), shown)
            self.assertEqual((answer.status, answer.body), (200, b""), template)
            self.assertIn(method, answer.headers["access-control-allow-methods"])
            self.assertIn("Authorization", answer.headers["access-control-allow-headers"])

    def test_other_users(self) -> None:
        """Only administrators look at, and end, logins of others."""
        for name in sorted(USERS):
            for method, path in (
                ("GET", "/api/v1/logins?user=auditor"),
                ("DELETE", "/api/v1/logins/0badcafe?user=auditor"),
                ("DELETE", "/api/v1/logins?user=auditor"),
            ):
                status = self.ask(method, path, self.shown[name]).status
                if name in ADMINS:
                    self.assertIn(status, {200, 404}, (name, method))
                else:
                    # The first administrator has thrown the auditor out.
                    self.assertIn(status, {401, 403}, (name, method))
        self.assertEqual(self.ask("GET", "/api/v1/me", self.shown[AUDITOR]).status, 401)

    def test_lists(self) -> None:
        """Lists have in them what is in the groups that are seen, page by page."""
        self.tick()
        for name, sentinels in (
            (OF_WARD, ["desk-1"]),
            (OF_YARD, ["gate.2"]),
            (ADMIN_OF_YARD, ["gate.2"]),
            (OF_ALL, ["desk-1", "gate.2"]),
        ):
            for path in ("/api/v1/sentinels", "/api/v1/sessions"):
                listed: list[str] = []
                after: str | None = ""
                while after is not None:
                    target = f"{path}?limit=1" + (f"&after={after}" if after else "")
                    page = self.ask("GET", target, self.shown[name]).json
                    rows = page[path.rpartition("/")[2]]
                    listed += [row["sentinelId"] for row in rows]
                    after = page["next"]
                self.assertEqual(sorted(listed), sentinels, (name, path))

    def test_group_asked_for(self) -> None:
        """A group that is asked for and not seen has nothing in it."""
        path = "/api/v1/sessions?group=yard"
        self.assertEqual(self.ask("GET", path, self.shown[OF_WARD]).json["sessions"], [])
        self.assertEqual(len(self.ask("GET", path, self.shown[OF_YARD]).json["sessions"]), 1)


class WebSocketTests(ClosedCase):
    """Both sockets, and every message that is about a Sentinel."""

    def setUp(self) -> None:
        """The gate is live, in the yard."""
        super().setUp()
        self.gate = self.sentinel(GATE.sentinel_id, GATE.group)

    def said(self, name: str, **message: Any) -> str:
        """What the server says to one message, in a word."""
        speaker = self.proctor(name)
        before = len(speaker.heard())
        speaker.say(**message)
        self.tick()
        self.assertIsNone(speaker.close_code)
        for answer in speaker.heard()[before:]:
            if answer["type"] == "error":
                return str(answer["code"])
            if answer["type"] == "subscribed":
                return "done"
        return "done"

    def test_handshake(self) -> None:
        """All is settled before 101: 401 for strangers, 403 without the right."""
        for path, allowed in (("/ws/sentinel", {SENTINEL}), ("/ws/proctor", WATCHERS)):
            for name in sorted(ALL):
                speaker = self.dial(path, self.shown[name])
                expected = 101 if name in allowed else 401 if name == STRANGER else 403
                self.assertEqual(speaker.status, expected, (path, name))
                if expected != 101:
                    self.assertIn("credential", speaker.reason)

    def test_messages(self) -> None:
        """Watching and controlling the gate is for those of the yard."""
        for name in sorted(WATCHERS):
            for message in (
                {"type": "subscribe"},
                {"type": "keyframe.request"},
                {"type": "fps.change", "framerate": 1},
            ):
                expected = "done" if name in IN_YARD else "forbidden"
                said = self.said(name, **message, sentinelId=GATE.sentinel_id)
                self.assertEqual(said, expected, (name, message))

    def test_list(self) -> None:
        """The list has those of the groups that are seen, and so has each change of it."""
        self.known("desk-1", "ward")
        for name, expected in ((OF_WARD, ["desk-1"]), (OF_YARD, ["gate.2"])):
            speaker = self.proctor(name)
            (message,) = speaker.heard_of("sentinels")
            self.assertEqual([row["sentinelId"] for row in message["sentinels"]], expected)
        self.assertEqual(len(self.proctor(OF_ALL).heard_of("sentinels")[0]["sentinels"]), 2)
        # Who hears nothing of it is not sent empty lists either.
        quiet = self.proctor(OF_WARD)
        heard = len(quiet.heard())
        self.sentinel("gate.3", "yard")
        self.tick()
        self.assertNotIn("gate.3", str(quiet.heard()))
        self.assertEqual(len(quiet.heard()), heard)

    def test_other_group(self) -> None:
        """A Sentinel that moves to another group goes from one list and comes to the other."""
        ward, yard = self.proctor(OF_WARD), self.proctor(OF_YARD)
        self.sentinel(GATE.sentinel_id, "ward")
        self.tick()
        for speaker, expected in ((ward, ["gate.2"]), (yard, [])):
            whole = [message for message in speaker.heard_of("sentinels") if message["full"]]
            self.assertEqual(len(whole), 2)
            names = [row["sentinelId"] for row in whole[-1]["sentinels"]]
            self.assertEqual(names, expected)

    def test_awaited(self) -> None:
        """Everybody may wait for a Sentinel that was never seen; when it turns up in a group that
        they do not see it is not shown, and they may not ask again."""
        ward, yard = self.proctor(OF_WARD), self.proctor(OF_YARD)
        for speaker in (ward, yard):
            speaker.say(type="subscribe", sentinelId="gate.9")
            self.tick()
            self.assertFalse(speaker.heard_of("subscribed")[-1]["known"])
        sentinel = self.sentinel("gate.9", "yard")
        self.begin(sentinel, "gate.9")
        self.tick()
        self.assertIsNotNone(yard.heard_of("subscribed")[-1]["sessionId"])
        self.assertEqual(len(ward.heard_of("subscribed")), 1)
        self.assertEqual(ward.heard_of("init") + ward.heard_of("segment"), [])
        ward.say(type="subscribe", sentinelId="gate.9")
        self.tick()
        self.assertEqual(ward.heard()[-1]["code"], "forbidden")

    def begin(self, sentinel: Any, sentinel_id: str) -> None:
        """Begin the session that a Sentinel has registered with."""
        sentinel.say(
            type="init",
            sentinelId=sentinel_id,
            sessionId=f"session-of-test-{self._spares:04d}",
            data=b64encode(encoded().init).decode(),
        )

    def test_alarms(self) -> None:
        """An alarm about a Sentinel is heard by those who see it, one about none by all."""
        speakers = [self.proctor(name) for name in (OF_WARD, OF_YARD, OF_ALL)]
        twin = self.sentinel(GATE.sentinel_id, GATE.group, instance="two")
        self.tick()
        self.gate.pong()
        self.tick()
        self.assertEqual(twin.close_code, 4410)
        heard = [len(speaker.heard_of("error")) for speaker in speakers]
        self.assertEqual(heard, [0, 1, 1])

    def test_bound(self) -> None:
        """A Sentinel's credential is good for its own id, and for its own group, which it has
        without saying so."""
        token = bearer(self.keys.token(Role.SENTINEL, sentinel_id="desk-7", sentinel_group="ward"))
        for sentinel_id, group, code in (
            ("desk-8", "", 4403),
            ("desk-7", "yard", 4403),
            ("desk-7", "", None),
        ):
            speaker = self.dial("/ws/sentinel", token)
            self.register(speaker, sentinel_id, group)
            self.assertEqual(speaker.close_code, code, (sentinel_id, group))
        stream = self.hub.stream("desk-7")
        assert stream is not None
        self.assertEqual(stream.group, "ward")
        self.assertIsNone(self.hub.stream("desk-8"))


class RevocationTests(ClosedCase):
    """What was let in is out again soon after its credential has ceased to be valid."""

    def test_tokens(self) -> None:
        """A revoked token's socket is closed with 4401 at the next tick, and it stays out."""
        token = bearer(self.keys.token(Role.SENTINEL))
        other = self.sentinel("desk-2")
        speaker = self.dial("/ws/sentinel", token)
        self.register(speaker, "desk-1")
        self.keys.credentials.remove_token("token-3")
        self.tick()
        self.assertEqual(speaker.close_code, 4401)
        self.assertEqual(speaker.heard()[-1]["code"], "not-authenticated")
        self.assertIsNone(other.close_code)
        self.assertEqual(self.dial("/ws/sentinel", token).status, 401)
        self.assertEqual(self.ask("GET", "/api/v1/me", token).status, 401)

    def test_users(self) -> None:
        """So is that of a user who was removed, was given other groups, or has logged out."""
        for end in (
            lambda: self.keys.credentials.remove_user(OF_WARD),
            lambda: self.keys.user(OF_YARD, Role.PROCTOR, groups=frozenset(), is_new=False),
            lambda: self.ask("DELETE", "/api/v1/login", self.shown[OF_ALL]),
        ):
            speakers = [self.proctor(name) for name in (OF_WARD, OF_YARD, OF_ALL, ADMIN)]
            end()
            self.tick()
            codes = [speaker.close_code for speaker in speakers]
            self.assertEqual(codes.count(4401), 1, codes)
            self.assertIsNone(codes[-1])
            gone = (OF_WARD, OF_YARD, OF_ALL)[codes.index(4401)]
            self.keys.user(gone, Role.PROCTOR, is_new=gone == OF_WARD)
            self.log_in(gone)

    def test_expiry(self) -> None:
        """A token that expires, and a login that is over, end what they have opened."""
        later = self.keys.now_us() + 10_000_000
        token = bearer(self.keys.token(Role.PROCTOR, expires_us=later))
        speaker = self.dial("/ws/proctor", token)
        speaker.say(type="proctor.register", software="test/1")
        self.tick(9)
        self.assertIsNone(speaker.close_code)
        self.tick(2)
        self.assertEqual(speaker.close_code, 4401)

    def test_first_credential(self) -> None:
        """On loopback everybody is let in until the first credential; who came in so is out then,
        and nobody comes in so again, also when there is none any more."""
        keys = type(self.keys)(self.mktemp(), self.clock)
        self.addCleanup(keys.credentials.close)
        self.keys = keys
        self._serve()
        speaker = self.dial("/ws/proctor", {})
        self.assertEqual(speaker.status, 101)
        self.assertEqual(self.ask("GET", "/api/v1/me", {}).json["access"], "open")
        wrong = bearer("vidlink_" + "0" * 43)
        self.assertEqual(self.ask("GET", "/api/v1/me", wrong).status, 401)
        keys.token(Role.SENTINEL)
        self.tick()
        self.assertEqual(speaker.close_code, 4401)
        keys.revoke()
        self.tick()
        self.assertEqual(self.ask("GET", "/api/v1/me", {}).status, 401)
        self.assertEqual(self.dial("/ws/proctor", {}).status, 401)


class GuestTests(ClosedCase):
    """Pages of another origin that is let in."""

    def test_cookie(self) -> None:
        """They are never the person in front of them, but what they show themselves."""
        origin = {"Origin": "https://guest.example"}
        cookie = self.shown[ADMIN]
        self.assertEqual(self.ask("GET", "/api/v1/me", {**origin, **cookie}).status, 401)
        self.assertEqual(self.dial("/ws/proctor", {**origin, **cookie}).status, 401)
        token = bearer(self.keys.token(Role.PROCTOR))
        answer = self.ask("GET", DESK_PATH, {**origin, **cookie, **token})
        self.assertEqual(answer.status, 200)
        self.assertNotIn("access-control-allow-credentials", answer.headers)

    def test_cookies(self) -> None:
        """Two cookies of one name are nobody's; a secure one's name is nothing in the clear."""
        cookie = self.shown[ADMIN]["Cookie"]
        for shown in (f"{cookie}; vidlink=other", cookie.replace("vidlink=", "__Host-vidlink=")):
            self.assertEqual(self.ask("GET", "/api/v1/me", {"Cookie": shown}).status, 401)
            self.assertEqual(self.dial("/ws/proctor", {"Cookie": shown}).status, 401)
