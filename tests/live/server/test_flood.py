"""One peer that talks without end: it is closed, and nobody else waits for it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.rigs.daemons import Site
from tests.rigs.proctor import LiveProctor
from vidlink.messages import Subscribe
from vidlink.model import (
    USUAL,
    Segment,
)

#: Far more than anybody may say at once.
FLOOD = 10 * USUAL.messages


def masked_text(text: bytes) -> bytes:
    """A short text frame of a client; its mask changes nothing (RFC 6455 section 5.2)."""
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def flood(site: Site) -> bytes:
    """Say things that need no answer, as fast as the server takes them; what it said at last."""
    client = websocket.create_connection(
        f"{site.ws}/ws/proctor", subprotocols=["vidlink.v1.json"], timeout=30
    )
    client.send('{"type":"proctor.register","software":"flood"}')
    link: Any = client.sock
    burst = masked_text(b'{"type":"unsubscribe","sentinelId":"x"}') * 1_000
    told = b""
    with suppress(OSError):
        for _ in range(FLOOD // 1_000):
            link.sendall(burst)
    with suppress(OSError):
        while data := link.recv(65_536):
            told += data
    link.close()
    return told


@pytest.mark.quiet
def test_proctor_in_a_loop(site: Site) -> None:
    """A Proctor that says 200,000 things in a row is closed with 4429 before it has got anywhere;
    it costs the server little, and a stream goes on meanwhile."""
    server = site.start_server()
    site.start_sentinel("desk-1", "--fps", "5")
    site.live_session("desk-1")
    viewer = LiveProctor(site.ws)
    viewer.say(Subscribe("desk-1"))
    before = viewer.wait_for(Segment)
    used, began = processor_seconds(server.process.pid), time.monotonic()
    told = flood(site)
    took = time.monotonic() - began
    used = processor_seconds(server.process.pid) - used
    assert b'"code":"too-fast"' in told
    assert (4429).to_bytes(2, "big") in told
    # 3 s of it is the patience with a peer that does not finish the close.
    assert took < 15.0
    assert used < 10.0
    newest = viewer.wait_for(Segment, lambda segment: segment.sequence > before.sequence + 5)
    assert newest.session_id == before.session_id
    viewer.close()
