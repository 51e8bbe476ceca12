"""The spool on real disks that are full, read-only, or cut off."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import media
from tests.live.sentinel.spooler import Desk
from tests.rigs.daemons import until
from tests.rigs.needs import do_without
from tests.sentinel.spool.rig import SESSION, a_segment
from vidlink.model import Segment

#: ``FS_IOC_SHUTDOWN`` without a last write of the journal: what a power cut does.
SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
FILLER_BYTES = 20_000
#: Five times what a retry or a sync may take.
SOON_SECONDS = 10.0
TMPFS_BYTES = 16 * 1024 * 1024


def run(*command: object) -> None:
    """Run a command; where it is not allowed the test is skipped by name."""
    if shutil.which(str(command[0])) is None:
        do_without(f"needs {command[0]}")
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    if ran.returncode:
        do_without(f"needs leave to mount: {ran.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Where a file system may be mounted; it is unmounted in the end."""
    if os.geteuid() != 0:
        do_without("needs root, to mount")
    place = tmp_path / "disk"
    place.mkdir()
    yield place
    while os.path.ismount(place):
        run("umount", "-l", place)


def mount_ext4(disk: Path, image: Path) -> None:
    """Mount the ext4 in the file `image`, which is made if it is not there."""
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(128 * 1024 * 1024)
        run("mkfs.ext4", "-q", image)
    run("mount", "-o", "loop,errors=remount-ro", image, disk)


def written_on(disk: Path, desk: Desk, size_bytes: int) -> None:
    """Wait until so much is on the disk."""

    def look() -> bool:
        desk.turn(0.05)
        return sum(path.stat().st_size for path in disk.rglob("*.chunk")) > size_bytes

    until(look, SOON_SECONDS)


def append(desk: Desk, first: int, count: int) -> None:
    """Capture so many more."""
    for sequence in range(first, first + count):
        desk.spool.append(a_segment(sequence, filler_bytes=FILLER_BYTES))
        desk.turn(0.001)


def held(desk: Desk) -> list[int]:
    """The sequences that can be read."""
    found: list[int] = []
    while True:
        pieces: list[tuple[Segment, ...]] = []
        first = found[-1] + 1 if found else 0
        desk.spool.read(SESSION, first, 2**32).addCallback(pieces.append)
        while not pieces:
            desk.turn(0.02)
        if not pieces[0]:
            return found
        found += [one.sequence for one in pieces[0]]


def told(desk: Desk, word: str) -> bool:
    """Whether somebody was told so; the spool's thread may go on meanwhile."""
    desk.turn(0.05)
    return any(word in text for text in desk.told)


def on_disk(folder: Path) -> int:
    """What the chunks take."""
    return sum(path.stat().st_size for path in folder.rglob("*.chunk"))


def test_full(disk: Path) -> None:
    """A disk that others have filled: nothing is raised, nothing is lost, somebody is told; and
    told again when there is room, and all is written."""
    run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "none", disk)
    desk = Desk(str(disk / "spool"))
    desk.spool.begin(SESSION, media.init_segment(), True)
    append(desk, 0, 20)
    written_on(disk, desk, 20 * FILLER_BYTES)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while os.statvfs(disk).f_bfree:
            file.write(bytes(4_096))
    append(desk, 20, 60)
    until(lambda: told(desk, "cannot be written"), SOON_SECONDS)
    assert held(desk)[-60:] == list(range(20, 80))
    ballast.unlink()
    until(lambda: told(desk, "written again"), SOON_SECONDS)
    before = held(desk)
    assert desk.close(SOON_SECONDS)
    again = Desk(str(disk / "spool"))
    assert held(again) == before
    assert again.close(SOON_SECONDS)


def test_never_fills_the_disk(disk: Path) -> None:
    """However much is captured, a tenth of the file system is left free, and the newest is kept."""
    run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "none", disk)
    desk = Desk(str(disk / "spool"))
    desk.spool.begin(SESSION, media.init_segment(), True)
    least = TMPFS_BYTES
    for first in range(0, 1_500, 50):
        append(desk, first, 50)
        desk.turn(0.1)
        found = os.statvfs(disk)
        least = min(least, found.f_bavail * found.f_frsize)
    assert least > 0.09 * TMPFS_BYTES
    assert desk.close(SOON_SECONDS)
    again = Desk(str(disk / "spool"))
    (shown,) = again.spool.sessions()
    ((first, last, cause),) = [(one.first, one.last, one.cause) for one in shown.dropped]
    assert (first, cause) == (0, "spool-full")
    assert held(again) == list(range(last + 1, 1_500))
    assert on_disk(disk) > 0.4 * TMPFS_BYTES
    assert again.close(SOON_SECONDS)


def test_read_only(disk: Path, tmp_path: Path) -> None:
    """A disk that turns read-only, as ext4 does on an error: what is on it can be read, what comes
    is in memory, somebody is told, and the end is not held up."""
    mount_ext4(disk, tmp_path / "image")
    desk = Desk(str(disk / "spool"))
    desk.spool.begin(SESSION, media.init_segment(), True)
    append(desk, 0, 10)
    written_on(disk, desk, 10 * FILLER_BYTES)
    device = os.stat(disk).st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test\n")
    append(desk, 10, 10)
    until(lambda: told(desk, "Read-only file system"), SOON_SECONDS)
    assert held(desk) == list(range(20))
    assert desk.close(SOON_SECONDS)


def test_power_cut(disk: Path, tmp_path: Path) -> None:
    """What was captured a second before a power cut is there after it, and nothing is torn."""
    image = tmp_path / "image"
    for cut in range(4):
        mount_ext4(disk, image)
        desk = Desk(str(disk / "spool"))
        if cut == 0:
            desk.spool.begin(SESSION, media.init_segment(), True)
        (shown,) = desk.spool.sessions()
        before = held(desk)
        assert before == list(range(len(before)))
        assert not shown.dropped
        times: list[float] = []
        ends = time.monotonic() + 2.0 + cut / 3
        while time.monotonic() < ends:
            append(desk, len(before) + len(times), 1)
            times.append(time.monotonic())
            desk.turn(0.01)
        descriptor = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(descriptor)
        promised = sum(at < ends - 1.0 for at in times)
        assert promised > 0
        desk.close(SOON_SECONDS)
        run("umount", disk)
        mount_ext4(disk, image)
        after = Desk(str(disk / "spool"))
        there = held(after)
        assert there[: len(before) + promised] == list(range(len(before) + promised))
        after.close(SOON_SECONDS)
        run("umount", disk)
