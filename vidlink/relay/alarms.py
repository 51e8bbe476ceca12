"""Alarms that every Proctor has to hear of, whatever it is watching: two Sentinels with one id,
or a recording in trouble.

Each reader remembers one number: how many alarms there had been when it last looked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from vidlink.errors import VidlinkError
from vidlink.model import USUAL, Frame

#: About one Sentinel there is no more than one in this time.
QUIET_SECONDS = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Alarm:
    """An error that everybody hears of."""

    #: Whom it is about; empty: no Sentinel.
    sentinel_id: str
    error: VidlinkError
    #: The alarm as encoded, by subprotocol.
    frames: dict[str, Frame] = field(default_factory=dict)


class Alarms:
    """The newest alarms, and how often each Sentinel has been the cause of one.

    :param seconds: the monotonic clock.
    :param most: a reader that is further behind than this misses the oldest.
    """

    def __init__(self, seconds: Callable[[], float], most: int = USUAL.alarms) -> None:
        #: The number of all that there have been, ever.
        self.count = 0
        self._seconds = seconds
        self._newest: deque[Alarm] = deque(maxlen=most)
        self._raised_seconds: dict[str, float] = {}
        self._withheld: dict[str, int] = {}

    def sound(self, sentinel_id: str, error: VidlinkError) -> int | None:
        """Add an alarm; how many of the same Sentinel's were withheld since its last one.

        None if this one is withheld too, because that was too short a time ago.
        """
        now = self._seconds()
        if now - self._raised_seconds.get(sentinel_id, float("-inf")) < QUIET_SECONDS:
            self._withheld[sentinel_id] = self._withheld.get(sentinel_id, 0) + 1
            return None
        self._raised_seconds[sentinel_id] = now
        self._newest.append(Alarm(sentinel_id, error))
        self.count += 1
        return self._withheld.pop(sentinel_id, 0)

    def after(self, count: int) -> tuple[Alarm | None, int]:
        """The oldest alarm still held of those after the first `count`, or None; and how many
        there had been with it."""
        behind = min(self.count - count, len(self._newest))
        if behind <= 0:
            return None, count
        return self._newest[-behind], self.count - behind + 1
