"""Protobuf from hostile peers: what a runtime lets through, or could be kept busy with."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf.message_factory import GetMessageClass
from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import BadMessage
from vidlink.messages import (
    Ack,
    Clock,
    Focus,
    FramerateChange,
    Place,
    ProctorRegistered,
    SentinelRegistered,
    Sentinels,
    Skipped,
    StartFrom,
    Subscribe,
)
from vidlink.model import InitSegment, SkipReason, Tier
from vidlink.wire import vidlink_pb2
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES
from vidlink.wire.protobuf import ProtobufCodec

CODEC = ProtobufCodec()
SESSION = "q7Jm2xVd0bR4tK9w"
ENVELOPE: Any = vidlink_pb2.DESCRIPTOR.message_types_by_name["Message"]
Envelope: Any = GetMessageClass(ENVELOPE)


def said(**member: Any) -> bytes:
    """An envelope with this in it, whether or not it makes sense."""
    octets: bytes = Envelope(**member).SerializeToString()
    return octets


def field(number: int, octets: bytes) -> bytes:
    """A field of a message: some octets behind their length."""
    return varint(number << 3 | 2) + varint(len(octets)) + octets


def varint(number: int) -> bytes:
    """A number in the encoding of protobuf."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*octets, number))


class HostileTests(SynchronousTestCase):
    """Octets that a runtime lets through, or could be kept busy with."""

    def assert_refused(self, payload: bytes, word: str) -> None:
        """`payload` is no message, and the error says why."""
        error = self.assertRaises(BadMessage, CODEC.decode, payload, True)
        self.assertIn(word, str(error))
        self.assertLess(len(str(error)), 200)

    def test_no_text(self) -> None:
        """There are binary frames only."""
        error = self.assertRaises(BadMessage, CODEC.decode, b"{}", False)
        self.assertIn("no text frames", str(error))

    def test_nothing_said(self) -> None:
        """An envelope without a message that we know is none."""
        for payload in (b"", field(99, b"news"), field(99, b"") + b"\xf8\x07\x01"):
            self.assert_refused(payload, "nothing that is known")

    def test_required(self) -> None:
        """A field without a default has to be there: 0 and absent are two things."""
        self.assert_refused(said(ack={"session_id": SESSION}), "sequence must be there")
        self.assert_refused(said(ack={"sequence": 0}), "sessionId must be there")
        payload = said(ack={"session_id": SESSION, "sequence": 0})
        self.assertEqual(CODEC.decode(payload, True), Ack(SESSION, 0))
        self.assert_refused(said(clock={}), "t0 must be there")
        self.assertEqual(CODEC.decode(said(clock={"t0": 0}), True), Clock(0))
        backwards = {"session_id": SESSION, "sequence": 1, "missing": [{"last": 3}]}
        self.assert_refused(said(ack=backwards), "missing[0] must be a list of first and last")

    def test_null(self) -> None:
        """Where null is allowed, absent is how it is said; an empty text is not null."""
        self.assertEqual(CODEC.decode(said(focus={}), True), Focus(None))
        self.assert_refused(said(focus={"sentinel_id": ""}), "sentinelId must be")

    def test_no_answer_for_another(self) -> None:
        """What a proctor is told does not become what a sentinel is told by leaving out a field."""
        self.assert_refused(said(proctor_registered={"server_time": 5}), "proctorId must be there")
        payload = said(registered={"server_time": 5})
        self.assertEqual(CODEC.decode(payload, True), SentinelRegistered(5))
        payload = said(proctor_registered={"server_time": 5, "proctor_id": "p"})
        self.assertEqual(CODEC.decode(payload, True), ProctorRegistered("p", 5, ()))

    def test_enums(self) -> None:
        """A number that stands for no word is refused, and so is 0, which nobody has chosen."""
        skipped = {"sentinel_id": "d", "session_id": SESSION, "first": 1, "last": 2}
        for number in (0, 4, 100, 2**31 - 1, -1):
            self.assert_refused(said(skipped={**skipped, "reason": number}), "reason must be one")
            subscribe = {"sentinel_id": "d", "tier": number}
            self.assert_refused(said(subscribe=subscribe), "tier must be one")
            subscribe = {"sentinel_id": "d", "word": number}
            self.assert_refused(said(subscribe=subscribe), "startFrom must be one")
        self.assertEqual(
            CODEC.decode(said(skipped={**skipped, "reason": 2}), True),
            Skipped("d", SESSION, 1, 2, SkipReason.UNDECODABLE),
        )

    def test_places(self) -> None:
        """The place to start from is a word or a place; of two the last one counts."""
        place = field(3, field(1, SESSION.encode()) + b"\x10\x07")
        word = b"\x10\x02"
        name = field(1, b"d")
        for inner, start_from in (
            (name + place, Place(SESSION, 7)),
            (name + word, StartFrom.OLDEST),
            (word + name + place, Place(SESSION, 7)),
            (place + word + name, StartFrom.OLDEST),
            (name, StartFrom.LATEST),
        ):
            message = CODEC.decode(field(14, inner), True)
            self.assertEqual(message, Subscribe("d", start_from, Tier.FULL))

    def test_ranges(self) -> None:
        """Values are held to the ranges of the table, as in all formats."""
        for word, member in (
            ("sentinelId must be", {"focus": {"sentinel_id": "../up"}}),
            ("startTime must be", {"segment": segment(start_time=2**53)}),
            ("framerate must be", {"segment": segment(framerate=0)}),
            ("framerate must be", {"segment": segment(framerate=0.0005)}),
            ("framerate must be", {"segment": segment(framerate=math.nan)}),
            ("framerate must be", {"segment": segment(framerate=math.inf)}),
            ("load must be", {"ack": {"session_id": SESSION, "sequence": 1, "load": math.nan}}),
            ("last must be", {"gap": {"session_id": SESSION, "first": 2, "last": 1, "cause": ""}}),
            ("data must be", {"segment": segment(data=b"")}),
            ("width must be", {"subscribed": {"sentinel_id": "d", "width": 65_536}}),
            ("limits must be", {"registered": {"server_time": 5, "limits": many_limits(65)}}),
            ("an integer from 0", {"registered": {"server_time": 5, "limits": {"a": 2**53}}}),
            ("a text of at most", {"proctor_register": {"software": "a\nb"}}),
        ):
            with self.subTest(member=member):
                self.assert_refused(said(**member), word)

    def test_cut_numbers(self) -> None:
        """A number too large for its type is cut to it, as protobuf says, and written so."""
        inner = field(1, SESSION.encode()) + b"\x10" + varint(2**32 + 7)
        message = CODEC.decode(field(5, inner), True)
        self.assertEqual(message, Ack(SESSION, 7))
        self.assertEqual(CODEC.encode(message)[0], said(ack={"session_id": SESSION, "sequence": 7}))

    def test_rates(self) -> None:
        """A rate is the double nearest to it."""
        for rate, rate_mhz in ((5.0, 5_000), (0.2, 200), (0.001, 1)):
            payload = said(fps_change={"sentinel_id": "d", "framerate": rate})
            self.assertEqual(CODEC.decode(payload, True), FramerateChange("d", rate_mhz))

    def test_unknown_fields(self) -> None:
        """Fields that are not known are passed over, and are not in what is written."""
        inner = field(1, b"d") + field(50, b"smuggled") + b"\xf8\x07\x01"
        payload = field(17, inner) + field(99, b"smuggled")
        message = CODEC.decode(payload, True)
        self.assertEqual(message, Focus("d"))
        self.assertEqual(CODEC.encode(message)[0], field(17, field(1, b"d")))

    def test_said_twice(self) -> None:
        """Of what is there more than once the last counts, and only that is written."""
        once = field(17, field(1, b"e"))
        for payload in (
            field(17, field(1, b"d") + field(1, b"e")),
            field(17, field(1, b"d")) + once,
            said(ack={"session_id": SESSION, "sequence": 1}) + once,
        ):
            message = CODEC.decode(payload, True)
            self.assertEqual(message, Focus("e"))
            self.assertEqual(CODEC.encode(message)[0], once)

    def test_not_utf8(self) -> None:
        """Text is UTF-8, and only that."""
        for text in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80"):
            self.assert_refused(field(11, field(1, text)), "no Message")

    def test_announced_lengths(self) -> None:
        """What is announced and not there is refused, however much it would be."""
        for size in (5, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1):
            self.assert_refused(b"\x22" + varint(size), "no Message")
            self.assert_refused(b"\x22\x0b\x4a" + varint(size), "no Message")

    def test_deep(self) -> None:
        """No depth of groups or of messages reaches the stack."""
        for payload in (b"\x0b" * 60_000, field(13, field(2, b"\x0b" * 60_000))):
            self.assert_refused(payload, "no Message")
        inner = b""
        for _ in range(2_000):
            inner = field(99, inner)
        self.assert_refused(inner, "nothing that is known")

    def test_control_bytes(self) -> None:
        """What is not media is at most as long as with JSON, and longer only for viewers."""
        empty = len(field(17, field(50, bytes(60_000)))) - 60_000
        fits = field(17, field(50, bytes(MAX_CONTROL_BYTES - empty)))
        self.assertEqual(len(fits), MAX_CONTROL_BYTES)
        self.assertEqual(CODEC.decode(fits, True), Focus(None))
        long = field(17, field(50, bytes(MAX_CONTROL_BYTES)))
        self.assert_refused(long, f"longer than {MAX_CONTROL_BYTES}")
        self.assertEqual(ProtobufCodec(MAX_MESSAGE_BYTES).decode(long, True), Focus(None))
        self.assert_refused(said(init=init()) + long, "without media")

    def test_parts_of_media(self) -> None:
        """What is long has few parts, inside or outside, and is refused before they are built."""
        media = field(3, field(1, b"d") + field(2, SESSION.encode()) + field(4, bytes(70_000)))
        message = InitSegment("d", SESSION, bytes(70_000))
        self.assertEqual(CODEC.decode(media + field(99, b"") * 200, True), message)
        for more in (field(99, b""), field(3, b""), b"\xf8\x07\x01", b"\xfb\x07\xfc\x07"):
            self.assert_refused(media + more * MAX_MEDIA_PARTS, "parts")
        self.assert_refused(field(3, b"\x18\x01" * 3_000_000), "parts")
        self.assert_refused(field(13, b"\x12\x00" * 3_000_000), "without media")

    def test_large_and_broken(self) -> None:
        """What is long and no message is refused as one that is short."""
        media = field(3, field(4, bytes(70_000)))
        for more in (b"\x1a", b"\x1a\xff", b"\x08" + b"\xff" * 11, b"\x0f", b"\x09abc", b"\x0d"):
            self.assertRaises(BadMessage, CODEC.decode, media + more, True)
            self.assertRaises(BadMessage, CODEC.decode, more + media, True)

    def test_whole_bytes(self) -> None:
        """Nothing is longer than the longest message."""
        self.assert_refused(field(3, field(4, bytes(MAX_MESSAGE_BYTES))), "longer than")

    def test_large_list(self) -> None:
        """The list of a large server is read by who asks for that, and by nobody else."""
        rows = [
            {"sentinel_id": f"desk-{n}", "name": "", "group": "", "state": 3, "recording": 3}
            for n in range(5_000)
        ]
        payload = said(sentinels={"full": True, "sentinels": rows})
        self.assert_refused(payload, "without media")
        message = ProtobufCodec(MAX_MESSAGE_BYTES).decode(payload, True)
        assert isinstance(message, Sentinels)
        self.assertEqual(len(message.sentinels), 5_000)

    def test_views(self) -> None:
        """A view is read as its octets are."""
        payload = said(init=init())
        self.assertEqual(
            CODEC.decode(memoryview(b"x" + payload + b"x")[1:-1], True),
            InitSegment("d", SESSION, b"ftyp"),
        )

    def test_without_native_code(self) -> None:
        """A runtime that is all Python gives and refuses the same."""
        if os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION") == "python":
            return
        trial = sys.executable, "-m", "twisted.trial", "--reporter=text"
        run = subprocess.run(
            [*trial, f"{__name__}.HostileTests", "tests.contracts.test_codec.ProtobufTests"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


def segment(**fields: Any) -> dict[str, Any]:
    """The fields of a segment."""
    known = {"sentinel_id": "d", "session_id": SESSION, "sequence": 7, "start_time": -1}
    rest = {"duration": 200, "keyframe": False, "framerate": 0.2, "data": b"moof"}
    return {**known, **rest, **fields}


def init() -> dict[str, Any]:
    """The fields of an initialization segment."""
    return {"sentinel_id": "d", "session_id": SESSION, "data": b"ftyp"}


def many_limits(count: int) -> dict[str, int]:
    """More limits than anybody has."""
    return {f"limit{number}": number for number in range(count)}
