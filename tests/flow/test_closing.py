"""Every close code that the server has, over its real sockets, in memory.

Each close that is our decision is explained in band first; viewers of a Sentinel that is closed
hear that its session has ended; and nobody else notices anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.joined import Joined, Peer
from vidlink.errors import CLOSINGS
from vidlink.messages import (
    Ack,
    Clock,
    ErrorMessage,
    KeyframeRequest,
    ProctorRegister,
    SentinelRegister,
    SessionEnded,
    Subscribe,
)
from vidlink.model import (
    USUAL,
    Bounds,
    InitSegment,
    Segment,
)

WORDS = {kind.close_code: kind.code for kind in CLOSINGS}
#: What the protocol closes with by itself (RFC 6455 section 7.4.1), without a word before.
BY_PROTOCOL = (1002, 1007, 1008, 1009)
#: What comes with credentials.
NOT_YET = (4401, 4403)


class Road:
    """A server; a Sentinel with a viewer, of whom something bad is to happen; and two others."""

    def __init__(self, bounds: Bounds = USUAL) -> None:
        self.server = Joined(bounds=bounds)
        self.other = self.stream("other")
        self.sentinel = self.stream("desk-1")
        self.other_viewer = self.viewer("other")
        self.viewer_of_it = self.viewer("desk-1")
        self.sequence = 0

    def register(self, name: str, instance_id: str = "one", session: str = "another") -> Peer:
        """A Sentinel that has asked for its place."""
        peer = self.server.sentinel()
        session_id = f"{session}-session-of-{name}"
        peer.say(SentinelRegister(name, instance_id, "test/1", session_id))
        self.server.flush()
        return peer

    def stream(self, name: str) -> Peer:
        """A Sentinel that has begun its session."""
        peer = self.register(name, session="first")
        self.begin(peer, name, f"first-session-of-{name}")
        return peer

    def begin(self, peer: Peer, name: str, session_id: str) -> None:
        """Let a session begin."""
        peer.say(InitSegment(name, session_id, media.init_segment()))
        self.server.flush()

    def viewer(self, name: str) -> Peer:
        """A Proctor that watches."""
        peer = self.server.proctor()
        peer.say(ProctorRegister("test/1"))
        peer.say(Subscribe(name))
        self.server.flush()
        return peer

    def live_id(self, name: str) -> str:
        """The session that is live."""
        live = self.server.hub.stream(name).live  # type: ignore[union-attr]
        assert live is not None
        return live.session.session_id

    def segment(self, name: str, sequence: int, data: bytes) -> Segment:
        """A segment as a Sentinel describes it."""
        start = media.start_time_us(sequence)
        keyframe = media.is_keyframe(sequence)
        return Segment(name, self.live_id(name), sequence, start, 200, 5_000, keyframe, data)

    def bystanders_go_on(self) -> bool:
        """Whether what another Sentinel sends is seen by who watches it, and both stay."""
        sent = self.segment("other", self.sequence, media.segment(self.sequence))
        self.sequence += 1
        self.other.say(sent)
        self.server.flush()
        return self.other_viewer.heard[-1] == sent and self.other.state == Peer.STATE_OPEN

    def link_of(self, peer: Peer) -> Any:
        """The server's end of a connection."""
        pump = next(p for p in self.server.pumps if p.clientIO is peer.transport)
        return pump.server


def header_only(peer: Peer, length: int) -> None:
    """Announce a message of so many octets."""
    peer.beginMessage(isBinary=True)
    peer.beginMessageFrame(length)


def in_frames(peer: Peer, count: int) -> None:
    """Send one message in so many frames."""
    peer.beginMessage(isBinary=False)
    for _ in range(count):
        peer.sendMessageFrame(b" ")


def flood(peer: Peer) -> None:
    """Ask for the time in a loop; while that is taken, some of the stock is refilled."""
    for _ in range(2 * USUAL.messages):
        peer.say(Clock(1))


def take_nothing(road: Road, peer: Peer) -> None:
    """Read nothing for half a minute, as the server's transport sees it."""
    road.link_of(peer).pauseProducing()
    road.server.pass_time(USUAL.socket_stall_seconds + 1)


def begin_for_ever(road: Road, peer: Peer) -> None:
    """Begin session after session; one was begun before."""
    for number in range(USUAL.sessions):
        road.begin(peer, "desk-1", f"session-without-end-{number}")


#: How either peer, registered, is brought to be closed.
EITHER: Mapping[int, Callable[[Road, Peer], object]] = {
    1002: lambda road, peer: peer.sendFrame(opcode=3),
    1007: lambda road, peer: peer.sendFrame(opcode=1, payload=b"\xff"),
    1008: lambda road, peer: in_frames(peer, USUAL.frames_per_message + 1),
    1009: lambda road, peer: header_only(peer, 16 * 1024 * 1024 + 1),
    4400: lambda road, peer: peer.sendMessage(b"{", False),
    4429: lambda road, peer: flood(peer),
    4431: take_nothing,
}
#: How a Sentinel that streams is, besides.
SENTINEL: Mapping[int, tuple[Callable[[Road, Peer], object], ...]] = {
    4400: (lambda road, peer: peer.say(Ack(road.live_id("desk-1"), 0)),),
    4409: (lambda road, peer: road.register("desk-1"),),
    4422: (lambda road, peer: peer.say(road.segment("desk-1", 0, b"junk")),),
    4429: (begin_for_ever,),
}
NOBODY = ErrorMessage("not-found", "no sentinel nobody is known", "nobody")
#: What a session is said to have ended of, where that is not the word of the code.
LOST = "disconnected"


