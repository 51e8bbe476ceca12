"""Media segments: ours, FFmpeg's, and what a hostile sender makes of them."""

from __future__ import annotations

import struct
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import calls, muxed
from tests.fmp4.test_boxes import box
from vidlink.errors import NotMedia
from vidlink.fmp4 import FragmentInfo, MediaInfo, read_fragment, read_init, write_fragment
from vidlink.fmp4.walk import MAX_SAMPLES, read_any_fragment

MEDIA = MediaInfo("avc1.42C01F", 64, 48, 1_000, 1, 77, 0, 5)
NOT_SYNC = 0x0101_0000


def u32(*values: int) -> bytes:
    """Numbers of 32 bits."""
    return struct.pack(f">{len(values)}I", *values)


def segment(
    *,
    tfhd: bytes = u32(0x02_0000, 1),
    tfdt: bytes = u32(0x0100_0000, 0, 9),
    truns: tuple[bytes, ...] = (),
    frames: bytes = b"frame",
    before: bytes = b"",
    mfhd: bytes = u32(0, 3),
    in_moof: bytes = b"",
) -> bytes:
    """A segment whose runs have their data offset (in their third field) put right."""
    size = 8 + 8 + len(mfhd) + len(in_moof) + 8 + 8 + len(tfhd) + 8 + len(tfdt)
    size += sum(8 + len(run) for run in truns)
    runs = b"".join(
        box(b"trun", run[:8] + u32(size + 8) + run[12:] if run[3] & 1 else run) for run in truns
    )
    traf = box(b"traf", box(b"tfhd", tfhd) + box(b"tfdt", tfdt) + runs)
    moof = box(b"moof", box(b"mfhd", mfhd) + in_moof + traf)
    return before + moof + box(b"mdat", frames)


def ours(size: int = 50, **changes: int) -> bytes:
    """A segment of our own writer."""
    numbers = {"sequence": 3, "decode_time": 9, "duration": 200, **changes}
    return write_fragment(
        **numbers, keyframe=True, data=bytes(size), producer_time_us=1_700_000_000_000_000
    )


class FFmpegTests(SynchronousTestCase):
    """Fragments of FFmpeg's own muxer, which lays them out differently."""

    def read(self, flags: str, **options: int) -> list[FragmentInfo]:
        """Everything FFmpeg wrote, as we read it."""
        init, *fragments = muxed(f"empty_moov+default_base_moof+{flags}", **options)
        media = read_init(init)
        self.assertEqual(media.timescale, 10_240)
        return [read_fragment(fragment, media) for fragment in fragments]

    def test_a_fragment_per_keyframe(self) -> None:
        """Several frames in one fragment: times, counts, durations and keyframes."""
        for b_frames in (0, 2):
            self.assertEqual(
                self.read("frag_keyframe", b_frames=b_frames),
                [
                    FragmentInfo(1, 0, 10_240, 2_048, 5, True, 0, None),
                    FragmentInfo(2, 10_240, 10_240, 2_048, 5, True, 0, None),
                    FragmentInfo(3, 20_480, 4_096, 2_048, 2, True, 0, None),
                ],
            )

    def test_a_fragment_per_frame(self) -> None:
        """Every fifth fragment is one to join at."""
        found = self.read("frag_every_frame")
        self.assertEqual([info.is_keyframe for info in found], [n % 5 == 0 for n in range(12)])
        self.assertEqual([info.decode_time for info in found], [2_048 * n for n in range(12)])

    def test_sidx_before(self) -> None:
        """An index before `moof` is read over."""
        found = self.read("dash+frag_keyframe")
        self.assertEqual([info.sample_count for info in found], [5, 5, 2])
        self.assertGreater(found[0].moof_start, 0)

    def test_places_in_a_file(self) -> None:
        """Frames placed by an offset into a file cannot be delivered one by one."""
        init, fragment, *_ = muxed("empty_moov+frag_keyframe")
        with self.assertRaises(NotMedia):
            read_fragment(fragment, read_init(init))


