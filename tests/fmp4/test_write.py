"""The fragment writer, checked by our reader and by FFmpeg."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import TIMESCALE, annexb_to_avc, decoded, encoded
from vidlink.fmp4 import read_fragment, read_init, write_fragment

U32 = st.integers(0, 2**32 - 1)
WALL_US = st.integers(-60_000_000_000_000, 4_233_000_000_000_000)


def film(step: int) -> bytes:
    """A session whose frames are `step` ticks apart, one fragment each."""
    media = encoded()
    return media.init + b"".join(
        write_fragment(
            sequence=number,
            decode_time=number * step,
            duration=step,
            keyframe=keyframe,
            data=annexb_to_avc(packet),
            producer_time_us=1_700_000_000_000_000 + number * 200_000,
        )
        for number, (packet, keyframe) in enumerate(media.packets)
    )


class WriteFragmentTests(SynchronousTestCase):
    """One frame, one segment."""

    @given(
        sequence=U32,
        decode_time=st.integers(0, 2**53 - 1),
        duration=U32,
        keyframe=st.booleans(),
        data=st.binary(max_size=100),
        producer_time_us=st.none() | WALL_US,
    )
    def test_round_trip(
        self,
        sequence: int,
        decode_time: int,
        duration: int,
        keyframe: bool,
        data: bytes,
        producer_time_us: int | None,
    ) -> None:
        """What was written is read again, wall clock to the microsecond included."""
        fragment = write_fragment(
            sequence=sequence,
            decode_time=decode_time,
            duration=duration,
            keyframe=keyframe,
            data=data,
            producer_time_us=producer_time_us,
        )
        info = read_fragment(fragment, read_init(encoded().init))
        self.assertEqual(info.sequence, sequence)
        self.assertEqual(info.decode_time, decode_time)
        self.assertEqual(info.duration, duration)
        self.assertEqual(info.last_sample_duration, duration)
        self.assertEqual(info.sample_count, 1)
        self.assertEqual(info.is_keyframe, keyframe)
        self.assertEqual(info.producer_time_us, producer_time_us)
        self.assertEqual(fragment[info.moof_start + 4 : info.moof_start + 8], b"moof")
        self.assertTrue(fragment.endswith(data))

    def test_numbers_that_do_not_fit(self) -> None:
        """A number too large for its field is an error, never another number."""
        for name in ("sequence", "duration"):
            numbers = {"sequence": 0, "decode_time": 0, "duration": 1, name: 2**32}
            with self.assertRaises(struct.error):
                write_fragment(**numbers, keyframe=True, data=b"")

    def test_ffmpeg_at_five_a_second(self) -> None:
        """FFmpeg shows every frame at its time, 200 ms apart."""
        self.assertEqual(
            decoded(film(TIMESCALE // 5)),
            [(n * TIMESCALE // 5, 20 + 10 * n) for n in range(12)],
        )

    def test_ffmpeg_at_one_in_five_seconds(self) -> None:
        """FFmpeg shows every frame at its time, 5 s apart."""
        self.assertEqual(
            decoded(film(TIMESCALE * 5)),
            [(n * TIMESCALE * 5, 20 + 10 * n) for n in range(12)],
        )

    def test_overhead(self) -> None:
        """A segment costs 140 bytes more than its frame."""
        whole = write_fragment(
            sequence=0, decode_time=0, duration=1, keyframe=True, data=bytes(9), producer_time_us=0
        )
        self.assertEqual(len(whole) - 9, 140)
