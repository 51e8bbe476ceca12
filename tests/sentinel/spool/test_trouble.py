"""Tests of disks that fail: nothing is raised, nothing is lost that memory has room for."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.sentinel.spool.rig import OTHER, SESSION, Rig, a_segment
from vidlink.sentinel.spool.complaints import AGAIN_SECONDS
from vidlink.sentinel.spool.writer import OPEN_CHUNKS, RETRY_SECONDS, SYNC_SECONDS

INIT = media.init_segment()
FILLER = 20_000


class TroubleCase(SynchronousTestCase):
    """A spool, and a session that has begun."""

    most_bytes, memory_bytes = 1 << 30, 1 << 30

    def setUp(self) -> None:
        """Make it."""
        self.rig = Rig(self.mktemp(), self.most_bytes, self.memory_bytes)
        self.rig.spool.begin(SESSION, INIT, True)
        self.rig.settle()

    def append(self, *sequences: int, filler_bytes: int = 0) -> None:
        """Segments are captured."""
        for sequence in sequences:
            self.rig.spool.append(a_segment(sequence, filler_bytes=filler_bytes))


class RoundTests(TroubleCase):
    """When what is written and synced."""

    def test_written_at_once(self) -> None:
        """A kill right after a round takes nothing with it, whether or not it was synced."""
        self.append(0, 1)
        self.assertEqual(self.rig.write(), SYNC_SECONDS)
        self.rig.again()
        self.assertEqual(self.rig.held(), [0, 1])

    def test_synced_soon(self) -> None:
        """What was written is synced half a second later, together with what came since."""
        self.append(0)
        self.rig.write()
        self.rig.disk.done.clear()
        self.rig.now += SYNC_SECONDS / 2
        self.append(1)
        self.assertEqual(self.rig.write(), SYNC_SECONDS / 2)
        self.assertNotIn("sync", [name for name, _ in self.rig.disk.done])
        self.rig.now += SYNC_SECONDS / 2
        self.assertIsNone(self.rig.write())
        self.assertEqual([name for name, _ in self.rig.disk.done].count("sync"), 1)

    def test_few_files_open(self) -> None:
        """However many sessions there were, few files are open."""
        for number in range(3 * OPEN_CHUNKS):
            self.rig.spool.begin(f"session-number-{number:04}", INIT, True)
            self.rig.write()
        recordings = self.rig._runner.writer._recordings.values()
        self.assertLessEqual(
            sum(recording.chunk is not None for recording in recordings), OPEN_CHUNKS
        )
        self.rig.settle()
        self.rig.again()
        self.assertEqual(len(self.rig.spool.sessions()), 3 * OPEN_CHUNKS + 1)


class ErrorTests(TroubleCase):
    """Errors of the system, and that they pass."""

    def test_every_operation(self) -> None:
        """Whatever fails, and however: what is captured meanwhile is kept, and written later."""
        sequence = 0
        for operation in ("write", "sync", "create", "truncate", "remove"):
            for number in (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE):
                self.rig.disk.errors[operation] = number
                for _ in range(2):
                    self.append(sequence, sequence + 1)
                    self.rig.settle()
                    sequence += 2
                self.assertEqual(self.rig.held(), list(range(sequence)), operation)
                self.rig.disk.errors.clear()
                self.rig.settle()
        self.rig.again()
        self.assertEqual(self.rig.held(), list(range(sequence)))
        self.assertEqual(self.rig.dropped(), [])

    def test_one_error_while_a_chunk_goes(self) -> None:
        """One error while a chunk is removed takes nothing of what was written and not synced
        yet: it is written again, before what came after it."""
        for operation in ("write", "sync"):
            rig = Rig(self.mktemp())
            rig.spool.begin(SESSION, INIT, True)
            for sequence in range(300):
                rig.spool.append(a_segment(sequence, filler_bytes=FILLER))
            rig.settle()
            rig.spool.append(a_segment(300))
            rig.write()
            rig.spool.forget(SESSION, 290)
            rig.spool.append(a_segment(301))
            rig.disk.errors_once[operation] = errno.EIO
            for _ in range(3):
                rig.settle()
            self.assertEqual(rig.disk.errors_once, {})
            self.assertEqual(rig.held(), list(range(291, 302)), operation)
            rig.again()
            self.assertEqual(rig.held(), list(range(291, 302)), operation)
            self.assertEqual(rig.dropped(), [])

    def test_abandoned(self) -> None:
        """A chunk that could not be synced is cut to what had been, and not touched again."""
        self.append(0)
        self.rig.settle()
        (chunk,) = self.rig.chunks()
        before = chunk.read_bytes()
        self.rig.disk.errors["sync"] = errno.EIO
        self.append(1)
        self.rig.settle()
        self.rig.disk.errors.clear()
        self.rig.settle()
        self.assertEqual(chunk.read_bytes(), before)
        self.assertEqual(self.rig.held(), [0, 1])

    def test_short_writes(self) -> None:
        """A disk that takes a part and then nothing leaves no half entry that counts."""
        # The system says that there is room, and is wrong.
        self.patch(self.rig.disk, "free_bytes", lambda path: 10**12)
        for number, room in enumerate(range(0, 1_050, 25)):
            self.rig.disk.room_bytes = room
            self.append(3 * number, 3 * number + 1, 3 * number + 2)
            self.rig.settle()
            self.assertEqual(self.rig.held(), list(range(3 * number + 3)))
            self.rig.disk.room_bytes = None
            self.rig.settle()
        before = self.rig.held()
        self.rig.again()
        self.assertEqual(self.rig.held(), before)

    def test_told(self) -> None:
        """Somebody is told at once, then once a minute, and when it is over."""
        self.rig.disk.errors["write"] = errno.EROFS
        self.append(0)
        for _ in range(130):
            self.assertEqual(self.rig.write(), RETRY_SECONDS)
            self.rig.now += RETRY_SECONDS
        self.assertEqual(len(self.rig.told), 1 + int(130 / AGAIN_SECONDS))
        self.assertIn("Read-only file system", self.rig.told[0])
        self.rig.disk.errors.clear()
        self.rig.settle()
        self.assertIn("is written again", self.rig.told[-1])
        count = len(self.rig.told)
        self.append(1)
        self.rig.settle()
        self.assertEqual(len(self.rig.told), count)

    def test_one_session_of_many(self) -> None:
        """Where one session's folder cannot be written to, the others are written."""
        (self.rig.place / OTHER).write_text("in the way")
        self.rig.spool.begin(OTHER, INIT, True)
        self.append(0)
        self.rig.spool.append(a_segment(0, OTHER))
        self.rig.settle()
        self.assertEqual((self.rig.held(), self.rig.held(OTHER)), ([0], [0]))
        self.rig.again()
        self.assertEqual(self.rig.held(), [0])

    def test_folder_gone(self) -> None:
        """A folder that somebody removed is made again; what was in it is named as lost."""
        self.append(0, 1)
        self.rig.settle()
        for path in self.rig.chunks():
            path.unlink()
        (self.rig.place / SESSION).rmdir()
        self.rig.again()
        self.rig.spool.begin(SESSION, INIT, True)
        self.append(10)
        self.rig.settle()
        self.assertEqual(self.rig.held(), [10])

    def test_cannot_be_read(self) -> None:
        """What the disk cannot read is lost and named; what it may read later is waited for."""
        self.append(0, 1)
        self.rig.settle()
        found: list[object] = []
        self.rig.disk.errors["read"] = errno.ENOMEM
        self.rig.spool.read(SESSION, 0, 9).addCallback(found.append)
        self.assertEqual(self.rig.write(), RETRY_SECONDS)
        self.assertEqual(found, [])
        self.rig.disk.errors.clear()
        self.rig.write()
        self.assertEqual(len(found), 1)
        self.rig.disk.errors["read"] = errno.EIO
        self.assertEqual(self.rig.held(), [])
        self.assertEqual(self.rig.dropped(), [(0, 1, "damaged")])

    def test_acknowledged_while_read(self) -> None:
        """What is acknowledged while it is read is not taken for damaged when it is gone."""
        self.append(0, 1)
        self.rig.settle()
        found: list[object] = []
        self.rig.spool.read(SESSION, 0, 9).addCallback(found.append)
        self.rig.spool.forget(SESSION, 1)
        for path in self.rig.chunks():
            path.unlink()
        self.rig.answer()
        self.assertEqual(self.rig.dropped(), [])
        self.assertEqual(found, [()])

    def test_stopped_in_trouble(self) -> None:
        """A disk that takes nothing does not hold up the end; what is lost with it is said."""
        self.append(0)
        self.rig.settle()
        self.rig.disk.errors["write"] = errno.EIO
        self.append(1, 2)
        self.assertIsNone(self.successResultOf(self.rig.close()))
        trouble, end = self.rig.told
        self.assertIn("cannot be written", trouble)
        self.assertIn("2 segments are lost", end)


