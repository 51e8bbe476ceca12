"""The promises of every format of the wire, whoever wrote it.

A format's own tests subclass `CodecContract` and `SynchronousTestCase`, in this order, and say
how to make one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from tests.strategies import MESSAGES, UNSPEAKABLE, any_message
from vidlink import messages
from vidlink.errors import BadMessage, Unsendable
from vidlink.interfaces import ICodec
from vidlink.model import InitSegment, Segment
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.cbor import CborCodec
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.protobuf import ProtobufCodec

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object

#: The same promise is tried with one codec in each subclass; no two of them share an example.
inherited = settings(suppress_health_check=[HealthCheck.differing_executors])

SESSION = "s" * 16
SEGMENT = Segment("desk-12", SESSION, 7, 1_700_000_000_000_000, 200, 5_000, True, b"moof and mdat")
#: Messages of ours that no format may let out, by what is wrong with them.
UNSENDABLE: dict[str, Any] = {
    "a sentinelId with a slash": messages.KeyframeRequest("../desk"),
    "an empty sentinelId": replace(SEGMENT, sentinel_id=""),
    "a sentinelId that is too long": InitSegment("d" * 65, SESSION, b"ftyp"),
    "a sentinelId beyond ASCII": replace(SEGMENT, sentinel_id="däsk"),
    "a sessionId that is too short": InitSegment("desk-12", "s" * 15, b"ftyp"),
    "a sessionId with a line break": replace(SEGMENT, session_id=SESSION + "\n"),
    "a negative sequence": replace(SEGMENT, sequence=-1),
    "a sequence of 33 bits": replace(SEGMENT, sequence=2**32),
    "a time that JSON cannot hold": replace(SEGMENT, start_time_us=2**53),
    "an early time that JSON cannot hold": replace(SEGMENT, start_time_us=-(2**53)),
    "a negative duration": replace(SEGMENT, duration_ms=-1),
    "a duration of 33 bits": replace(SEGMENT, duration_ms=2**32),
    "no frames at all": replace(SEGMENT, framerate_mhz=0),
    "too many frames": replace(SEGMENT, framerate_mhz=1_000_001),
    "a segment without media": replace(SEGMENT, data=b""),
    "an init without media": InitSegment("desk-12", SESSION, b""),
    "a range backwards": messages.DeclareGap(SESSION, 2, 1, "lost"),
    "a range backwards in a list": messages.Ack(SESSION, 2, ((5, 4),)),
    "too many ranges": messages.Ack(SESSION, 2, tuple((n, n) for n in range(1_025))),
    "a name with a line break": messages.ProctorRegister("a\nb"),
    "a name with half a character": messages.ProctorRegister("a\ud800b"),
    "a name that is too long": messages.ProctorRegister("a" * 129),
    "a load that is no number": messages.Ack(SESSION, 2, load=float("nan")),
    "a load of more than all": messages.Ack(SESSION, 2, load=1.1),
    "a True for a number": messages.Clock(True),
    "one stamp of two": messages.Clock(1, 2),
}


class CodecContract(_Case):
    """The promises of `ICodec`; a subclass says how to make a codec."""

    def make(self) -> ICodec:
        """The codec under test."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Each test has a codec of its own."""
        super().setUp()
        self.codec = self.make()

    def test_interface(self) -> None:
        """A codec is all that `ICodec` asks for."""
        self.assertTrue(verifyObject(ICodec, self.codec))
        self.assertTrue(verifyClass(ICodec, type(self.codec)))
        self.assertRegex(self.codec.name, r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
        self.assertIsInstance(self.codec.rank, int)
        self.assertIsInstance(self.codec.is_canonical, bool)

    def test_roomier(self) -> None:
        """A format without a bound of its own is made with any other."""
        if self.codec.max_control_bytes is not None:
            kind: Any = type(self.codec)
            self.assertEqual(kind(max_control_bytes=99).max_control_bytes, 99)

    def test_every_message_is_tried(self) -> None:
        """The messages that these tests make are all that there are."""
        self.assertEqual(set(MESSAGES), set(get_args(messages.Message)))

    @inherited
    @given(st.data())
    def test_round_trip(self, data: st.DataObject) -> None:
        """Every message comes back as it went, and of its own kind."""
        for made, strategy in MESSAGES.items():
            message = data.draw(strategy, label=made.__name__)
            back = self.codec.decode(*self.codec.encode(message))
            self.assertIs(type(back), made)
            self.assertEqual(back, message)

    @inherited
    @given(any_message)
    def test_stable(self, message: messages.Message) -> None:
        """One message has one encoding."""
        payload = self.codec.encode(message)
        self.assertEqual(self.codec.encode(message), payload)
        self.assertEqual(self.codec.encode(self.codec.decode(*payload)), payload)

    def test_plain_octets(self) -> None:
        """A payload is `bytes`, also of media that are a view."""
        payload, _ = self.codec.encode(replace(SEGMENT, data=memoryview(b"xmoofx")[1:-1]))
        self.assertIs(type(payload), bytes)
        self.assertEqual(payload, self.codec.encode(replace(SEGMENT, data=b"moof"))[0])

    @inherited
    @given(any_message, st.booleans(), st.data())
    def test_mutated(self, message: messages.Message, other: bool, data: st.DataObject) -> None:
        """A payload with some octets changed is a message again, or refused as one."""
        payload, is_binary = self.codec.encode(message)
        changed = bytearray(payload)
        for place in data.draw(st.lists(st.integers(0, len(payload) - 1), max_size=4)):
            changed[place] = data.draw(st.integers(0, 255))
        self.take(bytes(changed), is_binary ^ other)

    @inherited
    @given(any_message)
    def test_truncated(self, message: messages.Message) -> None:
        """A payload cut anywhere is a message again, or refused as one."""
        payload, is_binary = self.codec.encode(message)
        for end in range(len(payload)):
            self.take(payload[:end], is_binary)

    @inherited
    @given(any_message, st.binary(min_size=1, max_size=8))
    def test_prolonged(self, message: messages.Message, more: bytes) -> None:
        """A payload with something behind it is a message again, or refused as one."""
        payload, is_binary = self.codec.encode(message)
        self.take(payload + more, is_binary)

    @inherited
    @given(st.binary(max_size=200), st.booleans())
    @example(b"", True)
    @example(b"", False)
    def test_any_octets(self, payload: bytes, is_binary: bool) -> None:
        """Whatever comes is a message, or refused as one."""
        self.take(payload, is_binary)

    def test_unsendable(self) -> None:
        """What no peer would take from us is our own error."""
        for flaw, message in UNSENDABLE.items():
            with self.subTest(flaw=flaw):
                self.assertRaises(Unsendable, self.codec.encode, message)

    def test_sentences_are_mended(self) -> None:
        """What is said to a person is cut and cleaned, never a reason to fail."""
        sentence = f"a{UNSPEAKABLE}\ud800b" + "c" * 2_000
        for message in (
            messages.ErrorMessage("internal", sentence, sentence),
            messages.SessionEnded("desk-12", SESSION, sentence),
            messages.DeclareGap(SESSION, 1, 2, sentence),
        ):
            with self.subTest(kind=type(message).__name__):
                back = self.codec.decode(*self.codec.encode(message))
                self.assertIs(type(back), type(message))
                self.assertIn("a\N{REPLACEMENT CHARACTER}", repr(back))
                self.assertNotIn("\\u", repr(back))

    def test_errors_are_short(self) -> None:
        """An error does not repeat what was sent at length, nor what cannot be shown."""
        payload, is_binary = self.codec.encode(SEGMENT)
        for hostile in (b"\n" * 50_000, b"x" * 50_000, "\u202e".encode() * 10_000):
            for whole in (hostile, payload.replace(b"desk-12", hostile)):
                for as_binary in (is_binary, not is_binary):
                    error = self.take(whole, as_binary)
                    if error is not None:
                        self.assertLess(len(str(error)), 300)
                        self.assertTrue(str(error).isprintable(), str(error))

    def take(self, payload: bytes, is_binary: bool) -> BadMessage | None:
        """Decode; what is accepted must be whole, and the same again if that is promised."""
        try:
            message = self.codec.decode(payload, is_binary)
        except BadMessage as error:
            return error
        self.assertIn(type(message), MESSAGES)
        again = self.codec.encode(message)
        self.assertEqual(self.codec.decode(*again), message)
        if is_binary and self.codec.is_canonical:
            self.assertEqual(again, (payload, True))
        return None


class BinaryTests(CodecContract, SynchronousTestCase):
    """``vidlink.v1.binary``."""

    def make(self) -> ICodec:
        """With the bounds of a server."""
        return BinaryCodec()


class JsonTests(CodecContract, SynchronousTestCase):
    """``vidlink.v1.json``."""

    def make(self) -> ICodec:
        """With the bounds of a server."""
        return JsonCodec()


class CborTests(CodecContract, SynchronousTestCase):
    """``vidlink.v1.cbor``."""

    def make(self) -> ICodec:
        """With the bounds of a server."""
        return CborCodec()


class ProtobufTests(CodecContract, SynchronousTestCase):
    """``vidlink.v1.protobuf``."""

    def make(self) -> ICodec:
        """With the bounds of a server."""
        return ProtobufCodec()
