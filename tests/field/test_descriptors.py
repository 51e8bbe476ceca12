"""Connections that ask for nothing, or do not say who they are, many more than there are
descriptors."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rigs.daemons import Site, free_port
from tests.rigs.needs import need
from tests.rigs.tls import self_signed

SECONDS = 4.0


class Crowd:
    """Many connections of one address that say this and nothing else, opened again as soon as they
    end."""

    def __init__(
        self, port: int, count: int, says: bytes = b"", address: str = "127.0.0.1"
    ) -> None:
        self._port = port
        self._says = says
        self._address = address
        self.opened = 0
        self._all = [self._open() for _ in range(count)]

    def insist(self) -> None:
        """Open again what has ended."""
        for place, connection in enumerate(self._all):
            with suppress(BlockingIOError):
                # Also one that could not be opened again the last time.
                with suppress(ConnectionError):
                    if connection.fileno() >= 0 and connection.recv(999):
                        continue
                connection.close()
                with suppress(ConnectionError):
                    self._all[place] = self._open()

    def leave(self) -> None:
        """Close all."""
        for connection in self._all:
            connection.close()

    def _open(self) -> socket.socket:
        self.opened += 1
        connection = socket.create_connection(("127.0.0.1", self._port), 5, (self._address, 0))
        connection.setblocking(False)
        with suppress(ConnectionError):
            connection.send(self._says)
        return connection


#: A handshake after which nobody registers.
HANDSHAKE = (
    b"GET /ws/sentinel HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: vidlink.v1.json\r\n\r\n"
)


@pytest.mark.parametrize("is_secure", [False, True])
def test_crowd(site: Site, tmp_path: Path, is_secure: bool) -> None:
    """With 256 descriptors and 400 who say nothing, who asks is answered, and the log is short."""
    port = free_port()
    listen = self_signed(tmp_path / "keys").endpoint(port)
    endure(site, lambda: Crowd(port if is_secure else site.port, 400), "--listen", listen)


def test_unregistered(site: Site) -> None:
    """So it is with 400 of another address who ask for a WebSocket and say nothing on it; and a
    sentinel finds its place beside them."""
    says = HANDSHAKE % site.port
    endure(site, lambda: Crowd(site.port, 400, says, "127.0.0.2"))


def endure(site: Site, gather: Callable[[], Crowd], *options: str) -> None:
    """Judge a server and a sentinel while a crowd is there."""
    limit = [need("prlimit"), "--nofile=256:256"]
    server = site.start_server(*options, before=limit)
    site.start_sentinel("desk-1", "--fps", "5")
    session = site.live_session("desk-1")
    crowd = gather()
    tried = answered = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        crowd.insist()
        tried += 1
        with suppress(OSError):
            answered += site.get("/readyz")[0] == 200
    count = len(site.recorded("desk-1", session, 10))
    site.start_sentinel("desk-2", "--fps", "5")
    site.live_session("desk-2")
    crowd.leave()
    assert crowd.opened > 600, "nobody was turned away"
    assert answered >= tried - 1, f"{answered} of {tried}"
    assert count >= 10
    log = server.log()
    assert log.count("too many connections: ") == 1
    assert "EMFILE" not in log
    assert len(log.splitlines()) < 200 + 2 * tried, log[-3000:]
