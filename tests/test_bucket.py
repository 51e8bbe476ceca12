"""Tests of how often something may be done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.bucket import Allowance, Bucket


class BucketTests(SynchronousTestCase):
    """One allowance on a clock of its own."""

    def setUp(self) -> None:
        """Three at once, and one every two seconds."""
        self.now = 1_000.0
        self.bucket = Bucket(Allowance(3, 0.5), lambda: self.now)

    def spent(self, tries: int) -> int:
        """The number of so many tries that succeed at this moment."""
        return sum(self.bucket.spend() for _ in range(tries))

    def test_at_once(self) -> None:
        """The burst can be spent at once, and no more."""
        self.assertEqual(self.spent(10), 3)

    def test_comes_back(self) -> None:
        """What is spent comes back at its rate; tries in between do not put it off."""
        self.spent(10)
        for _ in range(4):
            self.now += 0.5
            self.spent(0)
        self.assertEqual(self.spent(10), 1)
        self.now += 1.9
        self.assertEqual(self.spent(10), 0)
        self.now += 0.1
        self.assertEqual(self.spent(10), 1)

    def test_never_more_than_the_burst(self) -> None:
        """However long nothing is done, no more than the burst is saved up."""
        self.now += 1e6
        self.assertEqual(self.spent(10), 3)

    @given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.0, 7.0]), st.integers(0, 6))))
    def test_bound(self, steps: list[tuple[float, int]]) -> None:
        """In no stretch of time is more done than the burst and what came back in it."""
        self.setUp()
        done: list[float] = []
        for pause, tries in steps:
            self.now += pause
            done += [self.now] * self.spent(tries)
        for first, begin in enumerate(done):
            for last, end in enumerate(done[first:], first):
                self.assertLessEqual(last - first + 1, 3 + (end - begin) * 0.5 + 1e-6)
