"""Tests of a Proctor's conversation, from the server's side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from zope.interface.verify import verifyObject

from tests.fakes import media
from tests.fakes.peers import FakeProctorPeer
from tests.links.memory import BINARY, FIRST, JSON, SECOND, LinkCase, MemoryServer
from tests.relay.publishers import FakePublisher
from vidlink.interfaces import IFollower, IProctorPeer
from vidlink.messages import (
    Ack,
    Clock,
    ErrorMessage,
    Focus,
    FramerateChange,
    InitRequest,
    KeyframeRequest,
    Message,
    Place,
    ProctorRegister,
    ProctorRegistered,
    Sentinels,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from vidlink.model import (
    USUAL,
    Bounds,
    InitSegment,
    Segment,
    SentinelState,
)

#: Everything that can happen to a conversation.
INPUTS: Mapping[str, Callable[[FakeProctorPeer], Any]] = {
    "register": lambda peer: peer.register(),
    "subscribe": lambda peer: peer.say(Subscribe("desk-1")),
    "unsubscribe": lambda peer: peer.say(Unsubscribe("desk-1")),
    "init": lambda peer: peer.say(InitRequest("desk-1")),
    "focus": lambda peer: peer.say(Focus("desk-1")),
    "keyframe": lambda peer: peer.say(KeyframeRequest("desk-1")),
    "framerate": lambda peer: peer.say(FramerateChange("desk-1", 1_000)),
    "clock": lambda peer: peer.say(Clock(1)),
    "ack": lambda peer: peer.say(Ack(FIRST, 0)),
    "segment": lambda peer: peer.say(
        Segment("desk-1", FIRST, 0, 0, 200, 5_000, True, media.segment(0))
    ),
    "deadline": lambda peer: peer.conversation.deadline(),
    "shutdown": lambda peer: peer.conversation.going_away(),
    "lost": lambda peer: peer.vanish(),
}
#: What comes of it in each state: a close code, the kind of what is answered, or nothing.
OUTCOMES: Mapping[str, tuple[object, ...]] = {
    # In the states: connected, registered, over.
    "register": (ProctorRegistered, 4400, None),
    "subscribe": (4400, Subscribed, None),
    "unsubscribe": (4400, None, None),
    "init": (4400, ErrorMessage, None),
    "focus": (4400, None, None),
    "keyframe": (4400, None, None),
    "framerate": (4400, None, None),
    "clock": (4400, Clock, None),
    "ack": (4400, 4400, None),
    "segment": (4400, 4400, None),
    "deadline": (4408, None, None),
    "shutdown": (1001, 1001, None),
    "lost": (None, None, None),
}


class TableTests(LinkCase):
    """Every input in every state."""

    def over(self) -> FakeProctorPeer:
        """It had registered, and its connection has gone."""
        peer = self.server.proctor()
        peer.vanish()
        return peer

    def test_table(self) -> None:
        """Each input has its outcome in each state, and none is unheard of."""
        self.assertEqual(set(INPUTS), set(OUTCOMES))
        for name, outcomes in OUTCOMES.items():
            self.setUp()
            self.server.sentinel().register(FIRST)
            states = (self.server.connect, self.server.proctor, self.over)
            for number, (state, expected) in enumerate(zip(states, outcomes, strict=True)):
                peer = state()
                INPUTS[name](peer)
                peer.read()
                seen: object = None
                if peer.closed is not None:
                    self.assert_closed(peer, peer.closed.close_code)
                    seen = peer.closed.close_code
                elif peer.heard:
                    seen = type(peer.heard[0])
                self.assertEqual(seen, expected, (name, number))


class WatchCase(LinkCase):
    """A test with three live Sentinels and a Proctor that has registered."""

    def setUp(self) -> None:
        """Each Sentinel has sent two segments; the list has been told."""
        super().setUp()
        self.sentinels = {name: self.server.live(name) for name in ("a", "b", "c")}
        self.send(0, 1)
        self.server.second(0.0)
        for sentinel in self.sentinels.values():
            sentinel.forget()
        self.proctor = self.server.proctor()

    def send(self, *sequences: int) -> None:
        """Let all three send these, one after the other."""
        for number in sequences:
            for sentinel in self.sentinels.values():
                sentinel.segment(number)

    def subscribe(self, *names: str) -> None:
        """Watch these, and read what there is of them."""
        for name in names:
            self.proctor.say(Subscribe(name))
        self.proctor.read()
        self.proctor.forget()

    def shown(self, room: int | None = None) -> list[tuple[str, int]]:
        """The segments that are given now: which Sentinel, which sequence."""
        taken = self.proctor.read(room)
        return [(m.sentinel_id, m.sequence) for m in taken if isinstance(m, Segment)]

    def refusal(self) -> tuple[str, str | None]:
        """The one error that is given now: its code, and what it is about."""
        taken = self.proctor.read()
        (error,) = [message for message in taken if isinstance(message, ErrorMessage)]
        self.assert_open(self.proctor)
        return error.code, error.about


class RegistrationTests(WatchCase):
    """How a Proctor comes and goes."""

    def test_registered(self) -> None:
        """It is told its id, the server's time and what it may; then comes the whole list."""
        proctor = self.server.connect()
        proctor.register()
        registered, listed = proctor.read()
        self.assertEqual(
            registered,
            ProctorRegistered("proctor-1", self.server.now_us(), ("watch", "control")),
        )
        self.assertEqual(listed, Sentinels(True, self.server.hub.statuses()))

    def test_roles(self) -> None:
        """The conversation is a follower; the fake is a Proctor's peer."""
        verifyObject(IFollower, self.proctor.conversation)
        verifyObject(IProctorPeer, self.proctor)

    def test_gone(self) -> None:
        """One that has gone hears of nothing more, and nothing is kept for it."""
        self.subscribe("a", "b")
        self.proctor.say(Focus("a"))
        self.proctor.say(Clock(1))
        self.proctor.awake = False
        self.proctor.vanish()
        self.send(2)
        self.server.second(10.0)
        self.assertFalse(self.proctor.awake)
        self.assertIsNone(self.proctor.conversation.pull())

    def test_nothing_after_the_end(self) -> None:
        """Nor does one that we have closed."""
        self.subscribe("a")
        self.proctor.say(ProctorRegister("twice"))
        self.assert_closed(self.proctor, 4400)
        self.proctor.awake = False
        self.send(2)
        self.assertFalse(self.proctor.awake)
        self.assertIsNone(self.proctor.conversation.pull())


