"""Tests of a Sentinel's conversation, from the server's side."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.fakes import media
from tests.fakes.peers import FakeSentinelPeer
from tests.links.memory import BINARY, FIRST, JSON, SECOND, LinkCase
from vidlink.interfaces import IPublisher, ISentinelPeer
from vidlink.links.ingest.conversation import LOOKUP_SECONDS
from vidlink.messages import (
    Ack,
    BackfillDone,
    Clock,
    DeclareGap,
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    ProctorRegister,
    SentinelRegistered,
    Subscribe,
)
from vidlink.model import (
    EVERYBODY,
    InitSegment,
    Limits,
    Principal,
    SegmentQuery,
    SentinelState,
    SessionQuery,
)
from vidlink.relay.stream import Stream

OTHER = "other-session-000"


def bound(sentinel_id: str) -> Principal:
    """Whoever bears the token of one Sentinel."""
    return replace(EVERYBODY, sentinel_id=sentinel_id)


class IngestCase(LinkCase):
    """A test with a server, and a Sentinel that has begun its first session."""

    def setUp(self) -> None:
        """The session has begun and nothing has been sent in it."""
        super().setUp()
        self.sentinel = self.server.sentinel()
        self.sentinel.register(FIRST)
        self.sentinel.init()
        self.sentinel.forget()

    @property
    def stream(self) -> Stream:
        """The Sentinel's stream, as the hub has it."""
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        return stream

    def live_sequences(self) -> list[int]:
        """What the live session's buffer holds."""
        assert self.stream.live is not None
        buffer = self.stream.live.buffer
        return [buffer.at(place).segment.sequence for place in range(buffer.first, buffer.end)]

    def recorded(self, session_id: str = FIRST) -> dict[int, bool]:
        """What the recording lists of a session: whether each sequence is undecodable."""
        query = SegmentQuery()
        page = self.successResultOf(self.server.store.segments("desk-1", session_id, query))
        return {row.sequence: row.is_undecodable for row in page.segments}


#: Everything that can happen to a conversation.
INPUTS: Mapping[str, Callable[[FakeSentinelPeer], Any]] = {
    "register": lambda peer: peer.register(peer.session_id),
    "init": lambda peer: peer.init(),
    "next init": lambda peer: peer.init(peer.session_id + "x"),
    "late init": lambda peer: peer.init(SECOND, late=True),
    "segment": lambda peer: peer.segment(0),
    "late segment": lambda peer: peer.late_segment(SECOND, 0),
    "gap": lambda peer: peer.say(DeclareGap(SECOND, 0, 1, "lost")),
    "done": lambda peer: peer.say(BackfillDone(SECOND)),
    "clock": lambda peer: peer.say(Clock(1)),
    "error": lambda peer: peer.say(ErrorMessage("going-away", "the sentinel is shutting down")),
    "ack": lambda peer: peer.say(Ack(FIRST, 0)),
    "subscribe": lambda peer: peer.say(Subscribe("desk-1")),
    "deadline": lambda peer: peer.conversation.deadline(),
    "shutdown": lambda peer: peer.conversation.going_away(),
    "replace": lambda peer: peer.conversation.replace(),
    "lost": lambda peer: peer.vanish(),
}
#: What comes of it in each state: a close code, the kind of what is answered, or nothing.
OUTCOMES: Mapping[str, tuple[object, ...]] = {
    # In the states: connected, claiming, registered, streaming, over.
    "register": (SentinelRegistered, 4400, 4400, 4400, None),
    "init": (4400, 4400, None, None, None),
    "next init": (4400, 4400, 4400, None, None),
    "late init": (4400, 4400, None, None, None),
    "segment": (4400, 4400, 4400, None, None),
    "late segment": (4400, 4400, ErrorMessage, ErrorMessage, None),
    "gap": (4400, 4400, ErrorMessage, ErrorMessage, None),
    "done": (4400, 4400, ErrorMessage, ErrorMessage, None),
    "clock": (Clock, Clock, Clock, Clock, None),
    "error": (None, None, None, None, None),
    "ack": (4400, 4400, 4400, 4400, None),
    "subscribe": (4400, 4400, 4400, 4400, None),
    "deadline": (4408, None, None, None, None),
    "shutdown": (1001, 1001, 1001, 1001, None),
    "replace": (4409, 4409, 4409, 4409, None),
    "lost": (None, None, None, None, None),
}


