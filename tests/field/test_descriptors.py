"""Connections that ask for nothing, many more than there are descriptors."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rigs.daemons import Site, free_port
from tests.rigs.needs import need
from tests.rigs.tls import self_signed

SECONDS = 4.0


class Crowd:
    """Many connections of one address that say nothing, opened again as soon as they end."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self.opened = 0
        self._all = [self._open() for _ in range(count)]

    def insist(self) -> None:
        """Open again what has ended."""
        for place, connection in enumerate(self._all):
            with suppress(BlockingIOError):
                with suppress(ConnectionError):
                    connection.recv(9)
                connection.close()
                with suppress(ConnectionError):
                    self._all[place] = self._open()

    def leave(self) -> None:
        """Close all."""
        for connection in self._all:
            connection.close()

    def _open(self) -> socket.socket:
        self.opened += 1
        connection = socket.create_connection(("127.0.0.1", self._port), 5)
        connection.setblocking(False)
        return connection


@pytest.mark.parametrize("is_secure", [False, True])
def test_crowd(site: Site, tmp_path: Path, is_secure: bool) -> None:
    """With 256 descriptors and 400 who say nothing, who asks is answered, and the log is short."""
    limit = [need("prlimit"), "--nofile=256:256"]
    port = free_port()
    listen = self_signed(tmp_path / "keys").endpoint(port)
    server = site.start_server("--listen", listen, before=limit)
    site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    crowd = Crowd(port if is_secure else site.port, 400)
    tried = answered = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        crowd.insist()
        tried += 1
        with suppress(OSError):
            answered += site.get("/readyz")[0] == 200
    count = len(site.recorded("desk-1", session, 10))
    crowd.leave()
    assert crowd.opened > 600, "nobody was turned away"
    assert answered >= tried - 1, f"{answered} of {tried}"
    assert count >= 10
    log = server.log()
    assert log.count("too many connections: ") == 1
    assert "EMFILE" not in log
    assert len(log.splitlines()) < 200 + 2 * tried, log[-3000:]
