"""Tests of one Proctor's following of one stream, from session to session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer
from tests.links.memory import BINARY, FIRST, SECOND, LinkCase
from vidlink.links.watch.subscription import FRESH_SECONDS
from vidlink.messages import (
    ErrorMessage,
    InitRequest,
    KeyframeRequest,
    Message,
    Place,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribe,
    Subscribed,
)
from vidlink.model import EVERYBODY, InitSegment, Segment, SkipReason, Tier
from vidlink.relay.stream import MOVE_SECONDS

LAG, BROKEN = SkipReason.LAG, SkipReason.UNDECODABLE


class SubscriptionCase(LinkCase):
    """A Sentinel that has registered, and a Proctor."""

    def setUp(self) -> None:
        """Nobody has sent or asked for anything yet."""
        super().setUp()
        self.sentinel = self.server.sentinel()
        self.sentinel.register(FIRST)
        self.proctor = self.server.proctor()

    def send(self, *sequences: int, seconds: float = 0.2) -> None:
        """Let the Sentinel send these, one every so many seconds."""
        for number in sequences:
            self.server.clock.advance(seconds)
            self.sentinel.segment(number)
        self.assert_open(self.sentinel)

    def read(self, room: int | None = None, proctor: FakeProctorPeer | None = None) -> list[Any]:
        """What the Proctor is given now, the usual ones in short: see :meth:`short`."""
        return [self.short(message) for message in (proctor or self.proctor).read(room)]

    def short(self, message: Message) -> object:
        """A segment by its sequence, an init and the rest of the usual by a word."""
        match message:
            case Segment():
                return message.sequence
            case InitSegment():
                return "init"
            case Subscribed(session_id=None):
                return "waiting"
            case Subscribed():
                return "subscribed"
            case SessionEnded():
                return "ended"
            case Skipped():
                return (message.first, message.last, message.reason)
        return message

    def move_on(self, seconds: float) -> None:
        """Let time pass, and the stream let go of what it then need not hold any more."""
        self.server.clock.advance(seconds)
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        stream.tick()

    def watch(self, **wishes: Any) -> list[Any]:
        """Subscribe, and what is given at once."""
        self.proctor.say(Subscribe("desk-1", **wishes))
        return self.read()


class OpeningTests(SubscriptionCase):
    """What a viewer is given first."""

    def test_in_the_middle(self) -> None:
        """Subscribed, init, and all from the newest keyframe to now, in one run; then live."""
        self.sentinel.init()
        self.send(*range(14))
        self.assertEqual(self.watch(), ["subscribed", "init", 10, 11, 12, 13])
        self.send(14)
        self.assertEqual(self.read(), [14])

    def test_subscribed(self) -> None:
        """It is told what it will see: session, kind of media, newest sequence and first."""
        self.sentinel.init()
        self.send(*range(14))
        self.watch()
        self.assertEqual(
            self.proctor.heard[0],
            Subscribed(
                sentinel_id="desk-1",
                session_id=FIRST,
                mime='video/mp4; codecs="avc1.42C00A"',
                width=64,
                height=48,
                timescale=media.TIMESCALE,
                live_sequence=13,
                first_sequence=10,
            ),
        )

    def test_media_are_untouched(self) -> None:
        """Init and segments are what the Sentinel sent, with all that it said of them."""
        init = self.sentinel.init()
        sent = self.sentinel.segment(0)
        self.watch()
        _, first, second = self.proctor.heard
        self.assertEqual(first, InitSegment("desk-1", FIRST, init))
        self.assertEqual(second, self.sentinel.described(0, sent))

    def test_oldest(self) -> None:
        """From the oldest keyframe in the buffer, if asked for."""
        self.sentinel.init()
        self.send(*range(14))
        shown = self.watch(start_from=StartFrom.OLDEST)
        self.assertEqual(shown, ["subscribed", "init", *range(14)])

    def test_keyframes(self) -> None:
        """Keyframes alone, if asked for."""
        self.sentinel.init()
        self.send(*range(14))
        shown = self.watch(start_from=StartFrom.OLDEST, tier=Tier.KEYFRAMES)
        self.assertEqual(shown, ["subscribed", "init", 0, 10])
        self.send(*range(14, 21))
        self.assertEqual(self.read(), [20])

    def test_nothing_sent_yet(self) -> None:
        """In a session that has sent nothing, the init comes and then all from the start."""
        self.sentinel.init()
        self.assertEqual(self.watch(), ["subscribed", "init"])
        self.assertIsNone(self.proctor.heard[0].live_sequence)  # type: ignore[union-attr]
        self.assertIsNone(self.proctor.heard[0].first_sequence)  # type: ignore[union-attr]
        self.send(0, 1)
        self.assertEqual(self.read(), [0, 1])

    def test_no_session_yet(self) -> None:
        """Without a session the viewer is told so once, and waits for the next one."""
        self.assertEqual(self.watch(), ["waiting"])
        self.sentinel.conversation.request_keyframe()
        self.assertEqual(self.read(), [])
        self.sentinel.init()
        self.send(0, 1)
        self.assertEqual(self.read(), ["subscribed", "init", 0, 1])

    def test_offline(self) -> None:
        """The same for a Sentinel that is not connected."""
        self.sentinel.vanish()
        self.assertEqual(self.watch(), ["waiting"])
        self.sentinel = self.server.live()
        self.send(0)
        self.assertEqual(self.read(), ["subscribed", "init", 0])


class FreshnessTests(SubscriptionCase):
    """Whether a join asks the Sentinel for a keyframe."""

    def requests(self) -> int:
        """How often the Sentinel was asked."""
        return len(self.sentinel.all_heard(KeyframeRequest))

    def test_old_keyframe(self) -> None:
        """If the newest is old one is asked for, and what there is is shown at once."""
        self.sentinel.init()
        self.send(0, 1)
        self.server.clock.advance(FRESH_SECONDS)
        self.assertEqual(self.watch(), ["subscribed", "init", 0, 1])
        self.assertEqual(self.requests(), 1)

    def test_rare_keyframes(self) -> None:
        """With a frame in five seconds and no keyframe for half a minute, a join is given all of
        that at once, and the Sentinel is asked for a keyframe."""
        self.sentinel.init()
        self.send(*range(7), seconds=5.0)
        self.assertEqual(self.watch(), ["subscribed", "init", *range(7)])
        self.assertEqual(self.requests(), 1)

    def test_fresh_keyframe(self) -> None:
        """If the newest is fresh, none is asked for."""
        self.sentinel.init()
        self.send(0)
        self.server.clock.advance(FRESH_SECONDS)
        self.watch()
        self.assertEqual(self.requests(), 0)

    def test_no_keyframe(self) -> None:
        """If there is none although segments came, one is asked for."""
        self.sentinel.init()
        self.send(1)
        self.server.clock.advance(5.0)
        self.sentinel.forget()
        self.watch()
        self.assertEqual(self.requests(), 1)

    def test_new_session(self) -> None:
        """A session begins with a keyframe by itself."""
        self.sentinel.init()
        self.watch()
        self.assertEqual(self.requests(), 0)

    def test_crowd(self) -> None:
        """A crowd that joins within a second makes one request."""
        self.sentinel.init()
        self.send(0)
        self.server.clock.advance(5.0)
        crowd = [self.server.proctor() for _ in range(100)]
        for proctor in crowd:
            proctor.say(Subscribe("desk-1"))
            self.assertEqual(self.read(proctor=proctor), ["subscribed", "init", 0])
        self.assertEqual(self.requests(), 1)
        # They come again and again, and the Sentinel does not answer: once a second.
        for _ in range(20):
            self.server.second(0.5)
            for proctor in crowd:
                proctor.say(Subscribe("desk-1"))
                proctor.read()
        self.assertEqual(self.requests(), 11)

    def test_place_that_has_gone(self) -> None:
        """Who cannot go on where it was begins at the newest keyframe, and one is asked for."""
        self.sentinel.init()
        self.send(*range(0, 21), seconds=3.0)
        self.server.clock.advance(5.0)
        self.sentinel.forget()
        self.watch(start_from=Place(FIRST, 1))
        self.assertEqual(self.requests(), 1)

    def test_looking_back(self) -> None:
        """Who begins at the oldest, or goes on where it was, needs no new keyframe."""
        self.sentinel.init()
        self.send(0, 1)
        self.server.clock.advance(5.0)
        self.watch(start_from=StartFrom.OLDEST)
        self.watch(start_from=Place(FIRST, 1))
        self.watch(start_from=Place(FIRST, 0))
        self.assertEqual(self.requests(), 0)


class SessionChangeTests(SubscriptionCase):
    """From one session to the next."""

    def test_on_the_same_connection(self) -> None:
        """Ended, subscribed and init come by themselves, and then the new session."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.proctor.forget()
        self.sentinel.init(SECOND, data=media.init_segment(b"another"))
        self.send(0, 1)
        self.assertEqual(self.read(), ["ended", "subscribed", "init", 0, 1])
        ended, subscribed, init = self.proctor.heard[:3]
        self.assertEqual(ended, SessionEnded("desk-1", FIRST, "replaced by the next session"))
        self.assertEqual(subscribed.session_id, SECOND)  # type: ignore[union-attr]
        self.assertEqual(init.data, media.init_segment(b"another"))  # type: ignore[union-attr]

    def test_reconnection(self) -> None:
        """When the Sentinel goes its viewers hear it at once; when it is back, it goes on."""
        self.sentinel.init()
        self.send(0)
        self.watch()
        self.sentinel.vanish()
        self.assertEqual(self.read(), ["ended"])
        self.server.second(60.0)
        self.read()
        self.sentinel = self.server.live()
        self.send(0)
        self.assertEqual(self.read(), ["subscribed", "init", 0])

    def test_what_was_left(self) -> None:
        """What a viewer had not been sent of the ended session comes before its end."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.send(2, 3)
        self.sentinel.init(SECOND)
        self.assertEqual(self.read(), [2, 3, "ended", "subscribed", "init"])

    def test_what_was_lost(self) -> None:
        """What it can no longer be sent of it is named before its end."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.send(2, 3)
        self.sentinel.init(SECOND)
        self.send(0)
        self.move_on(MOVE_SECONDS)
        self.assertEqual(self.read(), [(2, 3, LAG), "ended", "subscribed", "init", 0])

    def test_all_in_one_piece(self) -> None:
        """The end of a session and the beginning of the next may come in one piece, before any
        viewer is served: then nothing is left out."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.send(2, 3)
        self.sentinel.init(SECOND)
        self.send(0)
        self.move_on(0.0)
        self.assertEqual(self.read(), [2, 3, "ended", "subscribed", "init", 0])

    def test_session_that_nobody_saw(self) -> None:
        """A viewer that slept through a whole session is given the one that is live."""
        self.sentinel.init()
        self.send(0)
        self.watch()
        self.sentinel.init(SECOND)
        self.sentinel.init("third-session-000")
        self.send(0)
        self.assertEqual(self.read(), ["ended", "subscribed", "init", 0])
        self.assertEqual(self.proctor.heard[-1].session_id, "third-session-000")  # type: ignore[union-attr]

    def test_from_the_oldest(self) -> None:
        """Where a viewer began counts for its first session; the next is shown from the newest."""
        self.sentinel.init()
        self.send(0)
        self.watch(start_from=StartFrom.OLDEST)
        self.sentinel.init(SECOND)
        self.send(*range(12))
        self.assertEqual(self.read(), ["ended", "subscribed", "init", 10, 11])


class SkippedTests(SubscriptionCase):
    """What a viewer is told that it is not sent."""

    def test_jump(self) -> None:
        """What does not decode after a jump is not sent, up to the next keyframe."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.proctor.forget()
        self.send(3, 4)
        self.assertEqual(self.read(), [])
        self.send(10, 11)
        self.assertEqual(self.read(), [(2, 9, BROKEN), 10, 11])
        self.assertEqual(self.proctor.heard[0], Skipped("desk-1", FIRST, 2, 9, BROKEN))

    def test_fell_out_of_the_buffer(self) -> None:
        """A viewer that sleeps until its place has gone wakes up at the newest keyframe."""
        self.sentinel.init()
        self.send(0, 1)
        self.watch()
        self.send(*range(2, 33), seconds=3.0)
        self.assertEqual(self.read(), [(2, 29, LAG), 30, 31, 32])

    def test_lags_more_than_it_wants(self) -> None:
        """A viewer that wants to lag at most so much jumps when it lags more."""
        self.sentinel.init()
        self.send(0)
        self.watch(max_lag_ms=1_500)
        self.send(*range(1, 13))
        self.assertEqual(self.read(), [(1, 9, LAG), 10, 11, 12])

    def test_lags_less_than_it_wants(self) -> None:
        """One that lags less is sent everything."""
        self.sentinel.init()
        self.send(0)
        self.watch(max_lag_ms=5_000)
        self.send(*range(1, 13))
        self.assertEqual(self.read(), list(range(1, 13)))

    def test_wants_no_lag(self) -> None:
        """One that wants none is given the newest keyframe as soon as there is one, and all that
        builds on it: nothing else decodes."""
        self.sentinel.init()
        self.send(0)
        self.assertEqual(self.watch(max_lag_ms=0), ["subscribed", "init", 0])
        self.send(*range(1, 10))
        self.assertEqual(self.read(), list(range(1, 10)))
        self.send(*range(10, 24))
        self.assertEqual(self.read(), [(10, 19, LAG), 20, 21, 22, 23])


