"""The bounded box reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import calls
from vidlink.errors import NotMedia
from vidlink.fmp4 import Box, find_moof, iter_boxes, write_fragment
from vidlink.fmp4.boxes import MAX_BOXES

KINDS = st.binary(min_size=4, max_size=4)


def box(kind: bytes, body: bytes, long_size: bool = False) -> bytes:
    """One box, with a 32-bit or a 64-bit size."""
    if long_size:
        return b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") + body
    return (8 + len(body)).to_bytes(4, "big") + kind + body


class BoxReaderTests(SynchronousTestCase):
    """Where boxes start and end."""

    @given(st.lists(st.tuples(KINDS, st.binary(max_size=40), st.booleans()), max_size=8))
    def test_round_trip(self, wanted: list[tuple[bytes, bytes, bool]]) -> None:
        """Boxes with sizes of 32 and of 64 bits are found in order, with their bodies."""
        data = b"".join(box(*each) for each in wanted)
        found = list(iter_boxes(data))
        self.assertEqual(
            [(b.kind, data[b.body : b.end], b.header == 16) for b in found],
            wanted,
        )
        self.assertEqual([b.end for b in found[:-1]], [b.start for b in found[1:]])

    def test_size_zero_reaches_to_the_end(self) -> None:
        """A size of 0 means up to the end of the container, not of the data."""
        data = box(b"free", b"ab") + b"\0\0\0\0mdatabc" + b"beyond"
        self.assertEqual(list(iter_boxes(data, 0, 21))[1:], [Box(b"mdat", 10, 8, 21)])

    def test_smaller_than_its_header(self) -> None:
        """Sizes below the header's own (2 to 7, or below 16 in 64 bits) are no boxes."""
        for size in range(2, 8):
            with self.assertRaises(NotMedia):
                list(iter_boxes(size.to_bytes(4, "big") + b"free" + bytes(8)))
        for size in range(16):
            with self.assertRaises(NotMedia):
                list(iter_boxes(b"\0\0\0\1free" + size.to_bytes(8, "big") + bytes(16)))

    def test_larger_than_its_container(self) -> None:
        """A box may not pass the end it was given, though the data goes on."""
        data = box(b"free", bytes(20))
        self.assertEqual(len(list(iter_boxes(data, 0, 28))), 1)
        for end in range(1, 28):
            with self.assertRaises(NotMedia):
                list(iter_boxes(data, 0, end))
        with self.assertRaises(NotMedia):
            list(iter_boxes(b"\xff\xff\xff\xfffree"))
        with self.assertRaises(NotMedia):
            list(iter_boxes(b"\0\0\0\1free" + b"\xff" * 8))

    def test_never_past_the_end(self) -> None:
        """An end beyond the data is the end of the data."""
        with self.assertRaises(NotMedia):
            list(iter_boxes(box(b"free", b"")[:-1], 0, 8))

    def test_too_many(self) -> None:
        """So many boxes side by side, and not one more."""
        data = box(b"free", b"") * (MAX_BOXES + 1)
        self.assertEqual(len(list(iter_boxes(data, 0, 8 * MAX_BOXES))), MAX_BOXES)
        with self.assertRaises(NotMedia):
            list(iter_boxes(data))

    def test_nested_deep(self) -> None:
        """Boxes nested 10,000 deep cost no more than the level that is read."""
        data = bytearray(8 * 10_000)
        for depth in range(10_000):
            data[8 * depth : 8 * depth + 8] = box(b"moof", b"")[4:8].rjust(8, b"\0")
            data[8 * depth : 8 * depth + 4] = (len(data) - 8 * depth).to_bytes(4, "big")
        self.assertEqual(list(iter_boxes(bytes(data))), [Box(b"moof", 0, 8, 80_000)])
        self.assertLess(calls(lambda: list(iter_boxes(bytes(data)))), 20)

    @given(st.binary(max_size=64))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever the bytes: boxes inside them, side by side, or NotMedia."""
        place = 0
        try:
            for each in iter_boxes(data):
                self.assertEqual(each.start, place)
                self.assertLessEqual(each.body, each.end)
                self.assertLessEqual(each.end, len(data))
                place = each.end
        except NotMedia:
            pass


class FindMoofTests(SynchronousTestCase):
    """The `moof` of a segment that is not all in memory."""

    def found(self, data: bytes) -> tuple[int, bytes, int]:
        """Where it is, what it is, and how many reads that took."""
        reads: list[int] = []

        def read(place: int, count: int) -> bytes:
            reads.append(count)
            return data[place : place + count]

        place, moof = find_moof(read, len(data))
        return place, bytes(moof), len(reads)

    @given(
        st.lists(st.tuples(KINDS, st.binary(max_size=300), st.booleans()), max_size=6),
        st.integers(0, 2_000),
    )
    def test_behind_other_boxes(self, before: list[tuple[bytes, bytes, bool]], size: int) -> None:
        """The first `moof` counts, whatever stands before it, and all of it."""
        lead = b"".join(box(*each) for each in before if each[0] != b"moof")
        moof = box(b"moof", bytes(size))
        data = lead + moof + box(b"mdat", b"x")
        self.assertEqual(self.found(data)[:2], (len(lead), moof))

    def test_own_layout(self) -> None:
        """What our own Sentinel writes takes one read."""
        for time_us in (None, 5):
            data = write_fragment(
                sequence=0,
                decode_time=0,
                duration=1,
                keyframe=True,
                data=bytes(4_000),
                producer_time_us=time_us,
            )
            place, _, reads = self.found(data)
            self.assertEqual((place, reads), (0 if time_us is None else 32, 1))

    def test_only_heads(self) -> None:
        """What stands before it is passed over, not read."""
        data = box(b"emsg", bytes(1_000_000)) + box(b"moof", bytes(9)) + box(b"mdat", b"x")
        self.assertEqual(self.found(data)[2], 2)

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        """What has none is none, and never takes more than a few reads."""
        for data in (junk, bytes(60) + junk, box(b"free", junk), box(b"free", b"") * 999):
            reads: list[int] = []

            def read(place: int, count: int, data: bytes = data, reads: list[int] = reads) -> bytes:
                reads.append(count)
                return data[place : place + count]

            try:
                _, moof = find_moof(read, len(data))
                self.assertIn(moof, data)
            except NotMedia:
                pass
            self.assertLessEqual(len(reads), 34)
