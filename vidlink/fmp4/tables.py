"""The head of a plain MP4, read back: of what media its picture track is, and where they lie.

Read is what `movie` writes, which is what a recording has; other files have more kinds of tables.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, repeat
from struct import Struct

from vidlink.errors import NotMedia
from vidlink.fmp4.boxes import Box, field, iter_boxes, only_child, read_header
from vidlink.fmp4.init import read_track
from vidlink.fmp4.movie import SampleTable
from vidlink.model import Octets

_U32 = Struct(">I")
#: So many samples are read: two weeks at most of what a Sentinel captures.
_MOST_SAMPLES = 2**24
#: No file is longer than the system can count.
MAX_PLACE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Movie:
    """The picture track of a film.

    The places in `samples` count from the first octet of the file, and its times from the first
    sample. `shown` says from when to when it is shown, on that clock, in ticks of `timescale`.
    """

    track_id: int
    timescale: int
    samples: SampleTable
    shown: tuple[int, int]


def read_movie(data: Octets) -> Movie:
    """Read the head of a film: `ftyp` and `moov`, whatever follows them.

    :raises NotMedia: if it is none, or is not laid out as `write_movie` does.
    """
    kind, _, stop = read_header(data, 0, len(data))
    if kind != b"ftyp":
        raise NotMedia("a film begins with ftyp")
    kind, body, end = read_header(data, stop, len(data))
    if kind != b"moov":
        raise NotMedia("moov follows ftyp in a film")
    moov = Box(kind, stop, body - stop, end)
    trak = next((one for one in iter_boxes(data, moov.body, moov.end) if one.kind == b"trak"), None)
    if trak is None:
        raise NotMedia("it has no track")
    mdia, track_id, timescale = read_track(data, trak)
    stbl = only_child(data, only_child(data, mdia, b"minf"), b"stbl")
    kinds = {one.kind: one for one in iter_boxes(data, stbl.body, stbl.end)}
    sizes = _sizes(data, _needed(kinds, b"stsz"))
    total = len(sizes)
    deltas = _expanded(data, _needed(kinds, b"stts"), total)
    times = array("Q", accumulate(deltas, initial=0))
    end = times.pop()
    shifts = array("i")
    if b"ctts" in kinds:
        given = _expanded(data, kinds[b"ctts"], total)
        shifts.extend(one - 2**32 if one >= 2**31 else one for one in given)
    syncs = array("I", range(total))
    if b"stss" in kinds:
        numbers = _column(data, kinds[b"stss"], 4)
        if numbers and not (min(numbers) > 0 and max(numbers) <= total):
            raise NotMedia("its sync samples are none of its samples")
        syncs = array("I", (one - 1 for one in numbers))
    samples = SampleTable(_places(data, kinds, sizes), sizes, times, shifts, syncs, end)
    return Movie(track_id, timescale, samples, _shown(data, trak) or (0, end))


def _needed(kinds: dict[bytes, Box], kind: bytes) -> Box:
    if kind not in kinds:
        raise NotMedia(f"there is no {kind.decode('latin-1')}")
    return kinds[kind]


def _column(data: Octets, box: Box, skip: int, code: str = "I", width: int = 1) -> array[int]:
    """The numbers of a table whose count of entries, of `width` numbers, is `skip` octets in."""
    (count,) = field(data, box, _U32, skip)
    values = array(code)
    start = box.body + skip + 4
    size = count * width * values.itemsize
    if count > _MOST_SAMPLES or start + size != box.end:
        raise NotMedia(f"{box.kind.decode('latin-1')} has not as many entries as it says")
    values.frombytes(bytes(data[start : box.end]))
    if sys.byteorder == "little":
        values.byteswap()
    return values


def _sizes(data: Octets, box: Box) -> array[int]:
    if field(data, box, _U32, 4)[0]:
        raise NotMedia("its frames are said to be all of one size")
    return _column(data, box, 8)


def _expanded(data: Octets, box: Box, total: int) -> array[int]:
    """The value of each of `total` samples, of a table of runs."""
    table = _column(data, box, 4, width=2)
    counts, values = table[0::2], table[1::2]
    if sum(counts) != total:
        raise NotMedia(f"{box.kind.decode('latin-1')} is not of as many frames as there are")
    return array("I", chain.from_iterable(map(repeat, values, counts)))


def _places(data: Octets, kinds: dict[bytes, Box], sizes: array[int]) -> array[int]:
    """Where each sample lies: chunks one after the other, and in each its samples."""
    if b"co64" in kinds:
        chunks = _column(data, kinds[b"co64"], 4, "Q")
    else:
        chunks = _column(data, _needed(kinds, b"stco"), 4)
    runs = _column(data, _needed(kinds, b"stsc"), 4, width=3)
    firsts = [*runs[0::3], len(chunks) + 1]
    if firsts[0] != 1 or any(one >= after for one, after in pairwise(firsts)):
        # Each chunk is looked at once, however many runs there are said to be.
        raise NotMedia("its runs of chunks do not follow each other")
    places, number = array("Q"), 0
    for run, each in enumerate(runs[1::3]):
        for place in chunks[firsts[run] - 1 : firsts[run + 1] - 1]:
            if each > len(sizes) - number:
                raise NotMedia("its chunks are of more frames than there are")
            if place > MAX_PLACE:
                raise NotMedia("a chunk lies where no file has anything")
            for _ in range(each):
                places.append(place)
                place += sizes[number]
                number += 1
    if number != len(sizes):
        raise NotMedia("its chunks are of fewer frames than there are")
    return places


def _shown(data: Octets, trak: Box) -> tuple[int, int] | None:
    """The one edit of a track; None if there is none."""
    edts = next((one for one in iter_boxes(data, trak.body, trak.end) if one.kind == b"edts"), None)
    if edts is None:
        return None
    elst = only_child(data, edts, b"elst")
    version, count = field(data, elst, Struct(">II"))
    length, begins, rate = field(data, elst, Struct(">QqI" if version >> 24 else ">IiI"), 8)
    if count != 1 or rate != 0x10000 or begins < 0:
        raise NotMedia("its edit list is of another kind than a recording has")
    return begins, begins + length
