"""Sets of sequences as ranges, against plain sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Range, Ranges
from vidlink.model.ranges import without

SEQUENCES = st.integers(0, 40)
#: Now and then the last is lower than the first: such a range is empty.
RANGES = st.tuples(SEQUENCES, SEQUENCES)


def members(ranges: Ranges) -> set[int]:
    """All sequences of a set."""
    return {number for first, last in ranges for number in range(first, last + 1)}


class RangesTests(SynchronousTestCase):
    """A set of ranges is what a set of integers is."""

    def same(self, ranges: Ranges, model: set[int]) -> None:
        """They have the same members, and the ranges ascend without touching."""
        self.assertEqual(members(ranges), model)
        self.assertEqual(bool(ranges), bool(model))
        self.assertEqual(len(ranges), len(list(ranges)))
        for first, last in ranges:
            self.assertLessEqual(first, last)
        for (_, last), (first, _) in pairwise(ranges):
            self.assertGreater(first, last + 1)
        if model:
            self.assertEqual(ranges.lowest[0], min(model))
            self.assertEqual(ranges.highest[1], max(model))

    @given(st.lists(st.tuples(st.booleans(), RANGES)))
    def test_added_and_discarded(self, steps: list[tuple[bool, Range]]) -> None:
        """Whatever is put in and taken out, in any order, it is the set that it should be."""
        ranges, model = Ranges(), set[int]()
        for is_added, (first, last) in steps:
            if is_added:
                ranges.add(first, last)
                model |= set(range(first, last + 1))
            else:
                ranges.discard(first, last)
                model -= set(range(first, last + 1))
            self.same(ranges, model)
        ranges.clear()
        self.same(ranges, set())

    @given(st.lists(RANGES), RANGES)
    def test_missing(self, added: list[Range], asked: Range) -> None:
        """What is missing of a range is the rest of it, as ranges that do not touch."""
        ranges = Ranges(added)
        missing = list(ranges.missing(*asked))
        rest = Ranges(missing)
        self.same(rest, set(range(asked[0], asked[1] + 1)) - members(ranges))
        self.assertEqual(missing, list(rest))

    @given(st.lists(RANGES), st.lists(RANGES))
    def test_without(self, some: list[Range], others: list[Range]) -> None:
        """What one has and the other has not is the difference, as ranges that do not touch."""
        ranges, other = Ranges(some), Ranges(others)
        rest = list(without(ranges, other))
        self.same(Ranges(rest), members(ranges) - members(other))
        self.assertEqual(rest, list(Ranges(rest)))

    @given(st.lists(SEQUENCES))
    def test_of_sequences(self, sequences: list[int]) -> None:
        """Single sequences, in any order, become the ranges that they make."""
        self.same(Ranges.of(sequences), set(sequences))

    def test_changed_while_read(self) -> None:
        """Who goes through the ranges gets those of then, whatever is changed meanwhile."""
        ranges = Ranges([(0, 3), (7, 9)])
        seen = []
        for one in ranges:
            seen.append(one)
            ranges.clear()
        self.assertEqual(seen, [(0, 3), (7, 9)])
