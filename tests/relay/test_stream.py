"""Tests of one stream: its sessions, who follows it, and what the list says of it."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.relay.arrivals import arrival
from tests.relay.publishers import FakeFollower, FakePublisher
from vidlink.errors import SentinelOffline
from vidlink.interfaces import IFollower
from vidlink.model import Arrival, RecordingState, SentinelState, Session
from vidlink.relay.buffer import ENTRY_BYTES, Budget, Buffer
from vidlink.relay.stream import MOVE_SECONDS, LiveSession, Stream

WINDOW = 20.0
FIRST, SECOND = "first-session-000", "second-session-00"


def session(session_id: str) -> Session:
    """A session of the Sentinel under test."""
    mime = 'video/mp4; codecs="avc1.42C00A"'
    return Session(
        "desk-1", session_id, "Desk 1", "office", "test", 0, b"init", mime, 64, 48, 90_000, 1
    )


class StreamCase(SynchronousTestCase):
    """A stream whose Sentinel is connected, on a clock of its own."""

    def setUp(self) -> None:
        """A Sentinel has its place; no session has begun."""
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.budget = Budget(1 << 40)
        cap = 10 * (ENTRY_BYTES + 100)
        self.stream = Stream("desk-1", self.clock.seconds, lambda: Buffer(WINDOW, cap, self.budget))
        self.publisher = FakePublisher()
        self.stream.attach(self.publisher.registration, self.publisher)
        self.publisher.seated(self.stream)

    def begin(self, session_id: str = FIRST) -> LiveSession:
        """Let a session begin that is recorded well."""
        self.stream.begin(session(session_id), lambda: RecordingState.OK)
        assert self.stream.live is not None
        return self.stream.live

    def push(
        self,
        sequence: int,
        keyframe: bool = False,
        framerate_mhz: int = 5_000,
        duration_ms: int = 200,
    ) -> Arrival:
        """Let a segment arrive now."""
        new = arrival(sequence, keyframe, self.clock.seconds())
        segment = replace(new.segment, framerate_mhz=framerate_mhz, duration_ms=duration_ms)
        new = replace(new, segment=segment)
        self.stream.push(new)
        return new

    def state(self) -> SentinelState:
        """What the list says now."""
        return self.stream.status().state


class SessionTests(StreamCase):
    """From session to session."""

    def test_live(self) -> None:
        """What is pushed is in the live session's buffer at once."""
        live = self.begin()
        pushed = self.push(0, True)
        self.assertIs(live.buffer.at(0), pushed)
        self.assertIsNone(live.ended_reason)

    def test_ended(self) -> None:
        """When a session ends it is not live any more, and says why; its buffer stays."""
        live = self.begin()
        self.push(0, True)
        self.stream.end("disconnected")
        self.assertIsNone(self.stream.live)
        self.assertEqual(live.ended_reason, "disconnected")
        self.assertEqual(live.buffer.end - live.buffer.first, 1)

    def test_end_without_a_session(self) -> None:
        """Ending what has not begun, or has ended, does nothing."""
        follower = FakeFollower()
        self.stream.follow(follower, self.fail)
        self.stream.end("disconnected")
        live = self.begin()
        self.stream.end("first reason")
        self.stream.end("second reason")
        self.assertEqual(live.ended_reason, "first reason")
        self.assertEqual(follower.stirs, 2)

    def test_ended_until_the_next_can_be_joined(self) -> None:
        """An ended session's buffer stays until the next session has had a keyframe for as long
        as its viewers need to be sent what is left."""
        ended = self.begin()
        self.push(0, True)
        self.stream.end("replaced")
        self.begin(SECOND)
        self.push(0)
        self.clock.advance(MOVE_SECONDS + 1)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 1)
        self.push(1, True)
        self.clock.advance(MOVE_SECONDS - 0.1)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 1)
        self.clock.advance(0.1)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 0)

    def test_ended_for_the_window(self) -> None:
        """Without a next session it stays for the window, and no longer."""
        ended = self.begin()
        self.push(0, True)
        self.stream.end("disconnected")
        self.clock.advance(WINDOW)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 1)
        self.clock.advance(0.1)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 0)
        self.assertEqual((self.budget.used_bytes, self.budget.buffers), (0, 0))

    def test_sessions_in_a_row(self) -> None:
        """However many sessions come and go, at most one ended buffer is held."""
        for number in range(5):
            self.begin(f"session-number-{number:02}")
            if number % 2:
                self.push(0, True)
            self.stream.end("replaced")
            self.assertEqual(self.budget.buffers, 1)

    def test_silence_lets_go(self) -> None:
        """The window moves on with the clock, though nothing arrives."""
        live = self.begin()
        self.push(0, True)
        self.clock.advance(1.0)
        self.push(1, True)
        self.clock.advance(WINDOW)
        self.stream.tick()
        self.assertEqual(live.buffer.first, 1)

    def test_ended_gives_way_too(self) -> None:
        """An ended session's buffer keeps to the shared budget like any other."""
        ended = self.begin()
        for number in range(5):
            self.push(number, True)
        self.stream.end("disconnected")
        self.budget.total_bytes = 2 * (ENTRY_BYTES + 100)
        self.stream.tick()
        self.assertEqual(ended.buffer.end - ended.buffer.first, 2)

    def test_cap(self) -> None:
        """When the cap has forced segments out, the Sentinel is asked for a keyframe."""
        self.begin()
        for number in range(10):
            self.push(number, number == 0)
        self.assertEqual(self.publisher.asked, [])
        self.push(10)
        self.assertEqual(self.publisher.asked, ["keyframe"])


