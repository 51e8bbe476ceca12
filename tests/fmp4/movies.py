"""Plain MP4 files read by the letter of 14496-12, without our own reader: what a film says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from


@dataclass(frozen=True)
class Sample:
    """One sample: its octets, when it is decoded and shown, and whether it is a sync sample."""

    data: bytes
    place: int
    time: int
    due: int
    is_sync: bool


@dataclass(frozen=True)
class Track:
    """One track: its handler, ticks a second, samples, duration, and its edit, if it has one."""

    kind: str
    timescale: int
    samples: list[Sample]
    duration: int
    edit: tuple[int, int] | None


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Kind, beginning and end of the bodies of the boxes side by side."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,), head = unpack_from(">Q", data, start + 8), 16
        assert head <= size <= end - start, (kind, start, size)
        yield kind.decode("latin-1"), start + head, start + size
        start += size


def find(data: bytes, place: tuple[int, int], *path: str) -> tuple[int, int]:
    """The body of the only box at `path` in a body."""
    for kind in path:
        (place,) = [(low, high) for one, low, high in boxes(data, *place) if one == kind]
    return place


def media_of(data: bytes) -> bytes:
    """The recorded octets in a film: those of its last `mdat`, which is its last box."""
    *_, (kind, low, high) = boxes(data)
    assert (kind, high) == ("mdat", len(data))
    return data[low:high]


def tracks(data: bytes) -> list[Track]:
    """Every track of a film."""
    kinds = [kind for kind, *_ in boxes(data)]
    assert kinds[:2] == ["ftyp", "moov"]
    assert set(kinds[2:]) == {"mdat"}, kinds
    moov = find(data, (0, len(data)), "moov")
    return [_track(data, (low, high)) for kind, low, high in boxes(data, *moov) if kind == "trak"]


def picture_track(data: bytes) -> Track:
    """The track of pictures."""
    (found,) = [track for track in tracks(data) if track.kind == "vide"]
    return found


def texts(data: bytes) -> list[tuple[int, int, str]]:
    """From when to when, in ticks, which text is to be seen."""
    found = []
    for track in tracks(data):
        if track.kind == "sbtl":
            ends = [*(one.time for one in track.samples[1:]), track.duration]
            for sample, end in zip(track.samples, ends, strict=True):
                if sample.data[2:]:
                    assert len(sample.data) - 2 == int.from_bytes(sample.data[:2], "big")
                    found.append((sample.time, end, sample.data[2:].decode()))
    return found


def tags(data: bytes) -> dict[str, str]:
    """The tags that a film has of iTunes, and those with names of their own."""
    moov = find(data, (0, len(data)), "moov")
    low, high = find(data, moov, "udta", "meta")
    found = {}
    for kind, start, end in boxes(data, *find(data, (low + 4, high), "ilst")):
        inner = {one: (a, b) for one, a, b in boxes(data, start, end)}
        a, b = inner["data"]
        name = data[inner["name"][0] + 4 : inner["name"][1]].decode() if kind == "----" else kind
        found[name] = data[a + 8 : b].decode()
    return found


def _track(data: bytes, trak: tuple[int, int]) -> Track:
    mdia = find(data, trak, "mdia")
    mdhd, _ = find(data, mdia, "mdhd")
    timescale, duration = unpack_from(
        ">IQ" if data[mdhd] else ">II", data, mdhd + (20 if data[mdhd] else 12)
    )
    hdlr, _ = find(data, mdia, "hdlr")
    stbl = find(data, mdia, "minf", "stbl")
    edit = None
    if any(kind == "edts" for kind, *_ in boxes(data, *trak)):
        elst, _ = find(data, trak, "edts", "elst")
        wide = data[elst]
        count, length, begins, rate = unpack_from(">IQqI" if wide else ">IIiI", data, elst + 4)
        assert (count, rate) == (1, 0x10000)
        edit = begins, length
    kind = data[hdlr + 8 : hdlr + 12].decode()
    return Track(kind, timescale, _samples(data, stbl), duration, edit)


def _samples(data: bytes, stbl: tuple[int, int]) -> list[Sample]:
    table = {kind: low for kind, low, _ in boxes(data, *stbl)}
    same, count = unpack_from(">II", data, table["stsz"] + 4)
    assert same == 0
    sizes = unpack_from(f">{count}I", data, table["stsz"] + 12)
    deltas = _expanded(data, table["stts"], "I")
    shifts = [0] * count
    if "ctts" in table:
        shifts = _expanded(data, table["ctts"], "i" if data[table["ctts"]] else "I")
    syncs = set(range(1, count + 1))
    if "stss" in table:
        (total,) = unpack_from(">I", data, table["stss"] + 4)
        syncs = set(unpack_from(f">{total}I", data, table["stss"] + 8))
    places = _places(data, table, sizes)
    assert len(deltas) == len(shifts) == len(places) == count
    found, time = [], 0
    for number in range(count):
        place, size = places[number], sizes[number]
        assert place + size <= len(data)
        own = data[place : place + size]
        found.append(Sample(own, place, time, time + shifts[number], number + 1 in syncs))
        assert deltas[number] < 2**31
        time += deltas[number]
    return found


def _expanded(data: bytes, place: int, code: str) -> list[int]:
    (count,) = unpack_from(">I", data, place + 4)
    found: list[int] = []
    for number in range(count):
        often, value = unpack_from(f">I{code}", data, place + 8 + 8 * number)
        found += [value] * often
    return found


def _places(data: bytes, table: dict[str, int], sizes: tuple[int, ...]) -> list[int]:
    kind, code = ("co64", "Q") if "co64" in table else ("stco", "I")
    (count,) = unpack_from(">I", data, table[kind] + 4)
    chunks = unpack_from(f">{count}{code}", data, table[kind] + 8)
    (runs,) = unpack_from(">I", data, table["stsc"] + 4)
    entries = [unpack_from(">III", data, table["stsc"] + 8 + 12 * n) for n in range(runs)]
    places: list[int] = []
    for number, place in enumerate(chunks, 1):
        each = [one for first, one, _ in entries if first <= number][-1]
        for _ in range(each):
            places.append(place)
            place += sizes[len(places) - 1]
    return places
