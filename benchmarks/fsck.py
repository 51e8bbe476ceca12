"""The speed of the check of a data folder, against that of reading its files at all.

``python -m benchmarks.fsck [FOLDER]`` from the root of the tree; ends by itself in about two
minutes. It writes 2 GB below FOLDER (a temporary folder if not named; its file system matters)
and removes them again.

One session of segments of 4 KB, as screens at five frames a second give, and one of 40 KB; each
is read plainly in pieces of 4 MiB, checked, and has its lost records made anew. Before each run
the files are put out of the system's cache as far as it lets us.

Measured on two cores of a shared virtual machine with a load of 15, ext4, Linux 6.18, Python 3.11;
from the disk, from memory, and for a second of CPU:

==================================  ==========  ===========  ============
segments of 4 KB, read plainly      161 MB/s    3,191 MB/s   14,773 MB
... checked                         160 MB/s    252 MB/s     921 MB
... records made anew               49 MB/s     60 MB/s      238 MB
segments of 40 KB, read plainly     174 MB/s    3,143 MB/s   15,032 MB
... checked                         329 MB/s    1,108 MB/s   2,369 MB
... records made anew               300 MB/s    206 MB/s     831 MB
==================================  ==========  ===========  ============

A check takes 17 MB of memory, however long the part.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from zlib import crc32

from benchmarks.store import a_session, an_arrival
from tests.fakes.media import init_segment
from vidlink.disk import Disk
from vidlink.store.files.folder import take_folder
from vidlink.store.files.layout import IndexRecord, describe, write_session
from vidlink.store.files.paths import SESSION_FILE, part_file, records_file
from vidlink.store.fsck.check import Check
from vidlink.store.fsck.findings import Finding
from vidlink.store.index.database import Index

TOTAL_BYTES = 1_000_000_000
SIZES = (4_000, 40_000)
PIECE_BYTES = 4 * 1024 * 1024
NOW_US = 1_767_225_600_000_000


def make(root: str, size: int) -> str:
    """A data folder with one session of segments of about `size`; returns where it lies."""
    folder = take_folder(root, Disk())
    index = Index(folder.paths.index, folder.uuid)
    index.open()
    index.close()
    session = replace(a_session(0), init=init_segment())
    where = folder.paths.session(session.sentinel_id, session.session_id)
    os.makedirs(where)
    frame = bytes(size - 140)
    place = len(session.init)
    with (
        open(os.path.join(where, part_file(0)), "wb") as part,
        open(os.path.join(where, records_file(0)), "wb") as records,
    ):
        part.write(session.init)
        for sequence in range(TOTAL_BYTES // size):
            arrival = an_arrival(session, sequence, frame, sequence % 50 == 0)
            one = arrival.segment
            part.write(one.data)
            times = one.start_time_us, arrival.media_time, one.duration_ms, one.framerate_mhz
            numbers = sequence, place, len(one.data), crc32(one.data)
            record = IndexRecord(*numbers, *times, one.start_time_us, int(one.is_keyframe))
            records.write(record.pack())
            place += len(one.data)
    ended = replace(describe(session), ended_time_us=NOW_US, end_reason="over")
    Path(where, SESSION_FILE).write_bytes(write_session(ended))
    folder.release()
    check(root).repair(NOW_US, is_rebuilding=False)
    os.sync()
    return where


def check(root: str) -> Check:
    """A check that must find nothing but what it mends."""

    def put(finding: Finding) -> None:
        assert finding.mended, finding

    return Check(root, Disk(), put=put, expect=lambda size: None, came=lambda size: None)


def forget(where: str) -> None:
    """Put the files of a session out of the system's cache."""
    for name in os.listdir(where):
        descriptor = os.open(os.path.join(where, name), os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read_all(where: str) -> None:
    """Read every file, and do nothing with it."""
    for name in os.listdir(where):
        descriptor = os.open(os.path.join(where, name), os.O_RDONLY)
        place = 0
        while piece := len(os.pread(descriptor, PIECE_BYTES, place)):
            place += piece
        os.close(descriptor)


def rebuild(root: str, where: str) -> None:
    """Lose the records, and have them made anew."""
    os.remove(os.path.join(where, records_file(0)))
    check(root).repair(NOW_US, is_rebuilding=True)


def measure(name: str, where: str, work: Callable[[], object]) -> None:
    """Do it once from the disk and once from memory, and print how fast that was."""
    rates: list[float] = []
    size = sum(os.path.getsize(os.path.join(where, one)) for one in os.listdir(where))
    for is_cold in (True, False):
        if is_cold:
            forget(where)
        began, used = time.perf_counter(), time.process_time()
        work()
        rates.append(size / (time.perf_counter() - began) / 1e6)
        of_cpu = size / (time.process_time() - used) / 1e6
    disk, memory = rates
    print(f"{name:40} {disk:6.0f} MB/s, {memory:6.0f} MB/s, {of_cpu:6.0f} MB/CPU s", flush=True)


def main() -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as base:
        for size in SIZES:
            root = os.path.join(base, f"data-{size}")
            where = make(root, size)
            text = f"segments of {size // 1_000} KB"
            measure(f"{text}: read plainly", where, partial(read_all, where))
            measure(f"{text}: checked", where, check(root).run)
            tracemalloc.start()
            check(root).run()
            most_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            print(f"{text}: at most {most_bytes / 1e6:.0f} MB of memory", flush=True)
            measure(f"{text}: records made anew", where, partial(rebuild, root, where))
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
