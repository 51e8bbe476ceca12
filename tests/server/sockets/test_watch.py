"""The Proctor's socket: what is pulled, when, and how little of it waits for a slow viewer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.gates import open_gate
from tests.fmp4.media import annexb_to_avc, encoded
from tests.joined import BINARY, JSON, Joined, Peer, PeerFactory
from vidlink.fmp4 import write_fragment
from vidlink.messages import (
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    Message,
    ProctorRegister,
    SentinelRegister,
    Skipped,
    Subscribe,
    Subscribed,
)
from vidlink.model import InitSegment, Segment
from vidlink.server.sockets.watch import WatchFactory, WatchProtocol
from vidlink.wire.jsontext import JsonCodec

SESSION = "session-0000000001"


class FaultyCodec(JsonCodec):
    """A format with a fault: it cannot say `subscribed`."""

    name = "vidlink.v1.faulty"

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """Fail, or do as it should."""
        if isinstance(message, Subscribed):
            raise ZeroDivisionError
        return super().encode(message)


class WatchingTests(SynchronousTestCase):
    """A Sentinel that sends, and viewers that read more or less."""

    def setUp(self) -> None:
        """A server with one live Sentinel."""
        self.server = Joined()
        self.sentinel = self.server.sentinel()
        self.sentinel.say(SentinelRegister("desk-1", "one", "test/1", SESSION))
        self.sentinel.say(InitSegment("desk-1", SESSION, encoded().init))
        self.sequence = 0
        self.server.flush()

    def send(self, count: int = 1, padding: int = 0) -> list[Segment]:
        """Send so many segments, each with so much more in it, 0.2 s apart."""
        sent = []
        for _ in range(count):
            packet, keyframe = encoded().packets[self.sequence % len(encoded().packets)]
            data = write_fragment(
                sequence=self.sequence,
                decode_time=self.sequence * 18_000,
                duration=18_000,
                keyframe=keyframe,
                data=annexb_to_avc(packet) + b"\x00" * padding,
            )
            start = self.server.wall_clock_us()
            sent.append(
                Segment("desk-1", SESSION, self.sequence, start, 200, 5_000, keyframe, data)
            )
            self.sentinel.say(sent[-1])
            self.sequence += 1
            self.server.flush()
            self.server.clock.advance(0.2)
        return sent

    def viewer(self, name: str = BINARY) -> Peer:
        """A Proctor that watches it."""
        peer = self.server.proctor(name)
        peer.say(ProctorRegister("test/1"))
        peer.say(Subscribe("desk-1"))
        self.server.flush()
        return peer

    def seen(self, peer: Peer) -> list[Segment]:
        """The segments that a viewer has got."""
        return [message for message in peer.heard if isinstance(message, Segment)]

    def test_formats_mix(self) -> None:
        """A binary Sentinel is seen in JSON and in binary, the media byte for byte the same."""
        viewers = [self.viewer(BINARY), self.viewer(JSON)]
        sent = self.send(5)
        for peer in viewers:
            self.assertEqual(self.seen(peer), sent)

    def test_joins_mid_stream(self) -> None:
        """A viewer that comes late gets everything from the newest keyframe on, at once."""
        sent = self.send(8)
        peer = self.viewer()
        keyframe = max(segment.sequence for segment in sent if segment.is_keyframe)
        self.assertEqual(self.seen(peer), sent[keyframe:])

    def test_slow_viewer_costs_nothing(self) -> None:
        """A viewer that does not read leaves one frame too many in its transport, never more;
        reading again it is at the live edge, and told what it has missed."""
        slow, quick = self.viewer(), self.viewer()
        link: WatchProtocol = next(
            link for link in self.server.watch.links if link.transport is self._far(slow)
        )
        link.pauseProducing()
        before = len(link.transport.stream)
        sent = self.send(150, padding=1000)
        self.assertEqual(len(link.transport.stream), before)
        self.assertEqual(self.seen(quick), sent)
        link.resumeProducing()
        self.server.flush()
        got = self.seen(slow)
        self.assertEqual(got[-1], sent[-1])
        self.assertTrue(got[0].is_keyframe)
        skipped = [message for message in slow.heard if isinstance(message, Skipped)]
        self.assertEqual(len(skipped), 1)
        self.assertEqual(got[0].sequence, skipped[0].last + 1)

    def test_paused_viewer_gets_no_pong(self) -> None:
        """Pings of a viewer that does not read are not answered: the pongs would pile up."""
        peer = self.viewer()
        link = next(iter(self.server.watch.links))
        link.pauseProducing()
        before = len(link.transport.stream)
        for _ in range(100):
            peer.sendPing(b"x" * 100)
        self.server.flush()
        self.assertEqual(len(link.transport.stream), before)

    def test_one_flush_a_turn(self) -> None:
        """However many streams have news, a viewer's socket is flushed once in a turn."""
        self.viewer()
        link = next(iter(self.server.watch.links))
        before = len(self.server.clock.getDelayedCalls())
        for _ in range(10):
            link.wake()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), before + 1)

    def test_control_reaches_the_sentinel(self) -> None:
        """Keyframe requests and frame-rate changes of a viewer arrive at the Sentinel."""
        peer = self.viewer()
        self.sentinel.heard.clear()
        self.server.pass_time(2)
        peer.say(KeyframeRequest("desk-1"))
        peer.say(FramerateChange("desk-1", 200))
        peer.say(FramerateChange("desk-1", 99_000))
        self.server.flush()
        self.server.pass_time(1)
        self.assertEqual(
            self.sentinel.heard[-3:],
            [
                KeyframeRequest("desk-1"),
                FramerateChange("desk-1", 200),
                FramerateChange("desk-1", 5_000),
            ],
        )

    def test_failed_requests_leave_the_socket_open(self) -> None:
        """A request about an unknown Sentinel is answered in band; the stream goes on."""
        peer = self.viewer()
        peer.say(FramerateChange("nobody", 500))
        peer.say(KeyframeRequest("nobody"))
        self.server.flush()
        errors = [message for message in peer.heard if isinstance(message, ErrorMessage)]
        self.assertEqual([error.about for error in errors], ["nobody", "nobody"])
        sent = self.send(3)
        self.assertEqual(self.seen(peer), sent)

    def test_viewer_that_cannot_be_served(self) -> None:
        """A fault of ours ends the one connection that has met it: it is not left to wait for
        ever in front of an old picture. The others see nothing of it."""
        other = self.viewer()
        factory = WatchFactory(
            self.server.hub,
            self.server.wall_clock_us,
            codecs=[FaultyCodec()],
            clock=self.server.clock,
            gate=open_gate(self.server.clock),
        )
        peer = self.server.join(factory, PeerFactory("ws://127.0.0.1:8080/ws", FaultyCodec()))
        peer.say(ProctorRegister("test/1"))
        peer.say(Subscribe("desk-1"))
        self.server.flush()
        self.assertEqual(peer.state, Peer.STATE_CLOSED)
        self.assertEqual(factory.links, set())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        sent = self.send(2)
        self.assertEqual(self.seen(other), sent)

    def test_gone_viewer_is_forgotten(self) -> None:
        """A viewer that leaves is followed by nothing."""
        peer = self.viewer()
        peer.sendClose(1000)
        self.server.flush()
        self.send(2)
        self.assertEqual(self.server.watch.links, set())
        self.assertEqual(self.seen(peer), [])

    def _far(self, peer: Peer) -> object:
        return next(pump.serverIO for pump in self.server.pumps if pump.clientIO is peer.transport)
