"""The time that a start takes with many sessions on disk.

``python -m benchmarks.startup [FOLDER]`` from the root of the tree; ends by itself in about a
minute. It writes 0.7 GB below FOLDER (a temporary folder if not named) and removes them again.

The data folder has 10,000 sessions of 100 sentinels, with 10,000,000 records: every description,
every record and the database are real in form; the segments themselves are holes in sparse files,
which nothing reads at the start. Some of the sessions are open, as a kill leaves them, with a
last segment that is whole. Measured are the store alone, opened in this process, and the real
daemon in a process of its own, from before that until its port accepts a connection.

Measured on two cores of a shared virtual machine, ext4, Linux 6.18, Python 3.11:

=============================  ================  ================
sessions open                  store opened      port answers
=============================  ================  ================
none of 10,000                 0.08 to 0.11 s    0.56 to 1.14 s
100 of 10,000                  0.13 to 0.16 s    0.87 to 1.39 s
=============================  ================  ================

Nearly all of the last column is the start of Python and Twisted, which takes half a second of CPU
with an empty folder too. So it follows the load of the machine: with a load of 10 it was 0.8 to
2.8 s (1.2 to 1.6 s with an empty folder), and the store was open within 0.36 s.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from zlib import crc32

from benchmarks.store import EPOCH_US, FRAME_US, a_session, an_arrival, at_once
from vidlink.disk import Disk
from vidlink.model import Session, SessionRecord, SessionState, Span
from vidlink.store import RecordingStore
from vidlink.store.files.folder import take_folder
from vidlink.store.files.layout import SessionFile, describe, pack_record, write_session
from vidlink.store.files.paths import SESSION_FILE, part_file, records_file
from vidlink.store.index.database import Index
from vidlink.store.index.rows import SessionRows

SESSIONS = 10_000
SENTINELS = 100
RECORDS = 1_000
OPEN = 100
STARTS = 5
DEADLINE_SECONDS = 60.0
FRAME = b"\0"


class Pattern:
    """The records of a part and its last segment, which all sessions have in common."""

    def __init__(self) -> None:
        session = a_session(0)
        self.place = len(session.init)
        records: list[bytes] = []
        for sequence in range(RECORDS):
            arrival = an_arrival(session, sequence, FRAME, sequence % 50 == 0)
            data = arrival.segment.data
            records.append(pack_record(arrival, self.place, crc32(data)))
            self.place += len(data)
        self.last = bytes(data)
        self.records = b"".join(records)
        self.size_bytes = self.place - len(session.init)

    def span(self) -> Span:
        """All of a session."""
        return Span(0, RECORDS - 1, EPOCH_US, EPOCH_US + RECORDS * FRAME_US, self.size_bytes)


def make(root: str, open_count: int) -> None:
    """Begin a data folder and fill it."""
    disk = Disk()
    folder = take_folder(root, disk)
    index = Index(folder.paths.index, folder.uuid)
    index.open()
    pattern = Pattern()
    sheets: list[SessionRows] = []
    for number in range(SESSIONS):
        session = session_of(number)
        is_open = number >= SESSIONS - open_count
        file = describe(session)
        if not is_open:
            file = replace(file, ended_time_us=pattern.span().end_time_us, end_reason="over")
        where = folder.paths.session(session.sentinel_id, session.session_id)
        write(where, session, file, pattern)
        sheets.append(sheet(file, pattern.span(), is_open))
    index.save(sheets)
    index.close()
    folder.release()
    os.sync()


def session_of(number: int) -> Session:
    """One of the sessions."""
    return replace(a_session(number), sentinel_id=f"desk-{number % SENTINELS}")


def write(where: str, session: Session, file: SessionFile, pattern: Pattern) -> None:
    """The folder of one session."""
    os.makedirs(where)
    with open(os.path.join(where, SESSION_FILE), "wb") as described:
        described.write(write_session(file))
    with open(os.path.join(where, records_file(0)), "wb") as records:
        records.write(pattern.records)
    with open(os.path.join(where, part_file(0)), "wb") as part:
        part.write(session.init)
        part.seek(pattern.place - len(pattern.last))
        part.write(pattern.last)


def sheet(file: SessionFile, span: Span, is_open: bool) -> SessionRows:
    """The rows of one session in the database."""
    record = SessionRecord(
        session=file.session,
        state=SessionState.LIVE if is_open else SessionState.ENDED,
        ended_time_us=file.ended_time_us,
        end_reason=file.end_reason,
        segment_count=RECORDS,
        size_bytes=span.size_bytes,
        first_sequence=span.first,
        last_sequence=span.last,
        start_time_us=span.start_time_us,
        end_time_us=span.end_time_us,
    )
    return SessionRows(file, record, None, [(0, span)])


def open_store(root: str) -> float:
    """Seconds until the store is open."""
    store = RecordingStore(
        root,
        monotonic=time.monotonic,
        wall_clock_us=lambda: EPOCH_US,
        call_in_reactor=lambda work, *arguments: work(*arguments),
        run_in_pool=at_once,
    )
    began = time.perf_counter()
    store.open()
    seconds = time.perf_counter() - began
    store.stop()
    return seconds


def start_daemon(root: str) -> float:
    """Seconds until the daemon accepts a connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    twistd = os.path.join(os.path.dirname(sys.executable), "twistd")
    listen = f"tcp:{port}:interface=127.0.0.1"
    arguments = [twistd, "-n", "--pidfile=", "vidlink-server", "--data", root, "--listen", listen]
    began = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as daemon:
        try:
            while time.perf_counter() - began < DEADLINE_SECONDS:
                try:
                    socket.create_connection(("127.0.0.1", port), 1.0).close()
                    return time.perf_counter() - began
                except ConnectionRefusedError:
                    time.sleep(0.005)
            raise SystemExit("the daemon does not start")
        finally:
            daemon.terminate()


def open_again(root: str, kept: str, numbers: range) -> None:
    """Make the folder what it was before a start: these sessions are open."""
    shutil.copy(kept, os.path.join(root, "index.sqlite3"))
    for number in numbers:
        session = session_of(number)
        path = os.path.join(root, "recordings", session.sentinel_id, session.session_id)
        with open(os.path.join(path, SESSION_FILE), "wb") as described:
            described.write(write_session(describe(session)))
    os.sync()


def measure(name: str, root: str, again: Callable[[], object]) -> None:
    """Start some times, each time as it was before, and print how long that took."""
    for what, start in (("store", open_store), ("daemon", start_daemon)):
        seconds: list[float] = []
        for _ in range(STARTS):
            again()
            seconds.append(start(root))
        print(f"{name}, {what:8} {min(seconds):6.3f} s to {max(seconds):6.3f} s", flush=True)


def main() -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as base:
        for count in (0, OPEN):
            root = os.path.join(base, f"open-{count}")
            began = time.perf_counter()
            make(root, count)
            print(f"made in {time.perf_counter() - began:.1f} s", flush=True)
            kept = os.path.join(base, "kept.sqlite3")
            shutil.copy(os.path.join(root, "index.sqlite3"), kept)
            numbers = range(SESSIONS - count, SESSIONS)
            measure(f"{count} of {SESSIONS:,} open", root, partial(open_again, root, kept, numbers))
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
