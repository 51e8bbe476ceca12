"""Tests of sessions that are opened again: every fault on the way, and the files they leave."""

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.store.recorded import folder_of, part_numbers, read_part, stored
from tests.store.rig import Rig
from tests.store.samples import FRAME_US, a_session, an_arrival
from vidlink.errors import RequestError, StoreError
from vidlink.model import Cause, Gap, SegmentQuery, Session, SessionRecord, SessionState
from vidlink.store.files.paths import part_file, records_file
from vidlink.store.writing.writer import RETRY_SECONDS


class LateCase(SynchronousTestCase):
    """A session that was recorded live as 0, 1 and 4, and has ended."""

    def setUp(self) -> None:
        """It has ended, and nothing has come late yet."""
        self.session = a_session()
        self.rig = self.start(self.mktemp())
        self.durable: list[int] = []
        self.rig.store.ledger.begin(self.session, self.durable.append)
        for number in (0, 1, 4):
            self.rig.store.ledger.append(self.session.session_id, an_arrival(self.session, number))
        self.end("over")
        self.durable.clear()

    def start(self, path: str) -> Rig:
        """A start with the folder at `path`."""
        rig = Rig(path)
        self.addCleanup(rig.close)
        return rig

    def end(self, reason: str = "lost") -> None:
        """The connection is lost."""
        time_us = self.session.started_time_us + 5_000_000
        self.rig.store.ledger.end(self.session.session_id, reason, time_us)
        self.rig.settle()

    def reopen(self, session: Session | None = None) -> Deferred[None]:
        """Open the session again."""
        return self.rig.store.ledger.reopen(session or self.session, self.durable.append)

    def late(self, *sequences: int) -> None:
        """These come late."""
        for number in sequences:
            arrival = an_arrival(self.session, number, late=True)
            self.rig.store.ledger.append(self.session.session_id, arrival)

    def killed(self) -> None:
        """The server is killed now, and starts again."""
        self.rig = self.rig.killed(self.mktemp())
        self.addCleanup(self.rig.close)

    def shown(self) -> SessionRecord:
        """The session as history shows it."""
        found = self.rig.store.archive.session("desk-1", self.session.session_id)
        record: SessionRecord = self.successResultOf(found)
        return record

    def listed(self) -> list[int]:
        """The sequences that history lists."""
        query = SegmentQuery(limit=10_000)
        found = self.rig.store.archive.segments("desk-1", self.session.session_id, query)
        return [segment.sequence for segment in self.successResultOf(found).segments]

    def description(self) -> dict[str, Any]:
        """What ``session.json`` says."""
        path = os.path.join(folder_of(self.rig, self.session), "session.json")
        with open(path) as file:
            known: dict[str, Any] = json.load(file)
        return known

    def in_database(self, what: str) -> list[Any]:
        """Columns of the session's row."""
        connection = sqlite3.connect(os.path.join(self.rig.path, "index.sqlite3"))
        try:
            (row,) = connection.execute(f"SELECT {what} FROM sessions").fetchall()
        finally:
            connection.close()
        return list(row)


