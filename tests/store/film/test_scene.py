"""Tests of what of a session can be shown: many records at once against one after the other."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.fmp4 import Samples
from vidlink.store.files.columns import Columns, read_columns
from vidlink.store.files.layout import IndexRecord, read_records
from vidlink.store.film.footage import Footage
from vidlink.store.film.scene import Decoding, Scene

HEAD = 108


@dataclass(frozen=True)
class One:
    """A segment: `lengths` of its samples, of which its record may say where the only one is."""

    sequence: int
    time: int
    is_key: bool
    lengths: tuple[int, ...] = (10,)
    is_told: bool = True

    @property
    def size(self) -> int:
        """Its octets: ten for each sample."""
        return HEAD + 10 * len(self.lengths)

    def record(self, offset: int) -> bytes:
        """Its record."""
        place = HEAD if self.is_told else 0
        return IndexRecord(
            self.sequence, offset, self.size, 0, 1_000 * self.time, self.time,
            sum(self.lengths), 5_000, 0, int(self.is_key), place,
        ).pack()  # fmt: skip

    def samples(self) -> Samples:
        """Its samples, by its boxes."""
        count = len(self.lengths)
        times = [self.time + sum(self.lengths[:number]) for number in range(count)]
        places = [HEAD + 10 * number for number in range(count)]
        syncs = [self.is_key and not number for number in range(count)]
        end = self.time + sum(self.lengths)
        return Samples(places, [10] * count, times, [0] * count, syncs, end)


def taken(ones: list[One], sizes: list[int]) -> Scene:
    """A scene of these segments, read so many at a time."""
    scene = Scene()
    offset = place = 0
    for size in [*sizes, len(ones)]:
        some = ones[place : place + size]
        place += size
        records = bytearray()
        for one in some:
            records += one.record(offset)
            offset += one.size

        def read(number: int, some: list[One] = some) -> Samples:
            return some[number].samples()

        scene.take(0, read_columns(bytes(records)), read)
    return scene


def expected(ones: list[One]) -> list[One]:
    """Those of them that can be shown."""
    decoding = Decoding()
    return [
        one
        for one in ones
        if decoding.accepts(one.sequence, one.time, one.is_key, one.samples().times[-1])
    ]


@st.composite
def sessions(draw: st.DrawFn) -> list[One]:
    """Segments with ascending sequences, and times that may do anything."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, 1, 2, 5]),
                st.sampled_from([10, 10, 10, 10, 30, 0, -20]),
                st.sampled_from([True, False, False]),
                st.sampled_from([(10,), (10,), (10,), (3, 4, 3), (15, 15)]),
                st.booleans(),
            ),
            max_size=25,
        )
    )
    ones: list[One] = []
    sequence, time = -1, 100
    for jump, later, is_key, lengths, is_told in steps:
        sequence, time = sequence + jump, max(0, time + later)
        ones.append(One(sequence, time, is_key, lengths, is_told and len(lengths) == 1))
    return ones


