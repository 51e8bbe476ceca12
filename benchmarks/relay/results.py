"""The results of all runs, and the goals that they are held to."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.relay.run import Row

PATH = Path(__file__).parent / "results.json"
#: Of every figure the median is kept, and of this one the least and the most as well.
SPREAD = "us"
#: A server keeps up while it delivers such a share of what is sent meanwhile: less, and it falls
#: behind; more, and it has done so before. What it costs cannot be told then.
STEADY = (0.9, 1.1)
COSTS = frozenset({"us", "core"})


@dataclass(frozen=True, slots=True)
class Results:
    """Where and with what was measured (`told`), and for each load and server what was found."""

    told: dict[str, Any]
    figures: dict[str, dict[str, dict[str, float]]]

    @classmethod
    def of(cls, told: dict[str, Any], rows: Iterable[Row]) -> Results:
        """The medians of all runs."""
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for load, peer, found in rows:
            runs.setdefault(load, {}).setdefault(peer, []).append(found)
        return cls(
            told,
            {
                load: {peer: _medians(found) for peer, found in peers.items()}
                for load, peers in runs.items()
            },
        )

    @classmethod
    def read(cls, path: Path = PATH) -> Results:
        """Those of an earlier run."""
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path = PATH) -> None:
        """Keep them."""
        plain = {"told": self.told, "figures": self.figures}
        path.write_text(json.dumps(plain, indent=1) + "\n", "utf-8")

    def figure(self, load: str, peer: str, name: str) -> float | None:
        """One figure; None if it was not measured."""
        return self.figures.get(load, {}).get(peer, {}).get(name)

    def is_steady(self, load: str, peer: str) -> bool:
        """True if a server kept up with a load, or that is not asked of it."""
        share = self.figure(load, peer, "kept_up")
        return share is None or STEADY[0] <= share <= STEADY[1]


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of ours on a load against a bound: a number, or a multiple of another server's.

    :param factor: of the figure, for what a reader is shown.
    :param is_least: the bound is the least that will do, not the most.
    """

    load: str
    figure: str
    bound: float
    unit: str = ""
    beside: str = ""
    peer: str = "vidlink"
    is_least: bool = False
    factor: float = 1.0

    def value(self, results: Results) -> float | None:
        """The figure, or its ratio to that of `beside`."""
        ours = results.figure(self.load, self.peer, self.figure)
        if ours is None:
            return None
        if not self.beside:
            return ours * self.factor
        theirs = results.figure(self.load, self.beside, self.figure)
        return ours / theirs if theirs else None

    def is_steady(self, results: Results) -> bool:
        """True unless it is about a cost, and one that is compared did not keep up."""
        if self.figure not in COSTS:
            return True
        return all(results.is_steady(self.load, peer) for peer in (self.peer, self.beside))

    def is_met(self, results: Results) -> bool:
        """True if it was measured, under a load that was kept up with, and is within the bound."""
        value = self.value(results)
        if value is None or not self.is_steady(results):
            return False
        return value >= self.bound if self.is_least else value <= self.bound


GOALS = (
    Goal("W1x20", "us", 1.0, beside="nchan"),
    Goal("W1x20", "us", 0.5, beside="autobahn"),
    Goal("W2s", "us", 0.65, beside="nchan"),
    Goal("W2s", "p99_ms", 20, "ms"),
    Goal("W2s", "delivered", 100, "%", is_least=True, factor=100),
    Goal("W3s", "us", 0.75, beside="nchan"),
    Goal("W3s", "core", 20, "%", factor=100),
    Goal("W3s", "p99_ms", 20, "ms"),
    Goal("W3s", "delivered", 100, "%", is_least=True, factor=100),
    Goal("W4", "us", 1.0, beside="nchan"),
    Goal("W4", "us", 1.3, beside="c", peer="unrecorded"),
    Goal("W5", "us", 0.6, beside="ws"),
    Goal("range-whole", "gb_per_core_s", 0.75, beside="nginx", is_least=True),
    Goal("range-whole", "gb_per_core_s", 2.0, beside="static", is_least=True),
    Goal("range-1M", "gb_per_core_s", 0.75, beside="nginx", is_least=True),
    Goal("range-1M", "gb_per_core_s", 2.0, beside="static", is_least=True),
    Goal("range-20K", "us", 3.0, beside="nginx"),
    Goal("join", "took_ms", 300, "ms"),
    Goal("storm", "took_ms", 3_000, "ms"),
    Goal("storm", "p99_ms", 100, "ms"),
    Goal("memory", "beyond_mb", 80, "MB"),
)


def number(value: float) -> str:
    """A figure with as many digits as say something."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def _medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Of the runs that came to their end; how many did, and how many failed."""
    whole = [run for run in runs if "failed" not in run]
    found: dict[str, float] = {"runs": len(whole), "failed": len(runs) - len(whole)}
    if not whole:
        return found
    for name in dict.fromkeys(name for run in whole for name in run):
        values = [run[name] for run in whole if name in run]
        found[name] = round(statistics.median(values), 4)
        if name == SPREAD:
            found |= {f"{name}_least": round(min(values), 4), f"{name}_most": round(max(values), 4)}
    # What is lost in one run is lost.
    if "delivered" in found:
        found["delivered"] = min(run["delivered"] for run in whole)
    return found
