"""The system calls and turns that it takes until many viewers, or one of many streams, have
joined."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.joined import BINARY as FORMAT
from tests.joined import Joined
from tests.relay.publishers import FakePublisher
from tests.rigs.frames import TEXT, Frames, client_frame, handshake
from tests.server.sockets.opened import Kernel, PlainConnection
from tests.store.samples import a_session, an_arrival
from vidlink.messages import Message, ProctorRegister, Subscribe
from vidlink.model import InitSegment, RecordingState, Segment
from vidlink.server.sockets.turnend import TurnEnd
from vidlink.server.sockets.watch import PIECE_BYTES, TURN_BYTES

STREAMS, VIEWERS = 300, 100
KEYFRAME_BYTES = 10_000


class JoinTests(SynchronousTestCase):
    """A server with three hundred Sentinels that have sent a keyframe and three more frames."""

    def setUp(self) -> None:
        """They are live; `calls` has the octets of each call to the kernel."""
        self.clock = MemoryReactorClock()
        self.server = Joined(clock=self.clock)
        self.codec = self.server.codecs[FORMAT]
        for number in range(STREAMS):
            publisher = FakePublisher(sentinel_id=f"desk-{number}")
            stream = self.successResultOf(self.server.hub.claim(publisher.registration, publisher))
            session = a_session(number, sentinel_id=f"desk-{number}")
            stream.begin(session, lambda: RecordingState.OK)
            for sequence in range(4):
                frame = bytes(1_000 if sequence else KEYFRAME_BYTES)
                stream.push(an_arrival(session, sequence, keyframe=not sequence, frame=frame))
        self.calls: list[int] = []
        sendmsg = Kernel.sendmsg

        def counted(kernel: Kernel, buffers: Sequence[bytes]) -> int:
            taken = sendmsg(kernel, buffers)
            self.calls.append(taken)
            return taken

        self.patch(Kernel, "sendmsg", counted)
        self.turn_end = self.server.watch.turn_end = TurnEnd(Clock())

    def viewer(self) -> PlainConnection:
        """A viewer that is registered and has the list."""
        viewer = PlainConnection(self.server.watch, self.clock)
        viewer.send(handshake("/ws", FORMAT))
        viewer.send(self.frames(ProctorRegister("test/1")))
        self.turns()
        viewer.received.clear()
        self.calls.clear()
        return viewer

    def frames(self, *messages: Message) -> bytes:
        """What a viewer sends."""
        return b"".join(client_frame(TEXT, self.codec.encode(one)[0]) for one in messages)

    def turns(self) -> int:
        """End turns until there is nothing to do at their ends; how many."""
        count = 0
        while self.turn_end._acts:
            self.turn_end._end()
            count += 1
        return count

    def heard(self, viewer: PlainConnection) -> list[Message]:
        """All that has come since it was registered."""
        reader = Frames()
        reader.has_opened = True
        return [
            self.codec.decode(data, code != TEXT)
            for code, data in reader.feed(bytes(viewer.received))
        ]

    def test_wall(self) -> None:
        """A viewer that subscribes to three hundred at once is sent what each begins with in calls
        of 64 KiB and a few turns."""
        viewer = self.viewer()
        wishes = [Subscribe(f"desk-{number}") for number in range(STREAMS)]
        # They are taken a few at a time, with rests between; here all are.
        viewer.protocol.frames_left = STREAMS
        viewer.send(self.frames(*wishes))
        turns = self.turns()
        heard = self.heard(viewer)
        self.assertEqual(sum(isinstance(one, InitSegment) for one in heard), STREAMS)
        self.assertEqual(sum(isinstance(one, Segment) for one in heard), 4 * STREAMS)
        size = sum(self.calls)
        self.assertGreater(size, STREAMS * KEYFRAME_BYTES)
        self.assertLessEqual(len(self.calls), size // PIECE_BYTES + 1)
        self.assertLessEqual(turns, size // TURN_BYTES + 1)

    def test_crowd(self) -> None:
        """Each of a hundred viewers that subscribe at once has all of it after one turn, and with
        one call."""
        viewers = [self.viewer() for _ in range(VIEWERS)]
        for number, viewer in enumerate(viewers):
            viewer.send(self.frames(Subscribe(f"desk-{number}")))
        self.assertEqual(self.calls, [])
        self.assertEqual(self.turns(), 1)
        self.assertEqual(len(self.calls), VIEWERS)
        for viewer in viewers:
            kinds = [type(one).__name__ for one in self.heard(viewer)]
            self.assertEqual(kinds, ["Subscribed", "InitSegment", *["Segment"] * 4])

    def test_frames_are_shared(self) -> None:
        """What all viewers of a stream begin with is encoded once."""
        viewers = [self.viewer() for _ in range(VIEWERS)]
        counts: list[str] = []
        encoded = type(self.codec).encode

        def counting(codec: object, message: Message) -> tuple[bytes, bool]:
            counts.append(type(message).__name__)
            return encoded(codec, message)  # type: ignore[arg-type]

        self.patch(type(self.codec), "encode", counting)
        for viewer in viewers:
            viewer.send(client_frame(TEXT, b'{"type":"subscribe","sentinelId":"desk-1"}'))
        self.turns()
        self.assertEqual(counts.count("Segment"), 4)
        self.assertEqual(counts.count("InitSegment"), 1)
