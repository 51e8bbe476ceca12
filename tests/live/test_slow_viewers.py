"""Viewers that read slowly, or never, on a real server: what it costs it, them and the others."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemons import Daemon, Site, free_port
from tests.scripted import Deaf, Sender, Throttle, Viewer, delays_ms, p99
from tests.tls import self_signed
from vidlink.model import Segment, SkipReason
from vidlink.server.liveness import STALL_SECONDS
from vidlink.server.watch import PIECE_BYTES, SEND_BUFFER_BYTES
from vidlink.wire.messages import ErrorMessage, Message, Skipped, Subscribe

#: Of one viewer that takes nothing: what the server itself holds, and with it what Linux does.
#: The transport's own bound is the 64 KiB after which it says that it is full.
SERVER_BYTES = 64 * 1024 + 2 * PIECE_BYTES
KERNEL_BYTES = 2 * SEND_BUFFER_BYTES + 2 * 64 * 1024


def resident_bytes(server: Daemon) -> int:
    """What the server has in memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def sending(senders: Iterable[Sender], port: int, course: Awaitable[None]) -> None:
    """Let the Sentinels send for as long as `course` runs; one that fails ends it."""
    tasks = [asyncio.ensure_future(sender.run(port)) for sender in senders]
    main = asyncio.ensure_future(course)
    try:
        await asyncio.wait([main, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        main.result()
    finally:
        for task in (main, *tasks):
            task.cancel()
        await asyncio.gather(main, *tasks, return_exceptions=True)


async def join(port: int, viewer: Viewer) -> Viewer:
    """Connect a viewer."""
    await asyncio.get_running_loop().create_connection(lambda: viewer, "127.0.0.1", port)
    return viewer


@dataclass
class Crowd:
    """Five viewers that read four streams of 6.4 Mbit/s together, and then twenty that do not."""

    site: Site
    server: Daemon
    tls_port: int
    tls: ssl.SSLContext
    senders: list[Sender] = field(default_factory=list)
    deaf: list[Deaf] = field(default_factory=list)
    growth_bytes: list[int] = field(default_factory=list)
    rests: list[tuple[int, int | None, list[Message]]] = field(default_factory=list)
    alone_ms: float = 0.0
    beside_ms: float = 0.0

    def too_slow(self) -> int:
        """How many have been closed for it."""
        return self.server.log().count("closing with 4431 too-slow")

    async def course(self) -> None:
        """First the readers alone, then beside the others until those have been closed."""
        watched = [Subscribe(sender.sentinel_id) for sender in self.senders]
        while not all(sender.sent_seconds for sender in self.senders):
            await asyncio.sleep(0.05)
        readers = [await join(self.site.port, Viewer(self.site.port, *watched)) for _ in range(5)]
        # Until the buffers are as full as they get.
        await asyncio.sleep(7)
        before, begun = resident_bytes(self.server), time.monotonic()
        await asyncio.sleep(10)
        self.alone_ms = p99(delays_ms(readers, self.senders, begun))
        begun = time.monotonic()
        for number in range(20):
            port, tls = (self.site.port, None) if number % 2 else (self.tls_port, self.tls)
            self.deaf.append(await asyncio.to_thread(Deaf, port, watched, tls))
        while self.too_slow() < 20 and time.monotonic() < begun + 2 * STALL_SECONDS:
            self.growth_bytes.append(resident_bytes(self.server) - before)
            await asyncio.sleep(0.2)
        self.beside_ms = p99(delays_ms(readers, self.senders, begun))
        # Two of them, one of each kind, read on at last.
        for deaf in self.deaf[:2]:
            self.rests.append(await asyncio.to_thread(deaf.rest))
        await asyncio.sleep(4)


def test_twenty_that_never_read(site: Site, tmp_path: Path) -> None:
    """Twenty viewers that never read, half of them over TLS, cost the server a bounded sum and
    five that do read nothing; after half a minute each is closed with 4431, and is told why."""
    tls_port = free_port()
    key, chain, tls = self_signed(tmp_path)
    listen = f"ssl:{tls_port}:interface=127.0.0.1:privateKey={key}:certKey={chain}"
    server = site.start_server("--listen", listen, "--buffer-seconds", "5")
    crowd = Crowd(site, server, tls_port, tls)
    for name in ("a", "b", "c", "d"):
        crowd.senders.append(Sender(name, lambda n: 120_000 if n % 10 == 0 else 30_000))
    asyncio.run(sending(crowd.senders, site.port, crowd.course()))
    assert crowd.too_slow() == 20, crowd.too_slow()
    # Besides: a frame that has begun, and what a connection costs anyhow, TLS included.
    assert max(crowd.growth_bytes) < 20 * (SERVER_BYTES + 120_000 + 400_000), crowd.growth_bytes
    assert crowd.beside_ms <= 5 * max(1.5 * crowd.alone_ms, crowd.alone_ms + 10)
    for octets, code, said in crowd.rests:
        assert octets < SERVER_BYTES + KERNEL_BYTES
        assert code == 4431
        assert isinstance(said[-1], ErrorMessage)
        assert said[-1].code == "too-slow"
    for deaf in crowd.deaf[2:]:
        octets, _, _ = deaf.rest()
        assert octets < SERVER_BYTES + KERNEL_BYTES


@dataclass
class Told:
    """What a viewer of one stream was given, against what was sent of it."""

    sender: Sender
    heard: list[Segment | Skipped]

    def skips(self) -> list[Skipped]:
        """What it was told that it was not sent."""
        return [message for message in self.heard if isinstance(message, Skipped)]

    def check(self) -> None:
        """Each sequence was delivered as sent, or skipped, once and in order; after each skip
        came a keyframe."""
        first = self.heard[0]
        assert isinstance(first, Segment)
        due, restarts = first.sequence, True
        for message in self.heard:
            if isinstance(message, Skipped):
                assert message.first == due
                assert message.reason is SkipReason.LAG
                due, restarts = message.last + 1, True
            else:
                assert message.sequence == due
                assert message.keyframe or not restarts
                assert bytes(message.data) == self.sender.sent[due]
                due, restarts = due + 1, False

    def fetch(self, site: Site) -> None:
        """Whatever was skipped is there over HTTP, octet by octet."""
        base = f"/api/v1/sentinels/{self.sender.sentinel_id}/sessions/{self.sender.session_id}"
        for skip in self.skips():
            status, _, body = site.get(f"{base}/segments/{skip.first}-{skip.last}")
            assert status == 200
            sent = self.sender.sent
            assert body == b"".join(sent[n] for n in range(skip.first, skip.last + 1))


def test_slower_than_the_stream(site: Site) -> None:
    """A viewer behind 1 Mbit/s on a stream of 4 Mbit/s stays connected for a minute: it is told
    of each skip, goes on at a keyframe, and what it was not sent is there over HTTP. So does one
    that needs longer than half a minute for a single keyframe of 1.5 MB."""
    large = 50

    def size(sequence: int) -> int:
        if sequence == large:
            return 1_500_000
        return 250_000 if sequence % 10 == 0 else 83_000

    site.start_server("--buffer-seconds", "10")
    sender = Sender("a", size)
    viewers: list[Viewer] = []

    async def course() -> None:
        wide, narrow = Throttle(site.port, 1e6), Throttle(site.port, 3e5)
        wide_port, narrow_port = await wide.start(), await narrow.start()
        while not sender.sent_seconds:
            await asyncio.sleep(0.05)
        begun = time.monotonic()
        for lag_ms in (None, 3_000):
            wish = Subscribe("a", max_lag_ms=lag_ms)
            viewers.append(await join(wide_port, Viewer(site.port, wish)))
        while large not in sender.sent_seconds:
            await asyncio.sleep(0.05)
        wish = Subscribe("a", max_lag_ms=3_000)
        viewers.append(await join(narrow_port, Viewer(site.port, wish)))
        await asyncio.sleep(begun + 62 - time.monotonic())
        assert not any(viewer.is_lost for viewer in viewers)
        # A last look at what arrives, now that nothing more is sent.
        with suppress(AssertionError):
            await asyncio.gather(wide.stop(), narrow.stop())

    asyncio.run(sending([sender], site.port, course()))
    for viewer, fewest in zip(viewers, (2, 5, 1), strict=True):
        told = Told(sender, viewer.heard)
        told.check()
        assert len(told.skips()) >= fewest
        told.fetch(site)
    whole = viewers[2].heard[0]
    assert isinstance(whole, Segment)
    assert whole.sequence == large
    waited = viewers[2].came[0][2] - sender.sent_seconds[large]
    assert waited > STALL_SECONDS
