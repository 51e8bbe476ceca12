"""Moving a segment on the media clock: the decode time of its frames, and what repeats it.

Nothing moves in the bytes and nothing but times changes, so that offsets and sizes stay right.
"""

from __future__ import annotations

from struct import Struct

from vidlink.errors import NotMedia
from vidlink.fmp4 import layout
from vidlink.fmp4.boxes import Box, iter_boxes, only_child

_U32, _U64 = Struct(">I"), Struct(">Q")
#: Our own layout up to `tfdt`: what has to be there, and the two times.
_OWN = Struct(">QI12xQQQ8xQQ8xQIQ")
_PRFT_TIME = layout.PRFT.size - _U64.size
_TFDT_TIME = _OWN.size - _U64.size
#: The place of the timescale in the body of `sidx`, and of the times in those of the boxes.
_SIDX_TIMESCALE, _SIDX_TIME, _PRFT_BODY_TIME, _TFDT_BODY_TIME = 8, 12, 16, 4
# fmt: off
_OWN_HEADERS = (
    layout.PRFT_HEADER, layout.VERSION_1, layout.MOOF_HEADER, layout.MFHD_HEADER,
    layout.TRAF_HEADER, layout.TFHD_HEADER, layout.TFDT_HEADER, layout.VERSION_1,
)
# fmt: on


def rebase_fragment(data: memoryview, ticks: int, timescale: int) -> None:
    """Take `ticks` of `timescale` from the times of the media segment in `data`, in place.

    That is the decode time in `tfdt`, and where they are there, the same time in `prft` and the
    earliest time in `sidx`; none goes below 0. Fields of 32 bits stay such.

    :raises NotMedia: if it is no segment that :func:`~vidlink.fmp4.read_fragment` takes.
    """
    if len(data) >= _OWN.size:
        prft, prft_version, produced, *boxes, time = _OWN.unpack_from(data)
        if (prft, prft_version, *boxes) == _OWN_HEADERS:
            _U64.pack_into(data, _PRFT_TIME, max(0, produced - ticks))
            _U64.pack_into(data, _TFDT_TIME, max(0, time - ticks))
            return
    for box in iter_boxes(data):
        if box.kind == b"moof":
            tfdt = only_child(data, only_child(data, box, b"traf"), b"tfdt")
            if not _move(data, tfdt, _TFDT_BODY_TIME, ticks):
                raise NotMedia("tfdt is too short")
            return
        if box.kind == b"prft":
            _move(data, box, _PRFT_BODY_TIME, ticks)
        elif box.kind == b"sidx" and box.body + _SIDX_TIME <= box.end:
            # It may count in ticks of its own.
            (own,) = _U32.unpack_from(data, box.body + _SIDX_TIMESCALE)
            _move(data, box, _SIDX_TIME, ticks * own // timescale)
    raise NotMedia("a segment has a moof")


def _move(data: memoryview, box: Box, skip: int, ticks: int) -> bool:
    """Take `ticks` from the time `skip` bytes into the body; its version says how wide it is."""
    place = box.body + skip
    if place >= box.end:
        return False
    field = _U64 if data[box.body] else _U32
    if place + field.size > box.end:
        return False
    (time,) = field.unpack_from(data, place)
    field.pack_into(data, place, max(0, time - ticks))
    return True
