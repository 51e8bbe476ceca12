"""Initialization segments, as FFmpeg writes them and as nobody should."""

from __future__ import annotations

import contextlib
from struct import pack, pack_into

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import TIMESCALE, encoded, muxed
from vidlink.errors import NotMedia
from vidlink.fmp4 import MediaInfo, check_init, iter_boxes, read_init, sample_description


class ReadInitTests(SynchronousTestCase):
    """Initialization segments as they are read."""

    def setUp(self) -> None:
        """A real one."""
        self.init = encoded().init

    def refused(self, data: bytes) -> str:
        """The reason for which `data` is no initialization segment."""
        with self.assertRaises(NotMedia) as caught:
            read_init(data)
        return str(caught.exception)

    def swapped(self, old: bytes, new: bytes) -> bytes:
        """The real one with the first `old` replaced by `new` of the same length."""
        self.assertIn(old, self.init)
        return self.init.replace(old, new, 1)

    def test_ffmpeg(self) -> None:
        """Codec, size, timescale and track are read from what FFmpeg writes."""
        media = read_init(self.init)
        self.assertEqual(
            media,
            MediaInfo(
                codec="avc1.42C00A",
                width=64,
                height=48,
                timescale=TIMESCALE,
                track_id=1,
                default_sample_duration=0,
                default_sample_flags=0,
            ),
        )
        self.assertEqual(media.mime, 'video/mp4; codecs="avc1.42C00A"')

    def test_codec_is_read(self) -> None:
        """The codec comes from avcC: another profile gives another name."""
        self.assertEqual(
            read_init(muxed("empty_moov+default_base_moof", b_frames=2)[0]).codec, "avc1.4D400A"
        )

    def test_avc3(self) -> None:
        """Parameter sets in the stream (avc3) are H.264 as well."""
        self.assertEqual(read_init(self.swapped(b"avc1", b"avc3")).codec, "avc3.42C00A")

    def test_trex_defaults(self) -> None:
        """The defaults of trex are handed on."""
        place = self.init.index(b"trex") + 4 + 12
        values = (7).to_bytes(4, "big") + (8).to_bytes(4, "big") + (9).to_bytes(4, "big")
        media = read_init(self.init[:place] + values + self.init[place + 12 :])
        self.assertEqual(media.default_sample_duration, 7)
        self.assertEqual(media.default_sample_size_bytes, 8)
        self.assertEqual(media.default_sample_flags, 9)

    def test_view(self) -> None:
        """A view into a larger buffer is read like bytes."""
        view = memoryview(b"xx" + self.init + b"yy")[2:-2]
        self.assertEqual(read_init(view), read_init(self.init))

    def test_sample_description(self) -> None:
        """What a decoder is set up with is the same for the same encoder, and no other."""
        described = sample_description(self.init)
        self.assertEqual(described[4:8], b"stsd")
        self.assertIn(b"avcC", described)
        self.assertEqual(sample_description(memoryview(self.init + b"\0\0\0\x08free")), described)
        self.assertNotEqual(sample_description(encoded(width=128, height=96).init), described)
        self.assertRaises(NotMedia, sample_description, self.init[:-1])

    def test_frames_refused(self) -> None:
        """Frames behind it make it something else."""
        fragment = muxed("empty_moov+default_base_moof+frag_keyframe")[1]
        self.assertIn("without frames", self.refused(self.init + fragment))

    def test_order(self) -> None:
        """An initialization segment begins with ftyp, and has one moov."""
        moov = self.init.index(b"moov") - 4
        ftyp, moov_box = self.init[:moov], self.init[moov:]
        self.assertIn("ftyp", self.refused(moov_box + ftyp))
        self.assertIn("ftyp", self.refused(b""))
        self.assertIn("one moov", self.refused(ftyp))
        self.assertIn("one moov", self.refused(self.init + moov_box))

    def test_no_end(self) -> None:
        """A moov that reaches "to the end" would swallow the segments stored after it."""
        place = self.init.index(b"moov") - 4
        open_ended = self.init[:place] + bytes(4) + self.init[place + 4 :]
        self.assertIn("no end", self.refused(open_ended))

    def test_not_video(self) -> None:
        """Sound, other codecs, no avcC, an unknown avcC."""
        self.assertIn("not a video", self.refused(self.swapped(b"vide", b"soun")))
        self.assertIn("H.264", self.refused(self.swapped(b"avc1", b"hvc1")))
        self.assertIn("avcC", self.refused(self.swapped(b"avcC", b"hvcC")))
        self.assertIn("version 2", self.refused(self.swapped(b"avcC\x01", b"avcC\x02")))

    def test_two_tracks(self) -> None:
        """A second track is refused, even of the same kind."""
        start = self.init.index(b"trak") - 4
        size = int.from_bytes(self.init[start : start + 4], "big")
        moov = self.init.index(b"moov") - 4
        grown = int.from_bytes(self.init[moov : moov + 4], "big") + size
        data = self.init[:moov] + grown.to_bytes(4, "big") + self.init[moov + 4 :]
        data = data[:start] + data[start : start + size] * 2 + data[start + size :]
        self.assertIn("2 trak", self.refused(data))

    def test_not_fragmented(self) -> None:
        """Without mvex there can be no fragments."""
        self.assertIn("mvex", self.refused(self.swapped(b"mvex", b"free")))

    def test_impossible_numbers(self) -> None:
        """Timescale, track and size are not 0, and trex is for the track."""
        scale = TIMESCALE.to_bytes(4, "big")
        place = self.init.index(scale, self.init.index(b"mdhd"))
        self.assertIn(
            "timescale", self.refused(self.init[:place] + bytes(4) + self.init[place + 4 :])
        )
        track = self.init.index(b"tkhd") + 4 + 12
        self.assertIn(
            "number 0", self.refused(self.init[:track] + bytes(4) + self.init[track + 4 :])
        )
        self.assertIn(
            "another track",
            self.refused(self.init[:track] + b"\0\0\0\2" + self.init[track + 4 :]),
        )
        size = self.init.index(b"avc1") + 4 + 24
        self.assertIn("size", self.refused(self.init[:size] + bytes(2) + self.init[size + 2 :]))

    def test_any_truncation(self) -> None:
        """Cut anywhere, it is refused, and nothing but NotMedia is raised."""
        for length in range(len(self.init)):
            self.refused(self.init[:length])

    @settings(max_examples=300)
    @given(place=st.integers(0, 750), value=st.integers(0, 255))
    def test_any_byte_changed(self, place: int, value: int) -> None:
        """Whatever one byte becomes: a description, or NotMedia."""
        data = bytearray(encoded().init)
        data[place] = value
        with contextlib.suppress(NotMedia):
            self.assertTrue(read_init(bytes(data)).timescale)

    @settings(max_examples=300)
    @given(
        place=st.integers(0, 740),
        size=st.sampled_from((0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    )
    def test_hostile_sizes(self, place: int, size: int) -> None:
        """Whatever a size becomes: a description, or NotMedia."""
        data = bytearray(encoded().init)
        data[place : place + 4] = size.to_bytes(4, "big")
        with contextlib.suppress(NotMedia):
            self.assertTrue(read_init(bytes(data)).timescale)


class CheckInitTests(SynchronousTestCase):
    """What players show otherwise than it was sent is refused when it comes."""

    def setUp(self) -> None:
        """One as FFmpeg writes it."""
        self.init = encoded().init

    def check(self, data: bytes) -> None:
        """Check `data`, which can be read."""
        check_init(data, read_init(data))

    def with_edits(self, *edits: tuple[int, int, int], version: int = 0) -> bytes:
        """The init with an edit list: durations, media times, and rates of 16.16."""
        layout = ">Qqi" if version else ">Iii"
        body = pack(">BxxxI", version, len(edits)) + b"".join(pack(layout, *e) for e in edits)
        elst = pack(">I4s", 8 + len(body), b"elst") + body
        edts = pack(">I4s", 8 + len(elst), b"edts") + elst
        data = bytearray(self.init)
        moov = next(box for box in iter_boxes(self.init) if box.kind == b"moov")
        inner = iter_boxes(self.init, moov.body, moov.end)
        trak = next(box for box in inner if box.kind == b"trak")
        for box in (moov, trak):
            pack_into(">I", data, box.start, box.end - box.start + len(edts))
        data[trak.end : trak.end] = edts
        return bytes(data)

    def test_fine(self) -> None:
        """What FFmpeg writes is fine, with B-frames and with a delayed moov as well."""
        self.check(self.init)
        for flags in ("empty_moov+default_base_moof", "delay_moov+default_base_moof"):
            self.check(muxed(flags, b_frames=2)[0])

    def test_delays(self) -> None:
        """An edit list may delay as an encoder does, with the first picture or before it."""
        ten = 10 * TIMESCALE
        for version in (0, 1):
            for edits in (
                [(0, 0, 1 << 16)],
                [(0, ten, 1 << 16)],
                [(10_000, -1, 1 << 16), (0, 0, 1 << 16)],
            ):
                self.check(self.with_edits(*edits, version=version))
        self.check(self.with_edits())

    def test_cuts(self) -> None:
        """One that cuts, repeats or slows the film is refused."""
        ten = 10 * TIMESCALE
        for edits in (
            [(0, ten + 1, 1 << 16)],
            [(1_000, 0, 1 << 16)],
            [(0, 0, 1 << 15)],
            [(0, 0, 0)],
            [(0, -1, 1 << 16)],
            [(10_001, -1, 1 << 16), (0, 0, 1 << 16)],
            [(0, 0, 1 << 16), (0, 0, 1 << 16)],
            [(1, -1, 1 << 16), (1, -1, 1 << 16), (0, 0, 1 << 16)],
        ):
            for version in (0, 1):
                data = self.with_edits(*edits, version=version)
                error = self.assertRaises(NotMedia, self.check, data)
                self.assertIn("edit list", str(error))

    def test_cut_off(self) -> None:
        """An edit list that ends before its last entry is refused."""
        data = self.with_edits((1, -1, 1 << 16))
        place = data.index(b"elst") + 8
        longer = data[:place] + (2).to_bytes(4, "big") + data[place + 4 :]
        self.assertIn("too short", str(self.assertRaises(NotMedia, self.check, longer)))

    def test_timescale(self) -> None:
        """Ticks are no finer than 100 ns: 32 bits of others are over before a long frame is."""
        old = pack(">I", TIMESCALE)
        self.assertEqual(self.init.count(old), 1)
        self.check(self.init.replace(old, pack(">I", 10_000_000)))
        finer = self.init.replace(old, pack(">I", 10_000_001))
        self.assertIn("timescale", str(self.assertRaises(NotMedia, self.check, finer)))

    def test_other_description(self) -> None:
        """There is one sample description, and trex names no other."""
        place = self.init.index(b"trex") + 4 + 8
        other = self.init[:place] + pack(">I", 2) + self.init[place + 4 :]
        self.assertIn("description", str(self.assertRaises(NotMedia, self.check, other)))
