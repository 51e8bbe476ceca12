"""Tests of what a session may take: parts, statements about gaps, and time of the reactor."""

from __future__ import annotations

import os
import shutil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of, part_numbers
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.model import ALL, Cause, ClipQuery, Gap, SegmentQuery, SessionRecord
from vidlink.store.files.layout import read_session
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.reel import Reel
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.suspects import Suspects
from vidlink.store.queue.account import Account
from vidlink.store.sequences import gaps
from vidlink.store.sequences.gaps import put_statement
from vidlink.store.sequences.runs import Runs
from vidlink.store.writing import parts, writer


class BoundCase(SynchronousTestCase):
    """A session in a store."""

    def setUp(self) -> None:
        """It begins."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.session = a_session()
        self.durable: list[int] = []
        self.rig.store.ledger.begin(self.session, self.durable.append)

    def append(self, sequence: int, **options: Any) -> None:
        """One segment becomes durable, or does not."""
        arrival = an_arrival(self.session, sequence, **options)
        self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()

    def end(self) -> None:
        """It ends."""
        self.rig.store.ledger.end(self.session.session_id, "over", self.session.started_time_us + 1)
        self.rig.settle()

    def shown(self, rig: Rig | None = None) -> SessionRecord:
        """The session as history shows it."""
        store = (rig or self.rig).store
        record: SessionRecord = self.successResultOf(
            store.archive.session("desk-1", self.session.session_id)
        )
        return record

    def listed(self) -> list[int]:
        """The sequences that history lists."""
        query = SegmentQuery(limit=1_000)
        found = self.rig.store.archive.segments("desk-1", self.session.session_id, query)
        return [one.sequence for one in self.successResultOf(found).segments]


class PartsTests(BoundCase):
    """How many parts there may be."""

    def setUp(self) -> None:
        """Few are enough for a test."""
        super().setUp()
        self.patch(parts, "MOST_PARTS", 5)

    def test_falling_media_time(self) -> None:
        """Late segments whose media time falls begin a part each, up to the bound; then they are
        gaps that say why, nothing waits for them, and live goes on."""
        self.append(100, media_time=1_000_000)
        for sequence in range(10, 20):
            self.append(sequence, media_time=900_000 - sequence * 1_000, late=True)
        self.append(101, media_time=1_100_000)
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1, 2, 3, 4])
        recorded = [10, 11, 12, 13, 100, 101]
        self.assertEqual(self.listed(), recorded)
        self.assertEqual(self.rig.store.ledger.load, 0.0)
        for _ in range(2):
            shown = self.shown()
            why = {gap.first: (gap.cause, gap.detail) for gap in shown.gaps}
            self.assertEqual(shown.segment_count, 6)
            for sequence in range(14, 20):
                self.assertEqual(why[sequence][0], Cause.WRITE_ERROR)
                self.assertIn("another part", why[sequence][1])
            self.end()
        self.assertEqual(self.listed(), recorded)

    def test_what_keeps_the_order(self) -> None:
        """At the bound what fits into a part that is there is recorded."""
        self.append(100, media_time=1_000_000)
        for sequence in range(10, 50, 10):
            self.append(sequence, media_time=900_000 - sequence * 1_000, late=True)
        self.append(50, media_time=999_000, late=True)
        self.append(51, media_time=999_500, late=True)
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1, 2, 3, 4])
        self.assertEqual(self.listed(), [10, 20, 30, 40, 50, 51, 100])

    def test_errors_do_not_count(self) -> None:
        """A disk that fails again and again is no reason to refuse what is live."""
        for sequence in range(8):
            self.rig.disk.errors["sync"] = 5
            self.rig.store.ledger.append(
                self.session.session_id, an_arrival(self.session, sequence)
            )
            self.rig.store.writer.round()
            self.rig.disk.errors.clear()
            self.rig.clock.advance(1)
            self.rig.settle()
        self.assertGreater(len(part_numbers(self.rig, self.session)), 5)
        self.assertEqual(self.listed(), list(range(8)))

    def test_late_in_one_round(self) -> None:
        """However late segments are shuffled, those of one round take one part."""
        self.append(100)
        for sequence in (7, 3, 9, 1, 5):
            self.rig.store.ledger.append(
                self.session.session_id, an_arrival(self.session, sequence, late=True)
            )
        self.rig.settle()
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])
        self.assertEqual(self.listed(), [1, 3, 5, 7, 9, 100])


class StatementTests(BoundCase):
    """What is said about gaps."""

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=40))
    def test_nothing_is_forgotten(self, ranges: list[tuple[int, int]]) -> None:
        """Whatever is stated is within a statement, of which there are never more than the
        bound, and of which none but the last changes."""
        self.patch(gaps, "MOST_GAPS", 6)
        stated: list[Gap] = []
        for first, more in ranges:
            before = list(stated)
            gap = Gap(first, first + more, Cause.DECLARED)
            number = put_statement(stated, gap)
            self.assertEqual(number, len(stated) - 1)
            self.assertEqual(stated[:number], before[:number])
            found = stated[number]
            assert found.first is not None
            assert found.last is not None
            self.assertTrue(found.first <= first and first + more <= found.last)
            self.assertIn(found.cause, (Cause.DECLARED, Cause.MISSING))
            self.assertLessEqual(len(stated), 6)

    def test_refused_at_the_bound(self) -> None:
        """What is refused when no more statements are kept is named too, at the end as well."""
        self.patch(gaps, "MOST_GAPS", 3)
        for sequence in (10, 20, 30):
            self.rig.store.ledger.gap(
                self.session.session_id, Gap(sequence, sequence, Cause.DECLARED)
            )
        self.append(0)
        account = self.rig.store.ledger.account(self.session.session_id)
        assert account is not None
        for sequence in range(1, 5):
            self.rig.store.ledger._refused.add(account, an_arrival(self.session, 100 + sequence))
        self.end()
        last = self.shown().gaps[-1]
        self.assertEqual((last.last, last.cause), (104, Cause.MISSING))

    def test_kept_beside_the_database(self) -> None:
        """What was said while a session was live or was being filled is still said when it was
        killed and the database is lost."""
        self.append(0)
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(1, 2, Cause.DECLARED, detail="spool")
        )
        self.append(3)
        self.assert_said_after_a_loss((1, 2, "spool"))
        self.end()
        opened = self.rig.store.ledger.reopen(self.session, self.durable.append)
        self.rig.settle()
        self.successResultOf(opened)
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(4, 5, Cause.DECLARED, detail="later")
        )
        self.append(6, late=True)
        self.assert_said_after_a_loss((1, 2, "spool"), (4, 5, "later"))

    def assert_said_after_a_loss(self, *expected: tuple[int, int, str]) -> None:
        """After a kill and the loss of the database these declared gaps are told of."""
        copy = self.mktemp()
        shutil.copytree(self.rig.path, copy)
        for name in os.listdir(copy):
            if name.startswith("index.sqlite3"):
                os.remove(os.path.join(copy, name))
        path = os.path.join(folder_of(self.rig, self.session), "session.json")
        with open(path, "rb") as file:
            said = read_session(file.read()).gaps
        self.assertEqual([(one.first, one.last, one.detail) for one in said], list(expected))
        rig = Rig(copy)
        self.addCleanup(rig.close)
        gaps = [one for one in self.shown(rig).gaps if one.cause is Cause.DECLARED]
        self.assertEqual([(one.first, one.last, one.detail) for one in gaps], list(expected))

    def test_seldom_where_there_are_many(self) -> None:
        """The description is not written for each statement when there are many of them."""
        for sequence in range(1, 1_001):
            self.rig.store.ledger.gap(
                self.session.session_id, Gap(sequence, sequence, Cause.DECLARED)
            )
            self.rig.store.writer.round()
        written = self.rig.disk.done.count(("replace", "session.json"))
        self.assertGreater(written, 64)
        self.assertLess(written, 150)


class FragmentedTests(BoundCase):
    """A session with a hole after every segment."""

    def test_opened_again(self) -> None:
        """Opening it again costs the reactor nothing for each run: they are made before."""
        for sequence in range(0, 40, 2):
            self.append(sequence)
        self.rig.store.ledger.gap(self.session.session_id, Gap(1, 3, Cause.DECLARED))
        self.end()
        added: list[int] = []
        plain = Runs.add

        def counted(runs: Runs, first: int, *rest: Any) -> None:
            added.append(first)
            plain(runs, first, *rest)

        again = Account.again

        def watched(*arguments: Any) -> Account:
            added.clear()
            account = again(*arguments)
            self.assertEqual(added, [])
            return account

        self.patch(Runs, "add", counted)
        self.patch(Account, "again", watched)
        opened = self.rig.store.ledger.reopen(self.session, self.durable.append)
        self.rig.settle()
        self.successResultOf(opened)
        self.assertEqual(self.durable[-1], 4)
        self.append(5, late=True)
        self.assertEqual(self.durable[-1], 6)
        self.assertEqual(self.shown().segment_count, 21)


class DiscardTests(SynchronousTestCase):
    """Taking a sequence out of a set of runs."""

    @given(st.sets(st.integers(0, 30)), st.lists(st.integers(0, 30), max_size=10))
    def test_as_a_set(self, there: set[int], gone: list[int]) -> None:
        """What is left is what a set would have left."""
        runs = Runs()
        for sequence in sorted(there):
            runs.add(sequence, sequence, sequence * 10, sequence * 10 + 10, 5)
        for sequence in gone:
            runs.discard(sequence, sequence * 10, sequence * 10 + 10, 5)
            there = there - {sequence}
        self.assertEqual({n for run in runs.runs for n in range(run.first, run.last + 1)}, there)
        self.assertEqual((runs.count, runs.size_bytes), (len(there), 5 * len(there)))
        for run in runs.runs:
            self.assertEqual(
                (run.start_time_us, run.end_time_us, run.size_bytes),
                (run.first * 10, run.last * 10 + 10, 5 * (run.last - run.first + 1)),
            )


class ReelTests(BoundCase):
    """What films that were asked for take of memory."""

    def test_only_what_is_kept_counts(self) -> None:
        """However many films are asked for, what counts is the heads that are kept."""
        for sequence in range(30):
            self.append(sequence)
        stored = StoredSession(self.rig.disk, folder_of(self.rig, self.session))
        many, few = Reel(stored, Suspects(Inbox())), Reel(stored, Suspects(Inbox()))
        for reel, begin in ((many, 5), (few, 22)):
            for last in range(begin, 30):
                reel.film(self.session, None, (), ClipQuery(last=last))
                reel.film(self.session, None, (), ClipQuery(last=last))
        self.assertEqual(many.memory_bytes, few.memory_bytes)

    def test_what_was_given_out_counts(self) -> None:
        """When what comes late is read in, films that were made before are still known by their
        version, and count with all that they need, until others have taken their place."""
        stored = StoredSession(self.rig.disk, folder_of(self.rig, self.session))
        reel = Reel(stored, Suspects(Inbox()))
        for sequence in (*range(5), 6):
            self.append(sequence)
        before = reel.film(self.session, None, (), ALL)
        held = reel.memory_bytes
        # It falls before what was read, so that everything is read again.
        self.append(5, late=True)
        after = reel.film(self.session, None, (), ALL)
        self.assertNotEqual(after.etag, before.etag)
        fresh = Reel(stored, Suspects(Inbox()))
        fresh.film(self.session, None, (), ALL)
        self.assertEqual(reel.memory_bytes, fresh.memory_bytes + held)
        kept = reel.kept(before.etag)
        assert kept is not None
        for mine, its in zip(kept.sections, before.sections, strict=True):
            self.assertEqual(mine.read(0, mine.size_bytes), its.read(0, its.size_bytes))
        for last in range(6):
            reel.film(self.session, None, (), ClipQuery(last=last))
            fresh.film(self.session, None, (), ClipQuery(last=last))
        self.assertIsNotNone(reel.kept(before.etag))
        for bound in range(1, 10):
            query = ClipQuery(None, self.session.started_time_us + bound * 100_000)
            reel.film(self.session, None, (), query)
            fresh.film(self.session, None, (), query)
        self.assertIsNone(reel.kept(before.etag))
        self.assertEqual(reel.memory_bytes, fresh.memory_bytes)


class ReopeningTests(BoundCase):
    """How many sessions are opened again in one round."""

    def test_fragmented(self) -> None:
        """Sessions of many runs are opened in several rounds, and all of them are."""
        self.patch(writer, "MOST_REOPENED_RUNS", 10)
        sessions = [a_session(number) for number in range(1, 6)]
        for session in sessions:
            self.rig.store.ledger.begin(session, self.durable.append)
            for sequence in range(0, 16, 2):
                self.rig.store.ledger.append(session.session_id, an_arrival(session, sequence))
            self.rig.store.ledger.end(session.session_id, "over", session.started_time_us + 1)
        self.rig.settle()
        opened = [
            self.rig.store.ledger.reopen(session, self.durable.append) for session in sessions
        ]
        rounds = []
        for _ in range(3):
            self.rig.store.writer.round()
            rounds.append(sum(one.called for one in opened))
        self.assertEqual(rounds, [2, 4, 5])
