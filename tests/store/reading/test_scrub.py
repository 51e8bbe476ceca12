"""Tests of `vidlink.store.reading.scrub`: rot is found without anybody asking."""

from __future__ import annotations

import errno
import os
from unittest.mock import ANY

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of, read_part
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.disk import Disk
from vidlink.errors import Damaged
from vidlink.model import Cause, ScrubPlace, Session
from vidlink.store.files.notes import read_scrub, write_scrub
from vidlink.store.reading import scrub

DAY_US = 24 * 60 * 60 * 1_000_000


class ScrubCase(SynchronousTestCase):
    """Three sessions of six segments that are over."""

    def setUp(self) -> None:
        """The sessions."""
        self.rig = Rig(self.mktemp(), scrub_days=30.0)
        self.addCleanup(lambda: self.rig.close())
        self.sessions = [a_session(number) for number in range(3)]
        for session in self.sessions:
            self.write(session)

    def write(self, session: Session, *, is_over: bool = True) -> None:
        """Record it."""
        ledger = self.rig.store.ledger
        ledger.begin(session, lambda sequence: None)
        for sequence in range(6):
            ledger.append(session.session_id, an_arrival(session, sequence))
        if is_over:
            ledger.end(session.session_id, "over", session.started_time_us + 1)
        self.rig.settle()

    def path(self, session: Session, name: str = "part-0000.mp4") -> str:
        """A file of a session."""
        return os.path.join(folder_of(self.rig, session), name)

    def flip(self, session: Session, sequence: int) -> None:
        """Let a bit of a segment rot: nobody has written, and no time of the file tells."""
        _, rows = read_part(self.rig, session, 0)
        path = self.path(session)
        before = os.stat(path)
        with open(path, "r+b") as part:
            part.seek(rows[sequence][1] + 30)
            byte = part.read(1)[0]
            part.seek(rows[sequence][1] + 30)
            part.write(bytes((byte ^ 4,)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def tick(self, seconds: float = 1.0) -> None:
        """So much later."""
        self.rig.clock.advance(seconds)
        self.rig.store.scrub.tick()

    @property
    def counts(self) -> tuple[int, int]:
        """The segments that were found: wrong, and not readable."""
        counts = self.rig.store.counts
        return counts.scrub_wrong, counts.scrub_unreadable

    def note(self) -> ScrubPlace | None:
        """What is kept of where it stands."""
        return read_scrub(os.path.join(self.rig.path, "scrub.json"), Disk())

    def gaps(self, session: Session) -> list[tuple[int | None, int | None, Cause]]:
        """What is said to be missing."""
        record = self.successResultOf(
            self.rig.store.archive.session(session.sentinel_id, session.session_id)
        )
        return [(gap.first, gap.last, gap.cause) for gap in record.gaps if gap.first is not None]


class ScrubTests(ScrubCase):
    """What it reads, when, and what comes of it."""

    def total(self) -> int:
        """The octets of all segments."""
        return sum(
            row[2] for session in self.sessions for row in read_part(self.rig, session, 0)[1]
        )

    def test_everything_is_read(self) -> None:
        """All that is recorded is read once, its progress is told, and then it is done."""
        with capturedLogs() as events:
            self.tick()
        counts = self.rig.store.counts
        self.assertEqual((counts.scrubbed_bytes, self.counts), (self.total(), (0, 0)))
        self.assertEqual(counts.scrub_progress, 1.0)
        self.assertEqual(self.note(), ScrubPlace(ANY, ANY, self.total(), is_over=True))
        self.assertIn("was checked", events[-1]["log_format"])
        self.tick()
        self.assertEqual(counts.scrubbed_bytes, self.total())

    def test_rot_is_found(self) -> None:
        """Rot is found, told to the writer, and stated for good as what a reader meets is; what a
        reader had checked is not given out any more, and its neighbours are."""
        session = self.sessions[1]
        ids = session.sentinel_id, session.session_id
        self.rig.now_us = int(os.stat(self.path(session)).st_mtime * 1e6) + 60_000_000
        body, _ = self.successResultOf(self.rig.store.archive.media(*ids, 0, 5))
        whole = self.successResultOf(body.read(0, body.size_bytes))
        self.flip(session, 2)
        self.assertEqual(len(self.successResultOf(body.read(0, body.size_bytes))), len(whole))
        with capturedLogs() as events:
            self.tick()
        self.assertEqual(self.counts, (1, 0))
        told = [event for event in events if event.get("session") == session.session_id]
        self.assertIn("1 segments are not what was recorded", told[0]["what"])
        self.failureResultOf(body.read(0, body.size_bytes), Damaged)
        self.rig.settle()
        self.assertEqual(self.gaps(session), [(2, 2, Cause.DAMAGED)])
        self.assertEqual(self.gaps(self.sessions[0]), [])
        body, missing = self.successResultOf(self.rig.store.archive.media(*ids, 1, 3))
        self.assertEqual(missing, ((2, 2),))
        self.assertEqual(
            self.successResultOf(body.read(0, body.size_bytes)),
            bytes(an_arrival(session, 1).segment.data) + bytes(an_arrival(session, 3).segment.data),
        )

    def test_rot_in_what_is_live(self) -> None:
        """A session that is being recorded is read as well."""
        live = a_session(7)
        self.write(live, is_over=False)
        self.flip(live, 3)
        self.tick()
        self.rig.settle()
        self.assertEqual(self.gaps(live), [(3, 3, Cause.DAMAGED)])

    def test_what_cannot_be_read(self) -> None:
        """What cannot be read now may be readable later: it is counted and told, and not stated."""
        os.rename(self.path(self.sessions[0]), self.path(self.sessions[0], "away"))
        with capturedLogs() as events:
            self.tick()
        self.assertEqual(self.counts, (0, 6))
        self.assertTrue(any("6 cannot be read" in event.get("what", "") for event in events))
        self.rig.settle()
        self.assertEqual(self.gaps(self.sessions[0]), [])

    def test_a_disk_that_is_gone(self) -> None:
        """Of a data folder that is not there nothing is said, and nothing counts as checked."""
        recordings = os.path.join(self.rig.path, "recordings")
        marker = os.path.join(self.rig.path, "vidlink-data.json")
        for path in (recordings, marker):
            os.rename(path, path + "~")
        with capturedLogs() as events:
            self.tick()
            self.tick()
        self.assertEqual([str(event["log_level"].name) for event in events], ["warn"])
        for path in (recordings, marker):
            os.rename(path + "~", path)
        self.tick()
        self.assertEqual(
            (self.rig.store.counts.scrubbed_bytes, self.counts), (self.total(), (0, 0))
        )

    def test_pace(self) -> None:
        """It reads so much a second, at most what one second allows at a time, and no less than
        one segment."""
        size = len(an_arrival(self.sessions[0], 0).segment.data)
        self.patch(scrub, "LEAST_RATE", size + 1)
        self.patch(scrub, "MOST_RATE", size + 1)
        counts = self.rig.store.counts
        self.tick(0.5)
        first = counts.scrubbed_bytes
        self.assertGreater(first, 0)
        self.assertLess(first, 2.5 * size)
        self.tick(100)
        self.assertLess(counts.scrubbed_bytes, 5 * size)
        for _ in range(40):
            self.tick()
        self.assertEqual(counts.scrubbed_bytes, self.total())
        self.assertEqual(counts.scrub_progress, 1.0)

    def test_only_when_it_is_calm(self) -> None:
        """While something is wrong with the recording, or much waits, nothing is read."""
        self.write(a_session(8), is_over=False)
        self.rig.disk.errors["sync"] = errno.EIO
        self.rig.store.ledger.append(a_session(8).session_id, an_arrival(a_session(8), 6))
        self.rig.store.writer.round()
        self.tick()
        self.assertEqual(self.rig.store.counts.scrubbed_bytes, 0)
        self.rig.disk.errors.clear()
        self.rig.clock.advance(2)
        self.rig.settle()
        self.tick()
        self.assertGreater(self.rig.store.counts.scrubbed_bytes, 0)

    def test_again_after_the_days(self) -> None:
        """When the days are over everything is read anew, and not before, a start or not."""
        self.tick()
        clock = self.rig
        clock.now_us += 29 * DAY_US
        self.rig = self.rig.again()
        self.tick()
        self.assertEqual(self.rig.store.counts.scrubbed_bytes, 0)
        clock.now_us += 2 * DAY_US
        self.tick()
        self.assertEqual(self.rig.store.counts.scrubbed_bytes, self.total())

    def test_a_start_goes_on(self) -> None:
        """A start goes on behind the last session that was done."""
        self.patch(scrub, "LEAST_RATE", 1)
        self.patch(scrub, "MOST_RATE", 1)
        self.patch(scrub, "KEEP_SECONDS", 0.0)
        for _ in range(5_000):
            self.tick()
            note = self.note()
            if note is not None and note.row:
                break
        self.patch(scrub, "LEAST_RATE", 10**6)
        self.patch(scrub, "MOST_RATE", 10**6)
        self.rig = self.rig.again()
        self.tick()
        self.assertLess(self.rig.store.counts.scrubbed_bytes, self.total() * 0.7)
        self.assertEqual(self.rig.store.counts.scrub_progress, 1.0)

    def test_off(self) -> None:
        """Without days nothing is read."""
        self.rig.close()
        self.rig = Rig(self.rig.path)
        self.tick()
        self.assertEqual(self.rig.store.counts.scrubbed_bytes, 0)
        self.assertIsNone(self.note())

    def test_one_at_a_time(self) -> None:
        """A disk that takes its time is not asked twice, and after a stop not at all."""
        asked: list[Deferred[object]] = []

        def later(work: object, *arguments: object) -> Deferred[object]:
            asked.append(Deferred())
            return asked[-1]

        self.rig.store.scrub._run_in_pool = later
        self.tick()
        self.tick()
        self.assertEqual(len(asked), 1)
        self.rig.store.scrub.stop()
        asked[0].callback(scrub._Slice())
        self.tick()
        self.assertEqual(len(asked), 1)


class NoteTests(SynchronousTestCase):
    """``scrub.json``."""

    def test_kept(self) -> None:
        """What is kept is found, and what is not what was written counts as nothing."""
        path, place = self.mktemp(), ScrubPlace(EPOCH_US, 7, 8, is_over=True)
        self.assertIsNone(read_scrub(path, Disk()))
        write_scrub(path, place, Disk())
        self.assertEqual(read_scrub(path, Disk()), place)
        with open(path, "r+b") as note:
            data = note.read().replace(b"7", b"9")
            note.seek(0)
            note.write(data)
        self.assertIsNone(read_scrub(path, Disk()))
