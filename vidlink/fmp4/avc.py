"""H.264 byte streams (14496-10 annex B) turned into what an MP4 sample holds (14496-15, 5.3).

Only where one NAL unit ends and the next begins is looked at, and the type of each; the bytes
of a unit are passed on untouched, emulation prevention included.
"""

from __future__ import annotations

from vidlink.errors import NotMedia

_START = b"\x00\x00\x01"
#: The type of a NAL unit that holds (a slice of) a frame to begin at.
IDR = 5
_SPS, _PPS, _DELIMITER, _FILLER, _SPS_EXTENSION = 7, 8, 9, 12, 13
#: NAL unit types that belong into the `avcC` of the initialization segment.
PARAMETER_SETS = frozenset((_SPS, _PPS, _SPS_EXTENSION))
_LEFT_OUT = PARAMETER_SETS | {_DELIMITER, _FILLER}


def split_annexb(packet: bytes) -> list[bytes]:
    """Cut a byte stream at its start codes (three or four bytes long) into NAL units.

    A NAL unit never ends in a zero byte (7.4.1), so zeros before a start code are padding.

    :raises NotMedia: if it does not begin with a start code.
    """
    first = packet.find(_START)
    if first < 0 or packet[:first].strip(b"\x00"):
        raise NotMedia("an Annex B byte stream begins with a start code")
    units = (unit.rstrip(b"\x00") for unit in packet[first + 3 :].split(_START))
    return [unit for unit in units if unit]


def split_avc(sample: bytes) -> list[bytes]:
    """Cut an MP4 sample, whose NAL units follow their lengths in four bytes, into NAL units.

    :raises NotMedia: if the lengths do not add up.
    """
    units: list[bytes] = []
    place = 0
    while place < len(sample):
        start = place + 4
        place = start + int.from_bytes(sample[place:start], "big")
        if place > len(sample) or place == start:
            raise NotMedia("the NAL units of a sample do not fill it")
        units.append(sample[start:place])
    return units


def unit_type(unit: bytes) -> int:
    """The type of a NAL unit (7.3.1), 0 to 31."""
    return unit[0] & 31


def join_avc(units: list[bytes]) -> bytes:
    """One MP4 sample of these NAL units: each after its length in four bytes.

    Left out are parameter sets, because a track named `avc1` has them in its sample entry
    only (14496-15, 5.4.2.1); access unit delimiters, because the sample is the access unit;
    and filler, which is padding for a constant bit rate.
    """
    pieces: list[bytes] = []
    for unit in units:
        if unit[0] & 31 not in _LEFT_OUT:
            pieces += len(unit).to_bytes(4, "big"), unit
    return b"".join(pieces)
