"""What a run needs from this machine: the two loads, compiled, and processors of their own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rigs.needs import need

HERE = Path(__file__).parent
#: A load that takes longer has hung.
PATIENCE_SECONDS = 180.0
_SERVER, _LOAD = 0, 1


class Failed(Exception):
    """A server did not carry the load to its end."""


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """What is started meanwhile runs on this processor alone, if there are two."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1:
        os.sched_setaffinity(0, {sorted(allowed)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def beside_server() -> Any:
    """The server's processor, for as long as it is started."""
    return on_processor(_SERVER)


class Tools:
    """The programs in C, compiled into `folder`; ``has_tls`` says whether OpenSSL was there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._compiler = need("cc")
        tls = ("-DWITH_TLS", "-lssl", "-lcrypto")
        self.has_tls = self._compile("load.c", *tls)
        if not self.has_tls:
            assert self._compile("load.c")
        assert self._compile("httpload.c")

    def compile(self, source: str) -> str:
        """Compile one more, which needs nothing but the C library; its path."""
        assert self._compile(source)
        return str(self.folder / Path(source).stem)

    def load(self, options: list[str], *, looks: Any = None) -> dict[str, Any]:
        """Run `load.c`; what it has found, and what `looks` returns while it goes on after that.

        :raises Failed: it could not connect, or the server has closed somebody.
        """
        command = [str(self.folder / "load"), *options, *(["--goes-on", "1"] if looks else [])]
        with on_processor(_LOAD):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = looks() if looks and line else {}
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
        if process.returncode or not line or json.loads(line)["lost"]:
            raise Failed(errors.strip()[:300] or f"status {process.returncode}")
        return {**json.loads(line), **found}

    def http_load(self, *arguments: object) -> dict[str, Any]:
        """Run `httpload.c`; what it has found.

        :raises Failed: the server has answered with an error, or has closed a connection.
        """
        command = [str(self.folder / "httpload"), *map(str, arguments)]
        with on_processor(_LOAD):
            run = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
        if run.returncode:
            raise Failed(run.stderr.strip()[:300])
        found: dict[str, Any] = json.loads(run.stdout)
        return found

    def _compile(self, source: str, *options: str) -> bool:
        to = self.folder / Path(source).stem
        command = [self._compiler, "-O2", str(HERE / source), "-o", str(to), *options]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def machine() -> dict[str, str]:
    """What this is measured on."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return {
        "processor": f"{len(os.sched_getaffinity(0))} of {models[0] if models else 'unknown'}",
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