class SceneTests(SynchronousTestCase):
    """What is in a scene."""

    @given(sessions(), st.lists(st.integers(1, 9), max_size=6))
    def test_any_session(self, ones: list[One], sizes: list[int]) -> None:
        """Whatever comes, and however many records are read at once: what is shown is what can be
        decoded, with each of its samples, and no sample is decoded before the one before it."""
        scene, shown = taken(ones, sizes), expected(ones)
        self.assertEqual(list(scene.sequences), [one.sequence for one in shown])
        times = [time for one in shown for time in one.samples().times]
        self.assertEqual(list(scene.samples.times), times)
        self.assertEqual(sorted(times), times)
        places, start = [], 0
        for one in shown:
            places += [start + place for place in one.samples().places]
            start += one.size
        self.assertEqual(list(scene.samples.places), places)
        self.assertEqual(list(scene.samples.sizes), [10] * len(places))
        self.assertEqual(scene.places.size_of_first(len(scene)), start)
        keys = [number for number, one in enumerate(shown) if one.is_key]
        self.assertEqual(list(scene.keys), keys)
        syncs = [scene.first_sample(number) for number in keys]
        self.assertEqual(list(scene.samples.syncs), syncs)
        breaks = [
            number
            for number in range(1, len(shown))
            if shown[number].sequence != shown[number - 1].sequence + 1
        ]
        self.assertEqual(list(scene.breaks), breaks)
        self.assertEqual(scene.seen, ones[-1].sequence if ones else -1)

    @given(sessions(), st.integers(0, 25), st.data())
    def test_in_two_pieces(self, ones: list[One], border: int, data: st.DataObject) -> None:
        """What is on disk and what waits are the same footage as if all were on disk."""
        whole = taken(ones, [])
        first = taken(ones[:border], [])
        tail = Scene(before=first)
        for one in ones[border:]:

            def read(place: int, one: One = one) -> Samples:
                return one.samples()

            tail.take(0, read_columns(one.record(0)), read)
        footage = Footage(first, len(first), tail, 1_000)
        other = Footage(whole, len(whole), Scene(whole), 1_000)
        self.assertEqual(len(footage), len(other))
        if not len(other):
            return
        begin = data.draw(st.integers(0, len(other) - 1))
        stop = data.draw(st.integers(begin + 1, len(other)))
        mine, its = footage.samples(begin, stop), other.samples(begin, stop)
        for name in ("places", "sizes", "times", "shifts", "syncs", "end"):
            self.assertEqual(getattr(mine, name), getattr(its, name), name)
        self.assertEqual(footage.breaks(begin, stop), other.breaks(begin, stop))
        for number in range(len(other)):
            for method in ("time", "end", "start_us", "keyframe_before", "keyframe_after"):
                found = getattr(footage, method)(number), getattr(other, method)(number)
                self.assertEqual(*found, method)

    def test_overlap(self) -> None:
        """A segment that begins before the last sample of the one before it is decoded is left
        out, and what builds on it."""
        ones = [
            One(0, 0, True, (10, 10, 10), False),
            One(1, 15, False),
            One(2, 30, False),
            One(3, 40, True),
            One(4, 50, False),
        ]
        self.assertEqual(list(taken(ones, []).sequences), [0, 3, 4])

    def test_start_times_descend(self) -> None:
        """No picture was captured before the one before it, whatever their records say, on the
        disk or waiting for it."""
        said = [5_000, 9_000, 7_000, 8_000, 9_500]
        records = [
            next(filter(None, read_records(One(number, 10 * number, not number).record(0))))
            ._replace(start_time_us=start_us)
            .pack()
            for number, start_us in enumerate(said)
        ]
        for border in range(len(records) + 1):
            first = Scene()
            first.take(0, read_columns(b"".join(records[:border])), lambda place: None)
            tail = Scene(before=first)
            tail.take(0, read_columns(b"".join(records[border:])), lambda place: None)
            starts_us = [*first.starts_us, *tail.starts_us]
            self.assertEqual(starts_us, [5_000, 9_000, 9_000, 9_000, 9_500])

    def test_frame_behind_its_segment(self) -> None:
        """A record whose frame would begin at the end of its segment or behind it says nothing, and
        takes nothing from its neighbours: its boxes are read."""
        ones = [One(number, 10 * number, True) for number in range(4)]
        whole = taken(ones, [])
        for place in (HEAD + 10, HEAD + 11, 2**16 - 1):
            records = [one.record(number * ones[0].size) for number, one in enumerate(ones)]
            (record,) = read_records(records[2])
            assert record is not None
            records[2] = record._replace(sample_offset=place).pack()
            columns = read_columns(b"".join(records))
            scene = Scene()
            scene.take(0, columns, lambda number: ones[number].samples())
            for name in ("places", "sizes", "times", "syncs"):
                found = getattr(scene.samples, name), getattr(whole.samples, name)
                self.assertEqual(*found, name)
            scene = Scene()
            scene.take(0, columns, lambda number: None)
            self.assertEqual(list(scene.sequences), [0, 1, 3])
            self.assertEqual(list(scene.samples.sizes), [10, 10, 10])

    def test_unreadable(self) -> None:
        """What has no boxes that say where its samples are is left out."""
        scene = Scene()
        ones = [
            One(0, 0, True),
            One(1, 10, False, (10,), False),
            One(2, 20, False),
            One(3, 30, True),
        ]
        columns = read_columns(b"".join(one.record(0) for one in ones))
        self.assertIsInstance(columns, Columns)
        scene.take(0, columns, lambda place: None)
        self.assertEqual(list(scene.sequences), [0, 3])
        self.assertEqual(scene.breaks, array("I", [1]))
