"""Tests of the samples of segments: what other muxers write, and what nobody should."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fmp4.media import muxed
from vidlink.errors import NotMedia
from vidlink.fmp4 import MediaInfo, Samples, find_moof, read_fragment, read_init, read_samples

EACH_FRAME = "frag_every_frame+empty_moov+default_base_moof"
EACH_INTERVAL = "frag_keyframe+empty_moov+default_base_moof"


def samples_of(segment: bytes, info: MediaInfo) -> Samples:
    """The samples of a segment in memory."""
    start, moof = find_moof(lambda place, size: segment[place : place + size], len(segment))
    return read_samples(moof, start, len(segment), info)


class SamplesTests(SynchronousTestCase):
    """Samples of real media."""

    def test_like_the_segment(self) -> None:
        """What is said of each sample adds up to what is said of the segment."""
        for flags, b_frames in (
            (EACH_FRAME, 0),
            (EACH_INTERVAL, 0),
            (EACH_FRAME, 2),
            (EACH_INTERVAL, 2),
            (EACH_INTERVAL + "+negative_cts_offsets", 2),
            ("cmaf+dash+frag_keyframe", 2),
        ):
            init, *segments = muxed(flags, frames=20, gop=10, b_frames=b_frames)
            info = read_init(init)
            shown: list[int] = []
            for segment in segments[:-1] if b"mfra" in segments[-1] else segments:
                whole, found = read_fragment(segment, info), samples_of(segment, info)
                self.assertEqual(found.times[0], whole.decode_time)
                self.assertEqual(found.end, whole.decode_time + whole.duration)
                self.assertEqual(len(found.sizes), whole.sample_count)
                self.assertIs(found.syncs[0], whole.is_keyframe)
                self.assertEqual(found.places[-1] + found.sizes[-1], len(segment))
                if whole.sample_offset:
                    self.assertEqual(found.places, [whole.sample_offset])
                    self.assertEqual(found.shifts, [0])
                else:
                    self.assertTrue(len(found.sizes) > 1 or any(found.shifts), flags)
                shown += [
                    time + shift for time, shift in zip(found.times, found.shifts, strict=True)
                ]
            # Every picture is shown, a step after the one before it.
            shown.sort()
            step = info.timescale // 5
            self.assertEqual([time - shown[0] for time in shown], [n * step for n in range(20)])

    def test_own_layout(self) -> None:
        """Of our own segments the one sample lies where the short cut says."""
        info = read_init(media.init_segment())
        for sequence in range(12):
            segment = media.segment(sequence)
            found = samples_of(segment, info)
            self.assertEqual(found.places, [read_fragment(segment, info).sample_offset])
            self.assertEqual(found.syncs, [media.is_keyframe(sequence)])

    @given(st.data())
    def test_any_bytes(self, data: st.DataObject) -> None:
        """Whatever stands in `moof`: samples that lie in the segment, or an error of ours."""
        init, *segments = SEGMENTS
        info = read_init(init)
        chosen = data.draw(st.sampled_from(segments))
        start, moof = find_moof(lambda place, size: chosen[place : place + size], len(chosen))
        segment = bytearray(chosen)
        for _ in range(data.draw(st.integers(1, 3))):
            place = start + data.draw(st.integers(8, len(moof) - 1))
            segment[place : place + 1] = data.draw(st.binary(min_size=1, max_size=1))
        try:
            found = samples_of(bytes(segment), info)
        except NotMedia:
            return
        for place, size in zip(found.places, found.sizes, strict=True):
            self.assertLessEqual(start + len(moof), place)
            self.assertLessEqual(place + size, len(segment))
        self.assertEqual(sorted(found.times), found.times)


SEGMENTS = muxed(EACH_INTERVAL, frames=12, gop=6, b_frames=2)[:3]
