"""Tests of `vidlink.server.health.memory`: when memory is given back."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.server.health.memory import LEAST_BYTES, Memory, trimmer

MIB = 1024 * 1024


class MemoryTests(SynchronousTestCase):
    """Buffers that rise and fall."""

    def setUp(self) -> None:
        """They are empty; `trims` has what they held whenever memory was given back."""
        self.used = 0
        self.trims: list[int] = []
        self.memory = Memory(lambda: self.used, lambda: self.trims.append(self.used))

    def ticks(self, used: int, count: int = 1) -> None:
        """So much is held, for so many seconds."""
        self.used = used
        for _ in range(count):
            self.memory.tick()

    def test_evening(self) -> None:
        """What was held by day is given back a minute after it was let go, and once."""
        self.ticks(1_000 * MIB, 100)
        self.ticks(10 * MIB, 59)
        self.assertEqual(self.trims, [])
        self.ticks(10 * MIB, 200)
        self.assertEqual(self.trims, [10 * MIB])

    def test_swing(self) -> None:
        """What is needed again within a minute is not given back."""
        for _ in range(20):
            self.ticks(1_000 * MIB, 10)
            self.ticks(500 * MIB, 40)
        self.assertEqual(self.trims, [])

    def test_little(self) -> None:
        """Nor is what is little, by itself or beside what is needed."""
        self.ticks(LEAST_BYTES - 1)
        self.ticks(0, 100)
        self.ticks(1_000 * MIB)
        self.ticks(801 * MIB, 100)
        self.assertEqual(self.trims, [])
        self.ticks(799 * MIB, 100)
        self.assertEqual(self.trims, [799 * MIB])

    def test_slowly(self) -> None:
        """What is let go little by little is given back in parts of a quarter."""
        for used in range(1_000, 0, -1):
            self.ticks(used * MIB)
        self.ticks(0, 100)
        self.assertLess(len(self.trims), 15)
        self.assertEqual(self.trims[-1], 0)

    @given(st.lists(st.integers(0, 4_000), max_size=200))
    def test_bound(self, course: list[int]) -> None:
        """However it goes: a minute after the last change, what was needed and is not is below the
        least that is given back."""
        self.setUp()
        for used in course:
            self.ticks(used * MIB)
        last = course[-1] if course else 0
        self.ticks(last * MIB, 61)
        self.assertLess(self.memory._most - last * MIB, max(LEAST_BYTES, 0.25 * last * MIB))

    def test_library(self) -> None:
        """The C library is asked for all that is free; one that has no such call is not."""
        asked: list[int] = []
        trim = trimmer(SimpleNamespace(malloc_trim=asked.append))
        assert trim is not None
        trim()
        self.assertEqual(asked, [0])
        self.assertIsNone(trimmer(SimpleNamespace()))
        memory = Memory(lambda: self.used, None)
        for used in (1_000 * MIB, *[0] * 100):
            self.used = used
            memory.tick()
