"""Limits that are turned: what happens at each is another thing then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.gates import PASSWORD
from tests.server.port.closed import HOST, Speaker
from tests.server.port.test_logins import ADMIN, LoginCase
from tests.server.sockets.opened import Connection
from vidlink.model import USUAL, Role
from vidlink.server.limits import with_limit

HEAD = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n"


class TurnedTests(LoginCase):
    """A whole server, with a limit turned and without."""

    def watching(self) -> Speaker:
        """An administrator who watches."""
        return self.proctor(ADMIN)

    def silent(self, sent: str, seconds: float) -> Connection:
        """Somebody who has sent so much, and nothing since."""
        connection = Connection(self.site, self.clock)
        connection.send(sent.encode())
        connection.pass_time(seconds)
        return connection

    def late(self, sent: str) -> int:
        """The status that such a one is answered with within two seconds; 0: none."""
        answers = self.silent(sent, 2).answers()
        return answers[0].status if answers else 0

    def crowd(self, count: int) -> bool:
        """The first of so many who say nothing is still there."""
        first = self.silent("", 0)
        for _ in range(count):
            self.silent("", 0)
        self.clock.advance(0)
        return first.is_open

    def second(self, act: Callable[[], Any]) -> Any:
        """Do it twice; what came of the second time."""
        act()
        return act()

    def frames(self, *frames: bytes) -> int | None:
        """The code that a proctor is closed with who sends these frames, without a payload."""
        speaker = self.watching()
        speaker._connection.send(b"".join(frame + bytes(4) for frame in frames))
        speaker._connection.pass_time(1)
        return speaker.close_code

    def unregistered(self, path: str) -> int | None:
        """The code that one is closed with who has not registered after two seconds."""
        token = {"Authorization": f"Bearer {self.keys.token(Role.SENTINEL, Role.PROCTOR)}"}
        speaker = self.dial(path, token)
        speaker._connection.pass_time(2)
        return speaker.close_code

    def closing(self) -> bool:
        """A peer that does not answer our close is still there after two seconds."""
        speaker = self.watching()
        speaker.say(type="nonsense")
        speaker._connection.pass_time(2)
        return speaker._connection.lost is None

    def pinged(self) -> bool:
        """One that does not answer a ping is still there after three seconds more."""
        speaker = self.watching()
        for _ in range(14):
            self.tick()
        return speaker._connection.is_open

    def talking(self) -> int | None:
        """The code that one is closed with who says four hundred things at once."""
        speaker = self.watching()
        for _ in range(400):
            speaker.say(type="focus", sentinelId=None)
        for _ in range(400 // USUAL.frames_per_turn):
            speaker._connection.pass_time(USUAL.rest_seconds)
        return speaker.close_code

    def made_up(self) -> list[str]:
        """The errors that one is told who subscribes to two that were never seen."""
        speaker = self.watching()
        for name in ("made-up-1", "made-up-2"):
            speaker.say(type="subscribe", sentinelId=name)
        self.tick()
        return [message["code"] for message in speaker.heard_of("error")]

    def login(self) -> int:
        """The answer to one who has logged in before somebody else has, as the same user."""
        cookies = []
        for _ in range(2):
            self.clock.advance(1)
            cookies.append(self.type(ADMIN, PASSWORD).headers["set-cookie"].partition(";")[0])
        return self.ask("GET", "/api/v1/me", {"Cookie": cookies[0]}).status

    def ticket(self) -> int:
        """The answer to one who asks for a ticket."""
        what = {"path": "/ws/proctor"}
        return self.ask("POST", "/api/v1/tickets", self.shown[ADMIN], what).status

    def test_turned(self) -> None:
        """Each limit, where it is met with the default and where it is turned."""
        me, wrong = "/api/v1/me", {"Authorization": "Bearer wrong"}

        def wrong_token() -> int:
            return self.ask("GET", me, wrong).status

        def wrong_password() -> int:
            return self.type(ADMIN, "x").status

        def watching() -> int:
            return self.dial("/ws/proctor", self.shown[ADMIN]).status

        def pushing() -> int:
            return self.dial("/ws/sentinel", self.shown["sentinel"]).status

        def another() -> int | None:
            return self.sentinel(f"desk.{len(self.hub.statuses())}").close_code

        def longer() -> int:
            return self.ask("GET", "/", {"X": "x" * 30_000}).status

        def long_body() -> int:
            return self.ask("POST", "/api/v1/login", {}, {"user": "x" * 2_000}).status

        long = {"X": "x" * 2_000}
        many = {f"X-{number}": "x" for number in range(30)}
        posted = HEAD.replace("GET /", f"POST {me}") + "Content-Length: 9\r\n\r\n"
        rows: tuple[tuple[str, Callable[[], Any], Any, Any], ...] = (
            ("target-bytes=1024", lambda: self.ask("GET", f"/{'x' * 2_000}", {}).status, 404, 414),
            ("header-bytes=1024", lambda: self.ask("GET", "/", long).status, 200, 431),
            ("header-bytes=65536", longer, 431, 200),
            ("headers=20", lambda: self.ask("GET", "/", many).status, 200, 400),
            ("body-bytes=1024", long_body, 400, 413),
            ("header-seconds=1", lambda: self.late(HEAD), 0, 408),
            ("body-seconds=1", lambda: self.late(posted), 0, 408),
            ("idle-seconds=1", lambda: self.silent(f"{HEAD}\r\n", 2).is_open, True, False),
            ("waiting-connections=8", lambda: self.crowd(8), True, False),
            ("waiting-connections-per-place=4", lambda: self.crowd(4), True, False),
            ("registration-seconds=1", lambda: self.unregistered("/ws/sentinel"), None, 4408),
            ("registration-seconds=1", lambda: self.unregistered("/ws/proctor"), None, 4408),
            ("close-seconds=1", self.closing, True, False),
            ("pong-seconds=1", self.pinged, True, False),
            ("frames-per-message=1", lambda: self.frames(b"\x01\x80", b"\x00\x80"), None, 1008),
            ("control-frames=10", lambda: self.frames(*[b"\x89\x80"] * 11), None, 1008),
            ("messages=100", self.talking, None, 4429),
            ("awaited-sentinels=1", self.made_up, [], ["not-found"]),
            ("awaited-sentinels-per-proctor=1", self.made_up, [], ["not-found"]),
            ("wrong-tokens-per-place=1", lambda: self.second(wrong_token), 401, 429),
            ("guesses-per-place=1", lambda: self.second(wrong_password), 401, 429),
            ("logins-per-user=1", self.login, 200, 401),
            ("sockets-per-credential=1", lambda: self.second(watching), 101, 429),
            ("sentinels-per-credential=1", lambda: self.second(pushing), 101, 429),
            ("sentinels=1", lambda: self.second(another), None, 4503),
            ("tickets-per-credential=1", lambda: self.second(self.ticket), 200, 429),
            ("tickets=1", lambda: self.second(self.ticket), 200, 429),
        )
        for text, act, usual, turned in rows:
            for bounds, outcome in ((USUAL, usual), (with_limit(USUAL, text), turned)):
                self.bounds = bounds
                self.setUp()
                self.assertEqual(act(), outcome, text)
