"""Tests of `vidlink.store.files.records`: sessions in many parts."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.faulty_disk import FaultyDisk
from tests.store.recorded import folder_of
from tests.store.rig import Rig
from tests.store.samples import EPOCH_US, a_session, an_arrival
from vidlink.model import SegmentQuery
from vidlink.store.files.layout import read_records
from vidlink.store.files.records import count_records

PARTS = 120
MOST_OPEN = 5


class CountingDisk(FaultyDisk):
    """Knows how many files were open for reading at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[int] = set()
        self.most_open = 0

    def open_for_reading(self, path: str) -> int:
        """Open, and count."""
        descriptor = super().open_for_reading(path)
        self.open.add(descriptor)
        self.most_open = max(self.most_open, len(self.open))
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close, and count."""
        self.open.discard(descriptor)
        super().close(descriptor)


class ManyPartsTests(SynchronousTestCase):
    """A session whose every second segment came late, the last of them first."""

    def setUp(self) -> None:
        """Record it: each late segment is a part of its own."""
        self.disk = CountingDisk()
        self.rig = Rig(self.mktemp(), disk=self.disk, durability="os")
        self.addCleanup(self.rig.remove)
        self.session = a_session()
        store = self.rig.store
        store.ledger.begin(self.session, lambda sequence: None)
        for sequence in range(0, 2 * PARTS, 2):
            store.ledger.append(self.session.session_id, an_arrival(self.session, sequence))
        self.rig.settle()
        for sequence in range(2 * PARTS - 1, 0, -2):
            late = an_arrival(self.session, sequence, late=True)
            store.ledger.append(self.session.session_id, late)
            self.rig.settle()
        store.ledger.end(self.session.session_id, "over", self.session.started_time_us)
        self.rig.settle()
        counts = count_records(self.disk, folder_of(self.rig, self.session))
        self.assertEqual(len(counts), PARTS)

    def got(self, name: str, *arguments: Any) -> Any:
        """What the store says about the session."""
        method = getattr(self.rig.store.archive, name)
        self.disk.most_open = 0
        return self.successResultOf(method("desk-1", self.session.session_id, *arguments))

    def test_few_are_open(self) -> None:
        """However many parts there are, only those that a page or a segment is in are open, and
        none is afterwards."""
        for after in (None, PARTS, 2 * PARTS - 11):
            page = self.got("segments", SegmentQuery(after=after, limit=10))
            first = 0 if after is None else after + 1
            self.assertEqual([one.sequence for one in page.segments], [*range(first, first + 10)])
            self.assertLessEqual(self.disk.most_open, MOST_OPEN)
            self.assertEqual(self.disk.open, set())
        body, missing = self.got("media", 7, 7)
        self.assertLessEqual(self.disk.most_open, MOST_OPEN)
        self.assertEqual(missing, ())
        data = self.successResultOf(body.read(0, body.size_bytes))
        self.assertEqual(data, bytes(an_arrival(self.session, 7, late=True).segment.data))
        film, _ = self.got("film")
        size = sum(
            len(an_arrival(self.session, n, late=n % 2 == 1).segment.data) for n in range(2 * PARTS)
        )
        self.assertGreater(film.size_bytes, size)
        self.assertEqual(self.disk.open, set())


class OldTimesTests(SynchronousTestCase):
    """A recording of a version that believed every start time."""

    def setUp(self) -> None:
        """Twelve segments, in two parts."""
        self.rig = Rig(self.mktemp())
        self.addCleanup(self.rig.close)
        self.session = a_session()
        ledger = self.rig.store.ledger
        ledger.begin(self.session, lambda sequence: None)
        for sequence in (0, 1, 2, 3, 7, 8, 9, 10, 11):
            ledger.append(self.session.session_id, an_arrival(self.session, sequence))
        self.rig.settle()
        for sequence in (4, 5, 6):
            ledger.append(self.session.session_id, an_arrival(self.session, sequence, late=True))
        ledger.end(self.session.session_id, "over", EPOCH_US)
        self.rig.settle()

    def date(self, starts: dict[int, int]) -> None:
        """Let the segments have these start times, as that version wrote them."""
        folder = folder_of(self.rig, self.session)
        for name in ("part-0000.idx", "part-0001.idx"):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                records = [one for one in read_records(file.read()) if one is not None]
            with open(path, "wb") as file:
                for one in records:
                    start_us = EPOCH_US + starts[one.sequence]
                    file.write(one._replace(start_time_us=start_us, sample_offset=0).pack())

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.integers(-9, 9), min_size=12, max_size=12),
        st.none() | st.integers(-10, 10),
        st.none() | st.integers(-10, 10),
    )
    def test_any_times(self, times: list[int], low: int | None, high: int | None) -> None:
        """Whatever its start times are, a time range has what was captured in it, page by page."""
        self.date(dict(enumerate(times)))
        expected = [
            sequence
            for sequence, time in enumerate(times)
            if (low is None or time >= low) and (high is None or time < high)
        ]
        found: list[int] = []
        after: int | None = None
        while True:
            query = SegmentQuery(
                from_time_us=None if low is None else EPOCH_US + low,
                to_time_us=None if high is None else EPOCH_US + high,
                after=after,
                limit=2,
            )
            asked = self.rig.store.archive.segments("desk-1", self.session.session_id, query)
            page: Any = self.successResultOf(asked)
            found += [one.sequence for one in page.segments]
            after = page.next
            if after is None:
                break
        self.assertEqual(found, expected)
