"""Tests of `vidlink.links.ingest.acks`: what is asked for, and that nothing is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.interfaces import LATE_LOAD
from vidlink.links.ingest.acks import MAX_HOLES, Acks
from vidlink.model import MAX_RANGES, Ranges

SESSION = "a-session-of-one-"
EVERY = 2 * MAX_RANGES


class AskedTests(SynchronousTestCase):
    """Ranges that are asked for, of a session that is acknowledged up to 9."""

    def setUp(self) -> None:
        """Acknowledge it."""
        self.acks = Acks()
        self.acks.begin(SESSION)
        self.acks.durable(SESSION, 9)
        self.acks.due(0.0)

    def asked(self, load: float = 0.0) -> list[tuple[int, int]]:
        """What the next acknowledgement names; it names what it acknowledges, too."""
        due = self.acks.due(load)
        self.assertEqual([ack.sequence for ack in due], [9] * len(due))
        self.assertTrue(all(0 < len(ack.missing) <= MAX_RANGES for ack in due))
        return [one for ack in due for one in ack.missing]

    def test_lost_beyond_one(self) -> None:
        """More that was acknowledged and is lost than one acknowledgement can name, and holes
        beside it, are all asked for, once, the lost ones first."""
        lost = [(first, first) for first in range(100, 100 + 2 * EVERY, 2)]
        holes = [(first, first) for first in range(100_000, 100_000 + 2 * EVERY, 2)]
        for first, last in lost:
            self.acks.lost(SESSION, first, last)
        for first, last in holes:
            self.acks.missing(SESSION, first, last)
        asked = [one for _ in range(5) for one in self.asked()]
        self.assertEqual(asked, lost + holes)

    def test_no_room(self) -> None:
        """While the store has no room nothing is asked for, and nothing forgotten."""
        self.acks.lost(SESSION, 3, 5)
        self.assertEqual(self.asked(LATE_LOAD), [])
        self.assertEqual(self.asked(), [(3, 5)])

    def test_bound(self) -> None:
        """The lowest holes wait, so many; the others are asked for at the next registration."""
        for first in range(100, 100 + 2 * MAX_HOLES + 100, 2):
            self.acks.missing(SESSION, first, first)
        asked = [one for _ in range(20) for one in self.asked()]
        self.assertEqual(len(asked), MAX_HOLES)
        self.assertEqual(asked[-1][1], 100 + 2 * MAX_HOLES - 2)

    @given(
        st.lists(
            st.tuples(st.booleans(), st.integers(10, 9_999), st.integers(0, 9), st.booleans()),
            max_size=60,
        )
    )
    def test_nothing_is_forgotten(self, course: list[tuple[bool, int, int, bool]]) -> None:
        """Whatever is missing or lost, and whenever it is asked for: all of it is, and nothing
        else."""
        self.setUp()
        named, wanted = Ranges(), Ranges()
        for is_lost, first, count, is_due in course:
            (self.acks.lost if is_lost else self.acks.missing)(SESSION, first, first + count)
            wanted.add(first, first + count)
            for low, high in self.asked() if is_due else ():
                named.add(low, high)
        for low, high in self.asked():
            named.add(low, high)
        self.assertEqual(list(named), list(wanted))
