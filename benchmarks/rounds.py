"""The writer's rounds of two versions of VidLink, by turns.

``python benchmarks/rounds.py OLD [NEW]`` compares the source tree OLD with NEW (this one if not
named): each has a process and a data folder of its own, in which 1,000 sessions record 5 segments
of 10 KB a second, and does a round whenever the other has done one, in the length that its rounds
have. So what else the machine does meets both. Nobody waits for a disk: what a round costs in CPU
is what the system's memory takes. Set `TMPDIR` to choose the file system, `SIZE` for segments of
another size. It takes about a minute, and up to 4 GB there.

Results are in :mod:`benchmarks.store`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TURNS = 24
#: Segments of each session in a second.
RATE = 5
NAMES = "begin", "append", "round", "report"


def turns(folder: Path) -> None:
    """Do a round for each line of standard input, and print what it has cost: microseconds of CPU
    for each segment, to append it, to write it, and to hear that it is durable."""
    from benchmarks.store import SESSIONS, a_session, a_store, an_arrival
    from vidlink.store.writing import writer

    told = 0.0

    def call_in_reactor(work: object, *given: object) -> None:
        nonlocal told
        told -= time.thread_time()
        work(*given)  # type: ignore[operator]
        told += time.thread_time()

    store = a_store(folder, "os", call_in_reactor)
    sessions = [a_session(number) for number in range(SESSIONS)]
    frame = bytes(int(os.environ.get("SIZE", "10000")) - 140)
    begun = time.thread_time()
    for session in sessions:
        store.ledger.begin(session, lambda sequence: None)
    while store.writer.round() is not None:
        pass
    print((time.thread_time() - begun) / SESSIONS * 1e6, flush=True)
    passed, sequence = 0.0, [0] * SESSIONS
    store.writer._monotonic = lambda: passed
    for turn, _ in enumerate(sys.stdin):
        passed += writer.ROUND_SECONDS
        arrivals = []
        for number, session in enumerate(sessions):
            # Where a round has half a segment, it is one in this round and none in the next.
            due = int((turn + 1) * RATE * writer.ROUND_SECONDS + number % 2 / 2)
            for one in range(sequence[number], due):
                arrivals.append(an_arrival(session, one, frame, one == 0))
            sequence[number] = due
        arrivals.sort(key=lambda arrival: arrival.segment.sequence)
        told, begun = 0.0, time.thread_time()
        for arrival in arrivals:
            store.ledger.append(arrival.segment.session_id, arrival)
        appended = time.thread_time()
        while store.writer.round() == 0.0:
            pass
        written = time.thread_time() - told
        costs = appended - begun, written - appended, told
        print(*(cost / len(arrivals) * 1e6 for cost in costs), flush=True)
    store.stop()


def main() -> None:
    """Compare."""
    if sys.argv[1] == "--turns":
        turns(Path(sys.argv[2]))
        return
    trees = [sys.argv[1], *sys.argv[2:3]] + [str(Path(__file__).parents[1])] * (len(sys.argv) < 3)
    with tempfile.TemporaryDirectory(prefix="vidlink-benchmark-") as folder:
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, "--turns", f"{folder}/{number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": tree},
                text=True,
            )
            for number, tree in enumerate(trees)
        ]
        costs: list[list[list[float]]] = [[] for _ in trees]
        begun = [float(process.stdout.readline()) for process in processes if process.stdout]
        for turn in range(1 + TURNS):
            for process, each in zip(processes, costs, strict=True):
                assert process.stdin is not None
                assert process.stdout is not None
                print(turn, file=process.stdin, flush=True)
                each.append([float(word) for word in process.stdout.readline().split()])
        for process in processes:
            process.communicate()
    for tree, begin, each in zip(trees, begun, costs, strict=True):
        columns = [[begin], *(list(column) for column in zip(*each[1:], strict=True))]
        medians = map(statistics.median, columns)
        named = (f"{name} {us:.1f} us" for name, us in zip(NAMES, medians, strict=True))
        print(f"{tree}: {', '.join(named)}")
    ratios = [new[1] / old[1] for old, new in zip(*costs, strict=True)][1:]
    print(f"a segment in a round of the second costs {statistics.median(ratios):.2f} of the first")


if __name__ == "__main__":
    main()
