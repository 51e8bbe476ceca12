"""How much the kernel holds back of what a sentinel sends, on a real connection."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from vidlink.sentinel.uplink import UNSENT_BYTES, keep_queue_short

#: What is on its way and what the other side has not read comes on top.
RECEIVED_BYTES = 32 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count otherwise")
def test_little_is_held_back() -> None:
    """To a peer that reads nothing no more is accepted than it can be sent, and a little."""
    taken = []
    for is_short in (True, False):
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            near = socket.create_connection(listening.getsockname())
            far = listening.accept()[0]
        with far, near:
            if is_short:
                keep_queue_short(SimpleNamespace(socket=near))
            near.setblocking(False)
            count = 0
            with suppress(BlockingIOError):
                while True:
                    count += near.send(bytes(16_384))
            taken.append(count)
    short, long = taken
    assert short < 5 * (UNSENT_BYTES + 2 * RECEIVED_BYTES) < long


def test_other_sockets() -> None:
    """Where there is no such bound, as on a Unix socket, that is no matter."""
    near, far = socket.socketpair()
    with near, far:
        keep_queue_short(SimpleNamespace(socket=near))
    keep_queue_short(SimpleNamespace())
