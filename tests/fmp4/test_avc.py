"""From an encoder's byte stream to an MP4 sample."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import annexb_to_avc, encoded
from vidlink.errors import NotMedia
from vidlink.fmp4 import split_annexb, split_avc

UNITS = st.builds(
    # Emulation prevention: no unit holds 00 00 01 or ends in 00 (14496-10, 7.4.1).
    lambda kind, body: bytes((0x60 | kind,)) + body.replace(b"\0\0", b"\0\3") + b"\x80",
    st.sampled_from((1, 5, 6)),
    st.binary(max_size=50),
)
START_CODES = st.sampled_from((b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\0\1"))


class AnnexBTests(SynchronousTestCase):
    """Start codes become lengths."""

    @given(st.lists(st.tuples(START_CODES, UNITS), min_size=1, max_size=6))
    def test_units_are_kept(self, stream: list[tuple[bytes, bytes]]) -> None:
        """Every slice and message arrives byte for byte, whatever start codes were used."""
        packet = b"".join(code + unit for code, unit in stream)
        units = [unit for _, unit in stream]
        self.assertEqual(split_annexb(packet), units)
        self.assertEqual(split_avc(annexb_to_avc(packet)), units)

    def test_left_out(self) -> None:
        """Delimiters, filler and parameter sets do not reach the sample."""
        units = [bytes((kind, 0x80)) for kind in (9, 7, 13, 8, 6, 5, 1, 12)]
        packet = b"\0\0\0\1" + b"\0\0\1".join(units)
        self.assertEqual(split_avc(annexb_to_avc(packet)), [b"\x06\x80", b"\x05\x80", b"\x01\x80"])

    def test_padding(self) -> None:
        """Zeros after the last unit are padding, and empty units are none."""
        self.assertEqual(split_annexb(b"\0\0\1\x65a\0\0\0"), [b"\x65a"])
        self.assertEqual(split_annexb(b"\0\0\1\0\0\1\x65a"), [b"\x65a"])

    def test_not_annexb(self) -> None:
        """Bytes that do not begin with a start code are refused."""
        for packet in (b"", b"\0\0\0\5\x65abcd", b"x\0\0\1\x65", b"\0\0\0"):
            with self.assertRaises(NotMedia):
                annexb_to_avc(packet)

    def test_real_packets(self) -> None:
        """What libx264 gives is a keyframe exactly where an IDR slice is in the sample."""
        for packet, keyframe in encoded().packets:
            kinds = [unit[0] & 31 for unit in split_avc(annexb_to_avc(packet))]
            self.assertEqual(5 in kinds, keyframe)
            self.assertTrue({7, 8}.isdisjoint(kinds))


class LengthTests(SynchronousTestCase):
    """Samples that come with lengths already."""

    @given(st.lists(st.binary(min_size=1, max_size=9), max_size=5))
    def test_cut(self, units: list[bytes]) -> None:
        """Whatever is in the units, their lengths say where they end."""
        sample = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
        self.assertEqual(split_avc(sample), units)
        for length in range(1, len(sample)):
            with contextlib.suppress(NotMedia):
                self.assertEqual(
                    split_avc(sample[:length]), units[: len(split_avc(sample[:length]))]
                )

    def test_lengths_that_lie(self) -> None:
        """Units that reach beyond the sample, lengths cut short, and empty units."""
        for sample in (b"\0\0\0\2a", b"\xff\xff\xff\xffa", b"\0\0\0", b"\0\0\0\0", b"\0\0\0\1ab"):
            with self.assertRaises(NotMedia):
                split_avc(sample)
