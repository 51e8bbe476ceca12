"""Nothing is left unsent: whoever has been given all there is has nothing, until it is woken."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.peers import FakeSentinelPeer
from tests.links.memory import MemoryServer
from vidlink.messages import (
    Clock,
    Focus,
    InitRequest,
    Place,
    StartFrom,
    Subscribe,
    Unsubscribe,
)
from vidlink.model import Tier
from vidlink.relay.buffer import ENTRY_BYTES

NAMES = st.sampled_from("abc")
WINDOW_SECONDS = 3.0


class WakeUpMachine(RuleBasedStateMachine):
    """One Proctor and three Sentinels, all of which do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.server = MemoryServer(
            window_seconds=WINDOW_SECONDS, cap_bytes=8 * (ENTRY_BYTES + 1_000)
        )
        self.connected: dict[str, FakeSentinelPeer] = {}
        self.sequences: dict[str, int] = {}
        self.sessions: list[str] = []
        for name in "abc":
            self.connect(name)
        self.proctor = self.server.proctor()

    @rule(name=NAMES)
    def connect(self, name: str) -> None:
        """A Sentinel comes, or comes again, with a new session that has not begun yet."""
        self.vanish(name)
        sentinel = self.connected[name] = self.server.sentinel(name)
        self.sessions.append(f"session-number-{len(self.sessions):03}")
        sentinel.register(self.sessions[-1])
        self.sequences[name] = -1

    @rule(name=NAMES)
    def vanish(self, name: str) -> None:
        """A Sentinel is gone, and its session has ended."""
        sentinel = self.connected.pop(name, None)
        if sentinel is not None:
            sentinel.vanish()

    @rule(name=NAMES, again=st.booleans())
    def begin(self, name: str, again: bool) -> None:
        """A session begins, the first of a connection or another one."""
        sentinel = self.connected.get(name)
        if sentinel is None or (self.sequences[name] >= 0 and not again):
            return
        if self.sequences[name] >= 0:
            self.sessions.append(f"session-number-{len(self.sessions):03}")
            sentinel.init(self.sessions[-1])
        else:
            sentinel.init()
        self.sequences[name] = 0

    @rule(
        name=NAMES, jump=st.sampled_from((0, 0, 0, 2)), keyframe=st.booleans(), size=st.booleans()
    )
    def send(self, name: str, jump: int, keyframe: bool, size: bool) -> None:
        """A segment comes, small or too large for two of them to be kept."""
        sentinel, sequence = self.connected.get(name), self.sequences[name]
        if sentinel is None or sequence < 0 or sentinel.closed is not None:
            return
        number = sequence + jump
        sentinel.segment(number, keyframe=keyframe, filler_bytes=12_000 * size)
        self.sequences[name] = number + 1

    @rule(
        name=NAMES,
        start=st.sampled_from(StartFrom),
        tier=st.sampled_from(Tier),
        lag=st.sampled_from((None, 0, 1_000)),
    )
    def subscribe(self, name: str, start: StartFrom, tier: Tier, lag: int | None) -> None:
        """It watches one, or watches it otherwise."""
        self.proctor.say(Subscribe(name, start, tier, lag))

    @rule(name=NAMES, which=st.integers(0, 3), sequence=st.integers(0, 12))
    def resume(self, name: str, which: int, sequence: int) -> None:
        """It goes on in one of the last sessions, its own or not."""
        session_id = self.sessions[-1 - which % len(self.sessions)]
        self.proctor.say(Subscribe(name, Place(session_id, sequence)))

    @rule(name=NAMES)
    def unsubscribe(self, name: str) -> None:
        """It watches one no more."""
        self.proctor.say(Unsubscribe(name))

    @rule(name=NAMES)
    def ask_for_init(self, name: str) -> None:
        """It has lost what a session begins with."""
        self.proctor.say(InitRequest(name))

    @rule(name=st.one_of(st.none(), NAMES))
    def focus(self, name: str | None) -> None:
        """It looks at one above all."""
        self.proctor.say(Focus(name))

    @rule()
    def ask_for_time(self) -> None:
        """It is woken by something that is of no stream."""
        self.proctor.say(Clock(1))

    @rule(seconds=st.sampled_from((0.2, 1.5, 2 * WINDOW_SECONDS)))
    def wait(self, seconds: float) -> None:
        """Time passes, and what is too old is let go."""
        self.server.second(seconds)

    @rule(room=st.sampled_from((1, 3, None, None)))
    def read(self, room: int | None) -> None:
        """There is room in its socket, for some or for all."""
        self.proctor.read(room)

    @invariant()
    def nothing_is_left(self) -> None:
        """Unless it has been told that there is something, nothing that it watches has any."""
        if not self.proctor.awake:
            for name, subscription in self.proctor.conversation.subscriptions.items():
                assert subscription.pull() is None, name

    def teardown(self) -> None:
        """In the end all that there is comes."""
        self.proctor.read()
        self.nothing_is_left()
        assert self.proctor.closed is None


class WakeUpTests(SynchronousTestCase):
    """A Proctor's conversation, its subscriptions and their turns together."""

    def test_any_order(self) -> None:
        """Whatever happens in whatever order, there is nothing to send to who is not woken."""
        run_state_machine_as_test(
            WakeUpMachine,
            settings=settings(max_examples=100, stateful_step_count=50, deadline=None),
        )
