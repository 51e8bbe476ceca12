"""Whose files they are: what daemons make is read by their user and group alone, whatever the umask
and whoever has made the folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.rigs.daemons import Site, until

#: Takes nothing from the mode that a file is made with.
OPEN_UMASK = ("sh", "-c", 'umask 0; exec "$0" "$@"')
USUAL_UMASK = ("sh", "-c", 'umask 022; exec "$0" "$@"')


def _modes(root: Path) -> dict[str, int]:
    """The modes of all that is below `root`."""
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode)
        for path in root.rglob("*")
        if not path.is_symlink()
    }


def _check(root: Path) -> None:
    """Nobody but user and group reads, and the group writes nothing."""
    modes = _modes(root)
    assert modes
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o027} == {}


@pytest.mark.parametrize("before", [OPEN_UMASK, USUAL_UMASK], ids=["umask-0", "umask-022"])
def test_folders_that_were_there(site: Site, before: tuple[str, ...]) -> None:
    """In folders that were made beforehand, as packages and operators do, recordings, index,
    credentials, spool and their locks are readable by user and group alone; and each folder that
    others can look into is complained of in one line, with what closes it."""
    spool = site.folder / "spool"
    for folder, mode in ((site.data, 0o755), (spool, 0o777)):
        folder.mkdir()
        folder.chmod(mode)
    site.be_administrator()
    token = site.token_for("desk-1")
    # As a copy is that somebody has put back.
    (site.data / "access.sqlite3").chmod(0o644)
    server = site.start_server(before=before)
    words = ["--name", "Alice Example", "--spool", str(spool), "--keyframe-interval", "1"]
    sentinel = site.start_sentinel(
        "desk-1", *words, before=before, environ={"VIDLINK_TOKEN": token}
    )
    site.recorded("desk-1", site.live_session("desk-1"), 3)
    _check(site.data)
    _check(spool)
    assert {"index.sqlite3", "index.sqlite3-wal", "access.sqlite3"} <= set(_modes(site.data))
    for daemon, folder in ((server, site.data), (sentinel, spool)):
        (line,) = [line for line in daemon.log().splitlines() if "chmod" in line]
        assert f"chmod o= {folder}" in line
        assert "#warn" in line


def test_folders_of_our_own(site: Site) -> None:
    """Folders that the daemons make are closed to others from the beginning, and nothing is
    complained of."""
    spool = site.folder / "spool"
    server = site.start_server(before=OPEN_UMASK)
    sentinel = site.start_sentinel("desk-1", "--spool", str(spool), before=OPEN_UMASK)
    site.recorded("desk-1", site.live_session("desk-1"), 3)
    for root in (site.data, spool):
        assert stat.S_IMODE(root.stat().st_mode) == 0o750
        _check(root)
    assert "chmod" not in server.log() + sentinel.log()


def test_unix_socket(site: Site) -> None:
    """A Unix socket is for user and group alone, by whichever umask; one that says for whom it is
    has the mode that it says."""
    for number, (says, mode) in enumerate(
        (("", 0o660), (":mode=600", 0o600), (":mode=666", 0o666), (":lockfile=0", 0o660))
    ):
        path = site.folder / f"socket-{number}"
        server = site.start_server("--listen", f"unix:{path}{says}", before=OPEN_UMASK)
        until(path.exists, what="the socket")
        assert stat.S_IMODE(os.stat(path).st_mode) == mode, says
        server.stop()
