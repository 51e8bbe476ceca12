"""Peers that mean harm, octet by octet: what they are told, and what they cost the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY, JSON, Joined
from vidlink.messages import Clock, ProctorRegister
from vidlink.model import USUAL

ROOT = Path(__file__).parents[3]
TEXT, OCTETS, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
#: Fewer than are a flood, and many more than are taken in a turn.
COUNT = 256
PIECES = 8


def handshake(offered: str | None) -> bytes:
    """What a client sends first."""
    subprotocol = "" if offered is None else f"Sec-WebSocket-Protocol: {offered}\r\n"
    return (
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
    ).encode()


def frame(opcode: int, payload: bytes = b"", first: int = FIN, announced: int = -1) -> bytes:
    """A client's frame (RFC 6455 section 5.2); its mask changes nothing.

    :param announced: the length it claims to have, in eight octets; -1: its own, in short.
    """
    if announced < 0:
        assert len(payload) < 126
        return bytes((first | opcode, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((first | opcode, 0xFF)) + announced.to_bytes(8) + bytes(4) + payload


def pong(payload: bytes = b"") -> bytes:
    """The server's answer to a ping."""
    return bytes((FIN | PONG, len(payload))) + payload


class Wire(FakeTransport):
    """A client's end: all octets that the server has sent, and whether it still reads."""

    is_read = True

    def pauseProducing(self) -> None:
        """The server does not read any more."""
        self.is_read = False

    def resumeProducing(self) -> None:
        """It does again."""
        self.is_read = True

    @property
    def octets(self) -> bytes:
        """What was sent, from the beginning."""
        return b"".join(self.stream)


class HostileCase(SynchronousTestCase):
    """A server, and raw connections to both of its paths."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()
        self.factories = (self.server.ingest, self.server.watch)

    def connect(self, factory: Any, offered: str | None = BINARY) -> Any:
        """The server's end of a connection that is open; what the handshake said is forgotten."""
        link = factory.buildProtocol(None)
        link.makeConnection(Wire(link, isServer=True))
        link.dataReceived(handshake(offered))
        if offered is not None:
            link.transport.stream.clear()
        return link

    def assert_closed(self, code: int, *octets: bytes) -> None:
        """Whoever sends `octets` is closed with `code` on both paths, before anything else is
        awaited; nothing is logged as a fault, and nothing is left when it is gone."""
        for factory in self.factories:
            link = self.connect(factory)
            for some in octets:
                link.dataReceived(some)
            self.pass_rests()
            self.assertIn(bytes((FIN | CLOSE,)), link.transport.octets)
            *_, close = link.transport.octets.rpartition(bytes((FIN | CLOSE,)))
            self.assertEqual(int.from_bytes(close[1:3]), code)
            self.assertTrue(close[3:].isascii())
            link.connectionLost(Failure(ConnectionLost()))
            self.assertEqual(factory.links, set())
        # That of a door that has let many in.
        self.server.clock.advance(0)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def pass_rests(self) -> None:
        """Let everything that has arrived be taken."""
        while any(link.is_resting for link in self.server.links()):
            self.server.clock.advance(USUAL.rest_seconds)


