"""The cost of viewers that never read, to those that do and to the server.

``python -m benchmarks.slow [--alone SECONDS] [--rounds N]`` from the root of the tree; a round
takes a minute and a half with the default of 20 s.

A real server, four scripted sentinels that send 6.4 Mbit/s together, and five viewers that read
all of it: alone, then beside twenty viewers, ten of them over TLS, that ask for the same and
never read, until the server closes those, and alone again. Time counts from when a segment is
sent to when a reader has it; all peers are in one process beside the server's. The server's
memory counts from when the readers were alone.

Measured on two cores of a shared virtual machine that were both busy otherwise, Linux 6.18,
Python 3.11; three rounds:

===================  =====================  =========================
readers              median                 99 % within
===================  =====================  =========================
alone                2.9, 3.2 and 2.8 ms    25.6, 28.1 and 40.2 ms
beside the twenty    2.5, 2.8 and 2.7 ms    13.7, 20.8 and 29.0 ms
===================  =====================  =========================

The server grew by 2.5 to 2.9 MB, nearly all of it in the first four seconds, and stayed there
until, 30 s on, all twenty were closed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from tests.rigs.crowd import Crowd
from tests.rigs.daemons import Site
from tests.rigs.scripted import p99


def tell(what: str, ordered: list[float]) -> None:
    """One line of the result."""
    print(
        f"{what:24} n {len(ordered):5}  p50 {statistics.median(ordered):6.2f}  "
        f"p99 {p99(ordered):6.2f}  max {ordered[-1]:6.2f} ms"
    )


def measure(alone_seconds: float) -> None:
    """One round."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            crowd = Crowd.gather(site, Path(folder), alone_seconds, alone_seconds)
            closed = crowd.closed()
        finally:
            site.stop()
    tell("readers alone", crowd.alone_ms)
    tell("beside 20 that do not", crowd.beside_ms)
    alone, beside = p99(crowd.alone_ms), p99(crowd.beside_ms)
    verdict = "within" if beside <= max(1.5 * alone, alone + 10) else "MISSES"
    print(f"{verdict} 1.5 times, or 10 ms more")
    curve = [octets / 1e6 for octets in crowd.growth_bytes()]
    print("the server grows by MB: " + " ".join(f"{value:.1f}" for value in curve[::8]))
    print(f"at most {max(curve):.1f} MB; {closed} of {len(crowd.deaf)} were closed", flush=True)


def main() -> None:
    """Measure, as often as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--alone", type=float, default=20.0, help="seconds before, and after")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for _ in range(options.rounds):
        measure(options.alone)


if __name__ == "__main__":
    main()
