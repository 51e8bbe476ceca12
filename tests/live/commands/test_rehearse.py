"""`vidlink rehearse`, as an operator runs it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rigs.commands import VIDLINK, environ, vidlink
from tests.rigs.daemons import START_SECONDS, Site, until
from tests.rigs.needs import do_without, need
from vidlink.model import Role

#: As little as measures anything.
SHORT = ("--screens", "4", "--fps", "2", "--proctors", "2", "--minutes", "0.05")
DISK_BYTES = 300_000_000
#: The exit status of each verdict that a server gets that has next to nothing to do: on a machine
#: that is busy with other things the load may be late, and then nothing is said.
STATUS = {"fits": 0, "cannot-say": 3}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is little larger than has to be free."""
    if os.geteuid() != 0:
        do_without("needs root, to mount")
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(tmp_path)]
    done = subprocess.run([need("mount"), *options], capture_output=True, text=True)
    if done.returncode:
        do_without(f"needs leave to mount: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run([need("umount"), "-l", str(tmp_path)], check=True)


def _children(pid: int) -> list[int]:
    """The processes that it has started and that are there still."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _begun(folder: Path, *options: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command in `folder`, running in a group of its own, for a long time."""
    return subprocess.Popen(
        [*VIDLINK, "rehearse", "--screens", "3", "--fps", "2", "--proctors", "1", *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def _is_recording(folder: Path) -> bool:
    """The screens send, and the server records them."""
    return len(list(folder.glob("rehearsal-*/recordings/*/*/part-*.mp4"))) == 3


def test_own_server(site: Site) -> None:
    """Without --server it has one of its own, whichever the variable names: every segment comes to
    every proctor and is recorded, the object on standard output has the figures and the status
    says the same; and nothing is left, neither in the folder nor of the server."""
    folder = site.folder / "disk"
    folder.mkdir()
    run = vidlink(site, "rehearse", *SHORT, "--data", str(folder / "data"), "--json")
    told = json.loads(run.stdout)
    assert run.returncode == STATUS[told["verdict"]], run
    # Two a second of each for three seconds, and the proctors watch all.
    assert 20 <= told["sent"] + told["missed"] <= 28, told
    assert told["received"] == told["expected"] == 2 * told["sent"], told
    assert told["registered"] == 4
    assert told["recordedBytesPerSecond"] > 10_000
    assert told["diskBytesPerSecond"] > 1_000_000
    assert 0 < told["latency"]["half"] <= told["latency"]["99"] <= told["latency"]["longest"]
    assert 0 < told["coreShare"] < 1
    assert b"removed at the end" in run.stderr
    assert b"Traceback" not in run.stderr
    assert list(folder.iterdir()) == []


def test_ctrl_c(tmp_path: Path) -> None:
    """On a terminal one line is drawn again and again, and taken away in the end. Ctrl-C, which
    goes to all of its processes, ends it with a verdict on what was measured by then; nothing goes
    on, and nothing is left."""
    terminal, its = pty.openpty()
    running = _begun(tmp_path, "--minutes", "10", "--json", stderr=its)
    os.close(its)
    drawn = b""
    try:
        while not re.search(rb"left: [1-9]", drawn):
            drawn += os.read(terminal, 4096)
        pids = _children(running.pid)
        assert len(pids) == 2
        os.killpg(running.pid, signal.SIGINT)
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=START_SECONDS)
        with suppress(OSError):  # So Linux has the end of it.
            while read := os.read(terminal, 4096):
                drawn += read
    finally:
        running.kill()
        os.close(terminal)
    told = json.loads(output)
    assert running.returncode == STATUS[told["verdict"]], (output, drawn)
    assert told["received"] == told["expected"] == told["sent"] > 0
    assert told["seconds"] < 60
    assert b"Traceback" not in drawn
    assert drawn.count(b"measuring") > 1
    assert drawn.endswith(b" \r")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert list(tmp_path.iterdir()) == []


def test_killed(tmp_path: Path) -> None:
    """When it is killed half-way, its processes end by themselves, and take what was written with
    them."""
    running = _begun(tmp_path, "--minutes", "10")
    try:
        until(lambda: _is_recording(tmp_path), what="three recordings")
        pids = _children(running.pid)
    finally:
        running.kill()
        running.communicate()
    assert len(pids) == 2
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="they have ended")
    assert list(tmp_path.iterdir()) == []


def test_another_server(site: Site) -> None:
    """A server that runs is loaded only when somebody agrees, with a token of a room for the
    screens and one for the proctors; and who did it is told how what was recorded is deleted, which
    works."""
    site.be_administrator()
    site.start_server()
    room = site.folder / "room.token"
    add = ("token", "add", "rehearsal", "--enrol", "--group", "rehearsal", "--data")
    room.write_bytes(vidlink(site, *add, str(site.data)).stdout)
    room.chmod(0o600)
    there = ("rehearse", *SHORT, "--server", site.url)
    environ_of_proctor = {**environ(site), "VIDLINK_TOKEN": site.token_for("p", Role.PROCTOR)}
    lacking = vidlink(site, *there, "--yes", env=environ_of_proctor)
    assert (lacking.returncode, lacking.stderr.count(b"\n")) == (1, 1), lacking
    assert b"vidlink token add rehearsal --enrol" in lacking.stderr
    enrolled = (*there, "--enrol-token-file", str(room))
    asked = vidlink(site, *enrolled, env=environ_of_proctor)
    assert asked.returncode == 1
    assert b"rehearsal-001 to rehearsal-004" in asked.stderr
    assert asked.stderr.splitlines()[-1].endswith(b"give --yes if this is meant")
    assert site.get_json("/api/v1/sessions")["sessions"] == []

    run = vidlink(site, *enrolled, "--yes", env=environ_of_proctor)
    assert run.returncode in STATUS.values(), run
    text = run.stdout.decode()
    assert text.startswith("4 screens at 2 frames a second with 2 proctors of 4 screens each"), run
    assert "all of " in text
    sessions = site.get_json("/api/v1/sessions")["sessions"]
    assert {row["sentinelId"] for row in sessions} == {f"rehearsal-00{n}" for n in (1, 2, 3, 4)}
    assert {row["group"] for row in sessions} == {"rehearsal"}

    loop = re.search(rb"^ *(for n in .*vidlink delete .*)$", run.stderr, re.M)
    assert loop is not None, run.stderr
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    deleting = subprocess.run(
        ["sh", "-c", loop[1].decode()],
        env={**environ(site), "PATH": path},
        cwd=site.folder,
        capture_output=True,
        timeout=2 * START_SECONDS,
    )
    assert deleting.returncode == 0, deleting
    assert site.get_json("/api/v1/sessions")["sessions"] == []


def test_nobody_there(site: Site) -> None:
    """A server that does not answer is said to be so, in a line."""
    run = vidlink(site, "rehearse", *SHORT, "--yes", "--server", site.url)
    assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (1, b"", 1), run
    assert b"cannot reach" in run.stderr


def test_no_room(site: Site) -> None:
    """What the disk has no room for is not begun; a line says how much it would be."""
    large = ("--screens", "5000", "--minutes", "60", "--data", "/dev/shm")
    run = vidlink(site, "rehearse", *large)
    assert run.returncode == 1, run
    assert run.stderr.splitlines()[-1].startswith(b"vidlink rehearse: up to "), run
    assert b"--data" in run.stderr
    assert not list(Path("/dev/shm").glob("rehearsal-*"))


def test_full_disk(small_disk: Path) -> None:
    """A disk that is full when it is measured does not do, and nothing else is wrong."""
    running = _begun(small_disk, "--minutes", "0.2", "--json")
    try:
        until(lambda: _is_recording(small_disk), what="three recordings")
        with suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as fill:
            while True:
                fill.write(bytes(1024 * 1024))
        output, errors = running.communicate(timeout=2 * START_SECONDS)
    finally:
        running.kill()
    told = json.loads(output)
    assert told["verdict"] != "fits", (told, errors)
    assert "3 recordings did not reach the disk" in told["reasons"], told
    assert told["received"] == told["expected"], told
    assert list(small_disk.iterdir()) == [small_disk / "fill"]


def test_mistakes(site: Site) -> None:
    """A wrong value gives one line and status 1, before anything is done."""
    for options in (
        ["--screens", "0"],
        ["--screens", "5001"],
        ["--fps", "6"],
        ["--proctors", "many"],
        ["--minutes", "61"],
        ["--enrol-token-file", "room.token"],
        ["--nonsense"],
    ):
        run = vidlink(site, "rehearse", *options)
        assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (1, b"", 1), run
        assert run.stderr.startswith(b"vidlink rehearse: ")
