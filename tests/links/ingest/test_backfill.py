"""Tests of what comes late: sessions before the live one, on a Sentinel's connection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.fakes.peers import FakeSentinelPeer
from tests.links.memory import BINARY, FIRST, JSON, SECOND, LinkCase
from vidlink.errors import RequestError
from vidlink.interfaces import LATE_LOAD, ICodec
from vidlink.links.ingest.backfill import MAX_EARLIER, wanted
from vidlink.links.ingest.conversation import LOOKUP_SECONDS
from vidlink.messages import (
    Ack,
    BackfillDone,
    DeclareGap,
    ErrorMessage,
    SentinelRegistered,
    Tail,
)
from vidlink.model import MAX_RANGES, InitSegment, Limits, SegmentQuery, SessionState

UNHEARD = "unheard-session-0"


class BackfillCase(LinkCase):
    """A Sentinel whose first session was cut off with a hole, and that is there again."""

    def setUp(self) -> None:
        """Session FIRST has 0, 1 and 4; its Sentinel is about to register again."""
        super().setUp()
        lost = self.server.sentinel()
        lost.register(FIRST)
        lost.init()
        for number in (0, 1, 4):
            lost.segment(number)
        lost.vanish()
        self.sentinel = self.server.sentinel()

    def register(self, *tails: Tail) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
        """Register anew with these tails; what is wanted of them."""
        self.sentinel.register(SECOND, resume=tails)
        (answer,) = self.sentinel.all_heard(SentinelRegistered)
        return [(one.session_id, one.missing) for one in answer.resume]

    def live(self) -> None:
        """Register, and begin the new session."""
        self.register()
        self.sentinel.init()
        self.sentinel.segment(0)
        self.sentinel.forget()

    def state(self, session_id: str = FIRST) -> SessionState:
        """What history says of a session."""
        found = self.server.store.session("desk-1", session_id)
        return self.successResultOf(found).state

    def recorded(self, session_id: str = FIRST) -> list[int]:
        """The sequences that history lists of a session."""
        page = self.server.store.segments("desk-1", session_id, SegmentQuery())
        return [row.sequence for row in self.successResultOf(page).segments]

    def error(self) -> str:
        """What the only error that was heard is about; the connection is still open."""
        self.assert_open(self.sentinel)
        (error,) = self.sentinel.all_heard(ErrorMessage)
        self.sentinel.forget()
        assert error.about is not None
        return error.about


class TailTests(BackfillCase):
    """What is asked for at registration."""

    def test_what_is_missing(self) -> None:
        """Of each tail the server asks for what it does not have, in the order offered."""
        asked = self.register(Tail(UNHEARD, 0, 9), Tail(FIRST, 1, 7))
        self.assertEqual(asked, [(UNHEARD, ((0, 9),)), (FIRST, ((2, 3), (5, 7)))])

    def test_nothing_held(self) -> None:
        """Who holds nothing is asked for nothing."""
        self.assertEqual(self.register(), [])

    def test_nothing_missing(self) -> None:
        """A tail that is there already is named, with nothing that is wanted of it."""
        self.assertEqual(self.register(Tail(FIRST, 0, 1)), [(FIRST, ())])

    def test_its_own_connection_before(self) -> None:
        """The session of the connection that it replaces is over when it is looked up."""
        half_open = self.sentinel
        half_open.register(SECOND)
        half_open.init()
        half_open.segment(0)
        self.sentinel = self.server.sentinel()
        self.sentinel.register(UNHEARD, resume=(Tail(SECOND, 0, 3),))
        self.assert_closed(half_open, 4409)
        (answer,) = self.sentinel.all_heard(SentinelRegistered)
        self.assertEqual(answer.resume[0].missing, ((1, 3),))

    def test_the_answer_waits(self) -> None:
        """It is registered when it is known what is wanted, and not before."""
        answer = self.server.store.hesitate()
        self.sentinel.register(SECOND, resume=(Tail(FIRST, 0, 4),))
        self.server.second()
        self.assertEqual(self.sentinel.heard, [])
        answer.callback(None)
        (heard,) = self.sentinel.all_heard(SentinelRegistered)
        self.assertEqual(heard.resume[0].missing, ((2, 3),))

    def test_the_answer_does_not_come(self) -> None:
        """A store that does not answer keeps nobody out: nothing is asked for then."""
        answer = self.server.store.hesitate()
        self.sentinel.register(SECOND, resume=(Tail(FIRST, 0, 4),))
        self.server.second(LOOKUP_SECONDS)
        (heard,) = self.sentinel.all_heard(SentinelRegistered)
        self.assertEqual(heard.resume, ())
        answer.callback(None)
        self.server.second(LOOKUP_SECONDS)
        self.sentinel.init()
        self.assertEqual(len(self.sentinel.all_heard(SentinelRegistered)), 1)
        self.assert_open(self.sentinel)

    def test_gone_while_it_waits(self) -> None:
        """Who leaves before the answer is gone, and nothing is left of it."""
        answer = self.server.store.hesitate()
        self.sentinel.register(SECOND, resume=(Tail(FIRST, 0, 4),))
        self.sentinel.vanish()
        answer.callback(None)
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        self.assertIsNone(stream.publisher)
        self.assertEqual(self.sentinel.heard, [])


class WantedTests(SynchronousTestCase):
    """How much is asked for at once."""

    def test_fits(self) -> None:
        """However much is missing, the answer fits into a text, and begins with the first."""
        tails = [Tail(f"{number:064}", 0, 2**32 - 1) for number in range(1_024)]
        pieces = tuple((2**32 - 1, 2**32 - 1) for _ in range(1_024))
        for found in ([pieces] * 1_024, [pieces[:1]] * 1_024, [()] * 1_024):
            asked = wanted(tails, found)
            text, _ = JSON.encode(SentinelRegistered(0, {}, asked))
            self.assertLess(len(text), 64 * 1_024)
            self.assertEqual(
                [one.session_id for one in asked], [f"{n:064}" for n in range(len(asked))]
            )
            self.assertEqual(len(asked[0].missing), len(found[0]))
        self.assertGreater(len(asked), 500)

    def test_not_looked_up(self) -> None:
        """A tail that could not be looked up is not named."""
        tails = [Tail(FIRST, 0, 1), Tail(SECOND, 0, 1)]
        (asked,) = wanted(tails, [None, ((0, 1),)])
        self.assertEqual(asked.session_id, SECOND)


class ReferenceTests(SynchronousTestCase):
    """The page about the protocol."""

    def test_bounds(self) -> None:
        """The numbers on the page are those of the code."""
        page = (Path(__file__).parents[3] / "docs" / "reference" / "wire.md").read_text("utf-8")
        words = " ".join(page.split())
        for text in (
            f"up to {MAX_EARLIER} earlier sessions may be open",
            f"no longer than {LOOKUP_SECONDS:g} s",
            f"with a `load` below {LATE_LOAD}, and at most {MAX_RANGES:,} of them in one",
            f"the lowest are named, at most {MAX_RANGES:,}",
        ):
            self.assertIn(text, words)


class DeliveryTests(BackfillCase):
    """What comes late."""

    def test_unheard(self) -> None:
        """A session of which nothing was known is recorded, by either format, even before the
        live one begins."""
        for name, codec in (("desk-2", BINARY), ("desk-3", JSON)):
            self.deliver_whole(name, codec)

    def deliver_whole(self, name: str, codec: ICodec) -> None:
        """A Sentinel delivers a session that the server has never heard of."""
        sentinel = self.server.sentinel(name, codec=codec)
        session_id = f"unheard-of-{name}"
        sentinel.register(f"live-one-of-{name}")
        sentinel.init(session_id, late=True)
        sent = [sentinel.late_segment(session_id, number) for number in range(12)]
        sentinel.init()
        sentinel.say(BackfillDone(session_id))
        body, missing = self.successResultOf(self.server.store.media(name, session_id, 0, 11))
        self.assertEqual(missing, ())
        self.assertEqual(self.successResultOf(body.read(0, body.size_bytes)), b"".join(sent))
        record = self.successResultOf(self.server.store.session(name, session_id))
        self.assertIs(record.state, SessionState.SEALED)
        self.assertEqual(record.start_time_us, media.start_time_us(0))
        self.assertEqual(record.session.started_time_us, self.server.now_us())

    def test_acknowledged_from_the_start(self) -> None:
        """Once a session is open it is acknowledged as far as it is there, and never beyond a
        hole."""
        self.live()
        self.sentinel.init(FIRST, late=True)
        self.server.second()
        self.sentinel.late_segment(FIRST, 3)
        self.server.second()
        self.sentinel.late_segment(FIRST, 2)
        self.server.second()
        acks = [ack for ack in self.sentinel.all_heard(Ack) if ack.session_id == FIRST]
        self.assertEqual([ack.sequence for ack in acks], [1, 4])

    def test_interrupted(self) -> None:
        """What was open when the connection was lost has ended, and is not sealed; next time
        only what is still missing is wanted."""
        self.live()
        self.sentinel.init(FIRST, late=True)
        self.sentinel.late_segment(FIRST, 2)
        self.sentinel.vanish()
        self.assertIs(self.state(), SessionState.ENDED)
        self.sentinel = self.server.sentinel()
        self.sentinel.register(UNHEARD, resume=(Tail(FIRST, 0, 5), Tail(SECOND, 0, 0)))
        (answer,) = self.sentinel.all_heard(SentinelRegistered)
        self.assertEqual([one.missing for one in answer.resume], [((3, 3), (5, 5)), ()])
        self.sentinel.init(FIRST, late=True)
        self.sentinel.late_segment(FIRST, 3)
        self.assertEqual(self.recorded(), [0, 1, 2, 3, 4])

    def test_of_the_same_connection(self) -> None:
        """A session that ended on this connection is filled up like any other."""
        self.live()
        self.sentinel.segment(3)
        self.sentinel.init(UNHEARD)
        self.sentinel.init(SECOND, late=True)
        for number in (1, 2):
            self.sentinel.late_segment(SECOND, number)
        self.assertEqual(self.recorded(SECOND), [0, 1, 2, 3])
        self.assert_open(self.sentinel)

    def test_live_init_as_late(self) -> None:
        """The init of the live session changes nothing, late or not."""
        self.live()
        self.sentinel.init(SECOND, late=True)
        self.sentinel.segment(1)
        self.assertEqual(self.sentinel.heard, [])
        self.assertEqual(self.recorded(SECOND), [0, 1])

    def test_init_repeated(self) -> None:
        """The init of a session that is open changes nothing; another one ends the connection."""
        self.live()
        for _ in range(2):
            self.sentinel.init(FIRST, late=True)
        self.assertEqual(self.sentinel.heard, [])
        self.sentinel.init(FIRST, data=media.init_segment(b"another"), late=True)
        self.assert_closed(self.sentinel, 4422)


class RefusalTests(BackfillCase):
    """What cannot be recorded."""

    def setUp(self) -> None:
        """The Sentinel is live."""
        super().setUp()
        self.live()

    def test_not_open(self) -> None:
        """What comes of a session before its init, or after the end, fails and names it."""
        for _ in range(2):
            self.sentinel.late_segment(FIRST, 2)
            self.assertEqual(self.error(), FIRST)
            for message in (DeclareGap(FIRST, 2, 3, "lost"), BackfillDone(FIRST)):
                self.sentinel.say(message)
                self.assertEqual(self.error(), FIRST)
            self.sentinel.init(FIRST, late=True)
            self.sentinel.say(BackfillDone(FIRST))
            self.sentinel.forget()
        self.assertEqual(self.recorded(), [0, 1, 4])

    def test_sealed(self) -> None:
        """A session that is sealed takes nothing, by its Sentinel's word or after a day."""
        self.sentinel.init(FIRST, late=True)
        self.sentinel.say(BackfillDone(FIRST))
        self.sentinel.init(FIRST, late=True)
        self.assertEqual(self.error(), FIRST)
        self.sentinel.init(UNHEARD)
        self.server.clock.advance(24 * 60 * 60)
        self.sentinel.init(SECOND, late=True)
        self.assertEqual(self.error(), SECOND)

    def test_of_somebody_else(self) -> None:
        """Nobody adds to another Sentinel's session."""
        self.sentinel = self.server.live("desk-2")
        self.sentinel.init(FIRST, late=True)
        self.assertEqual(self.error(), FIRST)
        self.sentinel.late_segment(FIRST, 2)
        self.assertEqual(self.error(), FIRST)
        self.assertEqual(self.recorded(), [0, 1, 4])

    def test_another_init(self) -> None:
        """A session is filled up under the init that it was recorded with, and no other."""
        self.sentinel.init(FIRST, data=media.init_segment(b"another"), late=True)
        self.assert_closed(self.sentinel, 4422)
        self.assertEqual(self.recorded(SECOND), [0])

    def test_live_session_is_not_done(self) -> None:
        """The live session cannot be sealed; it goes on."""
        self.sentinel.say(BackfillDone(SECOND))
        self.assertEqual(self.error(), SECOND)
        self.sentinel.segment(1)
        self.assertEqual(self.recorded(SECOND), [0, 1])

    def test_id_cannot_begin(self) -> None:
        """An id under which something came late is used up: no session begins with it."""
        self.sentinel.init(UNHEARD, late=True)
        self.sentinel.init(UNHEARD)
        self.assert_closed(self.sentinel, 4400)

    def test_many(self) -> None:
        """So many earlier sessions may be open; one more is refused until one is done."""
        names = [f"earlier-session-{number}" for number in range(MAX_EARLIER + 1)]
        for name in names[:-1]:
            self.sentinel.init(name, late=True)
        self.assertEqual(self.sentinel.heard, [])
        self.sentinel.init(names[-1], late=True)
        self.assertEqual(self.error(), names[-1])
        self.sentinel.late_segment(names[-1], 0)
        self.assertEqual(self.error(), names[-1])
        self.sentinel.say(BackfillDone(names[3]))
        self.sentinel.init(names[-1], late=True)
        self.assertEqual(self.sentinel.heard, [])

    def test_what_is_no_media(self) -> None:
        """What comes late has to be what it claims to be, as anything else."""
        good = self.sentinel.described(2, media.segment(2), late=True)
        for bad, code in (
            (replace(good, data=media.segment(3)), 4422),
            (replace(good, is_keyframe=True), 4422),
            (replace(good, data=b"junk"), 4422),
            (replace(good, start_time_us=2**53 - 1), 4400),
            (replace(good, is_late=False), 4400),
        ):
            self.setUp()
            self.sentinel.init(FIRST, late=True)
            self.sentinel.say(replace(bad, session_id=FIRST))
            self.assert_closed(self.sentinel, code)
            self.assertEqual(self.recorded(), [0, 1, 4])

    def test_too_large(self) -> None:
        """The limits hold for what comes late."""
        for init, code in ((b"junk", 4422), (media.init_segment(bytes(2_000)), 4400)):
            sentinel = self.limited(Limits(max_segment_bytes=1_000, max_init_bytes=2_000))
            sentinel.say(InitSegment("desk-2", UNHEARD, init, is_late=True))
            self.assert_closed(sentinel, code)
        sentinel = self.limited(Limits(max_segment_bytes=1_000))
        sentinel.init(UNHEARD, late=True)
        sentinel.late_segment(UNHEARD, 0, filler_bytes=1_000)
        self.assert_closed(sentinel, 4400)

    def limited(self, limits: Limits) -> FakeSentinelPeer:
        """Another Sentinel, under these limits."""
        sentinel = self.server.sentinel("desk-2", limits=limits)
        sentinel.register(f"live-session-{len(self.server.ingests):04}")
        return sentinel


