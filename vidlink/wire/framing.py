"""Around the formats: which one is spoken, and the header of an outgoing WebSocket frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.model import Frame, Octets

_FIN = 0x80
_TEXT = 0x1
_BINARY = 0x2
_SHORT = Struct("!BB")
_MEDIUM = Struct("!BBH")
_LONG = Struct("!BBQ")


def server_frame(payload: Octets, is_binary: bool) -> Frame:
    """`payload` as one whole message from a server: FIN, unmasked (RFC 6455 section 5.2)."""
    first = _FIN | (_BINARY if is_binary else _TEXT)
    size = len(payload)
    if size < 126:
        header = _SHORT.pack(first, size)
    elif size < 1 << 16:
        header = _MEDIUM.pack(first, 126, size)
    else:
        header = _LONG.pack(first, 127, size)
    return b"".join((header, payload))


def payload_of(frame: Frame) -> memoryview:
    """The payload of `frame`, as a view into it."""
    size = frame[1]
    return memoryview(frame)[2 if size < 126 else 4 if size == 126 else 10 :]


def message_frame(codec: ICodec, message: Message) -> Frame:
    """`message` from a server, in the format of `codec`."""
    return server_frame(*codec.encode(message))


def negotiate(offered: Sequence[str], codecs: Iterable[ICodec]) -> ICodec | None:
    """The format to speak with a peer that offers these subprotocols, by the server's rank.

    The peer's order does not count. None if there is none in common.
    """
    common = (codec for codec in codecs if codec.name in offered)
    return min(common, key=lambda codec: codec.rank, default=None)
