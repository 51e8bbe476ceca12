"""What every store promises: the real one and the in-memory fake pass the same tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes.store import MemoryStore
from tests.fmp4.movies import media_of, picture_track
from tests.store.rig import Rig
from tests.store.samples import (
    EPOCH_US,
    FRAME_MS,
    FRAME_TICKS,
    FRAME_US,
    INIT,
    TIMESCALE,
    a_session,
    an_arrival,
    renamed,
)
from vidlink.errors import NotFound, NotMedia, RequestError, SessionGone, SessionSealed
from vidlink.interfaces import IArchive, IBody, IStore, IVitals
from vidlink.model import (
    Cause,
    Clip,
    ClipQuery,
    Gap,
    RecordingState,
    SegmentQuery,
    SegmentRecord,
    Session,
    SessionQuery,
    SessionState,
    Span,
)

DAY_US = 24 * 60 * 60 * 1_000_000

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object


class StoreCase(_Case):
    """A store and a session; a subclass gives a store and settles it."""

    now_us = EPOCH_US
    store: Any

    def make(self, queue_segments: int = 65_536) -> Any:
        """A store that writes nothing before :meth:`settle`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let everything handed over become durable."""
        raise NotImplementedError

    def setUp(self) -> None:
        """A store, and a session that has not begun."""
        self.store = self.make()
        self.session = a_session()
        self.durable: list[int] = []

    def begin(self, session: Session | None = None) -> Session:
        """Begin a session, the test's own if not said."""
        session = self.session if session is None else session
        self.store.ledger.begin(session, self.durable.append)
        return session

    def record(self, *sequences: int, session: Session | None = None) -> None:
        """Append these sequences to a session that has begun."""
        session = self.session if session is None else session
        for sequence in sequences:
            self.store.ledger.append(session.session_id, an_arrival(session, sequence))

    def data(self, *sequences: int) -> bytes:
        """The bytes of these sequences of the session."""
        return b"".join(an_arrival(self.session, one).segment.data for one in sequences)

    def whole(self, body: Any) -> bytes:
        """All of a body, read in one."""
        return bytes(self.successResultOf(body.read(0, body.size_bytes)))

    def shown(self) -> Any:
        """The session as history shows it."""
        found: Deferred[Any] = self.store.archive.session("desk-1", self.session.session_id)
        return self.successResultOf(found)

    def page(self, **query: Any) -> Any:
        """A page of the session's segments."""
        session_id = self.session.session_id
        return self.successResultOf(
            self.store.archive.segments("desk-1", session_id, SegmentQuery(**query))
        )

    def numbers(self, **query: Any) -> list[int]:
        """The sequences of a page."""
        return [segment.sequence for segment in self.page(**query).segments]

    def media(self, first: int, last: int) -> Any:
        """The body of a range, and what is missing of it."""
        session_id = self.session.session_id
        return self.successResultOf(self.store.archive.media("desk-1", session_id, first, last))

    def film(self, last: int | None = None) -> Any:
        """The body of ``recording.mp4``."""
        query = ClipQuery(last=last)
        found = self.store.archive.film("desk-1", self.session.session_id, query)
        return self.successResultOf(found)[0]


