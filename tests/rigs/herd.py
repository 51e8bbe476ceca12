"""A thousand light Sentinels in one process: scripted, at a real rate, back at once when cut off.

``python -m tests.rigs.herd --port PORT`` runs until it is ended. What happens to them goes to
standard output, a JSON array a line: ``["registered", id, seconds]``,
``["lost", id, seconds, code]`` and once a second ``["acks", seconds, milliseconds, load]`` with how
long each newest acknowledged segment had waited for that, and the highest load that the server
told. Seconds are those of `time.monotonic`, the same in every process. A line ``drop`` on standard
input lets all of them forget their connections, without a farewell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import secrets
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes import media
from tests.rigs.scripted import Scripted
from vidlink.daemon import wall_clock_us
from vidlink.messages import Ack, Message, SentinelRegister, SentinelRegistered
from vidlink.model import InitSegment, Segment

#: One that is refused, or hears nothing of its handshake for so long, tries again after the pause.
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.1
#: Of a keyframe segment, how many times as large it is as another one.
KEYFRAME_FACTOR = 6
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where they connect and what each sends; `size_bytes` is that of a dependent frame."""

    host: str
    port: int
    count: int
    frames_a_second: float
    size_bytes: int
    keyframe_every: int


@dataclass(slots=True)
class Tally:
    """What the acknowledgements of the last second say."""

    waited_ms: list[float] = field(default_factory=list)
    load: float = 0.0


class Light(Scripted):
    """One connection of one Sentinel."""

    def __init__(self, sentinel_id: str, plan: Plan, tally: Tally) -> None:
        super().__init__("/ws/sentinel", plan.port, host=plan.host)
        loop = asyncio.get_running_loop()
        self.registered: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.sentinel_id = sentinel_id
        self.session_id = secrets.token_urlsafe(18)
        self._plan = plan
        self._tally = tally
        self._unacknowledged: deque[tuple[int, float]] = deque()

    def greet(self) -> None:
        """Say who it is: the same process on every connection."""
        self.say(SentinelRegister(self.sentinel_id, "one", "herd/1", self.session_id))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self.gone.set_result(None)

    def hear(self, message: Message) -> None:
        """Keep count of what is acknowledged."""
        if isinstance(message, SentinelRegistered):
            self.registered.set_result(None)
        elif isinstance(message, Ack):
            self._tally.load = max(self._tally.load, message.load)
            sent = None
            while self._unacknowledged and self._unacknowledged[0][0] <= message.sequence:
                sent = self._unacknowledged.popleft()[1]
            if sent is not None:
                self._tally.waited_ms.append((time.monotonic() - sent) * 1_000)

    def begin(self) -> None:
        """Begin the session."""
        self.say(InitSegment(self.sentinel_id, self.session_id, media.init_segment()))

    def send(self, sequence: int) -> None:
        """Send the next segment; its start time is now, for whoever measures."""
        plan = self._plan
        keyframe = sequence % plan.keyframe_every == 0
        size = plan.size_bytes * (KEYFRAME_FACTOR if keyframe else 1)
        data = media.segment(sequence, keyframe=keyframe, filler_bytes=size)
        rate = round(plan.frames_a_second * 1_000)
        ids = self.sentinel_id, self.session_id
        self._unacknowledged.append((sequence, time.monotonic()))
        now_us = wall_clock_us()
        self.say(Segment(*ids, sequence, now_us, media.FRAME_MS, rate, keyframe, data))

    def forget(self) -> None:
        """Let go of the socket: nothing is said, and nothing will be answered."""
        plain = self.transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Herd:
    """All of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tally = Tally()
        self._links: dict[str, Light] = {}

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._plan.count):
                tasks.create_task(self._keep_up(f"light-{number}", number))
            tasks.create_task(self._tell_acks())
            reader = asyncio.StreamReader()
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            while await reader.readline() == b"drop\n":
                for link in tuple(self._links.values()):
                    link.forget()

    async def _keep_up(self, sentinel_id: str, number: int) -> None:
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    link = await self._connect(sentinel_id)
                _tell("registered", sentinel_id, time.monotonic())
                await self._send(link, number / self._plan.count)
                _tell("lost", sentinel_id, time.monotonic(), link.close_code)
                self._links.pop(sentinel_id).transport.abort()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connect(self, sentinel_id: str) -> Light:
        plan, loop = self._plan, asyncio.get_running_loop()
        link = Light(sentinel_id, plan, self._tally)
        await loop.create_connection(lambda: link, plan.host, plan.port)
        self._links[sentinel_id] = link
        try:
            await asyncio.wait((link.registered, link.gone), return_when=asyncio.FIRST_COMPLETED)
            if link.is_lost:
                raise ConnectionError
        except BaseException:
            self._links.pop(sentinel_id).transport.abort()
            raise
        return link

    async def _send(self, link: Light, phase: float) -> None:
        """Send until it is cut off; the phases are spread, as real ones are."""
        link.begin()
        step = 1 / self._plan.frames_a_second
        due, sequence = time.monotonic() + phase * step, 0
        link.send(sequence)
        while not link.is_lost:
            await asyncio.wait((link.gone,), timeout=max(0.0, due - time.monotonic()))
            sequence, due = sequence + 1, due + step
            link.send(sequence)

    async def _tell_acks(self) -> None:
        while True:
            await asyncio.sleep(1)
            told = [round(value, 1) for value in self._tally.waited_ms]
            _tell("acks", time.monotonic(), told, self._tally.load)
            self._tally.waited_ms.clear()
            self._tally.load = 0.0


def _tell(*line: Any) -> None:
    print(json.dumps(line), flush=True)


class HerdProcess:
    """A herd in a process of its own, and what it has told.

    :param before: what runs it, such as ``ip netns exec NAME``.
    """

    def __init__(self, plan: Plan, log: Path, before: Sequence[str] = ()) -> None:
        self.plan = plan
        self._log = log
        options = [f"--{name.replace('_', '-')}={getattr(plan, name)}" for name in plan.__slots__]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "tests.rigs.herd", *options],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def told(self) -> list[list[Any]]:
        """All that it has told so far."""
        *whole, _ = self._log.read_text().split("\n")
        return [json.loads(line) for line in whole]

    def registered_seconds(self, since: float) -> list[float]:
        """When each was registered for the first time after `since`, in order."""
        first: dict[str, float] = {}
        for what, *rest in self.told():
            if what == "registered" and rest[1] >= since:
                first.setdefault(rest[0], rest[1])
        return sorted(first.values())

    def drop(self) -> None:
        """Let all of them forget their connections."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"drop\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--frames-a-second", type=float, default=1.0)
    parser.add_argument("--size-bytes", type=int, default=1_000)
    parser.add_argument("--keyframe-every", type=int, default=50)
    plan = Plan(**vars(parser.parse_args()))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(Herd(plan).run())


if __name__ == "__main__":
    main()
