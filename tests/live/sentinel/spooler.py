"""A process that keeps segments in a spool on disk, to be killed.

``python -m tests.live.sentinel.spooler`` prints the number of each segment when it has handed it
over; nothing is ever acknowledged.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.fakes import media
from tests.sentinel.spool.rig import SENTINEL, a_segment
from vidlink.sentinel.spool.opening import MOST_BYTES, open_spool
from vidlink.sentinel.spool.spool import Spool

#: Octets beside the picture, so that a second fills some chunks.
FILLER_BYTES = 30_000
PAUSE_SECONDS = 0.002


class Desk:
    """A spool with its thread, and this thread in the place of the reactor's."""

    def __init__(self, folder: str, most_bytes: int = MOST_BYTES) -> None:
        self.told: list[str] = []
        self._calls: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]]
        self._calls = queue.SimpleQueue()
        self.spool: Spool = open_spool(
            folder,
            SENTINEL,
            monotonic=time.monotonic,
            call_in_reactor=lambda function, *given: self._calls.put((function, given)),
            on_trouble=self.told.append,
            most_bytes=most_bytes,
        )

    def turn(self, seconds: float) -> None:
        """Do what the spool's thread asks for, for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                function, given = self._calls.get(timeout=left)
            except queue.Empty:
                return
            function(*given)

    def close(self, seconds: float) -> bool:
        """End it; whether it did in so many seconds."""
        ended: list[None] = []
        self.spool.close().addCallback(ended.append)
        until = time.monotonic() + seconds
        while not ended and time.monotonic() < until:
            self.turn(0.05)
        return bool(ended)


def main() -> None:
    """Capture for ever."""
    folder, session_id, most_bytes = sys.argv[1:]
    desk = Desk(folder, most_bytes=int(most_bytes))
    desk.spool.begin(session_id, media.init_segment(), True)
    sequence = 0
    while True:
        desk.spool.append(a_segment(sequence, session_id, filler_bytes=FILLER_BYTES))
        print(sequence, flush=True)
        sequence += 1
        desk.turn(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