class TableTests(LinkCase):
    """Every input in every state."""

    def connected(self) -> FakeSentinelPeer:
        """It has connected."""
        peer = self.server.sentinel()
        peer.session_id = FIRST
        return peer

    def claiming(self) -> FakeSentinelPeer:
        """It has registered, and another process is being asked whether it is alive."""
        self.server.sentinel(instance_id="rival").register(OTHER)
        peer = self.server.sentinel()
        peer.register(FIRST)
        return peer

    def looking(self) -> FakeSentinelPeer:
        """It has its place, and what is wanted of its tails is being looked up."""
        self.server.store.hesitate()
        return self.registered()

    def registered(self) -> FakeSentinelPeer:
        """It has been accepted."""
        peer = self.server.sentinel()
        peer.register(FIRST)
        return peer

    def streaming(self) -> FakeSentinelPeer:
        """Its session has begun."""
        peer = self.registered()
        peer.init()
        return peer

    def over(self) -> FakeSentinelPeer:
        """Its connection has gone."""
        peer = self.streaming()
        peer.vanish()
        return peer

    def test_table(self) -> None:
        """Each input has its outcome in each state, and none is unheard of."""
        waiting = (self.claiming, self.looking)
        states = (self.connected, *waiting, self.registered, self.streaming, self.over)
        self.assertEqual(set(INPUTS), set(OUTCOMES))
        for name, outcomes in OUTCOMES.items():
            # What comes of it is the same whatever it waits for.
            for state, expected in zip(states, (*outcomes[:2], *outcomes[1:]), strict=True):
                self.setUp()
                peer = state()
                peer.forget()
                INPUTS[name](peer)
                seen: object = None
                if peer.closed is not None:
                    self.assert_closed(peer, peer.closed.close_code)
                    seen = peer.closed.close_code
                elif peer.heard:
                    (answer,) = peer.heard
                    seen = type(answer)
                self.assertEqual(seen, expected, (name, state.__name__))


class AnyOrderTests(LinkCase):
    """Three connections of one id, and whatever may happen on them."""

    @given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([*INPUTS, "answer", "wait"]))))
    def test_books_are_closed(self, steps: list[tuple[int, str]]) -> None:
        """Nothing is raised; every session that begins ends once; and nothing is left over."""
        self.setUp()
        peers = [self.server.sentinel(instance_id=name) for name in ("one", "one", "two")]
        for number, peer in enumerate(peers):
            peer.session_id = f"session-number-{number:04}"
        for which, word in steps:
            peer = peers[which]
            if word == "wait":
                self.server.second()
            elif word == "answer":
                peer.answer(which == 0)
            else:
                INPUTS[word](peer)
        for peer in peers:
            peer.vanish()
        ended = [session_id for session_id, _ in self.server.store.ends]
        self.assertEqual(sorted(ended), sorted(self.server.store.begins))
        page = self.successResultOf(self.server.store.sessions(SessionQuery()))
        # One of which nothing came is not there.
        recorded = {record.session.session_id for record in page.sessions}
        self.assertLessEqual(recorded, set(ended))
        for status in self.server.hub.statuses():
            self.assertEqual(status.state, SentinelState.OFFLINE)
            self.assertIsNone(status.session_id)
        self.server.second(60.0)
        self.assertEqual(self.server.hub.budget.buffers, 0)


