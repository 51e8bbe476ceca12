"""What the server has in memory while everybody asks too much of it at once."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.live.server.test_flood import flood
from tests.rigs.crowd import SERVER_BYTES
from tests.rigs.daemons import Site, free_port, until
from tests.rigs.frames import BINARY, TEXT, Frames, client_frame, handshake
from tests.rigs.herd import KEYFRAME_FACTOR, HerdProcess, Plan
from tests.rigs.process import usage
from tests.rigs.scripted import FORMAT, Deaf
from tests.rigs.tls import self_signed
from vidlink.messages import SentinelRegister, Subscribe
from vidlink.plugins import find_codecs
from vidlink.store.store import QUEUE_BYTES

MIB = 1024 * 1024
#: Twenty Sentinels that send 33 MB a second together.
SENTINELS, SIZE_BYTES, FRAMES_A_SECOND = 20, 300_000, 5.0
BUFFER_BYTES, TOTAL_BYTES = 8 * MIB, 32 * MIB
DEAF, HOGS, CHATTERERS, STRANGERS = 20, 4, 3, 100
HOG_BYTES = 15 * MIB
FLOOD_SECONDS = 25.0
#: What `docs/guide/server.md` says of the process itself.
PROCESS_BYTES = 100 * MIB
#: Of one connection that has done nothing yet, or nothing else.
LINK_BYTES = 64 * 1024


def documented_bytes(load: float) -> float:
    """What the guide allows for this: the queue to the disk as full as it was."""
    # For up to a second the buffers may be above their total by what has come in it.
    keyframe = SIZE_BYTES * KEYFRAME_FACTOR
    just_come = SENTINELS * SIZE_BYTES * FRAMES_A_SECOND
    sentinels = SENTINELS * keyframe + HOGS * 16 * MIB
    viewers = DEAF * (SERVER_BYTES + keyframe) + (CHATTERERS + STRANGERS) * LINK_BYTES
    return PROCESS_BYTES + TOTAL_BYTES + just_come + sentinels + viewers + load * QUEUE_BYTES


def hog(port: int, number: int) -> socket.socket:
    """A Sentinel that begins a message of the largest size, and never ends it."""
    codec = next(codec for codec in find_codecs() if codec.name == FORMAT)
    link = socket.create_connection(("127.0.0.1", port), timeout=30)
    link.sendall(handshake("/ws/sentinel", FORMAT, f"127.0.0.1:{port}"))
    frames = Frames()
    while not frames.has_opened:
        assert not list(frames.feed(link.recv(1)))
    register = SentinelRegister(f"hog-{number}", "one", "hog/1", f"the-session-of-hog-{number}")
    link.sendall(client_frame(TEXT, codec.encode(register)[0]))
    while not list(frames.feed(link.recv(65_536))):
        "Before it is registered nothing large is taken of it."
    piece = bytes(MIB // 4)
    for place in range(HOG_BYTES // len(piece)):
        # Not the last one, and not masked in effect (RFC 6455 section 5.2).
        link.sendall(struct.pack("!BBQ", 0 if place else BINARY, 0xFF, len(piece)) + bytes(4))
        link.sendall(piece)
    return link


@contextmanager
def chattering(site: Site) -> Iterator[None]:
    """Proctors that talk without end, are closed for it, and come back."""
    over = threading.Event()

    def chatter() -> None:
        while not over.is_set():
            flood(site)

    threads = [threading.Thread(target=chatter) for _ in range(CHATTERERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def besieged(
    site: Site, tls_port: int, tls: ssl.SSLContext, folder: Path, stack: ExitStack
) -> float:
    """All at once, for a while; how full the queue to the disk was at most."""
    plan = Plan("127.0.0.1", site.port, SENTINELS, FRAMES_A_SECOND, SIZE_BYTES, 50)
    herd = HerdProcess(plan, folder / "herd.log")
    stack.callback(herd.stop)
    names = [f"light-{number}" for number in range(SENTINELS)]
    for name in names:
        site.live_session(name)
    wishes = [Subscribe(name) for name in names]
    for number in range(DEAF):
        port, context = (tls_port, tls) if number % 2 else (site.port, None)
        stack.callback(Deaf(port, wishes, context).socket.close)
    for number in range(HOGS):
        stack.callback(hog(site.port, number).close)
    for _ in range(STRANGERS):
        stranger = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
        stranger.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 3_000)
    with chattering(site):
        time.sleep(FLOOD_SECONDS)
        until(lambda: site.get("/healthz")[0] == 200, what="it still answers")
    return max(float(line[3]) for line in herd.told() if line[0] == "acks")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server on loopback, not started yet; it needs nothing that only root may do."""
    place = Site(tmp_path)
    yield place
    place.stop()


@pytest.mark.quiet
@pytest.mark.timeout(300)
def test_everything_at_once(site: Site, tmp_path: Path) -> None:
    """Twenty Sentinels send far more than the buffers may hold, twenty viewers never read, others
    talk without end, Sentinels begin the largest messages and never end them, strangers begin
    requests: at its peak the server has in memory what the guide says, or a quarter more."""
    tls_port = free_port()
    own = self_signed(tmp_path / "tls")
    server = site.start_server(
        *("--listen", own.endpoint(tls_port)),
        *("--buffer-bytes", str(BUFFER_BYTES), "--buffer-total-bytes", str(TOTAL_BYTES)),
    )
    assert usage(server.process.pid).peak_bytes < PROCESS_BYTES
    with ExitStack() as stack:
        load = besieged(site, tls_port, own.context(), tmp_path, stack)
        peak = usage(server.process.pid).peak_bytes
    bound = documented_bytes(load)
    print(f"peak {peak / MIB:.0f} MiB, documented {bound / MIB:.0f} MiB, queue {load:.3f}")
    assert peak <= 1.25 * bound
    log = server.log()
    assert "Traceback" not in log
    assert len(log.splitlines()) < 2_000
