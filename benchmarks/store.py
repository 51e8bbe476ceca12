"""The costs of recording, and of looking back into a long session.

``python -m benchmarks.store [FOLDER]`` from the root of the tree; ends by itself in about a
minute. It writes up to 2 GB below FOLDER (a temporary folder if not named; its file system
matters) and removes them again.

* rounds: 1,000 sessions with 5 segments of 10 KB a second each, rounds done one after the
  other without a thread, with and without waiting for the disk; the difference is the sync.
* thread: the same as it runs in a server, fed in real time; from append to acknowledgement.
* long session: ten hours at 5 frames a second, 180,000 segments of about 4 KB.

Measured on two cores of a shared virtual machine, ext4, Linux 6.18, Python 3.11:

=============================================  =========================================
a segment of 10 KB in rounds of a second       16.3 us of CPU to write, 4.8 to append, 1.4 to
                                               hear that it is durable
... of 3 KB                                    10.8 us to write
a session that begins                          0.9 to 1.4 ms, 0.17 ms on tmpfs
in real time, 5,000 segments a second          of 10 KB: 21 to 25 us of the writer's thread, of
                                               3 KB: 9 to 10; the newest is durable after 310 to
                                               600 ms (median), 0.8 to 1.4 s (99 %)
ten hours (720 MB), open the film              95 ms of CPU, 11,520,753 octets read
... open it again                              0.6 ms, 753 octets read
... open an hour of it, again                  7 ms, 0.6 ms
... ffprobe opens it, seeks in it (HTTP)       3,018,898 octets (0.42 %); 40,153 more
... open the playlist (158,682 octets), again  340 ms of CPU, 0.6 ms
... 50 segments by time, one segment           0.6 ms, 5,504 octets; 0.3 ms, 2,304 octets
... all of it, every segment checked           1.75 GB a CPU second
... an hour of it                              1.87 GB a CPU second
=============================================  =========================================

The first lines were measured while others kept the machine busy (a load of 6 to 13), those up to
the beginning of a session by ``benchmarks/rounds.py``, by turns with rounds of half a second. Those
took 24.1 us to write a segment, and 17.5 us of 3 KB; 4.7 to append it and 2.5 to report it; in real
time 17 to 29 us, and 15 to 17, of the thread; durable after 250 to 400 ms, and 0.6 to 2.2 s.

A session costs 46 us in a round, and each segment of 10 KB in it 7: the CRC-32 3.4, the copy to the
kernel 3. Of the 46, some 13 are two writes and 4 a look at the folder, which are all system calls;
the rest is Python. With 50 MB a second a round begins as soon as 32 MiB wait, and a session has
three segments in it; with less it has five. A session that begins costs what the file system takes
for two folders and three files.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute

from tests.fakes.media import init_segment
from tests.rigs.daemons import Site
from vidlink.disk import Disk
from vidlink.fmp4 import write_fragment
from vidlink.model import Arrival, ClipQuery, Segment, SegmentQuery, Session
from vidlink.store import RecordingStore

SESSIONS = 1_000
SEGMENT_BYTES = 10_000
FRAME_US = 200_000
ROUNDS = 12
THREAD_SECONDS = 6.0

LONG_SEGMENTS = 180_000
LONG_SEGMENT_BYTES = 4_000
KEYFRAME_EVERY = 50
PIECE_BYTES = 64 * 1024

TIMESCALE = 90_000
EPOCH_US = 1_704_067_200_000_000
FRAME = bytes(SEGMENT_BYTES - 140)


class CountingDisk(Disk):
    """Counts the octets that are read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def pread(self, descriptor: int, offset: int, size: int) -> bytes:
        """Read, and count."""
        data = super().pread(descriptor, offset, size)
        self.read_bytes += len(data)
        return data


def a_session(number: int) -> Session:
    """One of many sessions that begin at the same time."""
    return Session(
        sentinel_id=f"desk-{number}",
        session_id=f"benchmark-{number:08d}",
        name=f"Desk {number}",
        group="ward",
        software="benchmark",
        started_time_us=EPOCH_US,
        init=init_segment(),
        mime='video/mp4; codecs="avc1.42C01F"',
        width=1920,
        height=1080,
        timescale=TIMESCALE,
        track_id=1,
    )


def an_arrival(session: Session, sequence: int, frame: bytes, keyframe: bool) -> Arrival:
    """A segment of one frame."""
    # No two pictures are taken just as long after one another.
    media_time = sequence * TIMESCALE // 5 + hash((sequence, 1)) % 900
    start_us = session.started_time_us + sequence * FRAME_US
    data = write_fragment(
        sequence=sequence,
        decode_time=media_time,
        duration=18_000,
        keyframe=keyframe,
        data=frame,
        producer_time_us=start_us,
    )
    segment = Segment(
        session.sentinel_id, session.session_id, sequence, start_us, 200, 5_000, keyframe, data
    )
    offset = len(data) - len(frame)
    return Arrival(segment, media_time, 18_000, 0.0, start_us, sample_offset=offset)


