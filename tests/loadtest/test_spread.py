"""Tests of spreads: counted coarsely, never told too short."""

from __future__ import annotations

import json
from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.loadtest.spread import Spread

TIMES = st.lists(st.integers(0, 10**9), min_size=1, max_size=50)


def spread(times: list[int]) -> Spread:
    """The spread of these."""
    made = Spread()
    for one in times:
        made.add(one)
    return made


class SpreadTests(SynchronousTestCase):
    """Times in microseconds."""

    @given(TIMES, st.sampled_from([0.01, 0.5, 0.99, 1.0]))
    def test_within(self, times: list[int], share: float) -> None:
        """The time that a share is within is that time, or up to a sixteenth more."""
        exact = sorted(times)[ceil(share * len(times)) - 1]
        told = spread(times).within_us(share)
        self.assertGreaterEqual(told, exact)
        self.assertLessEqual(told, exact + exact / 16)

    @given(TIMES, TIMES)
    def test_merged(self, some: list[int], others: list[int]) -> None:
        """Two that are merged, one of them told as JSON, are as if counted as one."""
        merged = spread(some)
        merged.merge(Spread.of_plain(json.loads(json.dumps(spread(others).plain()))))
        both = spread(some + others)
        self.assertEqual(merged.plain(), both.plain())
        self.assertEqual((merged.count, merged.longest_us), (both.count, max(some + others)))

    def test_odd(self) -> None:
        """None at all is 0, and so is one below 0."""
        self.assertEqual(Spread().within_us(0.99), 0)
        self.assertEqual(spread([-5]).within_us(0.5), 0)
