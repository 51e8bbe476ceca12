"""Waits between attempts to reach the server, for sentinels and clients alike."""

from __future__ import annotations

from collections.abc import Callable

#: The first wait, and the longest.
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0
#: The longest wait where nobody was there to be asked: it costs nobody anything, and once there
#: is a network again people wait for their pictures.
UNREACHED_SECONDS = 3.0
#: The shortest wait after an answer that will not be another one sooner.
PATIENT_SECONDS = 60.0


class BackOff:
    """Waits that double, with jitter, until the server has accepted us.

    Attempts are counted here, for `ClientService` takes a TCP connection for success, and a
    handshake that is refused would be tried again at full speed for ever.

    :param random: gives a number in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next_seconds = FIRST_SECONDS
        self._at_most_seconds = LONGEST_SECONDS
        self._at_least_seconds = 0.0

    def next_seconds(self) -> float:
        """The wait of this time in seconds: between half and the whole of the current one."""
        longest = min(self._next_seconds, self._at_most_seconds)
        self._at_most_seconds = LONGEST_SECONDS
        self._next_seconds = min(2 * longest, LONGEST_SECONDS)
        jittered = longest * (0.5 + self._random() / 2)
        return max(jittered, self._at_least_seconds * (1 + self._random() / 2))

    def unreached(self) -> None:
        """Nobody was there: wait no longer than :data:`UNREACHED_SECONDS` this time."""
        self._at_most_seconds = UNREACHED_SECONDS

    def at_least(self, seconds: float) -> None:
        """Wait no less than this until :meth:`reset`: the server wants us to stay away."""
        self._at_least_seconds = seconds

    def reset(self) -> None:
        """The server has accepted us."""
        self._next_seconds = FIRST_SECONDS
        self._at_least_seconds = 0.0