def at_once(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """A pool of threads that has none."""
    return execute(work, *arguments)


def a_store(
    folder: Path, durability: str, call_in_reactor: Callable[..., Any], disk: Disk | None = None
) -> RecordingStore:
    """An open store in a folder of its own."""
    store = RecordingStore(
        str(folder),
        monotonic=time.monotonic,
        wall_clock_us=lambda: EPOCH_US,
        call_in_reactor=call_in_reactor,
        run_in_pool=at_once,
        durability=durability,
        disk=disk,
    )
    store.open()
    return store


def measure_rounds(folder: Path, durability: str) -> tuple[float, float]:
    """Median seconds of a round, and CPU seconds of recording one segment.

    Each round has what comes in a second; the CPU is that of `append` and of the
    round, both threads' work.
    """
    store = a_store(folder / durability, durability, lambda work, *given: work(*given))
    sessions = [a_session(number) for number in range(SESSIONS)]
    for session in sessions:
        store.ledger.begin(session, lambda sequence: None)
    while store.writer.round() is not None:
        pass
    walls: list[float] = []
    cpu, count, sequence = 0.0, 0, [0] * SESSIONS
    for _ in range(ROUNDS):
        arrivals: list[Arrival] = []
        for number, session in enumerate(sessions):
            for _ in range(5):
                arrivals.append(an_arrival(session, sequence[number], FRAME, sequence[number] == 0))
                sequence[number] += 1
        count += len(arrivals)
        cpu -= time.process_time()
        for arrival in arrivals:
            store.ledger.append(arrival.segment.session_id, arrival)
        started = time.perf_counter()
        while store.writer.round() == 0.0:
            pass
        walls.append(time.perf_counter() - started)
        cpu += time.process_time()
    store.stop()
    return statistics.median(walls), cpu / count


def measure_thread(folder: Path) -> None:
    """Feed a store with a thread in real time, as a server does, and print how it keeps up."""
    calls: deque[Callable[[], Any]] = deque()

    def call_in_reactor(work: Callable[..., Any], *given: Any) -> None:
        calls.append(lambda: work(*given))

    store = a_store(folder / "thread", "disk", call_in_reactor)
    store.start()
    threads = {thread.name: thread.ident for thread in threading.enumerate()}
    clock = time.pthread_getcpuclockid(threads["vidlink-writer"] or 0)
    waits: list[float] = []
    appended: dict[tuple[int, int], float] = {}
    sessions = [a_session(number) for number in range(SESSIONS)]

    def durable(number: int, sequence: int) -> None:
        waits.append(time.monotonic() - appended.pop((number, sequence), time.monotonic()))

    for number, session in enumerate(sessions):
        store.ledger.begin(session, lambda sequence, number=number: durable(number, sequence))
    while store.ledger.load:
        while calls:
            calls.popleft()()
        time.sleep(0.005)
    begun = time.clock_gettime(clock)
    started, cpu, due = time.monotonic(), time.process_time(), 0
    total = int(THREAD_SECONDS * 5 * SESSIONS)
    most_load = 0.0
    while due < total:
        elapsed = time.monotonic() - started
        while due < total and due < elapsed * 5 * SESSIONS:
            sequence, number = divmod(due, SESSIONS)
            arrival = an_arrival(sessions[number], sequence, FRAME, sequence == 0)
            appended[number, sequence] = time.monotonic()
            store.ledger.append(arrival.segment.session_id, arrival)
            due += 1
        while calls:
            calls.popleft()()
        most_load = max(most_load, store.ledger.load)
        time.sleep(0.005)
    wall = time.monotonic() - started
    cpu, writer = time.process_time() - cpu, time.clock_gettime(clock) - begun
    stopped = time.monotonic()
    store.stop()
    done = store.stop()
    while not done.called:
        while calls:
            calls.popleft()()
        time.sleep(0.005)
    waits.sort()
    print(
        f"thread: {total:,} segments in {wall:.1f} s, {100 * cpu / wall:.0f} % of a core with "
        f"making them, {writer / store.counts.segments * 1e6:.1f} us of the writer's thread for "
        f"each; acknowledged after {waits[len(waits) // 2] * 1e3:.0f} ms (median), "
        f"{waits[int(len(waits) * 0.99)] * 1e3:.0f} ms (99 %); queue at most "
        f"{100 * most_load:.0f} % full; stop took {time.monotonic() - stopped:.2f} s"
    )


def fill(store: RecordingStore) -> Session:
    """Record ten hours of one session."""
    session = a_session(0)
    store.ledger.begin(session, lambda sequence: None)
    frame = bytes(LONG_SEGMENT_BYTES - 140)
    for sequence in range(LONG_SEGMENTS):
        arrival = an_arrival(session, sequence, frame, sequence % KEYFRAME_EVERY == 0)
        store.ledger.append(session.session_id, arrival)
        if sequence % 5_000 == 0:
            while store.writer.round() == 0.0:
                pass
    store.ledger.end(session.session_id, "over", EPOCH_US + LONG_SEGMENTS * FRAME_US)
    while store.writer.round() is not None:
        pass
    return session


def measure_long_session(folder: Path) -> None:
    """Record ten hours, then open and seek as a player does, and print time and octets."""
    disk = CountingDisk()
    store = a_store(folder / "long", "os", lambda work, *given: work(*given), disk)
    session = fill(store)
    ids = session.sentinel_id, session.session_id
    sizes: list[int] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        disk.read_bytes = 0
        started, cpu = time.perf_counter(), time.process_time()
        found: list[Any] = []
        work().addCallback(found.append)
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - started
        sizes.append(disk.read_bytes)
        print(
            f"long session: {name}: {elapsed * 1e3:.1f} ms ({cpu * 1e3:.1f} ms of CPU), "
            f"{disk.read_bytes:,} octets read"
        )
        return found[0]

    film, _ = step("open the film", lambda: store.archive.film(*ids))
    step("its first 64 KiB", lambda: film.read(0, PIECE_BYTES))
    step("64 KiB in the middle", lambda: film.read(film.size_bytes // 2, PIECE_BYTES))
    share = sum(sizes) / film.size_bytes
    print(f"long session: opened and sought in {film.size_bytes:,} octets: {share:.2%} read")
    step("open the film again", lambda: store.archive.film(*ids))
    middle_us = EPOCH_US + LONG_SEGMENTS * FRAME_US // 2
    hour = ClipQuery(middle_us, middle_us + 3_600_000_000)
    clip, _ = step("open an hour of it", lambda: store.archive.film(*ids, hour))
    step("its first 64 KiB", lambda: clip.read(0, PIECE_BYTES))
    step("open that hour again", lambda: store.archive.film(*ids, hour))
    listed = step("open the playlist", lambda: store.archive.playlist(*ids))
    print(f"long session: the playlist has {listed.size_bytes:,} octets")
    step("open the playlist again", lambda: store.archive.playlist(*ids))
    step("1,000 segments by time", lambda: store.archive.segments(*ids, SegmentQuery(middle_us)))
    step(
        "50 segments by time",
        lambda: store.archive.segments(*ids, SegmentQuery(middle_us, limit=50)),
    )
    step("one segment", lambda: store.archive.media(*ids, 90_000, 90_000))
    for name, body in (("all of it", film), ("an hour of it", clip)):
        started, offset = time.process_time(), 0
        while offset < body.size_bytes:
            found: list[bytes] = []
            body.read(offset, 4 * PIECE_BYTES).addCallback(found.append)
            offset += len(found[0])
        speed = offset / (time.process_time() - started) / 1e9
        print(f"long session: {name}, every segment checked: {speed:.2f} GB a CPU second")
    store.stop()
    measure_player(folder / "long", ids)


def measure_player(folder: Path, ids: tuple[str, str]) -> None:
    """Have a real server serve those ten hours, open them with ffprobe, and seek; print time and
    octets as ffprobe counts them."""
    site = Site(folder.parent)
    site.data = folder
    site.start_server()
    url = f"{site.url}/api/v1/sentinels/{ids[0]}/sessions/{ids[1]}/recording.mp4"
    seeks = [[], *(["-read_intervals", f"{place}%+#1"] for place in (7_000, 29_000, 14_000))]
    try:
        for seek in seeks:
            command = [
                "ffprobe",
                "-v",
                "debug",
                "-show_entries",
                "packet=pts_time",
                "-of",
                "csv=p=0",
            ]
            command += [*seek, url] if seek else ["-read_intervals", "%+#1", url]
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, check=True, text=True)
            elapsed = time.perf_counter() - started
            read = sum(map(int, re.findall(r"Statistics: ([0-9]+) bytes read", done.stderr)))
            print(
                f"long session: ffprobe {' '.join(seek) or 'opens it'}: {elapsed * 1e3:.0f} ms, "
                f"{read:,} octets"
            )
    finally:
        site.stop()


def main() -> None:
    """Measure everything."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    folder = Path(tempfile.mkdtemp(prefix="vidlink-benchmark-", dir=parent))
    try:
        wall, cpu = measure_rounds(folder, "os")
        synced_wall, synced_cpu = measure_rounds(folder, "disk")
        print(
            f"rounds of {SESSIONS:,} sessions with {SESSIONS * 5:,} segments of "
            f"{SEGMENT_BYTES:,} octets: {wall * 1e3:.1f} ms without sync, "
            f"{synced_wall * 1e3:.1f} ms with it; CPU for each segment {cpu * 1e6:.1f} us "
            f"without and {synced_cpu * 1e6:.1f} us with it"
        )
        measure_thread(folder)
        measure_long_session(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