class FileTests(LateCase):
    """What is in the folder."""

    def test_new_parts(self) -> None:
        """What comes late goes to parts of its own, in order; nothing that was there changes."""
        before = read_part(self.rig, self.session, 0)
        self.reopen()
        self.late(7, 3, 2, 6, 8, 5)
        self.rig.settle()
        self.assertEqual(part_numbers(self.rig, self.session), [0, 1])
        self.assertEqual(read_part(self.rig, self.session, 0), before)
        _, rows = read_part(self.rig, self.session, 1)
        self.assertEqual([row[0] for row in rows], [2, 3, 5, 6, 7, 8])
        self.end()
        self.assertEqual(list(stored(self.rig, self.session)), [0, 1, 4, 2, 3, 5, 6, 7, 8])

    def test_nothing_came(self) -> None:
        """A session that was opened for nothing is as before."""
        before = self.description(), self.in_database("*"), self.shown()
        self.reopen()
        self.rig.settle()
        self.end()
        self.assertEqual((self.description(), self.in_database("*"), self.shown()), before)
        self.assertEqual(part_numbers(self.rig, self.session), [0])

    def test_marked_before_anything_is_written(self) -> None:
        """Folder and database say that it is being written to before anything is."""
        self.reopen()
        self.late(2)
        for _ in range(3):
            self.rig.store.writer.round()
            if 1 in part_numbers(self.rig, self.session):
                break
            self.assertEqual(self.durable, [] if not self.durable else [1])
            marked = self.description().get("filling_from"), self.in_database("state")
        self.assertEqual(marked, (1, ["filling"]))
        self.assertEqual(self.description()["ended"]["reason"], "over")
        self.end()
        self.assertNotIn("filling_from", self.description())
        self.assertEqual(self.in_database("state, segment_count"), ["ended", 4])

    def test_no_mark_no_parts(self) -> None:
        """Nothing is written as long as the mark cannot be made durable, in either place."""
        for name in ("replace", "sync"):
            self.rig.disk.errors[name] = errno.EIO
            self.reopen()
            self.late(2)
            for _ in range(5):
                self.rig.store.writer.round()
                self.rig.clock.advance(RETRY_SECONDS)
            self.assertEqual(part_numbers(self.rig, self.session), [0])
            self.assertLess(max(self.durable), 2)
            self.rig.disk.errors.clear()
            self.rig.settle()
            self.assertEqual(self.durable.pop(), 2)
            self.end()
            self.setUp()

    def test_marked_again(self) -> None:
        """A mark of which nobody knows whether it reached the disk is made once more, in both
        places, before anything is written."""
        marks: list[bool] = []
        index, save = self.rig.store.writer._index, self.rig.store.writer._index.save

        def noted(sheets: Any, *others: Any) -> Any:
            sheets = list(sheets)
            marks.extend(sheet.record is not None and sheet.is_filling for sheet in sheets)
            return save(sheets, *others)

        index.save = noted  # type: ignore[method-assign,assignment]
        self.reopen()
        self.late(2)
        self.rig.disk.errors["sync"] = errno.EIO
        self.rig.store.writer.round()
        self.rig.disk.errors.clear()
        self.rig.disk.done.clear()
        self.rig.clock.advance(RETRY_SECONDS)
        self.rig.store.writer.round()
        self.assertEqual(marks, [True, True])
        self.assertIn(("replace", "session.json"), self.rig.disk.done)
        self.assertEqual(part_numbers(self.rig, self.session), [0])

    def test_order_that_is_none(self) -> None:
        """Segments whose times contradict their sequences get parts of their own, not too many
        of them in one round."""
        self.reopen()
        self.rig.settle()
        for number in range(10, 400):
            arrival = an_arrival(self.session, number, late=True, media_time=1_000_000 - number)
            self.rig.store.ledger.append(self.session.session_id, arrival)
        self.rig.store.writer.round()
        self.assertLess(len(part_numbers(self.rig, self.session)), 300)
        for _ in range(2):
            self.rig.settle()
        self.assertEqual(len(self.listed()), 393)

    def test_database_that_fails(self) -> None:
        """While the database cannot be written nothing is put behind its back."""
        store = self.rig.store
        index, save = store.writer._index, store.writer._index.save

        def broken(*given: Any) -> Any:
            raise StoreError("the database is locked")

        index.save = broken  # type: ignore[method-assign,assignment]
        self.reopen()
        self.late(2)
        for _ in range(4):
            store.writer.round()
            self.rig.clock.advance(RETRY_SECONDS)
        self.assertEqual(part_numbers(self.rig, self.session), [0])
        index.save = save  # type: ignore[method-assign]
        self.rig.settle()
        self.assertEqual(self.durable[-1], 2)

    def test_gap_numbers(self) -> None:
        """What is stated late comes behind what was stated before."""
        self.reopen()
        self.rig.store.ledger.gap(self.session.session_id, Gap(2, 2, Cause.DECLARED, detail="one"))
        self.rig.settle()
        self.end()
        self.reopen()
        self.rig.store.ledger.gap(self.session.session_id, Gap(3, 3, Cause.DECLARED, detail="two"))
        self.rig.settle()
        self.end()
        self.assertEqual([gap.detail for gap in self.shown().gaps], ["one", "two"])
        self.assertEqual([gap["detail"] for gap in self.description()["gaps"]], ["one", "two"])
        self.assertEqual(self.durable[-1], 4)

    def test_sealed(self) -> None:
        """That it is sealed is in the folder and in the database, and survives the loss of the
        database."""
        self.reopen()
        self.rig.settle()
        self.rig.store.ledger.seal(self.session.session_id)
        self.assertIs(self.shown().state, SessionState.ENDED, "it is not on disk yet")
        self.assertIs(self.film().is_final, False)
        self.rig.settle()
        self.assertIs(self.film().is_final, True)
        self.assertIs(self.description()["sealed"], True)
        self.assertEqual(self.in_database("state"), ["sealed"])
        self.rig.store.stop()
        for suffix in ("", "-wal", "-shm"):
            path = os.path.join(self.rig.path, f"index.sqlite3{suffix}")
            if os.path.exists(path):
                os.remove(path)
        self.rig = self.start(self.rig.path)
        self.assertIs(self.shown().state, SessionState.SEALED)

    def test_folder_is_gone(self) -> None:
        """A session whose folder is gone, or is none, cannot be opened; that is told."""
        os.rename(folder_of(self.rig, self.session), self.mktemp())
        unheard = a_session(7)
        os.makedirs(folder_of(self.rig, unheard))
        for session in (self.session, unheard):
            opened = self.reopen(session)
            self.rig.settle()
            self.failureResultOf(opened, RequestError)
            self.assertEqual(self.rig.store.ledger.load, 0.0)

    def test_etag(self) -> None:
        """A film changes its validator when something falls into its middle."""
        film = self.film()
        self.reopen()
        self.late(2, 3)
        self.rig.settle()
        open_one = self.film()
        self.assertNotEqual(open_one.etag, film.etag)
        self.end()
        self.assertEqual(self.film().etag, open_one.etag)
        self.assertIs(self.film().is_final, False)

    def film(self) -> Any:
        """The film as it is now."""
        film = self.rig.store.archive.film("desk-1", self.session.session_id)
        return self.successResultOf(film)[0]

    def test_many_at_once(self) -> None:
        """However many sessions are opened at once, each is, some in every round."""
        sessions = [a_session(number) for number in range(1, 200)]
        opened = [self.reopen(session) for session in sessions]
        self.rig.store.writer.round()
        self.assertEqual(sum(one.called for one in opened), 64)
        self.rig.settle()
        for one in opened:
            self.successResultOf(one)


