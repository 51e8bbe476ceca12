"""The frame around a payload, and the choice of a format."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Any, cast

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from vidlink.interfaces import ICodec
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.framing import negotiate, payload_of, server_frame
from vidlink.wire.jsontext import JsonCodec

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)


class Listener(WebSocketClientProtocol):
    """A WebSocket client, that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[bytes, bool]] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Keep it."""
        self.heard.append((payload, isBinary))


def listener() -> Listener:
    """A listener with an open connection."""
    protocol = Listener()
    protocol.factory = WebSocketClientFactory("ws://127.0.0.1/")
    protocol.factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
    transport = StringTransport()
    protocol.makeConnection(transport)
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", transport.value())
    assert key is not None
    # RFC 6455 section 1.3.
    digest = sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    protocol.dataReceived(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + b64encode(digest) + b"\r\n\r\n"
    )
    return protocol


class FrameTests(SynchronousTestCase):
    """Headers of RFC 6455 section 5.2."""

    def test_header(self) -> None:
        """FIN, the opcode, no mask, and the shortest length that will do."""
        self.assertEqual(server_frame(bytes(5), True)[:2].hex(" "), "82 05")
        self.assertEqual(server_frame(bytes(5), False)[:2].hex(" "), "81 05")
        self.assertEqual(server_frame(bytes(126), True)[:4].hex(" "), "82 7e 00 7e")
        self.assertEqual(
            server_frame(bytes(65_536), False)[:10].hex(" "), "81 7f 00 00 00 00 00 01 00 00"
        )

    def test_payload(self) -> None:
        """The payload is found behind headers of each length, and not copied."""
        for size in SIZES:
            frame = server_frame(memoryview(b"x" * size), True)
            payload = payload_of(frame)
            self.assertEqual(payload, b"x" * size)
            self.assertIs(payload.obj, frame)

    def test_heard(self) -> None:
        """A client of another make hears exactly what was said."""
        for is_binary in (True, False):
            client = listener()
            for size in SIZES:
                frame = server_frame(b"x" * size, is_binary)
                client.dataReceived(frame)
            self.assertEqual(client.heard, [(b"x" * size, is_binary) for size in SIZES])


class Format:
    """A format with just a name and a rank."""

    def __init__(self, name: str, rank: int) -> None:
        self.name = name
        self.rank = rank


class NegotiateTests(SynchronousTestCase):
    """Which format is spoken."""

    codecs = cast("tuple[ICodec, ...]", (JsonCodec(), BinaryCodec(), Format("other", 5)))

    def choose(self, *offered: str) -> Any:
        """The name of the chosen format."""
        codec = negotiate(offered, self.codecs)
        return None if codec is None else codec.name

    def test_rank(self) -> None:
        """The server's preference counts, not the order of the offer."""
        self.assertEqual(self.choose("vidlink.v1.json", "vidlink.v1.binary"), "vidlink.v1.binary")
        self.assertEqual(self.choose("other", "vidlink.v1.json"), "vidlink.v1.json")
        self.assertEqual(self.choose("other"), "other")

    def test_unknown(self) -> None:
        """What nobody here speaks is passed over."""
        self.assertEqual(self.choose("mqtt", "vidlink.v9", "other"), "other")

    def test_none(self) -> None:
        """Nothing in common is None, also when nothing is offered."""
        self.assertIsNone(self.choose())
        self.assertIsNone(self.choose("mqtt", "VIDLINK.V1.JSON", "vidlink.v1"))
