"""Arithmetic on whole arrays against that on one number after the other."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vidlink.fmp4.lanes import are_alike, changes, halved, raised, steps

NUMBERS = st.lists(st.integers(0, 2**62))


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
        self.assertEqual(are_alike(array("H", numbers)), len(set(numbers)) < 2)

    @given(st.lists(st.integers(-(2**31), 2**31 - 1)))
    def test_halved(self, numbers: list[int]) -> None:
        """The lower half of a number is the number in 32 bits."""
        found = halved(array("q", numbers))
        self.assertEqual(list(array("i", found.tobytes())), numbers)