class ClosingTests(SynchronousTestCase):
    """Who is closed, with what, and what others see of it."""

    def assert_closed(self, road: Road, peer: Peer, code: int) -> None:
        """It has been told why, if we decided it, and has been closed with this code."""
        # Whoever has announced more than it sends does not get to its answer: it is cut off.
        road.server.pass_time(USUAL.close_seconds + 1)
        self.assertEqual(peer.remoteCloseCode, code)
        self.assertEqual(peer.state, Peer.STATE_CLOSED)
        errors = [message for message in peer.heard if isinstance(message, ErrorMessage)]
        if code in BY_PROTOCOL:
            self.assertEqual(errors, [])
        else:
            self.assertEqual([error.code for error in errors], [WORDS[code]])
            self.assertIs(peer.heard[-1], errors[0])
            self.assertTrue(errors[0].message)
        self.assertTrue(road.bystanders_go_on())

    def test_every_code(self) -> None:
        """These tests are about every code that there is."""
        here = {1001, 4408, 4410, 4503, *EITHER, *SENTINEL}
        self.assertEqual(here, {*WORDS, *BY_PROTOCOL} - {*NOT_YET})

    def test_sentinel_that_streams(self) -> None:
        """Its viewers hear that its session has ended, and why, and go on waiting."""
        ways = [(code, way) for code, way in EITHER.items()]
        ways += [(code, way) for code, more in SENTINEL.items() for way in more]
        for code, way in ways:
            with self.subTest(code=code):
                road = Road()
                session_id = road.live_id("desk-1")
                way(road, road.sentinel)
                self.assert_closed(road, road.sentinel, code)
                ended = [m for m in road.viewer_of_it.heard if isinstance(m, SessionEnded)]
                reason = LOST if code in BY_PROTOCOL else WORDS[code]
                self.assertEqual(ended[-1].reason, reason)
                self.assertTrue(way is begin_for_ever or ended[-1].session_id == session_id)
                self.assertEqual(road.viewer_of_it.state, Peer.STATE_OPEN)
                live = [row.sentinel_id for row in road.server.hub.statuses() if row.session_id]
                self.assertEqual(live, ["other"])

    def test_proctor(self) -> None:
        """The Sentinel that it watched goes on, and so does its other viewer."""
        for code, way in EITHER.items():
            with self.subTest(code=code):
                road = Road()
                second = road.viewer("desk-1")
                way(road, road.viewer_of_it)
                self.assert_closed(road, road.viewer_of_it, code)
                sent = road.segment("desk-1", 0, media.segment(0))
                road.sentinel.say(sent)
                road.server.flush()
                self.assertEqual(second.heard[-1], sent)

    def test_not_registered(self) -> None:
        """4408: whoever has not registered in ten seconds."""
        road = Road()
        for peer in (road.server.sentinel(), road.server.proctor()):
            road.server.pass_time(11)
            self.assert_closed(road, peer, 4408)

    def test_malformed(self) -> None:
        """4400: a Proctor's request with a value that is none; one that merely fails does not."""
        requests = (
            '{"type":"fps.change","sentinelId":"desk-1","framerate":0}',
            '{"type":"fps.change","sentinelId":"desk-1","framerate":1000.5}',
            '{"type":"fps.change","sentinelId":"desk-1","framerate":"5"}',
            '{"type":"fps.change","sentinelId":"desk-1","framerate":1e999}',
            '{"type":"subscribe","sentinelId":"desk-1","maxLag":-1}',
            '{"type":"subscribe","sentinelId":"desk-1","tier":"half"}',
            '{"type":"subscribe","sentinelId":"desk-1","startFrom":"now"}',
            '{"type":"subscribe","sentinelId":"../up"}',
            '{"type":"unsubscribe"}',
            '{"type":"segment"}',
            '{"type":"proctor.register","software":"twice"}',
        )
        for text in requests:
            with self.subTest(text=text):
                road = Road()
                viewer = road.viewer("desk-1")
                viewer.say(KeyframeRequest("nobody"))
                road.server.flush()
                self.assertEqual(viewer.heard.pop(), NOBODY)
                viewer.sendMessage(text.encode(), False)
                self.assert_closed(road, viewer, 4400)

    def test_id_in_use(self) -> None:
        """4410: a second machine with an id; the first goes on, and every Proctor is told."""
        road = Road()
        clone = road.register("desk-1", "two")
        for viewer in (road.viewer_of_it, road.other_viewer):
            error = viewer.last(ErrorMessage)
            self.assertEqual((error.code, error.about), ("id-in-use", "desk-1"))
        self.assert_closed(road, clone, 4410)
        road.sentinel.say(road.segment("desk-1", 0, media.segment(0)))
        road.server.flush()
        self.assertIsInstance(road.viewer_of_it.heard[-1], Segment)

    def test_no_resources(self) -> None:
        """4503: a Sentinel more than the server has room for."""
        road = Road(Bounds(sentinels=2))
        self.assert_closed(road, road.register("desk-3"), 4503)

    def test_shutdown(self) -> None:
        """1001: everybody, when the server goes down."""
        road = Road()
        road.server.ingest.going_away()
        road.server.watch.going_away()
        road.server.flush()
        for peer in (road.sentinel, road.other, road.viewer_of_it, road.other_viewer):
            self.assertEqual(peer.last(ErrorMessage).code, WORDS[1001])
            self.assertEqual((peer.remoteCloseCode, peer.state), (1001, Peer.STATE_CLOSED))
