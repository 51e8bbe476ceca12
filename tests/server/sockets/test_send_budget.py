"""What waits for one viewer in its transport, against Twisted's own buffering in memory."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import media
from tests.joined import BINARY as FORMAT
from tests.joined import JSON, Joined
from tests.rigs.frames import BINARY, CLOSE, PING, PONG, TEXT, Frames, client_frame, handshake
from tests.server.sockets.opened import Connection, PlainConnection
from vidlink.messages import (
    ErrorMessage,
    KeyframeRequest,
    Message,
    ProctorRegister,
    SentinelRegister,
    Subscribe,
    Subscribed,
)
from vidlink.model import USUAL, InitSegment, Segment
from vidlink.server.sockets.turnend import TurnEnd
from vidlink.server.sockets.watch import PIECE_BYTES, TURN_BYTES

SESSION = "session-0000000001"
#: What the transport takes before it says that it is full, and one piece more.
BUDGET_BYTES = 64 * 1024 + PIECE_BYTES
LARGE_BYTES = 5_000_000


class SendBudgetTests(SynchronousTestCase):
    """A Sentinel with large segments, and one viewer that takes as much as a test lets it."""

    connection: type[Connection] = Connection

    def setUp(self) -> None:
        """The Sentinel is live and has sent nothing yet."""
        self.clock = MemoryReactorClock()
        self.server = Joined(clock=self.clock)
        self.sentinel = self.server.sentinel()
        self.sentinel.say(SentinelRegister("desk-1", "one", "test/1", SESSION))
        self.sentinel.say(InitSegment("desk-1", SESSION, media.init_segment()))
        self.server.flush()

    def viewer(self, name: str = FORMAT) -> Connection:
        """A viewer that watches it, and takes nothing more."""
        self.codec = self.server.codecs[name]
        viewer = self.connection(self.server.watch, self.clock)
        viewer.send(handshake("/ws", name))
        for message in (ProctorRegister("test/1"), Subscribe("desk-1")):
            viewer.send(self.frame(message))
        viewer.take(0)
        return viewer

    def frame(self, message: Message) -> bytes:
        """`message` as the viewer sends it."""
        payload, is_binary = self.codec.encode(message)
        return client_frame(BINARY if is_binary else TEXT, payload)

    def send(self, sequence: int, filler_bytes: int = 0) -> bytes:
        """The Sentinel sends a keyframe."""
        data = media.segment(sequence, keyframe=True, filler_bytes=filler_bytes)
        self.sentinel.say(Segment("desk-1", SESSION, sequence, 0, 200, 5_000, True, data))
        self.server.flush()
        return data

    def heard(self, viewer: Connection) -> list[tuple[int, bytes]]:
        """Opcode and payload of all that has come."""
        return list(Frames().feed(bytes(viewer.received)))

    def messages(self, viewer: Connection) -> list[Message]:
        """All messages that have come."""
        return [
            self.codec.decode(payload, opcode == BINARY)
            for opcode, payload in self.heard(viewer)
            if opcode in (BINARY, TEXT)
        ]

    def test_large_frame(self) -> None:
        """Of a frame of 5 MB no more than a piece waits beside what makes a transport full; it
        arrives whole, and what came meanwhile after it."""
        for name in (FORMAT, JSON):
            self.setUp()
            viewer = self.viewer(name)
            sent = [self.send(0, LARGE_BYTES), self.send(1), self.send(2, LARGE_BYTES)]
            while viewer.held_bytes:
                self.assertLessEqual(viewer.held_bytes, BUDGET_BYTES)
                viewer.take(50_000)
            segments = [m for m in self.messages(viewer) if isinstance(m, Segment)]
            self.assertEqual([bytes(segment.data) for segment in segments], sent)

    def test_many_small_frames(self) -> None:
        """Of many frames no more waits than of a large one."""
        viewer = self.viewer()
        for number in range(300):
            self.send(number, 2_000)
        viewer.turn()
        self.assertLessEqual(viewer.held_bytes, BUDGET_BYTES)
        viewer.take(None)
        segments = [m for m in self.messages(viewer) if isinstance(m, Segment)]
        self.assertEqual(len(segments), 300)

    def test_asks_within_a_frame(self) -> None:
        """Answers to what a viewer asks in the middle of a frame come after it."""
        viewer = self.viewer()
        self.send(0, LARGE_BYTES)
        viewer.take(1_000_000)
        viewer.send(self.frame(KeyframeRequest("nobody")))
        viewer.send(client_frame(PING, b"there?"))
        viewer.take(None)
        kinds = [type(message).__name__ for message in self.messages(viewer)]
        self.assertEqual(kinds[-2:], ["Segment", "ErrorMessage"])

    def test_takes_nothing(self) -> None:
        """A viewer that takes nothing for half a minute in the middle of a frame is closed with
        4431 and cut off 3 s later, and not one octet more waits for it; one that reads on then
        finds the frame whole, and after it the reason and the close."""
        for reads_on in (False, True):
            self.setUp()
            viewer = self.viewer(JSON)
            self.send(0, LARGE_BYTES)
            viewer.take(1_000_000)
            held = viewer.held_bytes
            self.server.pass_time(USUAL.socket_stall_seconds)
            self.assertEqual(viewer.protocol.state, viewer.protocol.STATE_OPEN)
            self.server.pass_time(2)
            self.assertEqual(viewer.protocol.state, viewer.protocol.STATE_CLOSING)
            self.assertEqual(viewer.held_bytes, held)
            if reads_on:
                viewer.take(None)
                *_, segment, error = self.messages(viewer)
                self.assertIsInstance(segment, Segment)
                assert isinstance(error, ErrorMessage)
                self.assertEqual(error.code, "too-slow")
                opcode, payload = self.heard(viewer)[-1]
                self.assertEqual((opcode, payload[:2]), (CLOSE, (4431).to_bytes(2, "big")))
            else:
                viewer.pass_time(USUAL.close_seconds + 0.1)
                self.assertFalse(viewer.is_open)
                self.assertEqual(self.server.watch.links, set())

    def test_slow_but_sure(self) -> None:
        """A viewer that takes a piece every half minute stays, however long a frame takes it."""
        viewer = self.viewer()
        self.send(0, LARGE_BYTES)
        for _ in range(20):
            self.server.pass_time(USUAL.socket_stall_seconds)
            viewer.take(BUDGET_BYTES)
            self.assertTrue(viewer.is_open)
        self.assertEqual(viewer.protocol.state, viewer.protocol.STATE_OPEN)

    def test_closes_within_a_frame(self) -> None:
        """A viewer that closes in the middle of a frame and reads on finds the frame whole and
        its close answered, and then the end."""
        viewer = self.viewer()
        self.send(0, LARGE_BYTES)
        viewer.take(1_000_000)
        viewer.send(client_frame(CLOSE, b"\x03\xe8"))
        self.assertTrue(viewer.is_open)
        viewer.take(None)
        self.assertIsInstance(self.messages(viewer)[-1], Segment)
        self.assertEqual(self.heard(viewer)[-1], (CLOSE, b"\x03\xe8"))
        self.assertFalse(viewer.is_open)

    def test_closes_and_never_reads(self) -> None:
        """A viewer that closes in the middle of a frame and never reads is gone after 3 s."""
        viewer = self.viewer()
        self.send(0, LARGE_BYTES)
        viewer.take(1_000_000)
        viewer.send(client_frame(CLOSE, b"\x03\xe8"))
        viewer.pass_time(USUAL.close_seconds - 0.1)
        self.assertIsNone(viewer.lost)
        viewer.pass_time(0.2)
        self.assertIsNotNone(viewer.lost)
        self.assertEqual(self.server.watch.links, set())

    def test_floods_of_pings(self) -> None:
        """Pings of a viewer that does not read are not answered, and what waits does not grow."""
        viewer = self.viewer()
        self.send(0, LARGE_BYTES)
        held = viewer.held_bytes
        for _ in range(1_000):
            viewer.send(client_frame(PING, b"x" * 100))
        self.assertEqual(viewer.held_bytes, held)

    def test_shared(self) -> None:
        """A frame that two viewers are in the middle of is in memory once."""
        viewers = [self.viewer(), self.viewer()]
        self.send(0, LARGE_BYTES)
        for viewer in viewers:
            viewer.take(1_000_000)
        held = [viewer.protocol._unwritten[-1].obj for viewer in viewers]
        for one, other in pairwise(held):
            self.assertIs(one, other)

    def test_first_words(self) -> None:
        """Small messages are written at once and together."""
        viewer = self.viewer()
        viewer.take(None)
        self.assertIn(Subscribed, {type(message) for message in self.messages(viewer)})


class OutletTests(SendBudgetTests):
    """The same over a plain socket, past the transport."""

    connection = PlainConnection

    def test_past_the_transport(self) -> None:
        """What the client has room for reaches it in the same turn, without the transport, and
        many frames with one call; a server that is told so writes all to the transport."""
        for is_direct in (True, False):
            self.setUp()
            self.server.watch.is_direct = is_direct
            viewer = self.viewer()
            viewer.take(None)
            with patch.object(viewer, "write") as write:
                for number in range(3):
                    self.send(number, 2_000)
            segments = [m for m in self.messages(viewer) if isinstance(m, Segment)]
            self.assertEqual(len(segments), 3 if is_direct else 0)
            self.assertEqual(write.called, not is_direct)

    def test_behind_what_waits(self) -> None:
        """While something waits in the transport nothing passes it by."""
        viewer = self.viewer()
        viewer.send(self.frame(KeyframeRequest("nobody")))
        self.send(0)
        viewer.send(client_frame(PING, b"there?"))
        viewer.take(None)
        kinds = [opcode for opcode, _ in self.heard(viewer)]
        self.assertEqual(kinds[-1], PONG)
        self.assertEqual(type(self.messages(viewer)[-1]), Segment)
        self.assertIn(ErrorMessage, [type(message) for message in self.messages(viewer)])

    def test_in_turns(self) -> None:
        """One that is far behind and takes whatever comes is sent so much in a turn, and the rest
        in the turns after it, so that others have theirs."""
        viewer = self.viewer()
        viewer.take(None)
        turn_end = self.server.watch.turn_end = TurnEnd(Clock())
        with patch.object(turn_end, "call") as call:
            for number in range(40):
                self.send(number, 100_000)
            turns = []
            while call.called:
                (flush,) = call.call_args.args
                call.reset_mock()
                before = len(viewer.received)
                flush()
                turns.append(len(viewer.received) - before)
        self.assertLess(max(turns), TURN_BYTES + BUDGET_BYTES)
        self.assertEqual(len([m for m in self.messages(viewer) if isinstance(m, Segment)]), 40)