class ResumeTests(SubscriptionCase):
    """Going on where a viewer was."""

    def setUp(self) -> None:
        """Fourteen segments have been sent."""
        super().setUp()
        self.sentinel.init()
        self.send(*range(14))

    def test_in_the_buffer(self) -> None:
        """A place that is still in the buffer is gone on from, without another init."""
        self.assertEqual(self.watch(start_from=Place(FIRST, 4)), ["subscribed", *range(4, 14)])

    def test_next(self) -> None:
        """So is the place after the newest segment."""
        self.assertEqual(self.watch(start_from=Place(FIRST, 14)), ["subscribed"])
        self.send(14)
        self.assertEqual(self.read(), [14])

    def test_gone(self) -> None:
        """A place that has left the buffer: what is lost is named, and the init comes again."""
        self.send(*range(14, 45), seconds=3.0)
        shown = self.watch(start_from=Place(FIRST, 4))
        self.assertEqual(shown, ["subscribed", "init", (4, 39, LAG), 40, 41, 42, 43, 44])

    def test_undecodable(self) -> None:
        """A place that cannot be decoded any more is gone on from at the next keyframe."""
        self.send(16, 17, 20, 21)
        shown = self.watch(start_from=Place(FIRST, 17))
        self.assertEqual(shown, ["subscribed", "init", (17, 19, BROKEN), 20, 21])

    def test_another_session(self) -> None:
        """A place in another session is none in this one: the newest is shown."""
        shown = self.watch(start_from=Place(SECOND, 4))
        self.assertEqual(shown, ["subscribed", "init", 10, 11, 12, 13])

    def test_waits_for_its_session(self) -> None:
        """A place in a session to come is taken when that has begun."""
        self.sentinel.vanish()
        self.assertEqual(self.watch(start_from=Place(SECOND, 0)), ["waiting"])
        self.sentinel = self.server.sentinel()
        self.sentinel.register(SECOND)
        self.sentinel.init()
        self.send(0, 1)
        self.assertEqual(self.read(), ["subscribed", "init", 0, 1])


