"""Tests of sets of sequences."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Range
from vidlink.store.sequences.runs import Runs

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)))


class RunsTests(SynchronousTestCase):
    """Runs against a plain set."""

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6))))
    def test_like_a_set(self, ranges: list[tuple[int, int]]) -> None:
        """Ranges in any order, overlapping or not, make the set that they are."""
        runs, model = Runs(), set[int]()
        for first, size in ranges:
            runs.add(first, first + size)
            model |= set(range(first, first + size + 1))
            self.assertEqual([n for n in range(-1, 70) if n in runs], sorted(model))
            self.assertEqual(runs.count, len(model))
            ends = [(run.first, run.last) for run in runs.runs]
            self.assertEqual(ends, sorted(ends))
            for (_, last), (first_of_next, _) in pairwise(ends):
                self.assertGreater(first_of_next, last + 1)

    @given(st.permutations(range(12)))
    def test_time_and_size(self, order: list[int]) -> None:
        """In whatever order single sequences come, times and sizes are those of the whole."""
        runs = Runs()
        for number in order:
            runs.add(number, number, 10 * number, 10 * number + 10, number)
        (span,) = runs.spans()
        self.assertEqual((span.first, span.last), (0, 11))
        self.assertEqual((span.start_time_us, span.end_time_us), (0, 120))
        self.assertEqual(span.size_bytes, runs.size_bytes)
        self.assertEqual(runs.size_bytes, sum(range(12)))

    def test_reached(self) -> None:
        """What is reached counts from sequence 0."""
        runs = Runs()
        self.assertEqual(runs.reached, -1)
        runs.add(1, 3)
        self.assertEqual(runs.reached, -1)
        runs.add(0, 0)
        self.assertEqual(runs.reached, 3)

    @given(RANGES)
    def test_of_ranges(self, ranges: list[Range]) -> None:
        """Sets made of ranges at once are as if made one after the other."""
        ascending = sorted((first, first + size) for first, size in ranges)
        runs, model = Runs.of(ascending), Runs()
        for first, last in ascending:
            model.add(first, last)
        self.assertEqual([*runs.ranges], [*model.ranges])
        self.assertEqual((runs.count, runs.size_bytes), (model.count, 0))
        self.assertEqual(
            [runs.marks(place) for place in range(len(runs))], [(None, None)] * len(runs)
        )
