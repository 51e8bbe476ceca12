"""The time that may be trusted for what cannot be undone: deleting by age, and sealing.

The wall clock may be set to anything, for a moment or for good. So what a data folder has seen of
time is kept with it (`files.notes`), and goes on from there as time passes by the monotonic clock
that counts sleep:

* While both clocks agree, the trusted time approaches the wall clock by at most a twentieth of the
  time that passes.
* A wall clock that has *leapt*, ahead or back, at a start too, is in doubt. It is believed when
  this process has been awake for an hour while it was not set again.
* The hour adds up over starts, or a server that is never on for so long would believe no clock.
  How long it was off meanwhile is known from the clock alone: so what is believed then is what it
  *claimed* when the hour began, and no more. Nothing that was served before a leap counts for it.
* It is believed ahead however far: a server may have been off for a year. It is believed back only
  as far as an earlier leap went ahead: that leap was wrong. No clock makes the time go back
  further, so an empty battery changes nothing, however long it is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from vidlink.model import Seen

#: Clocks that differ by no more than this agree.
NEAR_US = 60 * 1_000_000
#: A clock that has leapt is believed when it has been steady for so long.
BELIEVED_SECONDS = 3_600.0
BELIEVED_US = round(BELIEVED_SECONDS * 1_000_000)
#: While clocks agree, the trusted time goes faster or slower by at most this part.
_SLEW = 20
#: No clock is right that shows an earlier time: there was no VidLink. 2024-01-01 UTC.
EARLIEST_US = 1_704_067_200_000_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """A wall clock that shows another time than the trusted one, later by `ahead_us`; negative:
    earlier. It is believed in `seconds` if nobody sets it, or as much of it as has been shown for
    an hour then; None: never."""

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
    :param elapsed: seconds that never go back, counting also what the computer sleeps.
    :param awake: the same without that: nobody hears an alarm of a computer that is asleep.
    """

    def __init__(
        self,
        wall_clock_us: Callable[[], int],
        elapsed: Callable[[], float],
        awake: Callable[[], float],
    ) -> None:
        self._wall_clock_us = wall_clock_us
        self._elapsed = elapsed
        self._awake = awake
        self._lock = Lock()
        self._seen: Seen | None = None
        self._looked_us = self._lived_us = 0
        #: The wall clock less the elapsed one, when it began to be steady in this process, and what
        #: of its hour has been served since.
        self._steady_us = self._steady_served_us = 0

    def open(self, seen: Seen) -> None:
        """Go on from what the folder has seen."""
        wall_us = self._wall_clock_us()
        self._looked_us, self._lived_us = _us(self._elapsed()), _us(self._awake())
        self._steady_us, self._steady_served_us = wall_us - self._looked_us, 0
        is_kept = 0 < seen.served_us < BELIEVED_US
        is_kept = is_kept and seen.floor_us <= seen.claimed_us <= wall_us + NEAR_US
        if not is_kept or (seen.claimed_us < seen.time_us) is not (wall_us < seen.time_us):
            seen = replace(seen, claimed_us=wall_us, served_us=0)
        self._seen = seen

    def now_us(self) -> int:
        """The trusted time at this moment, in microseconds since the epoch."""
        with self._lock:
            return self._look()[0]

    def ages_from_us(self) -> int:
        """The time to which ages are counted: while there is a doubt, the earlier of both clocks,
        unless the wall clock shows what cannot be."""
        with self._lock:
            time_us, wall_us = self._look()
            can_be = self._seen is None or wall_us >= self._seen.floor_us
            is_in_doubt = abs(wall_us - time_us) > NEAR_US
            return min(time_us, wall_us) if is_in_doubt and can_be else time_us

    def latest_us(self) -> int:
        """The later of both clocks: to which ages would count if that is the one that is right."""
        with self._lock:
            return max(self._look())

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
            seconds = (BELIEVED_US - self._seen.served_us) / 1_000_000
            can_be = wall_us >= self._seen.floor_us
            return Doubt(wall_us - time_us, seconds if can_be else None)

    def _look(self) -> tuple[int, int]:
        """Go on to this moment; returns the trusted time and the wall clock's."""
        wall_us, now_us, lived_us = self._wall_clock_us(), _us(self._elapsed()), _us(self._awake())
        seen = self._seen
        if seen is None:
            return wall_us, wall_us
        passed_us, self._looked_us = now_us - self._looked_us, now_us
        served_us, self._lived_us = lived_us - self._lived_us, lived_us
        time_us, floor_us = seen.time_us + passed_us, seen.floor_us + passed_us
        ahead_us = wall_us - time_us
        is_set = abs(wall_us - now_us - self._steady_us) > NEAR_US
        if is_set or abs(ahead_us) <= NEAR_US or wall_us < floor_us:
            if is_set:
                self._steady_us = wall_us - now_us
            self._steady_served_us = 0
            claimed_us, served_us = wall_us, 0
        else:
            self._steady_served_us += served_us
            claimed_us, served_us = seen.claimed_us + passed_us, seen.served_us + served_us
        if abs(ahead_us) <= NEAR_US:
            most_us = passed_us // _SLEW
            time_us += max(-most_us, min(most_us, ahead_us))
        elif served_us >= BELIEVED_US:
            is_all = self._steady_served_us >= BELIEVED_US or wall_us - claimed_us <= NEAR_US
            time_us = wall_us if is_all else claimed_us
            # Of what is left of the doubt this process has served so much.
            claimed_us, served_us = wall_us, 0 if is_all else self._steady_served_us
        self._seen = Seen(time_us, floor_us, claimed_us, served_us)
        return time_us, wall_us


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