class KilledTests(LateCase):
    """A kill while it is open."""

    def test_acknowledged_is_there(self) -> None:
        """What was acknowledged is there, no gap is made up, and the first end stays."""
        before = self.shown()
        self.reopen()
        self.late(2, 3)
        self.rig.settle()
        self.assertEqual(self.durable[-1], 4)
        self.killed()
        shown = self.shown()
        self.assertEqual((shown.state, shown.end_reason), (SessionState.ENDED, "over"))
        self.assertEqual((shown.gaps, shown.segment_count), ((), 5))
        self.assertEqual(shown.ended_time_us, before.ended_time_us)
        self.assertEqual(self.listed(), [0, 1, 2, 3, 4])
        self.assertNotIn("filling_from", self.description())
        self.assertEqual(self.in_database("state"), ["ended"])

    def test_torn(self) -> None:
        """What was not acknowledged is cut from the parts that were written, and from no other,
        even if another is damaged."""
        self.reopen()
        self.late(2)
        self.rig.settle()
        folder = folder_of(self.rig, self.session)
        with open(os.path.join(folder, part_file(1)), "ab") as part:
            part.write(b"torn")
        with open(os.path.join(folder, part_file(0)), "r+b") as part:
            part.seek(-1, os.SEEK_END)
            part.write(b"\0")
        sizes = [os.path.getsize(os.path.join(folder, name)) for name in
                 (part_file(0), records_file(0), records_file(1))]  # fmt: skip
        self.killed()
        folder = folder_of(self.rig, self.session)
        after = [os.path.getsize(os.path.join(folder, name)) for name in
                 (part_file(0), records_file(0), records_file(1))]  # fmt: skip
        self.assertEqual(after, sizes)
        self.assertEqual(self.listed(), [0, 1, 2, 4])
        read_part(self.rig, self.session, 1)
        with open(os.path.join(folder, part_file(1)), "rb") as part:
            self.assertFalse(part.read().endswith(b"torn"))

    def test_before_the_mark(self) -> None:
        """A kill at the moment of opening changes nothing."""
        before = self.shown()
        self.reopen()
        self.late(2)
        self.rig.store.writer.round()
        self.killed()
        self.assertEqual(self.shown(), before)
        self.assertNotIn("filling_from", self.description())

    def test_stated_gaps(self) -> None:
        """What was declared lost is still lost after a kill, and is not asked for."""
        self.reopen()
        self.rig.store.ledger.gap(self.session.session_id, Gap(2, 3, Cause.DECLARED, detail="full"))
        self.rig.settle()
        self.assertEqual(self.durable[-1], 4)
        self.killed()
        self.assertEqual([gap.detail for gap in self.shown().gaps], ["full"])
        wanted = self.rig.store.ledger.tails("desk-1", [(self.session.session_id, 0, 6)])
        self.assertEqual(self.successResultOf(wanted), (((5, 6),),))

    def test_without_its_description(self) -> None:
        """A session whose description is damaged meanwhile is put in order by the database."""
        self.reopen()
        self.late(2)
        self.rig.settle()
        path = os.path.join(folder_of(self.rig, self.session), "session.json")
        with open(path, "w") as file:
            file.write("{")
        self.killed()
        self.assertEqual((self.shown().end_reason, self.shown().gaps[0].first), ("over", 3))
        self.assertEqual(self.listed(), [0, 1, 2, 4])

    def test_after_a_kill_in_life(self) -> None:
        """The tail of a session that was cut short by a kill is asked for and filled in; then
        nothing says any more that it was cut short."""
        session = self.session = a_session(1)
        self.rig.store.ledger.begin(session, self.durable.append)
        self.late(0, 1)
        self.rig.settle()
        self.killed()
        self.assertEqual([gap.cause for gap in self.shown().gaps], [Cause.SERVER_STOPPED])
        wanted = self.rig.store.ledger.tails("desk-1", [(session.session_id, 0, 3)])
        self.assertEqual(self.successResultOf(wanted), (((2, 3),),))
        self.reopen()
        self.late(2, 3)
        self.rig.settle()
        shown = self.shown()
        self.assertEqual((shown.gaps, shown.end_reason), ((), "server stopped"))
        self.assertEqual(shown.end_time_us, session.started_time_us + 4 * FRAME_US)


