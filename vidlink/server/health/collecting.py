"""The times at which Python collects objects that hold each other, none of them in the way of what
is live.

While it collects nothing else is done, in whichever thread it began. What is young is looked
through in a millisecond or two, and has to be: requests leave such objects behind. To look through
all, with what a thousand Sentinels have in the memory buffers, takes 60 to 250 ms, and Python does
it whenever so much has come to stay: a dozen times while buffers fill, and in the midst of every
storm. Connections, conversations and sessions need none of it, as they are let go by hand. So all
is looked through here alone: in a second in which no segment has come, or once an hour.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

#: Of new objects that stay, so many are looked through at a time, and again so many times that.
#: Python's own numbers: more at a time would take longer, and less often is not less in all.
YOUNG, YOUNG_TIMES = 700, 10
#: So many of those before Python would look through all by itself.
_NEVER = 2**31 - 1
#: All is looked through after so long, if nothing comes; and if segments come, after that.
QUIET_SECONDS = 300.0
BUSY_SECONDS = 3600.0
#: Of this many ticks the longest pause is remembered.
_TICKS = 60


class Collecting:
    """The collector under our orders, and the time that it takes.

    :param seconds: the monotonic clock.
    :param heard: the number of segments that have come so far.
    :param collector: the module `gc`.
    :param stopwatch: a clock in seconds for what is short.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        heard: Callable[[], int],
        collector: Any = gc,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._seconds = seconds
        self._heard = heard
        self._collector = collector
        self._stopwatch = stopwatch
        #: The time that it has taken in all, since the start.
        self.total_seconds = 0.0
        self._begun_seconds = 0.0
        self._pauses: deque[float] = deque([0.0], maxlen=_TICKS)
        self._before: tuple[int, int, int] | None = None
        self._heard_before = 0
        self._looked_seconds = 0.0

    @property
    def longest_seconds(self) -> float:
        """The longest that it took in the last minute."""
        return max(self._pauses)

    def begin(self) -> None:
        """Take over. What there is by now stays, and is never looked through any more."""
        collector = self._collector
        self._before = collector.get_threshold()
        collector.collect()
        collector.freeze()
        collector.set_threshold(YOUNG, YOUNG_TIMES, _NEVER)
        collector.callbacks.append(self._measure)
        self._looked_seconds = self._seconds()

    def end(self) -> None:
        """Give it back to Python; does nothing if it was not taken over."""
        before, self._before = self._before, None
        if before is not None:
            self._collector.callbacks.remove(self._measure)
            self._collector.set_threshold(*before)

    def tick(self) -> None:
        """Look through all if it is time; to be called about once a second."""
        heard = self._heard()
        is_quiet, self._heard_before = heard == self._heard_before, heard
        self._pauses.append(0.0)
        waited = self._seconds() - self._looked_seconds
        if waited >= (QUIET_SECONDS if is_quiet else BUSY_SECONDS):
            self._collector.collect()
            self._looked_seconds = self._seconds()

    def _measure(self, phase: str, about: Mapping[str, int]) -> None:
        """Called by Python at the beginning and at the end of each, in whichever thread."""
        if phase == "start":
            self._begun_seconds = self._stopwatch()
            return
        took = self._stopwatch() - self._begun_seconds
        self.total_seconds += took
        self._pauses[-1] = max(self._pauses[-1], took)
