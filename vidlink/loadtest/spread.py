"""Times and how they are spread, in a few hundred numbers however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

#: Steps to each doubling: what is read is at most a sixteenth more than it was.
_STEPS = 16
_STEP_BITS = 4


class Spread:
    """Times in whole microseconds, from 0 on, counted by their size; the longest is exact."""

    def __init__(self) -> None:
        self.longest_us = 0
        self._counts: Counter[int] = Counter()

    def add(self, time_us: int) -> None:
        """Count one; a time below 0 is 0."""
        if time_us > self.longest_us:
            self.longest_us = time_us
        if time_us < 2 * _STEPS:
            self._counts[time_us if time_us > 0 else 0] += 1
        else:
            shift = time_us.bit_length() - 1 - _STEP_BITS
            self._counts[shift * _STEPS + (time_us >> shift)] += 1

    def merge(self, other: Spread) -> None:
        """Count all of another one as well."""
        self.longest_us = max(self.longest_us, other.longest_us)
        self._counts.update(other._counts)

    @property
    def count(self) -> int:
        """The number of times."""
        return self._counts.total()

    def within_us(self, share: float) -> int:
        """The time that so much of all (0 to 1) is within; 0 if there is none at all."""
        wanted, seen = share * self.count, 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= wanted:
                return min(_upper(step), self.longest_us)
        return 0

    def plain(self) -> dict[str, int]:
        """The same as JSON has it."""
        return {"longest": self.longest_us, **{str(k): n for k, n in self._counts.items()}}

    @classmethod
    def of_plain(cls, plain: Mapping[str, int]) -> Spread:
        """The spread that :meth:`plain` has told of."""
        spread = cls()
        spread.longest_us = plain["longest"]
        spread._counts.update({int(k): n for k, n in plain.items() if k != "longest"})
        return spread


def _upper(step: int) -> int:
    """The longest time that is counted in a step."""
    if step < 2 * _STEPS:
        return step
    shift = step // _STEPS - 1
    return ((step - shift * _STEPS + 1) << shift) - 1