class FailingTests(LateCase):
    """A store that cannot look."""

    def test_tails(self) -> None:
        """If it cannot be looked up what is missing, that is logged, and nothing is asked for."""
        self.rig.store.archive._catalog.close()
        asked = self.rig.store.ledger.tails("desk-1", [(self.session.session_id, 0, 6)])
        self.assertEqual(self.successResultOf(asked), (None,))

    def test_open(self) -> None:
        """If it cannot be looked up what there is, the session is not opened."""
        self.rig.store.archive._catalog.close()
        opened = self.reopen()
        self.late(2)
        self.rig.settle()
        self.assertIn("cannot be opened", str(self.failureResultOf(opened, RequestError).value))
        self.assertEqual(self.rig.store.ledger.load, 0.0)

    def test_stop_while_it_opens(self) -> None:
        """A server that stops tells those who wait, and closes what the writer had opened."""
        opened = self.reopen()
        self.late(2)
        self.rig.store.stop()
        self.failureResultOf(opened, RequestError)
        self.assertEqual(self.in_database("state"), ["ended"])
        self.rig = self.start(self.rig.path)
        self.assertEqual(self.listed(), [0, 1, 4])
        self.assertEqual(self.in_database("state"), ["ended"])


#: What may happen to a delivery: the connection begins or is lost; a segment is sent; a round
#: goes well or fails; time passes; the server stops, is killed, or loses its power.
EVENTS = st.one_of(
    st.tuples(st.just("connect"), st.just(0)),
    st.tuples(st.just("lose"), st.just(0)),
    *[st.tuples(st.just("send"), st.integers(0, 11))] * 3,
    st.tuples(st.just("declare"), st.sampled_from([3, 7])),
    *[st.tuples(st.just("round"), st.just(0))] * 2,
    st.tuples(st.just("fail"), st.sampled_from(["write", "sync", "create", "replace"])),
    st.tuples(st.just("wait"), st.just(0)),
    st.tuples(st.just("stop"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("power"), st.integers(0, 2**32)),
)
LOST = {3, 7}


class Delivery:
    """A Sentinel that holds 0 to 11 of a session, and a server to which anything may happen.

    `live` of them had come before the session ended; -1: the server never heard of it.
    """

    def __init__(self, case: SynchronousTestCase, live: int) -> None:
        self.case = case
        self.rig = Rig(case.mktemp())
        self.session = a_session()
        self.session_id = self.session.session_id
        self.acknowledged = -1
        self.declared: set[int] = set()
        self.is_connected = False
        if live >= 0:
            self.rig.store.ledger.begin(self.session, self._ack(self.rig))
            for number in range(live):
                self.rig.store.ledger.append(self.session_id, an_arrival(self.session, number))
            self.rig.settle()
            self.rig.store.ledger.end(self.session_id, "disconnected", self.session.started_time_us)

    def _ack(self, rig: Rig) -> Callable[[int], None]:
        """Hears acknowledgements, as long as the server that makes them is alive."""

        def hear(sequence: int) -> None:
            if rig is self.rig:
                self.acknowledged = max(sequence, self.acknowledged)

        return hear

    def happen(self, name: str, value: int | str) -> None:
        """One thing happens."""
        getattr(self, f"_{name}")(value)

    def wanted(self) -> set[int]:
        """What the server asks for; never what it has acknowledged."""
        found = self.rig.store.ledger.tails("desk-1", [(self.session_id, 0, 11)])
        (ranges,) = self.case.successResultOf(found)
        assert ranges is not None
        asked = {number for low, high in ranges for number in range(low, high + 1)}
        self.case.assertGreater(min(asked, default=12), self.acknowledged)
        return asked

    def _connect(self, _: object) -> None:
        if not self.is_connected:
            self.wanted()
            opened = self.rig.store.ledger.reopen(self.session, self._ack(self.rig))
            opened.addErrback(self._not_opened)
            self.is_connected = True

    def _not_opened(self, failure: Any) -> None:
        """Only a server that stops keeps it from opening."""
        failure.trap(RequestError)
        self.case.assertIn("stopping", str(failure.value))

    def _lose(self, _: object) -> None:
        if self.is_connected:
            self.rig.store.ledger.end(self.session_id, "lost", self.session.started_time_us)
        self.is_connected = False

    def _send(self, number: int) -> None:
        if self.is_connected and number not in LOST:
            self.rig.store.ledger.append(
                self.session_id, an_arrival(self.session, number, late=True)
            )

    def _declare(self, number: int) -> None:
        if self.is_connected:
            self.rig.store.ledger.gap(self.session_id, Gap(number, number, Cause.DECLARED))

    def _round(self, _: object) -> None:
        self.rig.store.writer.round()

    def _fail(self, name: str) -> None:
        self.rig.disk.errors[name] = errno.EIO
        self.rig.store.writer.round()
        self.rig.disk.errors.clear()

    def _wait(self, _: object) -> None:
        self.rig.clock.advance(RETRY_SECONDS)

    def _stop(self, _: object) -> None:
        self.is_connected = False
        self._restarted(self.rig.again())

    def _kill(self, _: object) -> None:
        self._lose_all(self.rig.killed(self.case.mktemp()))

    def _power(self, seed: int) -> None:
        path = self.case.mktemp()
        self.rig.disk.after_power_cut(self.rig.path, path, random.Random(seed).randint)
        self._lose_all(Rig(path))

    def _lose_all(self, rig: Rig) -> None:
        dead, self.rig = self.rig, rig
        self.is_connected = False
        dead.remove()
        self._restarted(rig)

    def _restarted(self, rig: Rig) -> None:
        self.rig = rig
        rig.disk.adopt(rig.path)
        self.check()

    def check(self) -> None:
        """What was acknowledged is there or is lost for good, byte for byte."""
        if not os.path.isdir(folder_of(self.rig, self.session)):
            self.case.assertLess(self.acknowledged, 0)
            return
        found = stored(self.rig, self.session)
        self.case.assertLessEqual(set(range(self.acknowledged + 1)) - LOST, set(found))
        for number, data in found.items():
            self.case.assertEqual(data, an_arrival(self.session, number).segment.data)
        query = SegmentQuery()
        page = self.rig.store.archive.segments("desk-1", self.session_id, query)
        rows = self.case.successResultOf(page).segments
        self.case.assertEqual([row.sequence for row in rows], sorted(found))

    def finish(self) -> None:
        """At last nothing fails any more: the Sentinel delivers what is asked for, and is done."""
        self.rig.clock.advance(RETRY_SECONDS)
        self._lose(None)
        self.rig.settle()
        asked = self.wanted()
        self._connect(None)
        for number in sorted(asked):
            self._send(number)
        for number in LOST:
            self._declare(number)
        self.rig.settle()
        self.case.assertEqual(self.acknowledged, 11)
        self.rig.store.ledger.seal(self.session_id)
        self.rig.settle()
        self.check()
        record = self.case.successResultOf(
            self.rig.store.archive.session("desk-1", self.session_id)
        )
        self.case.assertIs(record.state, SessionState.SEALED)
        self.case.assertEqual(record.segment_count, 12 - len(LOST))
        self.case.assertEqual([(gap.first, gap.last) for gap in record.gaps], [(3, 3), (7, 7)])
        self.case.assertEqual(
            record.size_bytes, sum(map(len, stored(self.rig, self.session).values()))
        )
        self.case.assertEqual(self.wanted(), set())
        self._restarted(self.rig.again())
        again = self.case.successResultOf(self.rig.store.archive.session("desk-1", self.session_id))
        self.case.assertEqual(again, record)


class DeliveryTests(SynchronousTestCase):
    """A delivery under any number of interruptions."""

    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.integers(-1, 3), st.lists(EVENTS, max_size=40))
    def test_interrupted(self, live: int, events: list[tuple[str, Any]]) -> None:
        """Whatever happens on the way, nothing acknowledged is lost or asked for again, and in
        the end all is there, once."""
        delivery = Delivery(self, live)
        for name, value in events:
            delivery.happen(name, value)
        delivery.finish()
        delivery.rig.close()