class RegistrationTests(LinkCase):
    """How a Sentinel takes its place."""

    def test_registered(self) -> None:
        """It is told the server's time and what it may send, and is listed."""
        sentinel = self.server.sentinel(limits=Limits(max_segment_bytes=1_234))
        sentinel.register(FIRST)
        (answer,) = sentinel.all_heard(SentinelRegistered)
        self.assertEqual(answer.server_time_us, self.server.now_us())
        self.assertEqual(answer.limits["maxSegmentBytes"], 1_234)
        (row,) = self.server.hub.statuses()
        self.assertEqual((row.sentinel_id, row.name, row.group), ("desk-1", "Desk", "office"))
        self.assertEqual(row.state, SentinelState.LIVE)

    def test_nameless(self) -> None:
        """A Sentinel without a name goes by its id."""
        self.server.sentinel().register(FIRST, name="")
        self.assertEqual(self.server.hub.statuses()[0].name, "desk-1")

    def test_roles(self) -> None:
        """The conversation can be asked what a publisher can; the fake is a Sentinel's peer."""
        sentinel = self.server.sentinel()
        sentinel.register(FIRST)
        verifyObject(IPublisher, sentinel.conversation)
        verifyObject(ISentinelPeer, sentinel)

    def test_somebody_else(self) -> None:
        """A connection may only speak for the id it was let in for."""
        sentinel = self.server.sentinel("desk-1", principal=bound("desk-2"))
        sentinel.register(FIRST)
        self.assert_closed(sentinel, 4403)
        self.assertEqual(self.server.hub.statuses(), ())

    def test_itself(self) -> None:
        """And for that id it may."""
        sentinel = self.server.sentinel("desk-1", principal=bound("desk-1"))
        sentinel.register(FIRST)
        self.assert_open(sentinel)

    def test_same_process_reconnects(self) -> None:
        """A second connection of one process replaces the first, and its session ends."""
        older, newer = self.server.live(), self.server.sentinel()
        newer.register(SECOND)
        self.assert_closed(older, 4409)
        self.assertEqual(self.server.store.ends, [(older.session_id, "replaced")])
        newer.init()
        newer.segment(0)
        self.assert_open(newer)

    def test_older_is_over_when_newer_is_told(self) -> None:
        """When the newer hears that it is registered, nothing of the older goes on."""
        older, newer = self.server.live(), self.server.sentinel()
        newer.register(SECOND)
        older.segment(0)
        older.vanish()
        older.conversation.tick()
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        self.assertIs(stream.publisher, newer.conversation)
        self.assertIsNone(stream.live)
        self.assertEqual(len(self.server.store.ends), 1)

    def test_dead_one_is_replaced(self) -> None:
        """Another process takes the place of one that does not answer."""
        first, other = self.server.live(), self.server.sentinel(instance_id="other")
        other.register(SECOND)
        first.answer(False)
        self.assert_closed(first, 4409)
        other.init()
        other.segment(0)
        self.assert_open(other)

    def test_clone_vanishes_while_it_waits(self) -> None:
        """A newcomer that has gone before the older answered leaves nothing behind."""
        for alive in (True, False):
            self.setUp()
            first, clone = self.server.live(), self.server.sentinel(instance_id="clone")
            clone.register(SECOND, name="Clone")
            clone.vanish()
            first.answer(alive)
            first.segment(0)
            self.assert_open(first)
            self.assertEqual(self.server.hub.statuses()[0].name, "Desk")
            self.assertEqual(self.server.store.ends, [])
            self.assertEqual(clone.heard, [])

    def test_server_goes_down_while_it_waits(self) -> None:
        """The same if the server closes it meanwhile; and it is told."""
        first, clone = self.server.live(), self.server.sentinel(instance_id="clone")
        clone.register(SECOND)
        clone.conversation.going_away()
        self.assert_closed(clone, 1001)
        first.answer(False)
        self.assert_open(first)

    def test_lookup_that_fails(self) -> None:
        """A fault of ours in finding out what is wanted of tails keeps nobody out, and whoever
        was let in by then leaves the place as ever."""

        def broken(sentinel_id: str, tails: object) -> Deferred[Any]:
            raise ValueError(sentinel_id)

        self.patch(self.server.store, "tails", broken)
        sentinel = self.server.sentinel()
        sentinel.register(FIRST)
        self.assertEqual(sentinel.heard, [])
        self.server.clock.advance(LOOKUP_SECONDS)
        sentinel.conversation.tick()
        self.assertEqual(len(sentinel.all_heard(SentinelRegistered)), 1)
        sentinel.vanish()
        self.assertEqual(self.server.hub.statuses()[0].state, SentinelState.OFFLINE)
        gc.collect()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_going_away(self) -> None:
        """At shutdown it is told, and its session ends for viewers and recording."""
        sentinel = self.server.live()
        sentinel.conversation.going_away()
        self.assert_closed(sentinel, 1001)
        self.assertEqual(self.server.store.ends, [(sentinel.session_id, "going-away")])


