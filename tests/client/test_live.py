"""The live client against the real server, in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport

from tests.client.joining import BINARY, JSON, LiveCase
from tests.fakes import media
from vidlink.client.connection import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    ProctorFactory,
)
from vidlink.client.formats import viewer_codecs
from vidlink.client.live import Live
from vidlink.dialling.protocol import LINGER_SECONDS
from vidlink.errors import BadAnswer, GoingAway, TooSlow, Unreachable
from vidlink.messages import (
    ErrorMessage,
    Place,
    Sentinels,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribed,
)
from vidlink.model import (
    InitSegment,
    RecordingState,
    Segment,
    SentinelState,
    SentinelStatus,
    Tier,
)
from vidlink.plugins import find_codecs
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_MESSAGE_BYTES


class LiveTests(LiveCase):
    """What a connection says, and what may be asked on it."""

    def subscribed(self, name: str = BINARY, **wishes: Any) -> Live:
        """A connection that follows the screen, its list read."""
        live: Live = self.result_of(self.join(name))
        self.assertIsInstance(self.read(live)[0], Sentinels)
        live.subscribe("desk-1", **wishes)
        return live

    def test_from_the_newest_keyframe(self) -> None:
        """Subscribed, it says what comes, the init and every segment from the newest keyframe
        on, in whatever format it speaks."""
        self.screen.connect()
        self.screen.send(13)
        for name in (BINARY, JSON):
            live = self.subscribed(name)
            said, init, *segments = self.read(live, 5)
            assert isinstance(said, Subscribed)
            assert isinstance(init, InitSegment)
            self.assertEqual((said.first_sequence, said.live_sequence), (10, 12))
            self.assertEqual(bytes(init.data), media.init_segment())
            self.assertEqual(
                [bytes(one.data) for one in segments],  # type: ignore[union-attr]
                [media.segment(n) for n in (10, 11, 12)],
            )
            self.result_of(live.close())

    def test_registered(self) -> None:
        """It knows what it may do, and the server's time."""
        live: Live = self.result_of(self.join())
        self.assertEqual(live.registered.may, ("watch", "control"))
        self.assertEqual(live.registered.server_time_us, self.server.wall_clock_us())

    def test_places(self) -> None:
        """It begins where it is told to: at the oldest, or at an exact place."""
        self.screen.connect()
        self.screen.send(13)
        live = self.subscribed(start_from=StartFrom.OLDEST)
        said = self.read(live)[0]
        assert isinstance(said, Subscribed)
        self.assertEqual(said.first_sequence, 0)
        live = self.subscribed(start_from=Place(self.screen.session_id, 11))
        self.assertEqual([one.sequence for one in self.read(live, 3)[1:]], [11, 12])  # type: ignore[union-attr]

    def test_tier(self) -> None:
        """Of the keyframe tier there are keyframes alone; asked again, it changes."""
        self.screen.connect()
        self.screen.send(3)
        live = self.subscribed(tier=Tier.KEYFRAMES)
        self.read(live, 3)
        self.screen.send(9)
        (event,) = self.read(live)
        assert isinstance(event, Segment)
        self.assertEqual(event.sequence, 10)

    def test_skipped(self) -> None:
        """What is missing is named, and it goes on at the next keyframe."""
        self.screen.connect()
        self.screen.send(2)
        live = self.subscribed()
        self.read(live, 4)
        self.screen.sequence = 5
        self.screen.send(6)
        skipped, segment = self.read(live, 2)
        assert isinstance(skipped, Skipped)
        assert isinstance(segment, Segment)
        self.assertEqual((skipped.first, skipped.last, segment.sequence), (2, 9, 10))

    def test_next_session(self) -> None:
        """The end of a session and the next one come without being asked for."""
        self.screen.connect()
        self.screen.send()
        live = self.subscribed()
        self.read(live, 3)
        self.screen.leave()
        self.screen.connect("session-000000000002")
        self.screen.send()
        ended, *rest = self.read(live, 4)
        assert isinstance(ended, SessionEnded)
        self.assertEqual(ended.session_id, "session-000000000001")
        kinds = [type(one) for one in rest]
        self.assertEqual(kinds, [Subscribed, InitSegment, Segment])

    def test_offline(self) -> None:
        """Of a Sentinel that is offline it says so, and waits."""
        self.screen.connect()
        self.screen.leave()
        live = self.subscribed()
        self.assertEqual(self.read(live), [Subscribed("desk-1")])

    def test_never_seen(self) -> None:
        """Of a Sentinel that was never seen it says so, and waits."""
        live = self.subscribed()
        self.assertEqual(self.read(live), [Subscribed("desk-1", is_known=False)])

    def test_refused(self) -> None:
        """A request that cannot be fulfilled is answered in the stream."""
        live = self.subscribed()
        self.read(live)
        live.request_keyframe("desk-1")
        (event,) = self.read(live)
        assert isinstance(event, ErrorMessage)
        self.assertEqual((event.code, event.about), ("not-found", "desk-1"))

    def test_requests(self) -> None:
        """Keyframes and rates reach the Sentinel; init comes again; unsubscribed, it is quiet."""
        self.screen.connect()
        self.screen.send()
        live = self.subscribed()
        self.read(live, 3)
        live.focus("desk-1")
        live.request_keyframe("desk-1")
        live.change_framerate("desk-1", 500)
        live.request_init("desk-1")
        self.assertIsInstance(self.read(live)[0], InitSegment)
        assert self.screen.peer is not None
        self.assertEqual(self.screen.peer.kinds()[-2:], ["KeyframeRequest", "FramerateChange"])
        live.unsubscribe("desk-1")
        self.server.flush()
        self.screen.send()
        waiting = self.start(live.__anext__())
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        # Cancelled, it may read on.
        live.subscribe("desk-1")
        self.assertIsInstance(self.read(live)[0], Subscribed)

    def test_long_list(self) -> None:
        """The list of a large server is read, in every format that is installed."""
        rows = tuple(
            SentinelStatus(
                f"desk-{n}",
                "Desk " + "x" * 100,
                "Room",
                SentinelState.LIVE,
                None,
                5_000,
                1_700_000_000_000_000,
                RecordingState.OK,
            )
            for n in range(2_000)
        )
        message = Sentinels(True, rows)
        self.assertEqual(len(viewer_codecs()), len(find_codecs()))
        for codec in viewer_codecs():
            payload, is_binary = codec.encode(message)
            self.assertGreater(len(payload), MAX_CONTROL_BYTES)
            self.assertLess(len(payload), MAX_MESSAGE_BYTES)
            self.assertEqual(codec.decode(payload, is_binary), message)


