"""Servers whose wall clock is wrong for a moment or for good: it deletes and seals nothing."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from tests.rigs.clocks.wallclock import WallClock
from tests.rigs.commands import VIDLINK
from tests.rigs.daemons import Site, until
from vidlink.disk import Disk
from vidlink.model import Seen
from vidlink.store.files.notes import read_seen, write_seen

DAY_SECONDS = 86_400
KEPT = ("--retain-days", "30")


def record(site: Site) -> str:
    """A session that is recorded, and over; its id."""
    sentinel = site.start_sentinel("desk-1")
    session = site.live_session("desk-1", other_than=newest(site))
    site.recorded("desk-1", session, 5)
    assert sentinel.stop() == 0

    def is_over() -> bool:
        return any(one["state"] == "ended" for one in sessions(site) if one["sessionId"] == session)

    until(is_over, what="the session is over")
    return session


def sessions(site: Site) -> list[Any]:
    """All sessions, the newest first."""
    found: list[Any] = site.get_json("/api/v1/sessions")["sessions"]
    return found


def newest(site: Site) -> str:
    """The id of the newest session; empty if there is none."""
    return next((str(one["sessionId"]) for one in sessions(site)), "")


def states(site: Site) -> dict[str, str]:
    """The state of each session."""
    return {one["sessionId"]: one["state"] for one in sessions(site)}


def told(site: Site) -> str:
    """What is not deleted yet, as a check of the server's readiness."""
    return str(site.get_json("/readyz")["checks"]["retention"])


def due(site: Site) -> list[str]:
    """The sessions that are to go."""
    return [one["sessionId"] for one in site.get_json("/api/v1/retention")["due"]]


def ahead_seconds(site: Site) -> float:
    """How far the server's clock is ahead of the time that it trusts."""
    metrics = site.get("/metrics")[2].decode()
    (ahead,) = (one for one in metrics.splitlines() if one.startswith("vidlink_clock_ahead_sec"))
    return float(ahead.split()[1])


def vidlink(site: Site, *words: str) -> str:
    """What a command says on standard output."""
    start = [*VIDLINK, *words, "--server", site.url]
    return subprocess.run(start, capture_output=True, text=True, check=True).stdout


def test_ahead_at_a_start(site: Site, tmp_path: Path) -> None:
    """A server that is started with its clock sixty days ahead deletes and seals nothing that was
    recorded a moment ago. It says so, and until when, and nothing is missing when its clock is
    right again."""
    site.start_server(*KEPT)
    session = record(site)
    site.stop()
    clock = WallClock(tmp_path / "clock", 60 * DAY_SECONDS)
    server = site.start_server(*KEPT, environ=clock.environ)
    server.logged("clock is 60 d 0 h ahead of all that was seen")
    until(lambda: "1 session would be too old" in told(site), what="the wait is told")
    (waiting,) = site.get_json("/api/v1/retention")["waiting"]
    assert waiting["reason"] == "clock"
    assert 3_000 < waiting["seconds"] <= 3_600
    assert "60 d 0 h ahead" in vidlink(site, "retention")
    assert states(site) == {session: "ended"}
    assert server.stop() == 0
    server = site.start_server(*KEPT)
    time.sleep(2.0)
    assert states(site) == {session: "ended"}
    assert site.get_json("/api/v1/receipts")["receipts"] == []
    assert told(site) == "ok"
    assert "Traceback" not in server.log()


def test_ahead_for_a_moment(site: Site, tmp_path: Path) -> None:
    """A running server whose clock leaps by years, while it records and again when it does not,
    deletes nothing; what was recorded meanwhile is not kept until then either: at the next start
    its age counts from now."""
    clock = WallClock(tmp_path / "clock")
    server = site.start_server(*KEPT, environ=clock.environ)
    before = record(site)
    clock.set(3_650 * DAY_SECONDS)
    server.logged("clock is 3650 d 0 h ahead")
    assert abs(ahead_seconds(site) - 3_650 * DAY_SECONDS) < 60
    meanwhile = record(site)
    clock.set(0)
    server.logged("clock is trusted again")
    assert states(site) == {before: "ended", meanwhile: "ended"}
    assert server.stop() == 0
    # By the plan of a policy that keeps nothing for long, both are of today.
    site.start_server("--retain-days", "1", "--retain-dry-run")
    assert due(site) == []
    site.stop()
    site.start_server("--retain-days", "0.00001", "--retain-dry-run")
    until(lambda: due(site) == [before, meanwhile], what="both are a second old")


