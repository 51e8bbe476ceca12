"""The time that may be trusted for what cannot be undone: deleting by age, and sealing.

The wall clock may be set to anything, for a moment or for good. So what a data folder has seen of
time is kept with it (`files.notes`), and goes on from there as time passes by the monotonic clock:

* While both clocks agree, the trusted time approaches the wall clock by at most a twentieth of the
  time that passes.
* A wall clock that has *leapt*, ahead or back, at a start too, is in doubt. It is believed when
  this process has lived for an hour while it was not set again.
* It is believed ahead however far: a server may have been off for a year. It is believed back only
  as far as an earlier leap went ahead: that leap was wrong. No clock makes the time go back
  further, so an empty battery changes nothing, however long it is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from vidlink.model import Seen

#: Clocks that differ by no more than this agree.
NEAR_US = 60 * 1_000_000
#: A clock that has leapt is believed when it has been steady for so long.
BELIEVED_SECONDS = 3_600.0
#: While clocks agree, the trusted time goes faster or slower by at most this part.
_SLEW = 20
#: No clock is right that shows an earlier time: there was no VidLink. 2024-01-01 UTC.
EARLIEST_US = 1_704_067_200_000_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """A wall clock that shows another time than the trusted one, later by `ahead_us`; negative:
    earlier. It is believed in `seconds` if nobody sets it; None: never."""

    ahead_us: int
    seconds: float | None


def first_seen(newest_us: int | None, wall_us: int) -> Seen:
    """The time of a folder that has not kept any, in which the newest session is of `newest_us`.

    None: nothing is recorded there yet, so the first time can be set back once it proves wrong.
    """
    if newest_us is None:
        return Seen(max(wall_us, EARLIEST_US), EARLIEST_US)
    # What was recorded under a clock that was ahead proves nothing.
    time_us = newest_us if wall_us < EARLIEST_US else min(newest_us, wall_us)
    return Seen(time_us, time_us)


def age_beside(ended_us: int, trusted_us: int) -> int | None:
    """From when the age counts of what ends now, by the wall clock at `ended_us`.

    None: from then. A clock that is ahead is corrected at the next start, when it is known which
    of both was right.
    """
    return trusted_us if trusted_us - ended_us > NEAR_US else None


class TrustedTime:
    """The trusted time of one data folder; any thread may ask.

    Before :meth:`open` it is the wall clock's.

    :param wall_clock_us: microseconds since the epoch.
    :param monotonic: seconds that never go back.
    """

    def __init__(self, wall_clock_us: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._wall_clock_us = wall_clock_us
        self._monotonic = monotonic
        self._lock = Lock()
        self._seen: Seen | None = None
        self._looked_seconds = self._steady_seconds = 0.0
        #: The wall clock less the monotonic one, when it began to be steady.
        self._steady_us = 0

    def open(self, seen: Seen) -> None:
        """Go on from what the folder has seen."""
        now = self._monotonic()
        self._looked_seconds = self._steady_seconds = now
        self._steady_us = self._wall_clock_us() - round(now * 1_000_000)
        self._seen = seen

    def now_us(self) -> int:
        """The trusted time at this moment, in microseconds since the epoch."""
        with self._lock:
            return self._look()[0]

    def seen(self) -> Seen | None:
        """All that is to be kept of it; None before :meth:`open`."""
        with self._lock:
            self._look()
            return self._seen

    def doubt(self) -> Doubt | None:
        """The doubt that there is about the wall clock; None while it is trusted."""
        with self._lock:
            time_us, wall_us = self._look()
            if self._seen is None or abs(wall_us - time_us) <= NEAR_US:
                return None
            seconds = self._steady_seconds + BELIEVED_SECONDS - self._looked_seconds
            can_be = wall_us >= self._seen.floor_us
            return Doubt(wall_us - time_us, seconds if can_be else None)

    def _look(self) -> tuple[int, int]:
        """Go on to this moment; returns the trusted time and the wall clock's."""
        wall_us, now = self._wall_clock_us(), self._monotonic()
        if self._seen is None:
            return wall_us, wall_us
        passed_us = round((now - self._looked_seconds) * 1_000_000)
        self._looked_seconds = now
        offset_us = wall_us - round(now * 1_000_000)
        if abs(offset_us - self._steady_us) > NEAR_US:
            self._steady_us, self._steady_seconds = offset_us, now
        time_us, floor_us = self._seen.time_us + passed_us, self._seen.floor_us + passed_us
        ahead_us = wall_us - time_us
        if abs(ahead_us) <= NEAR_US:
            most_us = passed_us // _SLEW
            time_us += max(-most_us, min(most_us, ahead_us))
        elif now - self._steady_seconds >= BELIEVED_SECONDS and wall_us >= floor_us:
            time_us = wall_us
        self._seen = Seen(time_us, floor_us)
        return time_us, wall_us
