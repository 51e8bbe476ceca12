"""Floods of tiny frames over real sockets: the others hardly notice; pings and pongs are closed."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import pytest
import websocket

from tests.rigs.daemons import Site, free_port
from tests.rigs.tls import self_signed
from vidlink.model import USUAL

PING, PONG = b"\x89\x80" + bytes(4), b"\x8a\x80" + bytes(4)
CLOCK = b"\x81\x97" + bytes(4) + b'{"type":"clock","t0":1}'
#: A round trip takes 1 ms alone, and 2 ms beside a flood. Unpaced it took 200 to 500 ms.
SLOWEST_SECONDS = 0.1
MOST_GROWTH_BYTES = 16 * 1024 * 1024


def _sentinel(port: int, is_secure: bool) -> websocket.WebSocket:
    """A connection on which clocks may be compared, and nothing is registered."""
    return websocket.create_connection(
        f"{'wss' if is_secure else 'ws'}://127.0.0.1:{port}/ws/sentinel",
        subprotocols=["vidlink.v1.json"],
        timeout=30,
        sslopt={"cert_reqs": ssl.CERT_NONE},
    )


@contextmanager
def _flood(connection: websocket.WebSocket, frames: bytes) -> Iterator[None]:
    """Send `frames` again and again, as fast as they are taken, and read what is answered."""
    raw = connection.sock
    assert raw is not None
    over, cut_off = threading.Event(), threading.Event()

    def repeat(act: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                act()
        except OSError:
            if not over.is_set():
                cut_off.set()

    acts = (lambda: raw.sendall(frames), lambda: raw.recv(65_536))
    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    assert not cut_off.is_set(), "the flood ended too early"


def _round_trips(connection: websocket.WebSocket, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        began = time.monotonic()
        connection.send('{"type":"clock","t0":1}')
        connection.recv()
        seconds.append(time.monotonic() - began)
    return seconds


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


@pytest.mark.quiet
@pytest.mark.parametrize("is_secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    "frames",
    # The last is a record of its own over TLS, hundreds of which come in one read.
    [CLOCK * 3_000, CLOCK * (USUAL.frames_per_turn - 1)],
    ids=["clocks", "records"],
)
def test_others_are_answered(site: Site, tmp_path: Path, frames: bytes, is_secure: bool) -> None:
    """While one peer sends tiny frames as fast as it can, another is answered at once, and the
    server holds no more than before."""
    port = free_port()
    server = site.start_server("--listen", self_signed(tmp_path).endpoint(port))
    if not is_secure:
        port = site.port
    flooder, other = _sentinel(port, is_secure), _sentinel(port, is_secure)
    _round_trips(other, 10)
    before = _peak_bytes(server.process.pid)
    with _flood(flooder, frames):
        time.sleep(0.5)
        assert median(_round_trips(other, 40)) < SLOWEST_SECONDS
    assert _peak_bytes(server.process.pid) - before < MOST_GROWTH_BYTES
    other.close()


def _closed(connection: websocket.WebSocket, frames: bytes) -> int:
    """Send `frames` again and again until the server closes; its code."""
    raw = connection.sock
    assert raw is not None
    code = 0

    def read() -> None:
        nonlocal code
        said = b""
        with suppress(OSError):
            while data := raw.recv(65_536):
                said = (said + data)[-200:]
        _, _, close = said.rpartition(b"\x88")
        code = int.from_bytes(close[1:3])

    reader = threading.Thread(target=read)
    reader.start()
    with suppress(OSError):
        while reader.is_alive():
            raw.sendall(frames)
    reader.join()
    return code


@pytest.mark.parametrize("frame", [PING, PONG], ids=["pings", "pongs"])
def test_a_flood_is_closed(site: Site, frame: bytes) -> None:
    """Whoever sends pings or pongs as fast as it can is closed (1008) at once."""
    site.start_server()
    flooder = _sentinel(site.port, False)
    began = time.monotonic()
    assert _closed(flooder, frame * 10_000) == 1008
    assert time.monotonic() - began < USUAL.close_seconds + 5.0