class LogTests(StreamCase):
    """What the log says of a Sentinel."""

    def test_life(self) -> None:
        """Coming and going of connection and session are logged, segments are not."""
        with capturedLogs() as events:
            self.stream.attach(self.publisher.registration, self.publisher)
            self.begin()
            self.push(0, True)
            self.publisher.leave("disconnected")
        told = [formatEvent(event) for event in events]
        words = ("is connected", "has begun", "has ended", "is disconnected")
        self.assertEqual(len(told), len(words), told)
        for text, word in zip(told, words, strict=True):
            self.assertIn("desk-1", text)
            self.assertIn(word, text)
            self.assertEqual(FIRST in text, word.startswith("has"))


class FollowerTests(StreamCase):
    """Who hears of what happens."""

    def setUp(self) -> None:
        """One follows the stream."""
        super().setUp()
        self.follower = FakeFollower()
        self.stream.follow(self.follower, self.fail)

    def test_interface(self) -> None:
        """The fake that these tests use is what a follower has to be."""
        verifyObject(IFollower, self.follower)

    def test_hears(self) -> None:
        """Beginning, arrival and end are heard of in the call in which they happen."""
        self.begin()
        self.assertEqual(self.follower.stirs, 1)
        self.push(0, True)
        self.assertEqual(self.follower.stirs, 2)
        self.stream.end("disconnected")
        self.assertEqual(self.follower.stirs, 3)

    def test_twice_is_once(self) -> None:
        """Following twice is following once."""
        self.stream.follow(self.follower, self.fail)
        self.begin()
        self.assertEqual(self.follower.stirs, 1)

    def test_leaves(self) -> None:
        """Who has left hears nothing more; leaving twice does no harm."""
        self.stream.leave(self.follower)
        self.stream.leave(self.follower)
        self.begin()
        self.assertEqual(self.follower.stirs, 0)

    def test_leaves_while_told(self) -> None:
        """A follower may leave while it is being told, and the others are told still."""
        stream, other = self.stream, FakeFollower()

        class Leaver(FakeFollower):
            def stirred(self) -> None:
                super().stirred()
                stream.leave(self)

        leaver = Leaver()
        stream.follow(leaver, self.fail)
        stream.follow(other, self.fail)
        self.begin()
        self.push(0, True)
        self.assertEqual((leaver.stirs, other.stirs), (1, 2))


class ControlTests(StreamCase):
    """What is asked of the Sentinel."""

    def test_keyframe(self) -> None:
        """A wish for a keyframe reaches the connection."""
        self.stream.request_keyframe()
        self.assertEqual(self.publisher.asked, ["keyframe"])

    def test_framerate_is_clamped(self) -> None:
        """A rate is cut to what Sentinels capture at, and the caller is told."""
        self.assertEqual(self.stream.change_framerate(60_000), 5_000)
        self.assertEqual(self.stream.change_framerate(1), 200)
        self.assertEqual(self.publisher.asked, [5_000, 200])

    def test_last_writer_wins(self) -> None:
        """The list shows the rate that was asked for last, whatever is being sent."""
        self.begin()
        self.push(0, True, framerate_mhz=5_000)
        self.assertEqual(self.stream.status().framerate_mhz, 5_000)
        self.stream.change_framerate(1_000)
        self.stream.change_framerate(500)
        self.push(1, framerate_mhz=5_000)
        self.assertEqual(self.stream.status().framerate_mhz, 500)

    def test_of_every_session(self) -> None:
        """A rate once asked for is asked of every session to come, on any connection."""
        self.begin()
        self.stream.change_framerate(500)
        self.publisher.leave("disconnected")
        successor = FakePublisher()
        self.stream.attach(successor.registration, successor)
        self.assertEqual(successor.asked, [])
        self.begin(SECOND)
        self.assertEqual(successor.asked, [500])

    def test_not_asked_for(self) -> None:
        """A Sentinel whose rate nobody has touched is told none."""
        self.begin()
        self.assertEqual(self.publisher.asked, [])
        self.assertIsNone(self.stream.status().framerate_mhz)

    def test_offline(self) -> None:
        """Nothing can be asked of a Sentinel that is not connected, nor remembered for it."""
        self.publisher.leave("disconnected")
        self.assertRaises(SentinelOffline, self.stream.request_keyframe)
        self.assertRaises(SentinelOffline, self.stream.change_framerate, 1_000)
        self.assertIsNone(self.stream.status().framerate_mhz)


