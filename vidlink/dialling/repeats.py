"""Lines about a server that would come at each try: each at once, and then once a minute."""

from __future__ import annotations

from collections.abc import Callable

from vidlink.quantities import repeated

#: The same is told again after this, with how often it was not.
AGAIN_SECONDS = 60.0
#: So many lines are known; what is new then makes all of them news again.
MOST_LINES = 16


class Repeats:
    """The lines that were told, and when; `seconds` is the monotonic clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._told: dict[str, tuple[float, int]] = {}

    def told(self, line: str) -> str:
        """The line as it is to be shown; empty if it was shown just now."""
        now = self._seconds()
        if line not in self._told and len(self._told) == MOST_LINES:
            self._told.clear()
        since, withheld = self._told.get(line, (float("-inf"), 0))
        if now - since < AGAIN_SECONDS:
            self._told[line] = since, withheld + 1
            return ""
        self._told[line] = now, 0
        return line + repeated(withheld)

    def clear(self) -> None:
        """Begin anew: whatever is told next is news."""
        self._told.clear()
