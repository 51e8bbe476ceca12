"""Checks of health as balancers make them, and names under which a server is found."""

from __future__ import annotations

import socket

from tests.rigs.daemons import START_SECONDS, Site, free_port


def ask(port: int, request: str) -> str:
    """The status line that answers a request which is sent as it is."""
    with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        answer = b""
        while b"\r\n" not in answer and (chunk := connection.recv(65536)):
            answer += chunk
    return answer.partition(b"\r\n")[0].decode()


def test_health(site: Site) -> None:
    """A balancer is answered in HTTP/1.0, with and without Host, by GET, HEAD and OPTIONS."""
    site.start_server()
    port = site.port
    for request in (
        f"GET /healthz HTTP/1.0\nHost: 127.0.0.1:{port}\n\n",
        "GET /healthz HTTP/1.0\n\n",
        "HEAD /readyz HTTP/1.0\n\n",
        "OPTIONS / HTTP/1.0\n\n",
        "GET /readyz HTTP/1.0\nConnection: keep-alive\n\n",
        "OPTIONS * HTTP/1.1\nHost: localhost\nConnection: close\n\n",
        "GET /healthz HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n",
        f"GET http://[::1]:{port}/healthz HTTP/1.0\n\n",
    ):
        assert ask(port, request).split()[1:] == ["200", "OK"], request


def test_rebound_name(site: Site) -> None:
    """A server that listens for others has no names but its own, on HTTP and on WebSocket."""
    server = site.start_server("--listen", f"tcp:{free_port()}:interface=0.0.0.0", "--no-auth")
    server.logged("answers to addresses and to these names: ")
    upgrade = (
        "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: vidlink.v1.json\n"
    )
    evil = f"Host: evil.example:{site.port}\nOrigin: http://evil.example:{site.port}\n"
    for path, more in (("/api/v1/sentinels", "Connection: close\n"), ("/ws/proctor", upgrade)):
        refused = ask(site.port, f"GET {path} HTTP/1.1\n{evil}{more}\n")
        assert refused.split()[1] == "421", refused
    assert "--allow-origin" in refused
    own = f"GET /healthz HTTP/1.1\nHost: {socket.gethostname()}:1\nConnection: close\n\n"
    assert ask(site.port, own).split()[1] == "200"
