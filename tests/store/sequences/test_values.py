"""Tests of small values of the store: bounds of pages, media time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vidlink.store.index.catalog import MAX_PAGE, clamp_limit
from vidlink.store.sequences.times import media_ticks


class ValueTests(SynchronousTestCase):
    """Values that several rooms reckon alike."""

    def test_limits(self) -> None:
        """A page has at least one entry and at most so many."""
        self.assertEqual([clamp_limit(n) for n in (-1, 0, 7)], [1, 1, 7])
        self.assertEqual(clamp_limit(10**9), MAX_PAGE)

    def test_media_ticks(self) -> None:
        """Milliseconds become the nearest tick."""
        self.assertEqual(media_ticks(200, 90_000), 18_000)
        self.assertEqual(media_ticks(333, 90_000), 29_970)
        self.assertEqual(media_ticks(1, 1_500), 2)
