"""The Python client against real daemons: the example of its page, and a proctor over TLS."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.daemons import START_SECONDS, Site

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
