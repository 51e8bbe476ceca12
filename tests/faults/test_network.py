"""Real networks that are cut: what is captured meanwhile is recorded, and who is gone is seen."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.whole import check_whole, listed, sessions
from tests.rigs.crowd import join
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.fleet import FleetProcess
from tests.rigs.journal import read_journal
from tests.rigs.namespace import Namespace, joined_namespace
from tests.rigs.proctor import LiveProctor
from tests.rigs.scripted import Viewer
from tests.rigs.sentinel import LiveSentinel
from vidlink.liveness import PING_SECONDS
from vidlink.messages import Subscribe
from vidlink.model import (
    USUAL,
    Segment,
)
from vidlink.relay.hub import PROBE_SECONDS

COUNT = 20
OUTAGE_SECONDS = 60.0
#: What is promised is 5 s.
BACK_SECONDS = 25.0
#: What is delivered late is so within half a minute or so.
RECOVERY_SECONDS = 150.0


@dataclass
class Place:
    """A server, and Sentinels in a network of their own."""

    site: Site
    network: Namespace

    @property
    def far_url(self) -> str:
        """The server as it is reached from the network."""
        return f"ws://{self.network.here}:{self.site.port}"

    def start_server(self) -> Daemon:
        """Start the server, for both networks."""
        listen = f"tcp:{self.site.port}:interface={self.network.here}"
        return self.site.start_server("--listen", listen, "--no-auth")

    def start_sentinel(self, sentinel_id: str) -> Daemon:
        """Start a complete daemon in the network."""
        options = "--server", self.far_url, "--fps", "5"
        return self.site.start_sentinel(sentinel_id, *options, before=self.network.before)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Nothing is started yet, and everything is ended."""
    with joined_namespace() as network:
        site = Site(tmp_path)
        yield Place(site, network)
        site.stop()


