"""A real sentinel whose server is not there yet, dies, and comes back: nothing is missing."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from typing import Any

import av

from tests.rigs.daemons import Daemon, Site, until

#: At 5 frames a second; five-fold, because encoding shares two cores with everything else.
LONGEST_PAUSE_US = 5 * 200_000


def _sessions(site: Site) -> list[Any]:
    """Its sessions, the oldest first."""
    rows = site.get_json("/api/v1/sessions?sentinel=desk-1")["sessions"]
    return sorted(rows, key=lambda row: row["startTime"] or time.time_ns())


def _base(session_id: str) -> str:
    return f"/api/v1/sentinels/desk-1/sessions/{session_id}"


def _until_delivered(site: Site, sentinel: Daemon, count: int) -> list[Any]:
    """Wait until all sessions but the live one are sealed, and there are so many."""

    def look() -> list[Any]:
        rows = _sessions(site)
        *earlier, live = rows or [{"state": "none"}]
        is_done = all(row["state"] == "sealed" for row in earlier)
        return rows if is_done and live["state"] == "live" and len(rows) >= count else []

    try:
        return until(look, 60, 0.2, what="all earlier sessions are sealed")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{sentinel.log()}") from None


def _check_sessions(site: Site, rows: list[Any]) -> list[int]:
    """In each session every sequence is there, and it plays; the start times of all."""
    times = []
    for row in rows:
        base = _base(row["sessionId"])
        listed = site.get_json(base + "/segments?limit=5000")
        numbers = [segment["sequence"] for segment in listed["segments"]]
        assert numbers == list(range(len(numbers))), row
        assert listed["gaps"] == [], listed["gaps"]
        times += [segment["startTime"] for segment in listed["segments"]]
        film = site.get(base + "/recording.mp4")[2]
        with av.open(io.BytesIO(film), "r") as container:
            assert len(list(container.decode(video=0))) == len(numbers)
    return times


def _check_whole(site: Site, rows: list[Any]) -> None:
    """The same, and between all of them no time is missing."""
    times = _check_sessions(site, rows)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) > 0
    assert max(pauses) < LONGEST_PAUSE_US, pauses


def test_server_comes_late_and_dies(site: Site) -> None:
    """Started before its server, and with the server killed once under it, a sentinel loses not
    a single frame; stopped, it leaves none behind."""
    sentinel = site.start_sentinel("desk-1")
    sentinel.logged("has begun, without a server")
    time.sleep(2)
    server = site.start_server()
    first = _until_delivered(site, sentinel, 2)
    time.sleep(2)
    server.kill()
    time.sleep(2)
    site.start_server()
    rows = _until_delivered(site, sentinel, 3)
    assert len(rows) == 3, rows
    assert [row["sessionId"] for row in rows[:2]] == [row["sessionId"] for row in first]
    before_us = time.time_ns() // 1000
    assert sentinel.stop() == 0
    stopped = _sessions(site)
    _check_whole(site, stopped)
    assert stopped[-1]["endTime"] > before_us - LONGEST_PAUSE_US


def test_killed_with_a_spool(site: Site) -> None:
    """A sentinel that is killed without ever having reached a server delivers, as the next
    process, all that it had captured and written to its spool, and seals it."""
    spool = ["--spool", str(site.folder / "spool")]
    for _ in range(2):
        sentinel = site.start_sentinel("desk-1", *spool)
        sentinel.logged("has begun, without a server")
        time.sleep(3)
        sentinel.kill()
    site.start_server()
    sentinel = site.start_sentinel("desk-1", *spool)
    rows = _until_delivered(site, sentinel, 3)
    assert sentinel.stop() == 0
    # A process that starts with a server there may begin a session before it has reached it.
    assert len(rows) in (3, 4), rows
    assert min(row["segmentCount"] for row in rows[:2]) >= 5
    times = _check_sessions(site, _sessions(site))
    assert times == sorted(times)
