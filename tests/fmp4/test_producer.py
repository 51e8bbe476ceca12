"""Tests of `vidlink.fmp4.producer`: segments captured at another time of the wall clock."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import NotMedia
from vidlink.fmp4 import shift_producer_time, write_fragment

CAPTURED_US = 1_704_067_200_000_000
DAY_US = 24 * 3_600 * 1_000_000


def written(time_us: int | None, frame: bytes = b"frame") -> bytes:
    """A segment of our own Sentinel, captured then."""
    return write_fragment(
        sequence=3,
        decode_time=18_000,
        duration=18_000,
        keyframe=True,
        data=frame,
        producer_time_us=time_us,
    )


class ShiftTests(SynchronousTestCase):
    """The time in `prft`, and nothing else."""

    @given(st.integers(0, DAY_US), st.integers(-DAY_US, DAY_US), st.binary(max_size=40))
    def test_only_the_time_changes(self, since_us: int, offset_us: int, frame: bytes) -> None:
        """The bytes are those that would have been written if it had been captured then."""
        time_us = CAPTURED_US + since_us
        moved = shift_producer_time(written(time_us, frame), offset_us)
        self.assertEqual(moved, written(time_us + offset_us, frame))

    def test_era(self) -> None:
        """Across 2036, when NTP's seconds begin at 0 again, it is still the same time."""
        before_us = (2**32 - 2_208_988_800) * 1_000_000 - 1
        self.assertEqual(shift_producer_time(written(before_us), 2), written(before_us + 2))
        self.assertEqual(shift_producer_time(written(before_us + 2), -2), written(before_us))

    def test_without(self) -> None:
        """A segment without `prft` stays as it is; so does what stands in the frame."""
        self.assertEqual(shift_producer_time(written(None), 5), written(None))
        decoy = pack(">I4s", 32, b"prft") + bytes(24)
        self.assertEqual(shift_producer_time(written(None, decoy), 5), written(None, decoy))

    def test_cut_off(self) -> None:
        """A `prft` without its time is refused."""
        data = pack(">I4s", 20, b"prft") + bytes(12)
        self.assertRaises(NotMedia, shift_producer_time, data, 1)

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        """What is no segment is refused or given back, and nothing else is raised."""
        for data in (junk, junk[:3] + b"\x20prft" + junk):
            try:
                self.assertEqual(len(shift_producer_time(data, 1)), len(data))
            except NotMedia:
                continue
