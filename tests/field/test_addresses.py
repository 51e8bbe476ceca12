"""Commands and a Sentinel against a server on addresses that are written in other ways."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site, free_port


def _link_local() -> tuple[str, str]:
    """An address that has a meaning on one interface only, and that interface."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, *_, interface = line.split()
        if digits.startswith("fe80"):
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            return address, interface
    pytest.skip("no interface has a link-local address")


def _commands(site: Site, address: str) -> None:
    """A Sentinel sends to `address`, and each command that asks a server gets its answer."""
    sentinel = site.start_sentinel("desk-1", "--server", address.replace("http", "ws", 1))
    session = site.live_session("desk-1")
    site.recorded("desk-1", session, 3)
    for words in (
        ("ls",),
        ("ls", "desk-1"),
        ("watch", "desk-1", "--seconds", "1"),
        ("retention",),
        ("receipts",),
        ("export", "desk-1", "-o", str(site.folder / "films")),
    ):
        run = vidlink(site, *words, "--server", address)
        assert (run.returncode, b"Traceback" in run.stderr) == (0, False), (words, run)
    sentinel.stop()


def test_version_6(site: Site) -> None:
    """Commands reach a server on an address of version 6 by the URL that a browser takes."""
    port = free_port()
    site.start_server("--listen", rf"tcp6:{port}:interface=\:\:1")
    _commands(site, f"http://[::1]:{port}")


def test_zone(site: Site) -> None:
    """An address with a zone is gone to on its interface; with one that is not there the command
    ends with a sentence."""
    address, interface = _link_local()
    port = free_port()
    site.start_server("--listen", f"tcp6:{port}", "--no-auth")
    _commands(site, f"http://[{address}%{interface}]:{port}")
    for command in (["ls"], ["watch", "desk-1"], ["export", "desk-1"]):
        run = vidlink(site, *command, "--server", f"http://[{address}%nowhere0]:{port}")
        assert (run.returncode, run.stderr.count(b"\n")) == (1, 1), run
        assert b"no such interface" in run.stderr
