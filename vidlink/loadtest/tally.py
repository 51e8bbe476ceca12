"""Numbers of what a load process has sent, been sent and noticed, which add up over processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vidlink.loadtest.spread import Spread

#: Of these the worst of all processes counts, and of others the sum.
_WORST = ("slowest_us", "queue_ratio")


@dataclass(slots=True)
class Tally:
    """Counts over the segments that were sent while it was measured.

    `expected` are the segments that proctors should have: each that was sent, once for each
    proctor of its screen. `skipped` are those that the server says it has not sent them; `unsent`
    those that could not be sent because the server took nothing; `missed` those that the load
    process was too late for. `slowest_us` is what 99 of 100 segments of the worst proctor took,
    `queue_ratio` how full the queue for the disk was at most, 0 to 1, as acknowledgements say.
    """

    sent: int = 0
    sent_bytes: int = 0
    expected: int = 0
    received: int = 0
    received_bytes: int = 0
    skipped: int = 0
    unsent: int = 0
    missed: int = 0
    slowest_us: int = 0
    queue_ratio: float = 0.0
    #: From sending a segment until a proctor has it.
    latency: Spread = field(default_factory=Spread)
    #: From when a segment was due until it was sent.
    lateness: Spread = field(default_factory=Spread)
    #: From sending a segment until it is acknowledged, the oldest of each acknowledgement.
    acks: Spread = field(default_factory=Spread)

    def merge(self, other: Tally) -> None:
        """Add what another process has counted."""
        for one in fields(self):
            mine, its = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Spread):
                mine.merge(its)
            else:
                setattr(self, one.name, max(mine, its) if one.name in _WORST else mine + its)

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value.plain() if isinstance(value, Spread) else value
            for name, value in values.items()
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Tally:
        """The tally that :meth:`plain` has told of."""
        values: dict[str, Any] = {
            name: Spread.of_plain(value) if isinstance(value, dict) else value
            for name, value in plain.items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a load process, as it says now and then.

    `registered` screens are on, the last of them after `register_seconds`; `watching` streams have
    come to its proctors; `failures` are connections that failed, by why; `cpu_seconds` is what the
    process has used of processors.
    """

    registered: int
    register_seconds: float
    watching: int
    failures: Mapping[str, int]
    cpu_seconds: float
    tally: Tally

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**plain, "failures": dict(self.failures), "tally": self.tally.plain()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Report:
        """The report that :meth:`plain` has told of."""
        return cls(**{**plain, "tally": Tally.of_plain(plain["tally"])})
