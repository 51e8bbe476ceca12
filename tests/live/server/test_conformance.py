"""The server's WebSockets against the Autobahn|Testsuite, over real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rigs.cached import INSTALL_SECONDS
from tests.rigs.conformance import RUN_SECONDS, find_python2, verdicts
from tests.rigs.daemons import Site

SUBPROTOCOL = "vidlink.v1.binary"
#: Cases that a server may do this way or that: what it does after a close.
INFORMATIONAL = dict.fromkeys(["7.1.6", "7.13.1", "7.13.2"], "INFORMATIONAL")
#: Cases that end before a text of the suite's, which is none of our messages, has to be answered:
#: pings; reserved bits, opcodes and wrong fragments; bad UTF-8; closing handshakes.
WITHOUT_ECHO = (
    *("2.*", "3.1", "3.5", "3.6", "3.7", "4.1.1", "4.1.2", "4.2.1", "4.2.2"),
    *("5.1", "5.2", "5.9", "5.10", "5.11", "5.12", "5.13", "5.14", "5.16", "5.17", "5.18"),
    *("6.3.*", "6.4.*", "6.6.1", "6.6.3", "6.6.4", "6.6.6", "6.6.8", "6.6.10", "6.8.*", "6.10.*"),
    *("6.11.5", "6.12.*", "6.13.*", "6.14.*", "6.15.*", "6.16.*", "6.17.*", "6.18.*", "6.19.*"),
    *("6.20.*", "6.21.*", "7.1.2", "7.1.3", "7.1.4", "7.1.5", "7.1.6", "7.3.*", "7.5.*", "7.7.*"),
    *("7.9.*", "7.13.*"),
)
ROOT = Path(__file__).parents[3]

#: The first of them may have to install the suite, in several steps.
pytestmark = pytest.mark.timeout(3 * INSTALL_SECONDS + RUN_SECONDS)


@contextmanager
def _echo(folder: Path, *transport: str) -> Iterator[str]:
    """The address of an echo, which is ended whatever happens."""
    with (folder / "echo.log").open("wb") as log:
        echo = subprocess.Popen(
            [sys.executable, "-m", "tests.live.server.echo", *transport],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert echo.stdout is not None
        address = echo.stdout.readline().strip()
        assert address, (folder / "echo.log").read_text()
        yield address
    finally:
        echo.kill()
        echo.wait()


@pytest.mark.parametrize("transport", ["direct", "stock"])
def test_echo(tmp_path: Path, transport: str) -> None:
    """Behind the site, channel, options and limits of the real paths, all of RFC 6455 is kept: of
    the suite's 301 cases without compression 298 are OK, 3 informational, and none fails."""
    python2 = find_python2()
    with _echo(tmp_path, transport) as url:
        found = verdicts(url, tmp_path, subprotocol=SUBPROTOCOL, python2=python2)
    assert {case: verdict for case, verdict in found.items() if verdict != "OK"} == INFORMATIONAL
    assert len(found) == 301


@pytest.mark.parametrize("path", ["/ws/sentinel", "/ws/proctor"])
def test_real_paths(site: Site, tmp_path: Path, path: str) -> None:
    """The real paths keep RFC 6455 as well, as far as that can be told without an echo, and none
    of it is a fault of the server's own."""
    python2 = find_python2()
    server = site.start_server()
    found = verdicts(
        site.ws + path, tmp_path, subprotocol=SUBPROTOCOL, cases=WITHOUT_ECHO, python2=python2
    )
    assert {case: verdict for case, verdict in found.items() if verdict != "OK"} == INFORMATIONAL
    assert len(found) == 141
    assert "Traceback" not in server.log()
