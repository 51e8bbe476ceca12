"""The bounded box reader: where each box starts and ends, and nothing about what is in it.

Nothing here descends by itself, so nesting costs nothing however deep it is: a caller names
the few levels it wants. What the boxes mean is in `init` and `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from vidlink.errors import NotMedia
from vidlink.model import Octets

#: So many boxes one container may hold; honest ones hold a dozen.
MAX_BOXES = 1024

#: So much of a segment is read at a time to find its `moof`: all of most of them.
HEAD_BYTES = 256
#: So many boxes are looked at for it.
_MOST_BEFORE_MOOF = 32
#: Honest ones of as many frames as a segment may hold are smaller.
_MOST_MOOF_BYTES = 1024 * 1024

_SHORT = Struct(">I4s").unpack_from
_LONG = Struct(">Q").unpack_from


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its four-character kind and where it lies, in bytes from the start of the data.

    `header` is the length of its header (8, or 16 with a 64-bit size), `end` the place after
    its last byte.
    """

    kind: bytes
    start: int
    header: int
    end: int

    @property
    def body(self) -> int:
        """The place of the first byte after the header."""
        return self.start + self.header


def read_header(data: Octets, start: int, end: int) -> tuple[bytes, int, int]:
    """Read the header at `start` of a box that must not pass `end` (14496-12, 4.2).

    Returns the kind, the place of the body and the place after the box. A size of 0 means
    "up to the end of the container".

    :raises NotMedia: if the box is cut off, smaller than its header or larger than its container.
    """
    body = start + 8
    if body > end:
        raise NotMedia(f"a box is cut off at byte {start}")
    size, kind = _SHORT(data, start)
    if size == 0:
        return kind, body, end
    if size == 1:
        body = start + 16
        if body > end:
            raise NotMedia(f"a box is cut off at byte {start}")
        (size,) = _LONG(data, start + 8)
    stop = start + size
    if stop < body:
        raise NotMedia(f"the box at byte {start} is smaller than its own header")
    if stop > end:
        raise NotMedia(f"the box at byte {start} is larger than what holds it")
    return kind, body, stop


def iter_boxes(data: Octets, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes that lie side by side from `start` up to `end` (all of the data).

    :raises NotMedia: as :func:`read_header`, and if there are more than `MAX_BOXES` of them.
    """
    stop = len(data) if end is None else min(end, len(data))
    for _ in range(MAX_BOXES):
        if start >= stop:
            return
        kind, body, after = read_header(data, start, stop)
        yield Box(kind, start, body - start, after)
        start = after
    if start < stop:
        raise NotMedia(f"more than {MAX_BOXES} boxes side by side")


def find_moof(read: Callable[[int, int], Octets], size: int) -> tuple[int, Octets]:
    """The place of the `moof` in a segment of `size` bytes, and the whole box.

    `read(place, count)` gives `count` bytes of the segment from `place`, fewer only at its end;
    it is mostly asked once, and for heads of boxes alone.

    :raises NotMedia: if there is none near the beginning, or it is larger than any honest one.
    """
    start, head_start = 0, 0
    head = read(0, HEAD_BYTES)
    for _ in range(_MOST_BEFORE_MOOF):
        if start + 16 > head_start + len(head):
            head_start, head = start, read(start, HEAD_BYTES)
        place = start - head_start
        if place + 16 > len(head):
            break
        length, kind = _SHORT(head, place)
        if length == 1:
            (length,) = _LONG(head, place + 8)
        if length < 8 or start + length > size:
            break
        if kind == b"moof":
            if length > _MOST_MOOF_BYTES:
                break
            box = head[place : place + length]
            if len(box) < length:
                box = read(start, length)
            if len(box) < length:
                break
            return start, box
        start += length
    raise NotMedia("no moof is at the head of a segment")


def only_child(data: Octets, parent: Box, kind: bytes, skip: int = 0) -> Box:
    """Find the one box of this kind in `parent`, whose children begin `skip` bytes into its body.

    :raises NotMedia: if there is none, or more than one, or the children are not boxes.
    """
    found = [box for box in iter_boxes(data, parent.body + skip, parent.end) if box.kind == kind]
    if len(found) != 1:
        name, holder = kind.decode("latin-1"), parent.kind.decode("latin-1")
        raise NotMedia(f"{holder} holds {len(found)} {name} boxes, expected one")
    return found[0]


def field(data: Octets, box: Box, layout: Struct, skip: int = 0) -> tuple[int, ...]:
    """Unpack `layout` from `skip` bytes into the body of `box`.

    :raises NotMedia: if the box ends before the field does.
    """
    place = box.body + skip
    if place + layout.size > box.end:
        raise NotMedia(f"{box.kind.decode('latin-1')} is too short")
    return layout.unpack_from(data, place)
