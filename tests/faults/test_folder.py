"""A data folder that cannot be used, or is gone while it is: said in one line, or as an alarm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.mounts import Ext4, run
from tests.faults.trouble import endure
from tests.rigs.daemons import START_SECONDS, Daemon, Site, free_port, until


@pytest.fixture
def disk(tmp_path: Path, site: Site, mounted: Callable[[Ext4], Ext4]) -> Ext4:
    """A disk with a folder in which the site's data folder is to be."""
    ext4 = mounted(Ext4(tmp_path / "disk", tmp_path / "image"))
    (ext4.path / "vidlink").mkdir()
    site.data = ext4.path / "vidlink" / "data"
    return ext4


def _refused(site: Site, *words: str) -> None:
    """The server does not start, and says why in one line that has these words."""
    port, site.port = site.port, free_port()
    server = site.launch_server()
    site.port = port
    assert server.process.wait(START_SECONDS) == 1
    lines = [line for line in server.log().splitlines() if "twistd vidlink-server: " in line]
    assert len(lines) == 1, server.log()
    assert str(site.data) in lines[0]
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in server.log()


def test_not_mounted(site: Site, disk: Ext4) -> None:
    """With the disk not mounted, a data folder two levels below the mount point is missed, and no
    new one is begun in its place; once it is mounted, the server starts."""
    site.start_server().stop()
    disk.unmount()
    _refused(site, "does not exist", "mount the disk")
    assert list(disk.path.iterdir()) == []
    disk.mount()
    site.start_server()


def test_read_only(site: Site, disk: Ext4) -> None:
    """A disk that cannot be written to is refused, with a folder on it and without."""
    run("mount", "-o", "remount,ro", disk.path)
    _refused(site, "Read-only file system", "may write to")
    run("mount", "-o", "remount,rw", disk.path)
    site.start_server().stop()
    run("mount", "-o", "remount,ro", disk.path)
    _refused(site, "Read-only file system", "may write to")


def test_foreign(site: Site, disk: Ext4) -> None:
    """A folder of something else is refused, and nothing is written into it."""
    site.data.mkdir()
    (site.data / "letters.txt").write_text("private")
    _refused(site, "is not a data folder of VidLink", "another folder")
    assert [path.name for path in site.data.iterdir()] == ["letters.txt"]


def test_in_use(site: Site, tmp_path: Path) -> None:
    """A second server on the same folder is refused, and the first one does not notice."""
    first = site.start_server()
    _refused(site, "in use by another server", str(first.process.pid))
    assert site.get_json("/healthz")
    assert first.stop() == 0


def test_unmounted_while_running(site: Site, disk: Ext4) -> None:
    """When the disk is taken away under the server, live goes on, nothing that would be written
    elsewhere is acknowledged, and it is recorded again when the disk is back."""

    @contextmanager
    def unmounted(server: Daemon) -> Iterator[None]:
        disk.unmount(lazily=True)
        yield
        left = list(disk.path.iterdir())
        disk.mount()
        assert left == [], "it has been written to where the disk was"

    found = endure(site, unmounted, seconds=4.0)
    assert found.promised_in_trouble == 0
    found.check("write-error")


def test_read_only_while_running(site: Site, disk: Ext4) -> None:
    """When the kernel makes the disk read-only, live goes on and nothing more is acknowledged;
    what had been is there once the disk is mended."""

    @contextmanager
    def read_only(server: Daemon) -> Iterator[None]:
        disk.turn_read_only()
        yield

    def mend() -> None:
        disk.unmount()
        disk.mount()

    found = endure(site, read_only, seconds=3.0, mend=mend)
    assert found.promised_in_trouble == 0
    found.check("server-stopped")


def _not_ready(site: Site) -> bytes:
    """What the server says is wrong; nothing, if it is ready."""
    status, _, body = site.get("/readyz")
    return b"" if status == 200 else body


def test_audit_in_trouble(site: Site) -> None:
    """While the audit trail cannot be written the server is not ready, says so in words without
    names, and serves; when it can be, that ends by itself, and nothing is lost of what was done."""
    site.start_server().stop()
    in_the_way = site.data / "audit"
    shutil.rmtree(in_the_way)
    in_the_way.write_text("no folder")
    server = site.start_server()
    body = until(lambda: _not_ready(site), what="it says so")
    told = "the audit trail cannot be written: Not a directory"
    checks = json.loads(body)["checks"]
    assert {name: words for name, words in checks.items() if words != "ok"} == {"audit": told}
    server.logged("the audit trail cannot be written: ")
    in_the_way.unlink()
    until(lambda: not _not_ready(site), what="it is well again")
    server.logged("the audit trail is written again")
    assert '"server-started"' in (site.data / "audit" / "audit-000000001.jsonl").read_text()
