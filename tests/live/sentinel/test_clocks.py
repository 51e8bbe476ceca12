"""Wall clocks that are wrong, and that are set while a screen is live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.clocks.wallclock import WallClock
from tests.rigs.daemons import Site, until

HOUR_SECONDS = 3_600
SECOND_US = 1_000_000
#: At 5 frames a second.
FRAME_US = 200_000
BEFORE, AFTER = 10, 30
#: A jump is an hour. On a busy machine frames are late, and late to arrive, but not by so much.
NEAR_US = 20 * SECOND_US


def check_course(segments: list[dict[str, Any]]) -> None:
    """Media time ascends without a jump, and start times go with it."""
    media = [one["mediaTime"] * SECOND_US // 90_000 for one in segments]
    start = [one["startTime"] for one in segments]
    assert [one["sequence"] for one in segments] == list(range(len(segments)))
    for number in range(1, len(segments)):
        assert 0 < media[number] - media[number - 1] < NEAR_US, number
        assert 0 < start[number] - start[number - 1] < NEAR_US, number
        # The correction of the clock moves by a twentieth of the time at most.
        passed = media[number] - media[0]
        assert abs(start[number] - start[0] - passed) <= passed // 20 + FRAME_US // 2


def recorded_while(site: Site, session: str, clock: WallClock, seconds: int) -> list[Any]:
    """Set the clock, and see that segments come at the pace of before; all there are then."""
    before = len(site.recorded("desk-1", session, BEFORE))
    clock.set(seconds)
    began = time.monotonic()
    segments = site.recorded("desk-1", session, before + AFTER)
    took = time.monotonic() - began
    ideal = (len(segments) - before) * FRAME_US / SECOND_US
    assert ideal / 2 - 1.0 < took < ideal * 5, (ideal, took)
    return segments


@pytest.mark.parametrize("seconds", [-HOUR_SECONDS, HOUR_SECONDS])
def test_sentinel_is_set(site: Site, tmp_path: Path, seconds: int) -> None:
    """The sentinel's wall clock is set by an hour while it is live: segments go on coming at the
    same pace, are acknowledged and recorded, and each has the time at which it was captured, by
    the server's clock."""
    clock = WallClock(tmp_path / "sentinel-clock")
    site.start_server()
    sentinel = site.start_sentinel("desk-1", environ=clock.environ)
    session = site.live_session("desk-1")
    segments = recorded_while(site, session, clock, seconds)
    check_course(segments)
    for one in segments:
        assert abs(one["receivedTime"] - one["startTime"]) < NEAR_US, one
    assert site.status_of("desk-1")["sessionId"] == session
    assert "disconnected" not in sentinel.log()


@pytest.mark.parametrize("seconds", [-HOUR_SECONDS, HOUR_SECONDS])
def test_server_is_set(site: Site, tmp_path: Path, seconds: int) -> None:
    """The server's wall clock is set by an hour while a sentinel is live: segments go on coming
    at the same pace and are recorded. Their times go on by the clock as it was; the next session
    has the new one."""
    clock = WallClock(tmp_path / "server-clock")
    server = site.start_server(environ=clock.environ)
    sentinel = site.start_sentinel("desk-1")
    session = site.live_session("desk-1")
    segments = recorded_while(site, session, clock, seconds)
    check_course(segments)
    # By the clock as it was, which is this machine's.
    ages_us = [time.time_ns() // 1_000 - one["startTime"] for one in segments]
    assert -SECOND_US < min(ages_us) < NEAR_US
    assert max(ages_us) < 100 * SECOND_US
    assert site.status_of("desk-1")["sessionId"] == session
    assert sentinel.stop() == 0
    site.start_sentinel("desk-1")
    after = site.live_session("desk-1", other_than=session)
    for one in site.recorded("desk-1", after, BEFORE):
        assert abs(one["receivedTime"] - one["startTime"]) < NEAR_US, one
        assert (
            abs(one["startTime"] - seconds * SECOND_US - time.time_ns() // 1_000) < 60 * SECOND_US
        )
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("seconds", [-HOUR_SECONDS, HOUR_SECONDS])
def test_wrong_from_the_start(site: Site, tmp_path: Path, seconds: int) -> None:
    """A sentinel whose clock is an hour wrong records the times of the server's, also of what it
    captured before there was a server."""
    clock = WallClock(tmp_path / "sentinel-clock", seconds)
    began_us = time.time_ns() // 1_000
    sentinel = site.start_sentinel("desk-1", environ=clock.environ)
    sentinel.logged("session .* has begun, without a server")
    time.sleep(2.0)
    site.start_server()
    live = site.live_session("desk-1")
    site.recorded("desk-1", live, BEFORE)

    def sessions() -> list[dict[str, Any]]:
        path = "/api/v1/sessions?sentinel=desk-1"
        listed: list[dict[str, Any]] = site.get_json(path)["sessions"]
        whole = [one for one in listed if one["sessionId"] == live or one["state"] == "sealed"]
        return whole if len(whole) > 1 else []

    for one in until(sessions, what="both sessions are there"):
        segments = site.recorded("desk-1", one["sessionId"], BEFORE // 2)
        check_course(segments)
        for segment in segments:
            assert began_us - NEAR_US < segment["startTime"] < time.time_ns() // 1_000 + NEAR_US
            if one["sessionId"] == live:
                assert abs(segment["receivedTime"] - segment["startTime"]) < NEAR_US, segment
