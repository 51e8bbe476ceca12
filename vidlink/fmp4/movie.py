"""The head of a plain MP4: a `moov` that says of every frame where it lies and when it is shown.

What it is written for are the segments of a recording as they are, one after the other: its
tables (14496-12, 8.6 and 8.7) point past their boxes, so that any player takes the whole for a
film. It is one idea, though long: a box is little more than its line in the standard. What the
tables say is read back in `tables`; which segments a film has is decided in
:mod:`vidlink.store.film`.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, count, islice
from operator import add, ne, sub
from struct import Struct

from vidlink.fmp4.boxes import Box, only_child
from vidlink.fmp4.init import find_moov, read_init, sample_description
from vidlink.fmp4.lanes import are_alike, are_within, changes, count_changes, halved, raised, steps
from vidlink.model import Octets

#: The duration of a sample has 32 bits, of which players take one for a sign.
_MOST_DELTA = 2**31 - 1
_U32_LIMIT = 2**32
#: Seconds from 1904, where the clocks of MP4 begin, to 1970.
_TO_1904_SECONDS = 2_082_844_800
_UNITY = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED, _ENGLISH = 0x55C4, 0x15C7
#: Enabled, in the movie, in its preview.
_TRACK_FLAGS = 7
_HEADER = Struct(">I4s")
_FTYP = b"isom\x00\x00\x02\x00isomiso2iso4avc1mp41"
_URL = b"url "
_UTF8_TAG = 1


@dataclass(frozen=True, slots=True)
class SampleTable:
    """The samples of a film side by side, in the order in which they are decoded.

    `places` count from the first octet of the media; `times` (when they are decoded) never
    descend and may begin anywhere; `shifts` say how much later they are shown, and are empty if
    none is; `syncs` are the numbers, from 0, of the sync samples. `end` is when the last is over.
    `are_apart`: it is known that no two of them lie side by side.
    """

    places: array[int]
    sizes: array[int]
    times: array[int]
    shifts: array[int]
    syncs: array[int]
    end: int
    are_apart: bool = False


@dataclass(frozen=True, slots=True)
class Caption:
    """A text that is shown from `start` to `end`, on the clock by which samples are decoded."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A film's description of itself: when it begins, by the wall clock, and texts by the names
    of tags: those of iTunes in four octets, others as they are."""

    start_us: int
    tags: tuple[tuple[str, str], ...]


def write_movie(
    init: Octets,
    samples: SampleTable,
    *,
    media_bytes: int,
    shown: tuple[int, int],
    label: Label,
    captions: Sequence[Caption] = (),
) -> bytes:
    """All that stands before `media_bytes` octets of media to make a film of them.

    `init` is the initialization segment whose decoder set-up holds; `shown` says from when to
    when frames are shown, on the clock by which they are composed: what is before is decoded
    only. `captions` ascend and do not overlap; their octets stand in an `mdat` of their own.

    :raises ~vidlink.errors.NotMedia: if `init` is none.
    """
    movie = _Movie(init, samples, shown, label, captions)
    ftyp = _box(b"ftyp", _FTYP)
    texts = movie.texts()
    notes = _box(b"mdat", texts) if texts else b""
    # How wide a place is follows from the last one; how large `moov` is, from that.
    around_bytes = len(ftyp) + len(notes) + 16
    width = 4 if around_bytes + movie.most_bytes + media_bytes < _U32_LIMIT else 8
    base = around_bytes + movie.size_bytes(width)
    text_base = base - 16 - len(texts)
    media = b"\x00\x00\x00\x01mdat" + (16 + media_bytes).to_bytes(8, "big")
    return b"".join((ftyp, *movie.moov(base, text_base, width), notes, media))


class _Movie:
    """One film; its times are counted from the first sample, in ticks that its tables can hold."""

    def __init__(
        self,
        init: Octets,
        samples: SampleTable,
        shown: tuple[int, int],
        label: Label,
        captions: Sequence[Caption],
    ) -> None:
        self._init = init
        self._media = read_init(init)
        self._label = label
        self._samples = samples
        self._created = max(0, label.start_us // 1_000_000 + _TO_1904_SECONDS)
        times = samples.times
        self._origin = times[0] if times else 0
        end = max(samples.end, times[-1]) if times else 0
        deltas = steps(times)
        if times:
            deltas.append(end - times[-1])
        self.timescale = self._media.timescale
        shifts = array("q", samples.shifts)
        # Of a fine clock a long gap has more ticks than a duration can have.
        divisor = 1 if are_within(deltas, 31) else -(-max(deltas) // _MOST_DELTA)
        self._scale: Callable[[int], int] = lambda ticks: ticks
        if divisor > 1:
            self.timescale = max(1, self._media.timescale // divisor)
            self._scale = self._coarser
            ends = [*(self._scale(time - self._origin) for time in times)]
            ends.append(self._scale(end - self._origin))
            deltas = array("Q", map(sub, ends[1:], ends))
            # Rounded apart, a time and a shift may come to less than when it is shown, rounded.
            shown_at = (
                self._scale(time + shift - self._origin)
                for time, shift in zip(times, shifts, strict=False)
            )
            shifts = array("q", map(sub, shown_at, ends))
        self._deltas = deltas
        self._duration = self._scale(end - self._origin)
        self._shown = [self._scale(time - self._origin) for time in shown]
        self._length = self._shown[1] - self._shown[0]
        self._first_shift = shifts[0] if shifts else 0
        self._captions = self._timed(captions)
        table, self._chunks = _table(samples)
        self._table = (
            sample_description(init),
            _entries(b"stts", deltas),
            _shifts(shifts),
            _syncs(samples),
            *table,
        )
        #: More than its `moov` can have.
        self.most_bytes = 64 * 1024 + sum(map(len, self._table)) + 8 * len(times)
        self.most_bytes += 64 * len(captions)

    def _coarser(self, ticks: int) -> int:
        return ticks * self.timescale // self._media.timescale

    def _timed(self, captions: Sequence[Caption]) -> list[tuple[int, bytes]]:
        """The samples of the track of captions: for how long, and which text, or none."""
        if not captions:
            return []
        shift, length = self._first_shift - self._shown[0], self._length
        found: list[tuple[int, bytes]] = []
        place = 0
        for caption in captions:
            low, high = (
                min(length, max(place, self._scale(time - self._origin) + shift))
                for time in (caption.start, caption.end)
            )
            if high <= low:
                continue
            if low > place:
                found.append((low - place, b""))
            found.append((high - low, caption.text.encode("utf-8")[: 2**16 - 1]))
            place = high
        if found and length > place:
            found.append((length - place, b""))
        return found

    def texts(self) -> bytes:
        """The octets of the captions."""
        return b"".join(len(text).to_bytes(2, "big") + text for _, text in self._captions)

    def size_bytes(self, width: int) -> int:
        """The octets of `moov` with places of so many octets."""
        return sum(map(len, self.moov(None, None, width)))

    def moov(self, base: int | None, text_base: int | None, width: int) -> list[Octets]:
        """The whole box, for media that begin at octet `base` and captions at `text_base`, which
        places of `width` octets can name; None: only its size counts."""
        tracks = [self._picture_track(base, width)]
        if self._captions:
            tracks.append(self._text_track(text_base, width))
        following = self._media.track_id + len(tracks)
        created = self._created
        mvhd = _timed(b"mvhd", 0, (created, created, self.timescale), self._length)
        mvhd += _numbers(">IHH8x9I24xI", 0x10000, 0x100, 0, *_UNITY, following)
        return _around(b"moov", _sized(mvhd), *chain.from_iterable(tracks), self._tags())

    def _picture_track(self, base: int | None, width: int) -> list[Octets]:
        trak = only_child(self._init, find_moov(self._init), b"trak")
        tkhd = self._track_header(_shape_of(self._init, trak), self._media.track_id, self._length)
        edits = b""
        if self._shown != [0, self._duration]:
            edits = _box(b"edts", _edit_list(self._length, self._shown[0]))
        stbl = _around(b"stbl", *self._table, _places(self._chunks, base, width))
        minf = _around(b"minf", _full(b"vmhd", 0, 1, bytes(8)), _DATA_INFORMATION, *stbl)
        header = self._media_header(self._duration, _UNDETERMINED)
        mdia = _around(b"mdia", header, _handler(b"vide", b"VidLink"), *minf)
        return _around(b"trak", tkhd, edits, *mdia)

    def _text_track(self, base: int | None, width: int) -> list[Octets]:
        sizes = array("I", (2 + len(text) for _, text in self._captions))
        texts = SampleTable(_starts(sizes), sizes, array("Q"), array("i"), array("I"), 0)
        table, chunks = _table(texts)
        deltas = array("Q", (duration for duration, _ in self._captions))
        length = sum(deltas)
        size = self._media.width << 16, self._media.height << 16
        shape = _numbers(">9III", *_UNITY, *size)
        stbl = _around(
            b"stbl",
            _full(b"stsd", 0, 0, _numbers(">I", 1), _TEXT_ENTRY),
            _entries(b"stts", deltas),
            *table,
            _places(chunks, base, width),
        )
        minf = _around(b"minf", _full(b"nmhd", 0, 0), _DATA_INFORMATION, *stbl)
        header = self._media_header(length, _ENGLISH)
        mdia = _around(b"mdia", header, _handler(b"sbtl", b"Gaps"), *minf)
        tkhd = self._track_header(shape, self._media.track_id + 1, length)
        return _around(b"trak", tkhd, *mdia)

    def _track_header(self, shape: bytes, number: int, length: int) -> bytes:
        created = self._created
        head = _timed(b"tkhd", _TRACK_FLAGS, (created, created, number, 0), length)
        return _sized(head + bytes(16) + shape)

    def _media_header(self, duration: int, language: int) -> bytes:
        created = self._created
        head = _timed(b"mdhd", 0, (created, created, self.timescale), duration)
        return _sized(head + _numbers(">HH", language, 0))

    def _tags(self) -> bytes:
        """`udta`, as iTunes lays it out: what players and file managers show."""
        items = [_tag(name, text.encode("utf-8")) for name, text in self._label.tags if text]
        meta = _full(b"meta", 0, 0, _handler(b"mdir", b"", b"appl"), _box(b"ilst", *items))
        return _box(b"udta", meta)


def _around(kind: bytes, *pieces: Octets) -> list[Octets]:
    """A box in pieces: tables are large, and are put together once, with all the rest."""
    size = _HEADER.size + sum(map(len, pieces))
    return [_HEADER.pack(size, kind), *pieces]


def _box(kind: bytes, *pieces: Octets) -> bytes:
    return b"".join(_around(kind, *pieces))


def _full(kind: bytes, version: int, flags: int, *pieces: Octets) -> bytes:
    return _box(kind, (version << 24 | flags).to_bytes(4, "big"), *pieces)


def _sized(box: bytes) -> bytes:
    """`box` with its size in its header, which had none yet."""
    return len(box).to_bytes(4, "big") + box[4:]


def _numbers(layout: str, *values: int) -> bytes:
    return Struct(layout).pack(*values)


def _timed(kind: bytes, flags: int, fields: tuple[int, ...], duration: int) -> bytes:
    """The beginning of a box: two times, what stands between, and a duration; 64 bits are for
    times only where they need them."""
    version = int(max(*fields[:2], duration) >= _U32_LIMIT)
    wide = "Q" if version else "I"
    layout = f">2{wide}{len(fields) - 2}I{wide}"
    head = bytes(4) + kind + (version << 24 | flags).to_bytes(4, "big")
    return head + _numbers(layout, *fields, duration)


def _edit_list(length: int, begins: int) -> bytes:
    """One edit: all from `begins` on, for `length` (8.6.6)."""
    version = int(max(length, begins) >= _MOST_DELTA)
    layout = ">IQqI" if version else ">IIiI"
    return _full(b"elst", version, 0, _numbers(layout, 1, length, begins, 0x10000))


def _shape_of(init: Octets, trak: Box) -> bytes:
    """The matrix and the size of the track in `init`: its `tkhd` ends with them."""
    tkhd = only_child(init, trak, b"tkhd")
    return bytes(init[max(tkhd.body, tkhd.end - 44) : tkhd.end])


def _handler(kind: bytes, name: bytes, maker: bytes = b"\x00\x00\x00\x00") -> bytes:
    return _full(b"hdlr", 0, 0, bytes(4), kind, maker, bytes(8), name, b"\x00")


def _tag(name: str, text: bytes) -> bytes:
    data = _box(b"data", _numbers(">II", _UTF8_TAG, 0), text)
    kind = name.encode("latin-1")
    if len(kind) == 4:
        return _box(kind, data)
    mean = _full(b"mean", 0, 0, b"com.apple.iTunes")
    return _box(b"----", mean, _full(b"name", 0, 0, kind), data)


def _packed(values: array[int]) -> memoryview:
    """`values` with their most significant octets first; the array is not to be used again."""
    if sys.byteorder == "little":
        values.byteswap()
    return memoryview(values).cast("B")


def _runs(values: array[int]) -> tuple[array[int], array[int]]:
    """The lengths of runs of equal values, and the values."""
    if not values:
        return array("I"), values[:]
    if are_alike(values):
        return array("I", (len(values),)), values[:1]
    if count_changes(values) > 0.9 * len(values):
        # Nearly all differ: a table of single ones is made sooner, and hardly longer.
        return array("I", (1,)) * len(values), values
    firsts = array("I", (0,))
    firsts.extend(changes(values))
    own = array(values.typecode, map(values.__getitem__, firsts))
    firsts.append(len(values))
    return steps(firsts), own


def _entries(kind: bytes, values: array[int], version: int = 0) -> bytes:
    """A table of runs: how many, and the value that they have."""
    lengths, own = _runs(values)
    table = array("I", (0,)) * (2 * len(lengths))
    table[0::2] = lengths
    table[1::2] = own if own.itemsize == 4 else halved(own)
    return _full(kind, version, 0, _numbers(">I", len(lengths)), _packed(table))


def _shifts(shifts: array[int]) -> bytes:
    """`ctts` (8.6.1.3), where any sample is not shown when it is decoded."""
    if not shifts:
        return b""
    return _entries(b"ctts", shifts, int(min(shifts) < 0))


def _syncs(samples: SampleTable) -> bytes:
    """`stss` (8.6.2), where not every sample is one."""
    if len(samples.syncs) == len(samples.sizes):
        return b""
    numbers = array("I", map((1).__add__, samples.syncs))
    return _full(b"stss", 0, 0, _numbers(">I", len(numbers)), _packed(numbers))


def _table(samples: SampleTable) -> tuple[tuple[bytes, bytes], array[int]]:
    """`stsz` and `stsc` (8.7), and the places of chunks; a chunk is what lies side by side."""
    total, places = len(samples.sizes), samples.places
    if samples.are_apart:
        each = array("I", (1,)) * total
    else:
        ends = map(add, places, samples.sizes)
        firsts = array("I", (0,) if total else ())
        firsts.extend(compress(count(1), map(ne, islice(places, 1, None), ends)))
        stops = firsts[1:]
        stops.extend((total,) if total else ())
        each = array("I", map(sub, stops, firsts))
        places = array("Q", map(places.__getitem__, firsts))
    lengths, own = _runs(each)
    runs = array("I", bytes(12 * len(own)))
    runs[0::3] = array("I", _starts(lengths, 1))
    runs[1::3] = own
    runs[2::3] = array("I", (1,)) * len(own)
    sizes = _full(b"stsz", 0, 0, _numbers(">II", 0, total), _packed(samples.sizes[:]))
    chunks = _full(b"stsc", 0, 0, _numbers(">I", len(own)), _packed(runs))
    return (sizes, chunks), places


def _places(chunks: array[int], base: int | None, width: int) -> bytes:
    """`stco` or `co64` (8.7.5); None as the base: of that size."""
    kind = b"stco" if width == 4 else b"co64"
    table: Octets
    if base is None:
        table = bytes(width * len(chunks))
    else:
        places = raised(chunks, base)
        table = _packed(halved(places) if width == 4 else places)
    return _full(kind, 0, 0, _numbers(">I", len(chunks)), table)


def _starts(sizes: array[int], first: int = 0) -> array[int]:
    """Where each begins when they lie side by side."""
    found = array("Q")
    for size in sizes:
        found.append(first)
        first += size
    return found


_DATA_INFORMATION = _box(b"dinf", _full(b"dref", 0, 0, _numbers(">I", 1), _full(_URL, 0, 1)))
#: A text below the picture, white and centred (3GPP TS 26.245, 5.16).
_TEXT_ENTRY = _box(
    b"tx3g",
    bytes(6),
    _numbers(">HIbb4x8x", 1, 0, 1, -1),
    _numbers(">HHHBBI", 0, 0, 1, 0, 18, 0xFFFFFFFF),
    _box(b"ftab", _numbers(">HHB", 1, 1, 5), b"Serif"),
)
