"""Tests of what is listed as missing: every sequence and time has its place, and a cause."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_US, a_session, an_arrival
from vidlink.model import Cause, Gap, SegmentQuery, SessionRecord, SessionState, Span
from vidlink.store.sequences.gaps import SILENT_US, explain, sealed_gaps
from vidlink.store.sequences.times import SEALING_US, Life


class EndTests(SynchronousTestCase):
    """The time between the last segment and the end of a session."""

    span = Span(0, 9, EPOCH_US, EPOCH_US + 10 * FRAME_US, 100)

    def explained(self, ended_us: int | None, *stated: Gap, sealed: bool = False) -> list[Gap]:
        """What is missing of a session of one span that ended then."""
        return [*explain([self.span], stated, Life(EPOCH_US, ended_us, sealed))]

    def test_silence(self) -> None:
        """A long silence before the end is missing time; a short one is not."""
        reached = self.span.end_time_us
        self.assertEqual(self.explained(None), [])
        self.assertEqual(self.explained(reached + SILENT_US), [])
        (gap,) = self.explained(reached + SILENT_US + 1)
        told = Gap(None, None, Cause.MISSING, reached, reached + SILENT_US + 1)
        self.assertEqual(gap, told)
        (gap,) = self.explained(reached + SILENT_US + 1, sealed=True)
        self.assertIs(gap.cause, Cause.UNDELIVERED)

    def test_nothing_recorded(self) -> None:
        """A session that lasted and has nothing recorded is missing from its beginning on."""
        gaps = explain([], [], Life(EPOCH_US, EPOCH_US + 60_000_000, False))
        self.assertEqual(gaps, (Gap(None, None, Cause.MISSING, EPOCH_US, EPOCH_US + 60_000_000),))

    def test_said_otherwise(self) -> None:
        """Where something was said about time, that counts; that the session is done is such."""
        stop = Gap(None, None, Cause.SERVER_STOPPED, self.span.end_time_us)
        ended_us = EPOCH_US + 60_000_000
        self.assertEqual(self.explained(ended_us, stop), [stop])
        done = sealed_gaps([], ended_us)
        self.assertEqual(self.explained(ended_us, *done, sealed=True), [])
        done = sealed_gaps([stop], ended_us)
        self.assertEqual(self.explained(ended_us, *done, sealed=True), [])
        self.assertEqual(len(done), 1)


class DamagedTests(SynchronousTestCase):
    """A segment that is known to be damaged."""

    def test_named(self) -> None:
        """It is a gap of that cause once it is not counted as recorded any more."""
        spans = [Span(0, 4, 0, 5, 50), Span(6, 9, 6, 10, 40)]
        stated = Gap(5, 5, Cause.DAMAGED, detail="its checksum is wrong")
        (gap,) = explain(spans, [stated], Life(0, 10, True))
        self.assertEqual((gap.first, gap.cause), (5, Cause.DAMAGED))


class HistoryTests(SynchronousTestCase):
    """Random lives of one session, on a real disk."""

    def setUp(self) -> None:
        """Somewhere to record."""
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.numbers = itertools.count()

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("send"), st.sampled_from([1, 2, 5])),
                st.tuples(st.just("late"), st.integers(0, 30)),
                st.tuples(st.just("declare"), st.integers(0, 30)),
                st.tuples(st.just("spool"), st.integers(0, 30)),
                st.tuples(st.sampled_from(["round", "kill", "reopen", "done", "day"]), st.just(0)),
            ),
            max_size=40,
        )
    )
    def test_account(self, steps: list[tuple[str, int]]) -> None:
        """Spans and gaps together are every sequence up to the newest known, each once; every
        gap has a cause, and of a sealed session none may still come."""
        life = _Life(Rig(os.path.join(self.folder, str(next(self.numbers))), queue_segments=6))
        self.check(life)
        for word, number in steps:
            getattr(life, word)(number)
            self.check(life)
        life.rig.close()

    def check(self, life: _Life) -> None:
        """What is listed adds up, on the page of the session and on pages of segments."""
        shown = life.shown()
        gaps = [gap for gap in shown.gaps if gap.first is not None]
        ranges = [(span.first, span.last) for span in shown.spans]
        ranges = sorted([*ranges, *((gap.first or 0, gap.last or 0) for gap in gaps)])
        covered = [number for first, last in ranges for number in range(first, last + 1)]
        self.assertEqual(covered, list(range(len(covered))))
        self.assertGreaterEqual(len(covered), life.newest + 1)
        for gap in shown.gaps:
            self.assertIsInstance(gap.cause, Cause)
            is_sealed = shown.state is SessionState.SEALED
            self.assertIsNot(gap.cause, Cause.MISSING if is_sealed else Cause.UNDELIVERED)
        query = SegmentQuery(limit=10_000)
        page = self.successResultOf(life.rig.store.archive.segments("desk-1", life.id, query))
        self.assertEqual(page.gaps, shown.gaps)


class _Life:
    """One session of which something comes, and something does not."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.session = a_session()
        self.id = self.session.session_id
        self.newest = -1
        self.is_open = True
        self.is_live = True
        rig.store.ledger.begin(self.session, lambda sequence: None)

    def shown(self) -> SessionRecord:
        """The session as history shows it."""
        found: list[SessionRecord] = []
        self.rig.store.archive.session("desk-1", self.id).addCallback(found.append)
        return found[0]

    def send(self, step: int) -> None:
        """The segment that is so many further on."""
        if self.is_live:
            self.newest += step
            self.rig.store.ledger.append(self.id, an_arrival(self.session, self.newest))

    def late(self, sequence: int) -> None:
        """A late one."""
        if self.is_open and self.newest >= 0:
            arrival = an_arrival(self.session, sequence % (self.newest + 1), late=True)
            self.rig.store.ledger.append(self.id, arrival)

    def declare(self, sequence: int, cause: Cause = Cause.DECLARED) -> None:
        """Some are lost for good."""
        if self.is_open and self.newest >= 0:
            first = sequence % (self.newest + 1)
            self.rig.store.ledger.gap(self.id, Gap(first, min(first + 2, self.newest), cause))

    def spool(self, sequence: int) -> None:
        """Some had to leave the spool."""
        self.declare(sequence, Cause.SPOOL_FULL)

    def round(self, _: int) -> None:
        """The disk gets what there is."""
        self.rig.settle()

    def kill(self, _: int) -> None:
        """The server is killed, and started again."""
        self.rig.settle()
        path = f"{self.rig.path}+"
        again = self.rig.killed(path)
        self.rig.close()
        self.rig, self.is_open, self.is_live = again, False, False

    def reopen(self, _: int) -> None:
        """The session ends, if it has not, and is opened for what comes late."""
        self.end()
        if self.shown().state is SessionState.ENDED:
            self.rig.store.ledger.reopen(self.session, lambda sequence: None).addErrback(
                lambda _: None
            )
            self.rig.settle()
            self.is_open = True

    def done(self, _: int) -> None:
        """Nothing more will come."""
        self.reopen(0)
        if self.is_open:
            self.rig.store.ledger.seal(self.id)
            self.rig.settle()
            self.is_open = False

    def day(self, _: int) -> None:
        """A day passes after the end."""
        self.end()
        self.rig.now_us += SEALING_US

    def end(self) -> None:
        """The session ends, once more."""
        if self.is_open:
            ended_us = self.session.started_time_us + (self.newest + 1) * FRAME_US
            self.rig.store.ledger.end(self.id, "disconnected", ended_us)
            self.rig.settle()
        self.is_open = self.is_live = False
