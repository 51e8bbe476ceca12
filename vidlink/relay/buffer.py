"""The memory buffer: the last seconds of one session, with a place to join always in it.

Which viewer is where in it is :mod:`vidlink.relay.cursor`; whose buffer it is, is
:mod:`vidlink.relay.stream`.
"""

from __future__ import annotations

from collections import deque

from zope.interface import implementer

from vidlink.interfaces import IBuffer
from vidlink.model import Arrival, Frame

#: The cost of an entry beside its media, counted too: so a flood of tiny segments is bounded.
ENTRY_BYTES = 1024


class Budget:
    """The octets that all buffers together may hold.

    Over the total, every buffer is cut to an equal share as it is appended to or trimmed. That
    needs no search for the largest one, and one heavy stream cannot push out the light ones.

    :param total_bytes: the bound on all buffers together.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self.buffers = 0

    def allowance(self) -> int | None:
        """The octets that one buffer may hold now; None while there is room for all."""
        if self.used_bytes <= self.total_bytes:
            return None
        return self.total_bytes // max(1, self.buffers)


@implementer(IBuffer)
class Buffer:
    """Segments of the last `window_seconds`, back to the keyframe segment before them.

    What is older goes a group at a time, so that the oldest entry is a place to join. Only at
    a cap are single entries let go, oldest first; then :meth:`append` returns True, and what
    is left up to the next keyframe can be followed but not joined. What is encoded of a segment
    for viewers of other formats counts as well.

    :param window_seconds: how long a segment is kept after it arrived.
    :param cap_bytes: the most this buffer holds; the newest segment is always kept.
    :param budget: what it shares with all others; released by :meth:`close`.
    """

    def __init__(self, window_seconds: float, cap_bytes: int, budget: Budget) -> None:
        self.window_seconds = window_seconds
        self.size_bytes = 0
        self.first = 0
        self.end = 0
        self.newest_sequence: int | None = None
        self._cap_bytes = cap_bytes
        self._budget = budget
        self._entries: deque[Arrival] = deque()
        self._keyframes: deque[int] = deque()
        self._was_forced = False
        self._is_closed = False
        budget.buffers += 1

    def append(self, arrival: Arrival) -> bool:
        """Add the newest segment.

        True if since the last one a cap has forced out what the window would keep.
        """
        if arrival.segment.is_keyframe:
            self._keyframes.append(self.end)
        self._entries.append(arrival)
        self.end += 1
        self.newest_sequence = arrival.segment.sequence
        self._grow(_weight(arrival))
        self.trim(arrival.arrived_seconds)
        forced, self._was_forced = self._was_forced, False
        return forced

    def keep(self, arrival: Arrival, name: str, frame: Frame) -> None:
        """Keep with `arrival`, which must be held, what it is in the format `name`.

        A cap that this exceeds is kept at the next :meth:`append` or :meth:`trim`.
        """
        before = _weight(arrival)
        if arrival.encoded is None:
            arrival.encoded = {}
        arrival.encoded[name] = frame
        self._grow(_weight(arrival) - before)

    def at(self, position: int) -> Arrival:
        """The entry at `position`.

        :raises IndexError: unless ``first <= position < end``.
        """
        if not self.first <= position < self.end:
            raise IndexError(position)
        return self._entries[position - self.first]

    def newest_keyframe(self, at_or_after: int) -> int | None:
        """The newest position >= `at_or_after` where a viewer may join; None if none."""
        if self._keyframes and self._keyframes[-1] >= at_or_after:
            return self._keyframes[-1]
        return None

    def oldest_keyframe(self, at_or_after: int) -> int | None:
        """The oldest position >= `at_or_after` where a viewer may join; None if none."""
        return next((place for place in self._keyframes if place >= at_or_after), None)

    def trim(self, now_seconds: float) -> None:
        """Let go of every group that ends before the window, and of what is over a cap."""
        edge = now_seconds - self.window_seconds
        keyframes = self._keyframes
        while len(keyframes) > 1 and self.at(keyframes[1]).arrived_seconds <= edge:
            self._let_go(keyframes[1])
        leading = keyframes[0] if keyframes else self.end
        while self.first < leading and self.at(self.first).arrived_seconds <= edge:
            self._let_go(self.first + 1)
        self._keep_to_caps()

    def close(self) -> None:
        """Let go of everything, for good; cursors still on it see that it is gone."""
        if not self._is_closed:
            self._is_closed = True
            self._let_go(self.end)
            self._budget.buffers -= 1

    def _keep_to_caps(self) -> None:
        allowance = self._budget.allowance()
        cap = self._cap_bytes if allowance is None else min(allowance, self._cap_bytes)
        while self.size_bytes > cap and self.end - self.first > 1:
            self._let_go(self.first + 1)
            self._was_forced = True

    def _let_go(self, before: int) -> None:
        while self.first < before:
            arrival = self._entries.popleft()
            self._grow(-_weight(arrival))
            # It may wait for the disk yet, and what was encoded for viewers is not to.
            arrival.frame, arrival.spoken, arrival.encoded = None, "", None
            self.first += 1
        while self._keyframes and self._keyframes[0] < self.first:
            self._keyframes.popleft()

    def _grow(self, octets: int) -> None:
        self.size_bytes += octets
        self._budget.used_bytes += octets


def _weight(arrival: Arrival) -> int:
    """The cost of an entry in octets: its media, and each format in which it was encoded anew. What
    it came as holds the media: they are a view into it."""
    size = len(arrival.segment.data) + ENTRY_BYTES
    if arrival.encoded is not None:
        size += sum(map(len, arrival.encoded.values()))
    return size
