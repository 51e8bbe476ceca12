"""The rate at which the Sentinel delivers what comes late, so that nothing live waits for it.

Room in the socket is asked for in :mod:`vidlink.links.uplink.late_sending`: on a slow link that
decides, not the rate.
"""

from __future__ import annotations

from collections.abc import Callable

from vidlink.interfaces import LATE_LOAD

#: So much may be sent in one go, in front of the next live segment; one segment may be larger.
CHUNK_BYTES = 256 * 1024
#: A chunk is not smaller than this, unless there is no more to send.
LEAST_BYTES = 16 * 1024
#: A delivery begins slowly, because a thousand Sentinels may begin with it at once; each second
#: in which the server has room doubles the rate, and the lack of it halves it.
FIRST_BYTES_PER_SECOND = 256 * 1024
MOST_BYTES_PER_SECOND = 2 * 1024 * 1024
#: The server has room while its queue is emptier than this.
EASY_LOAD = LATE_LOAD / 2
#: A server whose queue was too full and that has said nothing since is tried again after this.
HOLD_SECONDS = 10.0
_STEP_SECONDS = 0.9


class Pace:
    """A bucket of octets that is refilled at a rate; a large segment may overdraw it.

    :param seconds: the monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._rate = float(FIRST_BYTES_PER_SECOND)
        self._left = float(CHUNK_BYTES)
        self._counted_seconds = self._stepped_seconds = seconds()
        self._held_until_seconds = float("-inf")

    @property
    def is_held(self) -> bool:
        """True while the server has no room for what comes late."""
        return self._seconds() < self._held_until_seconds

    def heard(self, load: float) -> None:
        """Adapt to how full the server says its queue to the disk is (0.0 to 1.0)."""
        now = self._seconds()
        self._refill(now)
        self._held_until_seconds = now + HOLD_SECONDS if load >= LATE_LOAD else float("-inf")
        if now - self._stepped_seconds >= _STEP_SECONDS:
            self._stepped_seconds = now
            rate = self._rate * (2 if load < EASY_LOAD else 0.5)
            self._rate = max(FIRST_BYTES_PER_SECOND, min(MOST_BYTES_PER_SECOND, rate))

    def wait_seconds(self) -> float:
        """The time until a chunk may be sent; 0: now."""
        now = self._seconds()
        if now < self._held_until_seconds:
            return self._held_until_seconds - now
        self._refill(now)
        return max(0.0, (LEAST_BYTES - self._left) / self._rate)

    @property
    def room_bytes(self) -> int:
        """The bound on the next chunk, in octets; one segment may be larger."""
        return int(self._left)

    def spend(self, size_bytes: int) -> None:
        """Count what has been sent."""
        self._left -= size_bytes

    def _refill(self, now: float) -> None:
        grown = self._left + (now - self._counted_seconds) * self._rate
        self._left = min(float(CHUNK_BYTES), grown)
        self._counted_seconds = now
