"""Index records side by side against records one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.store.samples import a_session, an_arrival
from vidlink.store.files.columns import read_columns
from vidlink.store.files.layout import DAMAGED, RECORD_BYTES, IndexRecord, read_numbers

U32 = st.integers(0, 2**32 - 1)
U63 = st.integers(0, 2**63 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
RECORDS = st.lists(
    st.builds(
        IndexRecord, U63, U63, U32, U32, I64, U63, U32, U32, I64, st.integers(0, 255),
        st.integers(0, 2**16 - 1),
    ),
    max_size=12,
)  # fmt: skip


class ColumnsTests(SynchronousTestCase):
    """Both ways of reading say the same."""

    def assert_alike(self, data: bytes) -> None:
        """All columns are those of the records that count."""
        rows = [row for row in read_numbers(data) if row is not None]
        found = zip(*read_columns(data), strict=True)
        self.assertEqual(list(found), [row[:7] + row[9:11] for row in rows])

    @given(RECORDS)
    def test_any_records(self, records: list[IndexRecord]) -> None:
        """Whatever stands in the records, with those left out that do not count."""
        self.assert_alike(b"".join(record.pack() for record in records))

    @given(
        st.integers(1, 40),
        st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=6),
    )
    def test_damage(self, count: int, flips: list[tuple[int, int]]) -> None:
        """Whichever octets are damaged, in one record or in several: these are left out, and no
        others."""
        session = a_session()
        data = bytearray()
        for sequence in range(count):
            flags = DAMAGED if sequence == 7 else 1
            segment = an_arrival(session, sequence).segment
            record = IndexRecord(
                sequence, 24 * sequence, 24, 5, segment.start_time_us, sequence, 200, 5_000, 9,
                flags, 108,
            )  # fmt: skip
            data += record.pack()
        for place, change in flips:
            data[place % len(data)] ^= change
        self.assert_alike(bytes(data))

    def test_every_octet(self) -> None:
        """No octet of a record can change without being noticed."""
        good = b"".join(
            IndexRecord(n, n, 1, n, n, n, 200, 5_000, n, 1, 108).pack() for n in range(20)
        )
        for place in range(9 * RECORD_BYTES, 10 * RECORD_BYTES):
            bad = bytearray(good)
            bad[place] ^= 1 << place % 8
            numbers = list(read_columns(bytes(bad)).sequences)
            self.assertEqual(numbers, [n for n in range(20) if n != 9])
