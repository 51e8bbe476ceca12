"""So many at a time of each: what one credential may have under way.

Bound: `most_each` for each of those that are told apart. Who they are is theirs to say who ask:
requests are counted by credential, and by place where everybody is let in without one.
"""

from __future__ import annotations

from collections.abc import Hashable


class Shares:
    """The number that each has under way."""

    def __init__(self, most_each: int) -> None:
        self.most_each = most_each
        self._taken: dict[Hashable, int] = {}

    def take(self, whose: Hashable) -> bool:
        """One more of `whose` begins; False: it may not, and nothing is counted."""
        taken = self._taken.get(whose, 0)
        if taken >= self.most_each:
            return False
        self._taken[whose] = taken + 1
        return True

    def give_back(self, whose: Hashable) -> None:
        """One of `whose` that was begun is over."""
        self._taken[whose] -= 1
        if not self._taken[whose]:
            del self._taken[whose]
