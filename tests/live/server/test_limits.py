"""The real server with limits that are turned on its command line: all its parts are told."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import websocket

from tests.rigs.daemons import Site
from vidlink.model import Role

TURNED = (
    "target-bytes=1024",
    "wrong-tokens-per-place=1",
    "registration-seconds=2",
    "sentinels=1",
    "waiting-connections-per-place=4",
)


def _status(site: Site, target: str, token: str) -> int:
    """How a request is answered."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as client:
        lines = f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", "Connection: close"
        client.sendall("\r\n".join((*lines, f"Authorization: Bearer {token}", "", "")).encode())
        return int(client.recv(1_024).split()[1])


def _opened(site: Site, path: str, token: str) -> websocket.WebSocket:
    """A WebSocket on which nothing has been said."""
    headers = [f"Authorization: Bearer {token}"]
    return websocket.create_connection(
        f"{site.ws}{path}", subprotocols=["vidlink.v1.json"], header=headers, timeout=30
    )


def _closed(link: websocket.WebSocket) -> tuple[int, str]:
    """The code that it is closed with, and the reason."""
    while True:
        opcode, data = link.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            link.close()
            return int.from_bytes(data[:2]), data[2:].decode()


def _registration(name: str) -> dict[str, str]:
    return {
        "type": "sentinel.register",
        "sentinelId": name,
        "instanceId": "one",
        "name": name,
        "group": "",
        "software": "test/1",
        "sessionId": f"session-of-{name:_<10}",
    }


def test_turned(site: Site) -> None:
    """Site, gate, lobby, hub and both WebSockets have the limits that were turned."""
    token = site.token_for("program", Role.ADMINISTRATOR, Role.SENTINEL)
    site.token = token
    site.start_server(*(word for text in TURNED for word in ("--limit", text)))
    assert _status(site, f"/{'x' * 2_000}", token) == 414
    assert [_status(site, "/api/v1/me", "wrong") for _ in range(2)] == [401, 429]
    unsaid = [_opened(site, path, token) for path in ("/ws/proctor", "/ws/sentinel")]
    for link, kind in zip(unsaid, ("proctor", "sentinel"), strict=True):
        assert _closed(link) == (4408, f"no {kind}.register within 2 s")
    first, second = (_opened(site, "/ws/sentinel", token) for _ in range(2))
    first.send(json.dumps(_registration("desk-1")))
    assert json.loads(first.recv())["type"] == "registered"
    second.send(json.dumps(_registration("desk-2")))
    assert _closed(second)[0] == 4503
    first.close()
    silent = [socket.create_connection(("127.0.0.1", site.port), timeout=3) for _ in range(6)]
    with suppress(ConnectionResetError):
        assert silent[0].recv(1) == b""
    for one in silent:
        one.close()
