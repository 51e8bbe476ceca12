"""Tests of the start after a fault that no kill makes: lost logs, lost records, torn last ones."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import read_part, stored
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.errors import Damaged, RequestError
from vidlink.model import (
    Cause,
    Gap,
    SegmentQuery,
    Session,
    SessionQuery,
    SessionState,
    Span,
)
from vidlink.store.files.layout import RECORD_BYTES, read_session
from vidlink.store.index.schema import SCHEMA_FORMAT
from vidlink.store.starting.salvage import Salvage

SIZE = len(an_arrival(a_session(), 0).segment.data)


class FaultCase(SynchronousTestCase):
    """A store whose folder is copied, spoilt, and started again."""

    def setUp(self) -> None:
        """A store, and a session in it."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.session = a_session()
        self.rig.store.ledger.begin(self.session, lambda sequence: None)

    def record(self, *sequences: int, session: Session | None = None, **options: Any) -> None:
        """These segments become durable, and the database knows it."""
        session = session or self.session
        for sequence in sequences:
            self.rig.store.ledger.append(
                session.session_id, an_arrival(session, sequence, **options)
            )
            self.rig.settle()
            self.rig.clock.advance(2)
        self.rig.settle()

    def end(self, session: Session | None = None) -> None:
        """It ends."""
        session = session or self.session
        self.rig.store.ledger.end(session.session_id, "over", session.started_time_us + 1)
        self.rig.settle()

    def reopen(self) -> None:
        """It is opened for what comes late."""
        opened = self.rig.store.ledger.reopen(self.session, lambda sequence: None)
        self.rig.settle()
        self.successResultOf(opened)

    def copy(self) -> str:
        """What a kill at this moment leaves."""
        path: str = self.mktemp()
        shutil.copytree(self.rig.path, path)
        return path

    def start(self, path: str) -> Rig:
        """A start with the folder at `path`."""
        rig = Rig(path)
        self.addCleanup(rig.close)
        return rig

    def inside(self, path: str, name: str) -> str:
        """A file of the session in a copy."""
        return os.path.join(path, "recordings", "desk-1", self.session.session_id, name)

    def flip(self, path: str, place: int) -> None:
        """Make one bit wrong."""
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes((byte ^ 1,)))

    def data(self, sequence: int) -> bytes:
        """The bytes of a segment."""
        return bytes(an_arrival(self.session, sequence).segment.data)

    def served(self, rig: Rig, sequences: Iterable[int]) -> dict[int, bytes]:
        """Those of these segments that are given out."""
        found = {}
        for one in sequences:
            asked = rig.store.archive.media("desk-1", self.session.session_id, one, one)
            body, _ = self.successResultOf(asked)
            given: list[object] = []
            body.read(0, body.size_bytes).addBoth(given.append)
            if isinstance(given[0], bytes):
                found[one] = given[0]
            else:
                self.assertIsInstance(given[0].value, Damaged)  # type: ignore[attr-defined]
        return found

    def listed(self, rig: Rig) -> list[int]:
        """The sequences that history lists."""
        query = SegmentQuery(limit=1_000)
        found = rig.store.archive.segments("desk-1", self.session.session_id, query)
        return [one.sequence for one in self.successResultOf(found).segments]

    def gaps(self, rig: Rig) -> list[tuple[int | None, int | None, Cause]]:
        """The gaps that history tells of."""
        found = self.successResultOf(rig.store.archive.session("desk-1", self.session.session_id))
        return [(gap.first, gap.last, gap.cause) for gap in found.gaps]

    def spans(self, rig: Rig) -> list[tuple[int, int]]:
        """The unbroken spans that history tells of."""
        found = self.successResultOf(rig.store.archive.session("desk-1", self.session.session_id))
        return [(span.first, span.last) for span in found.spans]


