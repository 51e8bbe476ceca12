"""Arithmetic on arrays of numbers, many of them at once, by Python's own long integers.

A film of ten hours has 180,000 samples; one by one each pass over them takes some milliseconds.
Side by side the numbers of an array are one long number, and as long as none of them leaves its
place, adding such numbers adds them all. It is done in blocks, because what fits into the
processor's cache is soon done, and memory that is asked for anew costs more than the sum.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from functools import lru_cache
from itertools import compress, count, islice
from operator import lt, ne

#: So many numbers are done at a time.
_BLOCK = 1_024


@lru_cache(maxsize=16)
def _ones(width: int, number: int) -> int:
    """So many numbers of `width` octets, each of them 1."""
    return int.from_bytes((1).to_bytes(width, sys.byteorder) * number, sys.byteorder)


def _blocks(values: array[int]) -> Iterator[tuple[int, int]]:
    """Blocks of `values`: each as one number, and the ones for it."""
    for low in range(0, len(values), _BLOCK):
        block = values[low : low + _BLOCK]
        yield int.from_bytes(block, sys.byteorder), _ones(block.itemsize, len(block))


def _pairs(values: array[int]) -> Iterator[tuple[int, int, int]]:
    """The same of `values` but for the last, and of those that follow them, side by side."""
    later = (whole for whole, _ in _blocks(values[1:]))
    return ((whole, next(later), ones) for whole, ones in _blocks(values[:-1]))


def _put_together(typecode: str, blocks: Iterator[int], number: int) -> array[int]:
    """An array of `number` values from their blocks."""
    found = array(typecode)
    width = found.itemsize
    for low, whole in zip(range(0, number, _BLOCK), blocks, strict=True):
        size = width * min(_BLOCK, number - low)
        found.frombytes(whole.to_bytes(size, sys.byteorder))
    return found


def raised(values: array[int], amount: int) -> array[int]:
    """Each of `values` with `amount` added, which may be below 0; no result may be, nor need
    more bits than there are."""
    if not amount:
        return values[:]
    blocks = (whole + amount * ones for whole, ones in _blocks(values))
    return _put_together(values.typecode, blocks, len(values))


def steps(values: array[int]) -> array[int]:
    """The differences of neighbours in `values`, which never descend."""
    blocks = (later - earlier for earlier, later, _ in _pairs(values))
    return _put_together(values.typecode, blocks, max(0, len(values) - 1))


def are_within(values: array[int], bits: int) -> bool:
    """True if none of `values`, which are not below 0, needs more than so many bits."""
    beyond = (1 << 8 * values.itemsize) - (1 << bits)
    return not any(whole & beyond * ones for whole, ones in _blocks(values))


def ascend(values: array[int]) -> bool:
    """True if each of `values` is more than the one before."""
    top = 8 * values.itemsize - 1
    for earlier, later, ones in _pairs(values):
        tops = ones << top
        if (earlier | later) & tops:
            # A difference of those may look like that of others.
            return all(map(lt, values, islice(values, 1, None)))
        if later - earlier - ones & tops:
            return False
    return True


def count_changes(values: array[int]) -> int:
    """The number of those of `values` that are not what the one before them is."""
    found, top = 0, 8 * values.itemsize - 1
    for earlier, later, ones in _pairs(values):
        differing, tops = earlier ^ later, ones << top
        # What is not 0 has its first bit set, or comes to that with all others added.
        found += (((differing & ~tops) + (tops - ones) | differing) & tops).bit_count()
    return found


def changes(values: array[int]) -> list[int]:
    """The places, from 1 on, of those of `values` that are not what the one before them is."""
    return list(compress(count(1), map(ne, islice(values, 1, None), values)))


def are_alike(values: array[int]) -> bool:
    """True if all of `values` are the same."""
    return values.tobytes() == values[:1].tobytes() * len(values)


def halved(values: array[int]) -> array[int]:
    """The lower 32 bits of each of `values`, which have 64: of one below 0 they are the same."""
    words = memoryview(values).cast("B").cast("I")
    found = array("I", (0,)) * len(values)
    memoryview(found)[:] = words[0 if sys.byteorder == "little" else 1 :: 2]
    return found
