"""Allowances: tokens that are spent on doing something, and come back with the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much at once, and so much a second in the long run."""

    burst: int
    per_second: float


class Bucket:
    """The rest of one allowance, which is full at first.

    :param seconds: the monotonic clock.
    """

    def __init__(self, allowance: Allowance, seconds: Callable[[], float]) -> None:
        self._allowance = allowance
        self._seconds = seconds
        self._left = float(allowance.burst)
        self._counted_seconds = seconds()

    def spend(self) -> bool:
        """Spend one. False, and nothing is spent, if there is none left."""
        allowance, now = self._allowance, self._seconds()
        grown = self._left + (now - self._counted_seconds) * allowance.per_second
        self._left = min(float(allowance.burst), grown)
        self._counted_seconds = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
