"""Tests of what is answered at once: sessions that were looked up, and films that are known."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.store.reading.test_archive import DAY_US, Pool
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.errors import Damaged, NotFound
from vidlink.model import ALL, Cause, ClipQuery, Session, Trouble
from vidlink.store import RecordingStore
from vidlink.store.handover.orders import LookAgain, Report
from vidlink.store.reading import known, media


class KnownCase(SynchronousTestCase):
    """A session of six segments that is over, and a pool that waits for the test."""

    def setUp(self) -> None:
        """The session, recorded long ago."""
        self.pool = Pool()
        self.rig = Rig(self.mktemp(), run_in_pool=self.pool.run)
        self.addCleanup(self.rig.close)
        self.store: RecordingStore = self.rig.store
        self.session = a_session()
        self.write(self.session)
        self.looks: list[str] = []
        catalog: Any = self.store.archive._catalog
        look_up = catalog.session

        def counted(sentinel_id: str, session_id: str) -> Any:
            self.looks.append(session_id)
            return look_up(sentinel_id, session_id)

        self.patch(catalog, "session", counted)

    def write(self, session: Session) -> None:
        """Record it, from its beginning to its end."""
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in range(6):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.store.ledger.end(session.session_id, "over", session.started_time_us + 1)
        self.rig.settle()
        path = os.path.join(folder_of(self.rig, session), "part-0000.mp4")
        os.utime(path, (EPOCH_US / 1e6 - 60,) * 2)

    @property
    def ids(self) -> tuple[str, str]:
        """Which it is."""
        return self.session.sentinel_id, self.session.session_id

    def film(self, query: ClipQuery = ALL, version: str | None = None) -> Deferred[Any]:
        """Ask for its film."""
        return self.store.archive.film(*self.ids, query, version)

    def done(self, asked: Deferred[Any]) -> Any:
        """What comes of it, with the pool."""
        self.assertNoResult(asked)
        self.pool.go()
        return self.successResultOf(asked)


class KnownTests(KnownCase):
    """What is at hand, and since when not any more."""

    def test_a_version_is_at_hand(self) -> None:
        """Who plays a film asks for it many times: from the second time on nothing is looked up,
        and what was read once is there without a thread."""
        film, clip = self.done(self.film())
        self.done(film.read(0, film.size_bytes))
        again, same = self.successResultOf(self.film(version=film.etag))
        self.assertEqual((again.etag, same, again.is_final), (film.etag, clip, True))
        self.assertEqual(len(self.successResultOf(again.read(0, 10**6))), film.size_bytes)
        self.assertEqual(self.looks, [self.session.session_id])

    def test_a_film_that_may_grow_is_not(self) -> None:
        """Without a version what may change is made anew, and another version is looked for."""
        film, _ = self.done(self.film())
        self.assertFalse(self.done(self.film())[0].is_final)
        self.assertFalse(self.done(self.film(version="0" * 32))[0].is_final)
        pinned = self.film(ClipQuery(last=5), film.etag)
        self.assertEqual(self.successResultOf(pinned)[0].etag, film.etag)

    def test_a_sealed_film_is(self) -> None:
        """A film that cannot change any more is at hand without a version, with its date."""
        self.rig.now_us = EPOCH_US + 2 * DAY_US
        film, _ = self.done(self.film())
        again, _ = self.successResultOf(self.film())
        self.assertEqual(
            (again.etag, again.is_final, again.modified_us), (film.etag, True, film.modified_us)
        )
        self.assertIsNotNone(again.modified_us)
        self.assertNotEqual(self.done(self.film(ClipQuery(last=3)))[0].etag, film.etag)
        self.assertEqual(self.successResultOf(self.film())[0].etag, film.etag)

    def test_it_becomes_sealed(self) -> None:
        """A session that was looked up is sealed as soon as its time is over."""
        film, _ = self.done(self.film())
        self.rig.now_us = EPOCH_US + 2 * DAY_US
        sealed, _ = self.done(self.film(version=film.etag))
        self.assertIsNotNone(sealed.modified_us)

    def test_one_look_for_group_and_film(self) -> None:
        """Whoever sees some groups alone has the session looked up once for a request."""
        group = self.store.archive.group(*self.ids)
        self.assertEqual(self.done(group), self.session.group)
        self.done(self.film())
        self.assertEqual(len(self.looks), 1)
        self.assertEqual(self.successResultOf(self.store.archive.group(*self.ids)), "ward")

    def test_after_a_round_it_is_looked_up(self) -> None:
        """What the writer has done since may have changed it, also while it was looked up."""
        film, _ = self.done(self.film())
        self.write(a_session(1))
        self.done(self.film(version=film.etag))
        self.write(a_session(2))
        asked = self.film()
        self.write(a_session(4))
        self.done(asked)
        self.done(self.film(version=film.etag))
        self.assertEqual(len(self.looks), 4)

    def test_while_others_are_recorded(self) -> None:
        """What is recorded of other sessions changes nothing of one that is over; that one of them
        ends, or is deleted, may."""
        film = self.again()
        other = a_session(1)
        self.store.ledger.begin(other, lambda sequence: None)
        for sequence in range(4):
            self.store.ledger.append(other.session_id, an_arrival(other, sequence))
            self.rig.settle()
            self.assertIsNotNone(film.again())
        self.store.ledger.end(other.session_id, "over", other.started_time_us + 1)
        self.rig.settle()
        self.assertIsNone(film.again())
        film = self.again()
        deleted = self.store.keeping.delete(
            other.sentinel_id, other.session_id, "somebody", rehearse=False
        )
        self.rig.settle()
        self.pool.go()
        self.rig.settle()
        self.successResultOf(deleted)
        self.assertIsNone(film.again())

    def test_after_trouble(self) -> None:
        """Where the database could not be told everything, it may say something else also after
        the next round."""
        film = self.again()
        other = a_session(1)
        self.store.ledger.begin(other, lambda sequence: None)
        self.store.archive.apply(
            Report(troubles={other.session_id: Trouble(Cause.WRITE_ERROR, "")})
        )
        self.assertIsNone(film.again())
        film = self.again()
        self.store.archive.apply(Report())
        self.assertIsNone(film.again())
        film = self.again()
        self.store.archive.apply(Report())
        self.assertIsNotNone(film.again())

    def test_of_another_sentinel(self) -> None:
        """A session that is known is not shown as that of another sentinel."""
        film, _ = self.done(self.film())
        asked = self.store.archive.film("desk-2", self.session.session_id, ALL, film.etag)
        self.pool.go()
        self.failureResultOf(asked, NotFound)

    def test_damage_is_looked_at(self) -> None:
        """A film in which damage was met is not at hand, nor one that the writer has looked at."""
        film, _ = self.done(self.film())
        self.store.archive._reels.looked(  # As after a round.
            self.store.archive._stored(*self.ids), LookAgain(*self.ids, ((2, 2),)).ranges
        )
        self.assertNotEqual(self.done(self.film(version=film.etag))[0].etag, None)

    def test_deleted_meanwhile(self) -> None:
        """A session that is deleted is not shown any more at once, known or not."""
        film, _ = self.done(self.film())
        self.store.archive._locks.hide(self.session.session_id)
        asked = self.film(version=film.etag)
        self.pool.go()
        self.failureResultOf(asked, NotFound)

    def again(self, query: ClipQuery = ALL) -> Any:
        """The film of now, as it is given to who asks for it by its version."""
        asked = self.film(query)
        self.pool.go()
        film, _ = self.successResultOf(asked)
        read = film.read(0, film.size_bytes)
        self.pool.go()
        self.assertEqual(len(self.successResultOf(read)), film.size_bytes)
        return self.successResultOf(self.film(version=film.etag))[0]

    def test_again(self) -> None:
        """Who has been given a film has it again, all of it at hand, without its being looked for,
        and without keeping anything of it in memory."""
        film = self.again()
        for _ in range(3):
            once_more = film.again()
            self.assertEqual((once_more.etag, once_more.is_final), (film.etag, True))
            self.assertEqual(len(once_more.at_hand(0, film.size_bytes)), film.size_bytes)
            film = once_more
        again = film.again
        del film, once_more
        self.store.archive._reels._reels.clear()
        self.assertIsNone(again())

    def test_not_again(self) -> None:
        """What may be another by now has to be asked for: after a round of the writer, when it is
        deleted, sealed, or looked at for damage, and when it has made room for other films."""

        def hide() -> None:
            self.store.archive._locks.hide(self.session.session_id)

        def look() -> None:
            stored = self.store.archive._stored(*self.ids)
            self.store.archive._reels.looked(stored, ((2, 2),))

        def forget() -> None:
            self.store.archive._reels.reel(self.store.archive._stored(*self.ids))._kept.clear()

        def seal() -> None:
            self.rig.now_us = EPOCH_US + 2 * DAY_US

        for change in (lambda: self.write(a_session(1)), look, forget, seal, hide):
            film = self.again()
            self.assertIsNotNone(film.again())
            change()
            self.assertIsNone(film.again())

    def test_a_session_that_is_recorded(self) -> None:
        """A film of a live session is had again while more is recorded, and what was checked of it
        is not read anew."""
        session = self.session = a_session(5)
        self.store.ledger.begin(session, lambda sequence: None)
        for sequence in range(3):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
        self.rig.settle()
        film = self.again()
        for sequence in range(3, 6):
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))
            self.rig.settle()
            film = film.again()
            self.assertEqual(len(film.at_hand(0, film.size_bytes)), film.size_bytes)
        path = self.store.archive._stored(*self.ids).part_path(0)
        self.assertTrue(self.store._sound.is_written(path))
        self.store.ledger.end(session.session_id, "over", session.started_time_us + 1)
        self.rig.settle()
        self.assertIsNone(film.again())
        self.assertFalse(self.store._sound.is_written(path))

    def media(self, first: int, last: int) -> Deferred[Any]:
        """Ask for segments."""
        return self.store.archive.media(*self.ids, first, last)

    def test_segments_are_at_hand(self) -> None:
        """Who goes on after a segment has the next ones found without a thread, and checked with
        it, and they are what they are to who asks first."""
        self.done(self.media(0, 0))
        whole, _ = self.successResultOf(self.media(0, 0))
        self.done(whole.read(0, whole.size_bytes))
        ranges = (1, 1), (2, 4), (0, 5)
        at_hand = [self.successResultOf(self.media(*one)) for one in ranges]
        for one, (body, missing) in zip(ranges, at_hand, strict=True):
            data = self.successResultOf(body.read(0, body.size_bytes))
            self.store.archive._looked_up.clear()
            fresh, none = self.done(self.media(*one))
            self.assertEqual((missing, none), ((), ()))
            for name in ("etag", "size_bytes", "is_final", "modified_us"):
                self.assertEqual(getattr(body, name), getattr(fresh, name), name)
            self.assertEqual(data, fresh.at_hand(0, fresh.size_bytes))
        self.done(self.media(0, 6))
        self.write(a_session(1))
        self.done(self.media(0, 0))

    def test_segments_that_are_damaged(self) -> None:
        """What follows and is damaged is given to nobody, and told of when it is asked for."""
        path = os.path.join(folder_of(self.rig, self.session), "part-0000.mp4")
        with open(path, "r+b") as part:
            part.seek(-1, os.SEEK_END)
            part.write(b"?")
        os.utime(path, (EPOCH_US / 1e6 - 60,) * 2)
        self.done(self.media(0, 0))
        first, _ = self.successResultOf(self.media(0, 0))
        self.done(first.read(0, first.size_bytes))
        sound, _ = self.successResultOf(self.media(0, 4))
        self.assertIsNotNone(sound.at_hand(0, sound.size_bytes))
        damaged, _ = self.successResultOf(self.media(5, 5))
        read = damaged.read(0, damaged.size_bytes)
        self.pool.go()
        self.failureResultOf(read, Damaged)
        self.rig.settle()
        asked = self.media(5, 5)
        self.pool.go()
        self.failureResultOf(asked, NotFound)

    def test_segments_of_a_session_that_is_recorded(self) -> None:
        """Of what may grow nothing is kept."""
        session = self.session = a_session(5)
        self.store.ledger.begin(session, lambda sequence: None)
        self.store.ledger.append(session.session_id, an_arrival(session, 0))
        self.rig.settle()
        for _ in range(2):
            self.done(self.media(0, 0))

    def test_the_init_is_at_hand(self) -> None:
        """So is the initialization segment, until the session is recorded again or changed."""
        found = self.done(self.store.archive.init(*self.ids))
        self.assertEqual(self.successResultOf(self.store.archive.init(*self.ids)), found)
        self.store.archive._locks.hide(self.session.session_id)
        asked = self.store.archive.init(*self.ids)
        self.pool.go()
        self.failureResultOf(asked, NotFound)

    def test_bound_of_segments(self) -> None:
        """The records of so many sessions are kept, and of each those around what was read."""
        self.patch(known, "MOST_LISTED", 1)
        self.patch(media, "ROWS_AHEAD", 1)
        self.done(self.media(0, 0))
        self.successResultOf(self.media(0, 1))
        for _ in range(2):
            # So many at once are read each time.
            self.done(self.media(0, 5))
        self.done(self.media(2, 2))
        self.successResultOf(self.media(2, 3))
        other = a_session(1)
        self.write(other)
        self.done(self.media(0, 0))
        first = self.store.archive._looked_up.get(*self.ids)
        assert first is not None, "it was looked up just now"
        self.session = other
        self.done(self.media(0, 0))
        self.assertEqual(first.rows, {})
        self.assertEqual(len(self.store.archive._looked_up._listed), 1)

    def test_bound(self) -> None:
        """So many sessions are known; the one that was looked up first goes."""
        self.patch(known, "MOST_KNOWN", 1)
        film, _ = self.done(self.film())
        other = a_session(3)
        self.write(other)
        self.done(self.film(version=film.etag))
        self.done(self.store.archive.film(other.sentinel_id, other.session_id))
        self.done(self.film(version=film.etag))
