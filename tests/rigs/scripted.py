"""Scripted peers on plain sockets: sentinels that send at a real rate, viewers that read as told.

They run in one asyncio loop beside a real server, so that the time from sending to arrival is
read from one clock. What they measure is for the tests and the benchmark to judge.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import media
from tests.rigs.frames import BINARY, CLOSE, PING, PONG, TEXT, Frames, client_frame, handshake
from vidlink.client.formats import viewer_codecs
from vidlink.messages import Message, ProctorRegister, SentinelRegister, Skipped, Subscribe
from vidlink.model import InitSegment, Segment

FORMAT = "vidlink.v1.binary"
_CODECS = {codec.name: codec for codec in viewer_codecs()}


class Scripted(asyncio.Protocol):
    """One WebSocket connection of a script; what it hears is given to :meth:`hear`."""

    def __init__(
        self,
        path: str,
        port: int,
        subprotocol: str = FORMAT,
        host: str = "127.0.0.1",
        token: str | None = None,
    ) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.close_code: int | None = None
        self.is_lost = False
        self._codec = _CODECS[subprotocol]
        self._hello = handshake(path, subprotocol, f"{host}:{port}", token)
        self._frames = Frames()

    def connection_made(self, transport: Any) -> None:
        """Ask to be let in."""
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Hear it; answer pings."""
        for opcode, payload in self._frames.feed(data):
            if opcode == PING:
                self.transport.write(client_frame(PONG, payload))
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
            elif opcode in (TEXT, BINARY):
                self.hear(self._codec.decode(payload, opcode == BINARY))
        if self._frames.has_opened and not self.opened.done():
            self.opened.set_result(None)
            self.greet()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.is_lost = True

    def greet(self) -> None:
        """The handshake is done."""

    def hear(self, message: Message) -> None:
        """One message of the server."""

    def say(self, message: Message) -> None:
        """Send `message`."""
        payload, is_binary = self._codec.encode(message)
        self.transport.write(client_frame(BINARY if is_binary else TEXT, payload))


class Viewer(Scripted):
    """A Proctor that reads; `came` has when each segment came, in the order of arrival.

    :param subscribes: what it watches.
    """

    def __init__(
        self,
        port: int,
        *subscribes: Subscribe,
        subprotocol: str = FORMAT,
        token: str | None = None,
    ) -> None:
        super().__init__("/ws/proctor", port, subprotocol, token=token)
        self.heard: list[Segment | Skipped] = []
        self.others: list[Message] = []
        self.came: list[tuple[str, int, float]] = []
        self._subscribes = subscribes

    def greet(self) -> None:
        """Register, and ask for everything."""
        self.say(ProctorRegister("test/1"))
        for subscribe in self._subscribes:
            self.say(subscribe)

    def hear(self, message: Message) -> None:
        """Keep it; of a segment the time as well."""
        if isinstance(message, Segment):
            self.came.append((message.sentinel_id, message.sequence, time.monotonic()))
            self.heard.append(message)
        elif isinstance(message, Skipped):
            self.heard.append(message)
        else:
            self.others.append(message)


@dataclass
class Sender:
    """A Sentinel that sends real media at a real rate.

    :param size: of each segment, how many octets of filler it carries.
    :param token: what it shows.
    """

    sentinel_id: str
    size: Callable[[int], int]
    frames_a_second: float = 5.0
    keyframe_every: int = 10
    token: str | None = None
    sent: dict[int, bytes] = field(default_factory=dict)
    sent_seconds: dict[int, float] = field(default_factory=dict)

    @property
    def session_id(self) -> str:
        """The one session that it sends."""
        return f"the-session-of-{self.sentinel_id}"

    async def run(self, port: int) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: Scripted("/ws/sentinel", port, token=self.token), "127.0.0.1", port
        )
        await link.opened
        link.say(SentinelRegister(self.sentinel_id, "one", "test/1", self.session_id))
        link.say(InitSegment(self.sentinel_id, self.session_id, media.init_segment()))
        due, sequence = time.monotonic(), 0
        try:
            while not link.is_lost:
                segment = self.segment(sequence)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self.sent_seconds[sequence] = time.monotonic()
                link.say(segment)
                sequence, due = sequence + 1, due + 1 / self.frames_a_second
        finally:
            link.transport.close()
        raise AssertionError(f"{self.sentinel_id} was closed with {link.close_code}")

    def segment(self, sequence: int) -> Segment:
        """Segment `sequence`, kept to compare with what arrives."""
        keyframe = sequence % self.keyframe_every == 0
        data = self.sent[sequence] = media.segment(
            sequence, keyframe=keyframe, filler_bytes=self.size(sequence)
        )
        start, rate = media.start_time_us(sequence), round(self.frames_a_second * 1_000)
        return Segment(
            self.sentinel_id, self.session_id, sequence, start, 200, rate, keyframe, data
        )


