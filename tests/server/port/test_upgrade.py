"""Tests of :mod:`vidlink.server.port.upgrade`: handshakes to the letter of RFC 6455."""

from __future__ import annotations

from typing import Any

from tests.server.port.test_hostile import FIN, PING, TEXT, frame, pong
from tests.server.port.test_site import HOST, SiteCase, get
from tests.server.sockets.opened import Connection

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
#: RFC 6455 section 1.3.
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
RIGHT = {
    "upgrade": "Upgrade: websocket",
    "connection": "Connection: Upgrade",
    "version": "Sec-WebSocket-Version: 13",
    "key": KEY,
}


def asked(*more: str, path: str = "/ws/proctor", **other: str | None) -> bytes:
    """A handshake with some headers that are others, or left out (None), or added."""
    lines = [line for line in {**RIGHT, **other}.values() if line is not None]
    head = "".join(f"{line}\r\n" for line in (*lines, *more))
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + head.encode("latin-1") + b"\r\n"


class HandshakeTests(SiteCase):
    """Who is upgraded."""

    def test_right(self) -> None:
        """What RFC 6455 lets a client write is taken, in whatever case and order."""
        for data in (
            asked(),
            asked(path="/ws/sentinel?x=1"),
            asked(upgrade="upgrade: WebSocket"),
            asked(upgrade="Upgrade: h2c, websocket"),
            asked(connection="CONNECTION: keep-alive, UPGRADE"),
            asked("Connection: keep-alive"),
            asked(version="Sec-WebSocket-Version:   13  "),
            asked("Content-Length: 0"),
            asked("Sec-WebSocket-Extensions: permessage-deflate"),
        ):
            connection = self.connect(data)
            self.assertTrue(connection.received.startswith(b"HTTP/1.1 101 "), data)
            self.assertIn(ACCEPT, connection.received)
            connection.vanish()

    def test_no_upgrade(self) -> None:
        """Who asks for no WebSocket, or for one of another version, is told which there is."""
        for data in (
            asked(upgrade=None),
            asked(upgrade="Upgrade: h2c"),
            asked(upgrade="Upgrade: websockets"),
            asked(upgrade="Upgrade: web socket"),
            *(
                asked(version=f"Sec-WebSocket-Version: {version}")
                for version in ("8", "14", "0", "-13", "+13", "013", "1_3", "13.0", "x", "13, 8")
            ),
        ):
            (answer,) = self.connect(data).answers()
            self.assertEqual((answer.status, answer.error_code), (426, "no-upgrade"), data)
            self.assertEqual(answer.headers["upgrade"], "websocket")
            self.assertEqual(answer.headers["sec-websocket-version"], "13")

    def test_bad_handshakes(self) -> None:
        """What lacks something, or has it twice, is a 400 with a text of ours alone."""
        for data in (
            asked(connection=None),
            asked(connection="Connection: close"),
            asked(connection="Connection: Upgraded"),
            asked(version=None),
            asked("Sec-WebSocket-Version: 13"),
            asked(key=None),
            asked(KEY),
            asked(key="Sec-WebSocket-Key:"),
            asked(key="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
            asked(key="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="),
            asked(key="Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ=="),
            asked(key="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==="),
            asked(key="Sec-WebSocket-Key: \xe4GhlIHNhbXBsZSBub25jZQ=="),
        ):
            (answer,) = self.connect(data).answers()
            self.assertEqual((answer.status, answer.error_code), (400, "bad-request"), data)
            self.assertIn("a handshake needs", answer.json["error"]["message"])

    def test_body(self) -> None:
        """A body, which would be taken for frames, is refused, announced or in pieces."""
        said = frame(TEXT, b"x")
        for data in (
            asked(f"Content-Length: {len(said)}") + said,
            asked("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(said), said),
        ):
            connection = self.connect(data)
            (answer,) = connection.answers()
            self.assertEqual((answer.status, answer.error_code), (400, "bad-request"))
            self.assertNotIn(b"101", connection.received)


class EarlyTests(SiteCase):
    """What comes behind a handshake before it is answered."""

    def early(self, *pieces: bytes) -> Connection:
        """A client that sends a handshake and frames in `pieces`, each of them read at once."""
        connection = Connection(self.site, self.clock)
        for piece in pieces:
            connection.protocol.dataReceived(piece)
        connection.turn()
        return connection

    def test_in_one_read(self) -> None:
        """Frames in the read of the handshake are the first of the WebSocket, wherever the read
        ends, and those of later reads come behind them."""
        frames = frame(TEXT, b"one") + frame(PING, b"two") + frame(TEXT, b"three")
        answers = bytes((FIN | TEXT, 3)) + b"one" + pong(b"two") + bytes((FIN | TEXT, 5)) + b"three"
        for end in range(len(frames) + 1):
            connection = self.early(asked() + frames[:end])
            connection.send(frames[end:])
            head, _, said = bytes(connection.received).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "))
            self.assertEqual(said, answers)
            connection.vanish()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_while_it_waits(self) -> None:
        """So are those that come while the handshake waits for its turn."""
        in_turn: list[Any] = []
        connection = self.connect(get("/healthz"))
        connection.received.clear()
        self.patch(self.site.door, "knock", lambda enter: in_turn.append(enter))
        for piece in (asked(), frame(TEXT, b"one"), frame(PING, b"two")):
            connection.protocol.dataReceived(piece)
        self.assertEqual(connection.received, b"")
        in_turn.pop()()
        connection.turn()
        _, _, said = bytes(connection.received).partition(b"\r\n\r\n")
        self.assertEqual(said, bytes((FIN | TEXT, 3)) + b"one" + pong(b"two"))

    def test_another_request(self) -> None:
        """A request behind a handshake is no request any more, and no frame either."""
        connection = self.early(asked() + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        _, _, said = bytes(connection.received).partition(b"\r\n\r\n")
        self.assertEqual(said, b"")
        self.assertFalse(connection.is_open)

    def test_behind_a_refusal(self) -> None:
        """Behind a handshake that is refused there are requests, and frames are none."""
        refused = asked(version="Sec-WebSocket-Version: 8")
        connection = self.early(refused + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        self.assertEqual([answer.status for answer in connection.answers()], [426, 200])
        connection = self.early(refused + frame(TEXT, b"one\r\n\r\n"))
        self.assertEqual([answer.status for answer in connection.answers()], [426, 400])
