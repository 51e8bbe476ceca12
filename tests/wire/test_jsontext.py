"""JSON from hostile peers: what the standard library would let through, or die of."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vidlink.errors import BadMessage
from vidlink.messages import Focus, Message, ProctorRegister, Sentinels
from vidlink.model import InitSegment, Segment
from vidlink.wire.bounds import MAX_DEPTH
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.strictjson import load_json

CODEC = JsonCodec()
FOCUS = '{"type":"focus","sentinelId":null}'
ROOMY = 10_000_000


def decode(text: str | bytes) -> Message:
    """The message in `text`."""
    return CODEC.decode(text if isinstance(text, bytes) else text.encode(), False)


def init(data: Any, **more: Any) -> str:
    """An initialization segment in JSON."""
    ids = {"sentinelId": "desk-12", "sessionId": "q7Jm2xVd0bR4tK9w"}
    return json.dumps({"type": "init", **ids, "data": data, **more})


class StrictJsonTests(SynchronousTestCase):
    """JSON text to plain values."""

    def assert_refused(self, text: str | bytes, word: str) -> None:
        """`text` is no JSON for us, and the error says why."""
        payload = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        error = self.assertRaises(BadMessage, load_json, payload, ROOMY)
        self.assertIn(word, str(error))
        self.assertLess(len(str(error)), 200)

    def test_deep(self) -> None:
        """No depth of nesting reaches the parser's recursion."""
        for text in ("[" * 100_000, '{"a":' * 100_000, "[{" * 100_000 + "}]" * 100_000):
            self.assert_refused(text, "deep")
        self.assert_refused("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "deep")

    def test_deep_enough(self) -> None:
        """Brackets side by side, or in strings, are no depth."""
        load_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, ROOMY)
        load_json(b"[" + b"[],{}," * 1_000 + b"0]", ROOMY)
        load_json(json.dumps("[" * 1_000).encode(), ROOMY)
        load_json(json.dumps(['\\"[{' * 100, "[" * 100]).encode(), ROOMY)

    def test_depth_behind_strings(self) -> None:
        """A string does not hide the depth that follows it."""
        for string in ('"', r'"\"', r'"\\"', '"]]]]"', '"\\\n"'):
            self.assert_refused(string + "[" * 100_000, "")
            self.assert_refused("[" + string + "," + "[" * 100_000, "")

    def test_names_twice(self) -> None:
        """A name that stands twice means two things to two readers."""
        self.assert_refused('{"type":"focus","type":"unsubscribe"}', "'type' stands twice")
        self.assert_refused('[{"x":{"a":1,"b":2,"\\u0061":3}}]', "'a' stands twice")

    def test_not_json(self) -> None:
        """What only Python takes for JSON is none."""
        for text in ("NaN", "[Infinity]", '{"a":-Infinity}'):
            self.assert_refused(text, "not a number")
        for text in ("", " ", "{", "nul", "{'a':1}", '{"a":1,}', "[1 2]", '"a\nb"', "\ufeff{}"):
            self.assert_refused(text, "not JSON")

    def test_not_utf8(self) -> None:
        """Text is UTF-8, and only that."""
        for text in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', FOCUS.encode("utf-16")):
            self.assert_refused(text, "not UTF-8")

    def test_huge_numbers(self) -> None:
        """A number of many digits costs nothing."""
        self.assert_refused("1" * 10_000, "")
        self.assertEqual(load_json(b"1e999", ROOMY), float("inf"))

    def test_size(self) -> None:
        """What is too long is not looked at."""
        self.assertEqual(load_json(b"[   ]", 5), [])
        self.assertRaises(BadMessage, load_json, b"[    ]", 5)

    def test_parts(self) -> None:
        """The number of values is known before they are built."""
        self.assertEqual(load_json(b"[1,2,3]", ROOMY, 3), [1, 2, 3])
        self.assertRaises(BadMessage, load_json, b"[1,2,3,4]", ROOMY, 3)
        self.assertRaises(BadMessage, load_json, b"[[],{}]", ROOMY, 3)

    def test_linear(self) -> None:
        """No text of a megabyte keeps the checks busy: each ends, in the time of a test run."""
        for piece in ('"\\"', '\\"', '"', '"[', "[]", "{}", '"\\\\"', "\\"):
            text = ("[]" * MAX_DEPTH + "[" + piece * (1_000_000 // len(piece))).encode()
            self.assertRaises(BadMessage, load_json, text, ROOMY)


class JsonMediaTests(SynchronousTestCase):
    """Media in base64, and texts of their size."""

    def assert_refused(self, text: str | bytes, word: str) -> None:
        """`text` is no message, and the error says why."""
        error = self.assertRaises(BadMessage, decode, text)
        self.assertIn(word, str(error))

    def test_base64(self) -> None:
        """Any octets, padded to fours."""
        for size in range(1, 10):
            message = decode(init(b64encode(bytes(range(size))).decode()))
            assert isinstance(message, InitSegment)
            self.assertEqual(message.data, bytes(range(size)))

    def test_strict_base64(self) -> None:
        """Nothing is guessed: no other alphabet, no line breaks, no missing padding."""
        for data in (
            *("AAA", "A===", "AA=A", "AAAA\n", " AAAA", "AA-_", "AAAA=", "AAAA====", "ÄÄÄÄ"),
            *("AAAA\r\n\r\n", "AA!!!!AA", "AA==AAAA", "====", "AAA=AAA="),
        ):
            self.assert_refused(init(data), "base64")
        for wrong in (None, 7, ["AAAA"], {"a": "AAAA"}, True):
            self.assert_refused(init(wrong), "base64")
        self.assert_refused(init("AAAA").replace('"data"', '"date"'), "base64")

    def test_empty(self) -> None:
        """There are no media without an octet."""
        self.assert_refused(init(""), "at least one octet")

    def test_large(self) -> None:
        """Media may be longer than control; nothing else may."""
        data = bytes(3_000_000)
        message = decode(init(b64encode(data).decode()))
        assert isinstance(message, InitSegment)
        self.assertEqual(message.data, data)
        self.assert_refused(FOCUS[:-1] + " " * 65_536 + "}", "without media")
        self.assert_refused('"' + "x" * 65_536 + '"', "must be a map")
        self.assert_refused(init("A" * 16 * 1024 * 1024), "longer than")

    def test_large_and_many(self) -> None:
        """A large text cannot become millions of values before it is refused."""
        self.assert_refused(init("AAAA", more=[[]] * 30_000), "parts")
        self.assert_refused("[" + "0," * 40_000 + "0]", "parts")

    def test_viewers(self) -> None:
        """A viewer may take the list of a large server."""
        viewer = JsonCodec(max_control_bytes=10_000_000)
        row = {
            "sentinelId": "desk-12",
            "name": "",
            "group": "",
            "state": "offline",
            "sessionId": None,
            "framerate": None,
            "lastSegmentTime": None,
            "recording": "none",
        }
        text = json.dumps({"type": "sentinels", "full": True, "sentinels": [row] * 10_000})
        message = viewer.decode(text.encode(), False)
        assert isinstance(message, Sentinels)
        self.assertEqual(len(message.sentinels), 10_000)
        self.assert_refused(text, "parts")

    def test_binary(self) -> None:
        """There are no binary frames in this format."""
        error = self.assertRaises(BadMessage, CODEC.decode, FOCUS.encode(), True)
        self.assertIn("no binary frames", str(error))

    def test_text(self) -> None:
        """Text is compact UTF-8, `type` first, and only what has to be said."""
        self.assertEqual(CODEC.encode(Focus(None)), (FOCUS.encode(), False))
        self.assertEqual(
            CODEC.encode(ProctorRegister("Fenêtre")),
            ('{"type":"proctor.register","software":"Fenêtre"}'.encode(), False),
        )
        segment = Segment("desk-12", "q7Jm2xVd0bR4tK9w", 7, -1, 200, 200, False, b"moof")
        text = (
            b'{"type":"segment","sentinelId":"desk-12","sessionId":"q7Jm2xVd0bR4tK9w",'
            b'"sequence":7,"startTime":-1,"duration":200,"keyframe":false,"framerate":0.2,'
            b'"data":"bW9vZg=="}'
        )
        self.assertEqual(CODEC.encode(segment), (text, False))
        self.assertEqual(CODEC.decode(text, False), segment)
