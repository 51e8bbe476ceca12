"""Tests of the reading side: damage, pages, and what happens between reactor and pool."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of, read_part
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, FRAME_US, INIT, a_session, an_arrival, renamed
from vidlink.errors import Damaged, NotFound, StoreError
from vidlink.fmp4 import sample_description
from vidlink.model import ClipQuery, SegmentQuery, Session, SessionQuery
from vidlink.store import RecordingStore
from vidlink.store.files.layout import RECORD_BYTES

DAY_US = 24 * 60 * 60 * 1_000_000


class ReadingCase(SynchronousTestCase):
    """A session of twelve segments that is wholly on disk."""

    def setUp(self) -> None:
        """A store with the session."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.store = self.rig.store
        self.session = a_session()
        self.write(self.session, 12)

    def write(self, session: Session, count: int) -> None:
        """A session of so many segments, from its beginning to its end."""
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in range(count):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.store.ledger.end(
            session.session_id, "over", session.started_time_us + count * FRAME_US
        )
        self.rig.settle()

    def path(self, name: str) -> str:
        """A file of the session."""
        return os.path.join(folder_of(self.rig, self.session), name)

    def test_date(self) -> None:
        """What is made of a whole session has the time at which the newest of it was received, in
        whichever part that is."""
        session = self.session = a_session(1)
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in (0, 1, 5, 3):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.store.ledger.end(session.session_id, "over", EPOCH_US)
        self.rig.settle()
        self.assertTrue(os.path.exists(self.path("part-0001.mp4")))
        self.assertIsNone(self.successResultOf(self.asked("playlist")).modified_us)
        self.rig.now_us = EPOCH_US + 2 * DAY_US
        body = self.successResultOf(self.asked("playlist"))
        self.assertTrue(body.is_final)
        self.assertEqual(body.modified_us, an_arrival(session, 5).received_time_us)

    def flip(self, name: str, place: int) -> None:
        """Make one byte of a file of the session wrong."""
        with open(self.path(name), "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes((byte ^ 0x10,)))

    def asked(self, name: str, *arguments: Any) -> Deferred[Any]:
        """Ask the store about the session."""
        found: Deferred[Any] = getattr(self.store.archive, name)(
            self.session.sentinel_id, self.session.session_id, *arguments
        )
        return found

    def got(self, name: str, *arguments: Any) -> Any:
        """What the store says about the session."""
        return self.successResultOf(self.asked(name, *arguments))


class DamageTests(ReadingCase):
    """Bit rot: what is damaged is told, and what lies beside it is served."""

    def test_every_byte_of_a_segment(self) -> None:
        """A segment with a wrong byte is never given out; its neighbours are."""
        _, rows = read_part(self.rig, self.session, 0)
        offset, size = rows[5][1], rows[5][2]
        for place in range(offset, offset + size, 3):
            self.flip("part-0000.mp4", place)
            body, missing = self.got("media", 5, 5)
            self.assertEqual(missing, ())
            self.failureResultOf(body.read(0, 1), Damaged)
            for sequence in (4, 6):
                body, _ = self.got("media", sequence, sequence)
                data = self.successResultOf(body.read(0, 10_000))
                self.assertEqual(data, an_arrival(self.session, sequence).segment.data)
            self.flip("part-0000.mp4", place)

    def test_damage_inside_a_film(self) -> None:
        """A film is served up to the damage and behind it, and the damage never is."""
        whole, _ = self.got("film")
        good = self.successResultOf(whole.read(0, whole.size_bytes))
        _, rows = read_part(self.rig, self.session, 0)
        self.flip("part-0000.mp4", rows[5][1] + 3)
        film, _ = self.got("film")
        self.assertEqual(film.etag, whole.etag)
        shift = whole.size_bytes - os.path.getsize(self.path("part-0000.mp4"))
        start, stop = rows[5][1] + shift, rows[6][1] + shift
        for offset in range(0, film.size_bytes, 9):
            read = film.read(offset, 9)
            if offset + 9 <= start or offset >= stop:
                self.assertEqual(self.successResultOf(read), good[offset : offset + 9])
            else:
                self.failureResultOf(read, Damaged)

    def test_damage_costs_itself(self) -> None:
        """A film that is asked for once damage was met leaves out what cannot be shown for it,
        and says so; all the rest of it is there, also where a part is gone."""
        _, rows = read_part(self.rig, self.session, 0)
        self.flip("part-0000.mp4", rows[5][1] + 3)
        broken, _ = self.got("film")
        self.failureResultOf(broken.read(0, broken.size_bytes), Damaged)
        film, _ = self.got("film")
        self.assertNotEqual(film.etag, broken.etag)
        data = self.successResultOf(film.read(0, film.size_bytes))
        for sequence in range(12):
            segment = bytes(an_arrival(self.session, sequence).segment.data)
            self.assertEqual(segment in data, not 5 <= sequence < 10)
        self.assertIn(b"what was written is damaged", data)
        again = self.got("film", ClipQuery(), broken.etag)[0]
        self.assertEqual(again.etag, film.etag)
        os.unlink(self.path("part-0000.mp4"))
        gone, _ = self.got("film")
        self.failureResultOf(gone.read(0, gone.size_bytes), Damaged)
        rest = self.got("film")[0]
        self.assertEqual(self.successResultOf(rest.read(0, rest.size_bytes)), INIT)

    def test_sealed_film_with_damage(self) -> None:
        """A film of a sealed session cannot change, until damage is met in it; one of a given
        version never does."""
        self.rig.now_us = EPOCH_US + 2 * DAY_US
        whole, _ = self.got("film")
        self.assertTrue(whole.is_final)
        self.assertIsNotNone(whole.modified_us)
        _, rows = read_part(self.rig, self.session, 0)
        self.flip("part-0000.mp4", rows[5][1] + 3)
        self.failureResultOf(whole.read(0, whole.size_bytes), Damaged)
        film, _ = self.got("film")
        self.assertEqual((film.is_final, film.modified_us), (False, None))
        self.assertTrue(self.got("film", ClipQuery(), film.etag)[0].is_final)

    def test_passing_trouble(self) -> None:
        """A file that cannot be opened for now is not taken for damage: the film is whole again
        afterwards."""
        film, _ = self.got("film")
        path = self.path("part-0000.mp4")
        os.rename(path, path + "~")
        os.symlink("part-0000.mp4", path)
        self.failureResultOf(film.read(0, film.size_bytes), StoreError)
        os.unlink(path)
        os.rename(path + "~", path)
        again, _ = self.got("film")
        self.assertEqual(again.etag, film.etag)
        self.assertEqual(len(self.successResultOf(again.read(0, 10**6))), film.size_bytes)

    def test_damaged_record(self) -> None:
        """A segment whose record is damaged is passed over; the others are found."""
        for place in (0, 5, 11):
            self.flip("part-0000.idx", place * RECORD_BYTES + 9)
            others = [sequence for sequence in range(12) if sequence != place]
            listed = [one.sequence for one in self.got("segments", SegmentQuery()).segments]
            self.assertEqual(listed, others)
            for sequence in others:
                page = self.got("segments", SegmentQuery(after=sequence - 1, limit=1))
                self.assertEqual(page.segments[0].sequence, sequence)
            body, missing = self.got("media", 0, 11)
            self.assertEqual(missing, ((place, place),))
            data = b"".join(an_arrival(self.session, one).segment.data for one in others)
            self.assertEqual(self.successResultOf(body.read(0, 10**6)), data)
            self.flip("part-0000.idx", place * RECORD_BYTES + 9)

    def test_all_records_damaged(self) -> None:
        """Records that are all damaged end no search, and none of them is believed."""
        for place in range(12):
            self.flip("part-0000.idx", place * RECORD_BYTES)
        self.assertEqual(self.got("segments", SegmentQuery(after=3)).segments, ())

    def test_cut_part(self) -> None:
        """A segment that the part is too short for is damaged."""
        os.truncate(self.path("part-0000.mp4"), os.path.getsize(self.path("part-0000.mp4")) - 1)
        body, _ = self.got("media", 11, 11)
        self.failureResultOf(body.read(0, 1), Damaged)

    def test_damaged_init(self) -> None:
        """A wrong byte in the init costs nothing, as there are two; wrong bytes in both are told
        where the init is needed, and nowhere else."""
        self.flip("part-0000.mp4", 3)
        film, _ = self.got("film")
        self.assertIn(sample_description(INIT), self.successResultOf(film.read(0, 10**6)))
        self.assertEqual(self.got("session").session.init, INIT)
        with sqlite3.connect(os.path.join(self.rig.path, "index.sqlite3")) as database:
            database.execute("UPDATE sessions SET init_crc32 = init_crc32 - 1")
        database.close()
        self.assertEqual(self.got("session").session.init, INIT)
        self.flip("session.json", 100)
        self.failureResultOf(self.asked("film"), Damaged)
        self.failureResultOf(self.asked("session"), Damaged)
        self.assertEqual(len(self.got("segments", SegmentQuery()).segments), 12)
        body, _ = self.got("media", 0, 11)
        self.assertEqual(len(self.successResultOf(body.read(0, 10**6))), body.size_bytes)

    def test_init_of_another_part(self) -> None:
        """Every part has the init: one that is damaged is made good by the next."""
        session = a_session(1)
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in (0, 2, 1):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.store.ledger.end(session.session_id, "over", EPOCH_US)
        self.rig.settle()
        self.session = session
        self.flip("part-0000.mp4", 3)
        self.assertEqual(self.got("session").session, session)

    def test_missing_files(self) -> None:
        """A part that is gone is damage of what was in it; a folder that is gone is an error of the
        store, and of what is known of it without a look, as if it had been deleted just now."""
        body, _ = self.got("media", 0, 11)
        os.remove(self.path("part-0000.mp4"))
        self.failureResultOf(body.read(0, 1), Damaged)
        self.assertEqual(self.got("session").segment_count, 12)
        os.rename(folder_of(self.rig, self.session), self.mktemp())
        for asked in (
            self.asked("session"),
            self.asked("segments", SegmentQuery()),
            self.asked("media", 0, 12),
            self.asked("film"),
        ):
            self.failureResultOf(asked, StoreError)
        body, _ = self.got("media", 0, 1)
        self.failureResultOf(body.read(0, 1), NotFound)

    def test_failing_disk(self) -> None:
        """A disk that cannot be read is an error of the store."""
        self.rig.disk.errors["read"] = errno.EIO
        self.failureResultOf(self.asked("segments", SegmentQuery()), StoreError)
        self.failureResultOf(self.asked("session"), StoreError)
        self.rig.disk.errors.clear()
        self.assertEqual(len(self.got("segments", SegmentQuery()).segments), 12)

    def test_failing_database(self) -> None:
        """A database that cannot be read is an error of the store, whatever is asked."""
        path = os.path.join(self.rig.path, "index.sqlite3")
        holder = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("ALTER TABLE sessions RENAME TO away")
        self.failureResultOf(self.asked("session"), StoreError)
        self.failureResultOf(self.store.archive.sessions(SessionQuery()), StoreError)
        holder.execute("ALTER TABLE away RENAME TO sessions")
        self.assertEqual(self.got("session").segment_count, 12)

    def test_part_without_records(self) -> None:
        """A part whose records are gone meanwhile is an error, and leaves nothing open."""
        live = a_session(1)
        self.store.ledger.begin(live, lambda sequence: None)
        for sequence in (0, 2, 1):
            self.store.ledger.append(live.session_id, an_arrival(live, sequence))
        self.rig.settle()
        os.remove(os.path.join(folder_of(self.rig, live), "part-0001.idx"))
        before = len(os.listdir("/proc/self/fd"))
        asked = self.store.archive.segments("desk-1", live.session_id, SegmentQuery())
        self.failureResultOf(asked, StoreError)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class PageTests(ReadingCase):
    """Pages of many sessions."""

    def test_a_thousand_sessions(self) -> None:
        """A thousand sessions come page by page, each once, newest first."""
        for number in range(1, 1_000):
            # Three of them begin at the same moment.
            session = a_session(number % 333, sentinel_id=f"desk-{number % 10}")
            session = renamed(session, session_id=f"session-{number:08d}")
            self.store.ledger.begin(session, lambda sequence: None)
            if number % 100 == 0:
                self.rig.settle()
        for number in range(0, 1_000, 2):
            self.store.ledger.end(f"session-{number:08d}", "over", EPOCH_US)
        self.rig.settle()
        found: list[tuple[int, str]] = []
        query = SessionQuery(limit=7)
        while True:
            page = self.successResultOf(self.store.archive.sessions(query))
            self.assertLessEqual(len(page.sessions), 7)
            found += [
                (one.session.started_time_us, one.session.session_id) for one in page.sessions
            ]
            if page.next is None:
                break
            query = SessionQuery(limit=7, after=page.next)
        self.assertEqual(len(set(found)), 1_000)
        self.assertEqual(found, sorted(found, reverse=True))

    def test_one_page_does_not_read_all(self) -> None:
        """What a page of segments reads depends on the page, not on the session."""
        disk = self.rig.disk
        reads: dict[int, int] = {}
        for count, number in ((500, 1), (4_000, 2)):
            self.session = a_session(number)
            self.write(self.session, count)
            pread = FaultyDisk.pread
            sizes: list[int] = []

            def counted(
                descriptor: int, offset: int, size: int, pread: Any = pread, sizes: Any = sizes
            ) -> bytes:
                sizes.append(size)
                data: bytes = pread(disk, descriptor, offset, size)
                return data

            disk.pread = counted  # type: ignore[method-assign]
            self.got("segments", SegmentQuery(after=count // 2, limit=20))
            reads[count] = sum(sizes)
            sizes.clear()
            start_us = self.session.started_time_us + count // 2 * FRAME_US
            page = self.got("segments", SegmentQuery(from_time_us=start_us, limit=20))
            self.assertEqual(page.segments[0].sequence, count // 2)
            self.assertLess(sum(sizes), 20_000)
        self.assertLess(reads[4_000], reads[500] + 10 * RECORD_BYTES)

    def test_keyframe_far_back(self) -> None:
        """Whether a page can be decoded is known even if its keyframe lies far before it."""
        session = a_session(1)
        self.session = session
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in (*range(700), *range(701, 1_500)):
            arrival = an_arrival(session, sequence, keyframe=sequence == 0)
            self.store.ledger.append(session.session_id, arrival)
        self.store.ledger.end(session.session_id, "over", EPOCH_US)
        self.rig.settle()
        for after, expected in ((698, False), (650, False), (700, True), (1_400, True)):
            page = self.got("segments", SegmentQuery(after=after, limit=1))
            self.assertIs(page.segments[0].is_undecodable, expected, after)

    def test_keyframe_very_far_back(self) -> None:
        """Where the keyframe is too far back to be looked for, what was known counts."""
        self.session = a_session(1)
        session_id = self.session.session_id
        self.store.ledger.begin(self.session, lambda sequence: None)
        for sequence in range(4_200):
            arrival = an_arrival(
                self.session, sequence, keyframe=sequence == 0, undecodable=sequence >= 4_150
            )
            self.store.ledger.append(session_id, arrival)
        self.rig.settle()
        for after, expected in ((4_000, False), (4_120, False), (4_160, True)):
            page = self.got("segments", SegmentQuery(after=after, limit=1))
            self.assertIs(page.segments[0].is_undecodable, expected, after)


class Pool:
    """A pool of threads whose work is done when a test says so."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def run(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do `work` later."""
        done: Deferred[Any] = Deferred()

        def run_it() -> None:
            try:
                result = work(*arguments)
            except Exception:
                done.errback()
            else:
                done.callback(result)

        self.work.append(run_it)
        return done

    def go(self) -> None:
        """Do what there is."""
        work, self.work = self.work, []
        for run_it in work:
            run_it()


class BetweenTests(SynchronousTestCase):
    """What happens between the asking, in the reactor, and the reading, in the pool."""

    def setUp(self) -> None:
        """A store whose pool waits for the test."""
        self.pool = Pool()
        self.rig = Rig(self.mktemp(), run_in_pool=self.pool.run)
        self.addCleanup(self.rig.close)
        self.store: RecordingStore = self.rig.store
        self.session = a_session()
        self.store.ledger.begin(self.session, lambda sequence: None)

    def append(self, *sequences: int) -> None:
        """Hand over these segments."""
        for sequence in sequences:
            self.store.ledger.append(self.session.session_id, an_arrival(self.session, sequence))

    def listed(self, asked: Deferred[Any]) -> list[tuple[int, bool]]:
        """The sequences of a page and whether they are durable."""
        return [(one.sequence, one.is_durable) for one in self.successResultOf(asked).segments]

    def test_nothing_is_read_in_the_reactor(self) -> None:
        """Whatever touches the disk happens in the pool: asked alone, nothing is read."""
        self.append(0, 1)
        self.rig.settle()
        self.rig.disk.errors["read"] = errno.EIO
        ids = self.session.sentinel_id, self.session.session_id
        asked: list[Deferred[Any]] = [
            self.store.archive.segments(*ids, SegmentQuery()),
            self.store.archive.media(*ids, 0, 1),
            self.store.archive.film(*ids),
            self.store.archive.sessions(SessionQuery()),
            self.store.archive.sentinels(),
            self.store.archive.session(*ids),
            self.store.archive.init(*ids),
            self.store.archive.playlist(*ids),
        ]
        for one in asked:
            self.assertNoResult(one)
        self.rig.disk.errors.clear()
        self.pool.go()
        body = self.successResultOf(asked[1])[0]
        read = body.read(0, 5)
        self.assertNoResult(read)
        self.pool.go()
        self.assertEqual(len(self.successResultOf(read)), 5)

    def test_no_blind_spot(self) -> None:
        """What becomes durable between asking and reading is shown once, and what was not
        durable when asked is not called so."""
        self.append(0, 1)
        self.rig.settle()
        self.append(2, 3)
        ids = self.session.sentinel_id, self.session.session_id
        listed = self.store.archive.segments(*ids, SegmentQuery())
        media = self.store.archive.media(*ids, 0, 9)
        film = self.store.archive.film(*ids)
        self.append(4)
        self.rig.settle()
        self.pool.go()
        self.assertEqual(self.listed(listed), [(0, True), (1, True), (2, False), (3, False)])
        body, missing = self.successResultOf(media)
        self.assertEqual(missing, ((4, 9),))
        data = b"".join(an_arrival(self.session, number).segment.data for number in range(4))
        for section in (body, self.successResultOf(film)[0]):
            read = section.read(section.size_bytes - len(data), len(data))
            self.pool.go()
            self.assertEqual(self.successResultOf(read), data)

    def test_written_and_not_synced(self) -> None:
        """What is written and not synced is shown, and not called durable."""
        self.append(0)
        self.rig.settle()
        self.rig.disk.errors["sync"] = errno.EIO
        self.append(1)
        self.store.writer.round()
        ids = self.session.sentinel_id, self.session.session_id
        listed = self.store.archive.segments(*ids, SegmentQuery())
        self.pool.go()
        self.assertEqual(self.listed(listed), [(0, True), (1, False)])
        self.rig.disk.errors.clear()

    def test_session_ends_meanwhile(self) -> None:
        """A session that is wholly on disk before the reading begins is still read."""
        self.append(0, 1)
        ids = self.session.sentinel_id, self.session.session_id
        listed = self.store.archive.segments(*ids, SegmentQuery())
        sessions = self.store.archive.sessions(SessionQuery())
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.rig.settle()
        self.pool.go()
        self.assertEqual([number for number, _ in self.listed(listed)], [0, 1])
        self.assertEqual(len(self.successResultOf(sessions).sessions), 1)

    def test_after_the_stop(self) -> None:
        """After a stop a reader is told so, whether it asked before or asks then."""
        self.append(0)
        asked = self.store.archive.sessions(SessionQuery())
        self.successResultOf(self.store.stop())
        later = self.store.archive.sessions(SessionQuery())
        self.pool.go()
        self.failureResultOf(asked, StoreError)
        self.failureResultOf(later, StoreError)
        self.assertIs(self.store.stop(), self.store.stop())
