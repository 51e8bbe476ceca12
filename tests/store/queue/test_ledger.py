"""Tests of `vidlink.store.queue` as a whole: what is named when there is no room."""

from __future__ import annotations

import errno
import os
import sqlite3
import tracemalloc
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, INIT, a_session, an_arrival
from vidlink.errors import BadMessage, NotFound
from vidlink.model import (
    Cause,
    RecordingState,
    SegmentQuery,
    Session,
    SessionRecord,
    SessionState,
)
from vidlink.store.queue import account, ledger
from vidlink.store.queue.vitals import STUCK_SECONDS
from vidlink.store.reading import archive
from vidlink.store.sequences.runs import Runs


class LedgerCase(SynchronousTestCase):
    """A store with little room, and a session that fills it."""

    def setUp(self) -> None:
        """Begin."""
        self.make(queue_bytes=4_000)

    def make(self, **options: Any) -> None:
        """Another store, with these options."""
        self.rig = Rig(self.mktemp(), **options)
        self.addCleanup(lambda: self.rig.close())
        self.store = self.rig.store
        self.session = self.begin(0)

    def begin(self, number: int) -> Session:
        """Begin a session."""
        session = a_session(number, sentinel_id=f"desk-{number}")
        self.store.ledger.begin(session, lambda sequence: None)
        return session

    def fill(self) -> None:
        """Leave no room."""
        self.store.ledger.append(
            self.session.session_id, an_arrival(self.session, 0, frame=bytes(2_800 - len(INIT)))
        )

    def shown(self, session: Session) -> SessionRecord:
        """A session as history shows it."""
        found = self.rig.store.archive.session(session.sentinel_id, session.session_id)
        record: SessionRecord = self.successResultOf(found)
        return record

    def causes(self, session: Session) -> list[tuple[int | None, int | None, Cause]]:
        """What is missing of it."""
        return [(gap.first, gap.last, gap.cause) for gap in self.shown(session).gaps]


class LeftOutTests(LedgerCase):
    """Sessions for which there was no room at all."""

    def test_listed_meanwhile(self) -> None:
        """One that is over and waits for room is in the listing all the same."""
        self.fill()
        session = self.begin(1)
        for sequence in range(3):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.store.ledger.end(session.session_id, "over", EPOCH_US)
        self.assertEqual(self.causes(session), [(0, 2, Cause.QUEUE_FULL)])
        self.rig.settle()
        self.assertEqual(self.causes(session), [(0, 2, Cause.QUEUE_FULL)])
        self.assertIs(self.shown(session).state, SessionState.ENDED)
        self.rig = self.rig.again()
        self.assertEqual(self.causes(session), [(0, 2, Cause.QUEUE_FULL)])

    def test_at_the_stop(self) -> None:
        """What waits for room when the server stops is written down with the rest."""
        self.fill()
        session = self.begin(1)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        self.rig = self.rig.again()
        self.assertEqual(self.causes(session), [(0, 0, Cause.QUEUE_FULL)])

    def test_no_segment_comes(self) -> None:
        """One of which nothing comes is recorded as soon as there is room for it."""
        self.fill()
        session = self.begin(1)
        self.assertIs(self.store.ledger.recording(session.session_id), RecordingState.TROUBLE)
        self.rig.settle()
        self.assertIs(self.store.ledger.recording(session.session_id), RecordingState.OK)
        self.assertEqual(self.causes(session), [])

    def test_nothing_begins_after_the_end(self) -> None:
        """After a stop no session begins, and none can be written to."""
        self.successResultOf(self.store.stop())
        with self.assertRaises(NotFound):
            self.begin(1)
        with self.assertRaises(NotFound):
            self.store.ledger.append(self.session.session_id, an_arrival(self.session, 0))


class PulseTests(LedgerCase):
    """How the recording does, as figures."""

    def setUp(self) -> None:
        """With room."""
        self.make()

    def test_counts(self) -> None:
        """What became durable is counted with its octets, and how long it waited."""
        self.rig.clock.advance(100.0)
        for sequence in range(5):
            self.store.ledger.append(self.session.session_id, an_arrival(self.session, sequence))
        size = sum(len(an_arrival(self.session, n).segment.data) for n in range(5))
        self.assertEqual(self.store.health().waiting_segments, 5)
        self.rig.settle()
        counts, health = self.store.counts, self.store.health()
        self.assertEqual((counts.segments, counts.size_bytes), (5, size))
        self.assertEqual((health.waiting_segments, health.waiting_bytes), (0, 0))
        self.assertEqual((sum(counts.delays.counts), counts.delays.sum_seconds), (1, 100.0))
        self.assertGreater(sum(counts.rounds.counts), 0)

    def test_waiting(self) -> None:
        """How long something waits is told, and nothing where nothing does."""
        self.rig.settle()
        self.rig.clock.advance(1_000.0)
        self.assertEqual(self.store.health().waiting_seconds, 0.0)
        self.store.ledger.append(self.session.session_id, an_arrival(self.session, 0))
        self.rig.clock.advance(STUCK_SECONDS)
        self.assertIs(self.store.ledger.recording(self.session.session_id), RecordingState.OK)
        self.rig.clock.advance(0.1)
        self.assertAlmostEqual(self.store.health().waiting_seconds, STUCK_SECONDS + 0.1)
        self.assertIs(self.store.ledger.recording(self.session.session_id), RecordingState.TROUBLE)
        self.rig.settle()
        self.assertEqual(self.store.health().waiting_seconds, 0.0)
        self.assertIs(self.store.ledger.recording(self.session.session_id), RecordingState.OK)

    def test_room_on_the_disk(self) -> None:
        """How much room there is can be asked for at any time."""
        space = self.successResultOf(self.store.space())
        self.assertGreater(space.total_bytes, space.free_bytes)
        self.assertGreater(space.free_bytes, 0)


