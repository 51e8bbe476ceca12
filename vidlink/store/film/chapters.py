"""Cutting a session for a playlist: at keyframes, at gaps, and where it would become too long.

Every cut is made when the segments before it are there and never again, so that the list of a
live session only grows. How the list is written is in `playlist`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

#: No chapter lasts longer. A keyframe comes every 10 s unless a Sentinel is told otherwise, and
#: a frame time later if it has to wait for one.
TARGET_SECONDS = 12
#: So many segments one chapter has at most: what one request may ask for.
MAX_SEGMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Chapter:
    """Segments `first` to `last`, all there and to be shown one after the other.

    `duration` is in ticks of the session. `is_after_gap` says that something is missing before
    it, or that nothing is before it at all; `is_key` that it begins with a keyframe.
    """

    first: int
    last: int
    start_time_us: int
    duration: int
    is_after_gap: bool
    is_key: bool


class _Shown(NamedTuple):
    """One segment of the chapter that is being made."""

    sequence: int
    media_time: int
    duration: int
    start_time_us: int
    is_key: bool


class Chapters:
    """The cutting of one session; what it has to remember is the chapter that is being made."""

    def __init__(self, timescale: int) -> None:
        self._longest = TARGET_SECONDS * timescale
        self._open: list[_Shown] = []
        self._is_after_gap = True

    @property
    def memory_bytes(self) -> int:
        """About what it takes of memory: a tuple and its numbers for each segment."""
        return 256 * len(self._open)

    def offer(
        self, sequence: int, media_time: int, duration: int, start_time_us: int, is_key: bool
    ) -> list[Chapter]:
        """Add the next segment that can be shown; returns what is finished by it.

        A chapter lasts until the next one begins, as long as no sequence is missing between
        them and the last frame is not shown for longer than any chapter may last.
        """
        made: list[Chapter] = []
        shown, longest = self._open, self._longest
        if shown:
            newest = shown[-1]
            if sequence != newest.sequence + 1 or media_time - newest.media_time > longest:
                made = self.break_off()
            else:
                if media_time - shown[0].media_time > longest:
                    made.append(self._close(len(shown) - 1, newest.media_time))
                if is_key or len(shown) >= MAX_SEGMENTS:
                    made.append(self._close(len(shown), media_time))
        shown.append(_Shown(sequence, media_time, duration, start_time_us, is_key))
        return made

    def break_off(self) -> list[Chapter]:
        """Something is missing after the last segment; what is finished by that."""
        made = self.rest()
        if made:
            self._open.clear()
            self._is_after_gap = True
        return made

    def rest(self) -> list[Chapter]:
        """The chapters that would follow if nothing more came, each to the end of its frames."""
        if not self._open:
            return []
        first, newest = self._open[0], self._open[-1]
        own = min(newest.duration, self._longest)
        duration = newest.media_time + own - first.media_time
        if duration <= self._longest:
            return [self._chapter(first, newest, duration, self._is_after_gap)]
        before = self._open[-2]
        duration -= own
        return [
            self._chapter(first, before, duration, self._is_after_gap),
            self._chapter(newest, newest, own, False),
        ]

    def _close(self, count: int, end: int) -> Chapter:
        """Make a chapter, until `end`, of the first `count` segments."""
        first = self._open[0]
        made = self._chapter(
            first, self._open[count - 1], end - first.media_time, self._is_after_gap
        )
        del self._open[:count]
        self._is_after_gap = False
        return made

    def _chapter(self, first: _Shown, last: _Shown, duration: int, is_after_gap: bool) -> Chapter:
        return Chapter(
            first.sequence, last.sequence, first.start_time_us, duration, is_after_gap, first.is_key
        )
