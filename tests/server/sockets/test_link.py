"""Handshake, codecs and closing of the server's WebSockets, against a real Autobahn client."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY, JSON, Joined, Peer
from vidlink.errors import BadMessage, GoingAway
from vidlink.liveness import Uptake
from vidlink.messages import (
    Clock,
    ErrorMessage,
    ProctorRegister,
    ProctorRegistered,
    SentinelRegister,
    SentinelRegistered,
)
from vidlink.model import USUAL
from vidlink.server.sockets import ingest
from vidlink.server.sockets import link as linked

SESSION = "session-0000000001"


def register(sentinel_id: str = "desk-1", instance_id: str = "one") -> SentinelRegister:
    """A registration as a Sentinel sends it."""
    return SentinelRegister(sentinel_id, instance_id, "test/1", SESSION)


def handshake(offered: str = BINARY) -> bytes:
    """What a client sends first."""
    return (
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {offered}\r\n\r\n"
    ).encode()


def framed(opcode: int, payload: bytes = b"") -> bytes:
    """A short frame of a client (RFC 6455 section 5.2); its mask changes nothing."""
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


class SilentTransport(FakeTransport):
    """A connection whose other end takes nothing and closes nothing; it remembers the abort."""

    aborted = False

    def abortConnection(self) -> None:
        """Nothing else ends it."""
        self.aborted = True


class HandshakeTests(SynchronousTestCase):
    """What is agreed on before anything is said."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()

    def test_server_prefers(self) -> None:
        """Among the formats offered the server's favourite is taken, whatever their order."""
        peer = self.server.proctor(JSON, [JSON, BINARY])
        self.assertEqual(peer.websocket_protocol_in_use, BINARY)

    def test_unknown_formats_are_passed_over(self) -> None:
        """A format that the server does not know does no harm beside one that it does."""
        peer = self.server.proctor(JSON, ["mqtt", JSON])
        self.assertEqual(peer.websocket_protocol_in_use, JSON)

    def test_every_offer(self) -> None:
        """Of every choice of formats, in every order, the first of ours is taken."""
        ranked = [f"vidlink.v1.{name}" for name in ("binary", "cbor", "protobuf", "json")]
        for count in range(1, len(ranked) + 1):
            for offered in permutations(ranked, count):
                best = min(offered, key=ranked.index)
                for connect in (self.server.sentinel, self.server.proctor):
                    peer = connect(best, list(offered))
                    self.assertEqual(peer.websocket_protocol_in_use, best, offered)

    def test_none_in_common(self) -> None:
        """No format in common is refused in the handshake, and nothing is opened for it."""
        for offered in (
            *([], ["mqtt"], ["vidlink.v2.cbor"], ["vidlink.v1"], ["cbor"], ["vidlink.v1.cbor2"]),
            *(["VIDLINK.V1.JSON"], ["mqtt", "vidlink.v1.xml"]),
        ):
            for connect in (self.server.sentinel, self.server.proctor):
                peer = connect(BINARY, offered)
                self.assertEqual(peer.state, Peer.STATE_CLOSED)
                assert peer.closed is not None
                self.assertIn("400", str(peer.closed[2]))
                self.assertEqual(peer.heard, [])
        self.assertEqual(self.server.ingest.links | self.server.watch.links, set())
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class ClosingTests(SynchronousTestCase):
    """Every close that is our decision is explained in band first, and comes to an end."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()

    def test_not_registered(self) -> None:
        """Whoever does not register within ten seconds is told so and closed with 4408."""
        for make in (self.server.sentinel, self.server.proctor):
            peer = make()
            self.server.pass_time(9.9)
            self.assertIsNone(peer.closed)
            self.server.pass_time(0.2)
            self.assertEqual(peer.kinds(), ["ErrorMessage"])
            self.assertEqual(peer.last(ErrorMessage).code, "no-registration")
            self.assertEqual(peer.remoteCloseCode, 4408)

    def test_registered_in_time(self) -> None:
        """Whoever has registered stays."""
        sentinel, proctor = self.server.sentinel(), self.server.proctor()
        sentinel.say(register())
        proctor.say(ProctorRegister("test/1"))
        self.server.pass_time(11)
        self.assertEqual(sentinel.state, Peer.STATE_OPEN)
        self.assertEqual(proctor.state, Peer.STATE_OPEN)

    def test_garbage(self) -> None:
        """What is no message is answered in band and closed with 4400; others notice nothing."""
        other = self.server.sentinel()
        for payload, binary in ((b"\x00\x01", True), (b"{", False), (b"[" * 50_000, False)):
            for make in (self.server.sentinel, self.server.proctor):
                peer = make()
                peer.sendMessage(payload, binary)
                self.server.flush()
                self.assertEqual(peer.kinds(), ["ErrorMessage"])
                self.assertEqual(peer.remoteCloseCode, 4400)
        other.say(register())
        self.server.flush()
        self.assertEqual(other.kinds(), ["SentinelRegistered"])

    def test_lingering_peer(self) -> None:
        """A peer that is sent a close and goes on reading nothing is cut off."""
        peer = self.server.sentinel()
        link = next(iter(self.server.ingest.links))
        link.close(BadMessage("enough"))
        pump = self.server.pumps.pop()
        self.server.clock.advance(USUAL.close_seconds - 0.1)
        self.assertFalse(link.transport.disconnecting or link.transport.disconnected)
        self.server.clock.advance(0.2)
        pump.flush()
        self.assertTrue(link.transport.disconnected)
        self.assertEqual(self.server.ingest.links, set())
        self.assertIsNotNone(peer.closed)

    def test_nothing_is_taken_after_a_close(self) -> None:
        """What is still on its way when the server closes is not taken any more."""
        peer = self.server.sentinel()
        peer.say(register())
        next(iter(self.server.ingest.links)).close(BadMessage("enough"))
        self.server.flush()
        self.assertEqual(peer.kinds(), ["ErrorMessage"])
        self.assertIsNone(self.server.hub.stream("desk-1"))

    def test_many_frames(self) -> None:
        """A message in more than 64 frames is refused: it costs far more than its bytes."""
        peer = self.server.proctor()
        peer.beginMessage(isBinary=False)
        for _ in range(USUAL.frames_per_message + 1):
            peer.sendMessageFrame(b" ")
        self.server.flush()
        self.assertEqual(peer.remoteCloseCode, 1008)

    def test_some_frames(self) -> None:
        """A message in a few frames is one message, however many such messages there are."""
        peer = self.server.proctor()
        peer.beginMessage(isBinary=False)
        for part in (b'{"type":"proctor', b'.register","soft', b'ware":"x"}'):
            peer.sendMessageFrame(part)
        peer.endMessage()
        self.server.flush()
        self.assertIsInstance(peer.heard[0], ProctorRegistered)
        for _ in range(USUAL.frames_per_message):
            peer.beginMessage(isBinary=False)
            peer.sendMessageFrame(b'{"type":"clock",')
            peer.sendMessageFrame(b'"t0":1}')
            peer.endMessage()
        self.server.flush()
        self.assertEqual(peer.kinds().count("Clock"), USUAL.frames_per_message)

    def test_too_long(self) -> None:
        """A Proctor's message of more than 64 KiB is refused with 1009 before it is read."""
        peer = self.server.proctor()
        peer.sendMessage(b" " * 65_537, False)
        self.server.flush()
        self.assertEqual(peer.remoteCloseCode, 1009)

    def test_shutdown(self) -> None:
        """A server that goes down says so to everybody, with 1001."""
        sentinel, proctor = self.server.sentinel(), self.server.proctor()
        sentinel.say(register())
        proctor.say(ProctorRegister("test/1"))
        self.server.flush()
        self.server.ingest.going_away()
        self.server.watch.going_away()
        self.server.flush()
        for peer in (sentinel, proctor):
            self.assertEqual(peer.last(ErrorMessage).code, "going-away")
            self.assertEqual(peer.remoteCloseCode, 1001)
        self.assertEqual(self.server.ingest.links | self.server.watch.links, set())

    def test_nobody_is_let_in_any_more(self) -> None:
        """Once it has said that it goes down, the server refuses whoever comes, with 503."""
        for factory, connect in (
            (self.server.ingest, self.server.sentinel),
            (self.server.watch, self.server.proctor),
        ):
            factory.going_away()
            peer = connect()
            assert peer.closed is not None
            self.assertIn("503", str(peer.closed[2]))
            self.assertEqual(factory.links, set())