class ResumeAfterTheEndTests(SubscriptionCase):
    """Going on in a session that has ended, while it is still in memory."""

    def setUp(self) -> None:
        """Fourteen segments have been sent; then the Sentinel has gone."""
        super().setUp()
        self.sentinel.init()
        self.send(*range(14))
        self.sentinel.vanish()

    def reconnect(self) -> None:
        """The Sentinel is back, with a session of its own."""
        self.sentinel = self.server.sentinel()
        self.sentinel.register(SECOND)
        self.sentinel.init(data=media.init_segment(b"another"))

    def test_the_rest(self) -> None:
        """Its rest is sent without another init, then its end; and then the live one comes."""
        self.reconnect()
        self.send(0, 1)
        shown = self.watch(start_from=Place(FIRST, 12))
        self.assertEqual(shown, ["subscribed", 12, 13, "ended", "subscribed", "init", 0, 1])
        sessions = [message.session_id for message in self.proctor.all_heard(Subscribed)]
        self.assertEqual(sessions, [FIRST, SECOND])
        (init,) = self.proctor.all_heard(InitSegment)
        self.assertEqual(init.session_id, SECOND)

    def test_nothing_is_left(self) -> None:
        """Who has seen all of it is told that it has ended."""
        self.reconnect()
        shown = self.watch(start_from=Place(FIRST, 14))
        self.assertEqual(shown, ["subscribed", "ended", "subscribed", "init"])

    def test_from_another_group(self) -> None:
        """What is left of a session of a group that is not seen is as if it were not there: the
        live one of a group that is seen is shown instead."""
        self.sentinel = self.server.sentinel()
        self.sentinel.register(SECOND, group="ward")
        self.sentinel.init()
        self.send(0, 1)
        seen = replace(EVERYBODY, groups=frozenset({"ward"}))
        self.proctor = self.server.connect(BINARY, seen)
        self.proctor.register()
        shown = self.watch(start_from=Place(FIRST, 12))
        self.assertEqual(shown[-4:], ["subscribed", "init", 0, 1])
        sessions = [message.session_id for message in self.proctor.all_heard(Subscribed)]
        self.assertEqual(sessions, [SECOND])

    def test_no_other_session_yet(self) -> None:
        """While there is no other session, the rest and the end are sent, and the viewer waits."""
        shown = self.watch(start_from=Place(FIRST, 12))
        self.assertEqual(shown, ["subscribed", 12, 13, "ended"])
        self.reconnect()
        self.send(0)
        self.assertEqual(self.read(), ["subscribed", "init", 0])

    def trim(self) -> None:
        """Let its first group of pictures go."""
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        held = stream.in_memory(FIRST)
        assert held is not None
        held.buffer.trim(self.server.clock.seconds() + 19.5)

    def test_place_has_gone(self) -> None:
        """A place that has left its buffer: on from its newest keyframe, the rest is named. And
        nobody is asked for a newer keyframe, which would come too late."""
        for is_back in (True, False):
            self.setUp()
            if is_back:
                self.reconnect()
            self.trim()
            self.server.clock.advance(FRESH_SECONDS)
            shown = self.watch(start_from=Place(FIRST, 4))
            rest: list[Any] = ["subscribed", "init", (4, 9, LAG), *range(10, 14), "ended"]
            self.assertEqual(shown, rest + ["subscribed", "init"] * is_back)
            self.assertEqual(self.sentinel.all_heard(KeyframeRequest), [])

    def test_keyframes(self) -> None:
        """The tier counts for the rest as well."""
        self.reconnect()
        shown = self.watch(start_from=Place(FIRST, 1), tier=Tier.KEYFRAMES)
        self.assertEqual(shown, ["subscribed", 10, "ended", "subscribed", "init"])

    def test_beyond_its_end(self) -> None:
        """A sequence that it never reached is no place in it: the live session is shown."""
        self.reconnect()
        self.send(0)
        self.assertEqual(self.watch(start_from=Place(FIRST, 15)), ["subscribed", "init", 0])

    def test_let_go(self) -> None:
        """Once its buffer is let go, the live session is shown as for anybody."""
        self.reconnect()
        self.send(0)
        self.move_on(MOVE_SECONDS)
        self.assertEqual(self.watch(start_from=Place(FIRST, 12)), ["subscribed", "init", 0])

    def test_goes_while_it_is_sent(self) -> None:
        """What of the rest was not sent before its buffer went is named."""
        self.reconnect()
        self.proctor.say(Subscribe("desk-1", Place(FIRST, 10)))
        self.assertEqual(self.read(2), ["subscribed", 10])
        self.send(0)
        self.move_on(MOVE_SECONDS)
        self.assertEqual(self.read(), [(11, 13, LAG), "ended", "subscribed", "init", 0])

    def test_init(self) -> None:
        """Its init is sent on request, also before anything has been read."""
        self.proctor.say(Subscribe("desk-1", Place(FIRST, 13)))
        self.proctor.say(InitRequest("desk-1"))
        self.assertEqual(self.read(), ["subscribed", "init", 13, "ended"])


