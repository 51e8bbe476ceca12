"""Tests of the counts of the recording."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Times


class TimesTests(SynchronousTestCase):
    """A histogram of durations."""

    def test_backwards(self) -> None:
        """A clock that seems to go back counts as no time at all."""
        times = Times((1.0,))
        times.add(-5.0)
        self.assertEqual((times.counts, times.sum_seconds), ([1, 0], 0.0))