class SilentPeerTests(SynchronousTestCase):
    """A peer that takes nothing and never closes its own end: nothing is left of it in 3 s."""

    def setUp(self) -> None:
        """A server."""
        self.server = Joined()

    def assert_cut_off(self, factory: Any, *says: bytes) -> None:
        """Having said so, it is cut off in time, and nothing is left of it."""
        link = factory.buildProtocol(None)
        link.makeConnection(SilentTransport(link, isServer=True))
        for data in says:
            link.dataReceived(data)
        self.server.clock.advance(USUAL.close_seconds - 0.1)
        self.assertFalse(link.transport.aborted)
        self.server.clock.advance(0.2)
        self.assertTrue(link.transport.aborted)
        link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(factory.links, set())
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_each_end(self) -> None:
        """It makes no difference why the connection ends."""
        endings = {
            "it closes": [handshake(), framed(8, b"\x03\xe8")],
            "it is refused": [handshake("mqtt")],
            "it breaks the protocol": [handshake(), framed(3)],
            "it breaks it twice": [handshake(), framed(3), framed(3)],
            "it sends garbage": [handshake(), framed(1, b"{")],
        }
        for factory in (self.server.ingest, self.server.watch):
            for says in endings.values():
                self.assert_cut_off(factory, *says)

    def test_takes_nothing(self) -> None:
        """Whoever takes nothing for half a minute is closed with 4431, Sentinel or Proctor,
        whatever it goes on sending; one that takes everything in time stays."""
        for make, factory in (
            (self.server.sentinel, self.server.ingest),
            (self.server.proctor, self.server.watch),
        ):
            peer = make()
            peer.say(register() if factory is self.server.ingest else ProctorRegister("test/1"))
            self.server.flush()
            link = next(iter(factory.links))
            for _ in range(2):
                link.pauseProducing()
                self.server.pass_time(USUAL.socket_stall_seconds)
                self.assertEqual(peer.state, Peer.STATE_OPEN)
                link.resumeProducing()
            link.pauseProducing()
            for _ in range(round(USUAL.socket_stall_seconds) + 1):
                peer.say(Clock(1))
                self.server.pass_time(1)
                # As a transport does at every write, such as that of a ping.
                link.pauseProducing()
            self.assertEqual(peer.remoteCloseCode, 4431)
            self.assertEqual(peer.last(ErrorMessage).code, "too-slow")
            self.assertEqual(factory.links, set())

    def test_deaf_sentinel(self) -> None:
        """A Sentinel that asks and asks and reads nothing is closed with 4429: the answers
        would pile up. Its pings are not answered at all."""
        peer = self.server.sentinel()
        peer.say(register())
        self.server.flush()
        link = next(iter(self.server.ingest.links))
        link.pauseProducing()
        waiting = len(link.transport.stream)
        for _ in range(100):
            peer.sendPing(b"x" * 100)
        self.server.flush()
        self.assertEqual(len(link.transport.stream), waiting)
        for _ in range(USUAL.unread_answers):
            peer.say(Clock(1))
        self.server.flush()
        self.assertEqual(peer.state, Peer.STATE_OPEN)
        link.resumeProducing()
        link.pauseProducing()
        for _ in range(USUAL.unread_answers):
            peer.say(Clock(1))
        self.server.flush()
        self.assertEqual(peer.state, Peer.STATE_OPEN)
        peer.say(Clock(1))
        self.server.flush()
        self.assertEqual(peer.remoteCloseCode, 4429)
        self.assertEqual(peer.last(ErrorMessage).code, "too-fast")
        self.assertEqual(self.server.ingest.links, set())


