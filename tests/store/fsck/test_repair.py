"""Tests of mending a data folder: what is damaged is named, and the rest is as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3

from tests.faulty_disk import FaultyDisk
from tests.store.fsck.checked import NOW_US, CheckedCase
from tests.store.recorded import folder_of, stored
from tests.store.samples import a_session, an_arrival
from vidlink.errors import Damaged
from vidlink.fmp4 import read_init
from vidlink.model import Cause, Session
from vidlink.store.files.layout import (
    RECORD_BYTES,
    UNVERIFIED,
    IndexRecord,
    read_records,
    read_session,
)
from vidlink.store.fsck import mending
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import FindingKind

SIZE = len(an_arrival(a_session(), 0).segment.data)


class RepairTests(CheckedCase):
    """``--repair``: nothing recorded is deleted, and what is missing has a name."""

    def place(self, sequence: int) -> int:
        """Where a segment lies in the first part of the first session."""
        return len(self.session.init) + sum(
            len(an_arrival(self.session, number).segment.data) for number in range(sequence)
        )

    def bytes_of(self, *sequences: int) -> bytes:
        """The bytes of these segments."""
        return b"".join(an_arrival(self.session, number).segment.data for number in sequences)

    def test_damaged_segment(self) -> None:
        """A damaged segment is a gap after a repair, neighbours are served, none of its octets is
        touched, and nothing is found by the next check."""
        self.flip(self.inside("part-0000.mp4"), self.place(5) + 30)
        rig = self.killed()
        asked = rig.store.archive.media("desk-1", self.session.session_id, 5, 5)
        body, _ = self.successResultOf(asked)
        self.failureResultOf(body.read(0, body.size_bytes), Damaged)
        rig.close()
        before = self.contents()["recordings/desk-1/session-00000000/part-0000.mp4"]
        (found,) = self.repair()
        self.assertEqual((found.kind, found.first), (FindingKind.SEGMENT, 5))
        self.assertIn("gap", found.mended)
        after = self.contents()["recordings/desk-1/session-00000000/part-0000.mp4"]
        self.assertEqual(after, before)
        (note,) = self.check()
        self.assertEqual((note.kind, note.first, note.last), (FindingKind.STATED, 5, 5))
        self.assert_sound()
        rig = self.start()
        self.assertEqual(self.listed(rig), [0, 1, 2, 3, 4, *range(6, 12)])
        self.assertEqual(self.gaps(rig), [(5, 5, Cause.DAMAGED)])
        shown = self.shown(rig)
        self.assertEqual([(one.first, one.last) for one in shown.spans], [(0, 4), (6, 11)])
        self.assertEqual(shown.segment_count, 11)
        body, missing = self.successResultOf(
            rig.store.archive.media("desk-1", self.session.session_id, 4, 6)
        )
        self.assertEqual(missing, ((5, 5),))
        self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), self.bytes_of(4, 6))
        film_asked = rig.store.archive.film("desk-1", self.session.session_id)
        film, _ = self.successResultOf(film_asked)
        self.assertIn(self.bytes_of(10, 11), self.successResultOf(film.read(0, film.size_bytes)))

    def test_stated_once(self) -> None:
        """What was stated by one repair is not stated by the next one again."""
        for sequence, count in ((5, 1), (8, 2)):
            self.flip(self.inside("part-0000.mp4"), self.place(sequence) + 30)
            self.repair()
            with open(self.inside("session.json"), "rb") as file:
                self.assertEqual(len(read_session(file.read()).gaps), count)
        self.assertEqual(self.gaps(self.start()), [(5, 5, Cause.DAMAGED), (8, 8, Cause.DAMAGED)])

    def test_whole_again(self) -> None:
        """When a damaged part is replaced by a good copy, a repair lists its segments again."""
        path = self.inside("part-0000.mp4")
        expected = self.everything()
        shutil.copy(path, f"{self.path}.kept")
        for sequence in (3, 4, 8):
            self.flip(path, self.place(sequence) + 30)
        self.assertEqual([one.first for one in self.repair()], [3, 8])
        shutil.copy(f"{self.path}.kept", path)
        self.assert_found(FindingKind.WHOLE_AGAIN, FindingKind.WHOLE_AGAIN)
        self.repair()
        self.assertEqual([one for one in self.check() if one.is_damage], [])
        rig = self.start()
        self.assertEqual((self.listed(rig), self.gaps(rig)), (list(range(12)), []))
        rig.close()
        # What was stated of it stays in its description, and says nothing any more.
        self.assertEqual(len(self.everything()), len(expected))

    def test_copy_in_another_part(self) -> None:
        """Where an earlier part has the segment too, that copy is given out."""
        folder = folder_of(self.rig, self.late)
        for kind in ("mp4", "idx"):
            shutil.copy(
                os.path.join(folder, f"part-0001.{kind}"), os.path.join(folder, f"part-0002.{kind}")
            )
        self.repair()
        self.flip(os.path.join(folder, "part-0002.mp4"), len(self.session.init) + 30)
        self.repair()
        self.assertEqual([one for one in self.check() if one.is_damage], [])
        rig = self.start()
        self.assertEqual(self.listed(rig, self.late), [0, 1, 2, 3, 4, 6, 7, 8, 10])

    def test_delivered_again(self) -> None:
        """A damaged segment is wanted of its sentinel, and fills the gap when it comes."""
        self.flip(self.inside("part-0000.mp4"), self.place(5) + 30)
        self.repair()
        rig = self.start()
        tail = (self.session.session_id, 0, 11)
        self.assertEqual(
            self.successResultOf(rig.store.ledger.tails("desk-1", [tail])), (((5, 5),),)
        )
        opened = rig.store.ledger.reopen(self.session, lambda sequence: None)
        rig.settle()
        self.successResultOf(opened)
        rig.store.ledger.append(self.session.session_id, an_arrival(self.session, 5, late=True))
        rig.store.ledger.seal(self.session.session_id)
        rig.settle()
        self.assertEqual((self.listed(rig), self.gaps(rig)), (list(range(12)), []))
        rig.close()
        self.assert_sound()

    def test_damaged_record(self) -> None:
        """What a damaged record told of is a gap; the segment stays for a rebuild."""
        self.flip(self.inside("part-0000.idx"), 5 * RECORD_BYTES + 3)
        expected = self.contents()["recordings/desk-1/session-00000000/part-0000.mp4"]
        self.repair()
        part = self.contents()["recordings/desk-1/session-00000000/part-0000.mp4"]
        self.assertEqual(part, expected)
        rig = self.start()
        self.assertEqual(self.gaps(rig), [(5, 5, Cause.DAMAGED)])
        self.assertEqual(self.listed(rig), [0, 1, 2, 3, 4, *range(6, 12)])

    def test_gone_without_a_database(self) -> None:
        """Even where the database is lost too, what damaged records told of has a name: what
        lies between their neighbours, and behind the last one."""
        for place in (5, 10, 11):
            self.flip(self.inside("part-0000.idx"), place * RECORD_BYTES + 3)
        os.remove(self.database)
        self.repair()
        rig = self.start()
        self.assertEqual(self.gaps(rig), [(5, 5, Cause.DAMAGED), (10, 11, Cause.DAMAGED)])

    def test_part_is_gone(self) -> None:
        """The segments of a part that is gone are a gap."""
        os.remove(self.inside("part-0000.mp4", self.late))
        self.repair()
        rig = self.start()
        self.assertEqual(self.listed(rig, self.late), [3, 4])
        causes = {
            number: cause
            for first, last, cause in self.gaps(rig, self.late)
            for number in range(int(str(first)), int(str(last)) + 1)
        }
        lost = [number for number, cause in causes.items() if cause is Cause.DAMAGED]
        self.assertEqual(lost, [0, 1, 2, 6, 7, 8, 10])
        self.assertIs(causes[9], Cause.DECLARED)
        self.assertIs(causes[5], Cause.MISSING)
        rig.close()
        self.assertEqual([one.kind for one in self.check()], [FindingKind.STATED])
        self.assert_sound()

    def test_everything_is_gone(self) -> None:
        """A folder that has lost all its parts tells by its gap what was in them."""
        for name in ("part-0000.mp4", "part-0000.idx"):
            os.remove(self.inside(name))
        self.repair()
        with open(self.inside("session.json"), "rb") as file:
            (gap,) = read_session(file.read()).gaps
        self.assertEqual((gap.first, gap.last, gap.cause), (0, 11, Cause.DAMAGED))
        self.assert_sound()

    def test_many_damaged(self) -> None:
        """More damaged ranges than are kept apart are one statement, and still each a gap."""
        self.patch(mending, "MOST_STATED", 2)
        for sequence in (1, 3, 5, 7):
            self.flip(self.inside("part-0000.mp4"), self.place(sequence) + 30)
        self.repair()
        with open(self.inside("session.json"), "rb") as file:
            self.assertEqual(len(read_session(file.read()).gaps), 1)
        rig = self.start()
        self.assertEqual(
            self.gaps(rig), [(number, number, Cause.DAMAGED) for number in (1, 3, 5, 7)]
        )

    def test_init(self) -> None:
        """A damaged initialization segment is copied from another part, where there is one."""
        expected = self.contents()
        self.flip(self.inside("part-0000.mp4", self.late), 40)
        self.flip(self.inside("part-0000.mp4"), 40)
        mended = {one.session_id: one.mended for one in self.repair()}
        self.assertIn("another part", mended[self.late.session_id])
        self.assertEqual(mended[self.session.session_id], "")
        after = self.contents()
        name = f"recordings/desk-1/{self.late.session_id}/part-0000.mp4"
        self.assertEqual(after[name], expected[name])
        self.assert_found(FindingKind.INIT)

    def test_database(self) -> None:
        """Whatever has become of the database, a repair makes history tell the same again."""
        expected = self.everything()

        def run(*statements: str) -> None:
            with sqlite3.connect(self.database) as connection:
                for statement in statements:
                    connection.execute(statement)
            connection.close()

        for spoil in (
            lambda: os.remove(self.database),
            lambda: os.truncate(self.database, 0),
            lambda: run("PRAGMA user_version = 7"),
            lambda: run("UPDATE sessions SET segment_count = 1", "DELETE FROM spans"),
            lambda: run("DELETE FROM sessions WHERE id = 2"),
            lambda: run("UPDATE sessions SET sentinel_id = 'desk-8'"),
            lambda: run("INSERT INTO gaps VALUES (1, 8, 1, 2, 'declared', NULL, NULL, '')"),
        ):
            spoil()
            self.assertNotEqual([one for one in self.check() if one.is_damage], [])
            self.assertEqual([one for one in self.repair() if not one.mended], [])
            self.assertEqual([one for one in self.check() if one.is_damage], [])
            self.assertEqual(self.everything(), expected)

    def test_row_without_a_folder(self) -> None:
        """A session whose folder is gone is forgotten, and that is told."""
        shutil.rmtree(folder_of(self.rig, self.other))
        (found,) = self.repair()
        self.assertEqual(
            (found.kind, found.session_id), (FindingKind.NO_FOLDER, self.other.session_id)
        )
        self.assertIn("5 segments", found.text)
        self.assert_sound()
        self.assertEqual(len(self.everything()), 3)

    def test_description(self) -> None:
        """A lost description is written anew, from the database; without one, from the
        initialization segment and the names of the folders."""
        expected = self.everything()
        os.remove(self.inside("session.json", self.late))
        self.repair()
        self.assert_sound()
        self.assertEqual(self.everything(), expected)
        os.remove(self.inside("session.json", self.late))
        os.remove(self.database)
        self.repair()
        self.assert_sound()
        rig = self.start()
        shown = self.shown(rig, self.late)
        media = read_init(self.late.init)
        found = shown.session
        self.assertEqual((found.mime, found.width, found.height), (media.mime, 64, 48))
        self.assertEqual((found.timescale, found.track_id), (media.timescale, media.track_id))
        self.assertEqual((found.init, found.name), (self.late.init, "desk-1"))
        self.assertEqual(shown.end_reason, "the description of the session was lost")
        self.assertEqual(shown.ended_time_us, shown.end_time_us)
        self.assertEqual(self.listed(rig, self.late), [0, 1, 2, 3, 4, 6, 7, 8, 10])

    def test_mark_that_the_database_forgot(self) -> None:
        """A session that its folder says is being filled is closed, although the database
        knows nothing of that: its log was deleted."""
        rig = self.start()
        copy = self.mktemp()
        shutil.copy(self.database, copy)
        opened = rig.store.ledger.reopen(self.session, lambda sequence: None)
        rig.settle()
        self.successResultOf(opened)
        rig.store.ledger.append(self.session.session_id, an_arrival(self.session, 12, late=True))
        rig.settle()
        killed = self.mktemp()
        shutil.copytree(self.path, killed)
        rig.close()
        self.path = killed
        for suffix in ("-wal", "-shm"):
            os.remove(self.database + suffix)
        shutil.copy(copy, self.database)
        (found,) = self.repair()
        self.assertEqual((found.kind, found.mended), (FindingKind.UNFINISHED, "closed"))
        self.assert_sound()
        self.assertEqual(self.listed(self.start()), list(range(13)))


class RebuildTests(CheckedCase):
    """``--rebuild``: what records told of is read from the boxes again."""

    def records(
        self, name: str = "part-0000.idx", session: Session | None = None
    ) -> list[IndexRecord]:
        """The records of a part, all of which have to be sound."""
        with open(self.inside(name, session), "rb") as file:
            found = list(read_records(file.read()))
        return [one for one in found if one is not None] if None not in found else self.fail()

    def assert_rebuilt(self, before: list[IndexRecord], *fresh: int) -> None:
        """The records are those that there were; these are marked as unverified, and say when
        they were captured in the place of when they came."""
        after = self.records()
        self.assertEqual(len(after), len(before))
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            if place in fresh:
                self.assertEqual(new[:8], old[:8])
                self.assertEqual(new.received_time_us, old.start_time_us)
                self.assertEqual(new.flags, old.flags | UNVERIFIED)
            else:
                self.assertEqual(new, old)

    def test_lost_records(self) -> None:
        """Records that are gone altogether are made anew."""
        before, expected = self.records(), self.listed(self.killed())
        os.remove(self.inside("part-0000.idx"))
        self.assertEqual([one.kind for one in self.repair()], [FindingKind.NO_RECORDS])
        self.assert_found(FindingKind.NO_RECORDS)
        found = {one.kind: one.mended for one in self.repair(is_rebuilding=True)}
        self.assertIn("12 records were made anew", found[FindingKind.NO_RECORDS])
        self.assert_rebuilt(before, *range(12))
        self.assert_sound()
        rig = self.start()
        self.assertEqual((self.listed(rig), self.gaps(rig)), (expected, []))
        stored(rig, self.session)

    def test_every_length_of_the_records(self) -> None:
        """However short the records are cut, all of them are there afterwards."""
        before = self.records()
        path = self.inside("part-0000.idx")
        kept = self.path + ".kept"
        shutil.copytree(self.path, kept)
        for size in range(0, 12 * RECORD_BYTES, 37):
            os.truncate(path, size)
            self.repair(is_rebuilding=True)
            self.assert_rebuilt(before, *range(size // RECORD_BYTES, 12))
            self.assertEqual([one for one in self.check() if one.is_damage], [])
            shutil.rmtree(self.path)
            shutil.copytree(kept, self.path)

    def test_every_octet_of_a_record(self) -> None:
        """Whichever octet of a record is wrong, it is made anew, and what was there is kept."""
        before = self.records()
        path = self.inside("part-0000.idx")
        kept = self.path + ".kept"
        shutil.copytree(self.path, kept)
        for place in (0, 5, 11):
            for octet in range(0, RECORD_BYTES, 9):
                self.flip(path, place * RECORD_BYTES + octet)
                self.repair(is_rebuilding=True)
                self.assert_rebuilt(before, place)
                self.assertEqual([one for one in self.check() if one.is_damage], [])
                self.assertEqual(os.path.getsize(f"{path}.before-{NOW_US}"), 12 * RECORD_BYTES)
                shutil.rmtree(self.path)
                shutil.copytree(kept, self.path)

    def test_torn_fragment(self) -> None:
        """With its records lost a part whose last segment is cut keeps all before that; the
        rest is put aside, octet for octet, wherever it is cut."""
        data, kept = b"", self.path + ".kept"
        shutil.copytree(self.path, kept)
        path = self.inside("part-0000.mp4")
        with open(path, "rb") as file:
            data = file.read()
        (last,) = self.records()[-1:]
        for size in range(last[1] + 1, len(data), 11):
            os.truncate(path, size)
            os.remove(self.inside("part-0000.idx"))
            self.repair(is_rebuilding=True)
            self.assertEqual(len(self.records()), 11)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), data[: last[1]])
            with open(f"{path}.tail-{last[1]}-{NOW_US}", "rb") as file:
                self.assertEqual(file.read(), data[last[1] : size])
            self.assertEqual([one for one in self.check() if one.is_damage], [])
            shutil.rmtree(self.path)
            shutil.copytree(kept, self.path)

    def test_tail_that_is_none(self) -> None:
        """Octets that are no segment are put aside by a repair; a segment that no record tells
        of stays until it is rebuilt."""
        path = self.inside("part-0000.mp4")
        with open(path, "ab") as file:
            file.write(b"no segment")
        (found,) = self.repair()
        self.assertIn("put aside", found.mended)
        self.assert_sound()
        with open(path, "ab") as file:
            file.write(an_arrival(self.session, 12).segment.data)
        before = self.contents()
        (found,) = (one for one in self.repair() if one.is_damage)
        self.assertEqual((found.kind, found.mended), (FindingKind.TAIL, ""))
        name = "recordings/desk-1/session-00000000/part-0000.mp4"
        self.assertEqual(self.contents()[name], before[name])
        self.repair(is_rebuilding=True)
        self.assert_sound()
        self.assertEqual(self.listed(self.start()), list(range(13)))

    def test_without_anything_else(self) -> None:
        """Where database, description and records are all lost, the parts are enough."""
        expected = [self.listed(self.killed(), one) for one in (self.session, self.late)]
        os.remove(self.database)
        for session in (self.session, self.late, self.other):
            for name in os.listdir(folder_of(self.rig, session)):
                if not name.endswith(".mp4"):
                    os.remove(self.inside(name, session))
        self.repair(is_rebuilding=True)
        self.assert_sound()
        rig = self.start()
        self.assertEqual([self.listed(rig, one) for one in (self.session, self.late)], expected)
        self.assertEqual(self.shown(rig).session.started_time_us, 0)

    def test_damaged_boxes(self) -> None:
        """Behind a segment whose boxes are damaged nothing is made up: what follows is kept."""
        os.remove(self.inside("part-0000.idx"))
        path = self.inside("part-0000.mp4")
        size = os.path.getsize(path)
        place = len(self.session.init) + 5 * SIZE
        self.flip(path, place + 5)
        self.repair(is_rebuilding=True)
        self.assertEqual([record.sequence for record in self.records()], [0, 1, 2, 3, 4])
        aside = f"{path}.tail-{place}-{NOW_US}"
        self.assertEqual(os.path.getsize(aside) + os.path.getsize(path), size)
        rig = self.start()
        self.assertEqual(self.gaps(rig), [(5, 11, Cause.DAMAGED)])
        rig.close()
        self.assert_sound()

    def test_open_session(self) -> None:
        """The records of a session that was open when the server was killed are made anew as
        well: a start leaves the segments where they are."""
        rig = self.start()
        session = a_session(5, init=self.session.init)
        rig.store.ledger.begin(session, lambda sequence: None)
        for sequence in range(4):
            rig.store.ledger.append(session.session_id, an_arrival(session, sequence))
            rig.settle()
            rig.clock.advance(2)
        killed = self.mktemp()
        shutil.copytree(self.path, killed)
        rig.close()
        for forget in (False, True):
            self.path = self.mktemp()
            shutil.copytree(killed, self.path)
            self.rig.path = self.path
            os.remove(self.inside("part-0000.idx", session))
            if forget:
                for suffix in ("", "-wal", "-shm"):
                    os.remove(self.database + suffix)
            self.start().close()
            self.repair(is_rebuilding=True)
            self.assert_sound()
            rig = self.start()
            self.assertEqual(self.listed(rig, session), [0, 1, 2, 3])
            rig.close()


class KilledRepairTests(CheckedCase):
    """A repair that is killed."""

    def test_at_every_step(self) -> None:
        """Wherever a repair is interrupted, the next one comes to the same end, and no segment
        that was sound is lost."""
        self.flip(self.inside("part-0000.mp4"), len(self.session.init) + 3 * SIZE + 30)
        self.flip(self.inside("part-0000.idx"), 7 * RECORD_BYTES)
        os.remove(self.inside("part-0000.idx", self.late))
        os.remove(self.inside("session.json", self.other))
        with open(self.inside("part-0000.mp4", self.other), "ab") as file:
            file.write(b"no segment")
        spoilt = self.mktemp()
        shutil.copytree(self.path, spoilt)
        self.repair(is_rebuilding=True)
        self.assert_sound()
        expected = self.everything()
        steps = 0
        while True:
            shutil.rmtree(self.path)
            shutil.copytree(spoilt, self.path)
            disk = DyingDisk(steps)
            work = Check(
                self.path, disk, put=lambda one: None, expect=disk.ignore, came=disk.ignore
            )
            try:
                work.repair(NOW_US, is_rebuilding=True)
            except KeyboardInterrupt:
                steps += 1
            else:
                break
            self.repair(is_rebuilding=True, now_us=NOW_US + 1)
            self.assertEqual([one for one in self.check() if one.is_damage], [], steps)
            self.assertEqual(self.everything(), expected, steps)
        self.assertGreater(steps, 20)


class DyingDisk(FaultyDisk):
    """A disk with which the process dies after so many changes."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def ignore(self, size: int) -> None:
        """Nobody wants to know."""

    def _may(self, name: str, path: str = "") -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps -= 1
        super()._may(name, path)
