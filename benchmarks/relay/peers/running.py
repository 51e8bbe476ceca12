"""A server that is running: where it listens, its processes, and its end."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.relay.tools import beside_server
from tests.rigs.daemons import until


@dataclass(frozen=True, slots=True)
class Running:
    """One, and what a load needs to know of it."""

    process: subprocess.Popen[bytes]
    port: int
    options: tuple[str, ...] = ()

    @property
    def pids(self) -> str:
        """Its processes and those that it has started, with commas between."""
        return ",".join(map(str, _family(self.process.pid)))

    def stop(self) -> None:
        """End it, with all that it has started."""
        for pid in reversed(_family(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()


def start(
    command: list[str], port: int, folder: Path, environ: Mapping[str, str] | None = None
) -> Running:
    """Start a server, and wait until it listens."""
    log = folder / "log"
    with log.open("wb") as file, beside_server():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, **(environ or {})},
        )
    running = Running(process, port)

    def listens() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        return False

    try:
        until(listens, what=f"{command[0]} listens")
    except AssertionError:
        running.stop()
        raise
    return running


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += _family(int(child))
    return found
