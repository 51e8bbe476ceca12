"""Tests of what is read from the server's figures and from the machine."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes.store import MemoryStore
from vidlink.disk import Disk
from vidlink.loadtest import machine
from vidlink.loadtest.use import Figures, Use
from vidlink.relay.hub import Hub
from vidlink.server.health.health import Health
from vidlink.server.health.metrics import Metrics

BEFORE = """\
# HELP vidlink_buffer_bytes Octets in all memory buffers.
vidlink_buffer_bytes 7.0
process_cpu_seconds_total 3.5
vidlink_recorded_bytes_total 1.0e+06
vidlink_missing_segments_total{cause="queue-full"} 1.0
vidlink_missing_segments_total{cause="disk-full"} 0.0
vidlink_missing_segments_total{cause="declared"} 40.0
vidlink_recording_delay_seconds_bucket{le="0.5"} 100.0
vidlink_recording_delay_seconds_bucket{le="1.0"} 100.0
vidlink_recording_delay_seconds_bucket{le="+Inf"} 100.0
"""
AFTER = """\
vidlink_buffer_bytes 9.0
process_cpu_seconds_total 5.5
process_resident_memory_bytes 1.2e+08
process_open_fds 44.0
process_max_fds 1024.0
vidlink_recorded_bytes_total 3.0e+06
vidlink_event_loop_lag_seconds 0.25
vidlink_recording_troubled_sessions 2.0
vidlink_missing_segments_total{cause="queue-full"} 3.0
vidlink_missing_segments_total{cause="disk-full"} 5.0
vidlink_missing_segments_total{cause="declared"} 99.0
vidlink_recording_delay_seconds_bucket{le="0.5"} 198.0
vidlink_recording_delay_seconds_bucket{le="1.0"} 199.0
vidlink_recording_delay_seconds_bucket{le="+Inf"} 200.0
"""


class UseTests(SynchronousTestCase):
    """The use of a server between two looks."""

    def test_between(self) -> None:
        """What counts up is what has come between; what does not is as it is now."""
        use = Use.between(Figures(BEFORE), Figures(AFTER), 4.0)
        self.assertEqual(
            use,
            Use(
                seconds=4.0,
                has_process=True,
                cpu_seconds=2.0,
                resident_bytes=120e6,
                descriptors=44,
                most_descriptors=1_024,
                buffer_bytes=9,
                recorded_bytes=2e6,
                troubled=2,
                # Not what was declared by screens.
                lost=7,
                durable_seconds=1.0,
                late_seconds=0.25,
            ),
        )

    def test_nothing_became_durable(self) -> None:
        """Without any there is no time; one that no bound holds is endless."""
        same = Figures(AFTER)
        self.assertIsNone(Use.between(same, same, 1.0).durable_seconds)
        late = Figures(AFTER.replace('"+Inf"} 200', '"+Inf"} 300'))
        self.assertEqual(Use.between(same, late, 1.0).durable_seconds, float("inf"))

    def test_waits_still(self) -> None:
        """When nothing reaches the disk any more, the time since then counts."""
        before = Figures(AFTER)
        for waiting, expected in ((0.0, None), (17.5, 17.5)):
            after = Figures(f"{AFTER}vidlink_recording_waiting_seconds {waiting}\n")
            self.assertEqual(Use.between(before, after, 1.0).durable_seconds, expected)

    def test_of_a_server(self) -> None:
        """Every figure that is looked at is one that a server has."""
        hub, store = Hub(lambda: 0.0), MemoryStore()
        health = Health(store, store, hub, lambda: 0.0, tick_seconds=1.0)
        figures = Figures(Metrics(hub, store, health, ()).text().decode())
        for name in (
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "vidlink_buffer_bytes",
            "vidlink_recorded_bytes_total",
            "vidlink_missing_segments_total",
            "vidlink_recording_waiting_seconds",
            "vidlink_recording_troubled_sessions",
            "vidlink_event_loop_lag_seconds",
        ):
            self.assertTrue(figures.knows(name), name)
        self.assertIn(float("inf"), figures.delays())


class MachineTests(SynchronousTestCase):
    """The machine."""

    def setUp(self) -> None:
        """A folder of one's own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_processors(self) -> None:
        """All that is not idle, or waits for a disk, is busy; guests are counted already."""
        path = self.folder / "stat"
        path.write_text("cpu  100 0 50 800 30 5 5 10 70 0\ncpu0 1 2 3\n")
        ticks = os.sysconf("SC_CLK_TCK")
        told = machine.processors(str(path))
        self.assertEqual(told, machine.Processors(1_000 / ticks, 170 / ticks))

    def test_memory(self) -> None:
        """The system says how much programs may have."""
        path = self.folder / "meminfo"
        path.write_text("MemTotal:  100 kB\nMemAvailable:    2048 kB\n")
        self.assertEqual(machine.available_bytes(str(path)), 2 * 1024 * 1024)

    def test_silent_system(self) -> None:
        """Where the system does not tell, nothing is known."""
        nowhere = str(self.folder / "nowhere")
        self.assertIsNone(machine.processors(nowhere))
        self.assertIsNone(machine.available_bytes(nowhere))

    def test_disk_rate(self) -> None:
        """What was written in the time that it took; after two seconds it is enough, and nothing
        is left."""
        clock = count(0, 1)
        rate = machine.disk_rate(str(self.folder), seconds=lambda: next(clock) / 2)
        # Begun at 0, looked at 0.5, 1 and 1.5: three blocks; at 2 no more, and told at 2.5.
        self.assertEqual(rate, 3 * 4 * 1024 * 1024 / 2.5)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_disk_rate_is_bounded(self) -> None:
        """On a disk that is fast it is enough after so many octets."""

        class Fast(Disk):
            written = 0

            def writev(self, descriptor: int, buffers: object) -> int:
                size = sum(map(len, buffers))  # type: ignore[call-overload]
                self.written += size
                return int(size)

        disk = Fast()
        machine.disk_rate(str(self.folder), disk, lambda: 0.0)
        self.assertEqual(disk.written, machine.DISK_BYTES)

    def test_full_disk(self) -> None:
        """A disk that takes no more says so, and nothing is left."""

        class Full(Disk):
            def writev(self, descriptor: int, buffers: object) -> int:
                return 0

        self.assertRaises(OSError, machine.disk_rate, str(self.folder), Full())
        self.assertEqual(list(self.folder.iterdir()), [])
