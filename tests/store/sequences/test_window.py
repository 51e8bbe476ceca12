"""Tests of `vidlink.store.sequences.window`: some of a session's gaps, from some of what it has."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.index.test_catalog import CountingCatalog, a_record
from tests.store.samples import a_session
from tests.store.sequences.test_explain import STATED
from vidlink.model import Cause, Gap, Span
from vidlink.store.files.layout import SessionFile
from vidlink.store.index.database import Index
from vidlink.store.index.rows import SessionRows
from vidlink.store.sequences.gaps import explain
from vidlink.store.sequences.runs import Runs
from vidlink.store.sequences.window import SequenceWindow

HIGHEST = 45
WINDOWS = st.builds(
    lambda low, size: SequenceWindow(low, None if size is None else low + 1 + size),
    st.integers(-1, HIGHEST),
    st.none() | st.integers(0, HIGHEST),
)
#: It is over when something is recorded that reaches beyond sequence 29.
TIME_GAP = Gap(None, None, Cause.SERVER_STOPPED, 300, None, "cut short")
#: A run of so many segments, then one that is missing.
RUN = 10


def inside(gaps: tuple[Gap, ...], window: SequenceWindow) -> tuple[Gap, ...]:
    """Those of `gaps` that belong to `window`; gaps of time alone belong to the end."""
    return tuple(
        gap
        for gap in gaps
        if (window.high is None if gap.first is None else (gap.last or 0) > window.low)
        and (window.high is None or (gap.first or 0) <= window.high)
    )


def runs_of(sequences: set[int]) -> Runs:
    """The runs of these sequences; sequence n lasts from 10 n to 10 n + 10."""
    runs = Runs()
    for n in sequences:
        runs.add(n, n, 10 * n, 10 * n + 10, 1)
    return runs


class WindowTests(SynchronousTestCase):
    """What a window shows of the gaps."""

    @given(st.sets(st.integers(0, 40)), st.lists(STATED, max_size=6), WINDOWS)
    def test_as_in_the_whole(
        self, recorded: set[int], stated: list[Gap], window: SequenceWindow
    ) -> None:
        """Whatever there is and was said, a window has the gaps that all of it has there: with
        the same bounds, causes and times."""
        runs, stated = runs_of(recorded), [*stated, TIME_GAP]
        whole = explain(runs.spans(), stated)
        part = window.explain(runs.spans_near(window), stated)
        self.assertEqual(inside(part, window), inside(whole, window))
        self.assertEqual(SequenceWindow().explain(runs.spans_near(SequenceWindow()), stated), whole)

    @given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40)))
    def test_copy_stays(self, before: set[int], after: set[int]) -> None:
        """A copy of runs shows what there was, whatever is added to the original."""
        runs = runs_of(before)
        copied, spans = runs.copy(), runs.spans()
        for n in after - before:
            runs.add(n, n, 10 * n, 10 * n + 10, 1)
        self.assertEqual(copied.spans(), spans)


class FiledTests(SynchronousTestCase):
    """The same from the database."""

    def catalog(self, spans: list[tuple[int, Span]], gaps: list[Gap]) -> CountingCatalog:
        """A database with one session, whose row is 1."""
        folder = self.mktemp()
        os.mkdir(folder)
        index = Index(os.path.join(folder, "index.sqlite3"), "uuid", "OFF")
        index.open()
        file = SessionFile(a_session(init=b""), 24, 0)
        index.save([SessionRows(file, a_record(1), None, spans, list(enumerate(gaps)))])
        index.close()
        catalog = CountingCatalog(index.path)
        self.addCleanup(catalog.close)
        return catalog

    def test_as_in_the_whole(self) -> None:
        """Every window of a session in two parts has the gaps that all of it has there."""
        recorded = set(range(3, 40)) - {7, 8, 12, 20, 21, 22, 30}
        pieces = [runs_of({n for n in recorded if n // 10 % 2 == part}) for part in (0, 1)]
        spans = [(part, span) for part, runs in enumerate(pieces) for span in runs.spans()]
        gaps = [Gap(6, 8, Cause.DECLARED), Gap(21, 35, Cause.QUEUE_FULL), TIME_GAP]
        catalog = self.catalog(spans, [*gaps, Gap(41, 43, Cause.DECLARED)])
        whole = explain(catalog.spans(1), catalog.gaps(1))
        self.assertEqual(len(whole), 8)
        for low in range(-1, HIGHEST):
            for high in (*range(low + 1, HIGHEST), None):
                window = SequenceWindow(low, high)
                near = catalog.spans_near(1, window)
                part = window.explain(near, catalog.gaps(1, *window.reach(near)))
                self.assertEqual(inside(part, window), inside(whole, window), window)

    def test_constant(self) -> None:
        """What is around a page costs the same in a session with ten thousand holes."""
        steps = []
        for count in (100, 10_000):
            starts = [n * (RUN + 1) for n in range(count)]
            spans = [(0, Span(n, n + RUN - 1, n, n + RUN, 1)) for n in starts]
            catalog = self.catalog(spans, [])
            window = SequenceWindow(starts[-9], starts[-4])
            self.assertEqual(len(catalog.spans_near(1, window)), 7)
            steps.append(catalog.steps)
        self.assertLess(steps[1], 1.1 * steps[0])