class ListTests(WatchCase):
    """The list of Sentinels."""

    def listed(self, proctor: FakeProctorPeer | None = None) -> list[Sentinels]:
        """What of the list is given now."""
        taken = (proctor or self.proctor).read()
        return [message for message in taken if isinstance(message, Sentinels)]

    def test_deltas(self) -> None:
        """After the whole list come changes alone, at most once a second."""
        self.sentinels["b"].vanish()
        self.assertEqual(self.listed(), [])
        self.server.second()
        (news,) = self.listed()
        self.assertFalse(news.is_full)
        self.assertEqual(
            [(row.sentinel_id, row.state) for row in news.sentinels],
            [("b", SentinelState.OFFLINE)],
        )

    def test_forgotten(self) -> None:
        """When a Sentinel was forgotten all are sent the whole list, whatever they have seen."""
        hub = self.server.hub
        stranger = FakePublisher("one", "stranger")
        stream = self.successResultOf(hub.claim(stranger.registration, stranger))
        self.server.second()
        (news,) = self.listed()
        self.assertEqual([row.sentinel_id for row in news.sentinels], ["stranger"])
        stream.detach(stranger)
        self.server.second()
        (news,) = self.listed()
        self.assertTrue(news.is_full)
        self.assertEqual([row.sentinel_id for row in news.sentinels], ["a", "b", "c"])
        self.assertEqual(self.listed(), [])
        self.assertEqual(len(hub.roster.frames), 1)

    def test_nothing_new(self) -> None:
        """Without a change nothing is sent."""
        self.server.second()
        self.assertEqual(self.listed(), [])

    def test_empty(self) -> None:
        """On a server that knows nobody the list is sent all the same, and is empty."""
        self.server = MemoryServer()
        proctor = self.server.connect()
        proctor.register()
        self.assertEqual(self.listed(proctor), [Sentinels(True, ())])

    def test_slow_reader(self) -> None:
        """Whoever did not read for a while is given all changes at once, the newest of each."""
        self.sentinels["a"].vanish()
        self.server.second()
        self.sentinels["b"].vanish()
        self.server.second()
        self.server.sentinel("a").register(SECOND)
        self.server.second()
        (news,) = self.listed()
        self.assertEqual(
            [(row.sentinel_id, row.state) for row in news.sentinels],
            [("a", SentinelState.LIVE), ("b", SentinelState.OFFLINE)],
        )

    def test_shared(self) -> None:
        """Proctors of one format that have seen the same are given the same frame."""
        readers = [self.server.proctor(codec) for codec in (BINARY, BINARY, JSON)]
        self.sentinels["a"].vanish()
        self.server.second()
        for reader in readers:
            reader.read()
        first, second, other = (reader.frames[-1] for reader in readers)
        self.assertIs(first, second)
        self.assertIsNot(first, other)

    def test_not_before_registration(self) -> None:
        """Who has not registered is shown nothing."""
        stranger = self.server.connect()
        self.sentinels["a"].vanish()
        self.server.second()
        self.assertIsNone(stranger.conversation.pull())