class SessionTests(IngestCase):
    """From init to init."""

    def test_begins(self) -> None:
        """The init begins the session, live and recorded, byte for byte as it was sent."""
        live = self.stream.live
        assert live is not None
        self.assertEqual(live.session.session_id, FIRST)
        self.assertEqual(live.session.init, media.init_segment())
        self.assertEqual(live.session.started_time_us, self.server.now_us())
        self.sentinel.segment(0)
        record = self.successResultOf(self.server.store.session("desk-1", FIRST))
        self.assertEqual(record.session, live.session)

    def test_nothing_comes(self) -> None:
        """Nothing of a session is recorded before its first segment: who is refused for that leaves
        nothing in the listing, however often it comes back."""
        self.sentinel.say(self.sentinel.described(0, b"no media"))
        self.assert_closed(self.sentinel, 4422)
        for number in range(5):
            sentinel = self.server.sentinel("desk-1")
            sentinel.register(f"session-number-{number:04}")
            sentinel.init()
            sentinel.say(sentinel.described(0, media.segment(0, media_time=10**12)))
            self.assert_closed(sentinel, 4422)
        page = self.successResultOf(self.server.store.sessions(SessionQuery()))
        self.assertEqual(page.sessions, ())

    def test_not_the_registered_one(self) -> None:
        """The first session is the one that was registered."""
        sentinel = self.server.sentinel("desk-2")
        sentinel.register(SECOND)
        sentinel.init(OTHER)
        self.assert_closed(sentinel, 4400)

    def test_used_before(self) -> None:
        """A session id is accepted once, whoever used it."""
        sentinel = self.server.sentinel("desk-2")
        sentinel.register(FIRST)
        sentinel.init()
        self.assert_closed(sentinel, 4400)
        self.assertEqual(self.server.store.ends, [])

    def test_used_before_on_this_connection(self) -> None:
        """Not even the Sentinel itself can go back to a session that is over."""
        self.sentinel.init(SECOND)
        self.sentinel.init(FIRST)
        self.assert_closed(self.sentinel, 4400)

    def test_repeated(self) -> None:
        """The same init once more changes nothing."""
        self.sentinel.segment(0)
        self.sentinel.init()
        self.sentinel.segment(1)
        self.assert_open(self.sentinel)
        self.assertEqual(self.live_sequences(), [0, 1])
        self.assertEqual(self.server.store.ends, [])

    def test_changed_under_the_same_id(self) -> None:
        """Another init under the session's id is no init of that session."""
        self.sentinel.init(data=media.init_segment(b"changed"))
        self.assert_closed(self.sentinel, 4422)

    def test_next_session(self) -> None:
        """An init with a new id ends the session and begins the next, from sequence 0."""
        self.sentinel.segment(0)
        self.sentinel.segment(1)
        self.sentinel.init(SECOND, data=media.init_segment(b"another size"))
        self.assertEqual(self.server.store.ends, [(FIRST, "replaced by the next session")])
        self.sentinel.segment(0)
        self.assert_open(self.sentinel)
        self.assertEqual(self.live_sequences(), [0])
        self.assertEqual(list(self.recorded(FIRST)), [0, 1])
        self.assertEqual(list(self.recorded(SECOND)), [0])

    def test_segment_of_the_session_before(self) -> None:
        """What belongs to the session before cannot come as if it were live."""
        self.sentinel.init(SECOND)
        self.sentinel.session_id = FIRST
        self.sentinel.segment(0)
        self.assert_closed(self.sentinel, 4400)

    def test_no_init(self) -> None:
        """An init that is no media is refused, and begins nothing."""
        sentinel = self.server.sentinel("desk-2")
        sentinel.register(SECOND)
        sentinel.init(data=media.segment(0))
        self.assert_closed(sentinel, 4422)
        stream = self.server.hub.stream("desk-2")
        assert stream is not None
        self.assertIsNone(stream.live)

    def test_lost(self) -> None:
        """A lost connection ends the session once, for viewers and for the recording."""
        live = self.stream.live
        assert live is not None
        self.sentinel.segment(0)
        self.sentinel.vanish()
        self.sentinel.vanish()
        self.assertEqual(live.ended_reason, "disconnected")
        self.assertIsNone(self.stream.live)
        self.assertIsNone(self.stream.publisher)
        self.assertEqual(self.server.store.ends, [(FIRST, "disconnected")])

    def test_listed_when_there_is_something(self) -> None:
        """Who leaves is listed as offline if something of it was recorded, live or late, and is
        forgotten otherwise, with an init or without."""

        def come_and_go(name: str, *, is_late: bool, inits: int, segments: int) -> bool:
            peer = self.server.sentinel(name)
            peer.register(f"session-of-{name}")
            session_id = f"{'earlier-' * is_late}session-of-{name}"
            for _ in range(inits):
                peer.init(session_id, late=is_late)
            peer.session_id = session_id
            for _ in range(segments):
                peer.segment(0, late=is_late)
            self.assert_open(peer)
            peer.vanish()
            self.server.second()
            return name in [row.sentinel_id for row in self.server.hub.statuses()]

        for is_late in (False, True):
            name = f"desk-{is_late}-"
            self.assertFalse(come_and_go(name + "0", is_late=is_late, inits=0, segments=0))
            self.assertFalse(come_and_go(name + "1", is_late=is_late, inits=1, segments=0))
            self.assertTrue(come_and_go(name + "2", is_late=is_late, inits=1, segments=1))

    def test_closed_and_lost(self) -> None:
        """What we close ends with our reason, and its loss afterwards changes nothing."""
        self.sentinel.segment(0)
        self.sentinel.say(ProctorRegister("lost its way"))
        self.sentinel.vanish()
        self.assertEqual(self.server.store.ends, [(FIRST, "bad-message")])

    def test_says_why_it_leaves(self) -> None:
        """A Sentinel that says why before it closes: that is the reason that viewers are told and
        that is recorded; of several the first counts. What it sends until then is taken."""
        live = self.stream.live
        assert live is not None
        self.sentinel.say(ErrorMessage("going-away", "the sentinel is shutting down"))
        self.sentinel.say(ErrorMessage("bad-message", "something else"))
        self.sentinel.segment(0)
        self.assert_open(self.sentinel)
        self.sentinel.vanish()
        self.assertEqual(live.ended_reason, "the sentinel is shutting down")
        self.assertEqual(self.server.store.ends, [(FIRST, "the sentinel is shutting down")])
        self.assertEqual(list(self.recorded()), [0])

    def test_lost_before_any_session(self) -> None:
        """A connection that is lost before its init ends nothing, and frees its place."""
        sentinel = self.server.sentinel("desk-2")
        sentinel.register(SECOND)
        sentinel.vanish()
        self.assertEqual(self.server.store.ends, [])
        stream = self.server.hub.stream("desk-2")
        assert stream is not None
        self.assertIsNone(stream.publisher)


