"""Which part of a representation is asked for: preconditions and ranges, without I/O.

RFC 9110 sections 13 (conditional requests) and 14 (range requests). The bytes are sent by
:mod:`vidlink.server.api.bodies`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vidlink.server.api.refusals import PreconditionFailed, RangeNotSatisfiable

_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ETAGS = re.compile(rf"[\t ,]*{_ETAG}(?:[\t ]*,[\t ,]*{_ETAG})*[\t ,]*")
_BYTES = re.compile(r"bytes=[\t ,]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[\t ,]*", re.IGNORECASE)
#: Beyond any size. Numbers are cut to this, as `int` refuses those of more than 4,300 digits.
_VAST = 10**20


@dataclass(frozen=True, slots=True)
class Conditions:
    """The headers that say when, and which part; None where one was not sent.

    A header that was sent several times is joined with commas (RFC 9110 section 5.3).
    """

    if_match: str | None = None
    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes `first` to `last`, both included, of a representation."""

    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        """The number of bytes."""
        return self.last - self.first + 1


def is_current(conditions: Conditions, etag: str) -> bool:
    """True if the client already has the version with the strong validator `etag`.

    Then a GET or HEAD is answered with 304 (RFC 9110 section 13.2.2).

    :raises PreconditionFailed: if it wants another version than this.
    """
    if conditions.if_match is not None and not _names(conditions.if_match, etag, is_weak=False):
        raise PreconditionFailed("If-Match names another version than there is now")
    return conditions.if_none_match is not None and _names(
        conditions.if_none_match, etag, is_weak=True
    )


def goes_on(conditions: Conditions) -> bool:
    """True if a GET asks for the rest of something, and does not say of which version."""
    if conditions.range is None or conditions.if_range is not None:
        return False
    match = _BYTES.fullmatch(conditions.range)
    return match is not None and (match[1] is None or _number(match[1]) > 0)


def requested_range(conditions: Conditions, etag: str, size_bytes: int) -> ByteRange | None:
    """The range that a GET asks for, of `size_bytes` with the strong validator `etag`.

    None means the whole: there is no ``Range``, it is not one that is understood (other units,
    several ranges, last before first), or ``If-Range`` names another version.

    :raises RangeNotSatisfiable: if it begins at or after the end.
    """
    if conditions.range is None:
        return None
    if conditions.if_range is not None and conditions.if_range.strip("\t ") != f'"{etag}"':
        return None
    match = _BYTES.fullmatch(conditions.range)
    if match is None:
        return None
    if match[3] is not None:
        suffix = _number(match[3])
        if suffix == 0 or size_bytes == 0:
            raise RangeNotSatisfiable(size_bytes)
        return ByteRange(max(0, size_bytes - suffix), size_bytes - 1)
    first = _number(match[1])
    last = _number(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return None
    if first >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return ByteRange(first, min(last, size_bytes - 1))


def _names(header: str, etag: str, *, is_weak: bool) -> bool:
    """True if a list of entity tags, or ``*``, names `etag` (RFC 9110 section 8.8.3.2)."""
    if header.strip("\t ") == "*":
        return True
    if _ETAGS.fullmatch(header) is None:
        return False
    tags = re.findall(_ETAG, header)
    return f'"{etag}"' in tags or (is_weak and f'W/"{etag}"' in tags)


def _number(digits: str) -> int:
    return min(int(digits.lstrip("0")[:21] or "0"), _VAST)
