"""A computer that sleeps, as far as one process can tell: it stands still, and so does its clock.

Some clocks go on meanwhile, and some do not; for the latter `sleep.c` is preloaded.
"""

from __future__ import annotations

import signal
import struct
import subprocess
import time
from pathlib import Path

from tests.rigs.daemons import Daemon
from tests.rigs.needs import need

_SOURCE = Path(__file__).with_name("sleep.c")


class Sleep:
    """The sleep of the computer of one daemon, which is to be started with `environ`.

    :param folder: for the library, and for what it reads.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "sleep.so"
        subprocess.run(
            [need("cc"), "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True
        )
        self._slept_seconds = 0.0
        self._file = folder / "slept"
        self._file.write_bytes(struct.pack("d", 0.0))
        self.environ = {"LD_PRELOAD": str(library), "VIDLINK_SLEPT": str(self._file)}

    def pass_over(self, daemon: Daemon, seconds: float) -> None:
        """Let `daemon` sleep for so long."""
        daemon.send(signal.SIGSTOP)
        began = time.monotonic()
        time.sleep(seconds)
        self._slept_seconds += time.monotonic() - began
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", self._slept_seconds))
        daemon.send(signal.SIGCONT)
