"""Computers that sleep: what was captured keeps its time, and the sleep is a gap."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import av
import pytest

from tests.rigs.clocks.sleeping import Sleep
from tests.rigs.clocks.wallclock import WallClock
from tests.rigs.daemons import Site, until
from tests.sentinel.sources.barcodes import read_barcode

SECOND_US = 1_000_000
#: On a busy machine a frame is late, but not by so much.
NEAR_US = SECOND_US


def captured(site: Site, session_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The segments of a session, and its gaps."""
    path = f"/api/v1/sentinels/desk-1/sessions/{session_id}/segments?limit=1000"
    page = site.get_json(path)
    return page["segments"], page["gaps"]


def after_sleep(site: Site, session_id: str) -> dict[str, Any]:
    """Wait for the gap of a sleep, and frames behind it; the gap."""

    def look() -> Any:
        segments, gaps = captured(site, session_id)
        asleep = [gap for gap in gaps if gap["cause"] == "computer-asleep"]
        return asleep if asleep and segments[-1]["sequence"] > asleep[0]["last"] + 2 else None

    (gap,) = until(look, what="the sleep is a gap")
    return dict(gap)


def check_dates(site: Site, session_id: str, gap: dict[str, Any], slept_us: int) -> None:
    """Each picture has the time that is burnt in, and media time goes on by the sleep."""
    segments, gaps = captured(site, session_id)
    assert gaps == [gap]
    path = f"/api/v1/sentinels/desk-1/sessions/{session_id}/recording.mp4"
    last = segments[-1]["sequence"]
    status, _, film = site.get(f"{path}?last={last}")
    assert status == 200
    with av.open(io.BytesIO(film), "r") as container:
        shown = list(container.decode(video=0))
    assert len(shown) == len(segments)
    for picture, segment in zip(shown, segments, strict=True):
        luma = picture.planes[0]
        code = read_barcode(bytes(luma), picture.width, picture.height, luma.line_size)
        assert code is not None
        assert abs(code.time_ms * 1_000 - segment["startTime"]) < NEAR_US
    before = next(one for one in segments if one["sequence"] == gap["first"] - 1)
    after = next(one for one in segments if one["sequence"] == gap["last"] + 1)
    assert after["keyframe"]
    jump_us = after["startTime"] - before["startTime"]
    assert slept_us <= jump_us < slept_us + NEAR_US
    ticks = after["mediaTime"] - before["mediaTime"]
    assert abs(ticks * SECOND_US // 90_000 - jump_us) < NEAR_US
    assert gap["startTime"] < gap["endTime"] == after["startTime"]


@pytest.mark.parametrize("slept_seconds", [2, 6])
def test_connected(site: Site, tmp_path: Path, slept_seconds: int) -> None:
    """A sentinel that sleeps while it is connected goes on with its session, and is not closed."""
    sleep = Sleep(tmp_path / "sleep")
    site.start_server()
    sentinel = site.start_sentinel("desk-1", environ=sleep.environ)
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 5)
    sleep.pass_over(sentinel, slept_seconds)
    gap = after_sleep(site, session)
    check_dates(site, session, gap, slept_seconds * SECOND_US)
    assert site.status_of("desk-1")["sessionId"] == session
    sentinel.logged(r"this computer was asleep for \d+\.\d s")
    assert "disconnected" not in sentinel.log()
    assert "lost" not in sentinel.log()


def test_offline_and_set(site: Site, tmp_path: Path) -> None:
    """A laptop without a network records, sleeps, has its wall clock set back while it does, and
    finds its server later: what was captured before the sleep is dated by the clock of then."""
    sleep, clock = Sleep(tmp_path / "sleep"), WallClock(tmp_path / "clock")
    preloaded = f"{sleep.environ['LD_PRELOAD']}:{clock.environ['LD_PRELOAD']}"
    environ = {**clock.environ, **sleep.environ, "LD_PRELOAD": preloaded}
    began_us = time.time_ns() // 1_000
    sentinel = site.start_sentinel("desk-1", environ=environ)
    sentinel.logged("has begun, without a server")
    time.sleep(1.5)
    clock.set(-3_600)
    sleep.pass_over(sentinel, 5)
    time.sleep(1.5)
    site.start_server()
    live = site.live_session("desk-1")
    path = "/api/v1/sessions?sentinel=desk-1"

    def delivered() -> list[str]:
        rows = site.get_json(path)["sessions"]
        return [row["sessionId"] for row in rows if row["state"] == "sealed"]

    (earlier,) = until(delivered, what="the session without a server is delivered")
    assert earlier != live
    segments, gaps = captured(site, earlier)
    ended_us = time.time_ns() // 1_000
    assert [gap["cause"] for gap in gaps] == ["computer-asleep"]
    assert gaps[0]["endTime"] - gaps[0]["startTime"] >= 5 * SECOND_US - NEAR_US
    times = [one["startTime"] for one in segments]
    assert began_us - NEAR_US < times[0]
    assert times == sorted(times)
    assert times[-1] < ended_us + NEAR_US
    assert captured(site, live)[1] == []


def test_server_sleeps(site: Site, tmp_path: Path) -> None:
    """A server that sleeps for some seconds keeps its sentinels: nothing is missing, and what
    comes after has the time at which it came."""
    sleep = Sleep(tmp_path / "sleep")
    server = site.start_server(environ=sleep.environ)
    sentinel = site.start_sentinel("desk-1")
    session = site.live_session("desk-1")
    count = len(site.recorded("desk-1", session, 5))
    sleep.pass_over(server, 4)
    server.logged(r"this computer was asleep for \d+\.\d s")
    site.recorded("desk-1", session, count + 30)
    segments, gaps = captured(site, session)
    assert gaps == []
    waited_us = max(one["receivedTime"] - one["startTime"] for one in segments)
    assert 2 * SECOND_US < waited_us < 4 * SECOND_US + NEAR_US
    last = segments[-1]
    assert last["receivedTime"] - last["startTime"] < NEAR_US
    assert site.status_of("desk-1")["sessionId"] == session
    assert "disconnected" not in sentinel.log()
