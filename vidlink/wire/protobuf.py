"""The format ``vidlink.v1.protobuf``: every message a `Message` of ``vidlink.proto``.

In a binary frame each. ``vidlink_pb2.py`` is what protoc makes of ``vidlink.proto``; how the table
and that fit together is in :mod:`vidlink.wire.protoshapes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from zope.interface import implementer

from vidlink.errors import BadMessage
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.wire import vidlink_pb2
from vidlink.wire.bounds import MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES, BoundedCodec
from vidlink.wire.protoshapes import Shape
from vidlink.wire.schema import MEDIA_WORDS, TABLE, Said, load_said, to_plain
from vidlink.wire.strictproto import fields

_ENVELOPE: Any = vidlink_pb2.DESCRIPTOR.message_types_by_name["Message"]
_Envelope: Any = GetMessageClass(_ENVELOPE)
_SAID = {said.record.made.__name__: said for said in TABLE}
#: The messages that an envelope may hold, by the name of its field.
_MEMBERS: Mapping[str, tuple[Said, Shape]] = {
    field.name: (
        _SAID[field.message_type.name],
        Shape(_SAID[field.message_type.name].record, field.message_type),
    )
    for field in _ENVELOPE.fields
}
_NAMES: Mapping[type, str] = {said.record.made: name for name, (said, _) in _MEMBERS.items()}
#: True for a field of the envelope that carries media, by its number.
_HAS_MEDIA = {
    field.number: _MEMBERS[field.name][0].word in MEDIA_WORDS for field in _ENVELOPE.fields
}


@implementer(ICodec)
class ProtobufCodec(BoundedCodec):
    """``vidlink.v1.protobuf``."""

    name = "vidlink.v1.protobuf"
    rank = 2
    is_canonical = False

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """The envelope of `message`."""
        plain = to_plain(message)
        del plain["type"]
        if "data" in plain:
            plain["data"] = bytes(plain["data"])
        name = _NAMES[type(message)]
        envelope = _Envelope(**{name: _MEMBERS[name][1].dump(plain)})
        return envelope.SerializeToString(deterministic=True), True

    def decode(self, payload: bytes | memoryview, is_binary: bool) -> Message:
        """The message in `payload`."""
        if not is_binary:
            raise BadMessage(f"{self.name} has no text frames")
        if len(payload) > self.max_control_bytes:
            _check_large(payload, self.max_control_bytes)
        envelope = _Envelope()
        try:
            envelope.ParseFromString(payload)
        except (DecodeError, UnicodeDecodeError):
            raise BadMessage("the octets are no Message of vidlink.proto") from None
        name = envelope.WhichOneof("said")
        if name is None:
            raise BadMessage("the Message says nothing that is known")
        said, shape = _MEMBERS[name]
        return load_said(said, shape.load(getattr(envelope, name)))


def _check_large(payload: bytes | memoryview, max_control_bytes: int) -> None:
    """A message that is longer than control may be has to be media, and of few parts."""
    size = len(payload)
    if size > MAX_MESSAGE_BYTES:
        raise BadMessage(f"a message of {size} octets is longer than {MAX_MESSAGE_BYTES}")
    for parts, number in enumerate(_media_fields(payload), 1):
        if _HAS_MEDIA.get(number) is False:
            raise BadMessage(
                f"a message of {size} octets without media is longer than {max_control_bytes}"
            )
        if parts > MAX_MEDIA_PARTS:
            raise BadMessage(f"a message of this length may have at most {MAX_MEDIA_PARTS} parts")


def _media_fields(payload: bytes | memoryview) -> Iterator[int]:
    """The number of each field of the envelope, and again for each field inside of media."""
    for number, begin, end in fields(payload, 0, len(payload)):
        yield number
        if _HAS_MEDIA.get(number):
            yield from (number for _ in fields(payload, begin, end))
