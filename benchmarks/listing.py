"""The cost of a page of a listing: of long sessions, of many sessions, and of many sentinels.

``python -m benchmarks.listing [FOLDER]`` from the root of the tree; ends by itself in about two
minutes. It writes up to 300 MB below FOLDER (a temporary folder if not named) and removes them
again.

Each page is asked for through the archive and as JSON over the HTTP interface, in memory. Time is
CPU time, the least of some calls; memory is the most that Python held during one more. The last
column is the time against that of the first page of the smallest listing: the promise is that it
stays about 1, however long the listing and whichever the page.

Measured on two cores of a shared virtual machine, ext4, Linux 6.18, Python 3.11, in November 2026
(archive; over HTTP):

===============================================  ====================  =====================
1,000 segments of 2,000, first page              3.2 ms, 0.6 MB        7.8 ms, 2.8 MB
... of 100,000: first, middle, last, by time     1.10 1.08 1.11 1.05   0.93 0.98 1.05 1.04
... of 1,000,000                                 0.97 1.06 1.11 1.00   0.95 0.93 1.04 0.99
... of 100,000, live                             1.06 1.07 1.19 1.03   1.03 1.21 1.08 1.05
... of 2,000 with a hole after every 50          3.72 2.80 1.80 1.80   2.06 1.30 1.36 2.05
... of 100,000 with such holes                   2.06 2.17 1.37 1.44   1.35 1.41 1.17 1.23
100 sessions of 500, first page                  1.6 ms, 0.1 MB        4.2 ms, 0.5 MB
... of 10,000: first, middle, last page          1.00 0.99 1.06        1.00 0.98 0.97
... of a sentinel, of 100 minutes                0.96 1.00             1.03 1.00
... until, and from, a time in the middle        0.96 0.98             0.96 1.06
1,000 sentinels, half of them live               4.7 ms, 0.6 MB        12.0 ms, 2.1 MB
===============================================  ====================  =====================

The machine was busy: the second decimal says nothing. Before what is around a page was looked up
alone, a page of the session of 100,000 with holes cost three times what one of 2,000 did.
"""

from __future__ import annotations

import gc
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred

from benchmarks.store import EPOCH_US, FRAME_US, a_session, a_store, an_arrival
from vidlink.model import EVERYBODY, SegmentQuery, Session, SessionQuery
from vidlink.relay.hub import Hub
from vidlink.server.api.history import Api
from vidlink.store import RecordingStore

SEGMENTS = (2_000, 100_000, 1_000_000)
SESSIONS = (500, 10_000)
SENTINELS = 1_000
#: A run of so many segments, then a hole of one, where there are holes.
RUN = 50
CALLS = 15
KEYFRAME_EVERY = 50
FRAME = b"\0"
BASE = "http://127.0.0.1:8080/api/v1"


class Table:
    """Prints what pages cost, each against the first."""

    def __init__(self, store: RecordingStore, name: str) -> None:
        hub = Hub(time.monotonic)
        history = Api(
            store.archive,
            hub,
            store.keeping,
            document={},
            wall_clock_us=lambda: EPOCH_US,
            principal_of=lambda _: EVERYBODY,
        )
        self._client: Any = StubTreq(history.resource())
        self._first: dict[str, float] = {}
        print(f"\n{name:46}      archive            HTTP")

    def page(self, name: str, ask: Callable[[], Deferred[Any]], path: str) -> None:
        """Measure one page in both ways."""
        cells = [
            self._cell("archive", lambda: result(ask())),
            self._cell("http", lambda: self._get(path)),
        ]
        print(f"{name:40}" + "".join(cells))

    def _get(self, path: str) -> bytes:
        asked = self._client.get(BASE + path)
        self._client.flush()
        response = result(asked)
        assert response.code == 200, path
        body: bytes = result(self._client.content(response))
        return body

    def _cell(self, way: str, work: Callable[[], Any]) -> str:
        work()
        seconds = min(timed(work) for _ in range(CALLS))
        gc.collect()
        tracemalloc.start()
        work()
        most_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ratio = seconds / self._first.setdefault(way, seconds)
        return f" | {seconds * 1e3:7.2f} ms {most_bytes / 1e6:5.2f} MB {ratio:5.2f}"