class MemoryTests(TroubleCase):
    """What memory is for, and its bound."""

    memory_bytes = 30 * FILLER

    def test_bound(self) -> None:
        """While the disk takes nothing the oldest in memory goes; on the disk nothing does."""
        self.append(*range(20), filler_bytes=FILLER)
        self.rig.settle()
        self.rig.disk.errors["write"] = errno.EIO
        self.append(*range(20, 80), filler_bytes=FILLER)
        self.rig.write()
        self.assertEqual(self.rig.dropped(), [(20, 59, "spool-full")])
        self.assertEqual(self.rig.held(), [*range(20), *range(60, 80)])
        self.assertEqual(self.rig.spool.load, self.rig.spool._waiting_bytes / self.memory_bytes)
        self.rig.disk.errors.clear()
        self.rig.settle()
        self.rig.again()
        self.assertEqual(self.rig.held(), [*range(20), *range(60, 80)])
        self.assertEqual(self.rig.dropped(), [(20, 59, "spool-full")])

    def test_only_a_keyframe_is_of_use(self) -> None:
        """When all of a session was dropped, what builds on it is dropped as well."""
        self.rig.disk.errors["write"] = errno.EIO
        self.append(0, 1, filler_bytes=MemoryTests.memory_bytes)
        self.append(2, 3)
        self.assertEqual(self.rig.dropped(), [(0, 3, "spool-full")])
        self.append(10)
        self.assertEqual(self.rig.held(), [10])


