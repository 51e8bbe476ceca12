"""What a server is loaded with while it is faulted: twenty Sentinels, and what they were promised.

A test needs of a load no more than :class:`Load` says; :class:`ScriptedLoad` is one of scripted
peers, which send real media, remember all of it, and begin a new session whenever they are cut
off. Whether promises were kept is judged in `evidence`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from tests.fakes import media
from tests.rigs.scripted import Scripted, Viewer, p99
from vidlink.messages import Ack, Message, SentinelRegister, SentinelRegistered, Subscribe
from vidlink.model import InitSegment, Segment

SENTINELS = 20
#: A session, as the ids of Sentinel and session.
Key: TypeAlias = tuple[str, str]


class Load(Protocol):
    """Sentinels that send to the server on one port for as long as it is entered."""

    def __enter__(self) -> object:
        """Begin to send."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Send no more; raises what has gone wrong with the load itself."""

    @property
    def sent(self) -> Mapping[Key, Mapping[int, bytes]]:
        """The octets of every segment that was sent, by session and sequence."""

    def acknowledged(self) -> dict[Key, int]:
        """How far each session has been acknowledged by now."""


@dataclass
class Sending:
    """One session: what was sent and when, and how far it was acknowledged."""

    sent: dict[int, bytes] = field(default_factory=dict)
    sent_seconds: dict[int, float] = field(default_factory=dict)
    acknowledged: int = -1


class _Peer(Scripted):
    """A scripted Sentinel's connection, for one session."""

    def __init__(self, port: int, key: Key, sending: Sending) -> None:
        super().__init__("/ws/sentinel", port)
        self.registered = asyncio.get_running_loop().create_future()
        self._key = key
        self._sending = sending

    def greet(self) -> None:
        """Register."""
        sentinel_id, session_id = self._key
        self.say(SentinelRegister(sentinel_id, "one", "test/1", session_id))

    def hear(self, message: Message) -> None:
        """Remember what is promised."""
        if isinstance(message, Ack) and message.session_id == self._key[1]:
            self._sending.acknowledged = max(self._sending.acknowledged, message.sequence)
        elif isinstance(message, SentinelRegistered) and not self.registered.done():
            self.registered.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, also for who waits to be let in."""
        super().connection_lost(exc)
        if not self.registered.done():
            self.registered.set_result(False)


class ScriptedLoad:
    """`count` scripted Sentinels, five frames a second each, in a thread of their own.

    :param size_bytes: about how much filler a segment carries; no two are quite the same.
    :param viewers: so many Proctors watch all of them, from when they are entered until the
        server goes.
    """

    def __init__(
        self,
        port: int,
        count: int = SENTINELS,
        *,
        size_bytes: int = 1_000,
        viewers: int = 0,
        seed: int = 0,
    ) -> None:
        self.sessions: dict[Key, Sending] = {}
        #: The code that each connection was closed with; None: it was cut off.
        self.closes: list[int | None] = []
        self.viewers: list[Viewer] = []
        self._port = port
        self._names = [f"desk-{number + 1}" for number in range(count)]
        self._size_bytes = size_bytes
        self._viewer_count = viewers
        self._random = random.Random(seed)
        self._thread = Thread(target=self._run, name="load", daemon=True)
        self._stop: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None

    def __enter__(self) -> ScriptedLoad:
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send no more."""
        self._stop()
        self._thread.join(10.0)
        assert not self._thread.is_alive(), "the load does not end"
        if self._failure is not None and raised is None:
            raise self._failure

    @property
    def sent(self) -> dict[Key, dict[int, bytes]]:
        """The octets of every segment that was sent, by session and sequence."""
        return {key: dict(sending.sent) for key, sending in list(self.sessions.items())}

    def acknowledged(self) -> dict[Key, int]:
        """How far each session has been acknowledged by now."""
        return {key: sending.acknowledged for key, sending in list(self.sessions.items())}

    def delays_ms(self, since: float, until: float) -> list[float]:
        """How long each segment sent in this time was on its way to each viewer, in order."""
        sent = {key[0]: sending.sent_seconds for key, sending in self.sessions.items()}
        return sorted(
            (came - sent[sentinel_id][sequence]) * 1_000
            for viewer in self.viewers
            for sentinel_id, sequence, came in list(viewer.came)
            if since <= sent[sentinel_id][sequence] < until
        )

    def p99_ms(self, since: float, until: float) -> float:
        """What 99 % of the segments sent in this time took at most to reach a viewer."""
        return p99(self.delays_ms(since, until))

    def seen(self) -> dict[Key, dict[int, bytes]]:
        """What the viewers were sent, by session and sequence."""
        found: dict[Key, dict[int, bytes]] = {}
        for viewer in self.viewers:
            for message in list(viewer.heard):
                if isinstance(message, Segment):
                    key = message.sentinel_id, message.session_id
                    found.setdefault(key, {})[message.sequence] = bytes(message.data)
        return found

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._failure = error

    async def _all(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.is_closed() or loop.call_soon_threadsafe(stopped.set)
        works: list[Coroutine[Any, Any, object]] = [self._sentinel(name) for name in self._names]
        works += [self._watch() for _ in range(self._viewer_count)]
        tasks = [asyncio.ensure_future(work) for work in (*works, stopped.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sentinel(self, name: str) -> None:
        """One Sentinel: session after session, each for as long as its connection holds."""
        await asyncio.sleep(self._random.random() * 0.2)
        while True:
            key = name, f"session-{self._random.getrandbits(64):016x}"
            sending = Sending()
            with suppress(OSError):
                loop = asyncio.get_running_loop()
                _, peer = await loop.create_connection(
                    lambda key=key, sending=sending: _Peer(self._port, key, sending),  # type: ignore[misc]
                    "127.0.0.1",
                    self._port,
                )
                try:
                    if await peer.registered:
                        self.sessions[key] = sending
                        await self._send(peer, key, sending)
                    self.closes.append(peer.close_code)
                finally:
                    peer.transport.abort()
            await asyncio.sleep(0.1)

    async def _send(self, peer: _Peer, key: Key, sending: Sending) -> None:
        peer.say(InitSegment(*key, media.init_segment()))
        due, sequence = time.monotonic(), 0
        while not peer.is_lost:
            segment = self._segment(key, sequence)
            sending.sent[sequence] = bytes(segment.data)
            sending.sent_seconds[sequence] = time.monotonic()
            peer.say(segment)
            sequence, due = sequence + 1, due + 0.2
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _segment(self, key: Key, sequence: int) -> Segment:
        filler_bytes = self._size_bytes + self._random.randrange(1_000)
        return Segment(
            *key,
            sequence=sequence,
            start_time_us=time.time_ns() // 1_000,
            duration_ms=media.FRAME_MS,
            framerate_mhz=5_000,
            is_keyframe=media.is_keyframe(sequence),
            data=media.segment(sequence, filler_bytes=filler_bytes),
        )

    async def _watch(self) -> None:
        """One Proctor that watches everything."""
        viewer = Viewer(self._port, *(Subscribe(name) for name in self._names))
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.5)
        await loop.create_connection(lambda: viewer, "127.0.0.1", self._port)
        self.viewers.append(viewer)
        while not viewer.is_lost:
            await asyncio.sleep(0.05)
        await asyncio.Event().wait()