class SegmentTests(IngestCase):
    """What becomes of segments."""

    def test_both_ways(self) -> None:
        """A segment is in the buffer and in the recording when the call returns."""
        sent = self.sentinel.segment(0)
        live = self.stream.live
        assert live is not None
        self.assertEqual(bytes(live.buffer.at(0).segment.data), sent)
        body, missing = self.successResultOf(self.server.store.media("desk-1", FIRST, 0, 0))
        self.assertEqual(self.successResultOf(body.read(0, 1 << 20)), sent)
        self.assertEqual(missing, ())

    def test_stamped(self) -> None:
        """It carries the server's clocks at its arrival."""
        self.server.clock.advance(7.5)
        self.sentinel.segment(0)
        live = self.stream.live
        assert live is not None
        arrival = live.buffer.at(0)
        self.assertEqual(arrival.arrived_seconds, self.server.clock.seconds())
        self.assertEqual(arrival.received_time_us, self.server.now_us())

    def test_forwarded_as_it_came(self) -> None:
        """A binary payload is kept as the frame for viewers of that format; a text is not."""
        self.sentinel.segment(0)
        live = self.stream.live
        assert live is not None
        frame = live.buffer.at(0).frame_for(BINARY.name)
        self.assertIs(frame, self.sentinel.frames[-1])
        text = self.server.live("desk-2", codec=JSON)
        text.segment(0)
        stream = self.server.hub.stream("desk-2")
        assert stream is not None
        assert stream.live is not None
        for codec in (BINARY, JSON):
            self.assertIsNone(stream.live.buffer.at(0).frame_for(codec.name))

    def test_duplicate(self) -> None:
        """The last segment once more is neither buffered nor recorded again."""
        for number in (0, 1, 1, 2):
            self.sentinel.segment(number)
        self.assert_open(self.sentinel)
        self.assertEqual(self.live_sequences(), [0, 1, 2])

    def test_too_large(self) -> None:
        """A segment over the limit is refused."""
        sentinel = self.server.live("desk-2", limits=Limits(max_segment_bytes=500))
        sentinel.segment(0, filler_bytes=500)
        self.assert_closed(sentinel, 4400)

    def test_late(self) -> None:
        """A late segment is recorded into its hole, and no live viewer sees it."""
        for number in (0, 1, 10, 11):
            self.sentinel.segment(number)
        self.sentinel.segment(5, late=True)
        self.assert_open(self.sentinel)
        self.assertEqual(self.live_sequences(), [0, 1, 10, 11])
        self.assertEqual(list(self.recorded()), [0, 1, 5, 10, 11])

    def test_for_somebody_else(self) -> None:
        """Init and segments may only be of the Sentinel that has registered."""
        rival = self.server.live("desk-2")
        for message in (
            InitSegment("desk-2", SECOND, media.init_segment()),
            InitSegment("desk-2", SECOND, media.init_segment(), is_late=True),
            replace(self.sentinel.described(0, media.segment(0)), sentinel_id="desk-2"),
        ):
            self.setUp()
            rival = self.server.live("desk-2")
            self.sentinel.say(message)
            self.assert_closed(self.sentinel, 4400)
            rival.segment(0)
            self.assert_open(rival)

    def test_mistake_ends_the_session(self) -> None:
        """A refused segment ends the session; what came before it stays recorded."""
        self.sentinel.segment(0)
        self.sentinel.say(self.sentinel.described(1, b"junk"))
        self.assert_closed(self.sentinel, 4422)
        self.assertIsNone(self.stream.live)
        self.assertEqual(self.server.store.ends, [(FIRST, "not-media")])
        self.assertEqual(list(self.recorded()), [0])

    def test_nothing_after_the_end(self) -> None:
        """What is still on its way when we close is not taken."""
        self.sentinel.segment(0)
        self.sentinel.say(self.sentinel.described(1, b"junk"))
        self.sentinel.segment(1)
        self.assertEqual(list(self.recorded()), [0])

    def test_gap(self) -> None:
        """What the Sentinel declares lost is recorded as lost, with its reason."""
        self.sentinel.segment(0)
        self.sentinel.segment(10)
        self.sentinel.say(DeclareGap(FIRST, 1, 9, "spool was full"))
        self.assert_open(self.sentinel)
        record = self.successResultOf(self.server.store.session("desk-1", FIRST))
        self.assertEqual([(gap.first, gap.last) for gap in record.gaps], [(1, 9)])

    def test_gap_in_the_future(self) -> None:
        """What has not been sent yet cannot be declared lost."""
        self.sentinel.segment(0)
        self.sentinel.say(DeclareGap(FIRST, 1, 9, "will be lost"))
        self.assert_closed(self.sentinel, 4400)

    def test_unknown_session(self) -> None:
        """What is said of a session that is not recorded here fails, and names it."""
        for message in (DeclareGap(SECOND, 0, 1, "lost"), BackfillDone(SECOND)):
            self.sentinel.forget()
            self.sentinel.say(message)
            (error,) = self.sentinel.all_heard(ErrorMessage)
            self.assertEqual(error.about, SECOND)
            self.assert_open(self.sentinel)

    def test_text_sentinel(self) -> None:
        """A Sentinel that speaks JSON is recorded with the same bytes."""
        sentinel = self.server.live("desk-2", codec=JSON)
        sent = sentinel.segment(0)
        query = self.server.store.media("desk-2", sentinel.session_id, 0, 0)
        body, _ = self.successResultOf(query)
        self.assertEqual(self.successResultOf(body.read(0, 1 << 20)), sent)


