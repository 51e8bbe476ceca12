"""JSON text to plain values and back, for peers that may be hostile.

RFC 8259, and stricter (after RFC 7493): UTF-8 only, no name twice in an object, no NaN or
Infinity, and size and depth are known before anything is built. What the values mean is in
:mod:`vidlink.wire.schema`.
"""

from __future__ import annotations

import re
from collections import Counter
from json import JSONDecoder, JSONEncoder
from typing import Any, NoReturn

from vidlink.errors import BadMessage
from vidlink.wire.bounds import MAX_DEPTH
from vidlink.wire.kinds import excerpt

#: A string, to its end or to that of the text, or one bracket. Possessive, so that no text makes
#: it go back: each character is looked at once.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][{}]', re.DOTALL)

_encode = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dump_json(plain: dict[str, Any]) -> bytes:
    """`plain` as compact JSON in UTF-8."""
    return _encode(plain).encode()


def load_json(payload: bytes | memoryview, max_bytes: int, max_parts: int | None = None) -> Any:
    """The value that `payload` is the text of.

    :param max_bytes: refused if longer.
    :param max_parts: refused with more maps, lists and elements; None: any number.
    :raises BadMessage: for anything else, and no other exception.
    """
    if len(payload) > max_bytes:
        raise BadMessage(f"a text of {len(payload)} octets is longer than {max_bytes}")
    try:
        text = str(payload, "utf-8")
    except UnicodeDecodeError as error:
        raise BadMessage(f"the text is not UTF-8 at octet {error.start}") from None
    openers = text.count("{") + text.count("[")
    if max_parts is not None and openers + text.count(",") > max_parts:
        raise BadMessage(f"a text of this length may have at most {max_parts} parts")
    if openers > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise BadMessage(f"the JSON is nested more than {MAX_DEPTH} deep")
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        raise BadMessage(f"the text is not JSON: {error}") from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise BadMessage(f"the name {excerpt(twice)} stands twice in one object")
    return plain


def _constant(name: str) -> NoReturn:
    raise BadMessage(f"{name} is not a number that JSON has")


_DECODER = JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
