"""Tests of checking a data folder: what is found, and that nothing is changed by looking."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3

from tests.faulty_disk import FaultyDisk
from tests.store.fsck.checked import CheckedCase
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.store.files.folder import inspect_folder, take_folder
from vidlink.store.files.layout import RECORD_BYTES, read_records
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import Finding, FindingKind

#: What a repair writes into although nothing is wrong.
BOOKS = ("lock", "index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm")


class SoundTests(CheckedCase):
    """A folder in which nothing is wrong."""

    def test_sound(self) -> None:
        """Nothing is found, everything is looked at, and a repair changes nothing that history
        tells."""
        expected = self.everything()
        self.assertEqual(self.check(), [])
        summary = self.work.summary
        self.assertEqual((summary.sessions, summary.parts, summary.segments), (3, 4, 26))
        self.assertEqual(self.repair(), [])
        self.assertEqual(self.everything(), expected)

    def test_progress(self) -> None:
        """What is read is what was announced, to the octet: parts and records, each once."""
        told: list[int] = []
        read: list[int] = []
        work = Check(self.path, Disk(), put=self.fail, expect=told.append, came=read.append)
        work.run()
        self.assertEqual(told, [sum(read)])
        self.assertEqual(work.summary.read_bytes, sum(read))

    def test_log_of_the_database(self) -> None:
        """What only the log of the database tells is known, although nothing is changed."""
        rig = Rig(self.mktemp())
        rig.store.ledger.begin(self.session, lambda sequence: None)
        rig.store.ledger.append(self.session.session_id, an_arrival(self.session, 0))
        rig.settle()
        rig.store.ledger.end(self.session.session_id, "over", self.session.started_time_us + 1)
        rig.settle()
        self.path = self.mktemp()
        shutil.copytree(rig.path, self.path)
        rig.close()
        self.assertGreater(os.path.getsize(f"{self.database}-wal"), 0)
        self.assertEqual(self.check(), [])

    def test_session_that_was_open(self) -> None:
        """What the next start closes is told of, and is no damage, torn as it is."""
        rig = Rig(self.mktemp())
        self.addCleanup(rig.close)
        rig.store.ledger.begin(self.session, lambda sequence: None)
        for sequence in range(3):
            rig.store.ledger.append(self.session.session_id, an_arrival(self.session, sequence))
        rig.settle()
        self.path = self.mktemp()
        shutil.copytree(rig.path, self.path)
        part = os.path.join(
            self.path, "recordings", "desk-1", self.session.session_id, "part-0000.mp4"
        )
        os.truncate(part, os.path.getsize(part) - 1)
        self.assertEqual([one.kind for one in self.check()], [FindingKind.UNFINISHED])
        (found,) = self.repair()
        self.assertEqual((found.kind, found.mended), (FindingKind.UNFINISHED, "closed"))
        self.assertEqual(self.check(), [])
        self.assertEqual(self.listed(self.start()), [0, 1])


class FolderTests(CheckedCase):
    """Whether the folder may be looked at at all."""

    def refused(self, path: str, *words: str) -> None:
        """Both ways of looking refuse it in one line with these words, and make nothing."""
        self.path = path
        for look in (self.check, self.repair):
            mistake = self.assertRaises(UserMistake, look)
            for word in words:
                self.assertIn(word, str(mistake))
            self.assertNotIn("\n", str(mistake))

    def test_in_use(self) -> None:
        """A folder that a server uses is left to it."""
        taken = take_folder(self.path, Disk())
        self.refused(self.path, "in use", str(os.getpid()))
        taken.release()
        self.assert_sound()

    def test_server_waits(self) -> None:
        """No server starts while it is looked at."""
        held = inspect_folder(self.path, Disk())
        self.assertIn("in use", str(self.assertRaises(UserMistake, Rig, self.path)))
        held.release()
        self.start()

    def test_no_data_folder(self) -> None:
        """What is no data folder is not made one."""
        path = self.mktemp()
        self.refused(path, "there is no folder")
        self.assertFalse(os.path.exists(path))
        os.mkdir(path)
        self.refused(path, "not a data folder")
        self.assertEqual(os.listdir(path), [])

    def test_marker(self) -> None:
        """A marker that cannot be read is told of."""
        os.truncate(os.path.join(self.path, "vidlink-data.json"), 3)
        self.refused(self.path, "vidlink-data.json", "cannot be read")

    def test_never_served(self) -> None:
        """A copy without a lock is checked without one."""
        os.remove(os.path.join(self.path, "lock"))
        self.assertEqual(self.check(), [])
        self.assertFalse(os.path.exists(os.path.join(self.path, "lock")))


class DamageTests(CheckedCase):
    """Each kind of damage is found, by its name and in its place."""

    def test_every_octet_of_a_segment(self) -> None:
        """Whichever octet of a segment in the middle is wrong, that segment is named."""
        path = self.inside("part-0000.mp4")
        size = len(an_arrival(self.session, 0).segment.data)
        start = len(self.session.init) + 5 * size
        for place in range(start, start + size, 7):
            self.flip(path, place)
            (found,) = self.check()
            self.assertEqual((found.kind, found.part), (FindingKind.SEGMENT, 0))
            self.assertEqual((found.first, found.last), (5, 5))
            self.assertEqual(found.session_id, self.session.session_id)
            self.flip(path, place)
        self.assertEqual(self.check(), [])

    def test_every_octet_of_a_record(self) -> None:
        """Whichever octet of a record in the middle is wrong, that record is named."""
        path = self.inside("part-0000.idx")
        for place in range(5 * RECORD_BYTES, 6 * RECORD_BYTES):
            self.flip(path, place)
            (found,) = self.check()
            self.assertEqual((found.kind, found.text[:9]), (FindingKind.RECORD, "record 5:"))
            self.flip(path, place)

    def test_order_of_records(self) -> None:
        """Records that are sound and in the wrong order, or of which one is missing, are told
        of."""
        path = self.inside("part-0000.idx")
        with open(path, "rb") as file:
            data = file.read()
        records = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
        swapped = [*records[:4], records[5], records[4], *records[6:]]
        for spoilt in (swapped, records[:4] + records[5:], [*records[:4], *records[3:]]):
            with open(path, "wb") as file:
                file.write(b"".join(spoilt))
            kinds = {one.kind for one in self.check()}
            self.assertIn(FindingKind.RECORD, kinds)
            self.assertEqual(kinds - {FindingKind.RECORD, FindingKind.SEGMENT}, set())

    def test_media_time(self) -> None:
        """So is a record whose media time does not ascend, and one of no octets."""
        path = self.inside("part-0000.idx")
        with open(path, "rb") as file:
            data = file.read()
        (record,) = read_records(data[5 * RECORD_BYTES : 6 * RECORD_BYTES])
        assert record is not None
        for wrong in (record._replace(media_time=4 * 18_000), record._replace(size_bytes=0)):
            with open(path, "r+b") as file:
                file.seek(5 * RECORD_BYTES)
                file.write(wrong.pack())
            self.assertEqual([one.text[:9] for one in self.check()], ["record 5:"])

    def test_init(self) -> None:
        """An initialization segment that is not what was recorded is named, with its part."""
        self.flip(self.inside("part-0001.mp4", self.late), 40)
        (found,) = self.check()
        self.assertEqual((found.kind, found.part), (FindingKind.INIT, 1))

    def test_ends(self) -> None:
        """Octets behind the last record, and a record that is not whole."""
        for name in ("part-0000.mp4", "part-0000.idx"):
            with open(self.inside(name), "ab") as file:
                file.write(b"x")
            self.assert_found(FindingKind.TAIL)
            os.truncate(self.inside(name), os.path.getsize(self.inside(name)) - 1)

    def test_cut_part(self) -> None:
        """A part that is too short lacks the segments that do not fit any more."""
        os.truncate(self.inside("part-0000.mp4"), len(self.session.init) + 200)
        (found,) = self.check()
        self.assertEqual((found.kind, found.first, found.last), (FindingKind.SEGMENT, 1, 11))

    def test_one_file_of_two(self) -> None:
        """A part without records, and records without a part."""
        os.remove(self.inside("part-0000.mp4"))
        self.assert_found(FindingKind.NO_PART)
        os.remove(self.inside("part-0000.idx", self.other))
        self.assert_found(FindingKind.NO_PART, FindingKind.NO_RECORDS)

    def test_description(self) -> None:
        """A description that is lost, is none, or is of another session."""
        path = self.inside("session.json")
        os.rename(path, f"{path}.kept")
        for put in (
            lambda: None,
            lambda: open(path, "w").close(),
            lambda: shutil.copy(self.inside("session.json", self.other), path),
        ):
            put()
            self.assert_found(FindingKind.DESCRIPTION)

    def test_folders_and_rows(self) -> None:
        """A folder that the database does not know, and a row without a folder."""
        shutil.move(folder_of(self.rig, self.other), self.mktemp())
        self.assert_found(FindingKind.NO_FOLDER)
        with sqlite3.connect(self.database) as connection:
            connection.execute("DELETE FROM sessions WHERE session_id = ?", (self.late.session_id,))
        connection.close()
        self.assert_found(FindingKind.UNLISTED, FindingKind.NO_FOLDER)

    def test_what_the_database_says(self) -> None:
        """Whatever the database says of a session is held against its folder."""
        for change in (
            "UPDATE spans SET last = last + 1 WHERE part = 0 AND first = 6",
            "UPDATE sessions SET segment_count = 1",
            "UPDATE sessions SET ended_time_us = 5",
            "UPDATE sessions SET init_crc32 = 5",
            "UPDATE gaps SET cause = 'missing'",
            "DELETE FROM gaps",
        ):
            copy = self.mktemp()
            shutil.copy(self.database, copy)
            with sqlite3.connect(self.database) as connection:
                connection.execute(change)
            connection.close()
            found = self.check()
            self.assertIn(
                (FindingKind.DIFFERS, self.late.session_id),
                [(one.kind, one.session_id) for one in found],
                change,
            )
            self.assertEqual({one.kind for one in found}, {FindingKind.DIFFERS})
            shutil.copy(copy, self.database)

    def test_database(self) -> None:
        """A database that is lost, is none, is of another folder, or of another version."""

        def version() -> None:
            with sqlite3.connect(self.database) as connection:
                connection.execute("PRAGMA user_version = 7")
            connection.close()

        def other() -> None:
            rig = Rig(self.mktemp())
            rig.close()
            shutil.copy(os.path.join(rig.path, "index.sqlite3"), self.database)

        for spoil in (
            version,
            other,
            lambda: os.truncate(self.database, 0),
            lambda: os.remove(self.database),
        ):
            spoil()
            self.assert_found(FindingKind.INDEX)

    def test_same_id_twice(self) -> None:
        """Two folders with the id of one session are told of, and the one that has another's
        description is left alone, whichever comes first."""
        for sentinel_id in ("aisle-1", "desk-9"):
            copy = os.path.join(self.path, "recordings", sentinel_id, self.session.session_id)
            shutil.copytree(folder_of(self.rig, self.session), copy)
            (found,) = self.check()
            self.assertEqual((found.kind, found.sentinel_id), (FindingKind.TWICE, sentinel_id))
            before = self.contents(besides=BOOKS)
            self.assertEqual([one.kind for one in self.repair()], [FindingKind.TWICE])
            self.assertEqual(self.contents(besides=BOOKS), before)
            shutil.rmtree(os.path.dirname(copy))

    def test_strays(self) -> None:
        """What is not ours is named, left alone, and no damage."""
        names = (
            "notes.txt",
            "recordings/list.txt",
            "recordings/desk-1/notes",
            f"recordings/desk-1/{self.session.session_id}/letter.txt",
        )
        for name in names:
            with open(os.path.join(self.path, name), "w") as file:
                file.write("by hand")
        found = self.check()
        self.assertEqual([one.kind for one in found], [FindingKind.STRAY] * 4)
        told = " ".join(one.text for one in found)
        self.assertEqual([name for name in names if os.path.basename(name) not in told], [])
        self.repair(is_rebuilding=True)
        for name in names:
            self.assertTrue(os.path.exists(os.path.join(self.path, name)))

    def test_unreadable(self) -> None:
        """A file that cannot be read is told of, the others are looked at, and a repair states
        nothing of what it could not see."""
        path = self.inside("part-0000.mp4")
        os.rename(path, f"{path}.kept")
        os.mkdir(path)
        self.flip(self.inside("part-0000.mp4", self.other), len(self.other.init) + 20)
        kinds = [one.kind for one in self.check() if one.is_damage]
        self.assertEqual(kinds, [FindingKind.UNREADABLE, FindingKind.SEGMENT])
        self.repair()
        os.rmdir(path)
        os.rename(f"{path}.kept", path)
        self.assert_sound()
        self.assertEqual(self.gaps(self.start()), [])

    def test_bad_block(self) -> None:
        """Where the disk cannot read some octets, only the segment that they are in is named."""

        class BadDisk(FaultyDisk):
            def pread(self, descriptor: int, offset: int, size: int) -> bytes:
                if offset <= bad < offset + size and os.fstat(descriptor).st_size == part_bytes:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return super().pread(descriptor, offset, size)

        part_bytes = os.path.getsize(self.inside("part-0000.mp4"))
        bad = len(self.session.init) + 5 * len(an_arrival(self.session, 0).segment.data) + 9
        found: list[Finding] = []
        ignored: list[int] = []
        ignore = ignored.append
        Check(self.path, BadDisk(), put=found.append, expect=ignore, came=ignore).run()
        ((kind, first, last),) = [(one.kind, one.first, one.last) for one in found]
        self.assertEqual((kind, first, last), (FindingKind.SEGMENT, 5, 5))

    def test_hardly_begun(self) -> None:
        """A session of which nothing came is sound."""
        rig = self.start()
        session = a_session(7, init=self.session.init)
        rig.store.ledger.begin(session, lambda sequence: None)
        rig.settle()
        rig.close()
        self.assert_sound()