class QuietTests(LedgerCase):
    """A thousand Sentinels at once, and a database that cannot be read."""

    def test_one_line(self) -> None:
        """The log says once a minute that tails cannot be looked up, and of how many more."""
        self.make()
        holder = sqlite3.connect(os.path.join(self.rig.path, "index.sqlite3"))
        self.addCleanup(holder.close)
        holder.execute("ALTER TABLE sessions RENAME TO away")
        holder.commit()
        lines: list[str] = []

        def note(event: Any) -> None:
            if "is asked for nothing" in (event.get("log_format") or ""):
                lines.append(event["log_format"].format(**event))

        observer: Any = note
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for number in range(100):
            asked = self.store.ledger.tails(f"desk-{number}", [(f"session-{number:016}", 0, 9)])
            self.assertEqual(self.successResultOf(asked), (None,))
        self.assertEqual(len(lines), 1)
        self.rig.clock.advance(61.0)
        self.successResultOf(
            self.store.ledger.tails("desk-0", [("session-0000000000000000", 0, 9)])
        )
        self.assertIn("99 others neither", lines[1])


class ShareTests(LedgerCase):
    """One that sends as fast as it may, and another one."""

    def setUp(self) -> None:
        """Room for 40 KB; the other one has begun too."""
        self.make(queue_bytes=40_000)
        self.rig.settle()
        self.other = self.begin(1)
        self.rig.settle()

    def flood(self, count: int = 40) -> None:
        """More than there is room for."""
        for sequence in range(count):
            arrival = an_arrival(self.session, sequence, frame=bytes(2_800))
            self.store.ledger.append(self.session.session_id, arrival)

    def test_refused(self) -> None:
        """What is refused is of the one that takes more than its share; the other has no gap."""
        self.flood()
        for sequence in range(5):
            arrival = an_arrival(self.other, sequence, frame=bytes(500))
            self.assertTrue(self.store.ledger.append(self.other.session_id, arrival))
        self.rig.settle()
        self.assertEqual(self.causes(self.other), [])
        ((first, last, cause),) = self.causes(self.session)
        self.assertEqual((last, cause), (39, Cause.QUEUE_FULL))
        assert first is not None
        self.assertGreater(first, 8)

    def test_crowding(self) -> None:
        """It is not to be read from until what waits is on the disk; a disk in trouble is nobody's
        doing, and everything goes on being read."""
        ledger = self.store.ledger
        self.assertFalse(ledger.crowds("desk-0"))
        self.flood(4)
        self.assertTrue(ledger.crowds("desk-0"))
        self.assertFalse(ledger.crowds("desk-1"))
        self.rig.clock.advance(STUCK_SECONDS + 1)
        self.assertFalse(ledger.crowds("desk-0"))
        self.rig.disk.errors["write"] = errno.EIO
        self.store.writer.round()
        self.assertFalse(ledger.crowds("desk-0"))
        self.rig.disk.errors.clear()
        self.rig.clock.advance(2)
        self.rig.settle()
        self.assertFalse(ledger.crowds("desk-0"))


class HoleTests(LedgerCase):
    """Sessions with very many holes."""

    def jump(self, session: Session, count: int) -> None:
        """Every other sequence comes."""
        for sequence in range(0, 2 * count, 2):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))

    def test_bound(self) -> None:
        """At the bound what would make one more is refused in words, live or late, and what makes
        none is taken."""
        self.patch(ledger, "MOST_RUNS", 3)
        self.make()
        self.jump(self.session, 3)
        for sequence in (6, 8):
            for late in (False, True):
                arrival = an_arrival(self.session, sequence, late=late)
                with self.assertRaisesRegex(BadMessage, "holes"):
                    self.store.ledger.append(self.session.session_id, arrival)
        for sequence in (5, 1, 6):
            arrival = an_arrival(self.session, sequence)
            self.assertTrue(self.store.ledger.append(self.session.session_id, arrival))

    def test_listing(self) -> None:
        """Of very many spans the first are listed, with what is missing between them, and up to
        which sequence that is; live as well as later. Pages of segments have the rest."""
        self.patch(account, "MOST_SPANS", 4)
        self.patch(archive, "MOST_SPANS", 4)
        self.make()
        self.jump(self.session, 9)
        for _ in range(2):
            record = self.shown(self.session)
            self.assertEqual(record.listed_to, 6)
            self.assertEqual([span.first for span in record.spans], [0, 2, 4, 6])
            self.assertEqual([gap.first for gap in record.gaps], [1, 3, 5])
            self.assertEqual((record.segment_count, record.last_sequence), (9, 16))
            query = SegmentQuery(after=6, limit=100)
            ids = self.session.sentinel_id, self.session.session_id
            page = self.successResultOf(self.store.archive.segments(*ids, query))
            gaps = [gap.first for gap in page.gaps if gap.first is not None]
            self.assertEqual(gaps, [7, 9, 11, 13, 15])
            self.store.ledger.end(self.session.session_id, "over", EPOCH_US + 3_500_000)
            self.rig.settle()
        few = self.begin(3)
        self.jump(few, 4)
        self.assertIsNone(self.shown(few).listed_to)

    def test_memory(self) -> None:
        """A hole costs less than 80 octets in a set of sequences."""
        runs = Runs()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for sequence in range(0, 40_000, 2):
            runs.add(sequence, sequence, EPOCH_US + sequence, EPOCH_US + sequence + 1, 100)
        size, _ = tracemalloc.get_traced_memory()
        self.assertLess(size, 20_000 * 80)
