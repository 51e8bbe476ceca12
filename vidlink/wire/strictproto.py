"""The fields of a protobuf message, counted before it is parsed.

A runtime is safe with any octets, but it makes an object of each two of them if that is what they
say. What they mean is the business of :mod:`vidlink.wire.protobuf`.
"""

from __future__ import annotations

from collections.abc import Iterator

from vidlink.errors import BadMessage

# Wire types (https://protobuf.dev/programming-guides/encoding/).
_VARINT, _EIGHT, _LENGTH, _GROUP, _END_OF_GROUP, _FOUR = range(6)
_SIZES = {_EIGHT: 8, _FOUR: 4, _GROUP: 0, _END_OF_GROUP: 0}
_LARGEST_VARINT_BYTES = 10


def fields(octets: bytes | memoryview, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each field between two places: its number, and where its value begins and ends.

    Groups are not entered: their ends are fields of their own.

    :raises BadMessage: at what is no field.
    """
    while begin < end:
        tag, begin = _varint(octets, begin, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _LENGTH:
            size, begin = _varint(octets, begin, end)
        elif wire_type == _VARINT:
            size = _varint(octets, begin, end)[1] - begin
        elif wire_type in _SIZES:
            size = _SIZES[wire_type]
        else:
            raise BadMessage(f"there is no wire type {wire_type}")
        if size > end - begin:
            raise BadMessage("the message ends too early")
        yield number, begin, begin + size
        begin += size


def _varint(octets: bytes | memoryview, place: int, end: int) -> tuple[int, int]:
    """The number at `place`, and the place behind it."""
    number = 0
    for index in range(min(_LARGEST_VARINT_BYTES, end - place)):
        octet = octets[place + index]
        number |= (octet & 0x7F) << 7 * index
        if octet < 0x80:
            return number, place + index + 1
    raise BadMessage("the message has a number that does not end")
