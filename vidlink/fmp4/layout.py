"""The layout of a media segment of our own Sentinel: every box in its place, one frame.

The writer fills it in; the reader knows it again in one step, because nearly everything that
a server reads was written by it. Whatever differs in a bit is read box by box instead.
"""

from __future__ import annotations

from struct import Struct

VERSION_1 = 0x0100_0000
DEFAULT_BASE_IS_MOOF = 0x02_0000
OFFSET_DURATION_SIZE_FLAGS = 0x701
#: Sample flags (8.8.3.1) of an IDR: depends on no other frame.
SYNC_FLAGS = 0x0200_0000
#: Sample flags of any other frame: depends on others, is no sync sample.
NON_SYNC_FLAGS = 0x0101_0000

#: Header; version and flags, track, NTP seconds, NTP fraction, decode time.
PRFT = Struct(">QIIIIQ")
MOOF = Struct(
    ">Q"  # moof: header
    "QII"  # mfhd: header; version and flags, sequence
    "Q"  # traf: header
    "QII"  # tfhd: header; version and flags, track
    "QIQ"  # tfdt: header; version and flags, decode time
    "QIIiIII"  # trun: header; version and flags, count, data offset; duration, size, flags
    "I4s"  # mdat: size, kind
)
WHOLE = Struct(PRFT.format + MOOF.format[1:])
MDAT_HEADER_BYTES = 8
MOOF_BYTES = MOOF.size - MDAT_HEADER_BYTES


def header(kind: bytes, size: int) -> int:
    """A box header (size, then kind) as one 64-bit number."""
    return size << 32 | int.from_bytes(kind, "big")


PRFT_HEADER = header(b"prft", PRFT.size)
MOOF_HEADER = header(b"moof", MOOF_BYTES)
MFHD_HEADER = header(b"mfhd", 16)
TRAF_HEADER = header(b"traf", MOOF_BYTES - 24)
TFHD_HEADER = header(b"tfhd", 16)
TFDT_HEADER = header(b"tfdt", 20)
TRUN_HEADER = header(b"trun", 32)
