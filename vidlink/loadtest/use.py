"""The use that a server made of its machine, by its own figures (docs/reference/metrics.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_UPPER = re.compile(r'le="([^"]+)"')
_DELAY = "vidlink_recording_delay_seconds_bucket"
#: Why segments have not been recorded, where it was the server.
_LOST = ("queue-full", "disk-full", "write-error")


class Figures:
    """The answer of ``/metrics``."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, dict[str, float]] = {}
        for name, labels, value in _LINE.findall(text):
            self._values.setdefault(name, {})[labels] = float(value)

    def sum(self, name: str, *labels: str) -> float:
        """The figure of this name, summed over those with one of these labels, or over all; 0 if
        there is none."""
        return sum(
            value
            for told, value in self._values.get(name, {}).items()
            if not labels or any(label in told for label in labels)
        )

    def knows(self, name: str) -> bool:
        """True if there is such a figure."""
        return name in self._values

    def delays(self) -> dict[float, float]:
        """Counts of what became durable within each time in seconds, by the histogram."""
        found = self._values.get(_DELAY, {})
        return {float(_UPPER.findall(labels)[0]): value for labels, value in found.items()}


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a server between two looks at its figures, `seconds` apart.

    `durable_seconds` is what 99 of 100 of the oldest segments of a session and round took to become
    durable, or a little more, infinite if longer than the server tells apart; or how long one
    waits for that still, if that is longer. None if there was none. Of `troubled` sessions not all
    reaches the disk; `lost` segments were received and not recorded. `has_process`: what the
    system says of the process is known.
    """

    seconds: float
    has_process: bool
    cpu_seconds: float
    resident_bytes: float
    descriptors: float
    most_descriptors: float
    buffer_bytes: float
    recorded_bytes: float
    troubled: float
    lost: float
    durable_seconds: float | None
    late_seconds: float

    @classmethod
    def between(cls, before: Figures, after: Figures, seconds: float) -> Use:
        """The use between two looks that are so far apart."""

        def grown(name: str, *labels: str) -> float:
            return after.sum(name, *labels) - before.sum(name, *labels)

        durable_seconds = _within(before.delays(), after.delays(), 0.99)
        waiting_seconds = after.sum("vidlink_recording_waiting_seconds")
        if waiting_seconds > (durable_seconds or 0.0):
            durable_seconds = waiting_seconds
        return cls(
            seconds=seconds,
            has_process=after.knows("process_cpu_seconds_total"),
            cpu_seconds=grown("process_cpu_seconds_total"),
            resident_bytes=after.sum("process_resident_memory_bytes"),
            descriptors=after.sum("process_open_fds"),
            most_descriptors=after.sum("process_max_fds"),
            buffer_bytes=after.sum("vidlink_buffer_bytes"),
            recorded_bytes=grown("vidlink_recorded_bytes_total"),
            troubled=after.sum("vidlink_recording_troubled_sessions"),
            lost=grown("vidlink_missing_segments_total", *(f'"{cause}"' for cause in _LOST)),
            durable_seconds=durable_seconds,
            late_seconds=after.sum("vidlink_event_loop_lag_seconds"),
        )


def _within(before: dict[float, float], after: dict[float, float], share: float) -> float | None:
    """The first bound that so much of what has come between is within."""
    came = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    whole = came.get(float("inf"), 0.0)
    if not whole:
        return None
    return min(bound for bound, count in came.items() if count >= share * whole)
