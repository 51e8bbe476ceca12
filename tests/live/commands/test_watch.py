"""`vidlink watch` piped into players, over everything that can happen to what it watches."""

from __future__ import annotations

import os
import pty
import subprocess
import time

from tests.rigs.commands import VIDLINK, begun, environ, vidlink
from tests.rigs.daemons import START_SECONDS, Site, until
from tests.rigs.needs import need


def _decoded(player: str, film: bytes) -> int:
    """How many pictures FFmpeg decodes from `film` on its standard input, without a complaint."""
    command = [player, "-v", "error", "-count_frames", "-of", "csv=p=0"]
    command += ["-show_entries", "stream=nb_read_frames", "-i", "-"]
    run = subprocess.run(command, input=film, capture_output=True, timeout=60, check=True)
    assert run.stderr == b"", run.stderr
    return int(run.stdout)


def test_a_player_decodes_it(site: Site) -> None:
    """What comes through a pipe is a film that a player decodes, and it ends when it is told."""
    ffmpeg = need("ffmpeg")
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5")
    site.live_session("desk-1")
    watching = begun(site, "watch", "desk-1", "--seconds", "4")
    player = subprocess.run(
        [ffmpeg, "-v", "error", "-i", "-", "-f", "null", "-"],
        stdin=watching.stdout,
        capture_output=True,
        timeout=60,
    )
    assert watching.stdout is not None
    watching.stdout.close()
    assert (player.returncode, player.stderr) == (0, b"")
    assert watching.wait(START_SECONDS) == 0


def test_one_film_over_restarts(site: Site) -> None:
    """The sentinel and then the server are started again meanwhile: it is one film, it says what
    happened, and every picture of it decodes."""
    ffprobe = need("ffprobe")
    server = site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    film_path, said_path = site.folder / "film.mp4", site.folder / "said"
    with film_path.open("wb") as film, said_path.open("wb") as said:
        watching = begun(site, "watch", "desk-1", stdout=film, stderr=said)
    try:
        _grows(film_path)
        sentinel.stop()
        until(lambda: b"offline" in said_path.read_bytes(), what="it says that it is offline")
        sentinel = site.start_sentinel("desk-1", "--fps", "5")
        session = site.live_session("desk-1", other_than=session)
        until(lambda: b"is live" in said_path.read_bytes(), what="it is live again")
        _grows(film_path)
        server.kill()
        until(lambda: b"trying again" in said_path.read_bytes(), what="it says that it is lost")
        site.start_server()
        site.live_session("desk-1", other_than=session)
        _grows(film_path)
        watching.terminate()
        assert watching.wait(START_SECONDS) == 0
    finally:
        watching.kill()
        watching.wait()
    data = film_path.read_bytes()
    assert data.count(b"moov") == 1
    assert _decoded(ffprobe, data) == data.count(b"moof")
    assert b"Traceback" not in said_path.read_bytes()


def _grows(path: object) -> None:
    """Wait until several segments more are in the file."""
    size = os.stat(str(path)).st_size
    until(lambda: os.stat(str(path)).st_size > size + 5_000, what="the film grows")


def test_reader_goes_away(site: Site) -> None:
    """When the player is closed it ends quietly with status 0, also while nothing comes."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5")
    site.live_session("desk-1")
    for is_live in (True, False):
        if not is_live:
            sentinel.stop()
            until(lambda: _is_offline(site), what="it is offline")
        watching = begun(site, "watch", "desk-1")
        assert watching.stdout is not None
        assert watching.stderr is not None
        if is_live:
            assert len(watching.stdout.read(1_000)) == 1_000
        else:
            assert b"offline" in watching.stderr.readline()
        watching.stdout.close()
        assert watching.wait(START_SECONDS) == 0
        assert watching.stderr.read() == b""
        watching.stderr.close()


def _is_offline(site: Site) -> bool:
    return bool(site.status_of("desk-1")["state"] == "offline")


def test_stalled_reader_costs_no_memory(site: Site) -> None:
    """A player that reads nothing holds up the socket: memory stays where it is."""
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5", "--max-size", "1280x720", "--source", "test")
    site.live_session("desk-1")
    watching = begun(site, "watch", "desk-1", "--from", "oldest")
    try:
        assert watching.stdout is not None
        assert watching.stdout.read(1_000)
        before = _resident_bytes(watching.pid)
        time.sleep(6)
        assert _resident_bytes(watching.pid) - before < 16_000_000
        assert watching.poll() is None
    finally:
        watching.kill()
        watching.communicate()


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_mistakes(site: Site) -> None:
    """A server that is none or not there, an unknown sentinel, a terminal: one line, status 1."""
    site.start_server()
    for arguments, words in (
        (["watch", "desk-1", "--server", "http://127.0.0.1:1"], b"127.0.0.1:1"),
        (["watch", "desk-1", "--server", "ftp://x"], b"http://"),
        (["ls", "--server", "http://127.0.0.1:1"], b"127.0.0.1:1"),
        (["ls", "--server", f"http://127.0.0.1:{site.port}/nowhere"], b"nothing at this path"),
        (["export", "nobody"], b"nobody"),
        (["export", "desk-1", "--server", "tls:127.0.0.1:1"], b"127.0.0.1:1"),
    ):
        run = vidlink(site, *arguments)
        assert run.returncode == 1, (arguments, run)
        assert words in run.stderr, (arguments, run)
        assert run.stderr.count(b"\n") == 1, run.stderr
        assert run.stdout == b""


def test_terminal(site: Site) -> None:
    """It does not write a film to a terminal."""
    master, slave = pty.openpty()
    try:
        run = subprocess.run(
            [*VIDLINK, "watch", "desk-1"],
            stdout=slave,
            stderr=subprocess.PIPE,
            env=environ(site),
            timeout=START_SECONDS,
        )
    finally:
        os.close(master)
        os.close(slave)
    assert run.returncode == 1
    assert b"terminal" in run.stderr
    assert run.stderr.count(b"\n") == 1
