"""A thousand Sentinels that come back at once, and viewers of others that see nothing of it.

The test judges it with slack, the benchmark prints it exactly.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.rigs.crowd import join, sending
from tests.rigs.daemons import Daemon, Site, until
from tests.rigs.herd import HerdProcess, Plan
from tests.rigs.namespace import Namespace
from tests.rigs.process import usage
from tests.rigs.scripted import Sender, Viewer, delays_ms
from vidlink.messages import Skipped, Subscribe

OTHERS, VIEWERS = 10, 3
#: For how long the cable is cut, and how long before the end of that they begin to try again.
CUT_SECONDS, EARLY_SECONDS = 3.0, 0.5
#: For how long the others are watched before anything happens, and after all are back.
CALM_SECONDS = 5.0
PATIENCE_SECONDS = 60.0


@dataclass
class Reconnection:
    """What happened: how long it took until all were registered, in seconds.

    `port_seconds` is how long a killed server took from its start to listening, and
    `killed_seconds` is counted from there; `cut_seconds` from when the cable was mended.
    `collection_seconds` is the longest that everything waited for Python's collector then.
    """

    site: Site
    network: Namespace
    count: int
    first_seconds: float = 0.0
    cut_seconds: float = 0.0
    cut_processor_seconds: float = 0.0
    killed_seconds: float = 0.0
    port_seconds: float = 0.0
    collection_seconds: float = 0.0
    calm_ms: list[float] = field(default_factory=list)
    storm_ms: list[float] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    def run(self, folder: Path, frames_a_second: float = 0.5) -> None:
        """Let everything happen: about a minute."""
        server = self._start()
        plan = Plan(self.network.here, self.site.port, self.count, frames_a_second, 1_000, 50)
        begun = time.monotonic()
        herd = HerdProcess(plan, folder / "herd.log", self.network.before)
        try:
            self.first_seconds = self._all_back(herd, begun)
            self.senders += (Sender(f"other-{number}", lambda _: 8_000) for number in range(OTHERS))
            course = self._cut(herd, server)
            asyncio.run(sending(self.senders, self.site.port, course))
            self._kill(herd, server)
        finally:
            herd.stop()

    def _start(self) -> Daemon:
        listen = f"tcp:{self.site.port}:interface={self.network.here}"
        return self.site.start_server("--listen", listen, "--no-auth")

    def _all_back(self, herd: HerdProcess, since: float) -> float:
        """Wait until all are registered after `since`; how long that took."""

        def look() -> list[float]:
            came = herd.registered_seconds(since)
            return came if len(came) == self.count else []

        what = f"{self.count} sentinels are registered"
        return until(look, PATIENCE_SECONDS, pause=0.2, what=what)[-1] - since

    async def _cut(self, herd: HerdProcess, server: Daemon) -> None:
        """The network of the thousand alone is cut, and mended."""
        while not all(sender.sent_seconds for sender in self.senders):
            await asyncio.sleep(0.05)
        wishes = [Subscribe(sender.sentinel_id) for sender in self.senders]
        for _ in range(VIEWERS):
            self.viewers.append(await join(self.site.port, Viewer(self.site.port, *wishes)))
        await asyncio.sleep(1)
        calm = time.monotonic()
        await asyncio.sleep(CALM_SECONDS)
        self.calm_ms = delays_ms(self.viewers, self.senders, calm)
        self.network.cut()
        await asyncio.sleep(CUT_SECONDS - EARLY_SECONDS)
        early = time.monotonic()
        herd.drop()
        await asyncio.sleep(EARLY_SECONDS)
        before = usage(server.process.pid).processor_seconds
        self.network.mend()
        mended = time.monotonic()
        await asyncio.to_thread(self._all_back, herd, early)
        self.cut_seconds = herd.registered_seconds(early)[-1] - mended
        self.cut_processor_seconds = usage(server.process.pid).processor_seconds - before
        text = (await asyncio.to_thread(self.site.get, "/metrics"))[2].decode()
        found = re.search(r"^vidlink_collection_longest_seconds (\S+)$", text, re.MULTILINE)
        assert found is not None
        self.collection_seconds = float(found[1])
        await asyncio.sleep(CALM_SECONDS)
        await self._all_seen()
        self.storm_ms = delays_ms(self.viewers, self.senders, mended)

    async def _all_seen(self) -> None:
        """Wait until every viewer has all that has been sent by now, or something later."""
        sent = {sender.sentinel_id: max(sender.sent_seconds) for sender in self.senders}
        deadline = time.monotonic() + PATIENCE_SECONDS
        for viewer in self.viewers:
            while any(
                newest < sent[name]
                for name, newest in {name: number for name, number, _ in viewer.came}.items()
            ):
                assert time.monotonic() < deadline, "viewers have fallen behind"
                await asyncio.sleep(0.05)

    def _kill(self, herd: HerdProcess, server: Daemon) -> None:
        """The server is killed, and started again."""
        self.logs.append(server.log())
        server.kill()
        killed = time.monotonic()
        listening: list[float] = []
        watch = threading.Thread(target=self._watch_port, args=(listening,))
        watch.start()
        again = self._start()
        watch.join()
        self.port_seconds = listening[0] - killed
        self._all_back(herd, killed)
        self.killed_seconds = herd.registered_seconds(killed)[-1] - listening[0]
        self.logs.append(again.log())

    def _watch_port(self, listening: list[float]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not listening and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.site.port)) == 0:
                    listening.append(time.monotonic())
            time.sleep(0.01)

    def check_viewers(self) -> None:
        """Every viewer was given each segment from its first one on, in order."""
        for viewer in self.viewers:
            assert not any(isinstance(message, Skipped) for message in viewer.heard)
            for sender in self.senders:
                came = [n for name, n, _ in viewer.came if name == sender.sentinel_id]
                assert came == list(range(came[0], came[-1] + 1))
