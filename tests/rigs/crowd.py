"""A crowd on a real server: viewers that read beside viewers that never do, and what that costs.

The test of slow viewers judges it with slack, the benchmark prints it exactly.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.rigs.daemons import Daemon, Site, free_port
from tests.rigs.scripted import Deaf, Sender, Viewer, delays_ms
from tests.rigs.tls import self_signed
from vidlink.messages import Message, Subscribe
from vidlink.model import USUAL
from vidlink.server.sockets.watch import PIECE_BYTES, SEND_BUFFER_BYTES

#: Of one viewer that takes nothing: what the server itself holds, and with it what Linux does.
#: The transport's own bound is the 64 KiB after which it says that it is full.
SERVER_BYTES = 64 * 1024 + 2 * PIECE_BYTES
#: What is on its way on both sides of the loopback, in systems that count their own books too.
KERNEL_BYTES = 2 * SEND_BUFFER_BYTES + 2 * 64 * 1024
#: The largest segment that is sent.
KEYFRAME_BYTES = 120_000


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
    """Five viewers that read four streams of 6.4 Mbit/s together, and then twenty that do not.

    `sizes_bytes` is what the server has in memory beside the twenty, about four times a second,
    and `before_bytes` the most that it had before; `rests` is what two of the twenty, one over
    TLS, read on once they were closed: octets, close code, what was said.
    """

    site: Site
    server: Daemon
    tls_port: int
    tls: ssl.SSLContext
    alone_seconds: float
    again_seconds: float
    senders: list[Sender] = field(default_factory=list)
    deaf: list[Deaf] = field(default_factory=list)
    before_bytes: int = 0
    sizes_bytes: list[int] = field(default_factory=list)
    rests: list[tuple[int, int | None, list[Message]]] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)

    @classmethod
    def gather(
        cls, site: Site, folder: Path, alone_seconds: float = 10.0, again_seconds: float = 0.0
    ) -> Crowd:
        """Start a server that also listens with TLS, and let everything happen: about a minute.

        The readers are alone for `alone_seconds` before the others come, and for
        `again_seconds` after they have gone.
        """
        port = free_port()
        keys = self_signed(folder)
        server = site.start_server("--listen", keys.endpoint(port), "--buffer-seconds", "5")
        crowd = cls(site, server, port, keys.context(), alone_seconds, again_seconds)
        crowd.senders += (Sender(name, _size) for name in ("a", "b", "c", "d"))
        asyncio.run(sending(crowd.senders, site.port, crowd._course()))
        return crowd

    def growth_bytes(self) -> list[int]:
        """By how much the server has grown since the readers were alone."""
        return [size - self.before_bytes for size in self.sizes_bytes]

    def closed(self) -> int:
        """How many have been closed as too slow."""
        return self.server.log().count("closing with 4431 too-slow")

    async def _course(self) -> None:
        """First the readers alone, then beside the others until those have been closed."""
        watched = [Subscribe(sender.sentinel_id) for sender in self.senders]
        while not all(sender.sent_seconds for sender in self.senders):
            await asyncio.sleep(0.05)
        readers = [await join(self.site.port, Viewer(self.site.port, *watched)) for _ in range(5)]
        # Until the buffers are as full as they get.
        await asyncio.sleep(7)
        alone = await self._measure(readers, self.alone_seconds)
        for number in range(20):
            port, tls = (self.site.port, None) if number % 2 else (self.tls_port, self.tls)
            self.deaf.append(await asyncio.to_thread(Deaf, port, watched, tls))
        self.beside_ms = await self._measure(readers, 2 * USUAL.socket_stall_seconds, closed=20)
        for deaf in self.deaf[:2]:
            self.rests.append(await asyncio.to_thread(deaf.rest))
        await asyncio.sleep(USUAL.close_seconds + 1)
        self.alone_ms = sorted(alone + await self._measure(readers, self.again_seconds))

    async def _measure(
        self, readers: list[Viewer], seconds: float, closed: int | None = None
    ) -> list[float]:
        """How long segments took, for so long or until so many have been closed."""
        begun = time.monotonic()
        sizes = self.sizes_bytes if closed is not None else []
        # Looking costs as much in each phase, and does not keep step with what is sent.
        while time.monotonic() < begun + seconds and self.closed() != closed:
            sizes.append(resident_bytes(self.server))
            await asyncio.sleep(0.27)
        self.before_bytes = self.before_bytes or max(sizes)
        return delays_ms(readers, self.senders, begun)


def _size(sequence: int) -> int:
    return KEYFRAME_BYTES if sequence % 10 == 0 else 30_000
