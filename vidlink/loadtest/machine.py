"""The machine that a load test runs on: its processors, its memory, and what its disk can take.

Where the system does not tell, as other systems than Linux, it is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from vidlink.disk import Disk, write_all

#: A disk is written to for so long and so much at most to see what it takes.
DISK_SECONDS = 2.0
DISK_BYTES = 256 * 1024 * 1024
_BLOCK_BYTES = 4 * 1024 * 1024
#: Of the numbers of `cpu` in ``/proc/stat``: idle, and waiting for a disk.
_IDLE = (3, 4)
#: Those behind are contained in others.
_NUMBERS = 8


@dataclass(frozen=True, slots=True)
class Processors:
    """The seconds that all processors together were there and were busy, since whenever."""

    all_seconds: float
    busy_seconds: float


def processors(path: str = "/proc/stat") -> Processors | None:
    """Those until now. What a hypervisor has given to somebody else counts as busy."""
    try:
        with open(path, encoding="ascii") as file:
            numbers = [int(one) for one in file.readline().split()[1 : 1 + _NUMBERS]]
    except (OSError, ValueError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    whole = sum(numbers)
    return Processors(whole / ticks, (whole - sum(numbers[one] for one in _IDLE)) / ticks)


def available_bytes(path: str = "/proc/meminfo") -> int | None:
    """The memory that programs may still have without swapping."""
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def disk_rate(
    folder: str, disk: Disk | None = None, seconds: Callable[[], float] = time.monotonic
) -> float:
    """The octets a second that go to the disk of `folder` in one go, synced; blocks.

    :raises OSError: if it cannot be written to.
    """
    disk = disk or Disk()
    path = os.path.join(folder, "rate")
    # Not zeros, which some disks do not write.
    block = os.urandom(_BLOCK_BYTES)
    descriptor = disk.create(path)
    try:
        began, written = seconds(), 0
        while written < DISK_BYTES and seconds() - began < DISK_SECONDS:
            write_all(disk, descriptor, [block])
            disk.fdatasync(descriptor)
            written += len(block)
        return written / max(seconds() - began, 1e-6)
    finally:
        disk.close(descriptor)
        disk.remove(path)
