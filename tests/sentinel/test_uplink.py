"""The Sentinel's own connection against the real server end, in memory, on a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.fmp4.media import annexb_to_avc, encoded
from tests.joined import BINARY, JSON, Joined, Peer
from tests.links.uplink.uplinked import FakeCapture
from vidlink.dialling.backoff import LONGEST_SECONDS, UNREACHED_SECONDS, BackOff
from vidlink.dialling.protocol import LINGER_SECONDS
from vidlink.errors import BadMessage, GoingAway, NotMedia, Replaced, TooFast
from vidlink.fmp4 import read_fragment, read_init
from vidlink.links.uplink.conversation import Uplink
from vidlink.links.uplink.live import DROPPED_SECONDS, MAX_BACKLOG_BYTES
from vidlink.messages import (
    Clock,
    FramerateChange,
    KeyframeRequest,
    ProctorRegister,
    SessionEnded,
    Subscribe,
)
from vidlink.model import EncodedFrame, Limits, Registration, Segment, SentinelState
from vidlink.sentinel.spool.memory import MemorySpool
from vidlink.sentinel.uplink import (
    UplinkFactory,
    UplinkProtocol,
)
from vidlink.sentinel.uplink_log import UplinkLog

URL = "ws://127.0.0.1:8080/ws/sentinel"


class ScriptedCapture(FakeCapture):
    """Remembers when a session was begun, too."""

    def begin_session(self) -> int:
        """Remember."""
        self.asked.append("session")
        return super().begin_session()


class UplinkTests(SynchronousTestCase):
    """From the first connection over control to the next session."""

    def setUp(self) -> None:
        """A server, and a Sentinel whose clock is two seconds behind."""
        self.server = Joined()
        self.behind_us = 2_000_000
        self.capture = ScriptedCapture()
        self.back_off = BackOff(lambda: 0.0)
        self.uplink = Uplink(
            Registration("desk-1", "one", "Desk 1", "room", "test/1"),
            self.capture,
            UplinkLog(URL, self.back_off),
            spool=MemorySpool(monotonic=self.server.clock.seconds),
            clock=self.server.clock,
            wall_clock_us=self.wall_clock_us,
        )
        self.uplink.initialized(encoded().init)
        self.number = 0

    def alone(self) -> UplinkProtocol:
        """Connect it to a server that reads and says nothing any more; its aborting is told."""
        link = self.connect()
        self.server.pumps.clear()
        self.aborted: list[float] = []
        link.transport.abortConnection = lambda: self.aborted.append(self.server.clock.seconds())
        return link

    def test_silent_server(self) -> None:
        """A server that says nothing is asked, and given up after 30 s."""
        begun = self.server.clock.seconds()
        self.alone()
        for _ in range(40):
            self.server.clock.advance(1)
        (when,) = self.aborted
        self.assertTrue(30 <= when - begun <= 32, when - begun)

    def test_held(self) -> None:
        """One that is held by the server, which reads nothing, stays connected as long as the
        server says anything, if only pings; its buffer may be full all the time."""
        link = self.alone()
        link.pauseProducing()
        for _ in range(30):
            for _ in range(10):
                self.server.clock.advance(1)
            link.dataReceived(b"\x89\x00")
        self.assertEqual(self.aborted, [])
        for _ in range(40):
            self.server.clock.advance(1)
        self.assertEqual(len(self.aborted), 1)

    def wall_clock_us(self) -> int:
        """The Sentinel's own idea of the time."""
        return self.server.wall_clock_us() - self.behind_us

    def connect(self, name: str = BINARY) -> UplinkProtocol:
        """Connect it."""
        factory = UplinkFactory(
            URL, self.uplink, self.server.codecs[name], self.back_off, self.server.clock
        )
        link: UplinkProtocol = self.server.join(self.server.ingest, factory)
        return link

    def picture(self, **changes: object) -> EncodedFrame:
        """The next frame of the capture's newest session."""
        packet, keyframe = encoded().packets[self.number % len(encoded().packets)]
        picture = EncodedFrame(
            epoch=self.capture.epoch,
            media_time=self.number * 18_000,
            start_time_us=self.wall_clock_us(),
            duration=18_000,
            duration_ms=200,
            is_keyframe=keyframe,
            framerate_mhz=5_000,
            data=annexb_to_avc(packet),
        )
        self.number += 1
        return replace(picture, **changes)  # type: ignore[arg-type]

    def send(self, **changes: object) -> None:
        """One frame from the capture thread."""
        self.uplink.encoded(self.picture(**changes))
        self.server.flush()

    def test_another_kind_of_server(self) -> None:
        """A server of something else, which greets at once, is left with a word in the log."""

        class Chat(WebSocketServerProtocol):
            def onOpen(self) -> None:
                self.sendMessage(b"welcome")

        chat = WebSocketServerFactory()
        chat.protocol = Chat
        codec = self.server.codecs[BINARY]
        factory = UplinkFactory(URL, self.uplink, codec, self.back_off, self.server.clock)
        with capturedLogs() as events:
            link = self.server.join(chat, factory)
            self.server.clock.advance(LINGER_SECONDS)
        self.assertTrue(link.wasClean)
        said = "does not speak VidLink"
        self.assertEqual([said in formatEvent(one) for one in events if "log_failure" in one], [])
        self.assertTrue(any(said in formatEvent(one) for one in events))

    def watch(self) -> Peer:
        """A viewer of it."""
        peer = self.server.proctor()
        peer.say(ProctorRegister("test/1"))
        peer.say(Subscribe("desk-1"))
        self.server.flush()
        return peer

    def segments(self, peer: Peer) -> list[Segment]:
        """What a viewer has got."""
        return [message for message in peer.heard if isinstance(message, Segment)]

    def test_first_session(self) -> None:
        """Registered, it begins a session; every frame becomes a valid segment, from 0 on."""
        for name in (BINARY, JSON):
            self.setUp()
            link = self.connect(name)
            self.assertEqual(self.capture.asked, ["session"])
            peer = self.watch()
            for _ in range(3):
                self.send()
            got = self.segments(peer)
            self.assertEqual([segment.sequence for segment in got], [0, 1, 2])
            media = read_init(encoded().init)
            fragments = [read_fragment(segment.data, media) for segment in got]
            self.assertEqual([info.decode_time for info in fragments], [0, 18_000, 36_000])
            self.assertEqual(link.state, link.STATE_OPEN)
            stream = self.server.hub.stream("desk-1")
            assert stream is not None
            self.assertIs(stream.status().state, SentinelState.LIVE)
            self.assertEqual((stream.name, stream.group), ("Desk 1", "room"))

    def test_server_time(self) -> None:
        """Segments carry the server's time, although this machine's clock is wrong."""
        self.connect()
        peer = self.watch()
        self.send()
        segment = self.segments(peer)[0]
        self.assertEqual(segment.start_time_us, self.server.wall_clock_us())
        info = read_fragment(segment.data, read_init(encoded().init))
        assert info.producer_time_us is not None
        self.assertAlmostEqual(info.producer_time_us, segment.start_time_us, delta=1)

    def test_server_time_of_the_next_session(self) -> None:
        """A session goes by what the clocks show when it begins, not by what they showed in the
        one before: the machine may have slept in between."""
        link = self.connect()
        self.send()
        link.transport.abortConnection()
        self.server.flush()
        self.behind_us += 3_600_000_000
        self.number = 0
        self.connect()
        peer = self.watch()
        self.send()
        self.assertEqual(self.segments(peer)[-1].start_time_us, self.server.wall_clock_us())

    def test_frames_of_an_older_session_are_not_sent(self) -> None:
        """What was captured before the session began does not come into it."""
        self.connect()
        self.send(epoch=self.capture.epoch - 1)
        self.assertIsNone(self.server.hub.stream("desk-1").live)  # type: ignore[union-attr]

    def test_control(self) -> None:
        """Keyframe requests and rates of the server reach the capture thread."""
        self.connect()
        stream = self.server.hub.stream("desk-1")
        assert stream is not None
        stream.request_keyframe()
        stream.change_framerate(1)
        self.server.flush()
        self.assertEqual(self.capture.asked, ["session", "keyframe", 200])

    def test_other_size_is_another_session(self) -> None:
        """A frame of a new epoch of the capture begins the next session on the same connection."""
        link = self.connect()
        peer = self.watch()
        self.send()
        first = self.uplink.live.session_id
        self.capture.epoch += 1
        self.number = 0
        other = encoded(width=128, height=96)
        self.uplink.initialized(other.init)
        self.send(data=annexb_to_avc(other.packets[0][0]))
        self.assertNotEqual(self.uplink.live.session_id, first)
        self.assertEqual(link.state, link.STATE_OPEN)
        shown = [kind for kind in peer.kinds() if kind not in ("ProctorRegistered", "Sentinels")]
        once = ["InitSegment", "Segment"]
        self.assertEqual(shown[-6:], [*once, "SessionEnded", "Subscribed", *once])
        self.assertEqual(self.segments(peer)[-1].session_id, self.uplink.live.session_id)
        self.assertEqual(self.segments(peer)[-1].sequence, 0)

    def test_reconnects_to_another_session(self) -> None:
        """After a lost connection the next one begins a session of its own."""
        link = self.connect()
        self.send()
        first = self.uplink.live.session_id
        link.transport.abortConnection()
        self.server.flush()
        self.send()
        self.number = 0
        self.connect()
        self.send()
        self.assertNotEqual(self.uplink.live.session_id, first)
        live = self.server.hub.stream("desk-1").live  # type: ignore[union-attr]
        assert live is not None
        self.assertEqual(live.session.session_id, self.uplink.live.session_id)

    def test_backlog_is_bounded(self) -> None:
        """A socket that takes nothing holds 8 MiB; then frames are dropped up to a keyframe."""
        link = self.connect()
        self.send()
        link.pauseProducing()
        big = b"\x00\x00\x00\x01" + b"\x01" * (1024 * 1024)
        for _ in range(30):
            self.uplink.encoded(self.picture(data=big, is_keyframe=False))
        self.assertLess(link.backlog_bytes, MAX_BACKLOG_BYTES + 2 * len(big))
        self.assertGreater(link.backlog_bytes, MAX_BACKLOG_BYTES // 2)
        self.capture.asked.clear()
        link.resumeProducing()
        self.assertEqual(link.backlog_bytes, 0)
        self.uplink.encoded(self.picture(is_keyframe=False))
        self.assertEqual(self.capture.asked, ["keyframe"])
        self.number = 35
        self.uplink.encoded(
            self.picture(data=annexb_to_avc(encoded().packets[0][0]), is_keyframe=True)
        )
        self.assertEqual(self.capture.asked, ["keyframe"])

    def drops(self, events: Sequence[LogEvent]) -> list[tuple[int, str]]:
        """How many frames the log says were dropped, and why."""
        return [(event["count"], event["why"]) for event in events if "count" in event]

    def test_frame_that_the_server_would_not_take(self) -> None:
        """A frame above the server's limit is not sent; the log says so at once, and then once a
        minute with the number. A keyframe is made; the next one that fits is sent, and the
        session goes on."""
        self.server.ingest.limits = Limits(max_segment_bytes=20_000)
        link = self.connect()
        peer = self.watch()
        self.send()
        with capturedLogs() as events:
            for _ in range(5):
                self.send(data=b"\x00\x00\x00\x01" + b"\x01" * 20_000, is_keyframe=True)
            self.assertEqual([count for count, _ in self.drops(events)], [1])
            self.assertIn("20000 bytes", self.drops(events)[0][1])
            for _ in range(round(DROPPED_SECONDS)):
                self.uplink.tick()
                self.server.clock.advance(1)
                self.server.flush()
            self.uplink.tick()
            self.uplink.tick()
            self.assertEqual([count for count, _ in self.drops(events)], [1, 4])
        self.number = 6
        self.capture.asked.clear()
        # Not delivered yet: the server would ask for one, too.
        self.uplink.encoded(self.picture(data=annexb_to_avc(encoded().packets[1][0])))
        self.assertEqual(self.capture.asked, ["keyframe"])
        self.send(data=annexb_to_avc(encoded().packets[0][0]), is_keyframe=True)
        self.assertEqual([segment.sequence for segment in self.segments(peer)], [0, 7])
        self.assertEqual(link.state, link.STATE_OPEN)

    def test_frames_that_find_no_room(self) -> None:
        """What is dropped because the socket takes nothing is told likewise."""
        link = self.connect()
        self.send()
        link.pauseProducing()
        with capturedLogs() as events:
            for _ in range(12):
                self.uplink.encoded(
                    self.picture(data=b"\x00\x00\x00\x01" + bytes(1 << 20), is_keyframe=False)
                )
        ((count, why),) = self.drops(events)
        self.assertEqual(count, 1)
        self.assertIn("fast enough", why)

    def test_says_why_it_leaves(self) -> None:
        """Before it closes it says why; that is why its session has ended, for viewers and for
        the recording, and the server's log has it."""
        link = self.connect()
        peer = self.watch()
        self.send()
        with capturedLogs() as events:
            link.close(GoingAway("the sentinel is shutting down"))
            link.close(BadMessage("never said"))
            self.server.flush()
        told = [formatEvent(event) for event in events]
        self.assertTrue(any("is shutting down (going-away)" in str(text) for text in told), told)
        self.assertEqual(peer.last(SessionEnded).reason, "the sentinel is shutting down")
        self.assertEqual(link.state, link.STATE_CLOSED)
        self.assertTrue(link.wasClean)

    def test_says_what_the_server_did_wrong(self) -> None:
        """So it does when the server has sent what is no message."""
        link = self.connect()
        (server,) = self.server.ingest.links
        ingest = server.conversation
        server.sendMessage(b"{", False)
        self.server.flush()
        self.assertEqual(link.state, link.STATE_CLOSED)
        farewell = ingest.farewell
        assert farewell is not None
        self.assertEqual(farewell.code, "bad-message")
        self.assertEqual(server.remoteCloseCode, 4400)

    def test_clocks_are_compared_every_minute(self) -> None:
        """The clocks are compared at the start and once a minute."""
        link = self.connect()
        asked = []
        real = link.send
        link.send = lambda message: (asked.append(type(message).__name__), real(message))  # type: ignore[method-assign,assignment,func-returns-value]
        for _ in range(130):
            self.server.clock.advance(1)
            self.uplink.tick()
        self.assertEqual(asked, ["Clock", "Clock"])

    def test_refusals_are_retried_slowly(self) -> None:
        """Refused because its id is in use, it stays away for a minute."""
        self.connect()
        other = Registration("desk-1", "two", "", "", "test/1")
        self.uplink = Uplink(
            other,
            self.capture,
            UplinkLog(URL, self.back_off),
            spool=MemorySpool(monotonic=self.server.clock.seconds),
            clock=self.server.clock,
            wall_clock_us=self.wall_clock_us,
        )
        with capturedLogs() as events:
            self.connect()
        told = [formatEvent(event) for event in events if "code" in event]
        self.assertIn(
            "the server says: another live sentinel is registered as desk-1 (id-in-use)", told
        )
        self.assertGreaterEqual(self.back_off.next_seconds(), 60)
        self.back_off.reset()
        self.assertLess(self.back_off.next_seconds(), 1)

    def test_rejections_are_retried_slowly(self) -> None:
        """Closed for what it sent, it stays away for a minute: it would send the same again. So
        it does when it has been replaced: not by itself, and two must not do so for ever."""
        for error in (BadMessage("no"), NotMedia("no"), TooFast("no"), Replaced("no")):
            self.connect()
            self.assertLess(self.back_off.next_seconds(), 1)
            next(iter(self.server.ingest.links)).close(error)
            self.server.flush()
            self.assertGreaterEqual(self.back_off.next_seconds(), 60)
            self.back_off.reset()

    def test_protocol_errors_are_retried_slowly(self) -> None:
        """So it does if the protocol itself was broken: registering again would undo the
        back-off, and there would be a session every half second."""
        for code in (1002, 1007, 1008, 1009):
            self.connect()
            next(iter(self.server.ingest.links))._fail_connection(code, "no")
            self.server.flush()
            self.assertGreaterEqual(self.back_off.next_seconds(), 60)
            self.back_off.reset()

    def test_server_that_does_not_finish_a_close(self) -> None:
        """A server that closes, or is closed, and then does nothing is cut off: else the
        Sentinel would wait for it, and not connect again."""
        for begin in (
            lambda link, server: link.close(BadMessage("no")),
            lambda link, server: link.dataReceived(b"\x88\x02\x03\xe9"),
            lambda link, server: link.dataReceived(b"\x83\x00"),
        ):
            self.setUp()
            link = self.connect()
            self.server.pumps.clear()
            begin(link, self.server)
            self.server.clock.advance(LINGER_SECONDS - 0.1)
            self.assertFalse(link.transport.disconnecting)
            self.server.clock.advance(0.2)
            self.assertTrue(link.transport.disconnecting)

    def test_nothing_is_kept_for_a_closing_connection(self) -> None:
        """What is sent after a close neither goes out nor waits."""
        link = self.connect()
        link.pauseProducing()
        link.close(BadMessage("no"))
        link.send(Clock(1))
        self.assertEqual(link.backlog_bytes, 0)

    def test_address_of_version_six(self) -> None:
        """The Host of an IPv6 address has brackets."""
        factory = UplinkFactory(
            "ws://[::1]:8080/ws/sentinel",
            self.uplink,
            self.server.codecs[BINARY],
            self.back_off,
            self.server.clock,
        )
        link = factory.buildProtocol(None)
        link.makeConnection(FakeTransport(link, isServer=False))
        self.assertIn(b"\r\nHost: [::1]:8080\r\n", b"".join(link.transport.stream))

    def test_messages_to_a_sentinel_only(self) -> None:
        """What a server never says ends the connection; the Sentinel lives on."""
        link = self.connect()
        self.uplink.received(Subscribe("desk-1"))
        self.server.flush()
        self.assertEqual(link.state, link.STATE_CLOSED)
        self.uplink.received(KeyframeRequest("desk-1"))
        self.uplink.received(FramerateChange("desk-1", 5_000))
        self.assertEqual(self.capture.asked, ["session"])


class BackOffTests(SynchronousTestCase):
    """How long it waits before the next attempt."""

    def test_doubles_up_to_a_bound(self) -> None:
        """Waits double up to half a minute, each between half and the whole of its due."""
        for number in (0.0, 0.5, 0.999):
            back_off = BackOff(lambda number=number: number)  # type: ignore[misc]
            waits = [back_off.next_seconds() for _ in range(12)]
            due = [min(0.5 * 2**n, LONGEST_SECONDS) for n in range(12)]
            for wait, whole in zip(waits, due, strict=True):
                self.assertTrue(whole / 2 <= wait <= whole)

    def test_nobody_there(self) -> None:
        """Where nobody was there to be asked, a wait is short, however many came before; refused
        again, it goes on doubling."""
        back_off = BackOff(lambda: 1.0)
        for _ in range(9):
            back_off.unreached()
            self.assertLessEqual(back_off.next_seconds(), UNREACHED_SECONDS)
        self.assertEqual(back_off.next_seconds(), 2 * UNREACHED_SECONDS)
        self.assertEqual(back_off.next_seconds(), 4 * UNREACHED_SECONDS)

    def test_told_to_stay_away(self) -> None:
        """Told to stay away, it does, whoever was there since."""
        back_off = BackOff(lambda: 0.0)
        back_off.at_least(60.0)
        back_off.unreached()
        self.assertEqual(back_off.next_seconds(), 60.0)

    def test_reset(self) -> None:
        """Accepted, it is quick again the next time."""
        back_off = BackOff(lambda: 0.5)
        first = back_off.next_seconds()
        for _ in range(9):
            back_off.next_seconds()
        back_off.reset()
        self.assertEqual(back_off.next_seconds(), first)