class StoreContract(StoreCase):
    """The promises of `IStore` and `IArchive`."""

    # What a store is

    def test_roles(self) -> None:
        """A store provides both sides, and its bodies are bodies."""
        verifyObject(IStore, self.store.ledger)
        verifyObject(IArchive, self.store.archive)
        verifyObject(IVitals, self.store)
        self.begin()
        self.record(0)
        verifyObject(IBody, self.film())
        verifyObject(IBody, self.media(0, 0)[0])

    # Writing

    def test_acknowledged_in_order(self) -> None:
        """Nothing is acknowledged before it is durable; then the highest sequence is."""
        self.begin()
        self.record(0, 1, 2)
        self.assertEqual(self.durable, [])
        self.settle()
        self.assertEqual(self.durable[-1], 2)
        self.record(3)
        self.settle()
        self.assertEqual(self.durable[-1], 3)

    def test_hole_stops_acknowledgement(self) -> None:
        """A hole that may still be filled stops acknowledgement; filled late, it goes on."""
        self.begin()
        self.record(0, 1, 4, 5)
        self.settle()
        self.assertEqual(self.durable[-1], 1)
        self.store.ledger.append(self.session.session_id, an_arrival(self.session, 3, late=True))
        self.settle()
        self.assertEqual(self.durable[-1], 1)
        self.store.ledger.append(self.session.session_id, an_arrival(self.session, 2, late=True))
        self.settle()
        self.assertEqual(self.durable[-1], 5)

    def test_declared_gap_is_final(self) -> None:
        """What the Sentinel declares lost counts as settled, other causes do not."""
        self.begin()
        self.record(0, 3, 6)
        self.store.ledger.gap(self.session.session_id, Gap(1, 2, Cause.DECLARED))
        self.store.ledger.gap(self.session.session_id, Gap(4, 5, Cause.MISSING))
        self.settle()
        self.assertEqual(self.durable[-1], 3)
        self.store.ledger.gap(self.session.session_id, Gap(4, 4, Cause.DECLARED))
        self.store.ledger.gap(self.session.session_id, Gap(5, 5, Cause.DECLARED))
        self.settle()
        self.assertEqual(self.durable[-1], 6)

    def test_duplicates_are_dropped(self) -> None:
        """A sequence is recorded once, waiting or durable; the first bytes stay."""
        self.begin()
        self.record(0, 1)
        other = an_arrival(self.session, 1, frame=b"another frame")
        self.store.ledger.append(self.session.session_id, other)
        self.settle()
        self.store.ledger.append(self.session.session_id, other)
        self.settle()
        self.assertEqual(self.whole(self.media(0, 1)[0]), self.data(0, 1))
        self.assertEqual(self.shown().segment_count, 2)

    def test_id_is_used_once(self) -> None:
        """A session id is accepted once, whoever says it and however long ago."""
        self.begin()
        with self.assertRaises(RequestError):
            self.begin()
        self.store.ledger.end(self.session.session_id, "disconnected", EPOCH_US)
        self.settle()
        with self.assertRaises(RequestError):
            self.begin(replace(self.session, sentinel_id="desk-2"))

    def test_hostile_ids(self) -> None:
        """Ids that could be read as a path are refused."""
        for bad in ("../../../../etc/passwd", "a/b", "", "x" * 65, "short"):
            with self.assertRaises(RequestError):
                self.begin(replace(self.session, session_id=bad))
        for bad in ("..", ".hidden", "a/b", "", "x" * 65):
            with self.assertRaises(RequestError):
                self.begin(replace(self.session, sentinel_id=bad))

    def test_texts(self) -> None:
        """Whatever Unicode a sentinel says is told as it was said; half a character is
        refused, or replaced where it does not matter."""
        self.begin(renamed(self.session, name="Büro \u2603 \U0001f5a5"))
        cut = Gap(0, 0, Cause.DECLARED, detail="half \ud800 of it")
        self.store.ledger.gap(self.session.session_id, cut)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        shown = self.shown()
        self.assertEqual(shown.session.name, "Büro \u2603 \U0001f5a5")
        self.assertEqual(shown.gaps[0].detail, "half ? of it")
        with self.assertRaises(RequestError):
            self.begin(renamed(a_session(1), group="\udfff"))

    def test_only_live_sessions(self) -> None:
        """Nothing is taken for a session that has not begun, or is over; ending twice is no
        mistake."""
        with self.assertRaises(NotFound):
            self.record(0)
        with self.assertRaises(NotFound):
            self.store.ledger.gap(self.session.session_id, Gap(0, 0, Cause.DECLARED))
        self.begin()
        self.store.ledger.end(self.session.session_id, "disconnected", EPOCH_US + 1)
        with self.assertRaises(NotFound):
            self.record(0)
        self.store.ledger.end(self.session.session_id, "again", EPOCH_US + 2)
        self.store.ledger.end("session-that-never-was", "again", EPOCH_US + 2)
        self.settle()
        self.assertEqual(self.shown().end_reason, "disconnected")
        self.assertEqual(self.shown().ended_time_us, EPOCH_US + 1)

    def test_reserved(self) -> None:
        """A session that may begin is not listed before it does; its id is used, also when it has
        ended without."""
        self.store.ledger.reserve(self.session)
        with self.assertRaises(RequestError):
            self.store.ledger.reserve(self.session)
        found = self.store.archive.session("desk-1", self.session.session_id)
        self.settle()
        self.failureResultOf(found, NotFound)
        self.assertIs(self.store.ledger.recording(self.session.session_id), RecordingState.NONE)
        self.begin()
        other = a_session(1)
        self.store.ledger.reserve(other)
        self.store.ledger.end(other.session_id, "refused", EPOCH_US)
        for session in (self.session, other):
            with self.assertRaises(RequestError):
                self.begin(session)
        self.settle()
        self.assertIs(self.shown().state, SessionState.LIVE)
        found = self.store.archive.session("desk-1", other.session_id)
        self.failureResultOf(found, NotFound)

    def test_recording_state(self) -> None:
        """Recording is ok while a session is live, and none before and after."""
        session_id = self.session.session_id
        self.assertIs(self.store.ledger.recording(session_id), RecordingState.NONE)
        self.begin()
        self.assertIs(self.store.ledger.recording(session_id), RecordingState.OK)
        self.store.ledger.end(session_id, "disconnected", EPOCH_US)
        self.settle()
        self.assertIs(self.store.ledger.recording(session_id), RecordingState.NONE)

    def test_full_queue(self) -> None:
        """At the bound a segment is not recorded, a gap is, and the state is trouble, until
        there is room again."""
        self.store = self.make(queue_segments=4)
        session_id = self.session.session_id
        self.begin()
        self.assertLess(self.store.ledger.load, 0.01)
        self.record(0, 1)
        self.assertEqual(self.store.ledger.load, 0.5)
        self.record(2, 3, 4, 5)
        self.assertEqual(self.store.ledger.load, 1.0)
        self.assertIs(self.store.ledger.recording(session_id), RecordingState.TROUBLE)
        self.settle()
        self.assertEqual(self.store.ledger.load, 0.0)
        self.record(6)
        self.assertIs(self.store.ledger.recording(session_id), RecordingState.OK)
        self.settle()
        self.assertEqual(self.durable[-1], 3)
        (gap,) = self.shown().gaps
        self.assertEqual((gap.first, gap.last, gap.cause), (4, 5, Cause.QUEUE_FULL))
        self.record(4, 5)
        self.settle()
        self.assertEqual(self.shown().gaps, ())
        self.assertEqual(self.durable[-1], 6)

    def test_stop_ends_sessions(self) -> None:
        """Stopping makes everything durable, and ends what is live."""
        self.now_us = EPOCH_US + 5
        self.begin()
        self.record(0, 1)
        self.successResultOf(self.store.stop())
        self.assertEqual(self.durable[-1], 1)
        self.assertIs(self.store.ledger.recording(self.session.session_id), RecordingState.NONE)

    def test_after_the_stop(self) -> None:
        """After a stop nothing begins, and nothing is taken."""
        self.begin()
        self.assertTrue(self.store.health().is_open)
        self.successResultOf(self.store.stop())
        self.assertFalse(self.store.health().is_open)
        with self.assertRaises(NotFound):
            self.begin(a_session(1))
        with self.assertRaises(NotFound):
            self.record(0)

    def test_health(self) -> None:
        """How it does: what is recorded, what waits, what is counted, and what is missing."""
        self.store = self.make(queue_segments=4)
        self.begin()
        self.record(0, 1, 2, 3, 4)
        health = self.store.health()
        self.assertEqual((health.live, health.troubled, health.waiting_segments), (1, 1, 4))
        self.assertEqual(health.load, 1.0)
        assert health.trouble is not None
        self.assertIs(health.trouble.cause, Cause.QUEUE_FULL)
        self.settle()
        self.record(5)
        self.settle()
        counts, health = self.store.counts, self.store.health()
        self.assertEqual((health.troubled, health.trouble, health.waiting_segments), (0, None, 0))
        self.assertEqual((counts.segments, counts.size_bytes), (5, len(self.data(0, 1, 2, 3, 5))))
        self.assertEqual(counts.missing, {Cause.QUEUE_FULL: 1})
        self.assertEqual(counts.gaps, {Cause.QUEUE_FULL: 1})
        self.assertGreater(self.successResultOf(self.store.space()).total_bytes, 0)

    def test_done_is_whole(self) -> None:
        """A Sentinel that says that nothing more comes leaves no time missing at the end; one
        that says nothing does, and after a day it never came."""
        for is_done in (True, False):
            # The clock of a store that is there does not go back.
            self.now_us = EPOCH_US
            self.store = self.make()
            self.begin()
            self.record(0, 1, 4)
            ended_us = EPOCH_US + 60_000_000
            self.store.ledger.end(self.session.session_id, "disconnected", ended_us)
            self.settle()
            reached_us = EPOCH_US + 5 * FRAME_US
            hole = Gap(2, 3, Cause.MISSING, EPOCH_US + 2 * FRAME_US, EPOCH_US + 4 * FRAME_US)
            silence = Gap(None, None, Cause.MISSING, reached_us, ended_us)
            self.assertEqual(self.shown().gaps, (hole, silence))
            self.assertEqual(self.page().gaps, (hole, silence))
            if is_done:
                self.successResultOf(self.reopen_and_settle())
                self.store.ledger.seal(self.session.session_id)
                self.settle()
            self.now_us = ended_us + DAY_US
            hole = replace(hole, cause=Cause.UNDELIVERED)
            silence = replace(silence, cause=Cause.UNDELIVERED)
            gaps = (hole,) if is_done else (hole, silence)
            self.assertEqual(self.shown().gaps, gaps)
            self.assertEqual(self.page().gaps, gaps)

    def reopen_and_settle(self) -> Deferred[None]:
        """Open the session for what comes late."""
        opened = self.reopen()
        self.settle()
        return opened

    # What comes late

    def over(self, *sequences: int) -> None:
        """The session is recorded with these sequences, and has ended."""
        self.begin()
        self.record(*sequences)
        self.store.ledger.end(self.session.session_id, "disconnected", EPOCH_US + 1_000_000)
        self.settle()
        self.durable.clear()

    def reopen(self, session: Session | None = None) -> Deferred[None]:
        """Open a session again, the test's own if not said."""
        session = self.session if session is None else session
        opened: Deferred[None] = self.store.ledger.reopen(session, self.durable.append)
        return opened

    def late(self, *sequences: int, session: Session | None = None) -> None:
        """These sequences come late."""
        session = self.session if session is None else session
        for sequence in sequences:
            arrival = an_arrival(session, sequence, late=True)
            self.store.ledger.append(session.session_id, arrival)

    def wanted(self, *tails: tuple[str, int, int], sentinel_id: str = "desk-1") -> Any:
        """What is wanted of these tails; of the whole session, if not said."""
        tails = tails or ((self.session.session_id, 0, 9),)
        return self.successResultOf(self.store.ledger.tails(sentinel_id, tails))

    def test_tail(self) -> None:
        """Of a tail is wanted what is neither recorded nor declared lost, and no more."""
        self.begin()
        self.record(0, 1, 4, 7)
        self.store.ledger.gap(self.session.session_id, Gap(5, 5, Cause.DECLARED))
        self.store.ledger.gap(self.session.session_id, Gap(6, 6, Cause.QUEUE_FULL))
        session_id = self.session.session_id
        self.store.ledger.end(session_id, "disconnected", EPOCH_US)
        self.assertEqual(self.wanted()[0][0][0], 0, "it is not durable yet")
        self.settle()
        tails = ((session_id, 0, 9), (session_id, 3, 6), (session_id, 0, 1), (session_id, 8, 8))
        self.assertEqual(
            self.wanted(*tails), (((2, 3), (6, 6), (8, 9)), ((3, 3), (6, 6)), (), ((8, 8),))
        )

    def test_tails_of_others(self) -> None:
        """All is wanted of a session never heard of; nothing of one that is being recorded, is
        sealed, or is another Sentinel's."""
        self.assertEqual(self.wanted(), (((0, 9),),))
        self.begin()
        self.assertEqual(self.wanted(), ((),))
        self.settle()
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.assertEqual(self.wanted(sentinel_id="desk-2"), ((),))
        self.assertEqual(self.wanted(), (((0, 9),),))
        self.now_us = EPOCH_US + DAY_US
        self.assertEqual(self.wanted(), ((),))
        unheard = a_session(5)
        self.assertEqual(self.wanted((unheard.session_id, 3, 3)), (((3, 3),),))

    def test_tail_in_many_pieces(self) -> None:
        """No more than 1,024 ranges are named of a tail, the lowest."""
        self.over(*range(1, 2_100, 2))
        (ranges,) = self.wanted((self.session.session_id, 0, 5_000))
        self.assertEqual(len(ranges), 1_024)
        self.assertEqual((ranges[0], ranges[-1]), ((0, 0), (2_046, 2_046)))

    def test_late_delivery(self) -> None:
        """What comes late of an ended session fills its holes and its end, is acknowledged from
        what there was before on, and the session stays as it was said to be."""
        self.over(0, 1, 4)
        later = renamed(self.session, name="Another name", software="later/2")
        opened = self.reopen(replace(later, started_time_us=EPOCH_US + 9_000_000))
        self.settle()
        self.late(3, 1, 6, 2, 6, 5)
        self.settle()
        self.successResultOf(opened)
        self.assertEqual((self.durable[0], self.durable[-1]), (1, 6))
        shown = self.shown()
        self.assertEqual(shown.session, self.session)
        self.assertEqual((shown.state, shown.end_reason), (SessionState.ENDED, "disconnected"))
        self.assertEqual(shown.ended_time_us, EPOCH_US + 1_000_000)
        self.assertEqual((shown.segment_count, shown.gaps), (7, ()))
        self.assertEqual(shown.size_bytes, len(self.data(*range(7))))
        self.store.ledger.end(self.session.session_id, "disconnected again", EPOCH_US + 9_000_000)
        self.settle()
        self.assertEqual(self.shown(), shown)
        self.assertEqual(self.whole(self.media(0, 6)[0]), self.data(*range(7)))
        late = [segment.is_late for segment in self.page().segments]
        self.assertEqual(late, [False, False, True, True, False, True, True])
        self.assertTrue(self.whole(self.film()).endswith(self.data(*range(7))))

    def test_late_session(self) -> None:
        """A session never heard of is recorded whole when it comes late: it has ended when it is
        first heard of, and no live recording."""
        self.now_us = EPOCH_US + 5_000_000
        opened = self.reopen(replace(self.session, started_time_us=self.now_us))
        self.late(*range(7))
        self.settle()
        self.successResultOf(opened)
        self.assertEqual(self.durable[-1], 6)
        shown = self.shown()
        self.assertIs(shown.state, SessionState.ENDED)
        self.assertEqual((shown.ended_time_us, shown.session.init), (self.now_us, INIT))
        self.assertEqual((shown.start_time_us, shown.gaps), (EPOCH_US, ()))
        (listed,) = self.sessions().sessions
        self.assertEqual((listed.state, listed.segment_count), (SessionState.ENDED, 7))
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.assertEqual(self.shown(), shown)
        self.assertEqual(self.whole(self.media(0, 6)[0]), self.data(*range(7)))
        self.assertEqual(self.wanted(), (((7, 9),),))
        with self.assertRaises(RequestError):
            self.begin()

    def test_late_while_it_ends(self) -> None:
        """A session may be opened again in the moment in which it ends."""
        self.begin()
        self.record(0, 1)
        self.store.ledger.end(self.session.session_id, "replaced", EPOCH_US)
        opened = self.reopen()
        self.late(1, 2)
        self.store.ledger.end(self.session.session_id, "lost", EPOCH_US + 1)
        again = self.reopen()
        self.late(3)
        self.settle()
        self.successResultOf(opened)
        self.successResultOf(again)
        self.assertEqual(self.durable[-1], 3)
        self.assertEqual(self.numbers(), [0, 1, 2, 3])
        self.assertEqual(self.shown().end_reason, "replaced")
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US + 2)
        self.settle()
        self.assertEqual(self.numbers(), [0, 1, 2, 3])

    def test_late_again_and_again(self) -> None:
        """However often delivery is interrupted, each time only what is missing is wanted."""
        self.over(0)
        for number in range(1, 9, 2):
            self.assertEqual(self.wanted()[0][0], (number, 9))
            self.reopen()
            self.late(number - 1, number, number + 1)
            self.settle()
            self.store.ledger.end(self.session.session_id, "lost", EPOCH_US)
            self.settle()
        self.assertEqual(self.wanted(), (((9, 9),),))
        self.assertEqual(self.whole(self.media(0, 8)[0]), self.data(*range(9)))

    def test_late_gap(self) -> None:
        """What is declared lost of an ended session is settled, wherever it lies."""
        self.over(0, 3)
        self.reopen()
        lost = Gap(1, 2, Cause.DECLARED, detail="the spool was full")
        self.store.ledger.gap(self.session.session_id, lost)
        self.settle()
        self.assertEqual(self.durable[-1], 3)
        self.store.ledger.gap(self.session.session_id, Gap(4, 6, Cause.DECLARED))
        self.settle()
        self.assertEqual(self.durable[-1], 6)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        stated = [(gap.first, gap.last, gap.detail) for gap in self.shown().gaps]
        self.assertEqual(stated, [(1, 2, "the spool was full"), (4, 6, "")])
        self.assertEqual(self.wanted(), (((7, 9),),))

    def test_seal(self) -> None:
        """A sealed session takes nothing more: what it lacks is lost, and that is acknowledged."""
        self.over(0, 3)
        session_id = self.session.session_id
        self.reopen()
        self.late(5)
        self.settle()
        self.assertIs(self.film().is_final, False)
        self.store.ledger.seal(session_id)
        self.assertEqual(self.wanted(), ((),))
        self.settle()
        self.assertEqual(self.durable[-1], 5)
        shown = self.shown()
        self.assertEqual((shown.state, shown.end_reason), (SessionState.SEALED, "disconnected"))
        self.assertEqual([(gap.first, gap.last) for gap in shown.gaps], [(1, 2), (4, 4)])
        self.assertIs(self.film().is_final, True)
        self.assertIs(self.media(0, 9)[0].is_final, True)
        self.assertEqual(self.wanted(), ((),))
        with self.assertRaises(NotFound):
            self.late(1)
        opened = self.reopen()
        self.settle()
        self.failureResultOf(opened, SessionSealed)
        with self.assertRaises(NotFound):
            self.late(1)

    def test_seal_what_is_acknowledged(self) -> None:
        """That a session is sealed is told even if all of it was acknowledged before."""
        self.over(0, 1)
        self.reopen()
        self.settle()
        self.assertEqual(self.durable, [1])
        self.store.ledger.seal(self.session.session_id)
        self.settle()
        self.assertEqual(self.durable, [1, 1])
        self.assertIs(self.shown().state, SessionState.SEALED)

    def test_open_beyond_the_day(self) -> None:
        """A session that is open when its day is over has not been sealed before it is closed."""
        self.over(0, 2)
        self.reopen()
        self.settle()
        self.now_us = EPOCH_US + 2 * DAY_US
        for state in (SessionState.ENDED, SessionState.SEALED):
            self.assertIs(self.shown().state, state)
            self.assertIs(self.sessions().sessions[0].state, state)
            self.assertIs(self.film().is_final, state is SessionState.SEALED)
            self.store.ledger.end(self.session.session_id, "lost", self.now_us)
            self.settle()

    def test_sealed_after_a_stop(self) -> None:
        """Where a session was cut short nothing is missing once its Sentinel is done."""
        self.begin()
        self.record(0)
        cut = Gap(None, None, Cause.SERVER_STOPPED, EPOCH_US + FRAME_US, None, "gone")
        self.store.ledger.gap(self.session.session_id, cut)
        self.store.ledger.end(self.session.session_id, "server stopped", EPOCH_US + FRAME_US)
        self.settle()
        self.assertEqual(self.shown().gaps, (cut,))
        self.reopen()
        self.settle()
        self.assertEqual(self.shown().gaps, (cut,))
        self.store.ledger.seal(self.session.session_id)
        self.settle()
        self.assertEqual(self.shown().gaps, ())

    def test_seal_what_is_not_reopened(self) -> None:
        """Only a session that was opened again can be sealed."""
        for _ in range(2):
            with self.assertRaises(NotFound):
                self.store.ledger.seal(self.session.session_id)
            if not self.durable:
                self.begin()
                self.record(0)
                self.settle()
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        with self.assertRaises(NotFound):
            self.store.ledger.seal(self.session.session_id)
        self.assertIs(self.shown().state, SessionState.ENDED)

    def test_not_to_be_opened(self) -> None:
        """A session that is being recorded, is sealed by time, or is another Sentinel's, is not
        opened, nor one with another initialization segment."""
        self.begin()
        self.failureResultOf(self.reopen(), RequestError)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        for _ in range(2):
            asked = self.reopen(replace(self.session, sentinel_id="desk-2"))
            self.settle()
            self.failureResultOf(asked, SessionGone)
        asked = self.reopen(replace(self.session, init=INIT + b"\0\0\0\x08free"))
        self.settle()
        self.failureResultOf(asked, NotMedia)
        with self.assertRaises(NotFound):
            self.late(0)
        self.now_us = EPOCH_US + DAY_US
        asked = self.reopen()
        self.settle()
        self.failureResultOf(asked, RequestError)
        self.assertEqual(self.numbers(), [])

    def test_late_without_room(self) -> None:
        """What comes late has half of the room; what finds none leaves its hole, and as long as
        that is open the session is not sealed, whether it was open by then or not."""
        for is_open in (False, True):
            self.setUp()
            self.store = self.make(queue_segments=8)
            self.over(0)
            self.reopen()
            if is_open:
                self.settle()
            self.late_without_room()

    def late_without_room(self) -> None:
        """More comes late of the session than there is room for."""
        self.late(*range(1, 5))
        refused = an_arrival(self.session, 5, late=True)
        self.assertIs(self.store.ledger.append(self.session.session_id, refused), False)
        self.late(6)
        live = self.begin(a_session(1))
        self.assertIs(self.store.ledger.append(live.session_id, an_arrival(live, 0)), True)
        self.assertIs(self.store.ledger.seal(self.session.session_id), False)
        self.settle()
        self.assertEqual(self.numbers(), [0, 1, 2, 3, 4])
        self.assertIs(self.shown().state, SessionState.ENDED)
        self.assertEqual(self.wanted(), (((5, 9),),))
        self.assertEqual(self.store.ledger.load, 0.0)
        self.reopen()
        self.settle()
        self.late(5, 6, 7, 8, 9, 10)
        self.settle()
        self.late(9)
        self.store.ledger.gap(self.session.session_id, Gap(10, 10, Cause.DECLARED))
        self.assertIs(self.store.ledger.seal(self.session.session_id), True)
        self.settle()
        self.assertIs(self.shown().state, SessionState.SEALED)
        self.assertEqual(self.durable[-1], 10)

    def test_stop_closes_what_is_open(self) -> None:
        """Stopping ends what was opened again, and keeps what came."""
        self.over(0)
        self.reopen()
        self.late(1)
        self.settle()
        self.successResultOf(self.store.stop())
        self.assertEqual(self.durable[-1], 1)
        with self.assertRaises(NotFound):
            self.late(2)

    # Sessions

    def test_session_while_it_waits(self) -> None:
        """A session can be looked at from the moment it begins: there is no blind spot."""
        self.begin()
        shown = self.shown()
        self.assertEqual(shown.session, self.session)
        self.assertIs(shown.state, SessionState.LIVE)
        self.assertEqual((shown.segment_count, shown.size_bytes), (0, 0))
        self.assertEqual((shown.first_sequence, shown.start_time_us), (None, None))
        self.record(0, 1)
        waiting = self.shown()
        self.settle()
        self.assertEqual(self.shown(), waiting)
        self.assertEqual(waiting.segment_count, 2)
        self.assertEqual(waiting.end_time_us, EPOCH_US + 2 * FRAME_US)

    def test_session_with_holes(self) -> None:
        """Spans and gaps together tell of every sequence, with times and causes."""
        self.begin()
        self.record(1, 2, 3, 6, 9)
        self.store.ledger.gap(
            self.session.session_id, Gap(4, 4, Cause.DECLARED, detail="spool full")
        )
        self.store.ledger.gap(self.session.session_id, Gap(4, 8, Cause.MISSING))
        self.settle()
        shown = self.shown()
        size = len(self.data(1))
        time = [EPOCH_US + number * FRAME_US for number in range(11)]
        self.assertEqual(
            shown.spans,
            (
                Span(1, 3, time[1], time[4], 3 * size),
                Span(6, 6, time[6], time[7], size),
                Span(9, 9, time[9], time[10], size),
            ),
        )
        self.assertEqual(
            shown.gaps,
            (
                Gap(0, 0, Cause.MISSING, None, time[1]),
                Gap(4, 4, Cause.DECLARED, time[4], time[6], "spool full"),
                Gap(5, 5, Cause.MISSING, time[4], time[6]),
                Gap(7, 8, Cause.MISSING, time[7], time[9]),
            ),
        )
        self.assertEqual((shown.first_sequence, shown.last_sequence), (1, 9))
        self.assertEqual((shown.segment_count, shown.size_bytes), (5, 5 * size))

    def test_gap_of_time(self) -> None:
        """A gap of time without sequences is kept as stated, and so is one after the end; it is
        over once something from behind its start is recorded."""
        self.begin()
        self.record(0)
        cut = Gap(None, None, Cause.SERVER_STOPPED, EPOCH_US + FRAME_US, None, "gone")
        self.store.ledger.gap(self.session.session_id, cut)
        self.store.ledger.gap(self.session.session_id, Gap(1, 3, Cause.DECLARED))
        self.settle()
        lost, stopped = self.shown().gaps
        self.assertEqual((lost.first, lost.last, lost.cause), (1, 3, Cause.DECLARED))
        self.assertEqual(stopped, cut)
        self.assertEqual(self.durable[-1], 3)
        self.record(4)
        self.assertEqual([gap.cause for gap in self.shown().gaps], [Cause.DECLARED])

    def test_ended_then_sealed(self) -> None:
        """An ended session is sealed when its tail has not come for a day."""
        self.begin()
        self.record(0)
        ended_us = EPOCH_US + 1_000_000
        self.store.ledger.end(self.session.session_id, "disconnected", ended_us)
        self.assertIs(self.shown().state, SessionState.ENDED)
        self.settle()
        self.now_us = ended_us + DAY_US - 1
        self.assertIs(self.shown().state, SessionState.ENDED)
        self.assertIs(self.film().is_final, False)
        self.now_us += 1
        self.assertIs(self.shown().state, SessionState.SEALED)
        self.assertIs(self.film().is_final, True)
        self.assertEqual(self.shown().end_reason, "disconnected")

    def test_unknown_session(self) -> None:
        """What does not exist is not found, in every way to ask."""
        self.begin()
        unknown = "session-99999999"
        for sentinel_id, session_id in (
            ("desk-1", unknown),
            ("desk-2", self.session.session_id),
            ("..", ".."),
        ):
            for asked in (
                self.store.archive.session(sentinel_id, session_id),
                self.store.archive.segments(sentinel_id, session_id, SegmentQuery()),
                self.store.archive.media(sentinel_id, session_id, 0, 9),
                self.store.archive.film(sentinel_id, session_id),
            ):
                self.failureResultOf(asked, NotFound)

    def sessions(self, **query: Any) -> Any:
        """A page of sessions."""
        return self.successResultOf(self.store.archive.sessions(SessionQuery(**query)))

    def found(self, **query: Any) -> list[int]:
        """The numbers of the sessions on a page."""
        page = self.sessions(**query)
        return [int(record.session.session_id[-8:]) for record in page.sessions]

    def several(self) -> None:
        """Four sessions of two Sentinels: ended, ended, live and durable, live and waiting."""
        for number, sentinel_id in ((0, "desk-1"), (1, "desk-2"), (2, "desk-1")):
            session = self.begin(a_session(number, sentinel_id=sentinel_id))
            self.record(0, 1, session=session)
            if number < 2:
                self.store.ledger.end(session.session_id, "over", session.started_time_us + 500_000)
        self.settle()
        waiting = renamed(a_session(3, sentinel_id="desk-3"), group="office", name="Desk Three")
        self.begin(waiting)
        self.record(0, session=waiting)

    def test_sessions_newest_first(self) -> None:
        """Sessions are listed newest first, whether live, waiting or over."""
        self.several()
        self.assertEqual(self.found(), [3, 2, 1, 0])
        records = self.sessions().sessions
        self.assertEqual([record.segment_count for record in records], [1, 2, 2, 2])
        self.assertEqual({record.session.init for record in records}, {b""})
        self.assertEqual({record.spans for record in records}, {()})
        states = [record.state for record in records]
        live, ended = SessionState.LIVE, SessionState.ENDED
        self.assertEqual(states, [live, live, ended, ended])

    def test_order_is_that_of_the_times_shown(self) -> None:
        """Sessions stand where their first picture was captured, not where the server heard of
        them: one that comes a day late is in its place, and no page leaves one out."""
        starts = {0: 70, 1: 60, 2: 20, 3: 40, 4: 50, 5: 10, 6: 30}
        for number, minutes in starts.items():
            session = self.begin(a_session(number))
            arrival = an_arrival(session, 0)
            start_us = EPOCH_US + minutes * 60_000_000
            shown = replace(arrival, segment=replace(arrival.segment, start_time_us=start_us))
            self.store.ledger.append(session.session_id, shown)
            if number < 5:
                self.store.ledger.end(session.session_id, "over", EPOCH_US)
                self.settle()
        wanted = sorted(starts, key=lambda number: starts[number], reverse=True)
        self.assertEqual(self.found(), wanted)
        records = self.sessions().sessions
        times = [record.start_time_us for record in records]
        self.assertEqual(times, sorted(times, reverse=True))
        paged, after = [], None
        for _ in starts:
            page = self.sessions(limit=2, after=after)
            paged += [int(record.session.session_id[-8:]) for record in page.sessions]
            if (after := page.next) is None:
                break
        self.assertEqual(paged, wanted)

    def test_sessions_by_filter(self) -> None:
        """Sessions are found by Sentinel, by group, and by overlapping a time."""
        self.several()
        self.assertEqual(self.found(sentinel_id="desk-1"), [2, 0])
        self.assertEqual(self.found(group="office"), [3])
        self.assertEqual(self.found(group="nobody"), [])
        minute = 60_000_000
        self.assertEqual(self.found(to_time_us=EPOCH_US + minute), [0])
        self.assertEqual(self.found(to_time_us=EPOCH_US + minute + 1), [1, 0])
        self.assertEqual(self.found(from_time_us=EPOCH_US + minute), [3, 2, 1])
        self.assertEqual(self.found(from_time_us=EPOCH_US + 500_000), [3, 2, 1, 0])
        self.assertEqual(self.found(from_time_us=EPOCH_US + 500_001), [3, 2, 1])
        self.assertEqual(self.found(from_time_us=EPOCH_US + 9 * minute), [])

    def test_session_pages(self) -> None:
        """Pages cover everything once, even while new sessions begin."""
        self.several()
        first = self.sessions(limit=2)
        self.assertEqual(len(first.sessions), 2)
        self.begin(a_session(4))
        self.assertEqual(self.found(limit=2, after=first.next), [1, 0])
        self.assertIsNone(self.sessions(limit=2, after=first.next).next)
        self.assertIsNone(self.sessions(limit=5).next)
        self.assertEqual(self.found(limit=1), [4])

    def test_bad_page(self) -> None:
        """An `after` that no page gave is refused."""
        for after in ("", "x", "1.", "1.short", "9" * 40 + ".session-00000000"):
            asked = self.store.archive.sessions(SessionQuery(after=after))
            self.failureResultOf(asked, RequestError)

    def test_sentinels(self) -> None:
        """Every Sentinel ever recorded is known, by its newest session."""
        self.several()
        self.begin(renamed(a_session(9, sentinel_id="desk-2"), name="Desk Two"))
        known = self.successResultOf(self.store.archive.sentinels())
        self.assertEqual(
            [(one.sentinel_id, one.name, one.group, one.instance_id) for one, _ in known],
            [
                ("desk-1", "Desk One", "ward", ""),
                ("desk-2", "Desk Two", "ward", ""),
                ("desk-3", "Desk Three", "office", ""),
            ],
        )
        minute, two, one = 60_000_000, 2 * FRAME_US, FRAME_US
        newest = [EPOCH_US + 2 * minute + two, EPOCH_US + minute + two, EPOCH_US + 3 * minute + one]
        self.assertEqual([time for _, time in known], newest)

    # Segments

    def test_segment_as_listed(self) -> None:
        """A listing says of a segment what its Sentinel said, and whether it is durable."""
        self.begin()
        self.record(0)
        self.settle()
        late = an_arrival(self.session, 1, late=True)
        self.store.ledger.append(self.session.session_id, late)
        first, second = self.page().segments
        self.assertEqual(
            first,
            SegmentRecord(
                sequence=0,
                start_time_us=EPOCH_US,
                duration_ms=FRAME_MS,
                framerate_mhz=5_000,
                is_keyframe=True,
                is_late=False,
                is_undecodable=False,
                size_bytes=len(self.data(0)),
                media_time=0,
                media_duration=FRAME_TICKS,
                received_time_us=EPOCH_US + 30_000,
                is_durable=True,
            ),
        )
        said = second.is_keyframe, second.is_late, second.is_durable
        self.assertEqual(said, (False, True, False))
        self.assertEqual(second.media_time, FRAME_TICKS)
        self.settle()
        self.assertEqual(self.page().segments[1], replace(second, is_durable=True))

    def test_segment_pages(self) -> None:
        """Pages of segments cover everything once, durable or waiting."""
        self.begin()
        self.record(*range(7))
        self.settle()
        self.record(*range(7, 10))
        first = self.page(limit=4)
        self.assertEqual(([one.sequence for one in first.segments], first.next), ([0, 1, 2, 3], 3))
        second = self.page(limit=4, after=3)
        self.assertEqual([one.sequence for one in second.segments], [4, 5, 6, 7])
        self.assertEqual(second.next, 7)
        third = self.page(limit=4, after=7)
        self.assertEqual(([one.sequence for one in third.segments], third.next), ([8, 9], None))
        self.assertIsNone(self.page(limit=10).next)

    def test_segments_by_time(self) -> None:
        """A time range counts from its start, up to and without its end."""
        self.begin()
        self.record(*range(20))
        self.settle()
        self.record(*range(20, 25))
        at = [EPOCH_US + number * FRAME_US for number in range(26)]
        self.assertEqual(self.numbers(from_time_us=at[7]), list(range(7, 25)))
        self.assertEqual(self.numbers(from_time_us=at[7] + 1), list(range(8, 25)))
        self.assertEqual(self.numbers(to_time_us=at[7]), list(range(7)))
        self.assertEqual(self.numbers(from_time_us=at[18], to_time_us=at[22]), [18, 19, 20, 21])
        self.assertEqual(self.numbers(from_time_us=at[18], after=19, limit=2), [20, 21])
        self.assertEqual(self.numbers(from_time_us=at[25]), [])
        page = self.page(to_time_us=at[7], limit=7)
        self.assertIsNone(page.next)

    def test_late_segments_take_their_place(self) -> None:
        """What comes late is listed and served in the order of sequences."""
        self.begin()
        self.record(0, 1, 5, 6)
        self.settle()
        self.record(3, 2, 7, 4)
        self.assertEqual(self.numbers(), list(range(8)))
        waiting = self.media(0, 7)[0]
        self.assertEqual(self.whole(waiting), self.data(*range(8)))
        self.settle()
        self.assertEqual(self.media(0, 7)[0].etag, waiting.etag)
        self.assertEqual(self.numbers(), list(range(8)))
        self.assertEqual(self.whole(self.media(0, 7)[0]), self.data(*range(8)))
        self.assertEqual(self.numbers(after=1, limit=3), [2, 3, 4])

    def test_undecodable(self) -> None:
        """After a hole nothing is decodable up to the next keyframe; filled, it is again."""
        self.begin()
        self.record(0, 1, 3, 4, 5, 6)
        self.settle()
        flags = [one.is_undecodable for one in self.page().segments]
        self.assertEqual(flags, [False, False, True, True, False, False])
        self.assertEqual([one.is_undecodable for one in self.page(after=4).segments], [False] * 2)
        self.assertIs(self.page(after=3).segments[0].is_undecodable, True)
        self.assertEqual([one.is_undecodable for one in self.page(after=5).segments], [False])
        self.record(2)
        self.assertEqual({one.is_undecodable for one in self.page().segments}, {False})
        self.settle()
        self.assertEqual({one.is_undecodable for one in self.page().segments}, {False})

    def test_gaps_of_a_page(self) -> None:
        """A page tells of the gaps between its segments, the last page of those behind too."""
        self.begin()
        self.record(0, 1, 4, 5, 8)
        self.store.ledger.gap(self.session.session_id, Gap(9, 9, Cause.DECLARED))
        self.settle()

        def ranges(**query: Any) -> list[tuple[int, int]]:
            return [(gap.first, gap.last) for gap in self.page(**query).gaps]

        self.assertEqual(ranges(), [(2, 3), (6, 7), (9, 9)])
        self.assertEqual(ranges(limit=3), [(2, 3)])
        self.assertEqual(ranges(limit=2, after=4), [(6, 7), (9, 9)])
        self.assertEqual(ranges(limit=1, after=4), [])
        self.assertEqual(ranges(from_time_us=EPOCH_US + 4 * FRAME_US, limit=2), [])

    # Media

    def test_media(self) -> None:
        """A range is served byte for byte as received, and what is missing is named."""
        self.begin()
        self.record(0, 1, 2, 5, 6)
        self.settle()
        self.record(9)
        body, missing = self.media(1, 11)
        self.assertEqual(missing, ((3, 4), (7, 8), (10, 11)))
        self.assertEqual(self.whole(body), self.data(1, 2, 5, 6, 9))
        self.assertEqual(body.size_bytes, len(self.data(1, 2, 5, 6, 9)))
        body, missing = self.media(2, 2)
        self.assertEqual((self.whole(body), missing), (self.data(2), ()))

    def test_media_missing(self) -> None:
        """A range of which nothing is recorded is not found."""
        self.begin()
        self.record(0, 5)
        session_id = self.session.session_id
        for first, last in ((1, 4), (6, 6), (4, 1)):
            asked = self.store.archive.media("desk-1", session_id, first, last)
            self.failureResultOf(asked, NotFound)

    def test_media_final(self) -> None:
        """Stored segments can never change; a range with holes may, until it is sealed."""
        self.begin()
        self.record(0, 1, 3)
        self.assertIs(self.media(0, 1)[0].is_final, False)
        self.settle()
        self.assertIs(self.media(0, 1)[0].is_final, True)
        newest_us = an_arrival(self.session, 1).received_time_us
        self.assertEqual(self.media(0, 1)[0].modified_us, newest_us)
        self.assertIs(self.media(0, 3)[0].is_final, False)
        self.store.ledger.end(self.session.session_id, "over", EPOCH_US)
        self.settle()
        self.now_us = EPOCH_US + DAY_US
        self.assertIs(self.media(0, 3)[0].is_final, True)

    def test_views(self) -> None:
        """Media may be views into larger buffers."""
        self.begin()
        arrival = an_arrival(self.session, 0)
        view = memoryview(b"header" + bytes(arrival.segment.data))[6:]
        viewed = replace(arrival, segment=replace(arrival.segment, data=view))
        self.store.ledger.append(self.session.session_id, viewed)
        self.assertEqual(self.whole(self.media(0, 0)[0]), self.data(0))
        self.settle()
        self.assertEqual(self.whole(self.media(0, 0)[0]), self.data(0))

    def test_reading_in_pieces(self) -> None:
        """Any piece of a body is the same as that piece of all of it."""
        self.begin()
        self.record(*range(8))
        self.settle()
        self.record(8, 9)
        body = self.film()
        whole = self.whole(body)
        self.assertEqual(len(whole), body.size_bytes)
        for offset in range(0, body.size_bytes + 9, 7):
            piece = self.successResultOf(body.read(offset, 11))
            self.assertEqual(piece, whole[offset : offset + 11])
        self.assertEqual(self.successResultOf(body.read(3, 0)), b"")

    # The film

    def pictures(self, data: bytes) -> list[tuple[bytes, int, bool]]:
        """The samples of a film, their times, and which are sync samples."""
        return [(one.data, one.due, one.is_sync) for one in picture_track(data).samples]

    def test_film(self) -> None:
        """A film is a head whose tables name every frame, and the segments as they are."""
        self.begin()
        self.record(*range(12))
        self.settle()
        film = self.whole(self.film())
        self.assertEqual(media_of(film), self.data(*range(12)))
        expected = [(b"frame %d" % n, n * FRAME_TICKS, n % 5 == 0) for n in range(12)]
        self.assertEqual(self.pictures(film), expected)
        track = picture_track(film)
        self.assertEqual((track.timescale, track.edit), (TIMESCALE, None))
        self.assertEqual(track.duration, 12 * FRAME_TICKS)

    def test_film_with_hole(self) -> None:
        """A film leaves out what cannot be decoded, and a picture stays over the hole."""
        self.begin()
        self.record(1, 2, 5, 6, 8, 9, 10, 11)
        self.settle()
        film = self.whole(self.film())
        self.assertEqual(media_of(film), self.data(5, 6, 10, 11))
        times = [(n - 5) * FRAME_TICKS for n in (5, 6, 10, 11)]
        self.assertEqual([time for _, time, _ in self.pictures(film)], times)
        self.assertEqual(picture_track(film).duration, 7 * FRAME_TICKS)

    def test_film_without_pictures(self) -> None:
        """A film in which nothing can be decoded is the init alone."""
        self.begin()
        self.assertEqual(self.whole(self.film()), INIT)
        self.record(1, 2)
        self.assertEqual(self.whole(self.film()), INIT)
        self.settle()
        self.assertEqual(self.whole(self.film()), INIT)

    def test_film_begins(self) -> None:
        """A film says when its first picture was captured, or without one, when its session
        began; and up to where it is known."""
        self.begin()
        ids = "desk-1", self.session.session_id
        started_us = self.session.started_time_us
        asked = self.store.archive.film(*ids)
        self.assertEqual(self.successResultOf(asked)[1], Clip(started_us, started_us, 0))
        self.record(1, 2, 5, 6)
        for _ in range(2):
            asked = self.store.archive.film(*ids)
            begin_us, end_us = started_us + 5 * FRAME_US, started_us + 7 * FRAME_US
            self.assertEqual(self.successResultOf(asked)[1], Clip(begin_us, end_us, 6))
            self.settle()

    def test_film_of_a_version(self) -> None:
        """A film that is asked for with its validator can never change, and one with another
        validator can."""
        self.begin()
        self.record(*range(6))
        self.settle()
        ids = "desk-1", self.session.session_id
        body, clip = self.successResultOf(self.store.archive.film(*ids))
        self.assertIs(body.is_final, False)
        asked = self.store.archive.film(*ids, ClipQuery(last=clip.last), body.etag)
        again, _ = self.successResultOf(asked)
        self.assertEqual((again.etag, again.is_final), (body.etag, True))
        self.record(6)
        asked = self.store.archive.film(*ids, ClipQuery(last=clip.last), body.etag)
        again, _ = self.successResultOf(asked)
        self.assertEqual(self.whole(again), self.whole(body))
        asked = self.store.archive.film(*ids, ClipQuery(last=6), "0" * 32)
        self.assertIs(self.successResultOf(asked)[0].is_final, False)

    def test_film_is_pinned(self) -> None:
        """A film up to a sequence stays as it is, bytes and validator, while more comes."""
        self.begin()
        self.record(*range(8))
        pinned = self.film(last=7)
        self.settle()
        stored = self.film(last=7)
        self.record(*range(8, 11))
        grown = self.film(last=7)
        self.settle()
        for body in (pinned, stored, grown, self.film(last=7)):
            self.assertEqual(body.etag, pinned.etag)
            self.assertEqual(self.whole(body), self.whole(pinned))
        self.assertNotEqual(self.film().etag, pinned.etag)
        self.assertEqual(self.whole(self.film(last=3))[-len(self.data(3)) :], self.data(3))

    def test_validator_follows_bytes(self) -> None:
        """Where a late segment changes a film, its validator changes with it."""
        self.begin()
        self.record(0, 1, 2, 5, 6)
        self.settle()
        before = self.film(last=6)
        self.record(3, 4)
        self.settle()
        after = self.film(last=6)
        self.assertNotEqual(after.etag, before.etag)
        self.assertEqual(self.whole(after)[-len(self.data(*range(7))) :], self.data(*range(7)))
        self.assertTrue(self.whole(before).endswith(self.data(0, 1, 2, 5, 6)))
        self.assertNotEqual(self.media(0, 1)[0].etag, self.media(0, 2)[0].etag)


class MemoryStoreTests(StoreContract, SynchronousTestCase):
    """The fake."""

    def make(self, queue_segments: int = 65_536) -> MemoryStore:
        """A fake that commits when told to."""
        return MemoryStore(
            wall_clock_us=lambda: self.now_us,
            commit_at_once=False,
            queue_segments=queue_segments,
        )

    def settle(self) -> None:
        """Commit."""
        self.store.commit()

    def test_at_once(self) -> None:
        """Unless told otherwise, the fake makes durable whatever is appended."""
        self.store = MemoryStore()
        self.begin()
        self.record(0, 1)
        self.assertEqual(self.durable, [0, 1])


class RecordingStoreTests(StoreContract, SynchronousTestCase):
    """The real store, on a real disk, its rounds done by hand."""

    def make(self, queue_segments: int = 65_536) -> Any:
        """A store in a folder of its own."""
        self.rig = Rig(
            self.mktemp(), wall_clock_us=lambda: self.now_us, queue_segments=queue_segments
        )
        self.addCleanup(self.rig.close)
        return self.rig.store

    def settle(self) -> None:
        """Do rounds until nothing is left to do."""
        self.rig.settle()
