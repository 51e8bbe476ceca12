"""The figures of ``/metrics``, for Prometheus; ``docs/reference/metrics.md`` lists them for people.

Everything is counted elsewhere, as plain numbers, and looked at when it is asked for.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import twisted
from vidlink import __version__
from vidlink.interfaces import IVitals
from vidlink.model import Cause, RecordingState, SentinelState, SkipReason, Times
from vidlink.relay.hub import Hub
from vidlink.server.health.collecting import Collecting
from vidlink.server.health.health import OK, Health

#: The text format of Prometheus, which every version of it reads.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Every figure of the server.

    :param vitals: the recording.
    :param proctors: every Proctor that is connected.
    :param turned_away: the number of connections that had to make room for others.
    :param half_bytes: the octets of messages that are not whole.
    :param collecting: when Python collects; None: whenever it wants to, and nobody looks.
    """

    def __init__(
        self,
        hub: Hub,
        vitals: IVitals,
        health: Health,
        proctors: Iterable[object],
        turned_away: Callable[[], int] = lambda: 0,
        half_bytes: Callable[[], int] = lambda: 0,
        collecting: Collecting | None = None,
    ) -> None:
        self._hub = hub
        self._vitals = vitals
        self._health = health
        self._proctors = proctors
        self._turned_away = turned_away
        self._half_bytes = half_bytes
        self._collecting = collecting
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it as it is now, in the text format."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """All of it as it is now, but for what the system says of the process."""
        yield from self._of_server()
        yield from self._of_live()
        yield from self._of_recording()
        yield from self._of_queue()

    def describe(self) -> Iterable[Metric]:
        """Nothing: what the names are is not worth a collection at the start."""
        return ()

    def _of_server(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "vidlink_build_info", "What runs; always 1.", labels=["version", "python", "twisted"]
        )
        build.add_metric([__version__, platform.python_version(), twisted.__version__], 1)
        yield build
        checks = self._health.checks()
        ready = GaugeMetricFamily(
            "vidlink_ready", "Whether each check of /readyz is well: 1 or 0.", labels=["check"]
        )
        for name, words in checks.items():
            ready.add_metric([name], float(words == OK))
        yield ready
        yield GaugeMetricFamily(
            "vidlink_clock_ahead_seconds",
            "The wall clock less the time that is trusted; 0 while both agree.",
            self._vitals.health().clock_ahead_seconds,
        )
        yield GaugeMetricFamily(
            "vidlink_event_loop_lag_seconds",
            "The longest that the event loop was late in the last minute.",
            self._health.lag_seconds,
        )
        yield CounterMetricFamily(
            "vidlink_turned_away_connections",
            "Connections that asked for nothing, and had to make room for others.",
            self._turned_away(),
        )
        yield GaugeMetricFamily(
            "vidlink_half_message_bytes",
            "Octets that have come of messages that are not whole.",
            self._half_bytes(),
        )
        collecting = self._collecting
        yield GaugeMetricFamily(
            "vidlink_collection_longest_seconds",
            "The longest that everything waited for Python's collector in the last minute.",
            0.0 if collecting is None else collecting.longest_seconds,
        )
        yield CounterMetricFamily(
            "vidlink_collection_seconds",
            "All that it took.",
            0.0 if collecting is None else collecting.total_seconds,
        )
        space = self._health.space
        if space is not None:
            yield GaugeMetricFamily(
                "vidlink_disk_free_bytes", "Room on the disk.", space.free_bytes
            )
            yield GaugeMetricFamily(
                "vidlink_disk_size_bytes", "All of the disk.", space.total_bytes
            )

    def _of_live(self) -> Iterator[Metric]:
        rows, tally = self._hub.statuses(), self._hub.tally
        states, recordings = (
            Counter(row.state for row in rows),
            Counter(row.recording for row in rows),
        )
        told = "Sentinels by state."
        yield _by_word(GaugeMetricFamily, "vidlink_sentinels", told, "state", SentinelState, states)
        yield _by_word(
            GaugeMetricFamily,
            "vidlink_sentinels_recording",
            "Sentinels by whether what they send reaches the disk.",
            "recording",
            RecordingState,
            recordings,
        )
        count = sum(1 for _ in self._proctors)
        yield GaugeMetricFamily("vidlink_proctors", "Proctors that are connected.", count)
        yield GaugeMetricFamily(
            "vidlink_buffer_bytes", "Octets in all memory buffers.", self._hub.budget.used_bytes
        )
        received = "Segments that came from sentinels."
        yield CounterMetricFamily("vidlink_received_segments", received, tally.segments)
        yield CounterMetricFamily("vidlink_received_bytes", "Their octets.", tally.size_bytes)
        yield CounterMetricFamily("vidlink_late_segments", "Those that came late.", tally.late)
        jumped = "Sequences that were jumped over; some come late after all."
        yield CounterMetricFamily("vidlink_jumped_segments", jumped, tally.jumped)
        yield _by_word(
            CounterMetricFamily,
            "vidlink_skipped_segments",
            "Segments that viewers were not sent, summed over viewers.",
            "reason",
            SkipReason,
            tally.skipped,
        )

    def _of_recording(self) -> Iterator[Metric]:
        counts = self._vitals.counts
        recorded = "Segments that have become durable."
        yield CounterMetricFamily("vidlink_recorded_segments", recorded, counts.segments)
        yield CounterMetricFamily("vidlink_recorded_bytes", "Their octets.", counts.size_bytes)
        refused = "Late segments that found no room; they are asked for again."
        yield CounterMetricFamily("vidlink_refused_late_segments", refused, counts.refused_late)
        for name, told, value in (
            ("bytes", "Octets that the scrub has read.", counts.scrubbed_bytes),
            ("wrong_segments", "Segments that were not what was recorded.", counts.scrub_wrong),
            ("unreadable_segments", "Segments that could not be read.", counts.scrub_unreadable),
        ):
            yield CounterMetricFamily(f"vidlink_scrub_{name}", told, value)
        checked = "How much of all that is recorded this scrub has checked, 0 to 1."
        yield GaugeMetricFamily("vidlink_scrub_progress_ratio", checked, counts.scrub_progress)
        for name, told, by_cause in (
            ("vidlink_gaps", "Gaps that were stated, by cause.", counts.gaps),
            ("vidlink_missing_segments", "Sequences in them.", counts.missing),
            ("vidlink_recording_failures", "Writes and syncs that failed.", counts.failures),
        ):
            yield _by_word(CounterMetricFamily, name, told, "cause", Cause, by_cause)
        yield _histogram(
            "vidlink_recording_round_duration_seconds",
            "What it took to write and sync what had come in.",
            counts.rounds,
        )
        yield _histogram(
            "vidlink_recording_delay_seconds",
            "How long a segment waited to become durable, the oldest of each session and round.",
            counts.delays,
        )

    def _of_queue(self) -> Iterator[Metric]:
        health = self._vitals.health()
        for name, told, value in (
            ("sessions", "Sessions that are being recorded.", health.live),
            ("troubled_sessions", "Those that do not reach the disk.", health.troubled),
            ("queue_ratio", "How full the queue for the disk is, 0 to 1.", health.load),
            ("queue_bytes", "Octets in it.", health.waiting_bytes),
            ("queue_segments", "Segments in it.", health.waiting_segments),
            (
                "waiting_seconds",
                "How long something has waited since all went well; 0 if nothing waits.",
                health.waiting_seconds,
            ),
        ):
            yield GaugeMetricFamily(f"vidlink_recording_{name}", told, value)


def _by_word(
    kind: Any, name: str, told: str, label: str, words: type[Enum], values: Mapping[Any, int]
) -> Metric:
    """A family of `kind` that has one value for each of `words`, also where it is 0."""
    family = kind(name, told, labels=[label])
    for word in words:
        family.add_metric([word.value], values.get(word, 0))
    return cast("Metric", family)


def _histogram(name: str, told: str, times: Times) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*times.bounds, float("inf")), times.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return HistogramMetricFamily(name, told, buckets=buckets, sum_value=times.sum_seconds)
