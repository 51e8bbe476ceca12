"""A server that is killed: what it had acknowledged is there, and what is there is whole."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
import websocket

from tests.faults.courses import kill, timed_start
from tests.faults.evidence import look
from tests.faults.load import Key, ScriptedLoad
from tests.faults.tracing import injected, killing
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.sentinel import LiveSentinel
from vidlink.messages import Ack, Message

ROUNDS = int(os.environ.get("VIDLINK_FAULT_ROUNDS", "20"))
SEED = int(os.environ.get("VIDLINK_FAULT_SEED", "1"))
#: Five times what a start may take.
MOST_START_SECONDS = 10.0
#: The highest sequence of a session that is sent in one go.
LAST = 4
#: No round makes so many calls of one kind.
MOST_CALLS = 60


@pytest.mark.timeout(60 + 12 * ROUNDS)
def test_killed_at_random(site: Site) -> None:
    """Killed again and again at random moments under twenty Sentinels, the server comes back at
    once, and has every acknowledged segment as it was sent; each session that was cut short says
    so."""
    print(f"VIDLINK_FAULT_SEED={SEED}, {ROUNDS} rounds")
    load = ScriptedLoad(site.port, seed=SEED)
    rounds = kill(site, load, ROUNDS, SEED)
    timed_start(rounds, site)
    assert max(rounds.start_seconds) < MOST_START_SECONDS, rounds.start_seconds
    found = look(site, rounds.promised, load.sent)
    found.check()
    assert found.acknowledged > ROUNDS, "too little was promised to prove anything"
    for key, gaps in found.gaps.items():
        assert {gap["cause"] for gap in gaps} == {"server-stopped"}, (key, gaps)


@pytest.mark.parametrize("call", ["writev", "pwrite64", "rename", "syncfs"])
def test_killed_at_each_write(site: Site, call: str) -> None:
    """Killed at the first, the second, the third such call of a round, until a round has none
    left: after each, what was acknowledged is there, and nothing is torn."""
    promised: dict[Key, int] = {}
    sent: dict[Key, dict[int, bytes]] = {}
    for number in range(1, MOST_CALLS):
        server = site.start_server()
        key = f"desk-{number}", f"session-of-round-{number:03}"
        sent[key] = {}
        with injected(server, f"{call}:signal=KILL:when={number}"):
            promised[key] = _round(site, key, sent[key])
            if promised[key] == LAST:
                break
            assert server.process.wait(10) == -9
    server.kill()
    assert number > 1, "a round makes such a call"
    assert promised[key] == LAST, "no round was completed"
    site.start_server()
    look(site, promised, sent).check()


def _round(site: Site, key: Key, sent: dict[int, bytes]) -> int:
    """A session of five segments; how far it was acknowledged, all or up to the server's death."""
    heard: list[Message] = []
    with suppress(OSError, websocket.WebSocketException, AssertionError):
        sentinel = LiveSentinel(site.ws, *key)
        heard = sentinel.heard
        sentinel.init()
        for sequence in range(LAST + 1):
            sent[sequence] = sentinel.segment(sequence)
        sentinel.acknowledged(key[1], LAST)
    return max((one.sequence for one in heard if isinstance(one, Ack)), default=-1)


def test_killed_while_it_starts(site: Site) -> None:
    """Killed at the first, the second, the third write of the start after a kill, until a start
    is completed: all is there that was acknowledged before."""
    site.start_server()
    load = ScriptedLoad(site.port, 3)
    with load:
        until(lambda: min(load.acknowledged().values(), default=-1) >= 3, what="acknowledged")
        site.stop()
    promised, kills = load.acknowledged(), 0
    for call in ("writev", "rename", "syncfs"):
        for number in range(1, MOST_CALLS):
            server = site.launch_server(before=killing(call, number))
            if _answers(site, server):
                server.kill()
                break
            kills += 1
    assert kills > 4, "a start after a kill writes"
    site.start_server()
    look(site, promised, load.sent).check()


def _answers(site: Site, server: Daemon) -> bool:
    """Whether the server answers; False when it has been killed."""

    def look() -> str:
        if server.process.poll() is not None:
            return "killed"
        try:
            return "answers" if site.get("/healthz")[0] == 200 else ""
        except OSError:
            return ""

    return until(look) == "answers"
