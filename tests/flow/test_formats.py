"""Every format with every format, in memory: what is sent in one is what is seen in another."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import cbor2
from google.protobuf.message_factory import GetMessageClass
from zope.interface import implementer

from tests.fakes import media
from tests.flow.test_road import RoadCase
from tests.links.memory import BINARY, FIRST, SECOND, MemoryServer
from vidlink.errors import BadMessage
from vidlink.interfaces import ICodec
from vidlink.messages import (
    Ack,
    FramerateChange,
    KeyframeRequest,
    Message,
    SentinelRegistered,
    SessionEnded,
    Subscribed,
)
from vidlink.model import InitSegment, Octets, Segment
from vidlink.plugins import find_codecs
from vidlink.wire import vidlink_pb2
from vidlink.wire.framing import payload_of
from vidlink.wire.schema import to_plain

CODECS = {codec.name.rpartition(".")[2]: codec for codec in find_codecs()}
PAIRS = [(sending, watching) for sending in CODECS for watching in CODECS]
SMUGGLED = b"smuggled"


@implementer(ICodec)
class CountingCodec:
    """A format that counts what it encodes, by the kind of message."""

    def __init__(self, codec: ICodec) -> None:
        self.codec = codec
        self.name, self.rank, self.is_canonical = codec.name, codec.rank, codec.is_canonical
        self.max_control_bytes = None
        self.encoded: Counter[type] = Counter()

    def encode(self, message: Message) -> tuple[bytes, bool]:
        """Encode, and count."""
        self.encoded[type(message)] += 1
        return self.codec.encode(message)

    def decode(self, payload: Octets, is_binary: bool) -> Message:
        """Decode."""
        return self.codec.decode(payload, is_binary)


class PairTests(RoadCase):
    """A Sentinel of each format, and a Proctor of each."""

    def setUp(self) -> None:
        """Each pair has a server of its own."""

    def test_media(self) -> None:
        """Media arrive byte for byte, and everything that was said of them."""
        for sending, watching in PAIRS:
            with self.subTest(sending=sending, watching=watching):
                self.server = MemoryServer()
                sentinel = self.server.live(codec=CODECS[sending])
                viewer = self.watching("desk-1", codec=CODECS[watching])
                said = []
                for number, rate in enumerate((5_000, 200, 333, 1_000, 4_567)):
                    data = sentinel.segment(
                        number, filler_bytes=number * 20_000, framerate_mhz=rate
                    )
                    said.append(sentinel.described(number, data, framerate_mhz=rate))
                viewer.read()
                self.assertEqual(viewer.all_heard(Segment), said)
                self.assertEqual(
                    viewer.all_heard(InitSegment),
                    [InitSegment("desk-1", sentinel.session_id, media.init_segment())],
                )

    def test_sessions(self) -> None:
        """A Proctor follows from one session to the next, whatever each Sentinel speaks."""
        for sending, watching in PAIRS:
            with self.subTest(sending=sending, watching=watching):
                self.server = MemoryServer()
                first = self.server.sentinel(codec=CODECS[sending])
                first.register(FIRST)
                first.init()
                viewer = self.watching("desk-1", codec=CODECS[watching])
                first.segment(0)
                first.vanish()
                second = self.server.sentinel(codec=CODECS[watching])
                second.register(SECOND)
                second.init()
                second.segment(0)
                viewer.read()
                sessions = [message.session_id for message in viewer.all_heard(Subscribed)]
                self.assertEqual(sessions, [FIRST, SECOND])
                self.assertEqual([m.session_id for m in viewer.all_heard(SessionEnded)], [FIRST])
                self.assertEqual(len(viewer.all_heard(Segment)), 2)

    def test_control(self) -> None:
        """What a Proctor asks reaches the Sentinel in its own format, and so do answers."""
        for sending, watching in PAIRS:
            with self.subTest(sending=sending, watching=watching):
                self.server = MemoryServer()
                sentinel = self.server.sentinel(codec=CODECS[sending])
                sentinel.register(FIRST)
                sentinel.init()
                self.assertEqual(len(sentinel.all_heard(SentinelRegistered)), 1)
                viewer = self.watching("desk-1", codec=CODECS[watching])
                sentinel.segment(0)
                sentinel.forget()
                self.server.second(2.0)
                viewer.say(FramerateChange("desk-1", 333))
                viewer.say(KeyframeRequest("desk-1"))
                self.server.second()
                self.assertEqual(
                    sentinel.all_heard(FramerateChange), [FramerateChange("desk-1", 333)]
                )
                self.assertEqual(sentinel.all_heard(KeyframeRequest), [KeyframeRequest("desk-1")])
                self.assertEqual(sentinel.all_heard(Ack), [Ack(FIRST, 0)])


class OnceTests(RoadCase):
    """What encoding costs does not grow with the number of viewers."""

    def test_once(self) -> None:
        """Each segment, and the init, is encoded once for each format watched."""
        for sending in CODECS:
            with self.subTest(sending=sending):
                self.server = MemoryServer()
                counting = {name: CountingCodec(codec) for name, codec in CODECS.items()}
                sentinel = self.server.live(codec=CODECS[sending])
                viewers = [
                    self.watching("desk-1", codec=codec)
                    for codec in counting.values()
                    for _ in range(3)
                ]
                for number in range(5):
                    sentinel.segment(number)
                    for viewer in viewers:
                        viewer.read()
                for viewer in viewers:
                    self.assertEqual(len(viewer.all_heard(Segment)), 5)
                for name, codec in counting.items():
                    # What came in the binary format goes out as it came.
                    is_forwarded = sending == name == "binary"
                    self.assertEqual(codec.encoded[Segment], 0 if is_forwarded else 5)
                    self.assertEqual(codec.encoded[InitSegment], 1)

    def test_shared(self) -> None:
        """Viewers of one format share one frame."""
        sentinel = self.server.live(codec=CODECS["cbor"])
        viewers = [self.watching("desk-1", codec=CODECS["protobuf"]) for _ in range(3)]
        sentinel.segment(0)
        for viewer in viewers:
            viewer.read()
            self.assertIs(viewer.frames[-1], viewers[0].frames[-1])

    def test_not_watched(self) -> None:
        """A format that nobody watches costs nothing."""
        codec = CountingCodec(CODECS["protobuf"])
        self.watching(codec=codec)
        sentinel = self.server.live()
        sentinel.segment(0)
        self.assertEqual(codec.encoded[Segment], 0)


class SmugglingTests(RoadCase):
    """Only what the server has understood reaches a viewer."""

    def smuggled(self, name: str, message: Message) -> tuple[bytes, bool]:
        """`message` with something in it that no reader of ours looks at."""
        plain = to_plain(message)
        octets, is_binary = CODECS[name].encode(message)
        if name == "json":
            extra = json.dumps({"more": SMUGGLED.decode()})
            return octets[:-1] + b"," + extra.encode()[1:], is_binary
        if name == "cbor":
            return cbor2.dumps({"more": {"deep": [SMUGGLED]}, **plain}), is_binary
        # Unknown fields, inside and outside, and one that is said twice.
        envelope: Any = GetMessageClass(vidlink_pb2.DESCRIPTOR.message_types_by_name["Message"])
        member = envelope.FromString(octets).WhichOneof("said")
        unknown = b"\xca\x3e" + bytes((len(SMUGGLED),)) + SMUGGLED
        inner = unknown + getattr(envelope.FromString(octets), member).SerializeToString()
        first = envelope(**{member: {"data": SMUGGLED}}).SerializeToString()
        tag = first[:1]
        assert len(inner) < 1 << 14
        size = bytes((len(inner) & 0x7F | 0x80, len(inner) >> 7))
        return first + unknown + tag + size + inner, is_binary

    def test_unknown_fields(self) -> None:
        """What is added to a message, or hidden in it, ends at the server."""
        for name in ("json", "cbor", "protobuf"):
            with self.subTest(format=name):
                self.server = MemoryServer()
                sentinel = self.server.sentinel(codec=CODECS[name])
                sentinel.register(FIRST)
                init = InitSegment("desk-1", FIRST, media.init_segment())
                sentinel.deliver(*self.smuggled(name, init))
                viewers = {
                    other: self.watching("desk-1", codec=codec) for other, codec in CODECS.items()
                }
                segment = sentinel.described(0, media.segment(0))
                sentinel.deliver(*self.smuggled(name, segment))
                self.assertIn(SMUGGLED, sentinel.payloads[-1])
                for other, viewer in viewers.items():
                    viewer.read()
                    self.assertEqual(viewer.all_heard(InitSegment), [init])
                    self.assertEqual(viewer.all_heard(Segment), [segment])
                    for frame in viewer.frames:
                        self.assertNotIn(SMUGGLED, frame)
                    last = bytes(payload_of(viewer.frames[-1]))
                    self.assertEqual(last, CODECS[other].encode(segment)[0])

    def test_not_shortest(self) -> None:
        """Another spelling of the same is not passed on either."""
        sentinel = self.server.live(codec=CODECS["cbor"])
        viewer = self.watching("desk-1", codec=CODECS["cbor"])
        segment = sentinel.described(0, media.segment(0))
        plain = to_plain(segment)
        backwards = cbor2.dumps(dict(reversed(plain.items())))
        sentinel.deliver(backwards, True)
        viewer.read()
        self.assertEqual(viewer.all_heard(Segment), [segment])
        self.assertEqual(bytes(payload_of(viewer.frames[-1])), CODECS["cbor"].encode(segment)[0])
        self.assertNotEqual(bytes(payload_of(viewer.frames[-1])), backwards)

    def test_names_twice(self) -> None:
        """A message that means two things to two readers is refused."""
        for name in ("json", "cbor"):
            with self.subTest(format=name):
                self.server = MemoryServer()
                sentinel = self.server.live(codec=CODECS[name])
                viewer = self.watching("desk-1", codec=BINARY)
                payload, is_binary = CODECS[name].encode(sentinel.described(0, media.segment(0)))
                if name == "json":
                    twice = payload[:-1] + b',"sequence":0}'
                else:
                    twice = bytes((payload[0] + 1,)) + payload[1:] + cbor2.dumps("sequence") + b"\0"
                error = self.assertRaises(BadMessage, sentinel.deliver, twice, is_binary)
                self.assertIn("twice", str(error))
                viewer.read()
                self.assertEqual(viewer.all_heard(Segment), [])