class KeyframeTests(IngestCase):
    """When a Sentinel is asked for a keyframe."""

    def requests(self) -> int:
        """How often it has been asked."""
        return len(self.sentinel.all_heard(KeyframeRequest))

    def test_after_a_jump(self) -> None:
        """After a jump it is asked at once, and what does not decode is marked."""
        for number in (0, 1, 3):
            self.sentinel.segment(number)
        self.assertEqual(self.requests(), 1)
        live = self.stream.live
        assert live is not None
        self.assertTrue(live.buffer.at(2).is_undecodable)
        self.assertEqual(self.recorded(), {0: False, 1: False, 3: True})

    def test_jump_to_a_keyframe(self) -> None:
        """A jump that ends at a keyframe needs none."""
        self.sentinel.segment(0)
        self.sentinel.segment(10)
        self.assertEqual(self.requests(), 0)

    def test_coalesced(self) -> None:
        """Any number of requests within a second are one, and one more when it is over."""
        for _ in range(5):
            self.sentinel.conversation.request_keyframe()
        self.assertEqual(self.requests(), 1)
        self.server.second()
        self.assertEqual(self.requests(), 2)
        self.server.second()
        self.assertEqual(self.requests(), 2)

    def test_again_until_it_comes(self) -> None:
        """While nothing decodes it is asked again, once a second: five times within four."""
        self.sentinel.segment(0)
        for number in range(2, 10):
            self.sentinel.segment(number)
            self.server.second(0.5)
        self.assertEqual(self.requests(), 5)

    def test_not_when_it_has_come(self) -> None:
        """A keyframe answers all requests before it."""
        for number in (0, 2, 3, 4, 10):
            self.sentinel.segment(number)
        self.server.second()
        self.assertEqual(self.requests(), 1)

    def test_not_too_early(self) -> None:
        """A tick within the second does not ask again."""
        self.sentinel.conversation.request_keyframe()
        self.sentinel.conversation.request_keyframe()
        self.server.second(0.4)
        self.assertEqual(self.requests(), 1)

    def test_late_keyframe_is_no_answer(self) -> None:
        """A late keyframe segment does not help who watches now."""
        for number in (0, 20, 22, 23):
            self.sentinel.segment(number)
        self.sentinel.segment(10, late=True)
        self.server.second()
        self.assertEqual(self.requests(), 2)

    def test_framerates(self) -> None:
        """However fast proctors change their minds, a Sentinel hears of it once a second, and
        the last word counts."""
        for framerate_mhz in (700, 800, 900):
            self.sentinel.conversation.change_framerate(framerate_mhz)
        self.assertEqual(self.sentinel.heard, [FramerateChange("desk-1", 700)])
        for _ in range(3):
            self.server.second()
        self.assertEqual(
            self.sentinel.heard, [FramerateChange("desk-1", 700), FramerateChange("desk-1", 900)]
        )
        self.sentinel.conversation.change_framerate(500)
        self.assertEqual(self.sentinel.heard[2:], [FramerateChange("desk-1", 500)])

    def test_each_kind_by_itself(self) -> None:
        """A frame rate does not wait for a keyframe, nor the other way round."""
        self.sentinel.conversation.request_keyframe()
        self.sentinel.conversation.change_framerate(700)
        self.assertEqual(
            self.sentinel.heard, [KeyframeRequest("desk-1"), FramerateChange("desk-1", 700)]
        )


