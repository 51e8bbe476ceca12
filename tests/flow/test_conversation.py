"""A whole conversation with a Proctor, whatever happens around it: what it is told adds up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.peers import FakeSentinelPeer
from tests.links.memory import BINARY, MemoryServer
from vidlink.messages import (
    ErrorMessage,
    Focus,
    InitRequest,
    Place,
    Sentinels,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from vidlink.model import (
    USUAL,
    InitSegment,
    Segment,
    Tier,
)

NAMES = ("a", "b")
WINDOW_SECONDS = 6.0
#: Some ten small segments.
CAP_BYTES = 12 * 1024
WHICH = st.sampled_from(NAMES)


@dataclass
class Sent:
    """One segment that was sent: whether it is a keyframe, and whether it decodes."""

    data: bytes
    keyframe: bool
    undecodable: bool


@dataclass
class View:
    """What a Proctor has been told of one stream since it last subscribed.

    `session` is the session that it is in, None while it has been told that there is none;
    `spoken` is every segment and hole of it, in order.
    """

    request: Subscribe
    answered: bool = False
    session: Subscribed | None = None
    is_over: bool = False
    has_init: bool = False
    first_of_all: bool = True
    spoken: list[Segment | Skipped] = field(default_factory=list)


class Conversation(RuleBasedStateMachine):
    """Two Sentinels that send, jump, change and go; a Proctor that asks and reads as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.server = MemoryServer(window_seconds=WINDOW_SECONDS, cap_bytes=CAP_BYTES)
        self.sent: dict[str, dict[int, Sent]] = {}
        self.begun = dict.fromkeys(NAMES, 0)
        self.sentinels: dict[str, FakeSentinelPeer | None] = dict.fromkeys(NAMES)
        for name in NAMES:
            self.begin(name, anew=True)
        self.proctor = self.server.proctor(BINARY)
        self.views: dict[str, View] = {}
        for name in NAMES:
            self.subscribe(name, "latest", 0, 0, Tier.FULL, None)

    # What happens on the Sentinels' side.

    @rule(
        name=WHICH,
        jump=st.sampled_from([1, 1, 1, 1, 3]),
        keyframe=st.sampled_from([True, False, False]),
        more=st.sampled_from([0, 0, 2, 20]),
        delay=st.sampled_from([0.0, 0.2, 2.0]),
        pause=st.sampled_from([1, 10, 100]),
    )
    def send(
        self, name: str, jump: int, keyframe: bool, more: int, delay: float, pause: int
    ) -> None:
        """The next segment or one further on, and some that build on it.

        The Proctor reads after the first and then after every so many of them.
        """
        for number in range(1 + more):
            self.server.clock.advance(delay if number == 0 else 0.1)
            self.one(name, jump if number == 0 else 1, keyframe and number == 0)
            if pause < 100 and number % pause == 0:
                self.read(1_000)

    def one(self, name: str, jump: int, keyframe: bool) -> None:
        """One segment."""
        sentinel = self.sentinels[name]
        if sentinel is None:
            if self.begun[name] == USUAL.sessions:
                return
            self.begin(name, anew=True)
            sentinel = self.sentinels[name]
            assert sentinel is not None
        sent = self.sent[sentinel.session_id]
        last = max(sent, default=-1)
        broken = jump > 1 or last < 0 or sent[last].undecodable
        data = sentinel.segment(last + jump, keyframe=keyframe)
        sent[last + jump] = Sent(data, keyframe, broken and not keyframe)

    @rule(name=WHICH, what=st.sampled_from(["change", "reconnect", "go", "focus", "init", "leave"]))
    def something(self, name: str, what: str) -> None:
        """Another session on this connection or on a new one, none any more; a wish."""
        match what:
            case "change" | "reconnect":
                if self.begun[name] < USUAL.sessions:
                    self.begin(name, what == "reconnect" or self.sentinels[name] is None)
            case "go":
                self.go(name)
            case "focus":
                self.proctor.say(Focus(name))
            case "init":
                self.proctor.say(InitRequest(name))
            case "leave":
                self.proctor.say(Unsubscribe(name))
                self.views.pop(name, None)

    def go(self, name: str) -> None:
        """It is gone."""
        sentinel, self.sentinels[name] = self.sentinels[name], None
        if sentinel is not None:
            sentinel.vanish()

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, WINDOW_SECONDS, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.server.second(seconds)

    def begin(self, name: str, anew: bool) -> None:
        """Begin a session."""
        session_id = f"session-of-{name}-number-{self.begun[name]:03}"
        self.begun[name] += 1
        if anew:
            self.go(name)
            self.sentinels[name] = self.server.sentinel(name)
        sentinel = self.sentinels[name]
        assert sentinel is not None
        if anew:
            sentinel.register(session_id)
        sentinel.init(session_id)
        self.sent[session_id] = {}

    # What the Proctor does.

    @rule(
        name=WHICH,
        start=st.sampled_from(["latest", "latest", "oldest", "place"]),
        back=st.integers(-2, 14),
        old=st.sampled_from([0, 0, 1]),
        tier=st.sampled_from(Tier),
        lag=st.sampled_from([None, None, 0, 1_000]),
    )
    def subscribe(
        self, name: str, start: str, back: int, old: int, tier: Tier, lag: int | None
    ) -> None:
        """Subscribe, or subscribe again: at the newest, the oldest, or some place."""
        place: StartFrom | Place = StartFrom(start) if start != "place" else StartFrom.LATEST
        if start == "place":
            number = max(0, self.begun[name] - 1 - old)
            session_id = f"session-of-{name}-number-{number:03}"
            newest = max(self.sent[session_id], default=-1)
            place = Place(session_id, max(0, newest + 1 - back))
        request = Subscribe(name, place, tier, lag)
        self.proctor.say(request)
        self.views[name] = View(request)

    @rule(room=st.sampled_from([1, 2, 5, 1_000]))
    def read(self, room: int) -> None:
        """Take some of what there is."""
        for message in self.proctor.read(room):
            if not isinstance(message, Sentinels | ErrorMessage):
                self.told(message)

    def teardown(self) -> None:
        """Both Sentinels go; everything is read to its end."""
        for name in NAMES:
            self.go(name)
        self.read(1_000_000)
        assert self.proctor.closed is None
        for view in self.views.values():
            assert view.answered
            assert view.session is None or view.is_over

    # What has to hold of what it is told.

    def told(self, message: Any) -> None:
        """One message of a stream: whether it may come now."""
        view = self.views.get(message.sentinel_id)
        assert view is not None, f"{message} of what is not subscribed to"
        if isinstance(message, Subscribed):
            self.subscribed(view, message)
            return
        assert view.session is not None, f"{message} outside of a session"
        assert not view.is_over, f"{message} after the end"
        assert message.session_id == view.session.session_id
        match message:
            case InitSegment():
                view.has_init = True
            case Segment():
                self.delivered(view, message)
            case Skipped():
                self.in_order(view, message.first)
                assert message.first <= message.last
                view.spoken.append(message)
            case SessionEnded():
                self.account(view)
                view.is_over = True

    def subscribed(self, view: View, message: Subscribed) -> None:
        """It answers a request, or comes after the end of the session before."""
        assert not view.answered or view.is_over or view.session is None
        # That there is no session is said in answer to a request, and never after an end.
        assert message.session_id is not None or not view.answered
        view.first_of_all = not view.answered or (view.first_of_all and view.session is None)
        view.answered = True
        view.session = None if message.session_id is None else message
        view.is_over = view.has_init = False
        view.spoken = []

    def delivered(self, view: View, message: Segment) -> None:
        """In order, as it was sent, and decodable after what came before."""
        self.in_order(view, message.sequence)
        sent = self.sent[message.session_id]
        this = sent[message.sequence]
        assert bytes(message.data) == this.data
        before = view.spoken[-1] if view.spoken else None
        resumed = before is None and self.place(view) == message.sequence
        assert view.has_init or (resumed and message.sequence > 0) or self.resumes(view)
        if not this.keyframe:
            assert view.request.tier is Tier.FULL
            assert not this.undecodable
            follows = isinstance(before, Segment) and before.sequence == message.sequence - 1
            assert follows or resumed
        view.spoken.append(message)

    def in_order(self, view: View, sequence: int) -> None:
        """It goes on from what was last spoken of; without a hole at full rate."""
        if view.spoken:
            last = view.spoken[-1]
            due = (last.last if isinstance(last, Skipped) else last.sequence) + 1
            assert sequence == due or (sequence > due and view.request.tier is Tier.KEYFRAMES)

    def place(self, view: View) -> int | None:
        """The sequence that the viewer wanted of this session; None if it named none of it."""
        wanted = view.request.start_from
        if not isinstance(wanted, Place) or not view.first_of_all:
            return None
        return wanted.sequence if wanted.session_id == view.session.session_id else None  # type: ignore[union-attr]

    def resumes(self, view: View) -> bool:
        """Whether the viewer has been going on in this session without an init."""
        place = self.place(view)
        return place is not None and place > 0

    def account(self, view: View) -> None:
        """Everything of the tier, from where it began to the end: delivered, or in one hole."""
        session = view.session
        assert session is not None
        assert session.session_id is not None
        told: list[int] = []
        for thing in view.spoken:
            if isinstance(thing, Skipped):
                told += range(thing.first, thing.last + 1)
            else:
                told.append(thing.sequence)
        assert len(set(told)) == len(told)
        begin = self.begins_at(view, session, told)
        if begin is None:
            return
        for sequence, one in self.sent[session.session_id].items():
            if one.keyframe or view.request.tier is Tier.FULL:
                assert sequence < begin or sequence in told, sequence

    def begins_at(self, view: View, session: Subscribed, told: list[int]) -> int | None:
        """From where on everything is owed; None if nothing is."""
        place = self.place(view)
        newest = -1 if session.live_sequence is None else session.live_sequence
        if place is not None and place <= newest + 1:
            return place
        if session.live_sequence is None:
            return 0
        if session.first_sequence is not None:
            # It was promised when the viewer subscribed.
            return session.first_sequence
        return told[0] if told else None


class ConversationTests(SynchronousTestCase):
    """One Proctor, whatever it and the Sentinels do."""

    def test_adds_up(self) -> None:
        """Of each stream: subscribed, init, segments in order that decode, holes named once, and
        the end; then the next session; and nothing once it is unsubscribed."""
        often = settings(Conversation.TestCase.settings, max_examples=300)
        run_state_machine_as_test(Conversation, settings=often)