def timed(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def result(deferred: Deferred[Any]) -> Any:
    """The value of a Deferred that has fired already."""
    found: list[Any] = []
    deferred.addCallback(found.append)
    return found[0]


def until_written(store: RecordingStore) -> None:
    """Do rounds until all is on disk."""
    while store.writer.round() is not None:
        pass


def sequences(count: int, holes: bool) -> Iterator[int]:
    """So many sequences, with or without holes among them."""
    return (number + number // RUN if holes else number for number in range(count))


def fill(store: RecordingStore, session: Session, count: int, *, holes: bool, over: bool) -> None:
    """Record a session of `count` segments; not `over`: it is still live."""
    store.ledger.begin(session, lambda sequence: None)
    for sequence in sequences(count, holes):
        arrival = an_arrival(session, sequence, FRAME, sequence % KEYFRAME_EVERY == 0)
        store.ledger.append(session.session_id, arrival)
        if sequence % 20_000 == 0:
            until_written(store)
    if over:
        store.ledger.end(session.session_id, "over", EPOCH_US + count * FRAME_US)
    until_written(store)


def measure_segments(folder: Path) -> None:
    """Pages of sessions that are short and long, whole and full of holes, ended and live."""
    store = a_store(folder / "segments", "os", lambda work, *given: work(*given))
    table = Table(store, "1,000 segments of a session of")
    number = 0
    for kind, holes, over in (
        ("", False, True),
        (" with holes", True, True),
        (", live", False, False),
        (" with holes, live", True, False),
    ):
        for count in SEGMENTS if not kind else SEGMENTS[:2]:
            session = a_session(number)
            number += 1
            fill(store, session, count, holes=holes, over=over)
            ids = session.sentinel_id, session.session_id
            path = "/sentinels/{}/sessions/{}/segments".format(*ids)
            for place in ("first", "middle", "last"):
                last = count + (count // RUN if holes else 0)
                after = {"first": None, "middle": last // 2, "last": last - 1_020}[place]
                query = SegmentQuery(after=after)
                table.page(
                    f"{count:9,}{kind}: {place}",
                    lambda ids=ids, query=query: store.archive.segments(*ids, query),
                    path + ("" if after is None else f"?after={after}"),
                )
            from_us = EPOCH_US + count * FRAME_US // 2
            table.page(
                f"{count:9,}{kind}: by time",
                lambda ids=ids, from_us=from_us: store.archive.segments(
                    *ids, SegmentQuery(from_us)
                ),
                f"{path}?from={from_us}",
            )
    store.stop()


def measure_sessions(folder: Path) -> None:
    """Pages of the sessions of few and of many, of all, of a group, of an hour."""
    for count in SESSIONS:
        store = a_store(folder / f"sessions-{count}", "os", lambda work, *given: work(*given))
        for number in range(count):
            session = replace(
                a_session(number),
                sentinel_id=f"desk-{number % 100}",
                group="rare" if number % 250 == 0 else "ward",
                started_time_us=EPOCH_US + number * 60_000_000,
            )
            fill(store, session, 1, holes=False, over=True)
        pages(store, count)
        store.stop()


def pages(store: RecordingStore, count: int) -> None:
    """The pages of `count` sessions."""
    table = Table(store, f"100 sessions of {count:,}")
    middle_us = EPOCH_US + count // 2 * 60_000_000
    for name, fields in (
        ("first", {}),
        ("middle", {"after": f"s{middle_us}.benchmark-{count // 2:08d}"}),
        ("last", {"after": f"s{EPOCH_US + 100 * 60_000_000}.benchmark-00000100"}),
        ("a rare group", {"group": "rare"}),
        ("a sentinel", {"sentinel": "desk-7"}),
        ("100 minutes", {"from": str(middle_us), "to": str(middle_us + 6_000_000_000)}),
        ("until then", {"to": str(middle_us)}),
        ("from then", {"from": str(middle_us)}),
    ):
        given = {name: fields.get(name) for name in ("sentinel", "group", "after")}
        from_us, to_us = (fields.get(name) for name in ("from", "to"))
        query = SessionQuery(
            sentinel_id=given["sentinel"],
            group=given["group"],
            from_time_us=int(from_us) if from_us else None,
            to_time_us=int(to_us) if to_us else None,
            after=given["after"],
        )
        asked = "&".join(f"{key}={value}" for key, value in fields.items())
        table.page(name, lambda query=query: store.archive.sessions(query), f"/sessions?{asked}")


def measure_sentinels(folder: Path) -> None:
    """The list of sentinels, all of them recorded and half of them live."""
    store = a_store(folder / "sentinels", "os", lambda work, *given: work(*given))
    for number in range(SENTINELS):
        fill(store, a_session(number), 1, holes=False, over=number % 2 == 0)
    table = Table(store, f"{SENTINELS:,} sentinels")
    table.page("all", store.archive.sentinels, "/sentinels")
    store.stop()


def main() -> None:
    """Measure everything."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    folder = Path(tempfile.mkdtemp(prefix="vidlink-benchmark-", dir=parent))
    try:
        measure_segments(folder)
        measure_sessions(folder)
        measure_sentinels(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
