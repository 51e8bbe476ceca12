"""CBOR to plain values, for peers that may be hostile.

RFC 8949, and of it what JSON has too, and octets: no tags, nothing of indefinite length, no keys
but text and none twice, no ``undefined`` or other simple values, no NaN or Infinity, one item and
nothing behind it. Integers and lengths need not be in their shortest form. A walk of our own, for
cbor2 does with tags what they say (dates, regular expressions, references), and lets trailing
octets pass. What the values mean is in :mod:`vidlink.wire.schema`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from struct import Struct
from typing import Any

from vidlink.errors import BadMessage
from vidlink.wire.bounds import MAX_DEPTH
from vidlink.wire.kinds import excerpt

# Major types (RFC 8949 section 3.1).
_UNSIGNED, _NEGATIVE, _OCTETS, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
#: The low five bits of a head: up to here they are its argument, then the argument follows.
_LARGEST_DIRECT = 23
_ONE_OCTET = 24
_ARGUMENT_SIZES = {25: 2, 26: 4, 27: 8}
_CONSTANTS: Mapping[int, bool | None] = {20: False, 21: True, 22: None}
_FLOATS = {25: Struct("!e"), 26: Struct("!f"), 27: Struct("!d")}
#: Heads of texts of 0 to 23 octets, as names are.
_SHORT_TEXTS = range(0x60, 0x78)


def load_cbor(payload: bytes | memoryview, max_bytes: int, max_parts: int | None = None) -> Any:
    """The value that `payload` is the encoding of; octets are views into it.

    :param max_bytes: refused if longer.
    :param max_parts: refused with more maps, lists and elements; None: any number.
    :raises BadMessage: for anything else, and no other exception.
    """
    size = len(payload)
    if size > max_bytes:
        raise BadMessage(f"a message of {size} octets is longer than {max_bytes}")
    reader = _Reader(payload, sys.maxsize if max_parts is None else max_parts)
    try:
        value = reader.item(0)
    except UnicodeDecodeError:
        raise BadMessage("a text in the CBOR is not UTF-8") from None
    except IndexError:
        raise BadMessage("the CBOR ends too early") from None
    if reader.place != size:
        raise BadMessage(f"{size - reader.place} octets follow the CBOR")
    return value


class _Reader:
    """One walk over `octets`; `place` is the next one to be read.

    What is not there is an IndexError. Each octet is looked at once, and nothing that is announced
    is believed before it is there.
    """

    __slots__ = ("octets", "parts", "place", "size")

    def __init__(self, octets: bytes | memoryview, parts: int) -> None:
        self.octets = octets
        self.size = len(octets)
        self.parts = parts
        self.place = 0

    def item(self, depth: int) -> Any:
        """The data item at `place`, inside of `depth` maps and lists."""
        head = self.octets[self.place]
        self.place += 1
        major, argument = head >> 5, head & 0x1F
        if major == _SIMPLE:
            return self._simple(argument)
        if argument > _LARGEST_DIRECT:
            argument = self._argument(argument)
        if major == _TEXT:
            return str(self._octets(argument, self.octets), "utf-8")
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _OCTETS:
            return self._octets(argument, memoryview(self.octets))
        if major == _TAG:
            raise BadMessage(f"the CBOR must not have tags, such as {argument}")
        return self._container(major, argument, depth + 1)

    def _argument(self, low: int) -> int:
        if low == _ONE_OCTET:
            self.place += 1
            return self.octets[self.place - 1]
        if low not in _ARGUMENT_SIZES:
            raise BadMessage("the CBOR must not have items of indefinite or unknown length")
        return int.from_bytes(self._octets(_ARGUMENT_SIZES[low], self.octets), "big")

    def _octets(self, count: int, octets: bytes | memoryview) -> bytes | memoryview:
        """So many of `octets`, which are ours or a view of them."""
        begin = self.place
        self.place = end = begin + count
        if end > self.size:
            raise IndexError
        return octets[begin:end]

    def _container(self, major: int, count: int, depth: int) -> dict[str, Any] | list[Any]:
        if depth > MAX_DEPTH:
            raise BadMessage(f"the CBOR is nested more than {MAX_DEPTH} deep")
        if count > self.size - self.place:
            raise IndexError
        self.parts -= 1 + count
        if self.parts < 0:
            raise BadMessage("the CBOR has more parts than one of its length may have")
        if major == _LIST:
            return [self.item(depth) for _ in range(count)]
        plain: dict[str, Any] = {}
        for _ in range(count):
            name = self._name()
            if name in plain:
                raise BadMessage(f"the name {excerpt(name)} stands twice in one map")
            plain[name] = self.item(depth)
        return plain

    def _name(self) -> str:
        head = self.octets[self.place]
        if head in _SHORT_TEXTS:
            begin = self.place + 1
            self.place = end = begin + head - _SHORT_TEXTS.start
            # Too short if the octets end before; then so will what comes next.
            return str(self.octets[begin:end], "utf-8")
        if head >> 5 != _TEXT:
            raise BadMessage("the keys of a map in the CBOR must be texts")
        return str(self.item(MAX_DEPTH))

    def _simple(self, low: int) -> bool | float | None:
        if low in _CONSTANTS:
            return _CONSTANTS[low]
        if low not in _FLOATS:
            raise BadMessage("the CBOR has a simple value that is neither false, true nor null")
        form = _FLOATS[low]
        (number,) = form.unpack(self._octets(form.size, self.octets))
        if not math.isfinite(number):
            raise BadMessage(f"{number} is not a number that messages have")
        return float(number)