class RoomTests(TroubleCase):
    """The disk is not ours alone."""

    most_bytes = 16 * 1024 * 1024

    def test_bound_on_disk(self) -> None:
        """However much is captured, what is on the disk stays within the bound."""
        for start in range(0, 2_000, 50):
            self.append(*range(start, start + 50), filler_bytes=FILLER)
            self.rig.settle()
            self.assertLessEqual(self.rig.size_bytes(), self.most_bytes)
        ((first, last, cause),) = self.rig.dropped()
        self.assertEqual((first, cause), (0, "spool-full"))
        self.assertEqual(self.rig.held(), list(range(last + 1, 2_000)))
        self.assertGreater(self.rig.size_bytes(), 0.85 * self.most_bytes)

    def test_acknowledged_makes_room(self) -> None:
        """What is acknowledged takes no room from what is not, in however many sessions it is."""
        for number in range(14):
            name = f"session-number-{number:04}"
            self.rig.spool.begin(name, INIT, True)
            for sequence in range(45):
                self.rig.spool.append(a_segment(sequence, name, filler_bytes=FILLER))
            self.rig.settle()
            self.rig.spool.forget(name, 44)
            self.rig.settle()
        self.append(*range(500), filler_bytes=FILLER)
        self.rig.settle()
        self.assertLessEqual(self.rig.size_bytes(), self.most_bytes)
        self.assertEqual(self.rig.dropped(), [])
        self.assertEqual(self.rig.held(), list(range(500)))
        self.assertEqual(self.rig.told, [])

    def test_nearly_full(self) -> None:
        """On a file system that is nearly full the oldest makes room for the newest; it is never
        filled, and grows again when there is room."""
        self.append(*range(300), filler_bytes=FILLER)
        self.rig.settle()
        free = [self.rig._runner.writer._keep_free_bytes + 1_000_000]
        written = self.rig.size_bytes()
        self.patch(
            self.rig.disk, "free_bytes", lambda path: free[0] + written - self.rig.size_bytes()
        )
        for start in range(300, 800, 20):
            self.append(*range(start, start + 20), filler_bytes=FILLER)
            self.rig.settle()
            self.assertLessEqual(self.rig.size_bytes(), written + 1_000_000)
        ((first, last, cause),) = self.rig.dropped()
        self.assertEqual((first, cause), (0, "spool-full"))
        self.assertEqual(self.rig.held(), list(range(last + 1, 800)))
        self.assertGreater(len(self.rig.held()), 200)
        free[0] = 10**12
        self.append(*range(800, 1_000), filler_bytes=FILLER)
        self.rig.settle()
        self.assertEqual(self.rig.held()[-200:], list(range(800, 1_000)))

    def test_no_room_at_all(self) -> None:
        """Where nothing of ours could make room, memory is used; the rest of the disk is not."""
        self.patch(self.rig.disk, "free_bytes", lambda path: 0)
        before = self.rig.size_bytes()
        self.append(*range(10))
        self.rig.settle()
        self.assertEqual(self.rig.size_bytes(), before)
        self.assertEqual(self.rig.held(), list(range(10)))
        self.assertIn("the file system is nearly full", self.rig.told[0])

    def test_lower_bound(self) -> None:
        """A process that may keep less begins by dropping what is too much."""
        self.append(*range(500), filler_bytes=FILLER)
        self.rig.settle()
        self.rig.kill()
        smaller = Rig(self.rig.folder, 4 * 1024 * 1024)
        smaller.settle()
        self.assertLessEqual(smaller.size_bytes(), 4 * 1024 * 1024)
        ((first, last, _),) = smaller.dropped()
        self.assertEqual([*range(first, last + 1), *smaller.held()], list(range(500)))
