"""A sentinel whose server is none, refuses it or is stopped: what stands in its log is true."""

from __future__ import annotations

import re
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rigs.daemons import Site, free_port
from tests.rigs.tls import self_signed

#: Every line of a log has its time, with an offset, and who says it.
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[[^\]]+\] \S.*")
REFUSAL = b'{"error": {"code": "not-allowed", "message": "no \x1b[2J screens of yours"}}'


@contextmanager
def answering(octets: bytes, port: int) -> Iterator[None]:
    """Somebody who answers everybody with these octets, and is done with them."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(octets)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def check_log(log: str) -> list[str]:
    """The lines of a log: each is dated, none is said by Autobahn, and nothing is a traceback."""
    lines = log.splitlines()
    for line in lines:
        assert LINE.fullmatch(line), line
        assert "autobahn" not in line.lower(), line
    return lines


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL),
            r"refuses: no .{1,3}\[2J screens of yours \(status 403\); ask whoever runs it",
        ),
        (b"HTTP/1.1 421 Misdirected\r\n\r\n", r"status 421"),
        (b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\n\r\nhello", r"status 200, not as a VidLink server"),
        (b"HTTP/1.1 503 Busy\r\n\r\n<html>", r"refuses: Busy \(status 503\)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"no HTTP is spoken there: look at the address"),
        (b"", r"the connection was closed without an answer"),
    ],
)
def test_refused(site: Site, octets: bytes, told: str) -> None:
    """Whatever stands where a server should is told in one line, which is not said again at each
    try, and begins no session for each."""
    with answering(octets, site.port):
        sentinel = site.start_sentinel("desk-1")
        sentinel.logged(told)
        sentinel.logged("has begun, without a server")
        sentinel.send(signal.SIGINT)
        assert sentinel.process.wait(20) == 0
    lines = check_log(sentinel.log())
    assert sum(site.ws in line for line in lines) == 1
    assert sum("has begun" in line for line in lines) == 1


def test_untrusted(site: Site, tmp_path: Path) -> None:
    """A certificate that nobody has signed is told with how to trust it; so is
    TLS where none was expected, and the other way round."""
    port = free_port()
    site.start_server("--listen", self_signed(tmp_path / "tls").endpoint(port))
    for url, told in (
        (f"wss://127.0.0.1:{port}", r"no trust over TLS: .*--ca FILE or --pin FINGERPRINT"),
        (f"ws://127.0.0.1:{port}", r"if TLS is spoken there, write wss:// for ws://"),
        (site.ws.replace("ws:", "wss:"), r"no TLS is spoken there: write ws:// for wss://"),
    ):
        sentinel = site.start_sentinel("desk-1", "--server", url)
        sentinel.logged(told)
        sentinel.logged("has begun, without a server")
        sentinel.send(signal.SIGINT)
        assert sentinel.process.wait(20) == 0
        assert sum("TLS" in line for line in check_log(sentinel.log())) == 1


def test_stopped(site: Site) -> None:
    """Stopped by its user, a sentinel says so, and that nothing broke; the server's own end is
    told to it; and a second machine with its id is told what to do."""
    server = site.start_server()
    first = site.start_sentinel("desk-1")
    site.live_session("desk-1")
    second = site.start_sentinel("desk-1")
    second.logged(r"closed with 4410 \(id-in-use\); give each computer an --id of its own")
    second.send(signal.SIGINT)
    assert second.process.wait(20) == 0
    third = site.start_sentinel("desk-3")
    site.live_session("desk-3")
    third.send(signal.SIGINT)
    third.logged("disconnected from .*: this sentinel is stopping")
    assert third.process.wait(20) == 0
    assert "broke" not in third.log()
    server.send(signal.SIGINT)
    assert server.process.wait(20) == 0
    first.logged(r"closed with 1001 \(going-away\)")
    first.send(signal.SIGINT)
    assert first.process.wait(20) == 0
    for daemon in (server, first, second, third):
        check_log(daemon.log())
    for sentinel in (first, second, third):
        assert "(0 times" not in sentinel.log()
    assert " object at 0x" not in server.log()
