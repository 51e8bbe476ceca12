"""The losses by kills, power cuts and bad disks, and the time until a server is back.

``python -m benchmarks.faults [--kills N] [--cuts N] [--seed N] [PART...]``, as root, from the root
of the tree; a kill takes about three seconds, a cut four, and the rest two minutes. Parts are
``kill``, ``cut``, ``disk`` and ``stop``; without any it is all of them.

A real server under twenty scripted sentinels that send five segments a second each. All that was
acknowledged is then asked for over HTTP and compared, and the film of each session decoded. What
is done to the server, and how, is in `tests/faults`.

Measured on two cores of a shared virtual machine with five to ten other processes busy on each,
Linux 6.18, Python 3.11. Starts count from the process to the first answer over HTTP, and grow with
what else is going on: nearly all of it is Python reading modules, 0.64 s of a processor.

======================================  ==========================================================
100 times ``kill -9``                   0 of 4,827 acknowledged segments lost; 1,980 sessions whole
20 power cuts                           0 of 880 lost
3 power cuts where a sync does nothing  84 of 84 lost
start after a kill (26, less load)      1.0 s in the median, 2.1 s at most
start after a kill (101, load of 15)    2.8 s in the median, 6.8 s at most
SIGTERM                                 status 0 after 2.4 s, all closed with 1001, nothing lost
======================================  ==========================================================

Ten seconds of trouble, and what 99 % of the segments took at most to a viewer before it and in
it; nothing was lost in any, and the server grew by 17 MB, of which 6 MiB are the queue:

==================  ===================  ==========  ========  ===========
fault               p99 before, in it    alarm       over      gaps
==================  ===================  ==========  ========  ===========
EIO on write        7.9 and 6.1 ms       0.26 s      0.47 s    write-error
EIO on sync         16.2 and 13.4 ms     0.27 s      0.34 s    write-error
500 ms per write    10.4 and 10.4 ms     2.10 s      0.53 s    queue-full
disk full           31.1 and 26.6 ms     0.33 s      0.66 s    disk-full
==================  ===================  ==========  ========  ===========
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.courses import Rounds, cut_power, kill, timed_start
from tests.faults.evidence import Evidence, look
from tests.faults.load import ScriptedLoad
from tests.faults.mounts import Ext4, Tmpfs
from tests.faults.tracing import injected, lying, writer_thread
from tests.faults.trouble import Fault, endure
from tests.rigs.daemons import Daemon, Site, until

PARTS = ("kill", "cut", "disk", "stop")


@contextmanager
def a_site() -> Iterator[Site]:
    """A site in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.stop()


@contextmanager
def a_disk(site: Site) -> Iterator[Ext4]:
    """A disk whose power can be cut, with the data folder of `site` on it."""
    disk = Ext4(site.folder / "disk", site.folder / "image")
    site.data = disk.path / "data"
    try:
        yield disk
    finally:
        site.stop()
        disk.clear()


def tell(what: str, rounds: Rounds, found: Evidence) -> None:
    """One result."""
    starts = rounds.start_seconds
    print(
        f"{what:20} {len(starts)} rounds: {found.acknowledged} acknowledged, "
        f"{len(found.lost)} lost, {found.recorded} recorded in {len(found.gaps)} sessions, "
        f"{len(found.unsound)} unsound; answers {statistics.median(starts):.2f} s after the start, "
        f"at most {max(starts):.2f} s, with {statistics.median(rounds.start_cpu_seconds):.2f} s "
        "of a processor",
        flush=True,
    )


def kills(count: int, seed: int) -> None:
    """``kill -9`` at random moments."""
    with a_site() as site:
        load = ScriptedLoad(site.port, seed=seed)
        rounds = kill(site, load, count, seed)
        timed_start(rounds, site)
        tell("kill -9", rounds, look(site, rounds.promised, load.sent))


def cuts(count: int, seed: int) -> None:
    """Power cuts, and the same where the sync does nothing."""
    lie = lying("syncfs", "fsync", "fdatasync")
    for what, before, times in (("power cut", (), count), ("without sync", lie, min(count, 3))):
        with a_site() as site, a_disk(site) as disk:
            load = ScriptedLoad(site.port, seed=seed)
            rounds = cut_power(site, load, disk, times, seed, before)
            site.start_server()
            tell(what, rounds, look(site, rounds.promised, load.sent))


def disks() -> None:
    """A disk that is full, broken or slow for a while."""

    def failing(injection: str) -> Fault:
        return lambda server: injected(server, injection, tid=writer_thread(server))

    for what, fault in (
        ("EIO on write", failing("writev:error=EIO")),
        ("EIO on sync", failing("syncfs:error=EIO")),
        ("500 ms per write", failing("writev:delay_enter=500000")),
    ):
        with a_site() as site:
            suffer(what, site, fault)
    with a_site() as site:
        small = Tmpfs(site.folder / "disk", 16 * 1024 * 1024)
        site.data = small.path / "data"
        try:
            suffer("disk full", site, small.full)
        finally:
            site.stop()
            small.clear()


def suffer(what: str, site: Site, fault: Fault) -> None:
    """One trouble of ten seconds."""
    found = endure(site, fault, seconds=10.0)
    evidence = found.evidence
    print(
        f"{what:20} viewer p99 {found.quiet_ms:.1f} ms before, {found.trouble_ms:.1f} ms in it; "
        f"alarm after {found.alarm_seconds:.2f} s, over after {found.recovery_seconds:.2f} s; "
        f"{found.growth_bytes / 1e6:.0f} MB more memory; {evidence.acknowledged} acknowledged, "
        f"{len(evidence.lost)} lost, {len(evidence.unsound)} unsound, gaps: "
        f"{', '.join(sorted(evidence.causes())) or 'none'}",
        flush=True,
    )


def stop() -> None:
    """SIGTERM under load."""
    with a_site() as site:
        server: Daemon = site.start_server()
        load = ScriptedLoad(site.port, size_bytes=20_000, viewers=2)
        with load:
            until(lambda: sum(load.acknowledged().values()) > 200, what="acknowledged")
            begun = time.monotonic()
            server.send(signal.SIGTERM)
            status = server.process.wait(30.0)
            seconds = time.monotonic() - begun
            until(lambda: len(load.closes) >= 20, what="all have been closed")
        promised = load.acknowledged() | {key: max(seen) for key, seen in load.seen().items()}
        site.start_server()
        found = look(site, promised, load.sent)
        print(
            f"{'SIGTERM':20} status {status} after {seconds:.2f} s; closed with "
            f"{sorted(set(load.closes[:20]), key=str)}; {found.acknowledged} received, "
            f"{len(found.lost)} lost",
            flush=True,
        )


def main() -> None:
    """Do what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=os.getpid())
    options = parser.parse_args()
    print(f"--seed {options.seed}")
    work: dict[str, Callable[[], None]] = {
        "kill": lambda: kills(options.kills, options.seed),
        "cut": lambda: cuts(options.cuts, options.seed),
        "disk": disks,
        "stop": stop,
    }
    for part in options.parts or PARTS:
        work[part]()


if __name__ == "__main__":
    main()
