"""Tests of `vidlink.server.health.metrics`: the figures, and ``docs/reference/metrics.md``."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.server.api.histories import DESK, GATE, HistoryCase, arrival_of
from vidlink.model import Cause, SkipReason

PAGE_PATH = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
PAGE = PAGE_PATH.read_text("utf-8")
ROW = re.compile(r"^\| `(vidlink_[a-z_]+)` \| ([a-z]+) \|([^|]*)\| (.*) \|$", re.MULTILINE)


class MetricsCase(HistoryCase):
    """Asks for the figures."""

    def values(self) -> dict[str, float]:
        """Every value by its name and labels, such as ``vidlink_gaps_total{cause=damaged}``."""
        text = self.ask("/metrics").body.decode("utf-8")
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found


class PageTests(MetricsCase):
    """The page says what the server does."""

    def test_page(self) -> None:
        """Every metric is on the page with its type and labels, and no other."""
        text = self.ask("/metrics").body.decode("utf-8")
        given = {}
        for family in text_string_to_metric_families(text):
            if family.name.startswith("vidlink_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                labels = {label for sample in family.samples for label in sample.labels} - {"le"}
                given[name] = family.type, labels
        told = {
            name: (kind, set(re.findall(r"`([a-z]+)`", labels)))
            for name, kind, labels, _ in ROW.findall(PAGE)
        }
        self.assertEqual(told, given)

    def test_words(self) -> None:
        """What labels may say is on the page."""
        rows = {name: meaning for name, _, _, meaning in ROW.findall(PAGE)}
        for name, label in (
            ("vidlink_sentinels", "state"),
            ("vidlink_sentinels_recording", "recording"),
            ("vidlink_skipped_segments_total", "reason"),
            ("vidlink_ready", "check"),
        ):
            pattern = re.compile(rf"{name}\{{{label}=([a-z]+)\}}")
            words = {m[1] for m in map(pattern.fullmatch, self.values()) if m is not None}
            self.assertTrue(words)
            self.assertLessEqual(words, set(re.findall(r"`([a-z]+)`", rows[name])), name)

    def test_alerts(self) -> None:
        """The examples of alerts ask for nothing that there is not, and of a cause for one that
        there is."""
        alerts = (PAGE_PATH.parents[2] / "etc" / "prometheus-alerts.yml").read_text("utf-8")
        expressions = " ".join(re.findall(r"expr: (?:>-\n *)?(.*)", alerts))
        named = set(re.findall(r"vidlink_[a-z_]+", expressions))
        self.assertGreater(len(named), 5)
        self.assertLessEqual(named, {name for name, *_ in ROW.findall(PAGE)})
        causes = set("|".join(re.findall(r'cause=~?"([a-z|-]+)"', expressions)).split("|"))
        self.assertLessEqual(causes, {cause.value for cause in Cause})

    def test_process(self) -> None:
        """What the system says of the process is there as the page names it."""
        named = re.findall(r"`(process_[a-z_]+)`", PAGE)
        self.assertEqual(len(named), 6)
        self.assertLessEqual(set(named), self.values().keys())


class FigureTests(MetricsCase):
    """The figures are true."""

    def test_live(self) -> None:
        """Sentinels are counted by state and by recording, proctors as they are connected."""
        values = self.values()
        self.assertEqual(values["vidlink_sentinels{state=live}"], 1)
        self.assertEqual(values["vidlink_sentinels{state=offline}"], 0)
        self.assertEqual(values["vidlink_sentinels_recording{recording=ok}"], 1)
        self.assertEqual(values["vidlink_proctors"], 1)
        self.assertGreater(values["vidlink_buffer_bytes"], 0)

    def test_recording(self) -> None:
        """What is recorded and what is missing is counted, by cause, also where it is nothing."""
        self.store.counts.missing[Cause.DISK_FULL] += 7
        values = self.values()
        self.assertEqual(values["vidlink_recorded_segments_total"], 20 + 16)
        size = sum(len(arrival_of(DESK, n).segment.data) for n in range(20))
        self.assertGreater(values["vidlink_recorded_bytes_total"], size)
        self.assertEqual(values["vidlink_missing_segments_total{cause=disk-full}"], 7)
        self.assertEqual(values["vidlink_missing_segments_total{cause=damaged}"], 0)
        self.assertEqual(values["vidlink_recording_sessions"], 1)

    def test_skipped(self) -> None:
        """What viewers were not sent is counted by reason."""
        self.hub.tally.skipped[SkipReason.LAG] += 3
        self.assertEqual(self.values()["vidlink_skipped_segments_total{reason=lag}"], 3)

    def test_histogram(self) -> None:
        """A histogram's buckets hold what took at most so long, and their sum is kept."""
        times = self.store.counts.rounds
        for seconds in (0.001, 0.005, 0.3, 99.0):
            times.add(seconds)
        values, name = self.values(), "vidlink_recording_round_duration_seconds"
        self.assertEqual(values[f"{name}_bucket{{le=0.005}}"], 2)
        self.assertEqual(values[f"{name}_bucket{{le=0.25}}"], 2)
        self.assertEqual(values[f"{name}_bucket{{le=0.5}}"], 3)
        self.assertEqual(values[f"{name}_bucket{{le=+Inf}}"], 4)
        self.assertAlmostEqual(values[f"{name}_sum"], 99.306)

    def test_no_names(self) -> None:
        """Nothing that anybody could be known by is in it."""
        text = self.ask("/metrics").body.decode("utf-8")
        for name in (DESK.sentinel_id, GATE.sentinel_id, GATE.session_id, GATE.group):
            self.assertNotIn(name, text)