class HeldTests(SynchronousTestCase):
    """A Sentinel that is not read from, because too much of it waits for the disk."""

    def setUp(self) -> None:
        """A server, and a Sentinel that is registered."""
        self.server = Joined()
        self.peer = self.server.sentinel()
        self.peer.say(register())
        self.server.flush()
        self.link: Any = next(iter(self.server.ingest.links))
        self.reading: list[bool] = []
        transport = self.link.transport
        transport.pauseProducing = lambda: self.reading.append(False)
        transport.resumeProducing = lambda: self.reading.append(True)

    def test_held(self) -> None:
        """Its socket is not read while the store says so, about which it is asked each second."""
        self.server.store.crowding.add("desk-1")
        self.server.ingest.tick()
        self.assertEqual(self.reading, [False])
        self.server.ingest.tick()
        self.assertEqual(self.reading, [False])
        self.server.store.crowding.clear()
        self.server.ingest.tick()
        self.assertEqual(self.reading, [False, True])

    def hold(self, seconds: int, seen: Uptake | None = None) -> list[bool]:
        """Hold it for so long, with what the kernel tells; whether it was cut off."""
        self.patch(ingest, "uptake", lambda transport: seen)
        self.patch(linked, "uptake", lambda transport: seen)
        self.server.store.crowding.add("desk-1")
        cut_off: list[bool] = []
        self.link.transport.abortConnection = lambda: cut_off.append(True)
        for _ in range(seconds):
            self.server.clock.advance(1)
            self.server.ingest.tick()
        return cut_off

    def probe(self) -> bool:
        """What comes of a probe, at the latest when its time is over."""
        answer = self.link.probe(2.0)
        self.server.clock.advance(2.0)
        return bool(self.successResultOf(answer))

    def test_not_taken_for_dead(self) -> None:
        """However long that lasts, it is not cut off for its silence, nor does it lose its place,
        whether the kernel tells something or not; and when it is over, it has to answer again."""
        for seen in (None, Uptake(1, False)):
            self.assertEqual(self.hold(100, seen), [])
            self.assertTrue(self.probe())
        self.server.store.crowding.clear()
        self.server.ingest.tick()
        self.assertFalse(self.probe())

    def test_pinged(self) -> None:
        """Meanwhile it is sent pings, so that it does not take the server for dead."""
        pings: list[bytes] = []
        self.link.sendPing = pings.append
        self.hold(35, Uptake(1, False))
        self.assertEqual(len(pings), 3)

    def test_dead(self) -> None:
        """One whose system takes nothing any more has no place to keep, and is cut off soon."""
        self.assertEqual(self.hold(15, Uptake(1, True)), [])
        self.assertFalse(self.probe())
        self.assertIn(True, self.hold(20, Uptake(1, True)))

    def test_left(self) -> None:
        """One that has closed leaves its place to another at once; it is not broken off before
        what it had sent has been read, if nobody comes."""
        self.assertEqual(self.hold(100, Uptake(1, False, has_left=True)), [])
        self.assertIs(self.successResultOf(self.link.probe(2.0)), False)

    def test_rest(self) -> None:
        """A rest that ends meanwhile does not let it be read again."""
        self.link._rest.start(1.0, self.link._go_on)
        self.link.hold(True)
        self.server.clock.advance(2)
        self.assertEqual(self.reading, [False])
        self.link.hold(False)
        self.assertEqual(self.reading, [False, True])

    def test_closed(self) -> None:
        """Who is closed is read from again: the answer to that is waited for."""
        self.link.hold(True)
        self.link.close(GoingAway("bye"))
        self.assertEqual(self.reading, [False, True])