class SyncedTests(FaultCase):
    """What the database says was synced is not cut, in any part."""

    def test_damage_in_an_old_part_of_a_live_session(self) -> None:
        """A part that is not written to any more keeps what lies behind a damaged record."""
        self.record(10, 11, 12, 13, 14, 15)
        self.record(2, 3, 4, 5, 6, late=True)
        self.record(16)
        for part, place, lost in ((0, 2, 12), (1, 1, 3)):
            path = self.copy()
            self.flip(self.inside(path, f"part-{part:04d}.idx"), place * RECORD_BYTES + 1)
            size = os.path.getsize(self.inside(path, f"part-{part:04d}.mp4"))
            rig = self.start(path)
            expected = [n for n in [*range(2, 7), *range(10, 17)] if n != lost]
            self.assertEqual(self.listed(rig), expected)
            self.assertEqual(os.path.getsize(self.inside(path, f"part-{part:04d}.mp4")), size)
            rig.close()

    def test_damage_in_a_part_of_a_session_that_is_filled(self) -> None:
        """The same, in the parts that are written to after its end, and in those before."""
        self.record(10, 11, 12, 13)
        self.end()
        self.reopen()
        self.record(2, 3, 4, 5, 6, late=True)
        for part, place, lost in ((0, 1, 11), (1, 1, 3)):
            path = self.copy()
            self.flip(self.inside(path, f"part-{part:04d}.idx"), place * RECORD_BYTES + 1)
            rig = self.start(path)
            expected = [n for n in [*range(2, 7), *range(10, 14)] if n != lost]
            self.assertEqual(self.listed(rig), expected)
            rig.close()

    def test_records_are_gone(self) -> None:
        """Where records of what was synced are gone, the segments stay, however few: they can
        be read again from their boxes. Without a database nobody knows what was synced."""
        self.record(0, 1, 2, 3)
        for has_database in (True, False):
            for size in (0, RECORD_BYTES) if has_database else (0,):
                path = self.copy()
                os.truncate(self.inside(path, "part-0000.idx"), size)
                if not has_database:
                    for suffix in ("", "-wal", "-shm"):
                        os.remove(os.path.join(path, "index.sqlite3" + suffix))
                before = os.path.getsize(self.inside(path, "part-0000.mp4"))
                rig = self.start(path)
                self.assertEqual(os.path.getsize(self.inside(path, "part-0000.mp4")), before)
                self.assertEqual(self.listed(rig), list(range(size // RECORD_BYTES)))
                rig.close()

    def test_description_and_records_are_gone(self) -> None:
        """A part in a folder without anything else is never cleared away."""
        self.record(0, 1, 2)
        path = self.copy()
        for suffix in ("", "-wal", "-shm"):
            os.remove(os.path.join(path, "index.sqlite3" + suffix))
        with open(self.inside(path, "part-0000.mp4"), "r+b") as file:
            data = file.read()
        for name in ("session.json", "part-0000.idx"):
            os.remove(self.inside(path, name))
        self.start(path).close()
        with open(self.inside(path, "part-0000.mp4"), "rb") as file:
            self.assertEqual(file.read(), data)


class LostIndexTests(FaultCase):
    """The database is lost, a session was being recorded, and something of it is damaged: what
    was acknowledged behind that stays."""

    def lost(self) -> str:
        """What a kill at this moment leaves, without the database."""
        path = self.copy()
        for suffix in ("", "-wal", "-shm"):
            os.remove(os.path.join(path, "index.sqlite3" + suffix))
        return path

    def test_damaged_segment(self) -> None:
        """One wrong bit in a segment costs that one alone, which is named; a torn one at the end is
        cut."""
        self.record(*range(6))
        _, rows = read_part(self.rig, self.session, 0)
        for is_torn in (False, True):
            for sequence in range(4):
                path = self.lost()
                part = self.inside(path, "part-0000.mp4")
                self.flip(part, rows[sequence][1] + rows[sequence][2] // 2)
                if is_torn:
                    os.truncate(part, rows[5][1] + 1)
                rig = self.start(path)
                there = range(5 if is_torn else 6)
                self.assertEqual(self.listed(rig), [one for one in there if one != sequence])
                self.assertEqual(self.gaps(rig)[0], (sequence, sequence, Cause.DAMAGED))
                whole = {one: self.data(one) for one in there if one != sequence}
                self.assertEqual(self.served(rig, whole), whole)
                rig.close()

    def test_known_beside_damage(self) -> None:
        """No segment is counted twice because a damaged one before it is known to be none."""
        self.record(*range(6))
        path = self.lost()
        _, rows = read_part(self.rig, self.session, 0)
        self.flip(self.inside(path, "part-0000.mp4"), rows[1][1] + rows[1][2] // 2)
        # A start without the database says so in its record.
        self.start(path).close()
        name = self.inside(path, "session.json")
        with open(name, "rb") as file:
            described = read_session(file.read())
        known = {0: [Span(0, 0, 0, 0, SIZE), Span(2, 4, 0, 0, 3 * SIZE)]}
        for spans in (None, known):
            salvage = Salvage(FaultyDisk(), os.path.dirname(name), described, spans)
            found = [(one.first, one.last, one.size_bytes) for _, one in salvage.cut(False).spans]
            self.assertEqual(found, [(0, 0, SIZE), (2, 5, 4 * SIZE)])

    def test_damaged_record(self) -> None:
        """One wrong bit in a record costs that segment alone."""
        self.record(*range(6))
        for sequence in range(4):
            path = self.lost()
            self.flip(self.inside(path, "part-0000.idx"), sequence * RECORD_BYTES + 1)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [one for one in range(6) if one != sequence])
            rig.close()

    def test_damaged_description(self) -> None:
        """One wrong digit in what the description says of the init costs no segment."""
        self.record(*range(3))
        for name in ("init_size_bytes", "init_crc32"):
            path = self.lost()
            description = self.inside(path, "session.json")
            with open(description) as file:
                known = json.load(file)
            with open(description, "w") as file:
                json.dump(known | {name: known[name] ^ 1}, file)
            rig = self.start(path)
            self.assertEqual(self.listed(rig), [0, 1, 2], name)
            rig.close()

    def test_one_bad_folder(self) -> None:
        """A folder that cannot be read does not keep the server from starting."""
        self.record(0, 1)
        self.end()
        other = a_session(1, sentinel_id="desk-2")
        self.rig.store.ledger.begin(other, lambda sequence: None)
        self.record(0, session=other)
        for name in ("part-0000.idx", "session.json"):
            path = self.lost()
            os.remove(self.inside(path, name))
            os.mkdir(self.inside(path, name))
            rig = self.start(path)
            page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
            self.assertEqual([one.session.session_id for one in page.sessions], [other.session_id])
            self.assertEqual(len(self.flushLoggedErrors()), 0)
            with self.assertRaises(RequestError):
                rig.store.ledger.begin(self.session, lambda sequence: None)
            rig.close()

    def test_bad_folder_that_was_live(self) -> None:
        """The same, where the database is older than the folder, and has the session as live: it
        is closed with what was known."""
        self.record(0, 1)
        self.rig.clock.advance(2)
        self.rig.store.ledger.gap(self.session.session_id, Gap(9, 9, Cause.DECLARED))
        self.rig.settle()
        path = self.copy()
        self.end()
        shutil.copy(self.inside(self.rig.path, "session.json"), self.inside(path, "session.json"))
        os.remove(self.inside(path, "part-0000.idx"))
        os.mkdir(self.inside(path, "part-0000.idx"))
        rig = self.start(path)
        (record,) = self.successResultOf(rig.store.archive.sessions(SessionQuery())).sessions
        self.assertEqual((record.state, record.segment_count), (SessionState.ENDED, 2))

    def test_older_database(self) -> None:
        """What was said of gaps since the database was copied is not forgotten with it."""
        self.record(0, 1)
        old = self.copy()
        self.rig.store.ledger.gap(
            self.session.session_id, Gap(2, 4, Cause.DECLARED, detail="spool")
        )
        self.record(5)
        path = self.copy()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(os.path.join(old, "index.sqlite3" + suffix), path)
        rig = self.start(path)
        self.assertEqual(self.listed(rig), [0, 1, 5])
        shown = self.successResultOf(rig.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual(
            [(gap.first, gap.last, gap.cause) for gap in shown.gaps],
            [(2, 4, Cause.DECLARED), (None, None, Cause.SERVER_STOPPED)],
        )


class LogTests(FaultCase):
    """The log of the database is deleted, or the database says that it is another version's."""

    def test_log_is_deleted(self) -> None:
        """Whatever the log held, the listing is the same as with it: sessions that it alone told
        of are taken in again, and those that had ended since are not live."""
        self.record(0, 1, 2)
        connection = sqlite3.connect(os.path.join(self.rig.path, "index.sqlite3"))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.record(3, 4)
        self.end()
        other = a_session(1, sentinel_id="desk-2")
        self.rig.store.ledger.begin(other, lambda sequence: None)
        self.record(0, 1, session=other)
        path = self.copy()
        expected = self.everything(self.start(path))
        path = self.copy()
        self.assertGreater(os.path.getsize(os.path.join(path, "index.sqlite3-wal")), 0)
        for suffix in ("-wal", "-shm"):
            os.remove(os.path.join(path, "index.sqlite3" + suffix))
        self.assertEqual(self.everything(self.start(path)), expected)

    def test_another_version(self) -> None:
        """A database of a version that is not ours is kept, and made anew."""
        self.record(0, 1, 2)
        self.end()
        self.rig.close()
        path = self.copy()
        expected = self.everything(self.start(self.copy()))
        for version in (0, SCHEMA_FORMAT - 1, SCHEMA_FORMAT + 1, 1_000_000):
            path = self.copy()
            connection = sqlite3.connect(os.path.join(path, "index.sqlite3"))
            connection.execute(f"PRAGMA user_version = {version}")
            connection.close()
            self.assertEqual(self.everything(self.start(path)), expected)
            self.assertEqual(len([one for one in os.listdir(path) if "unusable" in one]), 1)

    def everything(self, rig: Rig) -> Any:
        """All that history tells."""
        page = self.successResultOf(rig.store.archive.sessions(SessionQuery()))
        self.assertNotEqual(page.sessions, ())
        each = [
            self.successResultOf(
                rig.store.archive.session(one.session.sentinel_id, one.session.session_id)
            )
            for one in page.sessions
        ]
        rig.close()
        return page, each


class LastSegmentTests(FaultCase):
    """Every octet of a last segment and of its record, cut and flipped."""

    def setUp(self) -> None:
        """A last segment of a kilobyte."""
        super().setUp()
        self.record(0, 1)
        arrival = an_arrival(self.session, 2, frame=bytes(range(256)) * 3 + bytes(100))
        self.assertLessEqual(len(arrival.segment.data), 1_024)
        self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.settle()
        self.path = self.copy()
        self.before = {one: self.read(one) for one in ("part-0000.mp4", "part-0000.idx")}
        _, rows = read_part(self.rig, self.session, 0)
        self.start_of_last = rows[-1][1]
        self.kept = {
            "part-0000.mp4": self.before["part-0000.mp4"][: self.start_of_last],
            "part-0000.idx": self.before["part-0000.idx"][: 2 * RECORD_BYTES],
        }
        self.file = read_session(self.read("session.json"))

    def assert_gone(self, name: str, data: bytes, *, through_a_start: bool) -> None:
        """With these bytes in that file, the last segment is gone and all before it is there."""
        if through_a_start:
            path: str = self.mktemp()
            shutil.copytree(self.path, path)
            self.write(path, name, data)
            rig = Rig(path)
            self.assertEqual(self.listed(rig), [0, 1])
            self.assertEqual(self.spans(rig), [(0, 1)])
            self.assertEqual(sorted(stored(rig, self.session)), [0, 1])
            rig.remove()
            return
        for known in (None, {}, {0: [Span(0, 1, 0, 0, 2 * SIZE)]}):
            for one, before in self.before.items():
                self.write(self.path, one, data if one == name else before)
            folder = os.path.dirname(self.inside(self.path, name))
            found = Salvage(FaultyDisk(), folder, self.file, known).cut(False)
            self.assertEqual([(span.first, span.last) for _, span in found.spans], [(0, 1)])
            for one in self.before:
                self.assertEqual(self.read(one), self.kept[one])

    def write(self, path: str, name: str, data: bytes) -> None:
        """Put `data` into a file of the session."""
        with open(self.inside(path, name), "wb") as file:
            file.write(data)

    def read(self, name: str) -> bytes:
        """The bytes of a file of the session."""
        with open(self.inside(self.path, name), "rb") as file:
            return file.read()

    def assert_torn(self, name: str, start: int) -> None:
        """Cut at every octet from `start`, and each of them flipped."""
        data = self.before[name]
        for place in range(start, len(data)):
            is_sample = place % 97 == 0
            flipped = bytearray(data)
            flipped[place] ^= 1 << place % 8
            for spoilt in (data[:place], bytes(flipped)):
                self.assert_gone(name, spoilt, through_a_start=False)
                if is_sample:
                    self.write(self.path, "part-0000.mp4", self.before["part-0000.mp4"])
                    self.write(self.path, "part-0000.idx", self.before["part-0000.idx"])
                    self.assert_gone(name, spoilt, through_a_start=True)

    def test_part(self) -> None:
        """Of the part."""
        self.assert_torn("part-0000.mp4", self.start_of_last)

    def test_records(self) -> None:
        """Of its record."""
        self.assert_torn("part-0000.idx", 2 * RECORD_BYTES)
