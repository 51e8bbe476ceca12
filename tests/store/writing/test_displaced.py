"""Tests of recording while somebody else removes, moves or replaces what was written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of, stored
from tests.store.rig import Rig
from tests.store.samples import a_session, an_arrival
from vidlink.model import Cause, RecordingState, SegmentQuery
from vidlink.store.files.layout import read_session

SESSION, OTHER = a_session(), a_session(1, sentinel_id="desk-2")


class DisplacedTests(SynchronousTestCase):
    """A session that is live, with five segments that are acknowledged."""

    def setUp(self) -> None:
        """Record them, and some of another session."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.acks: dict[str, list[int]] = {}
        for session in (SESSION, OTHER):
            self.acks[session.session_id] = []
            self.rig.store.ledger.begin(session, self.acks[session.session_id].append)
            self.record(session, *range(5))

    def record(self, session: object, *sequences: int) -> None:
        """These become durable, unless something keeps them from it."""
        assert session in (SESSION, OTHER)
        which = SESSION if session is SESSION else OTHER
        for sequence in sequences:
            self.rig.store.ledger.append(which.session_id, an_arrival(which, sequence))
        self.rounds()
        self.rig.clock.advance(2)

    def rounds(self) -> None:
        """Do some rounds; whatever fails in them is not tried again before the clock goes on."""
        for _ in range(5):
            self.rig.store.writer.round()

    @property
    def folder(self) -> str:
        """The folder of the session."""
        return folder_of(self.rig, SESSION)

    def removed(self) -> None:
        """The folder of the session is removed."""
        shutil.rmtree(self.folder)

    def moved(self) -> None:
        """All recordings are moved away, and the folder is made anew."""
        path = os.path.join(self.rig.path, "recordings")
        os.rename(path, self.mktemp())
        os.mkdir(path)

    def without_records(self) -> None:
        """The records of the part are removed."""
        os.remove(os.path.join(self.folder, "part-0000.idx"))

    def without_part(self) -> None:
        """The part is removed."""
        os.remove(os.path.join(self.folder, "part-0000.mp4"))

    def emptied(self) -> None:
        """The folder is emptied."""
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))

    def copied(self) -> None:
        """The folder is replaced by a copy."""
        shutil.copytree(self.folder, self.folder + ".copy")
        shutil.rmtree(self.folder)
        os.rename(self.folder + ".copy", self.folder)

    def trouble(self) -> bool:
        """True if the recording of the session is in trouble."""
        return self.rig.store.ledger.recording(SESSION.session_id) is RecordingState.TROUBLE

    def after(self, change: Callable[[], None], *sequences: int) -> None:
        """`change` happens, and more segments come; after a second all that can be is durable."""
        change()
        self.record(SESSION, *sequences)
        self.assertTrue(self.trouble(), change.__name__)
        self.assertEqual(self.acks[SESSION.session_id][-1], 4)
        self.rounds()
        self.assertFalse(self.trouble(), change.__name__)

    def test_what_was_there_is_lost(self) -> None:
        """What is taken away is missed, named and asked for, and never acknowledged over; what
        comes then is recorded in its place, whole by itself."""
        for change in (self.removed, self.moved, self.without_records, self.without_part):
            self.after(change, 5, 6)
            self.assertEqual(self.acks[SESSION.session_id][-1], 4)
            self.assertEqual(self.rig.store.ledger.lost(SESSION.session_id), ((0, 4),))
            self.assertEqual(self.rig.store.ledger.lost(SESSION.session_id), ())
            self.assert_shown(self.rig, (5, 6))
            with open(os.path.join(self.folder, "session.json"), "rb") as file:
                self.assertEqual(read_session(file.read()).init, SESSION.init)
            killed = self.rig.killed(self.mktemp())
            self.addCleanup(killed.close)
            self.assert_shown(killed, (5, 6))
            # A sentinel that still has them may send them again.
            for sequence in range(5):
                arrival = an_arrival(SESSION, sequence, late=True)
                self.rig.store.ledger.append(SESSION.session_id, arrival)
            self.rig.settle()
            self.assertEqual(self.acks[SESSION.session_id][-1], 6)
            self.rig.close()
            self.setUp()

    def assert_shown(self, rig: Rig, there: tuple[int, ...]) -> None:
        """History tells of these, and of the others that they are gone."""
        archive, ids = rig.store.archive, ("desk-1", SESSION.session_id)
        page = self.successResultOf(archive.segments(*ids, SegmentQuery()))
        self.assertEqual(tuple(one.sequence for one in page.segments), there)
        gap = self.successResultOf(archive.session(*ids)).gaps[0]
        self.assertEqual((gap.first, gap.last, gap.cause), (0, 4, Cause.DAMAGED))
        for sequence in there:
            body, _ = self.successResultOf(archive.media(*ids, sequence, sequence))
            data = self.successResultOf(body.read(0, body.size_bytes))
            self.assertEqual(data, an_arrival(SESSION, sequence).segment.data)

    def test_opened_again(self) -> None:
        """What lies in the parts of a session that is opened again is missed as well, though
        nothing is written to them any more."""
        ids = SESSION.session_id
        for change in (self.removed, self.moved, self.without_records, self.without_part):
            self.rig.store.ledger.end(ids, "over", SESSION.started_time_us)
            self.rounds()
            self.rig.store.ledger.reopen(SESSION, self.acks[ids].append)
            self.rounds()
            change()
            self.rig.store.ledger.append(ids, an_arrival(SESSION, 7, late=True))
            self.rounds()
            self.assertTrue(self.trouble(), change.__name__)
            self.rig.clock.advance(2)
            self.rounds()
            self.assertFalse(self.trouble(), change.__name__)
            self.assertEqual(self.rig.store.ledger.lost(ids), ((0, 4),))
            self.assert_shown(self.rig, (7,))
            self.rig.close()
            self.setUp()

    def test_nothing_lost(self) -> None:
        """Where only names have changed, all is there: a part or folder that was replaced by a
        copy, a description that was removed."""

        def replaced() -> None:
            path = os.path.join(self.folder, "part-0000.mp4")
            shutil.copy(path, path + ".copy")
            os.rename(path + ".copy", path)

        def undescribed() -> None:
            os.remove(os.path.join(self.folder, "session.json"))

        for change in (self.copied, replaced, undescribed):
            self.after(change, 5, 6)
            self.assertEqual(self.acks[SESSION.session_id][-1], 6)
            self.assertEqual(self.rig.store.ledger.lost(SESSION.session_id), ())
            self.assertEqual(sorted(stored(self.rig, SESSION)), [*range(7)])
            self.rig.store.ledger.end(SESSION.session_id, "over", SESSION.started_time_us)
            self.rig.settle()
            again = self.rig.again()
            self.addCleanup(again.close)
            self.assertEqual(sorted(stored(again, SESSION)), [*range(7)])
            again.close()
            self.setUp()

    def test_late_segments(self) -> None:
        """What comes late afterwards is held to the media times of its neighbours, those that were
        left on the disk and those that waited for it."""
        for change, before, after in ((self.removed, (5,), (6, 8)), (self.copied, (5, 6, 8), (9,))):
            self.record(SESSION, *before)
            change()
            self.record(SESSION, *after)
            self.rounds()
            media_time = an_arrival(SESSION, 20).media_time
            late = replace(an_arrival(SESSION, 7, late=True), media_time=media_time)
            self.rig.store.ledger.append(SESSION.session_id, late)
            self.rounds()
            ids = "desk-1", SESSION.session_id
            page = self.successResultOf(self.rig.store.archive.segments(*ids, SegmentQuery()))
            misplaced = [one.sequence for one in page.segments if one.is_misplaced]
            self.assertEqual(misplaced, [7], change)
            self.rig.close()
            self.setUp()

    def test_others_go_on(self) -> None:
        """A session costs no other anything, and one that ends without its folder is closed."""
        self.removed()
        for sequence in (5, 6):
            self.rig.store.ledger.append(SESSION.session_id, an_arrival(SESSION, sequence))
        self.record(OTHER, 5)
        self.assertTrue(self.trouble())
        self.assertEqual(self.acks[OTHER.session_id][-1], 5)
        self.rig.store.ledger.end(SESSION.session_id, "over", SESSION.started_time_us)
        self.rig.clock.advance(2)
        self.rig.settle()
        self.assertIsNone(self.rig.store.ledger.account(SESSION.session_id))
        self.assertEqual(sorted(stored(self.rig, SESSION)), [5, 6])

    def test_written_over(self) -> None:
        """Where a part or its records were made shorter or longer in place, nothing is written to
        wrong places of it: what comes then is found by its records, after a kill too."""
        for name in ("part-0000.mp4", "part-0000.idx"):
            for change in (self.cut, self.lengthened):
                change(os.path.join(self.folder, name))
                self.record(SESSION, 5, 6)
                self.rounds()
                self.assertEqual(self.acks[SESSION.session_id][-1], 6)
                killed = self.rig.killed(self.mktemp())
                self.addCleanup(killed.close)
                for rig in (self.rig, killed):
                    archive, ids = rig.store.archive, ("desk-1", SESSION.session_id)
                    for sequence in (5, 6):
                        body, _ = self.successResultOf(archive.media(*ids, sequence, sequence))
                        data = self.successResultOf(body.read(0, body.size_bytes))
                        self.assertEqual(data, an_arrival(SESSION, sequence).segment.data)
                self.rig.close()
                self.setUp()

    def cut(self, path: str) -> None:
        """The file ends in its first octets."""
        os.truncate(path, 50)

    def lengthened(self, path: str) -> None:
        """Something stands behind what was written."""
        with open(path, "ab") as file:
            file.write(bytes(10_000))

    def test_no_recordings(self) -> None:
        """Without the folder of all recordings nothing is acknowledged, and none is made: it may be
        on a disk that is not mounted. When it is back, recording goes on."""
        path, aside = os.path.join(self.rig.path, "recordings"), self.mktemp()
        os.rename(path, aside)
        self.record(SESSION, 5)
        self.assertEqual(self.acks[SESSION.session_id][-1], 4)
        self.assertTrue(self.trouble())
        self.assertFalse(os.path.exists(path))
        os.rename(aside, path)
        self.rounds()
        self.assertEqual(self.acks[SESSION.session_id][-1], 5)

    def test_database(self) -> None:
        """Without its database the recording says so, and the next start makes that anew."""
        for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
            os.remove(os.path.join(self.rig.path, name))
        self.record(SESSION, 5)
        health = self.rig.store.health()
        assert health.index_trouble is not None
        self.assertIn("restart the server", health.index_trouble.text)
        self.assertEqual(self.acks[SESSION.session_id][-1], 5)
        self.assertFalse(os.path.exists(os.path.join(self.rig.path, "index.sqlite3")))
        again = self.rig.again()
        self.addCleanup(again.close)
        for session in (SESSION, OTHER):
            self.assertIn(4, stored(again, session))
