"""The bound on how fast a peer may talk; spent and refilled by :mod:`vidlink.bucket`."""

from __future__ import annotations

from collections.abc import Callable

from vidlink.bucket import Allowance, Bucket
from vidlink.errors import TooFast
from vidlink.model import Bounds


class Rate:
    """The messages on one connection, counted: all of a Proctor's, all but the segments of a
    Sentinel's; a loop that never ends is closed.

    :param seconds: the monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float], bounds: Bounds) -> None:
        self._per_second = bounds.messages_per_second
        self._bucket = Bucket(Allowance(bounds.messages, self._per_second), seconds)

    def count(self) -> None:
        """Count one more message.

        :raises TooFast: if it is one too many.
        """
        if not self._bucket.spend():
            raise TooFast(f"more than {self._per_second:g} messages a second")
