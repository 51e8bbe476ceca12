"""Memory that buffers have needed, given back to the system when they need it no more.

The C library gives back by itself only what lies above all that is still in use, and something
always is: after a day with a thousand Sentinels the server would keep 1.5 GB for the night. glibc's
`malloc_trim` gives back every page that is free. It takes 0.1 ms for each MiB that it finds, and a
page that is needed again has to be made anew, so it is asked only for what has been free for a
minute: buffers rise and fall by whole groups of segments.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable

#: Of this many ticks the most that was needed is remembered.
_TICKS = 60
#: Less is not worth the trouble, nor is less than this share of what is needed.
LEAST_BYTES = 32 * 1024 * 1024
LEAST_SHARE = 0.25


def trimmer(library: object = None) -> Callable[[], object] | None:
    """The call that gives back what is free; None where the C library has none.

    :param library: the C library; None: that of this process.
    """
    # A function of ctypes is made anew at each look, and is no garbage that goes by itself.
    trim = getattr(library or ctypes.CDLL(None), "malloc_trim", None)
    return None if trim is None else lambda: trim(0)


class Memory:
    """The most that the buffers have needed since memory was given back last.

    :param used: the octets that they hold now.
    :param trim: gives back what is free; None: that cannot be done here.
    """

    def __init__(self, used: Callable[[], int], trim: Callable[[], object] | None) -> None:
        self._used = used
        self._trim = trim
        self._lately: deque[int] = deque(maxlen=_TICKS)
        self._most = 0

    def tick(self) -> None:
        """Give back what has not been needed for a minute; to be called about once a second."""
        self._lately.append(self._used())
        needed = max(self._lately)
        self._most = max(self._most, needed)
        free = self._most - needed
        if self._trim is not None and free >= max(LEAST_BYTES, LEAST_SHARE * needed):
            self._trim()
            self._most = needed