class OrderTests(WatchCase):
    """Which of several streams is served when there is not room for all."""

    def test_in_turn(self) -> None:
        """Streams are served one segment each in turn, however little room there is."""
        self.subscribe("a", "b", "c")
        self.send(2, 3, 4)
        given = [one for _ in range(9) for one in self.shown(room=1)]
        self.assertEqual(sorted(given), [(name, n) for name in "abc" for n in (2, 3, 4)])
        for start in (0, 3, 6):
            self.assertEqual({name for name, _ in given[start : start + 3]}, {"a", "b", "c"})

    def test_focus(self) -> None:
        """The one in focus is served before all others."""
        self.subscribe("a", "b", "c")
        self.proctor.say(Focus("c"))
        self.send(2, 3)
        self.assertEqual(self.shown(room=2), [("c", 2), ("c", 3)])
        self.assertEqual(len(self.shown()), 4)

    def test_focus_ends(self) -> None:
        """Without focus all are alike again."""
        self.subscribe("a", "b", "c")
        self.proctor.say(Focus("c"))
        self.proctor.say(Focus(None))
        self.send(2, 3)
        self.assertEqual(len({name for name, _ in self.shown(room=3)}), 3)

    def test_focus_on_nothing(self) -> None:
        """A focus on what is not watched harms nobody, and counts once it is."""
        self.subscribe("a", "b")
        self.proctor.say(Focus("c"))
        self.send(2)
        self.assertEqual(len(self.shown()), 2)
        self.subscribe("c")
        self.send(3, 4)
        self.assertEqual(self.shown(room=2), [("c", 3), ("c", 4)])

    def test_answers_first(self) -> None:
        """Answers and the list come before media."""
        self.subscribe("a")
        self.sentinels["b"].vanish()
        self.sentinels["a"].segment(2)
        self.server.second()
        self.proctor.say(Clock(7))
        kinds = [type(message) for message in self.proctor.read()]
        self.assertEqual(kinds, [Clock, Sentinels, Segment])

    def test_each_at_its_own_pace(self) -> None:
        """One that never reads costs the others nothing, and holds no more than places."""
        sleeper = self.server.proctor()
        sleeper.say(Subscribe("a"))
        self.subscribe("a")
        before = self.server.hub.budget.used_bytes
        for number in range(2, 300):
            self.server.clock.advance(0.2)
            self.sentinels["a"].segment(number)
            self.assertEqual(self.shown(), [("a", number)])
        self.assertLess(self.server.hub.budget.used_bytes, before + 200 * 2_000)
        taken = [m for m in sleeper.read() if isinstance(m, Segment)]
        self.assertEqual([m.sequence for m in taken], list(range(290, 300)))


