"""Tests of `vidlink.server.api.parameters`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.api.parameters import (
    Query,
    framerate_mhz,
    json_object,
    sentinel_id,
    sequence,
    session_id,
    time_us,
)
from vidlink.server.api.refusals import BadParameter, WrongMediaType

NAMES = ("from", "to", "after", "limit", "sentinel")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Case(SynchronousTestCase):
    """How a refusal is looked at."""

    def assert_refused(self, name: str, ask: Callable[..., object], *args: object) -> None:
        """``ask(*args)`` is refused with a text that begins with the name of the parameter."""
        with self.assertRaises(BadParameter, msg=repr(args)) as caught:
            ask(*args)
        self.assertEqual(str(caught.exception).partition(":")[0], name)


class QueryTests(Case):
    """What stands behind the question mark."""

    def test_nothing(self) -> None:
        """Nothing given means no bounds and the default limit."""
        for target in (b"/api/v1/sessions", b"/api/v1/sessions?", b"/?&&"):
            query = Query(target, NAMES)
            self.assertEqual(query.time_range_us(), (None, None))
            self.assertEqual(query.limit(100, 1000), 100)
            for ask in (query.text, query.sequence, query.sentinel_id, query.time_us):
                self.assertIsNone(ask("sentinel"))

    def test_values(self) -> None:
        """Values are percent-decoded and read by what they are."""
        query = Query(b"/?from=1&to=1970-01-01T00%3A00%3A01Z&after=a%2Bb+c&limit=7", NAMES)
        self.assertEqual(query.time_range_us(), (1, 1_000_000))
        self.assertEqual(query.text("after"), "a+b c")
        self.assertEqual(query.limit(100, 1000), 7)
        self.assertEqual(Query(b"/?sentinel=desk-12", NAMES).sentinel_id("sentinel"), "desk-12")
        self.assertEqual(Query(b"/?after=4294967295", NAMES).sequence("after"), 4294967295)

    def test_unknown_names(self) -> None:
        """A name that is not taken is refused, and the answer lists those that are."""
        self.assert_refused("form", Query, b"/?form=1", NAMES)
        with self.assertRaises(BadParameter) as caught:
            Query(b"/?form=1", NAMES)
        self.assertIn("from, to, after, limit", str(caught.exception))
        self.assert_refused("x", Query, b"/?x")
        self.assert_refused("''", Query, b"/?=1", NAMES)
        self.assert_refused("x" * 60, Query, b"/?" + b"x" * 4000, NAMES)

    def test_twice(self) -> None:
        """Two values for one name are refused, because only one could count."""
        self.assert_refused("to", Query, b"/?to=1&to=2", NAMES)

    def test_bad_values(self) -> None:
        """Each value that is not what is wanted is refused by its name."""
        for value in (b"0", b"1001", b"-1", b"+1", b"1_0", b"1.0", b"", b"%D9%A3", b"9" * 30):
            query = Query(b"/?limit=" + value, NAMES)
            self.assert_refused("limit", query.limit, 100, 1000)
        for value in (b"", b"4294967296", b"-1", b"1_0", b"%D9%A3", b"x", b"9" * 3000):
            query = Query(b"/?after=" + value, NAMES)
            self.assert_refused("after", query.sequence, "after")
        query = Query(b"/?sentinel=..%2Fsecrets&after=" + b"x" * 201, NAMES)
        self.assert_refused("sentinel", query.sentinel_id, "sentinel")
        self.assert_refused("after", query.text, "after")
        backwards = Query(b"/?from=2&to=1", NAMES)
        self.assert_refused("from", backwards.time_range_us)

    @given(st.binary(max_size=60))
    def test_any_bytes(self, junk: bytes) -> None:
        """Whatever is sent, it is refused by name or read; nothing else is raised."""
        for target in (b"/?" + junk, b"/?from=" + junk, b"/?limit=" + junk):
            try:
                query = Query(target, NAMES)
                query.time_range_us()
                query.limit(100, 1000)
            except BadParameter:
                continue


class TimeTests(Case):
    """Times, in microseconds or as RFC 3339 has them."""

    def test_examples(self) -> None:
        """Microseconds, and the examples of RFC 3339 section 5.8."""
        for text, expected in (
            ("0", 0),
            ("1751362200000000", 1751362200000000),
            ("9223372036854775807", 2**63 - 1),
            ("1985-04-12T23:20:50.52Z", 482196050520000),
            ("1996-12-19T16:39:57-08:00", 851042397000000),
            ("1990-12-31T23:59:60Z", 662688000000000),
            ("1990-12-31T15:59:60-08:00", 662688000000000),
            ("1937-01-01T12:00:27.87+00:20", -1041337172130000),
            ("1970-01-01t00:00:00.0000019999z", 1),
            ("0001-01-01T00:00:00+23:59", -62135683140000000),
            ("9999-12-31T23:59:59-23:59", 253402387139000000),
        ):
            self.assertEqual(time_us(text, "from"), expected, text)

    def test_bad_times(self) -> None:
        """What is no exact moment is refused, with an example of one."""
        for text in (
            "",
            "-1",
            "1.5",
            "1_0",
            "٣",
            "9223372036854775808",
            "99999999999999999999",
            "yesterday",
            "2026-07-01",
            "2026-07-01T09:30Z",
            "2026-07-01T09:30:00",
            "2026-07-01 09:30:00Z",
            "2026-07-01T09:30:00 02:00",
            "2026-07-01T09:30:00+0200",
            "2026-07-01T09:30:00.Z",
            "2026-07-01T09:30:00+24:00",
            "2026-07-01T09:30:00+02:60",
            "2026-07-01T24:00:00Z",
            "2026-07-01T09:60:00Z",
            "2026-07-01T09:30:61Z",
            "2026-02-29T09:30:00Z",
            "2026-13-01T09:30:00Z",
            "0000-01-01T09:30:00Z",
            "٢٠٢٦-07-01T09:30:00Z",
            "2026-07-01T09:30:00Z\n",
        ):
            self.assert_refused("from", time_us, text, "from")
        with self.assertRaises(BadParameter) as caught:
            time_us("yesterday", "from")
        self.assertIn("2026-07-01T09:30:00Z", str(caught.exception))

    @given(
        st.datetimes(
            min_value=datetime(1, 1, 3),
            max_value=datetime(9999, 12, 29),
            timezones=st.integers(-1439, 1439).map(
                lambda minutes: timezone(timedelta(minutes=minutes))
            ),
        )
    )
    def test_any_time(self, moment: datetime) -> None:
        """A time is read as it was written, to the microsecond."""
        expected = (moment - EPOCH) // timedelta(microseconds=1)
        self.assertEqual(time_us(moment.isoformat(), "from"), expected)


class PathTests(Case):
    """Names and numbers in the path."""

    def test_ids(self) -> None:
        """What may not name a Sentinel or a session is refused before anybody looks for it."""
        self.assertEqual(sentinel_id("desk-12"), "desk-12")
        self.assertEqual(session_id("s" * 16), "s" * 16)
        for text in ("", ".", "..", "-a", "a/b", "a" * 65, "ä", "a\n"):
            self.assert_refused("sentinelId", sentinel_id, text)
        for text in ("", "s" * 15, "s" * 65, "." * 16, "s" * 16 + "\n"):
            self.assert_refused("sessionId", session_id, text)

    def test_sequence(self) -> None:
        """A sequence is a number of 32 bits."""
        self.assertEqual(sequence("0"), 0)
        self.assertEqual(sequence("4294967295"), 4294967295)
        for text in ("", "4294967296", "-1", "1e3", "٣", "9" * 5000):
            self.assert_refused("sequence", sequence, text)


class BodyTests(Case):
    """What is sent to change something."""

    def test_framerates(self) -> None:
        """Frames a second become mHz; the Sentinel's own bounds are not checked here."""
        for value, expected in ((5, 5000), (0.2, 200), (2.5, 2500), (0.001, 1), (1e6, 10**9)):
            self.assertEqual(framerate_mhz({"framerate": value}), expected)

    def test_bad_framerates(self) -> None:
        """What is no frame rate is refused by its name."""
        for text in ("null", "true", '"5"', "[5]", "0", "-1", "0.0001", "1e7", "1" * 400):
            body = json.loads(f'{{"framerate": {text}}}')
            self.assert_refused("framerate", framerate_mhz, body)
        for text in ("NaN", "Infinity", "-Infinity"):
            body = json.loads(f'{{"framerate": {text}}}')
            self.assert_refused("framerate", framerate_mhz, body)
        self.assert_refused("framerate", framerate_mhz, {})
        self.assert_refused("fps", framerate_mhz, {"framerate": 5, "fps": 5})

    def test_json(self) -> None:
        """A body is one JSON object, and says so."""
        for content_type in ("application/json", "Application/JSON; charset=utf-8"):
            self.assertEqual(json_object(b'{"a": 1}', content_type), {"a": 1})
        for wrong in (None, "", "text/plain", "application/x-www-form-urlencoded"):
            with self.assertRaises(WrongMediaType, msg=repr(wrong)):
                json_object(b'{"a": 1}', wrong)
        for body in (b"", b"{", b"[]", b"1", b'"a"', b"\xff", b"[" * 60_000, b"1" * 5000):
            self.assert_refused("body", json_object, body, "application/json")

    def test_json_twice(self) -> None:
        """A name is there once, wherever it stands."""
        for body in (b'{"a": 1, "b": 2, "a": 1}', b'{"c": [{"a": 1, "a": 2}]}'):
            self.assert_refused("a", json_object, body, "application/json")
