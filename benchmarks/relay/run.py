"""The runs: each server by turns under each load, started anew for each."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from benchmarks.relay import scripts
from benchmarks.relay.peers.others import Other
from benchmarks.relay.peers.ours import OurRunning, Vidlink
from benchmarks.relay.tools import Failed, Tools
from benchmarks.relay.workloads import FILE_PEERS, KB, RANGES, WORKLOADS, Workload
from tests.rigs.daemons import until
from tests.rigs.tls import self_signed

#: The recording that ranges are asked of: so many segments of 20 KB, sent ten times as fast as
#: they were captured.
SEGMENTS, RATE, DURATION_MS = 3_400, 200, 50
#: Each size of range is asked for so long before it is measured: of ours the first to read a
#: segment checks it.
RANGE_WARMUP_SECONDS = 1.0

Peer = Vidlink | Other
#: Of one run: its load, its server, and what was found.
Row = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs loads on the servers that are here, each for so many seconds."""

    tools: Tools
    peers: dict[str, Peer]
    seconds: float

    def round(self, number: int, chosen: list[str]) -> Iterator[Row]:
        """One round of the loads `chosen`; the servers take turns in being first."""
        for workload in WORKLOADS:
            if workload.name not in chosen or number >= workload.rounds:
                continue
            names = [name for name in workload.peers if name in self.peers]
            if workload.has_tls and not self.tools.has_tls:
                names = []
            for name in _turned(names, number):
                yield workload.name, name, _tried(self._carry, workload, self.peers[name])

    def _carry(self, workload: Workload, peer: Peer) -> dict[str, Any]:
        """One server under one load."""
        is_ours = isinstance(peer, Vidlink)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            tls = self_signed(folder / "tls") if workload.has_tls else None
            said = scripts.Scripts.write(folder, workload.scripts(is_ours))
            running = peer.start(folder, self.tools, tls)
            try:
                options = [
                    *said.options,
                    *running.options,
                    *workload.options(is_ours, self.seconds),
                ]
                options += ["--port", str(running.port), "--pids", running.pids]
                looks = None
                if workload.has_memory and isinstance(running, OurRunning):
                    looks = running.memory
                return figures(workload, self.tools.load(options, looks=looks))
            finally:
                running.stop()

    def ranges(self, recording: Recording, number: int) -> Iterator[Row]:
        """One round of ranges."""
        names = [name for name in FILE_PEERS if name in self.peers]
        for name in _turned(names, number):
            found = _tried(self._serve, recording, self.peers[name])
            for load, _, _ in RANGES:
                yield load, name, found.get(load, found)

    def _serve(self, recording: Recording, peer: Peer) -> dict[str, Any]:
        """One server of the recording, for ranges of each size."""
        folder = recording.folder if isinstance(peer, Vidlink) else recording.folder / peer.name
        folder.mkdir(exist_ok=True)
        running = peer.start(folder, self.tools, None)
        try:
            path, token = "/recording.mp4", "-"
            if isinstance(running, OurRunning):
                path, token = running.address(recording.path), running.token
            found = {}
            for load, piece, connections in RANGES:
                sizes = (piece or recording.size, recording.size)
                told = (*sizes, connections, RANGE_WARMUP_SECONDS, self.seconds, running.pids)
                ran = self.tools.http_load(running.port, path, token, *told)
                found[load] = range_figures(ran)
            return found
        finally:
            running.stop()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of ours in `folder`, and the same film as a file in ``www``."""

    folder: Path
    path: str
    size: int

    @classmethod
    def make(cls, folder: Path, tools: Tools) -> Recording:
        """Record it."""
        codec = WORKLOADS[0].codec
        said = scripts.vidlink(codec, 20 * KB, 20 * KB, DURATION_MS)
        written = scripts.Scripts.write(folder, said)
        running = Vidlink("vidlink", "").start(folder, tools, None)
        assert running.site is not None
        try:
            options = ["--publishers", "1", "--viewers", "1", "--rate", str(RATE)]
            options += ["--ticks", str(scripts.ticks(DURATION_MS)), "--warmup", "0"]
            options += ["--seconds", str(SEGMENTS / RATE), "--publish-protocol", codec.name]
            options += ["--port", str(running.port), "--pids", running.pids]
            tools.load([*written.options, *running.options, *options])
            sentinel = scripts.SENTINEL.replace("6789", "0000")
            session = scripts.SESSION.replace("6789", "0000").replace("5678", "0000")
            site = running.site
            path = f"/api/v1/sentinels/{sentinel}/sessions/{session}"
            until(lambda: site.get_json(path)["state"] == "ended", what="it has ended")
            status, _, film = site.get(f"{path}/recording.mp4")
            assert status == 200, film
        finally:
            running.process.terminate()
            running.process.wait()
        (folder / "www").mkdir()
        (folder / "www" / "recording.mp4").write_bytes(film)
        return cls(folder, f"{path}/recording.mp4", len(film))


def figures(workload: Workload, found: dict[str, Any]) -> dict[str, Any]:
    """What a reader wants to know of a run of `load.c`."""
    seconds, used = found["seconds"], found["processor_seconds"]
    if not found["delivered"]:
        raise Failed("nothing came through while it was measured")
    # What is sent to a server that falls behind waits in its sockets, and has cost nothing yet.
    kept_up = found["delivered"] / found["wanted"]
    messages = kept_up * found["sent"] if workload.cost == "in" else found["delivered"]
    told = {
        "us": used / messages * 1e6,
        "in_per_s": found["sent"] / seconds,
        "out_per_s": found["delivered"] / seconds,
        "kept_up": kept_up,
        "delivered": found["all_delivered"] / found["all_expected"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "core": used / seconds,
        "rss_mb": found["resident_octets"] / 1e6,
        "load_core": found["own_seconds"] / seconds,
    }
    if found["p99_ms"] < 0:
        # Nothing that was sent while it was measured has come yet.
        del told["p50_ms"], told["p99_ms"]
    if workload.times:
        told["took_ms"] = statistics.median(found["took_ms"])
        told["slowest_ms"] = max(found["took_ms"])
        # A storm has few messages, which are not what it costs.
        for name in ("us", "in_per_s", "out_per_s", "kept_up"):
            del told[name]
    if workload.has_memory:
        told["beyond_mb"] = (found["resident_octets"] - found["held_octets"]) / 1e6
    return told


def range_figures(found: dict[str, Any]) -> dict[str, Any]:
    """What a reader wants to know of a run of `httpload.c`."""
    used = max(found["processor_seconds"], 0.001)
    return {
        "us": used / max(1, found["requests"]) * 1e6,
        "gb_per_core_s": found["octets"] / 1e9 / used,
        "gb_per_s": found["octets"] / 1e9 / found["seconds"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "core": found["processor_seconds"] / found["seconds"],
        "rss_mb": found["resident_octets"] / 1e6,
    }


def _tried(course: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a course finds, or how it failed: one server less is no reason to measure no other."""
    try:
        return course(*arguments)
    except (Failed, AssertionError, TimeoutExpired) as error:
        return {"failed": str(error)[-300:]}


def _turned(names: list[str], by: int) -> list[str]:
    by %= max(1, len(names))
    return names[by:] + names[:by]
