"""Tests of `vidlink.store.sequences.gaps`: holes, and their causes and times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.model import Cause, Gap, Span
from vidlink.store.sequences.gaps import explain
from vidlink.store.sequences.runs import merge_spans

STATED = st.builds(
    lambda first, size, cause: Gap(first, first + size, cause),
    st.integers(0, 40),
    st.integers(0, 10),
    st.sampled_from([Cause.DECLARED, Cause.QUEUE_FULL, Cause.MISSING]),
)


def spans_of(sequences: set[int]) -> tuple[Span, ...]:
    """The runs of these sequences; sequence n lasts from 10 n to 10 n + 10."""
    return merge_spans(Span(n, n, 10 * n, 10 * n + 10, 1) for n in sequences)


class ExplainTests(SynchronousTestCase):
    """Holes and their causes."""

    @given(st.sets(st.integers(0, 40)), st.lists(STATED, max_size=8))
    def test_every_sequence_is_told_of_once(self, recorded: set[int], stated: list[Gap]) -> None:
        """Whatever was said, every sequence is recorded or in one gap, and none is in both."""
        spans = spans_of(recorded)
        told = [
            (sequence, gap.cause)
            for gap in explain(spans, stated)
            for sequence in range(gap.first or 0, (gap.last or 0) + 1)
        ]
        end = max([*recorded, *(gap.last or 0 for gap in stated)], default=-1)
        holes = sorted(set(range(end + 1)) - recorded)
        self.assertEqual([sequence for sequence, _ in told], holes)
        for sequence, cause in told:
            causes = {
                gap.cause for gap in stated if (gap.first or 0) <= sequence <= (gap.last or 0)
            } - {Cause.MISSING}
            self.assertIn(cause, causes or {Cause.MISSING})

    def test_times_around(self) -> None:
        """A gap takes its time from what is recorded around it."""
        (gap,) = explain(spans_of({0, 1, 5}), [])
        self.assertEqual(gap, Gap(2, 4, Cause.MISSING, 20, 50))

    def test_own_times(self) -> None:
        """The times of a statement count as long as all of it is missing."""
        stated = Gap(2, 4, Cause.QUEUE_FULL, 21, 49, "full")
        self.assertEqual(explain(spans_of({0, 1, 5}), [stated]), (stated,))
        (rest,) = explain(spans_of({0, 1, 2, 5}), [stated])
        self.assertEqual(rest, Gap(3, 4, Cause.QUEUE_FULL, 30, 50, "full"))

    def test_one_statement_over_two_holes(self) -> None:
        """A statement that was filled in the middle tells of both sides."""
        stated = Gap(1, 7, Cause.DECLARED)
        found = explain(spans_of({0, 4, 8}), [stated])
        self.assertEqual([(gap.first, gap.last) for gap in found], [(1, 3), (5, 7)])
        self.assertEqual({gap.cause for gap in found}, {Cause.DECLARED})

    def test_many(self) -> None:
        """Thousands of holes with thousands of causes take no time worth mentioning."""
        recorded = set(range(0, 20_000, 2))
        stated = [Gap(n, n, Cause.DECLARED) for n in range(1, 20_000, 2)]
        self.assertEqual(len(explain(spans_of(recorded), stated)), 10_000)
