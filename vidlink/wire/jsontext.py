"""The format ``vidlink.v1.json``: every message a JSON text, media in base64.

For peers that have nothing but JSON; the texts of control are the same in
:mod:`vidlink.wire.binary`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from zope.interface import implementer

from vidlink.errors import BadMessage
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.wire.bounds import MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES, BoundedCodec
from vidlink.wire.kinds import ABSENT, excerpt
from vidlink.wire.schema import MEDIA_WORDS, from_plain, to_plain, word_of
from vidlink.wire.strictjson import dump_json, load_json


@implementer(ICodec)
class JsonCodec(BoundedCodec):
    """``vidlink.v1.json``."""

    name = "vidlink.v1.json"
    rank = 3
    is_canonical = False

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """The text of `message`."""
        plain = to_plain(message)
        media = plain.pop("data", None)
        text = dump_json(plain)
        if media is None:
            return text, False
        # Base64 needs no escaping: looking for what does would double the cost.
        return b'%b,"data":"%b"}' % (text[:-1], b2a_base64(media, newline=False)), False

    def decode(self, payload: bytes | memoryview, is_binary: bool) -> Message:
        """The message in `payload`."""
        if is_binary:
            raise BadMessage(f"{self.name} has no binary frames")
        large = len(payload) > self.max_control_bytes
        plain = load_json(payload, MAX_MESSAGE_BYTES, MAX_MEDIA_PARTS if large else None)
        if word_of(plain) in MEDIA_WORDS:
            plain["data"] = _octets(plain.get("data", ABSENT))
        elif large:
            raise BadMessage(
                f"a text of {len(payload)} octets without media is longer than "
                f"{self.max_control_bytes}"
            )
        return from_plain(plain)


def _octets(data: object) -> bytes:
    """The octets that `data` stands for: RFC 4648 section 4, padded, and nothing between."""
    try:
        # Of itself a2b_base64() lets more padding pass than there should be.
        if isinstance(data, str) and len(data) % 4 == 0 and not data.endswith("==="):
            return a2b_base64(data, strict_mode=True)
    except ValueError:
        pass
    raise BadMessage(f"data must be base64 (RFC 4648 section 4), not {excerpt(data)}")
