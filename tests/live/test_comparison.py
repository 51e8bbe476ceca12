"""The comparison with other relays, for a second, so that it is there when it is wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.rigs.needs import need

ROOT = Path(__file__).parents[2]


class TestComparison:
    """``python -m benchmarks.relay``, with VidLink alone."""

    def test_carries_a_load(self) -> None:
        """A load is carried by the real server, all of it is delivered, and the table says so."""
        need("cc")
        words = ["--peers", "vidlink", "--workloads", "W1x20", "--rounds", "1", "--seconds", "1"]
        command = [sys.executable, "-m", "benchmarks.relay", *words]
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )
        assert run.returncode == 0, run.stderr
        (ran,) = (line for line in run.stdout.splitlines() if line.startswith("1 W1x20"))
        assert " delivered 1 " in ran, run.stdout
        assert "\n| VidLink | " in run.stdout
