"""CBOR from hostile peers: what cbor2 would let through, do, or keep; and what ours looks like."""

from __future__ import annotations

import contextlib
import math
import tracemalloc
from struct import pack
from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import any_message
from vidlink.errors import BadMessage
from vidlink.messages import Ack, Focus, FramerateChange, Message
from vidlink.model import InitSegment, Segment
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_DEPTH, MAX_MEDIA_PARTS, MAX_MESSAGE_BYTES
from vidlink.wire.cbor import CborCodec
from vidlink.wire.schema import to_plain
from vidlink.wire.strictcbor import load_cbor

CODEC = CborCodec()
ROOMY = 10_000_000
SESSION = "q7Jm2xVd0bR4tK9w"
#: Values that JSON has too, and octets.
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def encoded(*pairs: tuple[Any, Any]) -> bytes:
    """A map of these pairs, in this order, whatever the keys are."""
    return bytes((0xA0 | len(pairs),)) + b"".join(cbor2.dumps(each) for p in pairs for each in p)


def changed(message: Message, **fields: Any) -> bytes:
    """`message` with other values in its map."""
    return cbor2.dumps({**to_plain(message), **fields})


class StrictCborTests(SynchronousTestCase):
    """Octets to plain values."""

    def assert_refused(self, payload: bytes, word: str) -> None:
        """`payload` is no CBOR for us, wherever it stands, and the error says why."""
        for whole in (payload, b"\x81" + payload, b"\xa1\x61a" + payload):
            error = self.assertRaises(BadMessage, load_cbor, whole, ROOMY)
            self.assertIn(word, str(error))
            self.assertLess(len(str(error)), 200)

    @given(PLAIN)
    def test_plain_values(self, plain: Any) -> None:
        """Whatever JSON has, and octets, comes back as another writer meant it."""
        self.assertEqual(load_cbor(cbor2.dumps(plain), ROOMY), plain)
        self.assertEqual(load_cbor(cbor2.dumps(plain, canonical=True), ROOMY), plain)

    @given(st.binary(max_size=64))
    def test_a_second_opinion(self, payload: bytes) -> None:
        """Of any octets that are taken, another reader has the same value."""
        try:
            plain = load_cbor(payload, ROOMY)
        except BadMessage:
            return
        self.assertEqual(cbor2.loads(payload), plain)

    def test_tags(self) -> None:
        """No tag is obeyed: no date, bignum, bigfloat, fraction, regex, reference, set."""
        for tag in (*range(6), 21, 24, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 55_799):
            for value in (0, "(a+)+", b"\x01" * 20, [2**63, 1], []):
                self.assert_refused(cbor2.dumps(cbor2.CBORTag(tag, value)), f"tags, such as {tag}")

    def test_indefinite_lengths(self) -> None:
        """Nothing is begun without saying how long it will be, nor ended without a beginning."""
        for payload in (
            *(b"\x5f\x41a\xff", b"\x7f\x61a\xff", b"\x9f\xff", b"\xbf\xff"),
            *(b"\x9f" * 100_000, b"\x5f" * 100_000, b"\x7f\x60", b"\x1f", b"\x3f"),
        ):
            self.assert_refused(payload, "indefinite")
        self.assert_refused(b"\xff", "simple")

    def test_unknown_lengths(self) -> None:
        """The three lengths that are reserved are none."""
        for major in range(6):
            for low in (28, 29, 30):
                self.assert_refused(bytes((major << 5 | low, 0)), "unknown length")

    def test_announced_lengths(self) -> None:
        """What is announced and not there costs nothing, however much it would be."""
        tracemalloc.start()
        try:
            for major in (0x40, 0x60, 0x80, 0xA0):
                for length in (25, 2**16, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1):
                    payload = bytes((major | 27,)) + length.to_bytes(8, "big")
                    self.assert_refused(payload, "too early")
                    self.assert_refused(payload + b"\x80", "too early")
            self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)
        finally:
            tracemalloc.stop()

    def test_deep(self) -> None:
        """No depth of nesting is followed further than that of a message."""
        for opener in (b"\x81", b"\xa1\x61a", b"\xa1\x61a\x81"):
            self.assert_refused(opener * 100_000 + b"\x00", "deep")
        self.assertRaises(BadMessage, load_cbor, b"\x81" * MAX_DEPTH + b"\x81\x00", ROOMY)
        load_cbor(b"\x81" * MAX_DEPTH + b"\x00", ROOMY)
        load_cbor(b"\x99\x03\xe8" + b"\x80" * 1_000, ROOMY)

    def test_names(self) -> None:
        """The keys of maps are texts, and each stands there once, however it is written."""
        for key in (1, -1, b"a", None, True, 1.5, ()):
            self.assert_refused(encoded((key, 0)), "must be texts")
        self.assert_refused(encoded(("a", 1), ("b", 2), ("a", 1)), "'a' stands twice")
        self.assert_refused(b"\xa2\x61a\x01\x78\x01a\x01", "'a' stands twice")
        self.assertEqual(load_cbor(b"\xa1\x78\x01a\x01", ROOMY), {"a": 1})
        long = "a" * 1_000
        self.assertEqual(load_cbor(encoded((long, 1), (long + "b", 2)), ROOMY)[long], 1)

    def test_numbers(self) -> None:
        """Floats of all three sizes are numbers; what is not finite is none."""
        for form, code in (("e", 0xF9), ("f", 0xFA), ("d", 0xFB)):
            for number in (0.5, -0.0, 1.0):
                payload = bytes((code,)) + pack(f"!{form}", number)
                self.assertEqual(load_cbor(payload, ROOMY), number)
            for number in (math.nan, math.inf, -math.inf):
                self.assert_refused(bytes((code,)) + pack(f"!{form}", number), "not a number")

    def test_long_forms(self) -> None:
        """A number need not be written as short as can be."""
        for size, code in ((1, 24), (2, 25), (4, 26), (8, 27)):
            self.assertEqual(load_cbor(bytes((code,)) + (7).to_bytes(size, "big"), ROOMY), 7)
            payload = bytes((0x20 | code,)) + (7).to_bytes(size, "big")
            self.assertEqual(load_cbor(payload, ROOMY), -8)

    def test_simple_values(self) -> None:
        """False, true and null; `undefined` and all others mean nothing."""
        self.assertEqual(load_cbor(b"\x83\xf4\xf5\xf6", ROOMY), [False, True, None])
        for payload in (b"\xf7", b"\xe0", b"\xf3", b"\xf8\x00", b"\xf8\x18", b"\xf8\xff", b"\xfc"):
            self.assert_refused(payload, "simple value")

    def test_not_utf8(self) -> None:
        """Text is UTF-8, and only that."""
        for text in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"):
            self.assert_refused(bytes((0x60 | len(text),)) + text, "UTF-8")
            whole = b"\xa1" + bytes((0x60 | len(text),)) + text + b"\x00"
            self.assertRaises(BadMessage, load_cbor, whole, ROOMY)

    def test_trailing(self) -> None:
        """One item, and nothing behind it."""
        for more in (b"\x00", b"\xf6", b"\xff", b"\xa0"):
            self.assertRaises(BadMessage, load_cbor, b"\xa0" + more, ROOMY)

    def test_cut(self) -> None:
        """An item that ends early is none."""
        whole = cbor2.dumps({"a": [1, -70_000, 0.1, "text" * 10, b"octets" * 10], "b": None})
        for end in range(len(whole)):
            self.assertRaises(BadMessage, load_cbor, whole[:end], ROOMY)

    def test_size(self) -> None:
        """What is too long is not looked at."""
        self.assertEqual(load_cbor(b"\x43abc", 4), b"abc")
        self.assertRaises(BadMessage, load_cbor, b"\x44abcd", 4)

    def test_parts(self) -> None:
        """The number of values is known before they are built."""
        self.assertEqual(load_cbor(b"\x83\x01\x02\x03", ROOMY, 4), [1, 2, 3])
        self.assertRaises(BadMessage, load_cbor, b"\x84\x01\x02\x03\x04", ROOMY, 4)
        self.assertRaises(BadMessage, load_cbor, b"\x83\x80\x80\x80", ROOMY, 6)
        self.assertRaises(BadMessage, load_cbor, b"\xa1\x61a\xa1\x61b\xa0", ROOMY, 4)

    def test_views(self) -> None:
        """A view is read as its octets are; byte strings are views, not copies."""
        payload = b"x" + cbor2.dumps({"a": "text", "data": b"moof" * 100}) + b"x"
        plain = load_cbor(memoryview(payload)[1:-1], ROOMY)
        self.assertEqual(plain, {"a": "text", "data": b"moof" * 100})
        self.assertIs(plain["data"].obj, payload)
        self.assertIs(load_cbor(payload[1:-1], ROOMY)["data"].format, plain["data"].format)

    def test_linear(self) -> None:
        """No megabyte keeps the reader busy: each ends, in the time of a test run."""
        for piece in (b"\x80", b"\xa0", b"\x60", b"\x40", b"\x00", b"\xf6", b"\x61a", b"\xa1\x60"):
            count = 1_000_000 // len(piece)
            payload = b"\x9a" + count.to_bytes(4, "big") + piece * count
            with contextlib.suppress(BadMessage):
                load_cbor(payload, ROOMY)


