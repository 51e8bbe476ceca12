"""The return of a thousand sentinels at once: how long it takes, and what others see of it.

``python -m benchmarks.reconnect [--count N] [--rounds N]`` from the root of the tree, as root, on
Linux; a round takes a minute.

A thousand scripted sentinels in a network namespace send a frame every two seconds, ten others on
loopback send five a second to three viewers each. The network of the thousand is cut for 3 s; they
give their connections up, and half a second before it is mended all of them try again. The server
finds their ids taken by connections of which it has not heard that they are gone. Then the server
is killed and started again.

Measured on two cores of a virtual machine that others kept busy, Linux 6.18, Python 3.11; the load
is the number of processes that wanted to run:

===================================  ==============  ==================
load                                 3               12
===================================  ==============  ==================
all registered, from their start     1.4 s           5.9 s
from when the network was back       4.3 s           6.8 s
from when the server listened again  3.6 s           13.7 s
others before: median, 99 % within   3 and 285 ms    24 and 778 ms
others meanwhile                     10 and 421 ms   335 and 3,630 ms
===================================  ==============  ==================

The server used 2.4 to 3.2 s of a processor for the thousand whose network was cut; with less than
two thirds of a core for itself it needs more than the 5 s that are promised. Before newcomers
waited at the door, at a load of 4, others meanwhile had 69 and 3,174 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from tests.rigs.daemons import Site
from tests.rigs.namespace import joined_namespace
from tests.rigs.reconnection import Reconnection
from tests.rigs.scripted import p99


def measure(count: int) -> None:
    """One round."""
    with tempfile.TemporaryDirectory() as name, joined_namespace() as network:
        site = Site(Path(name))
        try:
            course = Reconnection(site, network, count)
            course.run(Path(name))
        finally:
            site.stop()
    course.check_viewers()
    print(
        f"{count} registered: first {course.first_seconds:.2f} s with their own start,"
        f" {course.cut_seconds:.2f} s after their network was back"
        f" ({course.cut_processor_seconds:.2f} s of the server's processor),"
        f" {course.killed_seconds:.2f} s after the server listened again,"
        f" {course.port_seconds:.2f} s after it was killed"
    )
    print(f"everything waited for the collector {1_000 * course.collection_seconds:.0f} ms at most")
    for what, delays in (("before", course.calm_ms), ("meanwhile", course.storm_ms)):
        print(
            f"others {what:10} p50 {statistics.median(delays):.1f} p99 {p99(delays):.1f}"
            f" max {delays[-1]:.1f} ms, n {len(delays)}"
        )
    lines = [len(log.splitlines()) for log in course.logs]
    print(f"log lines {lines}, tracebacks {sum(log.count('Traceback') for log in course.logs)}")


def main() -> None:
    """Measure, as often as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for _ in range(options.rounds):
        measure(options.count)


if __name__ == "__main__":
    main()
