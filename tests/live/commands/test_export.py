"""`vidlink export` and `vidlink ls` against real daemons."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from tests.rigs.commands import begun, redirected, vidlink
from tests.rigs.daemons import START_SECONDS, Site, free_port, until
from tests.rigs.needs import need

#: Where the server can be reached as well, over a line that breaks.
DETOUR_PORT = free_port()


@pytest.fixture
def recorded(site: Site) -> tuple[Site, str]:
    """A site with one session that has ended, of four seconds and more."""
    site.start_server("--allow-origin", f"http://127.0.0.1:{DETOUR_PORT}")
    sentinel = site.start_sentinel(
        "desk-1", "--fps", "5", "--group", "ward", "--keyframe-interval", "1"
    )
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 20)
    sentinel.stop()
    until(lambda: site.get_json(_base(session))["state"] != "live", what="the session has ended")
    return site, session


def _base(session: str) -> str:
    return f"/api/v1/sentinels/desk-1/sessions/{session}"


def _film(site: Site, session: str, query: str = "") -> bytes:
    return bytes(site.get(f"{_base(session)}/recording.mp4{query}")[2])


def test_whole(recorded: tuple[Site, str]) -> None:
    """A file is byte for byte what any HTTP client gets, and a player decodes all of it."""
    site, session = recorded
    run = vidlink(site, "export", "desk-1", session, "-o", "out")
    assert run.returncode == 0, run
    (path,) = (site.folder / "out").iterdir()
    assert path.read_bytes() == _film(site, session)
    assert path.name.startswith("desk-1-2")
    assert b"whole" in run.stdout
    player = [need("ffmpeg"), "-v", "error", "-i", str(path), "-f", "null", "-"]
    assert subprocess.run(player, capture_output=True, timeout=60, check=True).stderr == b""


def test_damaged(recorded: tuple[Site, str]) -> None:
    """What is damaged on the server's disk costs no more than itself and what builds on it; that
    is named, and a player decodes all the rest."""
    site, session = recorded
    segments = site.recorded("desk-1", session, 20)
    (part,) = site.data.glob("recordings/desk-1/*/part-0000.mp4")
    data = bytearray(part.read_bytes())
    hurt = site.get(f"{_base(session)}/segments/12")[2]
    data[data.index(hurt) + len(hurt) // 2] ^= 1
    part.write_bytes(data)
    run = vidlink(site, "export", "desk-1", session, "-o", "out")
    assert run.returncode == 2, run
    assert re.search(rb"segment 12 is missing(, .*)?: what was written is damaged", run.stderr)
    (path,) = (site.folder / "out").glob("*.mp4")
    following = [one["sequence"] for one in segments if one["sequence"] >= 12]
    back = next(one["sequence"] for one in segments if one["sequence"] > 12 and one["keyframe"])
    player = [need("ffprobe"), "-v", "error", "-count_frames", "-select_streams", "v"]
    player += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(path)]
    frames = subprocess.run(player, capture_output=True, timeout=60, check=True)
    assert frames.stderr == b""
    assert int(frames.stdout) == len(segments) - (back - following[0])


def test_killed_and_resumed(recorded: tuple[Site, str]) -> None:
    """Killed in the middle, however, the next run goes on there, and the file is the same."""
    site, session = recorded
    whole = _film(site, session)
    for number in (signal.SIGINT, signal.SIGKILL):
        folder = site.folder / number.name
        with _detour(site.port, len(whole) // 2):
            server = f"http://127.0.0.1:{DETOUR_PORT}"
            first = begun(site, "export", "desk-1", "-o", str(folder), "--server", server)

            def half_way(folder: object = folder) -> int:
                parts = list((site.folder / str(folder)).glob("*.part"))
                return parts[0].stat().st_size if parts else 0

            until(half_way, what="something has come")
            first.send_signal(number)
            _, said = first.communicate(timeout=START_SECONDS)
        assert first.returncode == (130 if number is signal.SIGINT else -9), said
        if number is signal.SIGINT:
            assert b"run the same command again" in said
        held = half_way()
        assert 0 < held < len(whole)
        second = vidlink(site, "export", "desk-1", "-o", str(folder))
        assert second.returncode == 0, second
        assert b"going on at" in second.stderr
        (path,) = folder.iterdir()
        assert path.read_bytes() == whole


@contextmanager
def _detour(port: int, budget_bytes: int) -> Iterator[None]:
    """A way to the server on which no more than so many octets come back, and then none."""
    listener = socket.create_server(("127.0.0.1", DETOUR_PORT))
    left = [budget_bytes]
    sockets: list[socket.socket] = [listener]

    def back(near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while left[0] > 0 and (data := far.recv(min(4_096, left[0]))):
                left[0] -= len(data)
                near.sendall(data)

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            sockets.extend((near, far))
            threading.Thread(target=back, args=(near, far), daemon=True).start()
            threading.Thread(target=forth, args=(near, far), daemon=True).start()

    def forth(near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(4_096):
                far.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        for one in sockets:
            # Whoever waits on it would keep it open.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def test_live_and_group(recorded: tuple[Site, str]) -> None:
    """A whole group, a session that is still live included: that one as far as it is now."""
    site, session = recorded
    site.start_sentinel("desk-2", "--fps", "5", "--group", "ward")
    live = site.live_session("desk-2")
    site.recorded("desk-2", live, 5)
    run = vidlink(site, "export", "--group", "ward", "-o", "out")
    assert run.returncode == 0, run
    paths = sorted((site.folder / "out").iterdir())
    assert [path.name[:7] for path in paths] == ["desk-1-", "desk-2-"]
    assert paths[0].read_bytes() == _film(site, session)
    assert run.stdout.count(b"whole") == 2
    # The live session has gone on meanwhile: what is there of it is not all, and that is said.
    again = vidlink(site, "export", "--group", "ward", "-o", "out")
    assert again.returncode == 1
    assert again.stdout.count(b"is there already") == 2
    assert again.stdout.count(b"has another length") == 1


def test_range(recorded: tuple[Site, str]) -> None:
    """A range of time is a film from the keyframe at or before it, checked like any other."""
    site, session = recorded
    record = site.get_json(_base(session))
    start_us, end_us = record["startTime"] + 1_500_000, record["startTime"] + 3_000_000
    times = [datetime.fromtimestamp(us / 1e6, UTC).isoformat() for us in (start_us, end_us)]
    run = vidlink(
        site, "export", "desk-1", "--from", str(start_us), "--to", times[1], "-o", "range.mp4"
    )
    assert run.returncode == 0, run
    query = f"?start={start_us}&end={end_us}"
    assert (site.folder / "range.mp4").read_bytes() == _film(site, session, query)


def test_gaps_after_a_killed_server(site: Site) -> None:
    """A session that was cut short by the server's end is exported, and said to be so."""
    server = site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 5)
    server.kill()
    sentinel.stop()
    site.start_server()
    run = vidlink(site, "export", "desk-1", session, "-o", "x.mp4")
    assert run.returncode == 2, run
    assert b"the server stopped" in run.stderr
    told = json.loads((site.folder / "x.mp4.gaps.json").read_text())
    assert [gap["cause"] for gap in told["gaps"]] == ["server-stopped"]
    assert (site.folder / "x.mp4").read_bytes() == _film(site, session)


