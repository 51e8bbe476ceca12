"""VidLink beside its peers, the same loads on each, by turns.

``python -m benchmarks.relay --all`` from the root of the tree measures everything, and writes
``benchmarks/relay/results.json``, the tables of ``docs/reference/performance.md`` and the picture
``docs/performance.svg``. ``--peers vidlink,nchan --workloads W1x20,W2s --rounds 5`` measures some,
and prints it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest import SkipTest

from benchmarks.relay.report import publish, told
from benchmarks.relay.results import Results
from benchmarks.relay.run import Recording, Row, Runner
from benchmarks.relay.tools import Tools, machine
from benchmarks.relay.workloads import PEERS, RANGES, WORKLOADS
from tests.rigs.needs import Missing

_RANGES = [name for name, _, _ in RANGES]
_LOADS = [*(one.name for one in WORKLOADS), *_RANGES]


def main() -> None:
    """Measure what is asked for."""
    options = _options()
    if options.redraw:
        publish(Results.read())
        return
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        try:
            tools = Tools(folder)
        except (SkipTest, Missing) as missing:
            sys.exit(str(missing))
        versions = {peer.name: peer.version(tools) for peer in PEERS if peer.name in options.peers}
        left_out = [name for name, version in versions.items() if not version]
        for name in left_out:
            print(f"{name} is not installed, and left out", flush=True)
        if not tools.has_tls:
            print("the headers of OpenSSL (libssl-dev) are not there: no TLS", flush=True)
        peers = {peer.name: peer for peer in PEERS if versions.get(peer.name)}
        runner = Runner(tools, peers, options.seconds)
        busy = os.getloadavg()[1]
        rows = list(_rounds(runner, options, folder / "recording"))
    results = Results.of(
        {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "rounds": options.rounds,
            "seconds": options.seconds,
            "machine": machine(),
            "busy": f"a load of {busy:.1f} before it began",
            "versions": {name: version for name, version in versions.items() if version},
            "left_out": left_out,
        },
        rows,
    )
    print(told(results))
    if options.all:
        results.write()
        publish(results)


def _rounds(runner: Runner, options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """All rows of all rounds, each told when it is there."""
    recording = None
    if any(name in options.workloads for name in _RANGES):
        folder.mkdir()
        recording = Recording.make(folder, runner.tools)
    for number in range(options.rounds):
        for row in runner.round(number, options.workloads):
            yield _shown(number, row)
        if recording is not None:
            for row in runner.ranges(recording, number):
                yield _shown(number, row)


def _shown(number: int, row: Row) -> Row:
    load, peer, found = row
    figures = (f"{name} {value:.4g}" for name, value in found.items() if name != "failed")
    print(f"{number + 1} {load:11} {peer:10}", *figures, found.get("failed", ""), flush=True)
    return row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    names = ",".join(peer.name for peer in PEERS)
    parser.add_argument("--all", action="store_true", help="everything; write page and picture")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; write them anew")
    parser.add_argument("--peers", default=names, help=f"of {names}")
    parser.add_argument("--workloads", default=",".join(_LOADS), help=f"of {','.join(_LOADS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each, measured")
    options = parser.parse_args()
    for name, known in (("peers", names.split(",")), ("workloads", _LOADS)):
        chosen = known if options.all else getattr(options, name).split(",")
        if unknown := set(chosen) - set(known):
            parser.error(f"no {name} {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        setattr(options, name, chosen)
    return options


if __name__ == "__main__":
    main()