class FramingTests(HostileCase):
    """What is no frame is refused by its first octets, with a code of RFC 6455."""

    def test_no_frames(self) -> None:
        """Without a mask, with reserved bits or opcodes, cut control frames: 1002."""
        for octets in (
            bytes((FIN | TEXT, 2)) + b"{}",
            frame(TEXT, b"{}", FIN | 0x40),
            frame(OCTETS, b"{}", FIN | 0x20),
            frame(PING, b"", FIN | 0x10),
            *(frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
            frame(0, b"{}"),
            frame(PING, b"", 0),
            frame(PING, bytes(126), announced=126),
            frame(TEXT, b"{", 0) + frame(TEXT, b"}"),
            frame(TEXT, b"{}", announced=2),
            frame(OCTETS, announced=2**63),
            frame(OCTETS, announced=2**64 - 1),
        ):
            self.assert_closed(1002, octets)

    def test_garbage(self) -> None:
        """So is what only begins like WebSocket: HTTP, TLS, zeros."""
        for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", bytes(64)):
            self.assert_closed(1002, octets)

    def test_bad_closes(self) -> None:
        """A close with half a code, one that nobody may send, or a bad reason: 1002 or 1007."""
        for code in (0, 999, 1004, 1005, 1006, 1016, 2999, 5000, 65535):
            self.assert_closed(1002, frame(CLOSE, code.to_bytes(2)))
        self.assert_closed(1002, frame(CLOSE, b"\x03"))
        self.assert_closed(1007, frame(CLOSE, b"\x03\xe8\xff\xfe"))

    def test_bad_utf8(self) -> None:
        """Text that is not UTF-8 is refused where it goes wrong, not at its end: 1007."""
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
            self.assert_closed(1007, frame(TEXT, b'{"type": "' + bad, 0))
        self.assert_closed(1007, frame(TEXT, b'"\xce', 0) + frame(0, b'"', 0))

    def test_announced(self) -> None:
        """A message that is announced as too long is refused before an octet of it is read,
        however long, in one frame or in all of them together: 1009."""
        for size in (16 * 1024 * 1024 + 1, 2**31, 2**32, 2**62, 2**63 - 1):
            for opcode in (TEXT, OCTETS):
                self.assert_closed(1009, frame(opcode, announced=size))
        part = frame(0, b"[" * 10, 0)
        self.assert_closed(1009, frame(TEXT, b"[", 0), part, frame(0, announced=2**62))

    def test_nothing_more_is_kept(self) -> None:
        """What still comes of a message that was refused is dropped, and not piled up."""
        for factory in self.factories:
            link = self.connect(factory)
            link.dataReceived(frame(OCTETS, announced=2**62))
            for _ in range(100):
                link.dataReceived(bytes(65_536))
            self.assertLessEqual(len(link.data), 65_536)
            self.assertFalse(link.message_data or link.frame_data)
            link.connectionLost(Failure(ConnectionLost()))


class HandshakeTests(HostileCase):
    """Nobody comes in without a format that both speak."""

    def test_subprotocols(self) -> None:
        """None, an empty one, another one, or one that looks alike is a 400, and nothing is
        opened."""
        for factory in self.factories:
            for offered in (None, "mqtt", "vidlink", "vidlink.v1", "VIDLINK.V1.JSON", f"{JSON}x"):
                link = factory.buildProtocol(None)
                link.makeConnection(Wire(link, isServer=True))
                link.dataReceived(handshake(offered))
                self.assertIn(b"HTTP/1.1 400 ", link.transport.octets)
                self.assertNotIn(b"101", link.transport.octets)
                self.assertTrue(link.transport.disconnecting)
                self.assertEqual(factory.links, set())
                link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class MessageTests(HostileCase):
    """What is a frame and no message is ours to refuse, in band first."""

    def test_no_messages(self) -> None:
        """Deep nesting, a name twice, numbers that are none, nothing at all: 4400, no fault."""
        for text in (
            b"",
            b"null",
            b"[" * 120,
            b'{"a":' * 20 + b"1" + b"}" * 20,
            b'{"type":"clock","type":"clock","t0":1}',
            b'{"type":"clock","t0":NaN}',
            b'{"type":"clock","t0":1e999}',
            b'{"type":"clock","t0":-Infinity}',
            b'{"type":"clock","t0":9007199254740993}',
            b'{"type":"clock","t0":"1"}',
            b'{"type":"clock","t0":1.5}',
            b'{"type":"\\ud800","t0":1}',
            b'{"type":"__init__"}',
        ):
            self.assert_closed(4400, frame(TEXT, text))

    def test_no_media(self) -> None:
        """So are octets that are neither init nor segment."""
        for octets in (b"", b"\x01", bytes(28), b"\xff" * 28, b"\x02\x01\xff\xff" + bytes(60)):
            self.assert_closed(4400, frame(OCTETS, octets))


class FloodTests(HostileCase):
    """Tiny frames without end: they cost their sender time, and nobody else."""

    def test_fragments(self) -> None:
        """A message in more than 64 frames is refused, with octets in them or without: 1008."""
        for part in (b"", b" "):
            frames = [frame(TEXT, part, 0), *[frame(0, part, 0)] * USUAL.frames_per_message]
            self.assert_closed(1008, b"".join(frames))
            self.assert_closed(1008, *frames)

    def test_fragments_after_that(self) -> None:
        """Who goes on is not listened to any more."""
        for factory in self.factories:
            link = self.connect(factory)
            link.dataReceived(frame(TEXT, b"", 0) + frame(0, b"", 0) * 10_000)
            self.pass_rests()
            self.assertTrue(link.transport.disconnecting)
            link.connectionLost(Failure(ConnectionLost()))

    def test_others_have_their_turn(self) -> None:
        """Of hundreds of frames in one read a few are taken, then the others have their turn;
        each is taken in the end, in order, and meanwhile no more is read."""
        for factory in self.factories:
            other, link = self.server.sentinel(), self.connect(factory)
            link.dataReceived(frame(PING) * COUNT + frame(PING, b"last"))
            self.assertFalse(link.transport.is_read)
            self.assertEqual(link.transport.octets, pong() * USUAL.frames_per_turn)
            other.say(Clock(1))
            self.server.pumps[-1].flush()
            self.assertEqual(other.kinds(), ["Clock"])
            self.assertEqual(link.transport.octets, pong() * USUAL.frames_per_turn)
            began = self.server.clock.seconds()
            self.pass_rests()
            self.assertTrue(link.transport.is_read)
            self.assertEqual(link.transport.octets, pong() * COUNT + pong(b"last"))
            rested = self.server.clock.seconds() - began
            self.assertAlmostEqual(rested, COUNT // USUAL.frames_per_turn * USUAL.rest_seconds)
            link.connectionLost(Failure(ConnectionLost()))

    def test_pings_and_pongs(self) -> None:
        """More pings and pongs than anybody needs are a flood, in one read or in many: 1008."""
        for opcode in (PING, PONG):
            self.assert_closed(1008, frame(opcode) * 10_000)
            self.assert_closed(1008, *[frame(opcode)] * (USUAL.control_frames + 20))
        both = [frame(PING), frame(PONG)] * (USUAL.control_frames // 2 + 10)
        self.assert_closed(1008, b"".join(both))

    def test_seldom_pings(self) -> None:
        """Whoever pings as often as is allowed, and no more, goes on being answered."""
        each = int(USUAL.control_frames_per_second)
        for factory in self.factories:
            link = self.connect(factory)
            link.dataReceived(frame(PING) * USUAL.control_frames)
            self.pass_rests()
            for _ in range(8):
                self.server.clock.advance(1)
                link.dataReceived(frame(PING) * each)
            self.assertEqual(link.transport.octets, pong() * (USUAL.control_frames + 8 * each))
            link.connectionLost(Failure(ConnectionLost()))

    def test_reference(self) -> None:
        """The wire reference names these figures."""
        page = " ".join((ROOT / "docs" / "reference" / "wire.md").read_text("utf-8").split())
        self.assertIn(f"into at most {USUAL.frames_per_message} frames (1008 otherwise)", page)
        rests = (
            f"{USUAL.frames_per_turn} at a time and then rests for {USUAL.rest_seconds * 1000:g} ms"
        )
        self.assertIn(rests, page)

    def test_gone_while_it_waits(self) -> None:
        """A connection that is lost with frames waiting leaves no timer behind."""
        for factory in self.factories:
            link = self.connect(factory)
            link.dataReceived(frame(PING) * 100)
            self.assertTrue(link.is_resting)
            link.connectionLost(Failure(ConnectionLost()))
            self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_more_while_it_waits(self) -> None:
        """What was read already when a connection had to wait comes behind what waits."""
        link = self.connect(self.server.watch)
        link.dataReceived(b"".join(frame(PING, b"%d" % n) for n in range(100)))
        link.dataReceived(frame(PING, b"100"))
        self.pass_rests()
        self.assertEqual(link.transport.octets, b"".join(pong(b"%d" % n) for n in range(101)))

    def test_one_read_in_many_pieces(self) -> None:
        """However many pieces they come in, as TLS hands on each of its records alone, frames
        that come at one time are taken in turns."""
        for factory in self.factories:
            link = self.connect(factory)
            for _ in range(PIECES):
                link.dataReceived(frame(PING) * (USUAL.frames_per_turn - 1))
            self.assertFalse(link.transport.is_read)
            self.assertEqual(link.transport.octets, pong() * USUAL.frames_per_turn)
            began = self.server.clock.seconds()
            self.pass_rests()
            self.assertEqual(link.transport.octets, pong() * PIECES * (USUAL.frames_per_turn - 1))
            rested = self.server.clock.seconds() - began
            turns = PIECES * (USUAL.frames_per_turn - 1) // USUAL.frames_per_turn
            self.assertAlmostEqual(rested, turns * USUAL.rest_seconds)
            link.connectionLost(Failure(ConnectionLost()))

    def test_patient_peers(self) -> None:
        """Whoever sends a few frames at a time, and then a while nothing, never waits."""
        peer = self.server.proctor()
        peer.say(ProctorRegister("test/1"))
        self.server.flush()
        for _ in range(10):
            self.server.clock.advance(2 * USUAL.rest_seconds)
            for _ in range(USUAL.frames_per_turn):
                peer.say(Clock(1))
            began = self.server.clock.seconds()
            self.server.flush()
            self.assertEqual(self.server.clock.seconds(), began)
        self.assertEqual(peer.kinds().count("Clock"), 10 * USUAL.frames_per_turn)
