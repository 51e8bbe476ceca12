"""Index records side by side: many of them read at once, for whoever wants all of a long session.

One by one they are read in `layout`, which has what they mean.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from functools import lru_cache
from itertools import compress, count, islice
from operator import ne
from typing import NamedTuple
from zlib import crc32

from vidlink.store.files.layout import CHECKED_BYTES, DAMAGED, RECORD_BYTES, read_numbers

#: The place of the flags in a record, and those with which it counts.
_FLAGS_PLACE = 57
_COUNTING = bytes(flags for flags in range(256) if not flags & DAMAGED)


class Columns(NamedTuple):
    """Sound records side by side: arrays of what :class:`IndexRecord` names, `flags` as octets."""

    sequences: array[int]
    offsets: array[int]
    sizes: array[int]
    checks: array[int]
    starts_us: array[int]
    times: array[int]
    durations_ms: array[int]
    flags: bytes
    sample_offsets: array[int]

    def stretches(self) -> Iterator[tuple[int, int]]:
        """From which place to which sequences go on without one that is missing."""
        expected = map((1).__add__, self.sequences)
        breaks = map(ne, islice(self.sequences, 1, None), expected)
        low = 0
        for high in (*compress(count(1), breaks), len(self.sequences)):
            if low < high:
                yield low, high - 1
            low = high


def read_columns(data: bytes) -> Columns:
    """The records in `data`, all of them whole, without those that do not count."""
    words = array("I", data)
    own = words[15::16]
    own.byteswap()
    words[15::16] = own
    # Octets with their own CRC behind them, its lowest first, take the state of a CRC from the
    # same to the same, whatever they are: of sound records only the number counts, and one that
    # is not shows in the end as surely as if it were looked at alone.
    is_sound = crc32(words) == _check_of_sound(len(own))
    if not is_sound or data[_FLAGS_PLACE::RECORD_BYTES].translate(None, _COUNTING):
        data = b"".join(
            data[start : start + RECORD_BYTES]
            for start, row in zip(count(0, RECORD_BYTES), read_numbers(data), strict=False)
            if row is not None
        )
        words = array("I", data)
    wide, quarters = array("Q", data), array("H", data)
    return Columns(
        _turned(wide[0::8]),
        _turned(wide[1::8]),
        _turned(words[4::16]),
        _turned(words[5::16]),
        _turned(array("q", wide[3::8].tobytes())),
        _turned(wide[4::8]),
        _turned(words[10::16]),
        data[_FLAGS_PLACE::RECORD_BYTES],
        _turned(quarters[29::32]),
    )


def _turned(values: array[int]) -> array[int]:
    """`values` as they are meant, which stand with their most significant octets first."""
    if sys.byteorder == "little":
        values.byteswap()
    return values


@lru_cache(maxsize=8)
def _check_of_sound(records: int) -> int:
    """The CRC-32 of so many sound records with their own checks turned over."""
    body = bytes(CHECKED_BYTES)
    return crc32((body + crc32(body).to_bytes(4, "little")) * records)
