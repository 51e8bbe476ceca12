"""Tests of `vidlink.quantities`: numbers for people."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import KEEP_ALL, Policy
from vidlink.quantities import bounds, count, figure, length, repeated, size


class QuantityTests(SynchronousTestCase):
    """Short, with units, and as they may be typed again."""

    def test_numbers(self) -> None:
        """Lengths, octets and counts have their units."""
        self.assertEqual(
            [length(s) for s in (-1, 7_800, 356_400)], ["0 s", "2 h 10 min", "4 d 3 h"]
        )
        self.assertEqual(
            [size(n) for n in (0, 999, 1_500, 999_600, 123_456_789)],
            ["0 B", "999 B", "1.5 kB", "1.0 MB", "123 MB"],
        )
        self.assertEqual([count(n, "gap") for n in (1, 2_000)], ["1 gap", "2,000 gaps"])

    @given(st.one_of(st.integers(-(2**60), 2**60), st.decimals(-1_000, 1_000, places=3)))
    def test_figures(self, number: float) -> None:
        """A bound has no exponent, and is the number itself when it is read."""
        text = figure(float(number))
        self.assertRegex(text, r"\A-?[0-9]+(\.[0-9]*[1-9])?\Z")
        self.assertEqual(float(text), float(number))

    def test_repeated(self) -> None:
        """A line that stands for no other says nothing of that."""
        self.assertEqual(repeated(0), "")
        self.assertEqual(repeated(1), " (1 time more since this was last said)")
        self.assertEqual(repeated(59), " (59 times more since this was last said)")
        told = repeated(3, "others neither")
        self.assertEqual(told, " (3 others neither since this was last said)")

    def test_bounds(self) -> None:
        """A policy is a sentence, also where there is none."""
        self.assertEqual(bounds(KEEP_ALL), "for ever")
        policy = Policy(30 * 86_400_000_000, 500 * 10**9, 10**10, is_rehearsal=True)
        self.assertEqual(
            bounds(policy),
            "for 30 d 0 h, up to 500 GB, as long as the disk has 10.0 GB left "
            "(a rehearsal: nothing is deleted)",
        )