def test_ls(recorded: tuple[Site, str]) -> None:
    """Sentinels and sessions, for people and for programs."""
    site, session = recorded
    lines = vidlink(site, "ls").stdout.decode().splitlines()
    assert "OFFLINE" in lines[1]
    assert "desk-1" in lines[1]
    (row,) = map(json.loads, vidlink(site, "ls", "--json").stdout.splitlines())
    assert row == site.get_json("/api/v1/sentinels")["sentinels"][0]
    (row,) = map(json.loads, vidlink(site, "ls", "desk-1", "--json").stdout.splitlines())
    assert row == site.get_json(_base(session))
    assert session in vidlink(site, "ls", "desk-1").stdout.decode()


def test_nowhere_to_write(recorded: tuple[Site, str]) -> None:
    """A standard output that is full or closed is said on one line, with status 1."""
    site, _ = recorded
    for command in (["ls"], ["ls", "--help"], ["export", "desk-1", "-o", "full"]):
        run = redirected(site, "> /dev/full", *command)
        assert run.returncode == 1, (command, run)
        assert run.stderr.endswith(b": cannot write to standard output: No space left on device\n")
        assert run.stderr.count(b"\n") == 1, run.stderr
    for command in (["ls"], ["watch", "desk-1"]):
        run = redirected(site, ">&-", *command)
        assert run.returncode == 1, (command, run)
        assert run.stderr.endswith(b"standard output is closed; for no output, > /dev/null\n")
        assert run.stderr.count(b"\n") == 1, run.stderr


def test_nowhere_to_complain(recorded: tuple[Site, str]) -> None:
    """Without a standard error nothing that is said there gets into the film."""
    site, _ = recorded
    run = redirected(site, "2>&-", "watch", "desk-1", "--seconds", "1")
    assert run.stdout == b"", run


def test_reader_of_a_list_goes_away(recorded: tuple[Site, str]) -> None:
    """Piped into something that reads no more, it ends quietly."""
    site, _ = recorded
    listing = begun(site, "ls")
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.wait(START_SECONDS) == 0
    assert listing.stderr is not None
    assert listing.stderr.read() == b""
    listing.stderr.close()
