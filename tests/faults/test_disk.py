"""A disk that is full, broken or slow for a while: live goes on, and the recording after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.mounts import Tmpfs
from tests.faults.tracing import injected, writer_thread
from tests.faults.trouble import Fault, endure, parts
from tests.rigs.daemons import Site

SIXTEEN_MIB = 16 * 1024 * 1024


def _failing(injection: str) -> Fault:
    """The calls of the thread that writes fail as told, and nobody else's."""
    return lambda server: injected(server, injection, tid=writer_thread(server))


def test_disk_full(site: Site, tmp_path: Path, mounted: Callable[[Tmpfs], Tmpfs]) -> None:
    """On a disk of 16 MiB that fills up, and has room again later: viewers see everything, the
    list says that recording is in trouble, what found no room is a gap that says so, and
    recording goes on by itself."""
    small = mounted(Tmpfs(tmp_path / "disk", SIXTEEN_MIB))
    site.data = small.path / "data"
    endure(site, small.full, seconds=4.0).check("disk-full")


def test_write_error(site: Site) -> None:
    """While writing fails nothing is acknowledged; the parts that were being written to are
    left, and others are begun."""
    found = endure(site, _failing("writev:error=EIO"), seconds=4.0)
    assert found.promised_in_trouble == 0
    found.check("write-error")
    assert min(parts(site.data)) > 1


def test_index_error(site: Site) -> None:
    """While the database alone cannot be written, which is not where the truth is, the list says
    so, and everything is recorded and acknowledged."""
    found = endure(site, _failing("pwrite64:error=EIO"), seconds=4.0)
    assert found.promised_in_trouble > 0
    found.check()
    assert min(parts(site.data)) == 1


def test_sync_error(site: Site) -> None:
    """What could not be synced is not acknowledged, and never taken for synced by the next try:
    it is written again, to another part."""
    found = endure(site, _failing("syncfs:error=EIO"), seconds=4.0)
    assert found.promised_in_trouble == 0
    found.check("write-error")
    assert min(parts(site.data)) > 1


def test_one_sync_error(site: Site) -> None:
    """The kernel reports an error once, and the next sync says that all is well: what was lost
    by then is written again."""
    found = endure(site, _failing("syncfs:error=EIO:when=1"), seconds=1.0)
    found.evidence.check()
    assert min(parts(site.data)) > 1


def test_slow_disk(site: Site) -> None:
    """Where each write takes half a second viewers notice nothing, what waits stays within its
    bound, and what found no room in it is a gap that says so."""
    endure(site, _failing("writev:delay_enter=500000"), seconds=8.0).check("queue-full")