class RequestTests(WatchCase):
    """Requests, and what comes of those that fail."""

    def test_unknown_sentinel(self) -> None:
        """A request about a Sentinel that nobody knows fails, and the socket stays open."""
        for message in (
            InitRequest("nobody"),
            KeyframeRequest("nobody"),
            FramerateChange("nobody", 1_000),
        ):
            self.proctor.say(message)
            self.assertEqual(self.refusal(), ("not-found", "nobody"))

    def test_never_seen(self) -> None:
        """A Sentinel that was never seen is waited for: that is said, once, and when it comes it is
        served without another word. Nothing is kept of it when nobody waits any more."""
        other = self.server.connect(JSON)
        other.register()
        for proctor in (self.proctor, other):
            proctor.read()
            proctor.say(Subscribe("new"))
            self.assertEqual(proctor.read(), [Subscribed("new", is_known=False)])
        self.assertIsNone(self.server.hub.stream("new"))
        self.assertNotIn("new", [row.sentinel_id for row in self.server.hub.statuses()])
        self.server.live("new").segment(0)
        for proctor in (self.proctor, other):
            kinds = [type(m) for m in proctor.read() if not isinstance(m, Sentinels)]
            self.assertEqual(kinds, [Subscribed, InitSegment, Segment])
        for proctor in (self.proctor, other):
            proctor.say(Unsubscribe("new"))
        self.assertIsNotNone(self.server.hub.stream("new"))

    def test_made_up_ids(self) -> None:
        """One Proctor waits for a bounded number of Sentinels that were never seen, all together
        for another one; nothing is left of them once nobody waits, and real ones have their place
        all the same."""
        self.bounds = Bounds(awaited_sentinels=5, awaited_sentinels_per_proctor=3)
        self.setUp()
        other = self.server.connect()
        other.register()
        self.proctor.read()
        for number in range(3):
            self.proctor.say(Subscribe(f"made-up-{number}"))
        self.assertEqual(len(self.proctor.read()), 3)
        self.proctor.say(Subscribe("made-up-3"))
        self.assertEqual(self.refusal(), ("not-found", "made-up-3"))
        self.proctor.say(Subscribe("made-up-0"))
        self.assertEqual(self.proctor.read(), [Subscribed("made-up-0", is_known=False)])
        other.read()
        for number in range(3, 6):
            other.say(Subscribe(f"made-up-{number}"))
        self.assertEqual(len([m for m in other.read() if isinstance(m, ErrorMessage)]), 1)
        self.proctor.say(Unsubscribe("made-up-0"))
        for proctor, name in ((self.proctor, "made-up-6"), (other, "made-up-4")):
            proctor.say(Subscribe(name))
            self.assertEqual(proctor.read(), [Subscribed(name, is_known=False)])
        self.server.live("made-up-1")
        self.proctor.read()
        self.proctor.vanish()
        other.vanish()
        self.assertEqual(self.server.hub._awaited, {})

    def test_forgotten(self) -> None:
        """A Sentinel that leaves without having sent anything is not in the list any more, and
        waited for; where there is no room for that its viewers are told, and may ask again."""
        self.bounds = Bounds(awaited_sentinels=1)
        self.setUp()
        self.proctor.read()
        for name in ("brief-1", "brief-2"):
            sentinel = self.server.live(name)
            self.proctor.say(Subscribe(name))
            sentinel.vanish()
            self.server.second()
            self.assertIsNone(self.server.hub.stream(name))
        self.assertEqual(self.refusal(), ("not-found", "brief-2"))
        self.assertNotIn("brief-2", self.proctor.conversation.subscriptions)
        self.proctor.say(Unsubscribe("brief-1"))
        self.proctor.say(Subscribe("brief-2"))
        self.proctor.read()
        for name in ("brief-1", "brief-2"):
            again = self.server.sentinel(name)
            again.register(f"another-session-{name}")
            again.init()
        told = [m for m in self.proctor.read() if isinstance(m, Subscribed)]
        self.assertEqual([one.sentinel_id for one in told], ["brief-2"])

    def test_not_watched(self) -> None:
        """The init of a stream that is not watched is not sent."""
        self.proctor.say(InitRequest("a"))
        self.assertEqual(self.refusal(), ("not-found", "a"))

    def test_offline(self) -> None:
        """What cannot be passed on because the Sentinel is away fails."""
        self.sentinels["a"].vanish()
        for message in (KeyframeRequest("a"), FramerateChange("a", 1_000)):
            self.proctor.say(message)
            self.assertEqual(self.refusal(), ("sentinel-offline", "a"))

    def test_control(self) -> None:
        """Keyframe request and frame rate reach the Sentinel, the rate as it may be."""
        self.proctor.say(KeyframeRequest("a"))
        self.proctor.say(FramerateChange("a", 50_000))
        self.assertEqual(
            self.sentinels["a"].heard, [KeyframeRequest("a"), FramerateChange("a", 5_000)]
        )
        self.assertEqual(self.sentinels["b"].heard, [])

    def test_clock(self) -> None:
        """The server's time is told."""
        self.proctor.say(Clock(9))
        now = self.server.now_us()
        self.assertEqual(self.proctor.read(), [Clock(9, now, now)])

    def test_unsubscribe(self) -> None:
        """What is not watched any more is not sent; saying so twice does no harm."""
        self.subscribe("a", "b")
        self.proctor.say(Unsubscribe("a"))
        self.proctor.say(Unsubscribe("a"))
        self.send(2)
        self.assertEqual(self.shown(), [("b", 2)])
        self.assert_open(self.proctor)

    def test_nothing_to_do(self) -> None:
        """What is not watched, or not even known, can be left and be in focus: no error."""
        asked: list[Message] = [
            Unsubscribe("a"),
            Unsubscribe("nobody"),
            Focus("nobody"),
            Focus(None),
        ]
        for message in asked:
            self.proctor.say(message)
        self.assertEqual(self.proctor.read(), [])
        self.assert_open(self.proctor)

    def test_rate_that_is_too_high_or_low(self) -> None:
        """A rate outside of what a Sentinel does is moved to the nearer end, and no error."""
        for asked, told in ((1, 200), (1_000_000, 5_000)):
            self.server.second()
            self.sentinels["a"].forget()
            self.proctor.say(FramerateChange("a", asked))
            self.assertEqual(self.sentinels["a"].heard, [FramerateChange("a", told)])
        self.assertEqual(self.proctor.all_heard(ErrorMessage), [])

    def test_refusals_in_order(self) -> None:
        """Several that fail are answered one by one, in order, and the stream goes on."""
        self.subscribe("a")
        self.proctor.say(KeyframeRequest("x"))
        self.proctor.say(InitRequest("b"))
        self.proctor.say(KeyframeRequest("y"))
        self.proctor.say(FramerateChange("z", 200))
        self.send(2)
        *errors, segment = self.proctor.read()
        self.assertEqual([error.about for error in errors], ["x", "b", "y", "z"])  # type: ignore[union-attr]
        self.assertIsInstance(segment, Segment)

    def test_left_in_the_middle(self) -> None:
        """Left in the middle of what is due at the beginning, nothing more of it comes; another
        one is watched in its place at once."""
        self.proctor.say(Subscribe("a"))
        self.assertEqual([type(m) for m in self.proctor.read(2)], [Subscribed, InitSegment])
        self.proctor.say(Unsubscribe("a"))
        self.proctor.say(Subscribe("b"))
        self.send(2)
        told = self.proctor.read()
        self.assertEqual({message.sentinel_id for message in told}, {"b"})  # type: ignore[union-attr]
        kinds = [type(message) for message in told]
        self.assertEqual(kinds, [Subscribed, InitSegment, *[Segment] * 3])

    def test_to_and_fro(self) -> None:
        """From one to the other and back, going on where it was: nothing is sent twice."""
        self.subscribe("a")
        self.proctor.say(Unsubscribe("a"))
        self.subscribe("b")
        self.send(2)
        self.proctor.say(Unsubscribe("b"))
        session_id = self.sentinels["a"].session_id
        self.proctor.say(Subscribe("a", Place(session_id, 2)))
        self.send(3)
        told = self.proctor.read()
        self.assertEqual([type(message) for message in told], [Subscribed, Segment, Segment])
        self.assertEqual([message.sequence for message in told[1:]], [2, 3])  # type: ignore[union-attr]

    def test_unsubscribed_is_not_woken(self) -> None:
        """What is not watched any more wakes nobody."""
        self.subscribe("a")
        self.proctor.say(Unsubscribe("a"))
        self.proctor.read()
        self.send(2)
        self.assertFalse(self.proctor.awake)

    def test_watched_again(self) -> None:
        """A stream can be left and watched again; it begins anew."""
        self.subscribe("a")
        self.proctor.say(Unsubscribe("a"))
        self.proctor.say(Subscribe("a"))
        self.assertEqual(self.shown(), [("a", 0), ("a", 1)])
        self.send(2)
        self.assertEqual(self.shown(), [("a", 2)])

    def test_subscribed_twice(self) -> None:
        """Subscribing twice is one subscription, and one turn."""
        self.subscribe("a", "b")
        self.subscribe("a")
        self.send(2, 3)
        self.assertEqual(Counter(name for name, _ in self.shown(room=2)), {"a": 1, "b": 1})
        self.assertEqual(len(self.shown()), 2)

    def test_asks_and_never_reads(self) -> None:
        """Who asks on and on without reading the answers is closed, and they are let go."""
        for _ in range(USUAL.unread_answers):
            self.proctor.say(Clock(1))
        self.assert_open(self.proctor)
        self.proctor.say(Clock(1))
        self.assert_closed(self.proctor, 4429)
        self.assertIsNone(self.proctor.conversation.pull())

    def test_fails_and_never_reads(self) -> None:
        """The same for requests that fail."""
        for _ in range(USUAL.unread_answers + 1):
            self.proctor.say(KeyframeRequest("nobody"))
        self.assert_closed(self.proctor, 4429)

    def test_asks_and_reads(self) -> None:
        """Who reads may ask for ever."""
        for _ in range(2 * USUAL.unread_answers):
            self.proctor.say(Clock(1))
            self.proctor.read()
        self.assert_open(self.proctor)


class ReentrancyTests(WatchCase):
    """What happens while something else is happening."""

    def test_leaves_when_woken(self) -> None:
        """A Proctor may be lost in the very call that tells it of a segment."""

        class Fragile(FakeProctorPeer):
            def wake(self) -> None:
                super().wake()
                self.vanish()

        self.subscribe("a")
        fragile = Fragile(BINARY)
        fragile.conversation = self.proctor.conversation
        fragile.conversation.peer = fragile
        other = self.server.proctor()
        other.say(Subscribe("a"))
        other.read()
        self.sentinels["a"].segment(2)
        self.assert_open(self.sentinels["a"])
        self.assertTrue(fragile.awake)
        self.assertEqual([type(message) for message in other.read()], [Segment])

    def test_sentinel_goes_while_asked(self) -> None:
        """A Sentinel may be lost in the very call that asks it for a keyframe."""
        peer = self.sentinels["a"]
        self.patch(peer.conversation.requests, "_send", lambda _: peer.vanish())
        self.proctor.say(KeyframeRequest("a"))
        self.assertEqual(self.proctor.read(), [])
        self.proctor.say(KeyframeRequest("a"))
        self.assertEqual(self.refusal(), ("sentinel-offline", "a"))