class PrecedenceTests(SynchronousTestCase):
    """Who has the last word on durations, sizes and flags (14496-12, 8.8.3, 8.8.7, 8.8.8)."""

    def read(self, run: bytes, **changes: bytes) -> FragmentInfo:
        """A segment of one run."""
        return read_fragment(segment(truns=(run,), **changes), MEDIA)

    def test_track_defaults(self) -> None:
        """Without a word of its own, a fragment follows trex."""
        info = self.read(u32(0x1, 1, 0))
        self.assertEqual(info, FragmentInfo(3, 9, 77, 77, 1, True, 0, None))

    def test_fragment_defaults(self) -> None:
        """What tfhd says goes before trex."""
        head = u32(0x02_003A, 1, 1, 30, 2, NOT_SYNC)
        info = self.read(u32(0x1, 2, 0), tfhd=head)
        self.assertEqual((info.duration, info.last_sample_duration), (60, 30))
        self.assertFalse(info.is_keyframe)

    def test_run(self) -> None:
        """What the run says of each frame goes before both; composition offsets do not count."""
        head = u32(0x02_0038, 1, 30, 2, 0)
        table = u32(10, 3, NOT_SYNC, 99) + u32(12, 2, 0, 99)
        info = self.read(u32(0xF01, 2, 0) + table, tfhd=head)
        self.assertEqual(info.duration, 22)
        self.assertEqual(info.last_sample_duration, 12)
        self.assertFalse(info.is_keyframe)

    def test_first_frame(self) -> None:
        """first_sample_flags goes before all."""
        for flags, keyframe in ((NOT_SYNC, False), (0x0200_0000, True)):
            info = self.read(u32(0x5, 2, 0, flags), tfhd=u32(0x02_0030, 1, 2, NOT_SYNC ^ flags))
            self.assertEqual(info.is_keyframe, keyframe)

    def test_old_times(self) -> None:
        """A decode time of 32 bits (version 0) is read as well."""
        self.assertEqual(self.read(u32(0x1, 1, 0), tfdt=u32(0, 1234)).decode_time, 1234)

    def test_several_runs(self) -> None:
        """Runs follow each other; the first frame of the first decides on the keyframe."""
        runs = (u32(0x601, 1, 0, 3, NOT_SYNC), u32(0x700, 1, 40, 2, 0))
        info = read_fragment(segment(truns=runs), MEDIA)
        self.assertEqual(info, FragmentInfo(3, 9, 117, 40, 2, False, 0, None))

    def test_unknown_boxes(self) -> None:
        """Boxes that we do not know are read over inside `moof`."""
        info = self.read(u32(0x1, 1, 0), in_moof=box(b"uuid", bytes(30)))
        self.assertEqual(info.sequence, 3)

    def test_producer_time(self) -> None:
        """The wall clock of either version of prft, also after 2036."""
        for time_us in (0, 1_700_000_000_123_456, 3_000_000_000_000_001):
            version_1 = write_fragment(
                sequence=0, decode_time=0, duration=0, keyframe=True, data=b"",
                producer_time_us=time_us,
            )  # fmt: skip
            prft = version_1[:32]
            version_0 = box(b"prft", bytes(4) + prft[12:24] + u32(0))
            for before in (prft, version_0, box(b"styp", b"msdh") + prft):
                info = self.read(u32(0x1, 1, 0), before=before)
                self.assertEqual(info.producer_time_us, time_us)
                self.assertEqual(info.moof_start, len(before))


