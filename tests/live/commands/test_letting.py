"""People and programs are let in, and put out again, while a server runs."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.rigs.commands import begun, environ, vidlink
from tests.rigs.daemons import Site, until

PASSWORD = "correct horse battery"
#: What is made is effective, and what is not valid any more is closed, within so many seconds.
MADE_SECONDS, CLOSED_SECONDS = 2.0, 5.0


def _done(site: Site, *words: str, **wishes: object) -> str:
    """A command that has to end well; its output."""
    run = vidlink(site, *words, **wishes)
    assert run.returncode == 0, run
    assert b"Traceback" not in run.stderr, run
    return run.stdout.decode()


def _take(site: Site, *words: str, typed: str = "") -> str:
    """Change who is let in; its output."""
    return _done(site, *words, "--data", str(site.data), input=typed.encode())


def _within(seconds: float, look: Callable[[], object], what: str) -> None:
    """It comes to be in time; asking has taken some of it."""
    began = time.monotonic()
    until(look, seconds=seconds + 10, pause=0.1, what=what)
    assert time.monotonic() - began < seconds, what


def _token_file(site: Site, sentinel_id: str) -> Path:
    """A token for a sentinel of Room A, made by the command, in a file."""
    path = site.folder / f"{sentinel_id}.token"
    path.write_text(_take(site, "token", "add", sentinel_id, "--group", "Room A"))
    path.chmod(0o600)
    return path


def _token_id(site: Site, sentinel_id: str) -> str:
    """The id of its newest token."""
    lines = _take(site, "token", "list").splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == sentinel_id][-1]


def test_from_login_to_removal(site: Site) -> None:
    """Whoever is added while the server runs logs in with the command, watches the sentinel of a
    token that was made meanwhile as well, sees no group but their own, and is out when they are
    removed: the socket is closed, and the login is worth nothing."""
    site.be_administrator()
    server = site.start_server()
    _take(site, "user", "add", "ada", "--role", "proctor", "--group", "Room A", typed=PASSWORD)
    settings = site.folder / "settings"
    # Nothing in the environment but where it is.
    mine = {name: text for name, text in environ(site).items() if name != "VIDLINK_TOKEN"}
    time.sleep(MADE_SECONDS)
    assert _done(site, "login", "ada", env=mine, input=PASSWORD.encode()).startswith("ada is")
    (kept,) = (settings / "vidlink" / "logins").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    for sentinel_id, group in (("desk-1", "Room A"), ("desk-2", "Room B")):
        token = _take(site, "token", "add", sentinel_id, "--group", group).strip()
        words = ["--group", group]
        site.start_sentinel(sentinel_id, *words, environ={"VIDLINK_TOKEN": token})
        site.live_session(sentinel_id)
    listed = _done(site, "ls", env=mine)
    assert ("desk-1" in listed, "desk-2" in listed) == (True, False)
    film, said = site.folder / "film.mp4", site.folder / "said"
    with film.open("wb") as out, said.open("wb") as err:
        watching = begun(site, "watch", "desk-1", stdout=out, stderr=err, env=mine)
    try:
        until(lambda: film.stat().st_size > 10_000, what="something is to be seen")
        _take(site, "user", "remove", "ada")
        _within(CLOSED_SECONDS, lambda: b"valid credential" in said.read_bytes(), "it is closed")
        size = film.stat().st_size
        refused = vidlink(site, "ls", env=mine)
        assert refused.returncode == 1
        assert re.fullmatch(rb"vidlink ls: .*not valid; log in with 'vidlink login'.*\n",
                            refused.stderr), refused  # fmt: skip
        assert film.stat().st_size == size
    finally:
        watching.terminate()
        watching.wait()
    assert PASSWORD not in server.log()
    assert kept.read_text().strip() not in server.log() + said.read_text()
    assert "ended" in _done(site, "logout", env=mine)
    assert not kept.exists()


def test_token_of_a_sentinel(site: Site) -> None:
    """One that is replaced in its file and then revoked costs a moment; one that is revoked closes
    the sentinel out, and it stays out; nobody else's lets it in under its id."""
    site.be_administrator()
    site.start_server()
    file = _token_file(site, "desk-1")
    sentinel = site.start_sentinel("desk-1", "--group", "Room A", "--token-file", str(file))
    first = site.live_session("desk-1")
    old = _token_id(site, "desk-1")
    _token_file(site, "desk-1")
    _take(site, "token", "revoke", old)
    second = site.live_session("desk-1", other_than=first)
    assert "closed with 4401" in sentinel.log()
    began = len(sentinel.log())
    _take(site, "token", "revoke", _token_id(site, "desk-1"))
    _within(CLOSED_SECONDS, lambda: "closed with 4401" in sentinel.log()[began:], "it is closed")
    told = sentinel.log()[began:]
    assert "the credential is not valid any more (not-authenticated)" in told
    assert "put a valid token into the file of --token-file" in told
    time.sleep(CLOSED_SECONDS)
    row = site.status_of("desk-1")
    assert row is not None
    assert row["state"] == "offline"
    assert "registered at" not in sentinel.log()[began:]
    sentinel.stop()
    file = _token_file(site, "desk-2")
    other = site.start_sentinel("desk-1", "--group", "Room A", "--token-file", str(file))
    other.logged("the credential is that of sentinel desk-2")
    other.logged("closed with 4403 .*the token has to be one for this --id")
    for daemon in (sentinel, other):
        assert file.read_text().strip() not in daemon.log()
    assert second != first


def test_refused_to_start(site: Site) -> None:
    """A sentinel that would show its token in the clear, or whose file has none, ends at once with
    one line that says what to do."""
    file = site.folder / "token"
    for text, server, told in (
        ("abc", "ws://192.0.2.1:8080", "--plain-token"),
        ("", site.ws, "is empty"),
        ("a\nb", site.ws, "more than one line"),
    ):
        file.write_text(text)
        words = ["--token-file", str(file), "--server", server]
        refused = site.start_sentinel("desk-1", *words)
        assert refused.process.wait(30) == 1
        (line,) = [one for one in refused.log().splitlines() if "vidlink-sentinel:" in one]
        assert told in line


def test_process_list(site: Site) -> None:
    """No secret is on a command line, where every user of the machine could read it."""
    site.be_administrator()
    site.start_server()
    secret = _token_file(site, "desk-1").read_text().strip()
    words = ["--token-file", str(site.folder / "desk-1.token"), "--group", "Room A"]
    sentinel = site.start_sentinel("desk-1", *words)
    site.live_session("desk-1")
    watching = begun(site, "watch", "desk-1", stdout=subprocess.DEVNULL)
    try:
        for pid in (sentinel.process.pid, watching.pid):
            for name in ("cmdline", "comm"):
                shown = Path(f"/proc/{pid}/{name}").read_bytes()
                assert secret.encode() not in shown
                assert os.fsencode(site.token or "") not in shown
    finally:
        watching.terminate()
        watching.wait()