class AckCase(IngestCase):
    """Looks at acknowledgements."""

    def acks(self) -> list[tuple[str, int]]:
        """What has been acknowledged."""
        return [(ack.session_id, ack.sequence) for ack in self.sentinel.all_heard(Ack)]


class AckTests(AckCase):
    """What the Sentinel is told of the recording."""

    def test_once_a_second(self) -> None:
        """However often the store reports, it is told at the tick, and only the newest."""
        for number in range(3):
            self.sentinel.segment(number)
        self.assertEqual(self.acks(), [])
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 2)])
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 2)])
        self.sentinel.segment(3)
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 2), (FIRST, 3)])

    def test_up_to_a_hole(self) -> None:
        """Beyond a hole nothing is acknowledged until it is filled."""
        for number in (0, 1, 10, 11):
            self.sentinel.segment(number)
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 1)])
        self.sentinel.say(DeclareGap(FIRST, 2, 9, "lost"))
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 1), (FIRST, 11)])

    def test_what_was_due_before(self) -> None:
        """A session is acknowledged to its end, also when the next one has begun."""
        self.sentinel.segment(0)
        self.sentinel.init(SECOND)
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 0)])

    def missing(self) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
        """How far was acknowledged, and what was asked for with it."""
        return [(ack.sequence, ack.missing) for ack in self.sentinel.all_heard(Ack)]

    def test_what_is_gone_is_asked_for(self) -> None:
        """What was acknowledged and has been removed from the disk is asked for once more, with
        the acknowledgement that was sent last."""
        self.sentinel.segment(0)
        self.sentinel.segment(1)
        self.server.second()
        gone = [((0, 1),)]
        self.patch(self.server.store, "lost", lambda session_id: gone.pop() if gone else ())
        self.server.second()
        self.server.second()
        self.assertEqual(self.missing(), [(1, ()), (1, ((0, 1),))])

    def test_crowding(self) -> None:
        """A Sentinel of which too much waits for the disk is held from its next segment on, and
        let go at the tick after that has gone."""
        self.server.store.crowding.add("desk-1")
        self.assertFalse(self.sentinel.is_held)
        self.sentinel.segment(0)
        self.assertTrue(self.sentinel.is_held)
        self.server.second()
        self.assertTrue(self.sentinel.is_held)
        self.server.store.crowding.clear()
        self.server.second()
        self.assertFalse(self.sentinel.is_held)

    def test_holes_are_asked_for(self) -> None:
        """What was jumped over is asked for with the next acknowledgement, and only once."""
        for number in (0, 1, 10, 11, 20):
            self.sentinel.segment(number)
        self.server.second()
        self.assertEqual(self.missing(), [(1, ((2, 9), (12, 19)))])
        self.server.second(5)
        self.sentinel.segment(30)
        self.server.second()
        self.assertEqual(self.missing()[1:], [(1, ((21, 29),))])
        for number in range(2, 10):
            self.sentinel.segment(number, late=True)
        self.server.second()
        self.assertEqual(self.missing()[2:], [(11, ())])

    def test_hole_at_the_beginning(self) -> None:
        """Nothing is asked for as long as nothing can be acknowledged, nor what is lost."""
        self.sentinel.segment(10)
        self.server.second()
        self.assertEqual(self.missing(), [])
        self.sentinel.say(DeclareGap(FIRST, 0, 9, "lost"))
        self.server.second()
        self.assertEqual(self.missing(), [(10, ())])

    def test_holes_of_the_session_before(self) -> None:
        """What is missing of a session is not asked for in the next one."""
        self.sentinel.segment(0)
        self.sentinel.segment(10)
        self.sentinel.init(SECOND)
        self.sentinel.segment(0)
        self.server.second()
        self.assertEqual(self.missing(), [(0, ()), (0, ())])

    def test_many_holes(self) -> None:
        """Of more holes than one acknowledgement can name the first 1,024 are asked for, and the
        rest with the next ones; what has come meanwhile is not."""
        for number in range(0, 4_800, 2):
            self.sentinel.segment(number, keyframe=True)
        self.server.second()
        self.sentinel.say(DeclareGap(FIRST, 0, 2_100, "lost"))
        for _ in range(5):
            self.server.second()
        named = [(len(holes), *holes[:1], *holes[-1:]) for _, holes in self.missing()]
        self.assertEqual(
            named,
            [
                (1_024, (1, 1), (2_047, 2_047)),
                (1_024, (2_101, 2_101), (4_147, 4_147)),
                (325, (4_149, 4_149), (4_797, 4_797)),
            ],
        )


