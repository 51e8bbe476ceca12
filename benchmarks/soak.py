"""A server after one minute, and after ten, or hours: the same, or not.

``python -m benchmarks.soak [--minutes M] [--folder DIR]`` from the root of the tree; 11 minutes
unless told otherwise, and 3.5 GB of disk, which are free again afterwards.

A real server that records to a disk, 100 scripted sentinels that send 5 frames a second each
(8 KB, and a keyframe of 48 KB every 10 s), and five viewers that watch 20 of them each. Every 10 s
a line tells what the server has in memory and open, what it costs, how long a segment was on its
way to a viewer, and how long until it was acknowledged; at the end, how it changed from the second
minute on. Beside them are 20 real uplinks (`tests.rigs.fleet`): of what those captured, every octet
has to be in the recordings then.

Measured on two cores of a virtual machine that others kept busy, Linux 6.18, Python 3.11:

===========================  =========================  ==========================
what                         100 scripted, load 2-5     and 20 uplinks, load 5-20
===========================  =========================  ==========================
memory after 1 and 11 min    231 and 235 MB             252 and 290 MB
its slope from minute 2 on   +146 KiB a minute          0 (a step at a load of 18)
descriptors                  322, all the time          384, all the time
processor                    25 % of a core             18 % of a core
live, median and 99 %        0.9 and 88 to 208 ms       240 ms and 10 to 17 s
acknowledged, the same       0.27 and 0.55 to 0.67 s    0.7 to 0.9 and 3 to 8 s
missed by viewers            nothing                    nothing
===========================  =========================  ==========================

All 66,081 segments of the uplinks were there. The log had 234 and 361 lines, and no traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.faults.whole import check_whole
from tests.rigs.daemons import Site, until
from tests.rigs.fleet import FleetProcess
from tests.rigs.herd import HerdProcess, Plan
from tests.rigs.journal import read_journal
from tests.rigs.process import Usage, usage
from tests.rigs.scripted import Scripted, p99
from vidlink.daemon import wall_clock_us
from vidlink.messages import Message, ProctorRegister, Subscribe
from vidlink.model import Segment

SENTINELS, VIEWERS, UPLINKS = 100, 5, 20
FRAMES_A_SECOND = 5.0
STEP_SECONDS = 10.0
#: Caches and buffers fill in the first minute; after that this is flat.
WARM_SECONDS = 60.0
FLAT_BYTES_A_MINUTE = 512 * 1024


class Onlooker(Scripted):
    """A viewer of many streams; `delays_ms` has those of what came since it was last looked at."""

    def __init__(self, port: int, watched: list[str]) -> None:
        super().__init__("/ws/proctor", port)
        self.delays_ms: list[float] = []
        self.jumps = 0
        self._watched = watched
        self._newest: dict[str, int] = {}

    def greet(self) -> None:
        """Register, and ask for everything."""
        self.say(ProctorRegister("soak/1"))
        for sentinel_id in self._watched:
            self.say(Subscribe(sentinel_id))

    def hear(self, message: Message) -> None:
        """Take the time of a segment, and see that it is the next one."""
        if not isinstance(message, Segment):
            return
        self.delays_ms.append((wall_clock_us() - message.start_time_us) / 1_000)
        expected = self._newest.get(message.sentinel_id, message.sequence - 1) + 1
        self.jumps += message.sequence != expected
        self._newest[message.sentinel_id] = message.sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """The server after `seconds`, and what came since the sample before."""

    seconds: float
    usage: Usage
    cpu_percent: float
    delays_ms: list[float]
    acks_ms: list[float]
    load: float

    def line(self) -> str:
        """For people."""
        return (
            f"{self.seconds:6.0f} s  rss {self.usage.resident_bytes / 1e6:6.1f} MB"
            f"  fds {self.usage.descriptors:4}  threads {self.usage.threads:2}"
            f"  cpu {self.cpu_percent:5.1f} %  live p50 {statistics.median(self.delays_ms):6.1f}"
            f" p99 {p99(self.delays_ms):6.1f} ms  ack p50 {statistics.median(self.acks_ms):6.0f}"
            f" p99 {p99(self.acks_ms):6.0f} ms  queue {self.load:.3f}  n {len(self.delays_ms)}"
        )


class Soak:
    """One run."""

    def __init__(self, site: Site, folder: Path, minutes: float) -> None:
        self._site = site
        self._seconds = minutes * 60
        self.server = site.start_server()
        plan = Plan("127.0.0.1", site.port, SENTINELS, FRAMES_A_SECOND, 8_000, 50)
        self._herd = HerdProcess(plan, folder / "herd.log")
        self._fleet = FleetProcess(site.ws, folder, f"--count={UPLINKS}")
        self._told = 0
        self.samples: list[Sample] = []
        self.jumps = 0

    async def run(self) -> None:
        """Sample until the time is over."""
        names = [f"light-{number}" for number in range(SENTINELS)]
        await asyncio.to_thread(until, lambda: all(map(self._is_live, (names[0], names[-1]))))
        viewers = []
        for number in range(VIEWERS):
            viewers.append(Onlooker(self._site.port, names[number::VIEWERS]))
            loop, viewer = asyncio.get_running_loop(), viewers[-1]
            await loop.create_connection(lambda viewer=viewer: viewer, "127.0.0.1", self._site.port)
        await asyncio.sleep(2)
        for viewer in viewers:
            # What came from the memory buffer is not late.
            viewer.delays_ms.clear()
        began, before = time.monotonic(), usage(self.server.process.pid)
        self._news()
        while (passed := time.monotonic() - began) < self._seconds:
            await asyncio.sleep(STEP_SECONDS)
            before = self._sample(time.monotonic() - began, passed, before, viewers)
        self.jumps = sum(viewer.jumps for viewer in viewers)

    def _is_live(self, name: str) -> bool:
        row = self._site.status_of(name)
        return row is not None and row["state"] == "live"

    def _sample(
        self, now: float, before_seconds: float, before: Usage, viewers: list[Onlooker]
    ) -> Usage:
        used = usage(self.server.process.pid)
        delays = sorted(delay for viewer in viewers for delay in viewer.delays_ms)
        for viewer in viewers:
            viewer.delays_ms.clear()
        cpu = 100 * (used.processor_seconds - before.processor_seconds) / (now - before_seconds)
        news = [line for line in self._news() if line[0] == "acks"]
        acks = sorted(waited for line in news for waited in line[2])
        self.samples.append(Sample(now, used, cpu, delays, acks, max(line[3] for line in news)))
        print(self.samples[-1].line(), flush=True)
        return used

    def _news(self) -> list[list[Any]]:
        """The reports of the herd since the last call; nobody may be cut off."""
        told = self._herd.told()
        news, self._told = told[self._told :], len(told)
        lost = [line for line in news if line[0] == "lost"]
        assert not lost, lost
        return news

    def stop(self) -> None:
        """End the Sentinels."""
        self._herd.stop()
        self._fleet.stop()

    def check_uplinks(self) -> int:
        """All that the real uplinks captured is there; how many segments that is."""
        self._fleet.stop()
        count = 0
        for session in read_journal(self._fleet.journal_path).values():
            if session.captured:
                check_whole(self._site, session, session.acknowledged)
                count += session.acknowledged + 1
        return count


def slope(points: list[tuple[float, float]]) -> float:
    """By how much a value changes a second: the median of the slopes between any two points, so
    that a single step, as when the machine was busy and much came at once, is none."""
    return statistics.median(
        (later[1] - sooner[1]) / (later[0] - sooner[0]) for sooner, later in combinations(points, 2)
    )


def verdict(soak: Soak) -> None:
    """Tell how it changed after the warm-up."""
    warm = [sample for sample in soak.samples if sample.seconds > WARM_SECONDS]
    if len(warm) < 3:
        print("too short for a verdict")
        return
    bytes_a_minute = 60 * slope([(one.seconds, one.usage.resident_bytes) for one in warm])
    descriptors = 60 * slope([(one.seconds, one.usage.descriptors) for one in warm])
    half = len(warm) // 2
    for name, part in (("first half", warm[:half]), ("second half", warm[half:])):
        live = sorted(delay for one in part for delay in one.delays_ms)
        acks = sorted(delay for one in part for delay in one.acks_ms)
        print(
            f"{name:12} live p50 {statistics.median(live):.1f} p99 {p99(live):.1f} ms,"
            f" ack p50 {statistics.median(acks):.0f} p99 {p99(acks):.0f} ms,"
            f" cpu {statistics.mean(one.cpu_percent for one in part):.1f} %"
        )
    is_flat = bytes_a_minute < FLAT_BYTES_A_MINUTE and descriptors < 1 and not soak.jumps
    peak = max(one.usage.peak_bytes for one in soak.samples)
    print(
        f"{'flat' if is_flat else 'NOT FLAT'}: {bytes_a_minute / 1024:+.0f} KiB a minute,"
        f" {descriptors:+.2f} descriptors a minute, peak {peak / 1e6:.1f} MB,"
        f" {soak.jumps} segments missed by viewers,"
        f" log of {len(soak.server.log().splitlines())} lines,"
        f" {soak.server.log().count('Traceback')} tracebacks"
    )


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=11.0)
    parser.add_argument("--folder", help="where it records; on a disk, not in memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        site, soak = Site(Path(name)), None
        try:
            soak = Soak(site, Path(name), options.minutes)
            asyncio.run(soak.run())
            verdict(soak)
            print(f"{soak.check_uplinks()} segments of real uplinks are there, octet by octet")
        finally:
            if soak is not None:
                soak.stop()
            site.stop()


if __name__ == "__main__":
    main()
