"""The cost of a spool on disk to the sentinel, and the time until one is open again.

``python -m benchmarks.spool [FOLDER]`` from the root of the tree; ends by itself in about a
minute. It writes up to 1 GB below FOLDER (a temporary folder if not named; its file system
matters) and removes it again.

* paced: 5 segments of 10 KB a second, as one sentinel does, for ten seconds.
* as fast as it goes: 50,000 such segments, acknowledged 5 behind.
* offline: as many that nobody acknowledges, then opened by another process, read, and removed.

Measured on two cores of a shared virtual machine, ext4, Linux 6.18, Python 3.11:

=============================================  =========================================
paced, 5 a second                              0.5 ms of CPU for each segment, syncs and
                                               waking up included: 0.25 % of a core
as fast as it goes                             22 us of CPU for each segment of 10 KB
503 MB of an earlier process, open             57 ms
... read, checked and forgotten                33 us of CPU for each segment
=============================================  =========================================
"""

from __future__ import annotations

import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidlink.fmp4 import write_fragment
from vidlink.model import Segment
from vidlink.sentinel.spool.opening import open_spool
from vidlink.sentinel.spool.spool import Spool

SESSION = "session-that-was0"
COUNT = 50_000
FRAME = bytes(10_000 - 140)
PACED_SECONDS = 10.0


class Spooled:
    """A spool with its thread; this thread stands for the reactor's."""

    def __init__(self, folder: Path) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]]
        self._calls = queue.SimpleQueue()
        self.spool: Spool = open_spool(
            str(folder),
            "desk-1",
            monotonic=time.monotonic,
            call_in_reactor=lambda function, *given: self._calls.put((function, given)),
            on_trouble=print,
        )

    def turn(self, seconds: float = 0.0) -> None:
        """Do what the spool's thread asks for, and wait for it for so long."""
        until = time.monotonic() + seconds
        while True:
            try:
                function, given = self._calls.get(timeout=max(0.0, until - time.monotonic()))
            except (queue.Empty, ValueError):
                return
            function(*given)

    def until(self, done: Callable[[], bool]) -> None:
        """Turn until it is so."""
        while not done():
            self.turn(0.01)

    def close(self) -> None:
        """End it."""
        ended: list[None] = []
        self.spool.close().addCallback(ended.append)
        self.until(lambda: bool(ended))


def a_segment(sequence: int) -> Segment:
    """One of 10 KB, every 50th a keyframe."""
    keyframe = sequence % 50 == 0
    data = write_fragment(
        sequence=sequence,
        decode_time=sequence * 18_000,
        duration=18_000,
        keyframe=keyframe,
        data=FRAME,
        producer_time_us=1_704_067_200_000_000 + sequence * 200_000,
    )
    return Segment("desk-1", SESSION, sequence, sequence * 200_000, 200, 5_000, keyframe, data)


def paced(folder: Path) -> None:
    """At the pace of one sentinel."""
    spooled = Spooled(folder)
    spooled.spool.begin(SESSION, bytes(755), True)
    count = int(PACED_SECONDS * 5)
    segments = [a_segment(sequence) for sequence in range(count)]
    started, cpu = time.monotonic(), time.process_time()
    for sequence, segment in enumerate(segments):
        spooled.spool.append(segment)
        if sequence % 5 == 0:
            spooled.spool.forget(SESSION, sequence - 5)
        spooled.turn(max(0.0, started + (sequence + 1) / 5 - time.monotonic()))
    cpu = time.process_time() - cpu
    print(f"paced: {1e6 * cpu / count:.0f} us of CPU for each segment, {cpu / PACED_SECONDS:.2%}")
    spooled.close()


def at_full_speed(folder: Path) -> None:
    """As fast as it goes, with nearly everything acknowledged."""
    spooled = Spooled(folder)
    spooled.spool.begin(SESSION, bytes(755), True)
    segments = [a_segment(sequence) for sequence in range(1_000)]
    cpu = time.process_time()
    for start in range(0, COUNT, 1_000):
        for one in segments:
            sequence = start + one.sequence
            spooled.spool.append(
                Segment("desk-1", SESSION, sequence, 0, 200, 5_000, one.is_keyframe, one.data)
            )
        spooled.turn()
        if start:
            spooled.spool.forget(SESSION, start - 5)
        spooled.until(lambda: spooled.spool.load < 0.01)
    spooled.close()
    cpu = time.process_time() - cpu
    print(f"as fast as it goes: {1e6 * cpu / COUNT:.1f} us of CPU for each")


def offline(folder: Path) -> None:
    """Segments that nobody acknowledges, found again."""
    spooled = Spooled(folder)
    spooled.spool.begin(SESSION, bytes(755), True)
    for sequence in range(COUNT):
        spooled.spool.append(a_segment(sequence))
        if sequence % 1_000 == 0:
            spooled.turn(0.1)
    spooled.close()
    size = sum(path.stat().st_size for path in folder.rglob("*.chunk"))
    began = time.monotonic()
    spooled = Spooled(folder)
    print(f"offline: {size / 1e6:,.0f} MB opened in {1e3 * (time.monotonic() - began):.0f} ms")
    cpu, first, count = time.process_time(), 0, 0
    while True:
        found: list[tuple[Segment, ...]] = []
        spooled.spool.read(SESSION, first, COUNT).addCallback(found.append)
        spooled.until(lambda found=found: bool(found))  # type: ignore[misc]
        if not found[0]:
            break
        count += len(found[0])
        first = found[0][-1].sequence + 1
        spooled.spool.forget(SESSION, first - 1)
    cpu = time.process_time() - cpu
    assert count == COUNT, count
    print(f"offline: read, checked and forgotten in {1e6 * cpu / COUNT:.1f} us of CPU for each")
    spooled.spool.remove(SESSION)
    spooled.close()
    left = sum(path.stat().st_size for path in folder.rglob("*.chunk"))
    print(f"offline: {left} octets are left")


def main() -> None:
    """Measure everything."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    folder = Path(tempfile.mkdtemp(prefix="vidlink-benchmark-", dir=parent))
    try:
        for number, measure in enumerate((paced, at_full_speed, offline)):
            measure(folder / str(number))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