class SlowAckTests(AckCase):
    """The same while the store writes nothing of itself."""

    commit_at_once = False

    def test_not_before_it_is_durable(self) -> None:
        """Nothing is acknowledged that the store has not reported, and how full that is is told."""
        for number in range(3):
            self.sentinel.segment(number)
        self.server.second()
        self.assertEqual(self.acks(), [])
        self.server.store.commit()
        self.sentinel.segment(3)
        self.server.second()
        (ack,) = self.sentinel.all_heard(Ack)
        self.assertEqual((ack.sequence, ack.load > 0), (2, True))

    def test_each_by_itself(self) -> None:
        """What becomes durable of a session after its end is acknowledged beside the next."""
        self.sentinel.segment(0)
        self.sentinel.init(SECOND)
        self.sentinel.segment(0)
        self.sentinel.segment(1)
        self.server.store.commit()
        self.server.second()
        self.assertEqual(self.acks(), [(FIRST, 0), (SECOND, 1)])


class ClockTests(IngestCase):
    """NTP's stamps."""

    def test_before_registration(self) -> None:
        """The server's time is told to whoever asks, registered or not."""
        for sentinel in (self.server.sentinel("desk-2"), self.sentinel):
            sentinel.say(Clock(123))
            now = self.server.now_us()
            self.assertEqual(sentinel.heard, [Clock(123, now, now)])
