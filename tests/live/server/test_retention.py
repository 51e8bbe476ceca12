"""Retention and deletion on a real server: a small disk that recording fills, again and again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import media
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.needs import do_without, need
from tests.rigs.sentinel import LiveSentinel
from vidlink.model import Segment

MEBI = 1024 * 1024
DISK_BYTES = 24 * MEBI
FREE_BYTES = 6 * MEBI
#: So many segments of this size are a session: 4 MiB.
SEGMENTS, FILLER_BYTES = 40, 100_000
SESSIONS = 20


@pytest.fixture
def small_disk(site: Site) -> Iterator[Site]:
    """A site whose data folder is a file system of 24 MiB."""
    if os.geteuid() != 0:
        do_without("needs root, to mount")
    site.data.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(site.data)]
    done = subprocess.run([need("mount"), *options], capture_output=True, text=True)
    if done.returncode:
        do_without(f"needs leave to mount: {done.stderr.strip()}")
    yield site
    site.stop()
    subprocess.run([need("umount"), "-l", str(site.data)], check=True)


class Sender(LiveSentinel):
    """A Sentinel whose segments are large."""

    def large(self, sequence: int) -> bytes:
        """Send one; its bytes."""
        data = media.segment(sequence, filler_bytes=FILLER_BYTES)
        self.say(
            Segment(
                sentinel_id=self.sentinel_id,
                session_id=self.session_id,
                sequence=sequence,
                start_time_us=media.start_time_us(sequence),
                duration_ms=media.FRAME_MS,
                framerate_mhz=5_000,
                is_keyframe=media.is_keyframe(sequence),
                data=data,
            )
        )
        return data


def _path(session_id: str, sentinel_id: str = "desk-1") -> str:
    return f"/api/v1/sentinels/{sentinel_id}/sessions/{session_id}"


def _sessions(site: Site, sentinel_id: str = "desk-1") -> list[Any]:
    rows: list[Any] = site.get_json(f"/api/v1/sessions?sentinel={sentinel_id}")["sessions"]
    return rows


def _record(site: Site, number: int) -> str:
    """A session of 4 MiB, all of it acknowledged, and over."""
    session_id = f"session-{number:08d}"
    sender = Sender(site.ws, "desk-1", session_id)
    sender.init()
    for sequence in range(SEGMENTS):
        sender.large(sequence)
    sender.acknowledged(session_id, SEGMENTS - 1)
    sender.vanish()

    def is_over() -> bool:
        status, _, body = site.get(_path(session_id))
        return status == 404 or json.loads(body)["state"] != "live"

    until(is_over, what="the session is over")
    return session_id


def _ask(site: Site, method: str, path: str, value: Any = None) -> Any:
    data = None if value is None else json.dumps(value).encode()
    headers = {"Content-Type": "application/json", **site.headers}
    request = urllib.request.Request(site.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _whole(site: Site, session_id: str, sent: list[bytes], sentinel_id: str = "desk-1") -> None:
    """All that was sent is listed, and served byte for byte."""
    base = _path(session_id, sentinel_id)
    listed = site.get_json(base + "/segments?limit=5000")["segments"]
    assert [row["sequence"] for row in listed] == list(range(len(sent)))
    status, _, body = site.get(f"{base}/segments/0-{len(sent) - 1}")
    assert (status, body) == (200, b"".join(sent))


def _traceless(server: Daemon) -> None:
    assert "Traceback" not in server.log(), server.log()


def test_small_disk(small_disk: Site) -> None:
    """Recording goes on for several times what the disk holds. What is listed is whole; the live
    session and the held one are never touched; a receipt tells of each that is gone."""
    site = small_disk
    site.be_administrator()
    server = site.start_server("--min-free-bytes", str(FREE_BYTES), "--no-auth")
    live_id = "session-live-0000"
    live = Sender(site.ws, "gate-1", live_id)
    live.init()
    live_sent: list[bytes] = []
    held = _record(site, 0)
    _ask(site, "PUT", _path(held) + "/hold", {"reason": "evidence"})
    for number in range(1, SESSIONS):
        _record(site, number)
        live_sent.append(live.segment(number - 1))
    live.acknowledged(live_id, SESSIONS - 2)
    assert SESSIONS * SEGMENTS * FILLER_BYTES > 3 * DISK_BYTES

    def has_room() -> bool:
        return int(site.get_json("/api/v1/retention")["freeBytes"]) >= FREE_BYTES

    until(has_room, what="there is as much room as there is to be")
    sent = [media.segment(one, filler_bytes=FILLER_BYTES) for one in range(SEGMENTS)]
    rows = [row["sessionId"] for row in _sessions(site)]
    for session_id in rows:
        _whole(site, session_id, sent)
    _whole(site, live_id, live_sent, "gate-1")
    receipts = site.get_json("/api/v1/receipts?limit=1000")["receipts"]
    gone = [one["sessionId"] for one in receipts]
    assert held in rows
    assert sorted(rows + gone) == [f"session-{number:08d}" for number in range(SESSIONS)]
    assert gone == sorted(gone, reverse=True), "not the oldest first"
    assert {one["reason"] for one in receipts} == {"space"}
    assert {one["segmentCount"] for one in receipts} == {SEGMENTS}
    live.vanish()
    _traceless(server)


def test_full_without_a_policy(small_disk: Site) -> None:
    """Without a policy a full disk deletes nothing: recording is in trouble and says so; somebody
    can still delete, and then what waited is recorded and acknowledged."""
    site = small_disk
    site.be_administrator()
    server = site.start_server("--no-auth")
    first = _record(site, 0)
    live_id = "session-live-0000"
    live = Sender(site.ws, "gate-1", live_id)
    live.init()
    sent = [live.large(number) for number in range(6 * SEGMENTS)]

    def in_trouble() -> bool:
        row = site.status_of("gate-1")
        return row is not None and row["recording"] == "trouble"

    until(in_trouble, what="recording is in trouble")
    assert site.get_json("/api/v1/receipts")["receipts"] == []
    assert len(_sessions(site)) == 1
    # There is room for the receipt, but not yet for all that waits.
    _delete_when_closed(site, first)
    assert _sessions(site) == []
    subprocess.run(["mount", "-o", f"remount,size={4 * DISK_BYTES}", site.data], check=True)
    live.acknowledged(live_id, len(sent) - 1)
    until(lambda: not in_trouble(), what="recording is well again")
    _whole(site, live_id, sent, "gate-1")
    live.vanish()
    _traceless(server)


def _delete_when_closed(site: Site, session_id: str) -> None:
    """Delete a session as soon as its end is on the disk."""

    def is_deleted() -> bool:
        try:
            return bool(_ask(site, "DELETE", _path(session_id))["number"])
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return False

    until(is_deleted, what="the session is deleted")


def _syncs(site: Site, durability: str) -> int:
    """How often a server syncs that records a session, and deletes it."""
    strace = need("strace")
    site.be_administrator()
    server = site.start_server("--durability", durability, "--no-auth")
    trace = site.folder / "trace"
    calls = "trace=fsync,fdatasync,syncfs,sync,sync_file_range,msync"
    command = [strace, "-f", "-p", str(server.process.pid), "-e", calls, "-o", str(trace)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        if b"attached" not in tracer.stderr.readline():
            do_without("needs leave to trace")
        session_id = _record(site, 0)
        _delete_when_closed(site, session_id)
        assert server.stop() == 0
        tracer.wait(30)
    finally:
        tracer.kill()
    return len(re.findall(r"(sync|sync_file_range)\(", trace.read_text()))


def test_durability_os(site: Site) -> None:
    """With durability `os` nothing is ever synced, by SQLite neither, from the first connection
    to the stop."""
    assert _syncs(site, "os") == 0


def test_durability_disk(site: Site) -> None:
    """With durability `disk`, the default, what is acknowledged has been synced."""
    assert _syncs(site, "disk") > 1


def test_rehearsal(site: Site) -> None:
    """A policy that is rehearsed says in the log what it would delete, and deletes nothing."""
    server = site.start_server()
    session_id = _record(site, 0)
    assert server.stop() == 0
    server = site.start_server("--retain-bytes", "1", "--retain-dry-run")
    server.logged(f"session {session_id} of desk-1 would be deleted")
    plan = site.get_json("/api/v1/retention")
    assert ([one["sessionId"] for one in plan["due"]], plan["rehearsal"]) == ([session_id], True)
    assert [row["sessionId"] for row in _sessions(site)] == [session_id]
    _traceless(server)