class SlowStoreTests(BackfillCase):
    """The store says later that a session cannot be opened."""

    def setUp(self) -> None:
        """The Sentinel is live, and has sent a late init that is not answered yet."""
        super().setUp()
        self.live()
        self.opened: Deferred[None] = Deferred()
        self.server.store.reopen = lambda *_: self.opened  # type: ignore[method-assign]
        self.sentinel.init(FIRST, late=True)

    def test_refused(self) -> None:
        """It is told, and so is everything after it."""
        self.opened.errback(RequestError("it is sealed"))
        self.assertEqual(self.error(), FIRST)
        self.sentinel.late_segment(FIRST, 2)
        self.assertEqual(self.error(), FIRST)

    def test_refused_after_the_end(self) -> None:
        """When the connection is gone it reaches nobody."""
        self.sentinel.vanish()
        self.opened.errback(RequestError("it is sealed"))
        self.assertEqual(self.sentinel.heard, [])


class FullStoreTests(BackfillCase):
    """The queue to the disk is short, and nothing is written of itself."""

    commit_at_once = False
    queue_segments = 8

    def setUp(self) -> None:
        """FIRST is open again beside the live session, and everything is on disk."""
        super().setUp()
        self.live()
        self.sentinel.init(FIRST, late=True)
        self.second()
        self.sentinel.forget()

    def second(self) -> None:
        """What waits becomes durable, and a second passes."""
        self.server.store.commit()
        self.server.second()

    def asked(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """What was asked for since the last time, by session."""
        asked = {ack.session_id: ack.missing for ack in self.sentinel.all_heard(Ack) if ack.missing}
        self.sentinel.forget()
        return asked

    def test_asked_for_again(self) -> None:
        """What finds no room is asked for once more when there is some, live or late."""
        for number in range(1, 10):
            self.sentinel.segment(number)
        for number in (2, 3):
            self.sentinel.late_segment(FIRST, number)
        self.server.second()
        self.assertEqual(self.asked(), {})
        self.second()
        self.assertEqual(self.asked(), {SECOND: ((9, 9),), FIRST: ((2, 3),)})
        self.sentinel.segment(9, late=True)
        for number in (2, 3):
            self.sentinel.late_segment(FIRST, number)
        self.second()
        self.assertEqual(self.asked(), {})
        self.assertEqual(self.recorded(), [0, 1, 2, 3, 4])
        self.assertEqual(self.recorded(SECOND), list(range(10)))
        self.sentinel.say(BackfillDone(FIRST))
        self.assertIs(self.state(), SessionState.SEALED)
        self.assertEqual(self.sentinel.all_heard(ErrorMessage), [])

    def test_done_without_room(self) -> None:
        """A session is not sealed over what found no room; its Sentinel is told, and may send
        it again."""
        for number in range(1, 5):
            self.sentinel.segment(number)
        self.sentinel.late_segment(FIRST, 2)
        self.sentinel.say(BackfillDone(FIRST))
        self.assertEqual(self.error(), FIRST)
        self.assertIs(self.state(), SessionState.ENDED)
        self.second()
        self.sentinel.init(FIRST, late=True)
        for number in (2, 3):
            self.sentinel.late_segment(FIRST, number)
        self.sentinel.say(BackfillDone(FIRST))
        self.assertIs(self.state(), SessionState.SEALED)
