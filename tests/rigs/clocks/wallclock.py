"""The wall clock of one process, set while it runs; its monotonic clock stays the machine's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.rigs.needs import need


class WallClock:
    """The wall clock of one process, so many seconds before or after this machine's."""

    def __init__(self, path: Path, seconds: int = 0) -> None:
        self._path = path
        self.set(seconds)
        told = subprocess.run(
            [need("faketime"), "-m", "-f", "+0", "env"], capture_output=True, text=True, check=True
        )
        known = dict(line.partition("=")[::2] for line in told.stdout.splitlines())
        #: What a process goes by it with. Its monotonic clock stays the machine's.
        self.environ = {
            "LD_PRELOAD": known["LD_PRELOAD"],
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Set it."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._path)