class ProbeTests(SynchronousTestCase):
    """Two Sentinels with one id: the older keeps its place only if it is alive."""

    def setUp(self) -> None:
        """A server, and a Sentinel that is registered."""
        self.server = Joined()
        self.older = self.server.sentinel()
        self.older.say(register(instance_id="one"))
        self.server.flush()
        self.wire = self.server.pumps[-1]

    def newer(self, instance_id: str) -> Peer:
        """Another connection that registers under the same id."""
        peer = self.server.sentinel()
        peer.say(register(instance_id=instance_id))
        self.server.flush()
        return peer

    def test_same_process(self) -> None:
        """The same process again replaces its older connection at once, with 4409."""
        newer = self.newer("one")
        self.assertEqual(newer.kinds(), ["SentinelRegistered"])
        self.assertEqual(self.older.remoteCloseCode, 4409)
        self.assertEqual(self.older.last(ErrorMessage).code, "replaced")

    def test_other_process_while_alive(self) -> None:
        """Another process is refused with 4410 while the older answers pings."""
        newer = self.newer("two")
        self.assertEqual(newer.remoteCloseCode, 4410)
        self.assertIsInstance(self.older.last(SentinelRegistered), SentinelRegistered)
        self.assertIsNone(self.older.closed)

    def test_other_process_while_frozen(self) -> None:
        """Another process takes over from one that does not answer a ping for two seconds."""
        self.server.pumps.remove(self.wire)
        newer = self.newer("two")
        self.assertEqual(newer.kinds(), [])
        self.server.pass_time(1.9)
        self.assertEqual(newer.kinds(), [])
        self.server.pass_time(0.2)
        self.assertEqual(newer.kinds(), ["SentinelRegistered"])
        self.server.pumps.append(self.wire)
        self.server.flush()
        self.assertEqual(self.older.remoteCloseCode, 4409)

    def test_gone_while_probing(self) -> None:
        """Another process takes over as soon as the older connection breaks."""
        self.server.pumps.remove(self.wire)
        newer = self.newer("two")
        for link in tuple(self.server.ingest.links):
            if link.conversation.registration.instance_id == "one":
                link.connectionLost(Failure(ConnectionLost()))
        self.server.flush()
        self.assertEqual(newer.kinds(), ["SentinelRegistered"])

    def test_clock(self) -> None:
        """`clock` is answered with the server's time, also before registration."""
        peer = self.server.sentinel()
        peer.say(Clock(5))
        self.server.flush()
        now = self.server.wall_clock_us()
        self.assertEqual(peer.heard, [Clock(5, now, now)])
