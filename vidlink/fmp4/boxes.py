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

#: The length of what our own Sentinel puts before `moof`.
_HEAD_BYTES = 32

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


def moof_offset(read: Callable[[int, int], Octets], size: int) -> int:
    """The number of bytes before the `moof` in a segment of `size` bytes; 0 if there is none.

    `read(place, count)` gives `count` bytes of it from `place`, fewer only at its end.
    """
    start, head_start = 0, 0
    head = read(0, 2 * _HEAD_BYTES)
    for _ in range(MAX_BOXES):
        if start + 16 > head_start + len(head):
            head_start, head = start, read(start, 2 * _HEAD_BYTES)
        place = start - head_start
        if place + 16 > len(head) or start >= size:
            break
        length, kind = _SHORT(head, place)
        if kind == b"moof":
            return start
        start += _LONG(head, place + 8)[0] if length == 1 else max(8, length)
    return 0


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
