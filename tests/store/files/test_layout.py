"""Tests of the bytes of our own files."""

from __future__ import annotations

import contextlib
import gc
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import a_session, an_arrival
from vidlink.errors import StoreError
from vidlink.model import Cause, Gap
from vidlink.store.files.layout import (
    KEYFRAME,
    LATE,
    RECORD_BYTES,
    UNDECODABLE,
    SessionFile,
    describe,
    pack_record,
    read_numbers,
    read_session,
    write_session,
)

U32 = st.integers(0, 2**32 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)


class RecordTests(SynchronousTestCase):
    """Index records."""

    @given(
        sequence=U32,
        offset=st.integers(0, 2**63),
        check=U32,
        start=I64,
        media_time=st.integers(0, 2**53),
        duration=U32,
        rate=U32,
        received=I64,
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def test_round_trip(
        self,
        sequence: int,
        offset: int,
        check: int,
        start: int,
        media_time: int,
        duration: int,
        rate: int,
        received: int,
        flags: tuple[bool, bool, bool],
    ) -> None:
        """A record says what it was given, to the end of every range."""
        key, late, undecodable = flags
        arrival = an_arrival(a_session(), 0)
        segment = replace(
            arrival.segment,
            sequence=sequence,
            start_time_us=start,
            duration_ms=duration,
            framerate_mhz=rate,
            is_keyframe=key,
            is_late=late,
        )
        arrival = replace(
            arrival,
            segment=segment,
            media_time=media_time,
            received_time_us=received,
            is_undecodable=undecodable,
        )
        data = pack_record(arrival, offset, check)
        self.assertEqual(len(data), RECORD_BYTES)
        (row,) = read_numbers(data)
        assert row is not None
        bits = KEYFRAME * key | LATE * late | UNDECODABLE * undecodable
        size = len(segment.data)
        expected = (sequence, offset, size, check, start, media_time, duration, rate, received)
        self.assertEqual(row[:9], expected)
        self.assertEqual(row[9], bits)

    def test_damage_is_seen(self) -> None:
        """Whatever bit of a record is wrong, it is not taken for one; its neighbours are."""
        session = a_session()
        records = [pack_record(an_arrival(session, n), 24 * n, n) for n in range(3)]
        for bit in range(RECORD_BYTES * 8):
            bad = bytearray(records[1])
            bad[bit // 8] ^= 1 << bit % 8
            first, second, third = read_numbers(records[0] + bytes(bad) + records[2])
            self.assertEqual([row[0] for row in (first, third) if row], [0, 2])
            padding = range(58, 60)
            if bit // 8 not in padding:
                self.assertIsNone(second, bit)

    def test_torn_end(self) -> None:
        """Half a record at the end is none, and zeros are none."""
        record = pack_record(an_arrival(a_session(), 0), 24, 1)
        self.assertEqual(len(list(read_numbers(record + record[:-1]))), 1)
        self.assertEqual(list(read_numbers(bytes(RECORD_BYTES))), [None])


class SessionFileTests(SynchronousTestCase):
    """``session.json``."""

    def test_round_trip(self) -> None:
        """Everything of a session but its init is read as it was written."""
        file = describe(replace(a_session(), name="Büro \u2603\n", init=b"init"))
        self.assertEqual(read_session(write_session(file)), file)
        self.assertEqual((file.session.init, file.init_size_bytes), (b"", 4))
        gaps = (Gap(1, 2, Cause.DECLARED, 3, None, "spool"), Gap(None, None, Cause.SERVER_STOPPED))
        ended = replace(file, ended_time_us=5, end_reason="over", gaps=gaps)
        self.assertEqual(read_session(write_session(ended)), ended)

    def test_anything_else(self) -> None:
        """What is missing, of another type, or of another format is an error and no crash."""
        known = json.loads(write_session(describe(a_session())))
        del known["crc32"]
        for name in known:
            bad: tuple[object, ...] = (None, [], {}, True, 1.5)
            for value in bad:
                with self.assertRaises(StoreError):
                    read_session(json.dumps(known | {name: value}).encode())
            if name.endswith("_id"):
                with self.assertRaises(StoreError):
                    read_session(json.dumps(known | {name: "../.."}).encode())
            less = {key: value for key, value in known.items() if key != name}
            if name == "init":
                self.assertEqual(read_session(json.dumps(less).encode()).init, b"")
                continue
            with self.assertRaises(StoreError):
                read_session(json.dumps(less).encode())
        with self.assertRaises(StoreError):
            read_session(json.dumps(known | {"format": 2}).encode())
        for data in (b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000):
            with self.assertRaises(StoreError):
                read_session(data)

    def test_out_of_range(self) -> None:
        """A number that no database holds or that would be divided by, half a letter, and a gap
        that ends before it begins: one wrong bit in a file is an error, and no crash later."""
        gap = Gap(1, 2, Cause.DECLARED, 3, 4, "spool")
        file = replace(describe(a_session()), ended_time_us=5, end_reason="over", gaps=(gap,))
        known = json.loads(write_session(file))
        self.assertEqual(read_session(json.dumps(known).encode()), file)
        del known["crc32"]
        bad: list[dict[str, object]] = [
            {name: value}
            for name, value in known.items()
            if type(value) is int
            for value in (10**30, -(10**30))
        ]
        bad += [{"timescale": 0}, {"init_size_bytes": -1}, {"init_size_bytes": 2**32}]
        bad += [
            {"filling_from": -1},
            {"name": "\ud800"},
            {"ended": {"time_us": 5, "reason": "\udfff"}},
        ]
        bad += [{"ended": {"time_us": 2**63, "reason": ""}}]
        for wrong in ({"first": 3}, {"first": -1}, {"last": 2**63}, {"end_time_us": 2**63}):
            bad.append({"gaps": [known["gaps"][0] | wrong]})
        self.assertEqual(read_session(json.dumps(known).encode()), file)
        for changed in bad:
            with self.assertRaises(StoreError, msg=changed):
                read_session(json.dumps(known | changed).encode())

    def test_lines(self) -> None:
        """It is as Python writes JSON for people, and leaves nothing behind for the collector."""
        gap = Gap(1, 2, Cause.DECLARED, 3, 4, "spööl")
        file = replace(describe(a_session()), ended_time_us=5, end_reason="over", gaps=(gap, gap))
        data = write_session(file)
        self.assertEqual(data.decode(), json.dumps(json.loads(data), indent=1) + "\n")
        gc.disable()
        self.addCleanup(gc.enable)
        gc.collect()
        write_session(file)
        self.assertEqual(gc.collect(), 0)

    def test_every_bit(self) -> None:
        """One wrong bit anywhere is an error, or makes no difference."""
        gap = Gap(1, 2, Cause.DECLARED, 3, 4, "spool")
        file = replace(describe(a_session()), ended_time_us=5, end_reason="over", gaps=(gap,))
        data = write_session(file)
        for bit in range(8 * len(data)):
            bad = bytearray(data)
            bad[bit // 8] ^= 1 << bit % 8
            with contextlib.suppress(StoreError):
                self.assertEqual(read_session(bytes(bad)), file, bit)

    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a session's file or an error."""
        try:
            found = read_session(data)
        except StoreError:
            return
        self.assertIsInstance(found, SessionFile)
