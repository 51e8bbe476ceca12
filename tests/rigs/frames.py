"""WebSocket by hand: what a scripted client sends, and a reader of what a server sends it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def handshake(
    path: str, subprotocol: str, host: str = "127.0.0.1:8080", token: str | None = None
) -> bytes:
    """The request that a client begins with."""
    shown = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n{shown}\r\n"
    ).encode()


def client_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A whole frame of a client (RFC 6455 section 5.2); its mask changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return b"".join((head, bytes(4), payload))


class Frames:
    """Takes what a server sends, in any pieces; gives the frames that are whole."""

    def __init__(self) -> None:
        self.has_opened = False
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that `data` completes."""
        self._data += data
        if not self.has_opened:
            head, blank, rest = bytes(self._data).partition(b"\r\n\r\n")
            if not blank:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.has_opened, self._data = True, bytearray(rest)
        while (place := self._first()) is not None:
            begin, end = place
            opcode, payload = self._data[0] & 0x0F, bytes(self._data[begin:end])
            assert self._data[0] & 0x80, "a server sends whole messages"
            del self._data[:end]
            yield opcode, payload

    def _first(self) -> tuple[int, int] | None:
        """Where the payload of the first frame begins and ends; None while it is not whole."""
        data, begin = self._data, 2
        if len(data) < 2:
            return None
        size = data[1]
        assert size < 128, "a server does not mask"
        if size >= 126:
            begin = 4 if size == 126 else 10
            if len(data) < begin:
                return None
            size = int.from_bytes(data[2:begin], "big")
        return (begin, begin + size) if len(data) >= begin + size else None
