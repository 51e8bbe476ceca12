"""Arithmetic on arrays of numbers, all of them at once, by Python's own long integers.

A film of ten hours has 180,000 samples; one by one each pass over them takes some milliseconds.
Side by side the numbers of an array are one long number, and as long as none of them leaves its
place, adding such numbers adds them all.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from itertools import compress, count, islice
from operator import ne


@lru_cache(maxsize=4)
def _ones(width: int, number: int) -> int:
    """So many numbers of `width` octets, each of them 1."""
    return int.from_bytes((1).to_bytes(width, sys.byteorder) * number, sys.byteorder)


def raised(values: array[int], amount: int) -> array[int]:
    """Each of `values` with `amount` added, which may be below 0; no result may be, nor need
    more bits than there are."""
    if not amount or not values:
        return values[:]
    whole = int.from_bytes(values, sys.byteorder) + amount * _ones(values.itemsize, len(values))
    return array(values.typecode, whole.to_bytes(values.itemsize * len(values), sys.byteorder))


def steps(values: array[int]) -> array[int]:
    """The differences of neighbours in `values`, which never descend."""
    later, earlier = values[1:], values[:-1]
    whole = int.from_bytes(later, sys.byteorder) - int.from_bytes(earlier, sys.byteorder)
    return array(values.typecode, whole.to_bytes(values.itemsize * len(later), sys.byteorder))


def changes(values: array[int]) -> list[int]:
    """The places, from 1 on, of those of `values` that are not what the one before them is."""
    return list(compress(count(1), map(ne, islice(values, 1, None), values)))


def are_alike(values: array[int]) -> bool:
    """True if all of `values` are the same."""
    return values.tobytes() == values[:1].tobytes() * len(values)


def halved(values: array[int]) -> array[int]:
    """The lower 32 bits of each of `values`, which have 64: of one below 0 they are the same."""
    return array("I", values.tobytes())[0 if sys.byteorder == "little" else 1 :: 2]