@dataclass
class Outage:
    """Twenty real uplinks, which keep on disk what the server has not, and a complete daemon that
    keeps it in memory, without a network for a minute in which the server is killed as well; and
    who watches them, before and after.

    `back_seconds` is how long each took, from when the network was there again, until its live
    stream came.
    """

    place: Place
    fleet: FleetProcess
    viewers: list[Viewer] = field(default_factory=list)
    back_seconds: dict[str, float] = field(default_factory=dict)
    logs: list[Daemon] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All that send."""
        return ["desk-1", *(f"fleet-{number}" for number in range(COUNT))]

    async def run(self) -> None:
        """Let it happen, up to when all are back."""
        site = self.place.site
        self.logs.append(await asyncio.to_thread(self.place.start_server))
        desk = self.place.start_sentinel("desk-1")
        self.logs.append(desk)
        for name in self.names:
            await asyncio.to_thread(site.live_session, name)
        await self._watch()
        await asyncio.sleep(5)
        self.place.network.cut()
        cut = time.monotonic()
        await asyncio.sleep(20)
        self.logs[0].kill()
        self.logs.append(await asyncio.to_thread(self.place.start_server))
        await self._watch()
        await asyncio.sleep(cut + OUTAGE_SECONDS - time.monotonic())
        self.place.network.mend()
        mended = time.monotonic()
        while len(self.back_seconds) < len(self.names):
            for name, _, seconds in self.viewers[-1].came:
                self.back_seconds.setdefault(name, seconds - mended)
            missing = set(self.names) - set(self.back_seconds)
            assert time.monotonic() < mended + RECOVERY_SECONDS, missing
            await asyncio.sleep(0.05)
        await asyncio.to_thread(until, self._is_over, RECOVERY_SECONDS, 0.5)
        await asyncio.sleep(3)

    async def _watch(self) -> None:
        port = self.place.site.port
        wishes = [Subscribe(name) for name in self.names]
        self.viewers.append(await join(port, Viewer(port, *wishes)))

    def _is_over(self) -> bool:
        """Whether everything late has been delivered: of each, one session is not sealed."""
        return all(
            [row["state"] for row in sessions(self.place.site, name)].count("sealed")
            == len(sessions(self.place.site, name)) - 1
            for name in self.names
        )

    def check_viewers(self) -> None:
        """Nobody who watched live was sent anything late, twice, or out of order."""
        for viewer in self.viewers:
            newest: dict[tuple[str, str], int] = {}
            for message in viewer.heard:
                if isinstance(message, Segment):
                    assert not message.is_late
                    stream = message.sentinel_id, message.session_id
                    assert message.sequence > newest.get(stream, -1)
                    newest[stream] = message.sequence


@pytest.mark.timeout(480)
def test_a_minute_without_network(place: Place, tmp_path: Path) -> None:
    """Twenty Sentinels have no network for a minute, and the server is killed in it: all that they
    captured is in the recordings once, octet by octet, every session but the last is sealed, no
    live viewer was disturbed by what came late, and live was back within seconds."""
    options = f"--count={COUNT}", f"--spool={tmp_path / 'spool'}"
    fleet = FleetProcess(place.far_url, tmp_path, *options, before=place.network.before)
    try:
        outage = Outage(place, fleet)
        asyncio.run(outage.run())
    finally:
        status = fleet.stop()
    site = place.site
    journal = read_journal(fleet.journal_path)
    for name in outage.names[1:]:
        own = [session for session in journal.values() if session.sentinel_id == name]
        assert sum(len(session.captured) for session in own) > 5 * OUTAGE_SECONDS
        known = {row["sessionId"] for row in sessions(site, name)}
        assert known == {session.session_id for session in own if session.captured}
        for session in own[:-1]:
            check_whole(site, session, max(session.captured))
        check_whole(site, own[-1], own[-1].acknowledged)
    _check_desk(site)
    outage.check_viewers()
    back = sorted(outage.back_seconds.values())
    print(f"live was back after {back[0]:.2f} to {back[-1]:.2f} s")
    assert back[-1] < BACK_SECONDS
    assert status == 0
    for log in (fleet.log(), *(daemon.log() for daemon in outage.logs)):
        assert "Traceback" not in log
        assert len(log.splitlines()) < 2_000


def _check_desk(site: Site) -> None:
    """Of the complete daemon everything is there as well, though nobody kept a journal."""
    rows = sessions(site, "desk-1")
    assert len(rows) > 1
    for row in rows:
        session = site.get_json(f"/api/v1/sentinels/desk-1/sessions/{row['sessionId']}")
        assert session["gaps"] == []
        segments = listed(site, "desk-1", row["sessionId"])
        assert [one["sequence"] for one in segments] == list(range(len(segments)))
    # The end of one session and the beginning of the next are not far apart: nothing is between.
    times = sorted((row["startTime"], row["endTime"]) for row in rows)
    for (_, end), (start, _) in itertools.pairwise(times):
        assert start - end < 1_000_000


def _state(site: Site, sentinel_id: str) -> Any:
    return site.status_of(sentinel_id)["state"]


def test_half_open(place: Place) -> None:
    """Two Sentinels are cut off without a farewell. One is given up after a ping that is not
    answered; the id of the other one is free as soon as somebody else wants it."""
    place.start_server()
    site = place.site
    for name in ("desk-1", "desk-2"):
        place.start_sentinel(name)
    for name in ("desk-1", "desk-2"):
        site.live_session(name)
    place.network.cut()
    cut = time.monotonic()
    other = LiveSentinel(site.ws, "desk-1", "session-of-another")
    assert time.monotonic() - cut < 5 * PROBE_SECONDS
    other.init()
    other.segment(0)
    assert site.live_session("desk-1") == "session-of-another"
    assert _state(site, "desk-2") != "offline"
    limit = PING_SECONDS + USUAL.pong_seconds
    until(lambda: _state(site, "desk-2") == "offline", 5 * limit, what="it is given up")
    assert time.monotonic() - cut > USUAL.pong_seconds
    other.vanish()


def test_frozen(place: Place) -> None:
    """A Sentinel that is frozen is given up after a ping that is not answered. Once it goes on,
    it is live again, and of what it captured nothing is missing; no time is made up for."""
    place.start_server()
    site = place.site
    desk = place.start_sentinel("desk-1")
    first = site.live_session("desk-1")
    site.recorded("desk-1", first, 10)
    desk.send(signal.SIGSTOP)
    until(
        lambda: _state(site, "desk-1") == "offline",
        5 * (PING_SECONDS + USUAL.pong_seconds),
        what="it is given up",
    )
    desk.send(signal.SIGCONT)
    second = site.live_session("desk-1", other_than=first)
    viewer = LiveProctor(site.ws)
    viewer.say(Subscribe("desk-1"))
    assert viewer.wait_for(Segment).session_id == second
    until(
        lambda: (
            {row["sessionId"]: row["state"] for row in sessions(site, "desk-1")}[first] == "sealed"
        ),
        what="it is sealed",
    )
    for row in sessions(site, "desk-1"):
        session = site.get_json(f"/api/v1/sentinels/desk-1/sessions/{row['sessionId']}")
        assert session["gaps"] == []
        segments = listed(site, "desk-1", row["sessionId"])
        assert [one["sequence"] for one in segments] == list(range(len(segments)))
    viewer.close()
