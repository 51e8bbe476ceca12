"""The Python client against real daemons: the example of its page, and a proctor over TLS."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.rigs.commands import vidlink
from tests.rigs.daemons import START_SECONDS, Site, free_port
from tests.rigs.tls import self_signed

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "client.md"


def test_example(site: Site) -> None:
    """The example of the page runs as it stands, in every spelling of the address."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert found is not None
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 3)
    for address in (site.url, site.ws, f"tcp:127.0.0.1:{site.port}"):
        run = subprocess.run(
            [sys.executable, "-c", found[1], address, "desk-1"],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        assert run.returncode == 0, run
        assert run.stderr == ""
        first, second = run.stdout.splitlines()
        assert re.fullmatch(rf"session {session} [0-9]+", first)
        assert re.fullmatch(r"segment [0-9]+ [0-9]+", second)


def test_tls(site: Site) -> None:
    """Over TLS the certificate is checked: one that is not trusted is refused on one line, one
    that was named is taken, for history and for live alike."""
    keys = self_signed(site.folder / "trusted")
    port = free_port()
    site.start_server("--listen", keys.endpoint(port))
    site.start_sentinel("desk-1", "--fps", "5")
    site.live_session("desk-1")
    address = f"tls:localhost:{port}:trustRoots={keys.folder}"
    assert b"desk-1" in vidlink(site, "ls", "-s", address).stdout
    run = vidlink(site, "watch", "desk-1", "-s", address, "--seconds", "4")
    assert run.returncode == 0, run
    assert b"moof" in run.stdout
    for command in (["ls"], ["watch", "desk-1"], ["export", "desk-1"]):
        run = vidlink(site, *command, "-s", f"https://localhost:{port}")
        assert run.returncode == 1
        assert b"no trust over TLS" in run.stderr
        assert run.stderr.count(b"\n") == 1
