"""The frames of a media segment one by one: where each lies, when it is decoded and shown.

A film's table of contents is made of this. What a segment is as a whole, which is all that the
live path wants to know, is read in `walk`.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import NamedTuple

from vidlink.errors import NotMedia
from vidlink.fmp4.boxes import read_header
from vidlink.fmp4.init import MediaInfo
from vidlink.fmp4.walk import (
    MAX_SAMPLES,
    NON_SYNC_BIT,
    TRUN_COMPOSITION,
    TRUN_DURATION,
    TRUN_FIRST_FLAGS,
    TRUN_FLAGS,
    TRUN_OFFSET,
    TRUN_SIZE,
    fragment_defaults,
    movie_fragment,
    track_fragment,
)
from vidlink.model import Octets

_PAIR = Struct(">II").unpack_from
_SIGNED = Struct(">i").unpack_from
_MDAT_HEADER_BYTES = 8
_SIGN, _MODULUS = 2**31, 2**32


class Samples(NamedTuple):
    """The samples of one segment side by side, in the order in which they are decoded.

    `places` count in bytes from the start of the segment; `times` are when each is decoded, and
    `shifts` how much later (earlier, if negative) it is shown, in the timescale of the
    initialization segment; `syncs` says which are sync samples. `end` is when the last is over.
    """

    places: list[int]
    sizes: list[int]
    times: list[int]
    shifts: list[int]
    syncs: list[bool]
    end: int


def read_samples(moof: Octets, start: int, size: int, media: MediaInfo) -> Samples:
    """Read the samples by the whole box `moof`, at `start` in a segment of `size` bytes.

    :raises NotMedia: if it does not belong to the track of `media`, or to such a segment.
    """
    _, body, stop = read_header(moof, 0, len(moof))
    _, traf, traf_end = movie_fragment(moof, body, stop)
    time, tfhd, truns = track_fragment(moof, traf, traf_end)
    defaults = fragment_defaults(moof, tfhd[0], tfhd[1], media)
    found = Samples([], [], [], [], [], time)
    place = start
    for run, run_end in truns:
        place, time = _read_run(moof, run, run_end, defaults, start, place, time, found)
        if len(found.sizes) > MAX_SAMPLES:
            raise NotMedia(f"more than {MAX_SAMPLES} frames in one segment")
    low, high = start + len(moof) + _MDAT_HEADER_BYTES, size
    for place, octets in zip(found.places, found.sizes, strict=True):
        if place < low or place + octets > high:
            raise NotMedia("its frames do not lie in its mdat")
    return found._replace(end=time)


def _read_run(
    data: Octets,
    body: int,
    end: int,
    defaults: tuple[int, int, int],
    start: int,
    place: int,
    time: int,
    found: Samples,
) -> tuple[int, int]:
    """Add the samples of one `trun` (8.8.8) to `found`; returns where, and when, they end."""
    if body + 8 > end:
        raise NotMedia("trun is too short")
    flags, count = _PAIR(data, body)
    body += 8
    if flags & TRUN_OFFSET:
        if body + 4 > end:
            raise NotMedia("trun is too short")
        place = start + _SIGNED(data, body)[0]
        body += 4
    first = None
    if flags & TRUN_FIRST_FLAGS:
        if body + 4 > end:
            raise NotMedia("trun is too short")
        (first,) = unpack_from(">I", data, body)
        body += 4
    kinds = [bit for bit in (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION) if flags & bit]
    columns = len(kinds)
    if not 0 < count <= MAX_SAMPLES or body + 4 * columns * count > end:
        raise NotMedia("trun is too short for its frames, or has none")
    values = unpack_from(f">{columns * count}I", data, body)
    given = {bit: values[column::columns] for column, bit in enumerate(kinds)}
    durations = given.get(TRUN_DURATION, (defaults[0],) * count)
    sizes = given.get(TRUN_SIZE, (defaults[1],) * count)
    marks = given.get(TRUN_FLAGS, (defaults[2],) * count)
    if first is not None:
        marks = (first, *marks[1:])
    shifts = given.get(TRUN_COMPOSITION, (0,) * count)
    for duration, octets in zip(durations, sizes, strict=True):
        found.places.append(place)
        found.times.append(time)
        place, time = place + octets, time + duration
    found.sizes.extend(sizes)
    # Version 0 counts without a sign, but nobody shows a frame so much later.
    found.shifts.extend(one - _MODULUS if one >= _SIGN else one for one in shifts)
    found.syncs.extend(not one & NON_SYNC_BIT for one in marks)
    return place, time