class CborMessageTests(SynchronousTestCase):
    """Messages as maps."""

    def test_keeps_little_beside_the_media(self) -> None:
        """Media do not keep in memory what else was in their message, however much that was."""
        plain = to_plain(InitSegment("desk-1", SESSION, b"m" * 100))
        init = CODEC.decode(cbor2.dumps({**plain, "x": b"j" * 1_000_000}), True)
        assert isinstance(init, InitSegment)
        self.assertEqual(init.data, b"m" * 100)
        self.assertIsInstance(init.data, bytes)

    def assert_refused(self, payload: bytes, word: str) -> None:
        """`payload` is no message, and the error says why."""
        error = self.assertRaises(BadMessage, CODEC.decode, payload, True)
        self.assertIn(word, str(error))

    @given(any_message)
    def test_written_as_cbor2_would(self, message: Message) -> None:
        """Another reader finds the map of the table, media as a byte string of shortest head."""
        payload, is_binary = CODEC.encode(message)
        plain = to_plain(message)
        self.assertTrue(is_binary)
        self.assertEqual(cbor2.loads(payload), plain)
        self.assertEqual(payload, cbor2.dumps(plain))

    def test_sizes_of_media(self) -> None:
        """The head is the shortest for every size of media."""
        for size in (1, 23, 24, 255, 256, 65_535, 65_536, 100_000):
            message = InitSegment("desk-12", SESSION, bytes(size))
            payload, _ = CODEC.encode(message)
            self.assertEqual(payload, cbor2.dumps(to_plain(message)))
            self.assertEqual(CODEC.decode(payload, True), message)

    def test_octets(self) -> None:
        """What a small message looks like."""
        payload = bytes.fromhex("a2 6474797065 65666f637573 6a73656e74696e656c4964 f6")
        self.assertEqual(CODEC.encode(Focus(None)), (payload, True))
        self.assertEqual(CODEC.decode(payload, True), Focus(None))

    def test_media_are_views(self) -> None:
        """Media are not copied on the way in."""
        payload, _ = CODEC.encode(Segment("d", SESSION, 7, -1, 200, 200, False, b"moof" * 1_000))
        message = CODEC.decode(payload, True)
        assert isinstance(message, Segment)
        assert isinstance(message.data, memoryview)
        self.assertIs(message.data.obj, payload)

    def test_no_text(self) -> None:
        """There are binary frames only."""
        error = self.assertRaises(BadMessage, CODEC.decode, b"{}", False)
        self.assertIn("no text frames", str(error))

    def test_media_are_octets(self) -> None:
        """Neither base64 nor a list of numbers is media."""
        init = InitSegment("desk-12", SESSION, b"ftyp")
        for data in ("ZnR5cA==", [1, 2], None, 5, b""):
            self.assert_refused(changed(init, data=data), "media")

    def test_integers(self) -> None:
        """Where an integer belongs no float will do, nor a number that is out of range."""
        for sequence in (5.0, True, "5", None, -1, 2**32, 2**63, b"\x05"):
            self.assert_refused(changed(Ack(SESSION, 5), sequence=sequence), "an integer from 0")

    def test_rates(self) -> None:
        """A rate with decimals is the double nearest to it; a single or half if that is exact."""
        for octets, rate_mhz in (
            *(("05", 5_000), ("fb3fc999999999999a", 200), ("f93800", 500), ("fa3f000000", 500)),
            *(("fb4014000000000000", 5_000), ("f94500", 5_000)),
        ):
            payload = changed(FramerateChange("d", 7_000))[:-1] + bytes.fromhex(octets)
            self.assertEqual(CODEC.decode(payload, True), FramerateChange("d", rate_mhz))
        for octets in ("fa3e4ccccd", "f93266", "fb3fc999999999999b", "fb7ff0000000000000", "00"):
            payload = changed(FramerateChange("d", 7_000))[:-1] + bytes.fromhex(octets)
            self.assertRaises(BadMessage, CODEC.decode, payload, True)

    def test_unknown_fields(self) -> None:
        """Fields that are not known are passed over, and are not in what is written."""
        payload = changed(Focus(None), more={"deep": [b"octets", 0.5]})
        self.assertEqual(CODEC.decode(payload, True), Focus(None))
        self.assert_refused(changed(Focus(None), more=math.nan), "not a number")

    def test_no_map(self) -> None:
        """A message is a map with a type."""
        for plain in ([], None, 5, "focus", b"", [["type", "focus"]]):
            self.assert_refused(cbor2.dumps(plain), "must be a map")
        words: tuple[Any, ...] = (None, 5, "unknown", b"focus", ["focus"], {})
        for word in words:
            self.assert_refused(cbor2.dumps({"type": word}), "must be a known word")

    def test_control_bytes(self) -> None:
        """What is not media is at most as long as with JSON, and longer only for viewers."""
        payload = changed(Focus(None), more="")
        fits = changed(Focus(None), more="a" * (MAX_CONTROL_BYTES - len(payload) - 2))
        self.assertEqual(len(fits), MAX_CONTROL_BYTES)
        self.assertEqual(CODEC.decode(fits, True), Focus(None))
        long = changed(Focus(None), more="a" * MAX_CONTROL_BYTES)
        self.assert_refused(long, f"longer than {MAX_CONTROL_BYTES}")
        self.assertEqual(CborCodec(MAX_MESSAGE_BYTES).decode(long, True), Focus(None))

    def test_parts_of_media(self) -> None:
        """What is long has few parts, and is refused before they are built."""
        init = InitSegment("desk-12", SESSION, bytes(MAX_CONTROL_BYTES))
        self.assertEqual(CODEC.decode(changed(init, more=[0] * 200), True), init)
        self.assert_refused(changed(init, more=[0] * MAX_MEDIA_PARTS), "parts")

    def test_whole_bytes(self) -> None:
        """Nothing is longer than the longest message."""
        self.assert_refused(bytes(MAX_MESSAGE_BYTES + 1), "longer than")