class BackPressureTests(LiveCase):
    """A reader that is slow."""

    def test_bounded(self) -> None:
        """What waits is bounded: at the bound the socket is not read until half is taken; then
        nothing is lost that the server still has."""
        self.screen.connect()
        live: Live = self.result_of(self.join(max_bytes=300_000))
        live.subscribe("desk-1")
        self.server.flush()
        link: Any = live._link
        reads: list[str] = []
        link.transport.pauseProducing = lambda: reads.append("pause")
        link.transport.resumeProducing = lambda: reads.append("resume")
        for _ in range(3):
            self.screen.send(filler_bytes=90_000)
        self.assertEqual(reads, [])
        self.screen.send(filler_bytes=90_000)
        self.assertEqual(reads, ["pause"])
        self.assertLess(link.inbox.held_bytes, 300_000 + 2 * 90_000)
        # Silence is our own now, however long it lasts.
        self.server.clock.advance(10 * SILENCE_SECONDS)
        sequences = []
        while "resume" not in reads:
            event = self.read(live)[0]
            if isinstance(event, Segment):
                sequences.append(event.sequence)
        self.assertLessEqual(link.inbox.held_bytes, 150_000)
        self.screen.send()
        while len(sequences) < 5:
            event = self.read(live)[0]
            if isinstance(event, Segment):
                sequences.append(event.sequence)
        self.assertEqual(sequences, [0, 1, 2, 3, 4])


