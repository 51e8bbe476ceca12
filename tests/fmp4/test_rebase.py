"""Tests of `vidlink.fmp4.rebase`: segments on another place of the media clock."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import muxed
from vidlink.errors import NotMedia
from vidlink.fmp4 import (
    iter_boxes,
    read_fragment,
    read_init,
    rebase_fragment,
    write_fragment,
)
from vidlink.fmp4.boxes import only_child

TIMESCALE = 90_000


def rebased(data: bytes, ticks: int, timescale: int = TIMESCALE) -> bytes:
    """The segment, so many ticks earlier."""
    copy = bytearray(data)
    rebase_fragment(memoryview(copy), ticks, timescale)
    return bytes(copy)


def box(kind: bytes, body: bytes) -> bytes:
    """A box."""
    return pack(">I4s", 8 + len(body), kind) + body


def wide_sidx(timescale: int, time: int) -> bytes:
    """A `sidx` with times of 64 bits, of one reference."""
    entry = pack(">III", 9, 9, 0x9000_0000)
    return box(b"sidx", pack(">IIIQQHH", 1 << 24, 1, timescale, time, 0, 0, 1) + entry)


def a_segment(before: bytes, tfdt: bytes) -> bytes:
    """A segment of another writer: other boxes before `moof`, and a `tfdt` of its own."""
    trun = box(b"trun", pack(">IIiI", 0x201, 1, 0, 4))
    tfhd = box(b"tfhd", pack(">II", 0x02_0000, 1))
    traf = box(b"traf", tfhd + box(b"free", b"\0" * 3) + box(b"tfdt", tfdt) + trun)
    moof = box(b"moof", box(b"mfhd", pack(">II", 0, 7)) + traf)
    return before + moof + box(b"mdat", b"\0\0\0\0")


def sidx_time(data: bytes) -> int:
    """The earliest time in a `sidx` of version 1 that the data begins with."""
    return int.from_bytes(data[20:28], "big")


class OwnTests(SynchronousTestCase):
    """Segments of our own Sentinel."""

    @given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.binary(max_size=40))
    def test_only_times_change(self, time: int, ticks: int, frame: bytes) -> None:
        """The bytes are those that would have been written at the earlier time; none is below 0."""
        for produced in (None, 1_704_067_200_000_000):
            made = [
                write_fragment(
                    sequence=3,
                    decode_time=one,
                    duration=18_000,
                    keyframe=True,
                    data=frame,
                    producer_time_us=produced,
                )
                for one in (time, max(0, time - ticks))
            ]
            self.assertEqual(rebased(made[0], ticks), made[1])

    def test_in_place(self) -> None:
        """One segment among others is changed, and nothing beside it."""
        one = write_fragment(
            sequence=0, decode_time=9, duration=1, keyframe=True, data=b"x", producer_time_us=0
        )
        data = bytearray(one * 3)
        rebase_fragment(memoryview(data)[len(one) : 2 * len(one)], 4, TIMESCALE)
        self.assertEqual(bytes(data), one + rebased(one, 4) + one)


class OtherTests(SynchronousTestCase):
    """Segments of others."""

    def test_32_bits(self) -> None:
        """A time of 32 bits stays one of 32 bits, up to its largest."""
        top = 2**32 - 1
        for time, ticks, after in ((500, 100, 400), (top, 1, top - 1), (5, top, 0), (7, 0, 7)):
            data = a_segment(b"", pack(">II", 0, time))
            self.assertEqual(rebased(data, ticks), a_segment(b"", pack(">II", 0, after)))

    def test_64_bits(self) -> None:
        """A time of 64 bits may be beyond 32."""
        data = a_segment(b"", pack(">IQ", 1 << 24, 2**40))
        expected = a_segment(b"", pack(">IQ", 1 << 24, 2**40 - 2**33))
        self.assertEqual(rebased(data, 2**33), expected)

    def test_what_repeats_the_time(self) -> None:
        """`prft` and `sidx` before `moof` go with it, wide or narrow; nothing else does."""

        def before(time: int) -> bytes:
            entry = pack(">III", 0x90, TIMESCALE // 5, 0x9000_0000)
            return b"".join(
                (
                    box(b"styp", b"msdh\0\0\0\0"),
                    box(b"prft", pack(">IIQI", 0, 1, 99, time)),
                    box(b"prft", pack(">IIQQ", 1 << 24, 1, 99, time)),
                    box(b"sidx", pack(">IIIIIHH", 0, 1, TIMESCALE, time, 0, 0, 1) + entry),
                    wide_sidx(TIMESCALE, time),
                )
            )

        tfdt = pack(">II", 0, 5_000), pack(">II", 0, 2_000)
        data, expected = a_segment(before(5_000), tfdt[0]), a_segment(before(2_000), tfdt[1])
        self.assertEqual(rebased(data, 3_000), expected)

    def test_sidx_of_its_own_timescale(self) -> None:
        """A `sidx` that counts in other ticks is moved by the same time."""
        index = wide_sidx(1_000, 7_000)
        data = rebased(a_segment(index, pack(">II", 0, 630_000)), 180_000)
        self.assertEqual(sidx_time(data), 5_000)

    def test_what_ffmpeg_writes(self) -> None:
        """Segments of FFmpeg are read as before, only earlier."""
        for flags in ("empty_moov+default_base_moof+frag_keyframe", "cmaf+dash+frag_keyframe"):
            init, *segments = muxed(flags)
            media = read_init(init)
            ticks = read_fragment(segments[1], media).decode_time
            self.assertGreater(ticks, 0)
            for number, segment in enumerate(segments[1:]):
                moved = rebased(segment, ticks, media.timescale)
                one, other = read_fragment(segment, media), read_fragment(moved, media)
                self.assertEqual(other.decode_time, one.decode_time - ticks)
                self.assertEqual(other.decode_time == 0, number == 0)
                self.assertEqual(other.sample_count, one.sample_count)
                # Only times differ, and those of few boxes.
                differing = {n for n in range(len(segment)) if segment[n] != moved[n]}
                kinds = {
                    one.kind
                    for one in iter_boxes(segment)
                    if differing & set(range(one.start, one.end))
                }
                self.assertLessEqual(kinds, {b"moof", b"sidx", b"prft"})

    def test_no_box_is_mistaken(self) -> None:
        """What looks like `tfdt` elsewhere is left alone."""
        decoy = box(b"prft", pack(">IIQQ", 1 << 24, 1, 0, 50)) + box(b"emsg", b"tfdt" * 30)
        data = a_segment(decoy, pack(">II", 0, 50))
        moved = rebased(data, 50)
        moof = next(one for one in iter_boxes(moved) if one.kind == b"moof")
        tfdt = only_child(moved, only_child(moved, moof, b"traf"), b"tfdt")
        self.assertEqual(moved[tfdt.body : tfdt.end], bytes(8))
        self.assertIn(b"tfdt" * 30, moved)

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        """What is no segment is refused, and nothing else is raised."""
        for data in (junk, junk[:3] + b"\x20moof" + junk, a_segment(b"", b"\1\0\0\0")):
            try:
                rebased(data, 1)
            except NotMedia:
                continue
