"""The format ``vidlink.v1.cbor``: every message a CBOR map in a binary frame, media as octets.

The maps are those of :mod:`vidlink.wire.jsontext`, but for `data`, which is a byte string.
"""

from __future__ import annotations

import cbor2
from zope.interface import implementer

from vidlink.errors import BadMessage
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.wire.bounds import MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES, BoundedCodec
from vidlink.wire.schema import MEDIA_WORDS, from_plain, to_plain, word_of
from vidlink.wire.strictcbor import load_cbor


@implementer(ICodec)
class CborCodec(BoundedCodec):
    """``vidlink.v1.cbor``."""

    name = "vidlink.v1.cbor"
    rank = 1
    is_canonical = False

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """The map of `message`."""
        plain = to_plain(message)
        media = plain.get("data")
        if media is None:
            return cbor2.dumps(plain), True
        # `data` is the last field: what cbor2 writes ends with the head of the empty string.
        plain["data"] = b""
        return b"".join((cbor2.dumps(plain)[:-1], _octets_head(len(media)), media)), True

    def decode(self, payload: bytes | memoryview, is_binary: bool) -> Message:
        """The message in `payload`; `data` of media is a view into it, if it is most of it."""
        if not is_binary:
            raise BadMessage(f"{self.name} has no text frames")
        large = len(payload) > self.max_control_bytes
        plain = load_cbor(payload, MAX_MESSAGE_BYTES, MAX_MEDIA_PARTS if large else None)
        if large and word_of(plain) not in MEDIA_WORDS:
            raise BadMessage(
                f"a message of {len(payload)} octets without media is longer than "
                f"{self.max_control_bytes}"
            )
        media = plain.get("data") if isinstance(plain, dict) else None
        if isinstance(media, memoryview) and 2 * len(media) < len(payload):
            # A view keeps all of the payload in memory, and fields that nobody knows with it.
            plain["data"] = bytes(media)
        return from_plain(plain)


def _octets_head(size: int) -> bytes:
    """The head of a byte string, in its shortest form (RFC 8949 section 4.2.1)."""
    if size < 24:
        return bytes((0x40 | size,))
    for first, octets in ((0x58, 1), (0x59, 2)):
        if size < 1 << 8 * octets:
            return bytes((first,)) + size.to_bytes(octets, "big")
    return b"\x5a" + size.to_bytes(4, "big")
