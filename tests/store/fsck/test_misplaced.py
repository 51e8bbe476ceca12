"""Tests of `vidlink.store.fsck.misplaced`; of whole recordings, see `test_late_times`."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.store.fsck.misplaced import _longest


class LongestTests(SynchronousTestCase):
    """What is kept of media times."""

    @given(st.lists(st.integers(0, 9), max_size=8))
    def test_any_times(self, times: list[int]) -> None:
        """What is kept ascends, and nothing that ascends has more of them."""
        kept = sorted(_longest(times))
        values = [times[place] for place in kept]
        self.assertEqual(values, sorted(set(values)))
        for others in combinations(range(len(times)), len(kept) + 1):
            more = [times[place] for place in others]
            self.assertNotEqual(more, sorted(set(more)))
