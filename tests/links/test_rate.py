"""Tests of how much a peer may say, and how many sessions a Sentinel may begin."""

from __future__ import annotations

from tests.fakes.peers import FakeProctorPeer, FakeSentinelPeer
from tests.links.memory import LinkCase
from vidlink.messages import (
    BackfillDone,
    Clock,
    DeclareGap,
    InitRequest,
    Message,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from vidlink.model import (
    USUAL,
    Segment,
    SessionQuery,
)
from vidlink.relay.stream import EARLIER_SESSIONS


class MessageTests(LinkCase):
    """Messages on one connection."""

    def flood(self, peer: FakeProctorPeer | FakeSentinelPeer, *messages: Message) -> int:
        """Say these again and again, without a pause, until the server closes; how many it took
        to that."""
        for number in range(USUAL.messages + 10):
            if peer.closed is not None:
                return number
            peer.forget()
            peer.say(messages[number % len(messages)])
            if isinstance(peer, FakeProctorPeer):
                peer.read()
        raise AssertionError("it is still open")

    def test_proctor(self) -> None:
        """A Proctor in a loop is closed with 4429, although it reads what it is answered; what
        it watched goes on for others."""
        sentinel = self.server.live()
        sentinel.segment(0)
        other = self.server.proctor()
        other.say(Subscribe("desk-1"))
        other.read()
        for loop in (
            [Subscribe("desk-1"), Unsubscribe("desk-1")],
            [Subscribe("desk-1"), InitRequest("desk-1")],
            [Subscribe("nobody")],
            [Clock(1)],
        ):
            proctor = self.server.proctor()
            # It has registered with one message already.
            self.assertEqual(self.flood(proctor, *loop), USUAL.messages)
            self.assert_closed(proctor, 4429)
            self.assertIsNone(proctor.conversation.pull())
        sentinel.segment(1)
        self.assertEqual([type(message) for message in other.read()], [Segment])

    def test_sentinel(self) -> None:
        """So is a Sentinel."""
        for message in (Clock(1), DeclareGap("other-session-000", 0, 1, "lost")):
            sentinel = self.server.live(f"desk-{type(message).__name__}")
            # It has sent its registration and an init.
            self.assertEqual(self.flood(sentinel, message), USUAL.messages - 1)
            self.assert_closed(sentinel, 4429)

    def test_segments_do_not_count(self) -> None:
        """A Sentinel's segments are not counted, however many there are."""
        sentinel = self.server.live()
        for number in range(USUAL.messages + 10):
            sentinel.segment(number)
        self.assert_open(sentinel)

    def test_everything_at_once(self) -> None:
        """Who comes back may subscribe to 1,000 streams in one go."""
        names = [f"desk-{number}" for number in range(1_000)]
        for name in names:
            self.server.live(name)
        proctor = self.server.proctor()
        for name in names:
            proctor.say(Subscribe(name))
        proctor.read()
        self.assert_open(proctor)
        self.assertEqual(len(proctor.all_heard(Subscribed)), 1_000)

    def test_for_ever(self) -> None:
        """At the rate that is allowed one may go on for ever."""
        proctor = self.server.proctor()
        for _ in range(30):
            for _ in range(int(USUAL.messages_per_second)):
                proctor.say(Clock(1))
                proctor.read()
            self.server.second()
        self.assert_open(proctor)


class SessionTests(LinkCase):
    """Sessions of one Sentinel: each is a folder on disk."""

    def begin(self, sentinel: FakeSentinelPeer, number: int) -> None:
        """Begin another session, of which something comes."""
        session_id = f"session-number-{number:04}"
        if not sentinel.session_id:
            sentinel.register(session_id)
        sentinel.init(session_id)
        sentinel.segment(0)

    def recorded(self) -> int:
        """How many sessions the recording has."""
        page = self.successResultOf(self.server.store.sessions(SessionQuery(limit=1_000)))
        return len(page.sessions)

    def test_on_one_connection(self) -> None:
        """A Sentinel that begins session after session is closed with 4429, and what it begins
        too much is not recorded."""
        sentinel = self.server.sentinel()
        for number in range(USUAL.sessions):
            self.begin(sentinel, number)
        self.assert_open(sentinel)
        self.begin(sentinel, USUAL.sessions)
        self.assert_closed(sentinel, 4429)
        self.assertEqual(self.recorded(), USUAL.sessions)
        self.assertEqual(self.server.store.ends[-1][1], "too-fast")

    def test_on_many_connections(self) -> None:
        """It makes no difference whether it connects anew for each."""
        for number in range(USUAL.sessions):
            sentinel = self.server.sentinel()
            self.begin(sentinel, number)
            self.assert_open(sentinel)
            sentinel.vanish()
        sentinel = self.server.sentinel()
        self.begin(sentinel, 9_999)
        self.assert_closed(sentinel, 4429)
        self.assertEqual(self.recorded(), USUAL.sessions)

    def test_earlier(self) -> None:
        """So is one that opens earlier session after earlier session, on whatever connection."""
        for number in range(EARLIER_SESSIONS.burst + 1):
            if number % 500 == 0:
                sentinel = self.server.sentinel()
                sentinel.register(f"session-of-now-{number:06}")
            self.assert_open(sentinel)
            name = f"earlier-session-{number:04}"
            sentinel.init(name, late=True)
            sentinel.say(BackfillDone(name))
        self.assert_closed(sentinel, 4429)

    def test_each_for_itself(self) -> None:
        """One Sentinel's flood takes nothing from another one."""
        flooding = self.server.sentinel()
        for number in range(USUAL.sessions + 1):
            self.begin(flooding, number)
        other = self.server.live("desk-2")
        other.segment(0)
        self.assert_open(other)

    def test_comes_back(self) -> None:
        """After a while it may begin another one."""
        sentinel = self.server.sentinel()
        for number in range(USUAL.sessions):
            self.begin(sentinel, number)
        self.server.second(1 / USUAL.sessions_per_second)
        self.begin(sentinel, USUAL.sessions)
        self.assert_open(sentinel)

    def test_repeated_init(self) -> None:
        """The same init once more begins nothing, and is not counted as a session."""
        sentinel = self.server.sentinel()
        sentinel.register("session-number-0000")
        for _ in range(10 * USUAL.sessions):
            sentinel.init()
        self.assert_open(sentinel)
