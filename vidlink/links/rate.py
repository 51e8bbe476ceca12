"""The bound on how fast a peer may talk; spent and refilled by :mod:`vidlink.bucket`."""

from __future__ import annotations

from collections.abc import Callable

from vidlink.bucket import Allowance, Bucket
from vidlink.errors import TooFast

#: Messages on one connection: all of a Proctor's, all but the segments of a Sentinel's. A viewer
#: may subscribe to every sentinel that there can be at once; a loop that never ends is closed.
MESSAGES = Allowance(burst=20_000, per_second=1_000.0)


class Rate:
    """The messages of one connection, counted.

    :param seconds: the monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._bucket = Bucket(MESSAGES, seconds)

    def count(self) -> None:
        """Count one more message.

        :raises TooFast: if it is one too many.
        """
        if not self._bucket.spend():
            raise TooFast(f"more than {MESSAGES.per_second:g} messages a second")
