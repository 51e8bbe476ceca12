"""The spool on disk, in processes and real sentinels that are killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.live.sentinel.spooler import FILLER_BYTES, Desk
from tests.rigs.daemons import Site, until
from tests.sentinel.spool.rig import a_segment
from vidlink.model import Segment
from vidlink.sentinel.spool.writer import ROUND_BYTES

ROUNDS = 8
SEED = 7
#: What may not have been written yet when the process is killed; five times what it takes.
UNWRITTEN_SECONDS = 0.5


def killed(
    folder: Path, session_id: str, seconds: float, most_bytes: int, at_least: int = 1
) -> int:
    """Let a process capture for so long, and so many segments, kill it, and return the highest
    number that it had handed over a little before."""
    spooler = [sys.executable, "-m", "tests.live.sentinel.spooler"]
    command = [*spooler, str(folder), session_id, str(most_bytes)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        until: float | None = None
        numbers: list[tuple[float, int]] = []
        for line in process.stdout:
            now = time.monotonic()
            numbers.append((now, int(line)))
            until = until or now + seconds
            if now >= until and len(numbers) >= at_least:
                process.kill()
                break
    cut = time.monotonic() - UNWRITTEN_SECONDS
    return max((number for at, number in numbers if at <= cut), default=-1)


def everything(desk: Desk, session_id: str) -> list[Segment]:
    """All that is held of a session."""
    found: list[Segment] = []
    while True:
        pieces: list[tuple[Segment, ...]] = []
        first = found[-1].sequence + 1 if found else 0
        desk.spool.read(session_id, first, 2**32).addCallback(pieces.append)
        while not pieces:
            desk.turn(0.05)
        if not pieces[0]:
            return found
        found += pieces[0]


def test_killed_while_writing(tmp_path: Path) -> None:
    """Killed at any moment, a sentinel finds every segment of before in its spool, byte for byte,
    at the next start; nothing but what had just been captured is missing."""
    dice = random.Random(SEED)
    promised: dict[str, int] = {}
    for number in range(ROUNDS):
        name = f"session-number-{number:04}"
        seconds = UNWRITTEN_SECONDS + dice.uniform(0.05, 1.0)
        promised[name] = killed(tmp_path, name, seconds, 1 << 32)
    began = time.monotonic()
    desk = Desk(str(tmp_path))
    assert time.monotonic() - began < 2.0
    assert [one.session_id for one in desk.spool.sessions()] == list(promised)
    for shown in desk.spool.sessions():
        found = everything(desk, shown.session_id)
        assert len(found) > promised[shown.session_id] > 0
        assert shown.last == len(found) - 1
        # The kill may have cut the very write of the last one, which is then named.
        lost = [(one.first, one.last) for one in shown.dropped]
        assert lost in ([], [(len(found), len(found))])
        for sequence, segment in enumerate(found):
            made = a_segment(sequence, shown.session_id, filler_bytes=FILLER_BYTES)
            assert (segment.sequence, segment.data) == (sequence, made.data)
    assert desk.close(10.0)


def test_killed_at_the_bound(tmp_path: Path) -> None:
    """The same where chunks are removed all the time: what is held and what is said to be dropped
    are all that there was."""
    dice = random.Random(SEED)
    overflowing = 2 * 4_000_000 // FILLER_BYTES
    for number in range(ROUNDS // 2):
        name = f"session-number-{number:04}"
        seconds = 1.0 + dice.uniform(0.0, 0.5)
        newest = killed(tmp_path, name, seconds, 4_000_000, overflowing)
        desk = Desk(str(tmp_path), most_bytes=4_000_000)
        taken = sum(path.stat().st_size for path in tmp_path.rglob("*.chunk"))
        # And what was written, and dropped again because syncs were slow, since the last one.
        assert taken <= 4_000_000 + ROUND_BYTES
        (shown,) = (one for one in desk.spool.sessions() if one.session_id == name)
        held = {one.sequence for one in everything(desk, name)}
        lost = {n for gap in shown.dropped for n in range(gap.first, gap.last + 1)}
        # The kill may cut the write of one segment, which is one that was not promised yet.
        torn = [gap for gap in shown.dropped if gap.cause == "damaged"]
        assert all(gap.first == gap.last > newest for gap in torn)
        assert len(torn) <= 1
        assert {gap.cause for gap in shown.dropped} - {"damaged"} == {"spool-full"}
        assert held
        assert not held & lost
        assert held | lost >= set(range(newest + 1))
        assert desk.close(10.0)


def test_sentinel_killed_without_a_server(site: Site, tmp_path: Path) -> None:
    """What a sentinel captured before it was killed, without ever having seen a server, is
    delivered by the next process, without a gap; then nothing of it is left in the spool. Two
    processes do not share a place, and the second says so in one line."""
    spool = ("--spool", str(tmp_path / "spool"))
    first = site.start_sentinel("desk-1", *spool)
    session = first.logged("session (.{24}) has begun, without a server")[1]
    folder = tmp_path / "spool" / "sentinels" / "desk-1" / session
    until(lambda: sum(one.stat().st_size for one in folder.glob("*.chunk")) > 30_000)
    second = site.start_sentinel("desk-1", *spool)
    until(lambda: second.process.poll() is not None)
    assert second.process.returncode == 1
    assert (
        f"in use by another sentinel with the id desk-1 (process {first.process.pid})"
        in (second.log().splitlines()[-1])
    )
    first.kill()
    site.start_server()
    site.start_sentinel("desk-1", *spool)
    site.live_session("desk-1")
    path = f"/api/v1/sentinels/desk-1/sessions/{session}"

    def sealed() -> bool:
        status, _, body = site.get(path)
        return status == 200 and json.loads(body)["state"] == "sealed"

    until(sealed, what="the earlier session is sealed")
    listed = site.get_json(f"{path}/segments?limit=1000")
    assert listed["gaps"] == []
    assert [one["sequence"] for one in listed["segments"]] == list(range(len(listed["segments"])))
    assert sum(one["size"] for one in listed["segments"]) > 20_000
    until(lambda: not folder.exists(), what="nothing is left of it")