class EndTests(LiveCase):
    """How a connection ends."""

    def test_closed_by_us(self) -> None:
        """Closed, it ends; closed twice, nothing happens; and nothing can be asked any more."""
        live: Live = self.result_of(self.join())
        self.read(live)
        waiting = self.start(live.__anext__())
        self.result_of(live.close())
        self.failureResultOf(waiting, StopAsyncIteration)
        self.result_of(live.close())
        self.assertRaises(Unreachable, live.subscribe, "desk-1")
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_closed_by_the_server(self) -> None:
        """The class of the error says why the server closed; what it said before comes first."""
        for error in (GoingAway("x"), TooSlow("x")):
            live: Live = self.result_of(self.join())
            for link in tuple(self.server.watch.links):
                link.close(error)
            self.server.flush()
            self.assertEqual(self.read_kinds(live, 2), ["Sentinels", "ErrorMessage"])
            self.failureResultOf(self.start(live.__anext__()), type(error))
            self.assertRaises(type(error), live.subscribe, "desk-1")

    def test_broken(self) -> None:
        """A broken connection is unreachable, after what had come."""
        live: Live = self.result_of(self.join())
        link: Any = live._link
        link.transport.abortConnection()
        self.server.flush()
        self.assertEqual(self.read_kinds(live, 1), ["Sentinels"])
        self.failureResultOf(self.start(live.__anext__()), Unreachable)

    def test_silent(self) -> None:
        """A server of which nothing is heard is given up; one that pings is not."""
        live: Live = self.result_of(self.join())
        self.read(live)
        (link,) = self.server.watch.links
        for _ in range(5):
            self.server.clock.advance(SILENCE_SECONDS - 1)
            link.sendPing(b"x")
            self.server.flush()
        waiting = self.start(live.__anext__())
        self.assertNoResult(waiting)
        self.server.clock.advance(SILENCE_SECONDS + 1)
        self.server.flush()
        self.assertIn("nothing was heard", str(self.failureResultOf(waiting, Unreachable).value))

    def test_server_that_does_not_finish_a_close(self) -> None:
        """A server that does not answer a close, or closes and leaves it at that, is cut off,
        whatever else it says."""
        for begin in (
            lambda live, link: self.assertNoResult(self.start(live.close())),
            lambda live, link: link.dataReceived(b"\x88\x02\x03\xe9"),
        ):
            live: Live = self.result_of(self.join())
            self.server.pumps.clear()
            link: Any = live._link
            begin(live, link)
            self.server.clock.advance(LINGER_SECONDS - 0.1)
            link.dataReceived(b"\x89\x00")
            self.assertFalse(link.transport.disconnecting)
            self.server.clock.advance(0.1)
            self.assertTrue(link.transport.disconnecting)


class RefusalTests(LiveCase):
    """A server that cannot be had."""

    def test_nobody(self) -> None:
        """Nobody listens: unreachable, with the address."""
        self.endpoint.is_down = True
        error = self.failureResultOf(self.start(self.join()), Unreachable).value
        self.assertIn("ws://127.0.0.1:8080", str(error))

    def test_going_away(self) -> None:
        """A server that is stopping lets nobody in: try again later."""
        self.server.watch.is_going_away = True
        self.failureResultOf(self.start(self.join()), Unreachable)

    def test_no_vidlink(self) -> None:
        """A server that speaks no format of ours, or no WebSocket, is no VidLink server."""
        for answer in (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        ):
            link = self.handshaking()
            link.dataReceived(answer)
            link.connectionLost(Failure(ConnectionDone()))
            self.failureResultOf(self.start(link.accepted()), BadAnswer)

    def test_no_answer(self) -> None:
        """A server that takes the connection and says nothing is given up."""
        link = self.handshaking()
        waiting = self.start(link.accepted())
        self.server.clock.advance(CONNECT_SECONDS)
        self.assertTrue(link.transport.disconnecting)
        link.connectionLost(Failure(ConnectionDone()))
        self.assertIn("has not answered", str(self.failureResultOf(waiting, Unreachable).value))

    def test_cancelled(self) -> None:
        """A cancelled attempt leaves no connection behind."""
        link = self.handshaking()
        waiting = self.start(link.accepted())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(link.transport.disconnecting)

    def test_host_of_version_six(self) -> None:
        """The Host of an IPv6 address has brackets."""
        link = self.handshaking("ws://[::1]:8080/ws/proctor")
        self.assertIn(b"\r\nHost: [::1]:8080\r\n", b"".join(link.transport.stream))

    def handshaking(self, url: str = "ws://127.0.0.1:8080/ws/proctor") -> Any:
        """A connection that has sent its handshake."""
        factory = ProctorFactory(url, find_codecs(), "test/1", 1_000, self.server.clock)
        link = factory.buildProtocol(None)
        link.makeConnection(FakeTransport(link, isServer=False))
        return link
