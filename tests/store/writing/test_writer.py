"""Tests of the writing side: what is on disk, and what happens when the disk fails."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.movies import media_of
from tests.store.recorded import folder_of, part_numbers, read_part, stored
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.errors import RequestError
from vidlink.model import Cause, Gap, RecordingState, SegmentQuery, SessionState
from vidlink.store.files.layout import read_session
from vidlink.store.writing.writer import RETRY_SECONDS, ROUND_BYTES, ROUND_SECONDS


class WritingCase(SynchronousTestCase):
    """A session that has begun in a store whose rounds are done by hand."""

    def setUp(self) -> None:
        """A store, a session, and what it has acknowledged."""
        self.durable: list[int] = []
        self.session = a_session()
        self.make()

    def make(self, **options: Any) -> None:
        """Another store with these options; the session begins in it."""
        self.rig = Rig(self.mktemp(), **options)
        self.addCleanup(self.rig.close)
        self.store, self.disk = self.rig.store, self.rig.disk
        self.store.ledger.begin(self.session, self.durable.append)
        self.rig.settle()

    def append(self, *sequences: int, late: bool = False) -> None:
        """Hand over these segments."""
        for sequence in sequences:
            arrival = an_arrival(self.session, sequence, late=late)
            self.store.ledger.append(self.session.session_id, arrival)

    def end(self) -> None:
        """The session is over."""
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US + 1)

    def retry(self) -> None:
        """Wait until what has failed is tried again."""
        self.rig.clock.advance(RETRY_SECONDS)
        self.rig.settle()

    def stored(self) -> dict[int, bytes]:
        """What is on disk of the session."""
        return stored(self.rig, self.session)

    def assert_stored(self, *sequences: int) -> None:
        """Exactly these segments are on disk, byte for byte."""
        found = self.stored()
        self.assertEqual(sorted(found), sorted(sequences))
        for sequence, data in found.items():
            self.assertEqual(data, an_arrival(self.session, sequence).segment.data)

    def state(self) -> RecordingState:
        """Whether what is appended reaches the disk."""
        return self.store.ledger.recording(self.session.session_id)


class PartTests(WritingCase):
    """What a part is."""

    def test_byte_for_byte(self) -> None:
        """A part is the init and then what came, byte for byte, round after round."""
        self.append(0, 1)
        self.rig.settle()
        self.append(2)
        self.rig.settle()
        data, rows = read_part(self.rig, self.session, 0)
        segments = [an_arrival(self.session, number).segment.data for number in range(3)]
        self.assertEqual(data, b"".join([self.session.init, *map(bytes, segments)]))
        self.assertEqual([row[0] for row in rows], [0, 1, 2])
        self.assertEqual(part_numbers(self.rig, self.session), [0])

    def test_late_segments_go_elsewhere(self) -> None:
        """What would break the order goes to another part; both go on growing."""
        self.append(0, 1, 6, 7)
        self.rig.settle()
        self.append(4, 3, late=True)
        self.append(8)
        self.rig.settle()
        self.append(5, late=True)
        self.append(9)
        self.append(2, late=True)
        self.rig.settle()
        self.assert_stored(*range(10))
        sequences = [
            [row[0] for row in read_part(self.rig, self.session, number)[1]]
            for number in part_numbers(self.rig, self.session)
        ]
        self.assertEqual(sequences, [[0, 1, 6, 7, 8, 9], [3, 4, 5], [2]])

    def test_media_time_has_to_ascend(self) -> None:
        """A higher sequence with a media time that goes back begins a part as well."""
        self.append(0, 1)
        odd = an_arrival(self.session, 2, media_time=0)
        self.store.ledger.append(self.session.session_id, odd)
        self.rig.settle()
        self.assertEqual(sorted(self.stored()), [0, 1, 2])
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])

    def test_sequence_has_to_ascend(self) -> None:
        """A lower sequence with a higher media time begins a part as well."""
        self.append(0, 2)
        odd = an_arrival(self.session, 1, late=True, media_time=10**6)
        self.store.ledger.append(self.session.session_id, odd)
        self.rig.settle()
        self.assertEqual(sorted(self.stored()), [0, 1, 2])
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])

    def test_session_file(self) -> None:
        """The folder says what it is from the start, and how it ended at the end."""
        path = os.path.join(folder_of(self.rig, self.session), "session.json")
        known = read_session(self.disk.read(path, 0, 10_000))
        self.assertEqual(known.session.name, self.session.name)
        self.assertIsNone(known.ended_time_us)
        self.append(0, 2)
        self.store.ledger.gap(self.session.session_id, Gap(1, 1, Cause.DECLARED))
        self.end()
        self.rig.settle()
        known = read_session(self.disk.read(path, 0, 10_000))
        self.assertEqual((known.ended_time_us, known.end_reason), (EPOCH_US + 1, "over"))
        self.assertEqual(known.gaps, (Gap(1, 1, Cause.DECLARED),))

    def test_nothing_but_ours(self) -> None:
        """No other files are left in the folder of a session."""
        self.append(0)
        self.end()
        self.rig.settle()
        names = sorted(os.listdir(folder_of(self.rig, self.session)))
        self.assertEqual(names, ["part-0000.idx", "part-0000.mp4", "session.json"])

    def test_large_backlog(self) -> None:
        """A round takes no more than it should, and the next follows at once."""
        frame = bytes(ROUND_BYTES // 4)
        for sequence in range(6):
            arrival = an_arrival(self.session, sequence, frame=frame)
            self.store.ledger.append(self.session.session_id, arrival)
        self.assertEqual(self.store.writer.round(), 0.0)
        self.assertEqual(self.durable, [3])
        self.assertIsNone(self.store.writer.round())
        self.assertEqual(self.durable, [3, 5])

    def test_everybody_gets_a_turn(self) -> None:
        """One session with much to write does not hold up the others."""
        other = a_session(1, sentinel_id="desk-2")
        acknowledged: list[int] = []
        self.store.ledger.begin(other, acknowledged.append)
        self.rig.settle()
        frame = bytes(ROUND_BYTES // 2)
        for sequence in range(8):
            arrival = an_arrival(self.session, sequence, frame=frame)
            self.store.ledger.append(self.session.session_id, arrival)
        self.store.ledger.append(other.session_id, an_arrival(other, 0))
        self.store.writer.round()
        self.store.writer.round()
        self.assertEqual(acknowledged, [0])
        self.assertLess(self.durable[-1], 7)

    def test_one_line_after_the_other(self) -> None:
        """While a full round leaves some to be written, those who have just been written wait for
        the rest, whatever has come of them; but not where somebody waits for the next round."""
        for is_awaited in (False, True):
            self.make()
            # As in a thread: what comes fills no round by itself.
            self.store.writer._inbox.wait(0.0, 0.0, 100 * ROUND_BYTES)
            acknowledged: dict[int, list[int]] = {1: [], 2: []}
            for number, acks in acknowledged.items():
                self.store.ledger.begin(a_session(number), acks.append)
            self.rig.settle()
            frame = bytes(ROUND_BYTES // 2)
            for session in (self.session, a_session(1), a_session(2)):
                arrival = an_arrival(session, 0, frame=frame)
                self.store.ledger.append(session.session_id, arrival)
            self.assertEqual(self.store.writer.round(), 0.0)
            self.append(1)
            if is_awaited:
                self.store.keeping.hold("desk-1", self.session.session_id, "an appeal")
            before = len(self.durable)
            self.store.writer.round()
            self.assertEqual(acknowledged, {1: [0], 2: [0]})
            self.assertEqual(self.durable[before:], [1] if is_awaited else [])
            self.rig.settle()
            self.assertEqual(self.durable[-1], 1)

    def test_bounded_descriptors(self) -> None:
        """No more parts are open than may be; the others are opened again when needed."""
        self.make(open_parts=2)
        sessions = [a_session(number) for number in range(1, 6)]
        before = len(os.listdir("/proc/self/fd"))
        for session in sessions:
            self.store.ledger.begin(session, lambda sequence: None)
        for sequence in range(3):
            for session in sessions:
                self.store.ledger.append(session.session_id, an_arrival(session, sequence))
            self.rig.settle()
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 2 * 2)
        self.assertIn(("reopen", "part-0000.mp4"), self.disk.done)
        for session in sessions:
            self.assertEqual(sorted(stored(self.rig, session)), [0, 1, 2])

    def test_everything_is_closed(self) -> None:
        """After a stop no descriptor is left open."""
        before = len(os.listdir("/proc/self/fd"))
        rig = Rig(self.mktemp())
        for number in range(5):
            rig.store.ledger.begin(a_session(number), lambda sequence: None)
            rig.store.ledger.append(a_session(number).session_id, an_arrival(a_session(number), 0))
        rig.settle()
        self.successResultOf(rig.store.archive.session("desk-1", a_session(0).session_id))
        rig.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class AcknowledgementTests(WritingCase):
    """Never before it is synced."""

    def test_sync_comes_first(self) -> None:
        """An acknowledgement comes after the sync that came after the writing."""
        self.disk.done.clear()
        self.store.ledger.begin(
            a_session(1), lambda sequence: self.disk.done.append(("ack", str(sequence)))
        )
        self.store.ledger.append(a_session(1).session_id, an_arrival(a_session(1), 0))
        self.rig.settle()
        names = [name for name, _ in self.disk.done]
        self.assertLess(names.index("write"), names.index("sync"))
        self.assertLess(names.index("sync"), names.index("ack"))

    def test_one_sync_for_all(self) -> None:
        """A round syncs once, however many sessions have written."""
        for number in range(1, 6):
            self.store.ledger.begin(a_session(number), lambda sequence: None)
            self.store.ledger.append(a_session(number).session_id, an_arrival(a_session(number), 0))
        self.disk.done.clear()
        self.store.writer.round()
        self.assertEqual(self.disk.done.count(("sync", "")), 1)

    def test_without_syncfs(self) -> None:
        """Where there is no `syncfs`, every file and every folder with a new name is synced
        before the acknowledgement."""
        self.disk.has_syncfs = False
        rig = Rig(self.mktemp(), disk=self.disk)
        self.addCleanup(rig.close)
        self.disk.done.clear()
        rig.store.ledger.begin(self.session, lambda sequence: self.disk.done.append(("ack", "")))
        rig.store.ledger.append(self.session.session_id, an_arrival(self.session, 0))
        rig.settle()
        synced = {path for name, path in self.disk.done[: self.disk.done.index(("ack", ""))]
                  if name == "sync"}  # fmt: skip
        files = {"part-0000.mp4", "part-0000.idx"}
        folders = {self.session.session_id, self.session.sentinel_id, "recordings"}
        self.assertLessEqual(files | folders, synced)
        self.assertEqual(sorted(stored(rig, self.session)), [0])

    def test_failure_of_one_file(self) -> None:
        """Where each file is synced by itself, a file that fails does not hold up the others."""
        self.disk.has_syncfs = False
        rig = Rig(self.mktemp(), disk=self.disk)
        self.addCleanup(rig.close)
        acknowledged: list[int] = []
        for number in range(2):
            rig.store.ledger.begin(a_session(number), acknowledged.append)
        rig.settle()
        for number in range(2):
            rig.store.ledger.append(
                a_session(number).session_id, an_arrival(a_session(number), number)
            )
        real = self.disk.fdatasync
        failed: list[int] = []

        def fdatasync(descriptor: int) -> None:
            if not failed:
                failed.append(descriptor)
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        self.disk.fdatasync = fdatasync  # type: ignore[method-assign]
        rig.store.writer.round()
        self.assertEqual(len(acknowledged), 0)
        states = [rig.store.ledger.recording(a_session(number).session_id) for number in range(2)]
        self.assertEqual(states, [RecordingState.TROUBLE, RecordingState.OK])
        rig.clock.advance(RETRY_SECONDS)
        rig.settle()
        self.assertEqual(acknowledged, [0])
        self.assertEqual(sorted(stored(rig, a_session(1))), [1])


class FaultTests(WritingCase):
    """A disk that fails, and then works again."""

    def test_full_disk(self) -> None:
        """On a full disk nothing is acknowledged, live goes on, and with space again
        everything is recorded that the queue could hold."""
        self.append(0, 1)
        self.rig.settle()
        self.disk.room_bytes = 100
        self.append(2, 3)
        self.store.writer.round()
        self.assertEqual(self.durable, [1])
        self.assertIs(self.state(), RecordingState.TROUBLE)
        self.append(4)
        for _ in range(5):
            self.rig.clock.advance(RETRY_SECONDS)
            self.store.writer.round()
        self.assertEqual(self.durable, [1])
        self.assertLessEqual(len(part_numbers(self.rig, self.session)), 2)
        self.disk.room_bytes = None
        self.retry()
        self.assertEqual(self.durable[-1], 4)
        self.assertIs(self.state(), RecordingState.OK)
        self.assert_stored(0, 1, 2, 3, 4)

    def test_full_disk_from_the_start(self) -> None:
        """A session that begins on a full disk is recorded once there is space."""
        self.disk.room_bytes = 0
        session = a_session(1)
        acknowledged: list[int] = []
        self.store.ledger.begin(session, acknowledged.append)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        for room in range(0, 400, 37):
            self.disk.room_bytes = room
            self.rig.clock.advance(RETRY_SECONDS)
            self.store.writer.round()
        self.assertEqual(acknowledged, [])
        self.disk.room_bytes = None
        self.retry()
        self.assertEqual(acknowledged, [0])
        self.assertEqual(sorted(stored(self.rig, session)), [0])
        self.assertEqual(part_numbers(self.rig, session), [0])

    def test_every_length_of_a_short_write(self) -> None:
        """Wherever the space ends, nothing torn is left for a reader, and nothing is lost."""
        size = 2 * len(an_arrival(self.session, 0).segment.data) + 64 * 2
        for room in range(0, size, 5):
            self.make()
            self.append(0)
            self.rig.settle()
            self.disk.room_bytes = room
            self.append(1, 2)
            self.store.writer.round()
            listed = self.store.archive.segments("desk-1", self.session.session_id, SegmentQuery())
            segments = self.successResultOf(listed).segments
            self.assertEqual([one.is_durable for one in segments], [True, False, False])
            self.assert_stored(0)
            self.disk.room_bytes = None
            self.retry()
            self.assert_stored(0, 1, 2)

    def test_write_error(self) -> None:
        """After an error the file is left alone, and another is begun with what it lost."""
        self.append(0)
        self.rig.settle()
        self.disk.errors["write"] = errno.EIO
        self.append(1)
        self.store.writer.round()
        self.assertEqual(self.durable, [0])
        del self.disk.errors["write"]
        self.disk.done.clear()
        self.retry()
        self.assertEqual(self.durable[-1], 1)
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])
        written = {path for name, path in self.disk.done if name == "write"}
        self.assertNotIn("part-0000.mp4", written)
        self.append(2)
        self.rig.settle()
        self.assert_stored(0, 1, 2)

    def test_sync_error(self) -> None:
        """After a failed sync every session with unsynced bytes writes them again elsewhere;
        the others do not."""
        quiet = a_session(1)
        self.store.ledger.begin(quiet, lambda sequence: None)
        self.store.ledger.append(quiet.session_id, an_arrival(quiet, 0))
        self.append(0)
        self.rig.settle()
        self.disk.errors["sync"] = errno.EIO
        self.append(1, 2)
        self.store.writer.round()
        self.assertEqual(self.durable, [0])
        self.assertIs(self.state(), RecordingState.TROUBLE)
        self.assertIs(self.store.ledger.recording(quiet.session_id), RecordingState.OK)
        del self.disk.errors["sync"]
        self.append(3)
        self.retry()
        self.assertEqual(self.durable[-1], 3)
        self.store.ledger.append(quiet.session_id, an_arrival(quiet, 1))
        self.rig.settle()
        self.assert_stored(0, 1, 2, 3)
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])
        self.assertEqual(part_numbers(self.rig, quiet), [0])

    def test_folder_is_gone(self) -> None:
        """While another folder is at its path, or none, nothing is written there; what waits is
        written when the folder is back."""
        self.append(0)
        self.rig.settle()
        away: str = self.mktemp()
        os.rename(self.rig.path, away)
        for make in (lambda: None, lambda: os.mkdir(self.rig.path)):
            make()
            self.rig.clock.advance(RETRY_SECONDS)
            self.append(1)
            self.store.writer.round()
            self.assertEqual(self.durable, [0])
            self.assertIs(self.state(), RecordingState.TROUBLE)
        self.assertEqual(os.listdir(self.rig.path), [])
        os.rmdir(self.rig.path)
        os.rename(away, self.rig.path)
        self.retry()
        self.assertEqual(self.durable[-1], 1)
        self.assert_stored(0, 1)

    def test_folder_goes_in_a_round(self) -> None:
        """What was written while the folder went may be anywhere, so it is not acknowledged, and
        is written again."""
        self.append(0)
        self.rig.settle()
        away, syncfs = self.mktemp(), self.disk.syncfs

        def gone(descriptor: int) -> None:
            syncfs(descriptor)
            os.rename(self.rig.path, away)

        self.disk.syncfs = gone  # type: ignore[method-assign]
        self.append(1)
        self.store.writer.round()
        self.assertEqual(self.durable, [0])
        self.disk.syncfs = syncfs  # type: ignore[method-assign]
        os.rename(away, self.rig.path)
        self.retry()
        self.assertEqual(self.durable[-1], 1)
        self.assert_stored(0, 1)

    def test_abandoned_file_cannot_be_cut(self) -> None:
        """Even if what was lost stays behind in the old file, readers see each segment once."""
        self.append(0)
        self.rig.settle()
        self.disk.errors["sync"] = self.disk.errors["truncate"] = errno.EIO
        self.append(1)
        self.store.writer.round()
        self.disk.errors.clear()
        self.append(2)
        self.retry()
        self.end()
        self.rig.settle()
        page = self.successResultOf(
            self.store.archive.segments("desk-1", self.session.session_id, SegmentQuery())
        )
        self.assertEqual([segment.sequence for segment in page.segments], [0, 1, 2])
        film, _ = self.successResultOf(self.store.archive.film("desk-1", self.session.session_id))
        media = self.store.archive.media("desk-1", self.session.session_id, 0, 9)
        segments = b"".join(an_arrival(self.session, number).segment.data for number in range(3))
        for body, taken in ((film, media_of), (self.successResultOf(media)[0], bytes)):
            data = self.successResultOf(body.read(0, body.size_bytes))
            self.assertEqual(taken(data), segments)

    def test_no_descriptors(self) -> None:
        """Without a free descriptor a session waits, and is recorded when there is one."""
        self.disk.errors["create"] = errno.EMFILE
        session = a_session(1)
        self.store.ledger.begin(session, lambda sequence: None)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        self.append(0)
        self.store.writer.round()
        self.assertEqual(self.durable, [0])
        self.assertIs(self.store.ledger.recording(session.session_id), RecordingState.TROUBLE)
        del self.disk.errors["create"]
        self.retry()
        self.assertEqual(sorted(stored(self.rig, session)), [0])

    def test_no_memory_for_a_moment(self) -> None:
        """A segment that was just being put into its part when something else than the disk
        failed is written with the next round."""

        class Heavy(bytes):
            is_too_much = False

            def __len__(self) -> int:
                if self.is_too_much:
                    raise MemoryError
                return super().__len__()

        arrival = an_arrival(self.session, 0)
        data = Heavy(arrival.segment.data)
        arrival = replace(arrival, segment=replace(arrival.segment, data=data))
        self.store.ledger.append(self.session.session_id, arrival)
        data.is_too_much = True
        self.store.writer.round()
        self.assertEqual(self.durable, [])
        data.is_too_much = False
        self.retry()
        self.assertEqual(self.durable, [0])
        self.assert_stored(0)
        self.flushLoggedErrors(MemoryError)

    def test_only_the_failing_session_suffers(self) -> None:
        """An error of one session's files does not hold up another's."""
        other = a_session(1, sentinel_id="desk-2")
        acknowledged: list[int] = []
        self.store.ledger.begin(other, acknowledged.append)
        self.rig.settle()
        real = self.disk.writev

        def writev(descriptor: int, buffers: Any) -> int:
            if b"frame 1" in b"".join(buffers):
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, buffers)

        self.disk.writev = writev  # type: ignore[method-assign]
        self.append(1)
        self.store.ledger.append(other.session_id, an_arrival(other, 0))
        self.store.writer.round()
        self.assertEqual(acknowledged, [0])
        self.assertIs(self.state(), RecordingState.TROUBLE)

    def test_cause_of_a_gap(self) -> None:
        """What a failing disk keeps from being recorded is a gap with that cause."""
        for number, cause in ((errno.ENOSPC, Cause.DISK_FULL), (errno.EIO, Cause.WRITE_ERROR)):
            self.make(queue_segments=2)
            self.disk.errors["write"] = number
            self.append(0)
            self.store.writer.round()
            self.append(1, 2, 3)
            self.disk.errors.clear()
            self.retry()
            self.append(4)
            self.rig.settle()
            shown = self.successResultOf(
                self.store.archive.session("desk-1", self.session.session_id)
            )
            gaps = [(gap.first, gap.last, gap.cause) for gap in shown.gaps]
            self.assertEqual(gaps, [(2, 3, cause)])
            self.assertNotEqual(shown.gaps[0].detail, "")

    def test_one_gap_and_no_sieve(self) -> None:
        """A queue that was full takes segments again when there is real room, not one by one."""
        self.make(queue_segments=20)
        frame = bytes(ROUND_BYTES // 4)
        for sequence in range(22):
            arrival = an_arrival(self.session, sequence, frame=frame)
            self.store.ledger.append(self.session.session_id, arrival)
        for sequence in range(22, 26):
            self.store.writer.round()
            self.append(sequence)
        self.rig.settle()
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual([(gap.first, gap.last) for gap in shown.gaps], [(20, 22)])

    def test_declared_gap_and_a_failed_sync(self) -> None:
        """A declared gap is acknowledged after the failure of the round that it was in."""
        self.disk.errors["sync"] = errno.EIO
        self.append(0)
        self.store.ledger.gap(self.session.session_id, Gap(1, 3, Cause.DECLARED))
        self.store.writer.round()
        self.assertEqual(self.durable, [])
        self.disk.errors.clear()
        self.retry()
        self.assertEqual(self.durable, [3])

    def test_session_begins_with_a_full_queue(self) -> None:
        """With a full queue a session is not recorded until there is room, and then is."""
        self.make(queue_bytes=3_000)
        big = an_arrival(self.session, 0, frame=bytes(2_000))
        self.store.ledger.append(self.session.session_id, big)
        late = a_session(1)
        self.store.ledger.begin(late, lambda sequence: None)
        self.assertIs(self.store.ledger.recording(late.session_id), RecordingState.TROUBLE)
        self.store.ledger.append(late.session_id, an_arrival(late, 0))
        self.rig.settle()
        self.store.ledger.append(late.session_id, an_arrival(late, 1))
        self.rig.settle()
        self.assertIs(self.store.ledger.recording(late.session_id), RecordingState.OK)
        self.assertEqual(sorted(stored(self.rig, late)), [1])
        shown = self.successResultOf(self.store.archive.session("desk-1", late.session_id))
        gaps = [(gap.first, gap.last, gap.cause) for gap in shown.gaps]
        self.assertEqual(gaps, [(0, 0, Cause.QUEUE_FULL)])

    def test_database_fails(self) -> None:
        """A database that fails is an alarm; segments are recorded and acknowledged all the
        same, and it is caught up with later."""
        path = os.path.join(self.rig.path, "index.sqlite3")
        holder = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("ALTER TABLE sessions RENAME TO away")
        second = a_session(1)
        self.store.ledger.begin(second, lambda sequence: None)
        self.append(0)
        self.store.writer.round()
        self.assertEqual(self.durable, [0])
        self.assertIs(self.state(), RecordingState.TROUBLE)
        holder.execute("ALTER TABLE away RENAME TO sessions")
        self.end()
        self.retry()
        self.assertIs(self.store.ledger.recording(second.session_id), RecordingState.OK)
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        self.assertIs(shown.state, SessionState.ENDED)
        self.assertEqual(shown.segment_count, 1)

    def test_no_pause(self) -> None:
        """The end of a session does not wait for another pause; but where the database cannot be
        told, it does."""
        self.append(0)
        self.end()
        self.assertEqual([self.store.writer.round() for _ in range(3)], [0.0, None, None])
        self.make()
        index = os.path.join(self.rig.path, "index.sqlite3")
        os.rename(index, index + ".away")
        self.append(0)
        self.end()
        rounds = [self.store.writer.round() for _ in range(3)]
        self.assertEqual(rounds, [0.0, ROUND_SECONDS, ROUND_SECONDS])
        os.rename(index + ".away", index)
        self.retry()
        self.assertIsNone(self.store.ledger.account(self.session.session_id))

    def test_end_on_a_failing_disk(self) -> None:
        """A session that ends while the disk fails is brought to its end afterwards."""
        self.append(0)
        self.rig.settle()
        self.disk.errors["sync"] = errno.EIO
        self.append(1)
        self.end()
        for _ in range(3):
            self.store.writer.round()
            self.rig.clock.advance(RETRY_SECONDS)
        self.disk.errors = {"replace": errno.EIO}
        for _ in range(3):
            self.store.writer.round()
            self.rig.clock.advance(RETRY_SECONDS)
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual((shown.state, shown.segment_count), (SessionState.ENDED, 2))
        self.disk.errors.clear()
        self.rig.settle()
        self.assert_stored(0, 1)
        again = self.rig.again()
        self.addCleanup(again.close)
        shown = self.successResultOf(again.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual((shown.end_reason, shown.segment_count), ("over", 2))

    def test_stop_on_a_failing_disk(self) -> None:
        """A stop does not wait for ever; what was acknowledged is there at the next start."""
        self.append(0)
        self.rig.settle()
        self.disk.errors["write"] = errno.EIO
        self.append(1)
        self.successResultOf(self.store.stop())
        self.disk.errors.clear()
        again = self.rig.again()
        self.addCleanup(again.close)
        self.assert_stored(0)
        shown = self.successResultOf(again.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual(shown.gaps[-1].cause, Cause.SERVER_STOPPED)

    def test_folder_of_another(self) -> None:
        """A file that is in the way is left as it is."""
        session = a_session(1)
        folder = folder_of(self.rig, session)
        os.makedirs(folder)
        with open(os.path.join(folder, "part-0000.mp4"), "wb") as foreign:
            foreign.write(b"somebody's")
        self.store.ledger.begin(session, lambda sequence: None)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        self.store.writer.round()
        self.retry()
        with open(os.path.join(folder, "part-0000.mp4"), "rb") as foreign:
            self.assertEqual(foreign.read(), b"somebody's")
        _, rows = read_part(self.rig, session, 1)
        self.assertEqual([row[0] for row in rows], [0])

    def test_records_cannot_be_made(self) -> None:
        """A part whose records cannot be made is given up, and its number used again."""
        session = a_session(1)
        self.disk.room_bytes = None
        real = self.disk.create

        def create(path: str) -> int:
            if path.endswith(".idx"):
                raise OSError(errno.EMFILE, "Too many open files")
            return real(path)

        self.disk.create = create  # type: ignore[method-assign]
        before = len(os.listdir("/proc/self/fd"))
        self.store.ledger.begin(session, lambda sequence: None)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        self.store.writer.round()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.disk.create = real  # type: ignore[method-assign]
        self.retry()
        self.assertEqual(part_numbers(self.rig, session), [0])
        self.assertEqual(sorted(stored(self.rig, session)), [0])

    def test_parts_cannot_be_opened_again(self) -> None:
        """A part that cannot be opened again is left alone, and another is begun."""
        self.make(open_parts=1)
        other = a_session(1)
        self.store.ledger.begin(other, lambda sequence: None)
        for sequence in range(2):
            self.append(sequence)
            self.store.ledger.append(other.session_id, an_arrival(other, sequence))
            self.disk.errors = {"reopen": errno.EMFILE} if sequence else {}
            self.store.writer.round()
            self.store.writer.round()
        self.disk.errors.clear()
        self.retry()
        self.assert_stored(0, 1)
        self.assertEqual(sorted(stored(self.rig, other)), [0, 1])

    def test_changed_while_it_was_closed(self) -> None:
        """A part that is not as long as it was left is not gone on with, and another is begun."""
        for name in ("part-0000.mp4", "part-0000.idx"):
            self.make(open_parts=1)
            self.append(0)
            self.rig.settle()
            other = a_session(1)
            self.store.ledger.begin(other, lambda sequence: None)
            self.rig.settle()
            with open(os.path.join(folder_of(self.rig, self.session), name), "ab") as file:
                file.write(b"of somebody else")
            self.append(1)
            self.store.writer.round()
            self.assertEqual(self.durable[-1], 0)
            self.retry()
            self.assertEqual(part_numbers(self.rig, self.session), [0, 1])
            self.assert_stored(0, 1)

    def test_mistake_of_ours(self) -> None:
        """A mistake in our own code fails a round like a disk does: it is logged, nothing is
        acknowledged, and everything is tried again."""
        places: tuple[tuple[str, Any], ...] = (
            ("writev", self.disk.writev),
            ("syncfs", self.disk.syncfs),
        )
        for number, (name, real) in enumerate(places):

            def mistake(*arguments: Any) -> Any:
                raise ZeroDivisionError

            setattr(self.disk, name, mistake)
            self.append(number)
            self.store.writer.round()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertNotIn(number, self.durable)
            self.assertIs(self.state(), RecordingState.TROUBLE)
            setattr(self.disk, name, real)
            self.retry()
            self.assertEqual(self.durable[-1], number)

    def test_patience(self) -> None:
        """The last rounds wait for a disk that fails, and no longer than they are told to."""
        self.disk.errors["write"] = errno.EIO
        self.append(0)
        self.end()
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            self.rig.clock.advance(seconds)
            if len(pauses) == 7:
                self.disk.errors.clear()

        self.store.writer.finish(3.0, pause)
        self.assertEqual(self.durable, [0])
        self.assertLess(sum(pauses), 2.5)
        self.make()
        self.disk.errors["write"] = errno.EIO
        self.append(0)
        self.end()
        self.store.writer.finish(3.0, self.rig.clock.advance)
        self.assertEqual(self.durable, [0])
        self.assertLessEqual(self.rig.clock.seconds(), 3.5)

    def test_refused_at_the_end(self) -> None:
        """What was refused just before a session ended is a gap of it, to the last one."""
        self.make(queue_segments=2)
        self.append(0, 1, 2, 3, 4)
        self.end()
        self.rig.settle()
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual([(gap.first, gap.last) for gap in shown.gaps], [(2, 4)])

    def test_refused_with_a_hole(self) -> None:
        """Refused segments with a hole between them are two gaps, and the hole is a third."""
        self.make(queue_segments=1)
        self.append(0, 1, 2, 5, 6)
        self.append(3, late=True)
        self.end()
        self.rig.settle()
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        gaps = [(gap.first, gap.last, gap.cause) for gap in shown.gaps]
        full, missing = Cause.QUEUE_FULL, Cause.MISSING
        self.assertEqual(gaps, [(1, 2, full), (3, 4, missing), (5, 6, full)])

    def test_session_without_any_room(self) -> None:
        """A session that came and went while the queue was full is listed all the same, with
        all of it missing, and the cause."""
        self.make(queue_bytes=3_000)
        self.store.ledger.append(
            self.session.session_id, an_arrival(self.session, 0, frame=bytes(2_000))
        )
        brief = a_session(1)
        self.store.ledger.begin(brief, lambda sequence: None)
        self.store.ledger.append(brief.session_id, an_arrival(brief, 0))
        self.store.ledger.end(brief.session_id, "over", EPOCH_US)
        self.rig.settle()
        for _ in range(2):
            shown = self.successResultOf(self.rig.store.archive.session("desk-1", brief.session_id))
            gaps = [(gap.first, gap.last, gap.cause) for gap in shown.gaps]
            self.assertEqual(gaps, [(0, 0, Cause.QUEUE_FULL)])
            self.assertEqual((shown.state, shown.segment_count), (SessionState.ENDED, 0))
            self.rig = self.rig.again()
            self.addCleanup(self.rig.close)

    def test_many_gaps(self) -> None:
        """However often a Sentinel speaks of gaps, only so much of it is kept; the rest has a
        name all the same, and nobody waits for it."""
        self.append(0)
        for sequence in range(1, 20_001):
            self.store.ledger.gap(self.session.session_id, Gap(sequence, sequence, Cause.DECLARED))
        self.rig.settle()
        self.assertEqual(self.durable[-1], 20_000)
        self.end()
        self.rig.settle()
        shown = self.successResultOf(self.store.archive.session("desk-1", self.session.session_id))
        self.assertEqual(len(shown.gaps), 10_000)
        last = shown.gaps[-1]
        self.assertEqual((last.first, last.last, last.cause), (10_000, 20_000, Cause.MISSING))

    def test_numbers_out_of_range(self) -> None:
        """A number that no record holds is refused at the door, and stops nothing."""
        arrival = an_arrival(self.session, 0)
        bad = replace(arrival, segment=replace(arrival.segment, start_time_us=2**63))
        with self.assertRaises(RequestError):
            self.store.ledger.append(self.session.session_id, bad)
        edge = replace(arrival, segment=replace(arrival.segment, start_time_us=2**63 - 1))
        self.store.ledger.append(self.session.session_id, edge)
        self.end()
        self.rig.settle()
        self.assertEqual(self.durable, [0])