class RefusalTests(SynchronousTestCase):
    """Bytes that are not a media segment."""

    run_ = u32(0x1, 1, 0)

    def refused(self, data: bytes) -> str:
        """The reason, which is the same for both ways of reading."""
        with self.assertRaises(NotMedia) as caught:
            read_fragment(data, MEDIA)
        return str(caught.exception)

    def test_around_moof(self) -> None:
        """Only what describes a fragment stands before it, its mdat follows, nothing else."""
        good = segment(truns=(self.run_,))
        self.assertIn("'mdat'", self.refused(box(b"mdat", b"x") + good))
        self.assertIn("'moov'", self.refused(box(b"moov", b"x") + good))
        self.assertIn("nothing after", self.refused(good + box(b"free", b"")))
        self.assertIn("nothing after", self.refused(good + good))
        self.assertIn("boxes before", self.refused(box(b"styp", b"") * 16 + good))
        self.assertIn("cut off", self.refused(good[: good.index(b"mdat") - 4]))
        self.assertIn("cut off", self.refused(b""))
        self.assertIn("prft", self.refused(box(b"prft", bytes(19)) + good))

    def test_no_end(self) -> None:
        """An mdat that reaches "to the end" would swallow the segments stored after it."""
        good = segment(truns=(self.run_,))
        place = good.index(b"mdat") - 4
        self.assertIn("no end", self.refused(good[:place] + bytes(4) + good[place + 4 :]))
        self.assertIn("no end", self.refused(bytes(4) + good[4:]))

    def test_structure(self) -> None:
        """One mfhd, one traf with one tfhd, one tfdt and a run, for the right track."""
        twice = segment(truns=(self.run_,), in_moof=box(b"mfhd", u32(0, 4)))
        self.assertIn("one mfhd", self.refused(twice))
        self.assertIn(
            "one traf", self.refused(segment(truns=(self.run_,), in_moof=box(b"traf", b"")))
        )
        self.assertIn("trun", self.refused(segment()))
        self.assertIn("one mfhd", self.refused(segment(truns=(self.run_,), mfhd=u32(0))))
        self.assertIn("track 2", self.refused(segment(truns=(self.run_,), tfhd=u32(0x02_0000, 2))))
        self.assertIn("tfdt", self.refused(segment(truns=(self.run_,), tfdt=u32(0x0100_0000, 0))))
        self.assertIn("tfhd", self.refused(segment(truns=(self.run_,), tfhd=u32(0x38, 1, 0, 0))))
        named = [segment(truns=(self.run_,), tfhd=u32(0x02_0002, 1, index)) for index in (1, 2)]
        read_fragment(named[0], MEDIA)
        self.assertIn("another sample description", self.refused(named[1]))
        without = segment(truns=(self.run_,)).replace(b"tfdt", b"free")
        self.assertIn("tfdt", self.refused(without))
        double = segment(truns=(self.run_,)).replace(b"tfdt", b"tfhd")
        self.assertIn("two tfhd", self.refused(double))

    def test_frames_outside(self) -> None:
        """Frames lie in the mdat, wherever the run points and whatever sizes it claims."""
        for offset in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
            data = bytearray(segment(truns=(self.run_,)))
            place = data.index(b"trun") + 12
            data[place : place + 4] = u32(offset)
            self.assertIn("mdat", self.refused(bytes(data)))
        self.assertIn("mdat", self.refused(segment(truns=(u32(0x201, 1, 0, 6),))))
        self.assertIn("mdat", self.refused(segment(truns=(u32(0x201, 2, 0, 3, 3),))))
        self.assertIn("mdat", self.refused(segment(truns=(u32(0, 1),))))

    def test_counts(self) -> None:
        """Runs without frames, with more than their table, and with absurdly many."""
        self.assertIn("none", self.refused(segment(truns=(u32(0x1, 0, 0),))))
        for count in (2, MAX_SAMPLES + 1, 2**32 - 1):
            self.assertIn("too short", self.refused(segment(truns=(u32(0x201, count, 0, 1),))))
        empty = u32(0x02_0010, 1, 0)
        half = u32(0x1, MAX_SAMPLES // 2 + 1, 0)
        read_fragment(segment(truns=(half,), tfhd=empty), MEDIA)
        self.assertIn("frames", self.refused(segment(truns=(half, half), tfhd=empty)))
        self.assertIn("none", self.refused(segment(truns=(u32(0x1, 2**32 - 1, 0),), tfhd=empty)))

    def test_time_out_of_reach(self) -> None:
        """A decode time that a page could not count is refused, on both roads."""
        self.assertIn("decode time", self.refused(ours(decode_time=2**53)))
        self.assertEqual(read_fragment(ours(decode_time=2**53 - 1), MEDIA).decode_time, 2**53 - 1)


class HostileTests(SynchronousTestCase):
    """Any bytes give an answer or NotMedia, soon; both ways of reading agree."""

    def refused(self, data: bytes) -> None:
        """Assert that `data` is no segment."""
        with self.assertRaises(NotMedia):
            read_fragment(data, MEDIA)

    def agree(self, data: bytes) -> None:
        """Both ways of reading say the same of `data`."""
        try:
            expected: FragmentInfo | None = read_any_fragment(data, MEDIA)
        except NotMedia:
            expected = None
        try:
            found: FragmentInfo | None = read_fragment(data, MEDIA)
        except NotMedia:
            found = None
        self.assertEqual(found, expected)

    def test_any_truncation(self) -> None:
        """Cut anywhere, it is refused."""
        table = u32(0xF01, 2, 0) + u32(10, 3, 0, 99) + u32(12, 2, 0, 99)
        for data in (ours(), segment(truns=(table,)), *muxed("dash+empty_moov")[1:2]):
            for length in range(len(data)):
                self.refused(data[:length])

    def test_any_byte_of_ours(self) -> None:
        """Every bit of every byte of our own layout, flipped: the short cut is never wrong."""
        data = ours(size=8)
        for place in range(len(data)):
            for bit in range(8):
                changed = bytearray(data)
                changed[place] ^= 1 << bit
                self.agree(bytes(changed))

    @settings(max_examples=500)
    @given(
        place=st.integers(0, 170),
        value=st.sampled_from((0, 1, 7, 8, 16, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)),
        theirs=st.booleans(),
    )
    @example(place=0, value=0, theirs=False)
    def test_hostile_sizes(self, place: int, value: int, theirs: bool) -> None:
        """Any four bytes, set to the sizes that hurt."""
        table = u32(0xF01, 2, 0) + u32(10, 3, 0, 99) + u32(12, 2, 0, 99)
        data = bytearray(segment(truns=(table,), frames=bytes(40)) if theirs else ours())
        data[place : place + 4] = u32(value)
        self.agree(bytes(data))

    @settings(max_examples=500)
    @given(st.lists(st.tuples(st.integers(0, 189), st.integers(0, 255)), max_size=4))
    def test_several_bytes(self, changes: list[tuple[int, int]]) -> None:
        """Any few bytes changed."""
        data = bytearray(ours())
        for place, value in changes:
            data[place] = value
        self.agree(bytes(data))

    def test_views(self) -> None:
        """A view is read like bytes, on both roads."""
        for data in (ours(), segment(truns=(u32(0x1, 1, 0),))):
            self.assertEqual(read_fragment(memoryview(data), MEDIA), read_fragment(data, MEDIA))

    def test_deep_and_many(self) -> None:
        """Ten thousand levels, a million boxes, a thousand runs: refused at once."""
        deep = b"".join(u32(8 * (10_000 - n)) + b"traf" for n in range(10_000))
        wide = box(b"moof", box(b"free", b"") * 1_000_000)
        runs = box(b"moof", box(b"traf", box(b"trun", u32(0, 1)) * 500_000))
        for data in (deep, box(b"moof", deep), wide, runs):
            hostile = data + box(b"mdat", b"")
            self.assertLess(calls(partial(self.refused, hostile)), 10_000)