class AgainTests(SubscriptionCase):
    """Subscribing again, and asking for the init again."""

    def setUp(self) -> None:
        """A viewer watches."""
        super().setUp()
        self.sentinel.init()
        self.send(*range(12))
        self.watch()
        self.proctor.forget()

    def test_another_tier(self) -> None:
        """Subscribing again changes the tier."""
        self.assertEqual(self.watch(tier=Tier.KEYFRAMES), ["subscribed", "init", 10])
        self.send(*range(12, 21))
        self.assertEqual(self.read(), [20])

    def test_another_place(self) -> None:
        """Subscribing again changes the place."""
        shown = self.watch(start_from=StartFrom.OLDEST)
        self.assertEqual(shown, ["subscribed", "init", *range(12)])

    def test_what_was_due(self) -> None:
        """However often it subscribes before it reads, it is answered once."""
        for _ in range(50):
            self.proctor.say(Subscribe("desk-1"))
        self.assertEqual(self.read(), ["subscribed", "init", 10, 11])

    def test_what_was_being_told(self) -> None:
        """Subscribing in the middle of a change of session begins with the new session."""
        self.send(12)
        self.sentinel.init(SECOND)
        self.send(0)
        self.move_on(MOVE_SECONDS)
        self.assertEqual(self.read(1), [(12, 12, LAG)])
        self.assertEqual(self.watch(), ["subscribed", "init", 0])

    def test_told_again_that_it_waits(self) -> None:
        """Subscribing again to a Sentinel that is offline is answered again."""
        self.sentinel.vanish()
        self.read()
        self.assertEqual(self.watch(), ["waiting"])

    def test_init(self) -> None:
        """The init is sent again on request, and the stream goes on."""
        self.proctor.say(InitRequest("desk-1"))
        self.send(12)
        self.assertEqual(self.read(), ["init", 12])

    def test_inits(self) -> None:
        """However often it is asked for before it is read, it is sent once."""
        for _ in range(2_000):
            self.proctor.say(InitRequest("desk-1"))
        self.assertEqual(self.read(), ["init"])

    def test_init_beside_a_resume(self) -> None:
        """Asked for together with a resume, it comes although that would need none."""
        self.proctor.say(Subscribe("desk-1", Place(FIRST, 12)))
        self.proctor.say(InitRequest("desk-1"))
        self.assertEqual(self.read(), ["subscribed", "init"])

    def test_init_of_nothing(self) -> None:
        """Without a session the request fails, and nothing is sent for it later."""
        self.sentinel.vanish()
        self.read()
        self.proctor.say(InitRequest("desk-1"))
        (error,) = self.read()
        self.assertIsInstance(error, ErrorMessage)
        self.assertEqual((error.code, error.about), ("not-found", "desk-1"))
        self.assert_open(self.proctor)

    def test_init_of_the_next_session(self) -> None:
        """Each session's init is its own."""
        self.sentinel.init(SECOND, data=media.init_segment(b"another"))
        self.read()
        self.proctor.forget()
        self.proctor.say(InitRequest("desk-1"))
        self.read()
        (init,) = self.proctor.all_heard(InitSegment)
        self.assertEqual((init.session_id, init.data), (SECOND, media.init_segment(b"another")))


class FormatTests(SubscriptionCase):
    """What is passed on as it came; pairs of formats are in ``tests/flow/test_formats``."""

    def test_forwarded(self) -> None:
        """A binary payload goes to viewers of that format as the very object that came."""
        self.sentinel.init()
        self.sentinel.segment(0)
        viewer = self.server.proctor(BINARY)
        viewer.say(Subscribe("desk-1"))
        viewer.read()
        self.assertIs(viewer.frames[-1], self.sentinel.frames[-1])
