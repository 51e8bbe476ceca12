"""What is done to a server round after round; tests judge it, the benchmark prints it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.load import Key, Load
from tests.faults.mounts import Ext4
from tests.rigs.daemons import Daemon, Site

#: So long a server lives in a round, from when it answers.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.3, 2.0


@dataclass
class Rounds:
    """How rounds went: what each start took until the server answered, in time and of a
    processor, and how far sessions had been acknowledged."""

    start_seconds: list[float] = field(default_factory=list)
    start_cpu_seconds: list[float] = field(default_factory=list)
    promised: dict[Key, int] = field(default_factory=dict)


def kill(site: Site, load: Load, count: int, seed: int) -> Rounds:
    """Start the server and kill it at a random moment, `count` times, under `load`."""
    rounds = Rounds()
    with load:
        for server in _lives(rounds, site, count, seed):
            server.kill()
    rounds.promised = load.acknowledged()
    return rounds


def cut_power(
    site: Site, load: Load, disk: Ext4, count: int, seed: int, before: Sequence[str] = ()
) -> Rounds:
    """Start the server and cut the power of its disk at a random moment, `count` times.

    The server dies a moment after its disk. What it says in between no machine says that has no
    power, so it does not count.
    """
    rounds = Rounds()
    with load:
        for server in _lives(rounds, site, count, seed, before):
            for key, reached in load.acknowledged().items():
                rounds.promised.setdefault(key, reached)
            disk.cut_power()
            server.kill()
            disk.unmount()
            disk.mount()
    return rounds


def _lives(
    rounds: Rounds, site: Site, count: int, seed: int, before: Sequence[str] = ()
) -> Iterator[Daemon]:
    """`count` servers, one after the other, each after a while that it has run."""
    chance = random.Random(seed)
    for _ in range(count):
        server = timed_start(rounds, site, before)
        time.sleep(chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
        yield server


def timed_start(rounds: Rounds, site: Site, before: Sequence[str] = ()) -> Daemon:
    """Start the server, and note what that took."""
    begun = time.monotonic()
    server = site.start_server(before=before)
    rounds.start_seconds.append(time.monotonic() - begun)
    stat = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(stat[11]) + int(stat[12])
    rounds.start_cpu_seconds.append(ticks / os.sysconf("SC_CLK_TCK"))
    return server
