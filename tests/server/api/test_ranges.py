"""Tests of `vidlink.server.api.ranges`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.api.ranges import ByteRange, Conditions, is_current, requested_range
from vidlink.server.api.refusals import PreconditionFailed, RangeNotSatisfiable

ETAG = "v1"
SIZES = st.integers(0, 40)
PLACES = st.integers(0, 60)


def part_of(text: str, size_bytes: int = 10) -> ByteRange | None:
    """What a bare ``Range`` asks for."""
    return requested_range(Conditions(range=text), ETAG, size_bytes)


def sent(text: str, size_bytes: int) -> bytes | None:
    """The bytes that an answer would have, of 0, 1, 2, ...; None if there are none to send."""
    data = bytes(range(size_bytes))
    try:
        part = part_of(text, size_bytes)
    except RangeNotSatisfiable:
        return None
    if part is None:
        return data
    body = data[part.first : part.last + 1]
    assert len(body) == part.size_bytes > 0
    return body


class RangeTests(SynchronousTestCase):
    """Which bytes are asked for."""

    @given(PLACES, PLACES, SIZES)
    def test_first_to_last(self, first: int, last: int, size: int) -> None:
        """``a-b`` is what a slice takes; nothing left means 416; backwards means all."""
        data = bytes(range(size))
        wanted = data if last < first else data[first : last + 1] or None
        self.assertEqual(sent(f"bytes={first}-{last}", size), wanted)

    @given(PLACES, SIZES)
    def test_open_end(self, first: int, size: int) -> None:
        """``a-`` is everything from `a` on."""
        self.assertEqual(sent(f"bytes={first}-", size), bytes(range(size))[first:] or None)

    @given(PLACES, SIZES)
    def test_suffix(self, suffix: int, size: int) -> None:
        """``-n`` is the last `n` bytes, all if there are fewer, 416 if there are none."""
        data = bytes(range(size))
        self.assertEqual(sent(f"bytes=-{suffix}", size), data[max(0, size - suffix) :] or None)

    def test_examples(self) -> None:
        """The examples of RFC 9110 section 14.1.2, of 10,000 bytes."""
        for text, part in (
            ("bytes=0-499", ByteRange(0, 499)),
            ("bytes=500-999", ByteRange(500, 999)),
            ("bytes=-500", ByteRange(9500, 9999)),
            ("bytes=9500-", ByteRange(9500, 9999)),
            ("bytes=0-0", ByteRange(0, 0)),
            ("bytes=-1", ByteRange(9999, 9999)),
            ("Bytes= 0-499 ,", ByteRange(0, 499)),
            ("bytes=9999-99999999999999999999999999", ByteRange(9999, 9999)),
            ("bytes=-99999999999999999999999999", ByteRange(0, 9999)),
            ("bytes=0000000000000000000000000000001-2", ByteRange(1, 2)),
        ):
            self.assertEqual(part_of(text, 10_000), part, text)

    def test_ignored(self) -> None:
        """What is no single byte range is answered with the whole; only ASCII has digits."""
        for text in (
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1_0-20",
            "bytes=0x1-2",
            "bytes=1.0-2",
            "bytes=٣-٤",
            "bytes=²-3",
            "bytes=- 5",
            "bytes =0-4",
            "bytes=0-4;bytes=5-6",
            "bytes=0-4,6-8",
            "bytes=0-4, bytes=6-8",
            "bytes=0-4\n",
            "seconds=0-4",
            "bytes=--5",
        ):
            self.assertIsNone(part_of(text), text)

    def test_beyond_the_end(self) -> None:
        """The answer to a range after the end says how much there is."""
        for text in ("bytes=10-", "bytes=10-12", "bytes=-0", "bytes=" + "9" * 5000 + "-"):
            with self.assertRaises(RangeNotSatisfiable, msg=text) as caught:
                part_of(text)
            self.assertEqual(caught.exception.headers, (("Content-Range", "bytes */10"),))

    def test_if_range(self) -> None:
        """A range holds for the version it was meant for, by strong comparison, or not at all."""
        for if_range, part in (
            ('"v1"', ByteRange(2, 3)),
            (' "v1" ', ByteRange(2, 3)),
            ('W/"v1"', None),
            ('"v2"', None),
            ("v1", None),
            ('"v1", "v2"', None),
            ("*", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ):
            conditions = Conditions(range="bytes=2-3", if_range=if_range)
            self.assertEqual(requested_range(conditions, ETAG, 10), part, if_range)

    def test_if_range_before_416(self) -> None:
        """A range that was meant for a longer version does not fail, it gives the whole."""
        conditions = Conditions(range="bytes=20-", if_range='"longer"')
        self.assertIsNone(requested_range(conditions, ETAG, 10))

    @given(st.text("0123456789-=, bytesBYTES+_.\t٣", max_size=20), SIZES)
    def test_any_text(self, text: str, size: int) -> None:
        """Whatever is asked for, a part lies inside, or the answer is 416."""
        for header in (text, "bytes=" + text):
            body = sent(header, size)
            self.assertIn(body if body is not None else b"", bytes(range(size)))


class PreconditionTests(SynchronousTestCase):
    """Whether the client has this version, or insists on one."""

    def test_if_none_match(self) -> None:
        """A client that names this version, weakly too, has it."""
        for header in ('"v1"', 'W/"v1"', "*", '"v0", "v1"', ',"v0",,W/"v1" ,', '"a,b", "v1"'):
            self.assertTrue(is_current(Conditions(if_none_match=header), ETAG), header)
        for header in ("", '"v2"', "v1", '"v1', 'w/"v1"', '"v0" "v1"', '"v11"', '"*"', '"v1", x'):
            self.assertFalse(is_current(Conditions(if_none_match=header), ETAG), header)

    def test_if_match(self) -> None:
        """A client that insists on a version gets it, by strong comparison, or 412."""
        for header in ('"v1"', "*", '"v0", "v1"'):
            self.assertFalse(is_current(Conditions(if_match=header), ETAG), header)
        for header in ('"v2"', 'W/"v1"', "v1", ""):
            with self.assertRaises(PreconditionFailed, msg=header):
                is_current(Conditions(if_match=header), ETAG)

    def test_precedence(self) -> None:
        """``If-Match`` is looked at first (RFC 9110 section 13.2.2)."""
        with self.assertRaises(PreconditionFailed):
            is_current(Conditions(if_match='"v2"', if_none_match='"v1"'), ETAG)
        self.assertTrue(is_current(Conditions(if_match='"v1"', if_none_match='"v1"'), ETAG))

    @given(st.text('"W/*, v1\x7f\xe9', max_size=30))
    def test_any_text(self, text: str) -> None:
        """Whatever is sent, a version counts as named only if it stands there in quotes."""
        if is_current(Conditions(if_none_match=text), ETAG):
            self.assertTrue('"v1"' in text or text.strip() == "*")
