"""What the kernel tells of a real connection."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from tests.rigs.daemons import until
from vidlink.liveness import Uptake, uptake


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_uptake() -> None:
    """It counts what the other system has taken, and says whether more waits."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        far = socket.create_connection(listening.getsockname())
        near = listening.accept()[0]
    with far, near:
        transport = SimpleNamespace(socket=near)
        begun = uptake(transport)
        assert begun is not None
        assert not begun.is_behind
        near.sendall(bytes(1_000))
        # The acknowledgement may be a moment behind.
        until(lambda: uptake(transport) == Uptake(begun.taken_bytes + 1_000, False), 5.0)
        near.setblocking(False)
        with suppress(BlockingIOError):
            while near.send(bytes(65_536)):
                pass
        full = until(lambda: uptake(transport), 5.0)
        assert full is not None
        assert full.is_behind
        assert full.taken_bytes > begun.taken_bytes + 1_000
        assert not full.has_left


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
@pytest.mark.parametrize("is_broken", [False, True])
def test_left(is_broken: bool) -> None:
    """It is told that the other end has closed, or broken off, while what it sent is unread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        far = socket.create_connection(listening.getsockname())
        near = listening.accept()[0]
    with near:
        far.sendall(bytes(1_000))
        if is_broken:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()

        def has_left() -> bool:
            seen = uptake(SimpleNamespace(socket=near))
            return seen is not None and seen.has_left

        until(has_left, 5.0)
