"""Viewers that read slowly, or never, on a real server: what it costs it, them and the others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rigs.crowd import KERNEL_BYTES, KEYFRAME_BYTES, SERVER_BYTES, Crowd, join, sending
from tests.rigs.daemons import Site, free_port
from tests.rigs.frames import CLOSE, client_frame
from tests.rigs.scripted import Deaf, Sender, Throttle, Viewer, p99
from tests.rigs.tls import self_signed
from vidlink.messages import ErrorMessage, Skipped, Subscribe
from vidlink.model import (
    USUAL,
    Segment,
    SkipReason,
)


@pytest.mark.quiet
def test_twenty_that_never_read(site: Site, tmp_path: Path) -> None:
    """Twenty viewers that never read, half of them over TLS, cost the server a bounded sum and
    five that do read nothing; after half a minute each is closed with 4431, and is told why."""
    crowd = Crowd.gather(site, tmp_path)
    assert crowd.closed() == len(crowd.deaf)
    # Besides: a frame that has begun, and what a connection costs anyhow, TLS included.
    assert max(crowd.growth_bytes()) < 20 * (SERVER_BYTES + KEYFRAME_BYTES + 400_000)
    alone, beside = p99(crowd.alone_ms), p99(crowd.beside_ms)
    assert beside <= 5 * max(1.5 * alone, alone + 10)
    for octets, code, said in crowd.rests:
        assert octets < SERVER_BYTES + KERNEL_BYTES
        assert code == 4431
        assert isinstance(said[-1], ErrorMessage)
        assert said[-1].code == "too-slow"
    for deaf in crowd.deaf[len(crowd.rests) :]:
        octets, _, _ = deaf.rest()
        assert octets < SERVER_BYTES + KERNEL_BYTES


def test_closes_and_never_reads(site: Site, tmp_path: Path) -> None:
    """Of a viewer that says close while much waits for it, and never reads on, nothing is left
    after 3 s, over TLS as well."""
    tls_port = free_port()
    keys = self_signed(tmp_path)
    server = site.start_server("--listen", keys.endpoint(tls_port))
    sender = Sender("a", lambda _: 1_000_000)

    async def course() -> None:
        while not sender.sent_seconds:
            await asyncio.sleep(0.05)
        deaf = [
            await asyncio.to_thread(Deaf, port, [Subscribe("a")], context)
            for port, context in ((site.port, None), (tls_port, keys.context()))
        ]
        # Until more waits for each than all buffers on the way take.
        await asyncio.sleep(2)
        for one in deaf:
            one.socket.sendall(client_frame(CLOSE, b"\x03\xe8"))
        begun = time.monotonic()
        while server.log().count("a proctor has left") < len(deaf):
            assert time.monotonic() < begun + 5 * USUAL.close_seconds
            await asyncio.sleep(0.1)
        for one in deaf:
            one.socket.close()

    asyncio.run(sending([sender], site.port, course()))


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
                assert message.is_keyframe or not restarts
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
    assert waited > USUAL.socket_stall_seconds