def delays_ms(viewers: list[Viewer], senders: list[Sender], since: float) -> list[float]:
    """How long each segment sent after `since` was on its way to each viewer, in order."""
    sent = {sender.sentinel_id: sender.sent_seconds for sender in senders}
    return sorted(
        (came - sent[sentinel_id][sequence]) * 1_000
        for viewer in viewers
        for sentinel_id, sequence, came in viewer.came
        if sent[sentinel_id][sequence] >= since
    )


def p99(ordered: list[float]) -> float:
    """The smallest value that 99 % are not above."""
    return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


class Deaf:
    """A viewer that registers, subscribes and then never reads, until :meth:`rest`.

    :param tls: None for plain TCP.
    """

    def __init__(self, port: int, subscribes: list[Subscribe], tls: ssl.SSLContext | None) -> None:
        codec = _CODECS[FORMAT]
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        plain.settimeout(30.0)
        plain.connect(("127.0.0.1", port))
        self.socket = plain if tls is None else tls.wrap_socket(plain)
        self.socket.sendall(handshake("/ws/proctor", FORMAT, f"127.0.0.1:{port}"))
        self._frames = Frames()
        while not self._frames.has_opened:
            # The end of the head is all that it reads, and nothing is sent before it registers.
            assert not list(self._frames.feed(self.socket.recv(1)))
        said: list[Message] = [ProctorRegister("deaf/1"), *subscribes]
        for message in said:
            self.socket.sendall(client_frame(TEXT, codec.encode(message)[0]))

    def rest(self) -> tuple[int, int | None, list[Message]]:
        """Read to the end: how many octets came, the close code, and all that was said."""
        octets, code, said = 0, None, []
        with suppress(OSError):  # A reset, if it was cut off.
            while data := self.socket.recv(65536):
                octets += len(data)
                for opcode, payload in self._frames.feed(data):
                    if opcode == CLOSE:
                        code = int.from_bytes(payload[:2], "big")
                        self.socket.sendall(client_frame(CLOSE, payload[:2]))
                    elif opcode in (TEXT, BINARY):
                        said.append(_CODECS[FORMAT].decode(payload, opcode == BINARY))
        self.socket.close()
        return octets, code, said


class Throttle:
    """A proxy on loopback that passes on what the server sends at a bounded rate.

    :param port: the server's.
    :param bits_a_second: what it passes on of each connection.
    """

    def __init__(self, port: int, bits_a_second: float) -> None:
        self._port = port
        self._octets_a_second = bits_a_second / 8
        self._pumps: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and let go of everything."""
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _join(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        far.setblocking(False)
        await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self._port))
        far_in, far_out = await asyncio.open_connection(sock=far, limit=8 * 1024)
        for way in (self._slowly(far_in, near_out), self._at_once(near_in, far_out)):
            self._pumps.add(asyncio.create_task(way))

    async def _slowly(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        due = time.monotonic()
        with suppress(ConnectionError), closing(sink):
            while data := await source.read(4 * 1024):
                sink.write(data)
                # No credit for what was not sent: a link does not save up.
                due = max(due, time.monotonic()) + len(data) / self._octets_a_second
                await asyncio.sleep(due - time.monotonic())

    async def _at_once(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(sink):
            while data := await source.read(65536):
                sink.write(data)
