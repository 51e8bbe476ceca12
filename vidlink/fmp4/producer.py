"""Moving when a segment was captured: the wall-clock time in its `prft`.

Nothing else changes in the bytes; the media clock is moved in `rebase`.
"""

from __future__ import annotations

from struct import Struct

from vidlink.errors import NotMedia
from vidlink.fmp4.boxes import iter_boxes
from vidlink.fmp4.ntp import ntp_from_us, us_from_ntp
from vidlink.model import Octets

_STAMP = Struct(">II")
#: The place of the stamp in the body of `prft`: behind version, flags and track.
_STAMP_PLACE = 8


def shift_producer_time(data: Octets, offset_us: int) -> bytes:
    """The media segment in `data` with `offset_us` added to the time in each `prft`.

    What has no `prft` before its `moof` is given back as it is.

    :raises NotMedia: if what stands before `moof` are no boxes.
    """
    moved = bytearray(data)
    for box in iter_boxes(data):
        if box.kind == b"moof":
            break
        place = box.body + _STAMP_PLACE
        if box.kind != b"prft":
            continue
        if place + _STAMP.size > box.end:
            raise NotMedia("prft is too short")
        time_us = us_from_ntp(*_STAMP.unpack_from(data, place)) + offset_us
        _STAMP.pack_into(moved, place, *ntp_from_us(time_us))
    return bytes(moved)