def test_never_on_for_an_hour(site: Site, tmp_path: Path) -> None:
    """A server that is off for a day between two short lives deletes by age what the first of them
    has seen to be too old for an hour in all, with the second. What only the second one's clock
    says waits for an hour of that."""
    kept = ("--retain-days", "0.5")
    site.start_server(*kept)
    before = record(site)
    site.stop()
    clock, note = WallClock(tmp_path / "clock", DAY_SECONDS), str(site.data / "clock.json")
    server = site.start_server(*kept, environ=clock.environ)
    server.logged("clock is 1 d 0 h ahead of all that was seen")
    recent = record(site)
    assert server.stop() == 0
    seen = read_seen(note, Disk())
    assert seen is not None
    assert 0 < seen.served_us < 600 * 1_000_000
    # Fifty-nine minutes more of the same.
    us = 3_590 * 1_000_000 - seen.served_us
    times = [one + us for one in (seen.time_us, seen.floor_us, seen.claimed_us, seen.served_us)]
    write_seen(note, Seen(*times), Disk())
    clock.set(9 * DAY_SECONDS)
    server = site.start_server(*kept, environ=clock.environ)
    server.logged("Nothing is sealed or deleted by it .* in [0-9.]+ s")
    assert due(site) == []
    until(lambda: due(site) == [before], what="the first session is too old, and no other")
    assert abs(ahead_seconds(site) - 8 * DAY_SECONDS) < 3_700
    assert set(states(site)) >= {recent}
    assert "Traceback" not in server.log()


def test_empty_battery(site: Site, tmp_path: Path) -> None:
    """What a server records while its clock shows 1970 is neither deleted as too old nor sealed
    when the clock is right again, and does not stand in the way of what is."""
    site.start_server(*KEPT)
    before = record(site)
    site.stop()
    clock = WallClock(tmp_path / "clock", 100_000 - int(time.time()))
    server = site.start_server(*KEPT, environ=clock.environ)
    server.logged("behind all that was seen of time here")
    meanwhile = record(site)
    clock.set(0)
    server.logged("clock is trusted again")
    assert server.stop() == 0
    server = site.start_server(*KEPT)
    time.sleep(2.0)
    assert states(site) == {before: "ended", meanwhile: "ended"}
    shown = {one["sessionId"]: one for one in sessions(site)}
    assert shown[meanwhile]["startTime"] < 10**12, "it was not recorded under a wrong clock"
    assert site.get_json("/api/v1/receipts")["receipts"] == []
    assert "Traceback" not in server.log()


def test_new_policy(site: Site) -> None:
    """A policy that would delete all that was recorded so far waits, says how to stop it, and is
    named in the log; stopped within that time, the server has deleted nothing. A policy that
    keeps nothing at all is refused."""
    site.start_server().logged("recordings are kept for ever")
    session = record(site)
    site.stop()
    server = site.start_server("--retain-bytes", "1")
    server.logged("recordings are kept up to 1 B")
    server.logged("nothing is deleted by it for 10 min 0 s; .*--retain-dry-run")
    until(lambda: "the policy is new" in told(site), what="the wait is told")
    assert "the policy is new" in vidlink(site, "retention")
    assert states(site) == {session: "ended"}
    assert server.stop() == 0
    for words in (("--retain-bytes", "0"), ("--retain-days", "0")):
        refused = site.launch_server(*words)
        assert refused.process.wait(30) == 1
        (line,) = refused.log().splitlines()
        assert "to keep them for ever, leave" in line
    site.start_server()
    assert states(site) == {session: "ended"}
