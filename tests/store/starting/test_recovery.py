"""Tests of the start: after a kill, after a power cut, and with a database that is not there."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of, part_numbers, read_part, stored
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_US, INIT, a_session, an_arrival
from vidlink.errors import NotFound, RequestError, StoreError, UserMistake
from vidlink.model import (
    Cause,
    Gap,
    SegmentQuery,
    Session,
    SessionQuery,
    SessionRecord,
    SessionState,
)
from vidlink.store.files.layout import RECORD_BYTES
from vidlink.store.sequences.times import SEALING_US
from vidlink.store.starting.salvage import MOST_TAIL_BYTES


class RecoveryCase(SynchronousTestCase):
    """A store that is killed, and started again."""

    def setUp(self) -> None:
        """A store and a session in it."""
        self.session = a_session()
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.durable: list[int] = []
        self.begin(self.session)

    def begin(self, session: Session) -> None:
        """A session begins."""
        self.rig.store.ledger.begin(session, self.durable.append)

    def record(self, *sequences: int, session: Session | None = None) -> None:
        """These segments become durable."""
        session = self.session if session is None else session
        for sequence in sequences:
            self.rig.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.rig.settle()

    def end(self, session: Session | None = None) -> None:
        """A session ends in order."""
        session = self.session if session is None else session
        self.rig.store.ledger.end(session.session_id, "over", session.started_time_us + 5_000_000)
        self.rig.settle()

    def killed(self) -> Rig:
        """The next start, after a kill at this moment."""
        rig = self.rig.killed(self.mktemp())
        self.addCleanup(rig.close)
        return rig

    def start(self, path: str) -> Rig:
        """A start with the folder at `path`."""
        rig = Rig(path)
        self.addCleanup(rig.close)
        return rig

    def copy(self) -> str:
        """What a kill at this moment leaves."""
        path: str = self.mktemp()
        shutil.copytree(self.rig.path, path)
        return path

    def shown(self, rig: Rig, session: Session | None = None) -> SessionRecord:
        """A session as history shows it."""
        session = self.session if session is None else session
        found = rig.store.archive.session(session.sentinel_id, session.session_id)
        record: SessionRecord = self.successResultOf(found)
        return record

    def listed(self, rig: Rig) -> list[int]:
        """The sequences that history lists of the session."""
        page = self.successResultOf(
            rig.store.archive.segments(
                "desk-1", self.session.session_id, SegmentQuery(limit=10_000)
            )
        )
        return [segment.sequence for segment in page.segments]

    def served(self, rig: Rig, first: int, last: int) -> bytes:
        """The bytes of a range."""
        found = rig.store.archive.media("desk-1", self.session.session_id, first, last)
        body, _ = self.successResultOf(found)
        data: bytes = self.successResultOf(body.read(0, body.size_bytes))
        return data

    def data(self, *sequences: int) -> bytes:
        """The bytes that these segments have to have."""
        return b"".join(an_arrival(self.session, number).segment.data for number in sequences)


class KilledTests(RecoveryCase):
    """After a kill."""

    def test_everything_written_is_there(self) -> None:
        """What was acknowledged is there, and the session ends with a gap that says why."""
        self.record(0, 1, 2)
        rig = self.killed()
        shown = self.shown(rig)
        self.assertEqual(shown.session, self.session)
        self.assertEqual((shown.state, shown.end_reason), (SessionState.ENDED, "server stopped"))
        end_us = EPOCH_US + 3 * FRAME_US
        self.assertEqual((shown.ended_time_us, shown.end_time_us), (end_us, end_us))
        self.assertEqual((shown.segment_count, shown.size_bytes), (3, len(self.data(0, 1, 2))))
        (gap,) = shown.gaps
        self.assertEqual((gap.first, gap.cause), (None, Cause.SERVER_STOPPED))
        self.assertEqual(gap.start_time_us, end_us)
        self.assertEqual(self.listed(rig), [0, 1, 2])
        self.assertEqual(self.served(rig, 0, 9), self.data(0, 1, 2))

    def test_second_start_changes_nothing(self) -> None:
        """What one start has put in order the next one finds in order."""
        self.record(0, 1)
        rig = self.killed()
        first = self.shown(rig)
        again = rig.again()
        self.addCleanup(again.close)
        self.assertEqual(self.shown(again), first)

    def test_in_order_is_left_alone(self) -> None:
        """A session that ended in order is as it was, and none of its bytes is read."""
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(3, 4, Cause.DECLARED, detail="spool")
        )
        self.record(0, 1, 2, 5)
        self.end()
        before = self.shown(self.rig)
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.mp4")
        with open(path, "ab") as part:
            part.write(b"a tail that nobody looks at")
        rig = self.killed()
        self.assertEqual(self.shown(rig), before)
        copied = os.path.join(folder_of(rig, self.session), "part-0000.mp4")
        self.assertEqual(os.path.getsize(copied), os.path.getsize(path))

    def test_many_sessions(self) -> None:
        """Every session that was open is closed, whatever its Sentinel, and none that was not."""
        for number in range(1, 30):
            session = a_session(number, sentinel_id=f"desk-{number % 7}")
            self.begin(session)
            self.record(0, session=session)
            if number % 3 == 0:
                self.end(session)
        page = self.successResultOf(self.killed().store.archive.sessions(SessionQuery()))
        reasons = [record.end_reason for record in page.sessions]
        self.assertEqual(len(reasons), 30)
        self.assertEqual(reasons.count("over"), 9)
        self.assertEqual({record.state for record in page.sessions}, {SessionState.ENDED})

    def test_gaps_survive(self) -> None:
        """What was said about gaps before the kill is still said after it."""
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(1, 2, Cause.DECLARED, detail="spool")
        )
        self.record(0, 3)
        declared, stopped = self.shown(self.killed()).gaps
        self.assertEqual((declared.cause, declared.detail), (Cause.DECLARED, "spool"))
        self.assertIs(stopped.cause, Cause.SERVER_STOPPED)

    def test_session_without_segments(self) -> None:
        """A session of which nothing came is listed with its init."""
        self.rig.settle()
        shown = self.shown(self.killed())
        self.assertEqual((shown.segment_count, shown.session.init), (0, INIT))
        self.assertEqual(shown.ended_time_us, EPOCH_US)

    def test_nothing_on_disk(self) -> None:
        """A session of which not even the init had reached the disk is told of all the same, and
        can be delivered late; there is no film of it."""
        self.rig.settle()
        for name in ("part-0000.mp4", "part-0000.idx"):
            os.remove(os.path.join(folder_of(self.rig, self.session), name))
        rig = self.killed()
        shown = self.shown(rig)
        self.assertEqual((shown.segment_count, shown.session.init), (0, b""))
        self.assertEqual([gap.cause for gap in shown.gaps], [Cause.SERVER_STOPPED])
        film = rig.store.archive.film("desk-1", self.session.session_id)
        self.failureResultOf(film, NotFound)
        opened = rig.store.ledger.reopen(self.session, self.durable.append)
        rig.settle()
        self.successResultOf(opened)
        rig.store.ledger.append(self.session.session_id, an_arrival(self.session, 0))
        rig.settle()
        self.assertEqual(self.listed(rig), [0])
        self.assertEqual(self.shown(rig).session.init, INIT)

    def test_ids_stay_used(self) -> None:
        """An id is not accepted again after a start, whatever became of its session."""
        self.record(0)
        rig = self.killed()
        with self.assertRaises(RequestError):
            rig.store.ledger.begin(self.session, lambda sequence: None)
        rig.store.ledger.begin(a_session(1), lambda sequence: None)

    def test_late_segments(self) -> None:
        """Parts that were filled by turns are put together again."""
        self.record(0, 1, 6, 7, 3, 4, 8, 2)
        rig = self.killed()
        self.assertEqual(self.listed(rig), [0, 1, 2, 3, 4, 6, 7, 8])
        spans = [(span.first, span.last) for span in self.shown(rig).spans]
        self.assertEqual(spans, [(0, 4), (6, 8)])

    def test_sealed_at_the_start(self) -> None:
        """What ended a day ago is sealed, and stays so even if the clock is wrong later."""
        self.record(0)
        rig = self.killed()
        rig.close()
        Rig(rig.path, wall_clock_us=lambda: EPOCH_US + FRAME_US + SEALING_US).close()
        self.assertIs(self.shown(self.start(rig.path)).state, SessionState.SEALED)


class TornTailTests(RecoveryCase):
    """Parts and records that end anywhere."""

    def test_every_length_of_a_part(self) -> None:
        """Wherever the last segment is cut, it is gone, and all before it is there."""
        self.record(0, 1, 2)
        data, rows = read_part(self.rig, self.session, 0)
        for size in range(rows[2][1], len(data)):
            path = self.copy()
            os.truncate(os.path.join(path, *self.inside("part-0000.mp4")), size)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [0, 1])
            self.assertEqual(self.served(rig, 0, 9), self.data(0, 1))
            self.assertEqual(sorted(stored(rig, self.session)), [0, 1])
            rig.close()

    def test_tail_of_what_was_synced(self) -> None:
        """The last segment is looked at even if the database says that it was synced."""
        self.record(0, 1, 2)
        self.rig.clock.advance(2)
        self.rig.store.ledger.gap(self.session.session_id, Gap(9, 9, Cause.DECLARED))
        self.rig.settle()
        data, _ = read_part(self.rig, self.session, 0)
        os.truncate(os.path.join(self.rig.path, *self.inside("part-0000.mp4")), len(data) - 1)
        rig = self.killed()
        self.assertEqual(self.listed(rig), [0, 1])
        self.assertEqual(self.shown(rig).segment_count, 2)

    def test_every_length_of_the_records(self) -> None:
        """Wherever the last record is cut, its segment is gone, and all before it is there."""
        self.record(0, 1, 2)
        for size in range(2 * RECORD_BYTES, 3 * RECORD_BYTES):
            path = self.copy()
            os.truncate(os.path.join(path, *self.inside("part-0000.idx")), size)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [0, 1])
            self.assertEqual(sorted(stored(rig, self.session)), [0, 1])
            rig.close()

    def test_every_byte_of_the_last_segment(self) -> None:
        """Whichever byte of the last segment is wrong, it is gone, and all before it is
        there."""
        self.record(0, 1, 2)
        data, rows = read_part(self.rig, self.session, 0)
        for place in range(rows[2][1], len(data), 3):
            path = self.copy()
            self.flip(os.path.join(path, *self.inside("part-0000.mp4")), place)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [0, 1])
            self.assertEqual(self.served(rig, 0, 9), self.data(0, 1))
            rig.close()

    def test_every_byte_of_the_last_record(self) -> None:
        """Whichever byte of the last record is wrong, its segment is gone."""
        self.record(0, 1, 2)
        for place in range(2 * RECORD_BYTES, 3 * RECORD_BYTES):
            if place - 2 * RECORD_BYTES in (58, 59):
                continue
            path = self.copy()
            self.flip(os.path.join(path, *self.inside("part-0000.idx")), place)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [0, 1])
            rig.close()

    def test_zeros_at_the_end(self) -> None:
        """Blocks that a power cut left as zeros are cut."""
        self.record(0, 1)
        for name, size in (("part-0000.mp4", 5_000), ("part-0000.idx", 2 * RECORD_BYTES)):
            path = os.path.join(self.rig.path, *self.inside(name))
            with open(path, "ab") as file:
                file.write(bytes(size))
        rig = self.killed()
        self.assertEqual(sorted(stored(rig, self.session)), [0, 1])

    def test_nothing_whole(self) -> None:
        """A part of which not even the init is whole is removed; the session is listed."""
        self.record(0)
        for size in (0, 1, len(INIT) - 1):
            path = self.copy()
            os.truncate(os.path.join(path, *self.inside("part-0000.mp4")), size)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [])
            self.assertEqual(part_numbers(rig, self.session), [])
            self.assertEqual(self.shown_count(rig), 0)
            rig.close()

    def test_damage_is_no_tail(self) -> None:
        """What is damaged far before the end is not cut away, and neither is what lies behind
        it."""
        self.record(*range(20))
        for sequence in range(20, 23):
            # The database hears once a second what is synced.
            self.rig.clock.advance(1)
            self.record(sequence)
        path = os.path.join(self.rig.path, *self.inside("part-0000.idx"))
        self.flip(path, 5 * RECORD_BYTES)
        rig = self.killed()
        self.assertEqual(self.listed(rig), [n for n in range(23) if n != 5])

    def test_long_part_without_a_database(self) -> None:
        """Without a database only the end of a long part is read again, and a torn segment
        there is cut."""
        frame = bytes(1024 * 1024)
        count = 2 * MOST_TAIL_BYTES // len(frame)
        for sequence in range(count):
            arrival = an_arrival(self.session, sequence, frame=frame)
            self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()
        part = os.path.join(self.rig.path, *self.inside("part-0000.mp4"))
        os.truncate(part, os.path.getsize(part) - 1)
        self.flip(part, 2_000_000)
        os.remove(os.path.join(self.rig.path, "index.sqlite3"))
        rig = self.killed()
        self.assertEqual(self.listed(rig), list(range(count - 1)))

    def test_records_lost(self) -> None:
        """Where records are gone for more than could have been unsynced, the segments that
        they told of are left for a person to look at."""
        frame = bytes(MOST_TAIL_BYTES // 4)
        for sequence in range(6):
            arrival = an_arrival(self.session, sequence, frame=frame)
            self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()
        size = os.path.getsize(os.path.join(self.rig.path, *self.inside("part-0000.mp4")))
        os.truncate(os.path.join(self.rig.path, *self.inside("part-0000.idx")), 0)
        rig = self.killed()
        kept = os.path.join(folder_of(rig, self.session), "part-0000.mp4")
        self.assertEqual(os.path.getsize(kept), size)
        self.assertEqual(self.listed(rig), [])

    def shown_count(self, rig: Rig) -> int:
        """How many segments the list of sessions tells of."""
        (record,) = self.successResultOf(rig.store.archive.sessions(SessionQuery())).sessions
        count: int = record.segment_count
        return count

    def inside(self, name: str) -> tuple[str, ...]:
        """Where a file of the session lies in the data folder."""
        return "recordings", "desk-1", self.session.session_id, name

    def flip(self, path: str, place: int) -> None:
        """Make one byte wrong."""
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes((byte ^ 0x41,)))


class DatabaseTests(RecoveryCase):
    """A database that is lost, damaged or of another folder."""

    def setUp(self) -> None:
        """Three sessions: two that ended, with holes and gaps, and one that is open."""
        super().setUp()
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(2, 3, Cause.DECLARED, detail="spool")
        )
        self.record(0, 1, 4, 7, 5)
        self.end()
        self.other = a_session(1, sentinel_id="desk-2")
        self.begin(self.other)
        self.record(0, 1, session=self.other)
        self.end(self.other)
        self.open = a_session(2)
        self.begin(self.open)
        self.record(0, 1, 2, session=self.open)

    def everything(self, rig: Rig) -> Any:
        """All that history tells."""
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        sentinels = self.successResultOf(rig.store.archive.sentinels())
        each = [self.shown(rig, session) for session in (self.session, self.other, self.open)]
        return page, sentinels, each, self.listed(rig)

    def test_whatever_happens_to_it(self) -> None:
        """Deleted, emptied, zeroed, cut, overwritten or of another folder: history tells the
        same as before, and what was there is kept."""
        expected = self.everything(self.killed())
        other = Rig(self.mktemp())
        self.addCleanup(other.close)

        def delete(path: str) -> None:
            os.remove(path)

        def empty(path: str) -> None:
            os.truncate(path, 0)

        def zero(path: str) -> None:
            size = os.path.getsize(path)
            with open(path, "wb") as file:
                file.write(bytes(size))

        def cut(path: str) -> None:
            os.truncate(path, os.path.getsize(path) * 2 // 3)

        def overwrite(path: str) -> None:
            with open(path, "r+b") as file:
                file.seek(4_096)
                file.write(b"\xa5" * (os.path.getsize(path) - 4_096))

        def one_page(path: str) -> None:
            # The last page of the file: a part of an index that nothing reads at the start.
            with open(path, "r+b") as file:
                file.seek(-4_096, os.SEEK_END)
                file.write(bytes(4_096))

        def text(path: str) -> None:
            with open(path, "w") as file:
                file.write("not a database at all\n" * 500)

        def swap(path: str) -> None:
            other.store.stop()
            shutil.copy(os.path.join(other.path, "index.sqlite3"), path)

        def foreign(path: str) -> None:
            os.remove(path)
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE recipes (name TEXT)")
            connection.close()

        def one_bit(path: str, word: bytes) -> None:
            # SQLite sees nothing wrong with that.
            with open(path, "rb") as file:
                data = file.read()
            self.assertIn(word, data)
            with open(path, "wb") as file:
                file.write(data.replace(word, bytes((word[0] ^ 1, *word[1:]))))

        def cause(path: str) -> None:
            one_bit(path, b"declared")

        def state(path: str) -> None:
            one_bit(path, b"ended")

        spoils = delete, empty, zero, cut, overwrite, one_page, text, swap, foreign, cause, state
        for spoil in spoils:
            path = self.copy()
            self.checkpoint(path)
            spoil(os.path.join(path, "index.sqlite3"))
            rig = self.start(path)
            self.assertEqual(self.everything(rig), expected, spoil.__name__)
            aside = [name for name in os.listdir(path) if "unusable" in name]
            self.assertEqual(len(aside), 0 if spoil is delete else 1, spoil.__name__)
            rig.close()

    def checkpoint(self, path: str) -> None:
        """Put what is in the log of the database into its file."""
        connection = sqlite3.connect(os.path.join(path, "index.sqlite3"))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def test_older_copy(self) -> None:
        """With a database from a backup, the sessions that it does not know are taken in."""
        self.checkpoint(self.rig.path)
        backup = os.path.join(self.mktemp())
        shutil.copy(os.path.join(self.rig.path, "index.sqlite3"), backup)
        new = a_session(3)
        self.begin(new)
        self.record(0, 1, session=new)
        self.end(new)
        self.record(3, session=self.open)
        self.end(self.open)
        path = self.copy()
        for suffix in ("-wal", "-shm"):
            os.remove(os.path.join(path, "index.sqlite3" + suffix))
        shutil.copy(backup, os.path.join(path, "index.sqlite3"))
        rig = self.start(path)
        self.assertEqual(self.shown(rig, new), self.shown(self.rig, new))
        self.assertEqual(self.shown(rig, self.open), self.shown(self.rig, self.open))
        self.assertEqual(self.shown(rig), self.shown(self.rig))

    def test_folder_without_description(self) -> None:
        """A folder that does not say what it is is left alone if something is recorded in it,
        and its id is not used again."""
        os.remove(os.path.join(self.rig.path, "index.sqlite3"))
        folder = folder_of(self.rig, self.session)
        os.remove(os.path.join(folder, "session.json"))
        before = sorted(os.listdir(folder))
        rig = self.killed()
        self.assertEqual(sorted(os.listdir(folder_of(rig, self.session))), before)
        missing = rig.store.archive.session("desk-1", self.session.session_id)
        self.failureResultOf(missing, NotFound)
        with self.assertRaises(RequestError):
            rig.store.ledger.begin(self.session, lambda sequence: None)
        self.assertEqual(self.shown(rig, self.other).segment_count, 2)

    def test_description_of_another(self) -> None:
        """A folder with the description of another session is left alone."""
        os.remove(os.path.join(self.rig.path, "index.sqlite3"))
        shutil.copy(
            os.path.join(folder_of(self.rig, self.other), "session.json"),
            os.path.join(folder_of(self.rig, self.session), "session.json"),
        )
        rig = self.killed()
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        found = {record.session.session_id for record in page.sessions}
        self.assertEqual(found, {self.other.session_id, self.open.session_id})

    def test_foreign_folder_with_an_id(self) -> None:
        """A folder that only looks like a session, with somebody's files, keeps them."""
        folder = folder_of(self.rig, a_session(10))
        os.makedirs(folder)
        with open(os.path.join(folder, "letter.txt"), "w") as file:
            file.write("by hand")
        rig = self.killed()
        self.assertEqual(os.listdir(folder_of(rig, a_session(10))), ["letter.txt"])

    def test_half_begun_folder(self) -> None:
        """What a session left that had hardly begun is cleared away."""
        for number, names in enumerate(([], ["session.json.new"], ["part-0000.mp4"])):
            session = a_session(10 + number)
            folder = folder_of(self.rig, session)
            os.makedirs(folder)
            for name in names:
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(b"x")
        rig = self.killed()
        for number in range(3):
            self.assertFalse(os.path.exists(folder_of(rig, a_session(10 + number))))

    def test_other_things_are_left_alone(self) -> None:
        """What is no recording is neither listed nor removed."""
        path = os.path.join(self.rig.path, "recordings", "desk-1", "notes")
        os.makedirs(path)
        with open(os.path.join(path, "read me.txt"), "w") as file:
            file.write("by hand")
        with open(os.path.join(self.rig.path, "recordings", "list.txt"), "w") as file:
            file.write("by hand")
        os.mkdir(os.path.join(self.rig.path, "recordings", "lost+found"))
        rig = self.killed()
        self.assertTrue(os.path.isdir(os.path.join(rig.path, "recordings", "lost+found")))
        self.assertEqual(
            len(self.successResultOf(rig.store.archive.sessions(SessionQuery())).sessions), 3
        )
        kept = os.path.join(rig.path, "recordings", "desk-1", "notes", "read me.txt")
        self.assertTrue(os.path.exists(kept))

    def test_recording_is_gone(self) -> None:
        """A session whose folder was deleted while it was open is still told of."""
        shutil.rmtree(folder_of(self.rig, self.open))
        path: str = self.mktemp()
        shutil.copytree(self.rig.path, path)
        rig = self.start(path)
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        newest = page.sessions[0]
        self.assertEqual(newest.session.session_id, self.open.session_id)
        self.assertEqual((newest.state, newest.segment_count), (SessionState.ENDED, 0))

    def test_ids_of_recordings_that_are_gone(self) -> None:
        """An id that the database knows is not used again, even if its folder is gone."""
        shutil.rmtree(folder_of(self.rig, self.session))
        rig = self.killed()
        with self.assertRaises(RequestError):
            rig.store.ledger.begin(self.session, lambda sequence: None)

    def test_one_bad_folder(self) -> None:
        """A folder that cannot be read does not keep the server from starting."""
        path = self.copy()
        records = os.path.join(folder_of(self.rig, self.open), "part-0000.idx")
        copied = os.path.join(path, os.path.relpath(records, self.rig.path))
        os.remove(copied)
        os.mkdir(copied)
        rig = self.start(path)
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        self.assertEqual(len(page.sessions), 3)
        self.assertEqual(page.sessions[0].state, SessionState.ENDED)
        self.assertEqual(self.shown(rig, self.other).segment_count, 2)

    def test_database_cannot_be_opened(self) -> None:
        """A database that cannot be opened for now is no reason to make it anew: the start
        fails."""
        path = self.copy()
        database = os.path.join(path, "index.sqlite3")
        os.rename(database, f"{database}.away")
        os.mkdir(database)
        self.assertRaises(StoreError, Rig, path)
        self.assertEqual([name for name in os.listdir(path) if "unusable" in name], [])

    def test_full_disk(self) -> None:
        """A start that fails on a full disk says so, in one line."""
        path = self.copy()
        disk = FaultyDisk()
        disk.room_bytes = 0
        mistake = self.assertRaises(UserMistake, Rig, path, disk=disk)
        self.assertIn("is full", str(mistake))
        disk.room_bytes = None
        rig = Rig(path, disk=disk)
        self.addCleanup(rig.close)
        self.assertEqual(self.shown(rig, self.other).segment_count, 2)

    def test_cut_before_it_ends(self) -> None:
        """What is cut is synced before its session says that it has ended: nobody looks at a
        session again that says so."""
        for has_syncfs in (True, False):
            path = self.copy()
            folder = os.path.join(path, "recordings", "desk-1", self.open.session_id)
            with open(os.path.join(folder, "part-0000.mp4"), "ab") as file:
                file.write(b"half a segment")
            disk = FaultyDisk()
            disk.has_syncfs = has_syncfs
            rig = Rig(path, disk=disk)
            self.addCleanup(rig.close)
            done = disk.done[disk.done.index(("truncate", "part-0000.mp4")) :]
            synced = done.index(("sync", "" if has_syncfs else "part-0000.mp4"))
            self.assertLess(synced, done.index(("replace", "session.json")))
