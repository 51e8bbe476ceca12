"""Arithmetic on whole arrays against that on one number after the other."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.fmp4.lanes import (
    are_alike,
    are_within,
    ascend,
    changes,
    count_changes,
    halved,
    raised,
    steps,
)

NUMBERS = st.lists(st.integers(0, 2**62))
#: More than are done at a time.
MANY = 2_500


class LaneTests(SynchronousTestCase):
    """Each function does to all what its name does to one."""

    @given(NUMBERS, st.integers(-(2**62), 2**62))
    def test_raised(self, numbers: list[int], amount: int) -> None:
        """An amount is added to each, below 0 too."""
        amount = max(amount, -min(numbers, default=0))
        found = raised(array("Q", numbers), amount)
        self.assertEqual(list(found), [one + amount for one in numbers])

    @given(st.lists(st.integers(10, 2**32 - 11)), st.integers(-10, 10))
    def test_raised_narrow(self, numbers: list[int], amount: int) -> None:
        """Numbers of 32 bits likewise."""
        found = raised(array("I", numbers), amount)
        self.assertEqual(list(found), [one + amount for one in numbers])

    @given(NUMBERS)
    def test_steps(self, numbers: list[int]) -> None:
        """The steps of what ascends lead from its first to its last."""
        numbers.sort()
        found = list(steps(array("Q", numbers)))
        pairs = zip(numbers[1:], numbers, strict=False)
        self.assertEqual(found, [one - other for one, other in pairs])

    @given(st.lists(st.integers(0, 2)))
    def test_changes(self, numbers: list[int]) -> None:
        """A change is where a number is another than the one before it."""
        expected = [n for n in range(1, len(numbers)) if numbers[n] != numbers[n - 1]]
        self.assertEqual(list(changes(array("H", numbers))), expected)
        self.assertEqual(count_changes(array("H", numbers)), len(expected))
        self.assertEqual(are_alike(array("H", numbers)), len(set(numbers)) < 2)

    @given(st.lists(st.integers(0, 2**64 - 1)))
    def test_wide_changes(self, numbers: list[int]) -> None:
        """Any two numbers that differ are counted, by whichever bits they do."""
        numbers = [half for number in numbers for half in (number, number, number ^ 2**63)]
        pairs = zip(numbers[1:], numbers, strict=False)
        expected = sum(one != other for one, other in pairs)
        self.assertEqual(count_changes(array("Q", numbers)), expected)

    @given(st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 63))
    def test_within(self, numbers: list[int], bits: int) -> None:
        """Numbers are within so many bits, or one of them is not."""
        self.assertEqual(are_within(array("Q", numbers), bits), max(numbers, default=0) < 2**bits)

    @given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True))
    def test_ascending(self, numbers: list[int]) -> None:
        """Numbers ascend if each is more than the one before, however far they lie apart."""
        self.assertEqual(ascend(array("q", numbers)), numbers == sorted(numbers))
        numbers.sort()
        self.assertTrue(ascend(array("q", numbers)))
        self.assertEqual(ascend(array("q", [*numbers, *numbers[-1:]])), not numbers)
        numbers = [number + 2**63 for number in numbers]
        self.assertTrue(ascend(array("Q", numbers)))

    @given(st.integers(1, MANY - 1))
    def test_many(self, place: int) -> None:
        """Wherever in a long array one number is out of the row, that is seen; and all are done."""
        values = array("Q", range(MANY))
        self.assertTrue(ascend(values))
        self.assertEqual(list(raised(values, 7)), [*range(7, MANY + 7)])
        self.assertEqual(list(steps(values)), [1] * (MANY - 1))
        self.assertEqual(count_changes(values), MANY - 1)
        values[place] = values[place - 1]
        self.assertFalse(ascend(values))
        self.assertEqual(count_changes(values), MANY - 2)
        values[place] = 2**40
        self.assertFalse(are_within(values, 40))
        self.assertTrue(are_within(values, 41))

    @given(st.lists(st.integers(-(2**31), 2**31 - 1)))
    def test_halved(self, numbers: list[int]) -> None:
        """The lower half of a number is the number in 32 bits."""
        found = halved(array("q", numbers))
        self.assertEqual(list(array("i", found.tobytes())), numbers)
