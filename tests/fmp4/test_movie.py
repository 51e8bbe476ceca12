"""Tests of the head of a film: what its tables say is what was to be said."""

from __future__ import annotations

import io
from array import array
from dataclasses import replace
from functools import partial
from itertools import accumulate

import av
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fmp4.media import calls
from tests.fmp4.movies import boxes, media_of, picture_track, tags, texts, tracks
from tests.fmp4.test_boxes import box
from tests.fmp4.test_read import u32
from vidlink.errors import NotMedia
from vidlink.fmp4 import Caption, Label, SampleTable, read_movie, write_movie

INIT = media.init_segment()
START_US = media.EPOCH_US
NO_TAGS = Label(START_US, ())


@st.composite
def tables(draw: st.DrawFn) -> SampleTable:
    """Samples in any layout: side by side or not, shown as decoded or not."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.integers(0, 40),
                st.one_of(st.sampled_from([0, 18_000]), st.integers(0, 2**31 - 1)),
                st.sampled_from([0, 0, 0, 18_000, -18_000, 2**30]),
                st.booleans(),
            ),
            min_size=1,
            max_size=30,
        )
    )
    gaps, sizes, deltas, shifts, syncs = zip(*rows, strict=True)
    places, end = array("Q"), 0
    for gap, size in zip(gaps, sizes, strict=True):
        places.append(end + gap)
        end += gap + size
    begin = draw(st.integers(0, 2**53))
    times = array("Q", accumulate(deltas, initial=begin))
    over = times.pop()
    return SampleTable(
        places,
        array("I", sizes),
        times,
        array("i", shifts if any(shifts) else ()),
        array("I", (number for number, sync in enumerate(syncs) if sync)),
        over,
    )


def written(table: SampleTable, raw: bytes, shown: tuple[int, int] | None = None) -> bytes:
    """A film of these samples."""
    shown = shown or (table.times[0], table.end)
    head = write_movie(INIT, table, media_bytes=len(raw), shown=shown, label=NO_TAGS)
    return head + raw


def even(count: int, step: int = 18_000) -> SampleTable:
    """Samples of ten octets, two octets apart, the first and every fifth a sync sample."""
    return SampleTable(
        array("Q", range(2, 12 * count, 12)),
        array("I", (10,)) * count,
        array("Q", range(0, count * step, step)),
        array("i"),
        array("I", range(0, count, 5)),
        count * step,
    )


class TableTests(SynchronousTestCase):
    """The tables of samples."""

    @given(tables(), st.data())
    def test_any_layout(self, table: SampleTable, data: st.DataObject) -> None:
        """Whatever the layout, who reads the film finds each sample where it lies, when it is
        decoded and when it is shown."""
        size = max(map(sum, zip(table.places, table.sizes, strict=True)))
        raw = bytes(number % 251 for number in range(size))
        low = data.draw(st.integers(table.times[0], table.end))
        high = data.draw(st.integers(low, table.end))
        film = written(table, raw, (low, high))
        self.assertEqual(media_of(film), raw)
        track = picture_track(film)
        begin = table.times[0]
        shifts = table.shifts or array("i", bytes(4 * len(table.sizes)))
        for number, sample in enumerate(track.samples):
            place, octets = table.places[number], table.sizes[number]
            self.assertEqual(sample.data, raw[place : place + octets])
            self.assertEqual(sample.time, table.times[number] - begin)
            self.assertEqual(sample.due - sample.time, shifts[number])
            self.assertIs(sample.is_sync, number in table.syncs)
        self.assertEqual(len(track.samples), len(table.sizes))
        self.assertEqual(track.duration, table.end - begin)
        self.assertEqual(track.edit or (0, track.duration), (low - begin, high - low))
        # Our own reader says the same.
        movie = read_movie(film)
        self.assertEqual(movie.shown, (low - begin, high - begin))
        self.assertEqual(list(movie.samples.places), [one.place for one in track.samples])
        self.assertEqual(list(movie.samples.times), [one.time for one in track.samples])
        self.assertEqual(movie.samples.shifts or array("i", bytes(4 * len(shifts))), shifts)
        self.assertEqual((movie.samples.sizes, movie.samples.syncs), (table.sizes, table.syncs))

    def test_known_to_be_apart(self) -> None:
        """Samples that are known to lie apart are written no other way."""
        table, raw = even(40), bytes(480)
        self.assertEqual(written(replace(table, are_apart=True), raw), written(table, raw))

    def test_a_gap_too_long(self) -> None:
        """A gap of more ticks than 31 bits hold makes the ticks of the film coarser, and every
        time stays where it was to within one of them."""
        for timescale_ticks in (10**7, 2**32 - 1):
            init = INIT.replace((90_000).to_bytes(4, "big"), timescale_ticks.to_bytes(4, "big"))
            hours = 30 * 3_600 * timescale_ticks
            step = timescale_ticks // 5
            times = array("Q", (0, step, hours, hours + step, hours + step + 1))
            table = replace(even(5), times=times, end=hours + 2 * step)
            raw = bytes(60)
            head = write_movie(
                init, table, media_bytes=60, shown=(step, hours + step), label=NO_TAGS
            )
            track = picture_track(head + raw)
            self.assertLess(track.timescale, timescale_ticks)
            ticks = [time / timescale_ticks * track.timescale for time in times]
            for sample, expected in zip(track.samples, ticks, strict=True):
                self.assertLessEqual(abs(sample.time - expected), 1)
            self.assertEqual(read_movie(head).timescale, track.timescale)
            assert track.edit is not None
            self.assertAlmostEqual(track.edit[0] / track.timescale, 0.2, places=3)

    @given(st.lists(st.integers(1, 10**9), min_size=5, max_size=5), st.data())
    def test_a_gap_too_long_and_shifts(self, steps: list[int], data: st.DataObject) -> None:
        """In coarser ticks, too, the picture that is to be shown first is not before the film's
        beginning, and it is the first that is not."""
        init = INIT.replace((90_000).to_bytes(4, "big"), (10**7).to_bytes(4, "big"))
        steps[2] += 2**31 * data.draw(st.integers(1, 1_000))
        times = array("Q", accumulate(steps[:-1], initial=data.draw(st.integers(0, 10**6))))
        shifts = array("i", data.draw(st.lists(st.integers(0, 10**9), min_size=5, max_size=5)))
        table = replace(even(5), times=times, shifts=shifts, end=times[-1] + steps[-1])
        shown_at = [time + shift for time, shift in zip(times, shifts, strict=True)]
        first = data.draw(st.integers(0, 4))
        head = write_movie(
            init, table, media_bytes=60, shown=(shown_at[first], 2**60), label=NO_TAGS
        )
        track = picture_track(head + bytes(60))
        begins = 0 if track.edit is None else track.edit[0]
        self.assertEqual(track.samples[first].due, begins)
        order = sorted(range(5), key=shown_at.__getitem__)
        due = [track.samples[number].due for number in order]
        self.assertEqual(due, sorted(due))

    def test_large(self) -> None:
        """Beyond 4 GiB places have 64 bits, and beyond 2^32 ticks durations do; below, neither."""
        table = even(10)
        for size, kind in ((2**32 - 100_000, b"stco"), (2**32, b"co64"), (2**40, b"co64")):
            places = table.places[:]
            places[-1] = size - 10
            head = write_movie(
                INIT,
                replace(table, places=places),
                media_bytes=size,
                shown=(0, table.end),
                label=NO_TAGS,
            )
            self.assertIn(kind, head)
            self.assertEqual(read_movie(head).samples.places[-1], len(head) + size - 10)
            *_, (last, _, _) = boxes(head[:-16])
            self.assertEqual((last, head[-16:-8]), ("moov", b"\0\0\0\1mdat"))
            self.assertEqual(int.from_bytes(head[-8:], "big"), 16 + size)
        long = replace(table, times=array("Q", range(0, 10 * 2**30, 2**30)), end=10 * 2**30)
        film = written(long, bytes(120))
        self.assertEqual(picture_track(film).duration, 10 * 2**30)

    def test_small(self) -> None:
        """Ten hours of our own segments take less than 0.2 % of them when pictures come evenly."""
        count = 180_000
        places = array("Q", range(140, 4_000 * count, 4_000))
        table = replace(
            even(count), places=places, sizes=array("I", (3_860,)) * count, are_apart=True
        )
        head = write_movie(
            INIT, table, media_bytes=4_000 * count, shown=(0, table.end), label=NO_TAGS
        )
        self.assertLess(len(head), 0.0025 * 4_000 * count)

    def test_no_film(self) -> None:
        """What is no head of a film is refused with an error of ours."""
        film = written(even(10), bytes(120))
        for size in range(0, len(film) - 160, 9):
            self.assertRaises(NotMedia, read_movie, film[:size])
        self.assertRaises(NotMedia, read_movie, film[36:])

    def test_impossible_tables(self) -> None:
        """A sync sample, a run of chunks or a place that cannot be is refused, and costs no more
        than to be read."""
        chunks = runs = 2_000
        film = with_table(FILM, "stco", u32(0, chunks) + bytes(4 * chunks))
        for flaw, impossible in {
            "sync sample 0": with_table(FILM, "stss", u32(0, 1, 0)),
            "sync sample 11 of 10": with_table(FILM, "stss", u32(0, 1, 11)),
            "the second chunk first": with_table(FILM, "stsc", u32(0, 1, 2, 10, 1)),
            # Each of the runs would be of all chunks, and of no frame in any of them.
            "runs that go back": with_table(
                film, "stsc", u32(0, runs, *(1, 0, 1, chunks + 1, 0, 1) * (runs // 2))
            ),
            "a place of 64 bits": with_table(
                with_table(FILM, "stsc", u32(0, 1, 1, 10, 1)),
                "stco", u32(0, 1) + bytes((255,)) * 8, "co64"
            ),
        }.items():  # fmt: skip
            with self.subTest(flaw=flaw):
                refused = partial(self.assertRaises, NotMedia, read_movie, impossible)
                self.assertLess(calls(refused), 20_000)

    @given(st.integers(40, 1_100), st.binary(min_size=1, max_size=5))
    def test_any_bytes(self, place: int, octets: bytes) -> None:
        """Whatever the bytes: samples, or an error of ours."""
        film = bytearray(FILM)
        film[place : place + len(octets)] = octets
        try:
            found = read_movie(bytes(film)).samples
        except NotMedia:
            return
        self.assertEqual(len(found.places), len(found.sizes))
        self.assertEqual(len(found.times), len(found.sizes))


class WordsTests(SynchronousTestCase):
    """What a film says in words."""

    def film(self, *captions: Caption, shown: tuple[int, int] = (0, 180_000)) -> bytes:
        """Ten pictures, two seconds long, with captions and tags."""
        label = Label(
            START_US,
            (("\xa9nam", "Desk \u2192 12"), ("\xa9day", "2026-01-01"), ("sentinelId", "desk-12"),
             ("\xa9cmt", "")),
        )  # fmt: skip
        head = write_movie(
            INIT, even(10), media_bytes=120, shown=shown, label=label, captions=captions
        )
        return head + bytes(120)

    def test_tags(self) -> None:
        """Tags have their names, and an empty one is left out."""
        expected = {"\xa9nam": "Desk \u2192 12", "\xa9day": "2026-01-01", "sentinelId": "desk-12"}
        self.assertEqual(tags(self.film()), expected)

    def test_tags_in_a_player(self) -> None:
        """A player knows them by its own names, and when it all began."""
        with av.open(io.BytesIO(self.film())) as container:
            found = container.metadata
        self.assertEqual(found["title"], "Desk \u2192 12")
        self.assertEqual((found["date"], found["sentinelId"]), ("2026-01-01", "desk-12"))
        self.assertEqual(found["creation_time"], "2026-01-01T00:00:00.000000Z")

    def test_before_1904(self) -> None:
        """A time that the boxes have no number for is left out."""
        label = Label(-(2**62), ())
        head = write_movie(INIT, even(10), media_bytes=120, shown=(0, 180_000), label=label)
        self.assertEqual(len(picture_track(head + bytes(120)).samples), 10)

    def test_captions(self) -> None:
        """Each caption is to be seen from its start to its end, and nothing around them."""
        film = self.film(Caption(18_000, 54_000, "a gap"), Caption(90_000, 108_000, "\u2026 two"))
        self.assertEqual(texts(film), [(18_000, 54_000, "a gap"), (90_000, 108_000, "\u2026 two")])
        track = tracks(film)[1]
        self.assertEqual((track.kind, track.duration), ("sbtl", 180_000))
        with av.open(io.BytesIO(film)) as container:
            (stream,) = container.streams.subtitles
            self.assertEqual(stream.codec_context.name, "mov_text")

    def test_without_captions(self) -> None:
        """Where nothing is to be said there is no track for it."""
        self.assertEqual([track.kind for track in tracks(self.film())], ["vide"])

    def test_captions_of_what_is_shown(self) -> None:
        """Of a film that is shown in part, captions are cut to that part, and stand where their
        pictures are."""
        given = (
            Caption(18_000, 54_000, "a"),
            Caption(72_000, 90_000, "b"),
            Caption(126_000, 180_000, "c"),
        )
        film = self.film(*given, shown=(36_000, 144_000))
        expected = [(0, 18_000, "a"), (36_000, 54_000, "b"), (90_000, 108_000, "c")]
        self.assertEqual(texts(film), expected)
        self.assertEqual(texts(self.film(given[0], shown=(90_000, 144_000))), [])


FILM = written(even(10), bytes(120))
_HOLDERS = ("moov", "trak", "mdia", "minf", "stbl")


def with_table(data: bytes, kind: str, body: bytes, name: str = "") -> bytes:
    """A film with another body in the boxes of that kind, and maybe another name on them."""
    pieces = []
    for found, low, high in boxes(data):
        inner = data[low:high]
        if found == kind:
            found, inner = name or kind, body
        elif found in _HOLDERS:
            inner = with_table(inner, kind, body, name)
        pieces.append(box(found.encode("ascii"), inner))
    return b"".join(pieces)