class StatusTests(StreamCase):
    """The row in the list."""

    def test_offline(self) -> None:
        """Without a connection it is offline, and keeps its name, group and last time."""
        self.begin()
        pushed = self.push(7, True)
        self.publisher.leave("disconnected")
        status = self.stream.status()
        self.assertEqual(status.state, SentinelState.OFFLINE)
        self.assertEqual((status.name, status.group), ("Desk 1", "office"))
        self.assertEqual(status.last_segment_time_us, pushed.segment.start_time_us)
        self.assertEqual(status.recording, RecordingState.NONE)
        self.assertIsNone(status.session_id)

    def test_live(self) -> None:
        """With a session it names that, and says how recording goes."""
        self.begin()
        status = self.stream.status()
        self.assertEqual(status.state, SentinelState.LIVE)
        self.assertEqual(status.session_id, FIRST)
        self.assertEqual(status.recording, RecordingState.OK)

    def test_three_seconds(self) -> None:
        """At five frames a second it is stale after three seconds without a segment."""
        self.begin()
        self.push(0, True)
        self.clock.advance(3.0)
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(0.1)
        self.assertEqual(self.state(), SentinelState.STALE)
        self.push(1)
        self.assertEqual(self.state(), SentinelState.LIVE)

    def test_three_frames(self) -> None:
        """At a low rate it is stale after three frame times."""
        self.begin()
        self.push(0, True, framerate_mhz=200)
        self.clock.advance(15.0)
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(0.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_three_segments(self) -> None:
        """With long segments it is stale after three of them, whatever the rate of their frames."""
        self.begin()
        self.push(0, True, duration_ms=4_000)
        self.clock.advance(12.0)
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(0.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_by_the_handful(self) -> None:
        """One that sends its frames by the handful has the pauses that it makes, once two of them
        have shown that they are a habit; when it sends steadily again that is over."""
        self.begin()
        states = []
        for number in range(60):
            self.push(number, number == 0)
            if number % 20 == 19:
                for _ in range(8):
                    self.clock.advance(0.5)
                    states.append(self.state())
        live, stale = SentinelState.LIVE, SentinelState.STALE
        self.assertEqual(states, [live] * 6 + [stale] * 2 + [live] * 6 + [stale] * 2 + [live] * 8)
        for number in range(60, 380):
            self.push(number)
            self.clock.advance(0.2)
        self.clock.advance(3.0)
        self.assertEqual(self.state(), stale)

    def test_one_pause(self) -> None:
        """One long silence is no habit: the next one is told of as soon as any."""
        self.begin()
        self.push(0, True)
        self.clock.advance(50.0)
        self.push(1)
        self.clock.advance(3.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_change_under_way(self) -> None:
        """Asked to go slower, it has the time of the lower rate before it is stale."""
        self.begin()
        self.push(0, True, framerate_mhz=5_000)
        self.stream.change_framerate(200)
        self.clock.advance(15.0)
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(0.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_faster_again(self) -> None:
        """Gone faster, it is stale by the new rate: that its frames were far apart is no habit."""
        self.begin()
        for number in range(6):
            self.push(number, number == 0, framerate_mhz=200, duration_ms=5_000)
            self.clock.advance(5.0)
        self.stream.change_framerate(5_000)
        for number in range(6, 9):
            self.push(number, framerate_mhz=5_000)
            self.clock.advance(0.2)
        self.clock.advance(2.8)
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(0.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_silent_from_the_start(self) -> None:
        """One that has registered and sends nothing is stale after three seconds, too."""
        self.clock.advance(3.1)
        self.assertEqual(self.state(), SentinelState.STALE)
        self.begin()
        self.assertEqual(self.state(), SentinelState.LIVE)
        self.clock.advance(3.1)
        self.assertEqual(self.state(), SentinelState.STALE)

    def test_connected_again(self) -> None:
        """A new connection is not held to the silence before it."""
        self.begin()
        self.push(0, True)
        self.publisher.leave("disconnected")
        self.clock.advance(600.0)
        successor = FakePublisher()
        self.stream.attach(successor.registration, successor)
        self.assertEqual(self.state(), SentinelState.LIVE)
