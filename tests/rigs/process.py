"""What a process has in memory and open, and what it has cost, as Linux tells it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process, now; `peak_bytes` is the most that it ever had in memory (``VmHWM``)."""

    resident_bytes: int
    peak_bytes: int
    threads: int
    descriptors: int
    processor_seconds: float


def usage(pid: int) -> Usage:
    """Look at a process that is running."""
    folder = Path(f"/proc/{pid}")
    status = dict(re.findall(r"(\w+):\s+(\d+)", (folder / "status").read_text()))
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        resident_bytes=int(status["VmRSS"]) * 1024,
        peak_bytes=int(status["VmHWM"]) * 1024,
        threads=int(status["Threads"]),
        descriptors=len(os.listdir(folder / "fd")),
        processor_seconds=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
    )
