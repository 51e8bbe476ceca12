"""The wall clock of one process, set while it runs; its monotonic clock stays the machine's."""

from __future__ import annotations

from pathlib import Path

from tests.rigs.needs import need

#: The library that changes a process's clock; the loader fills in the folder of this machine. The
#: program `faketime` would name it as well, but fails wherever a killed process of the same number
#: has left its semaphore behind.
_LIBRARY = "/usr/$LIB/faketime/libfaketime.so.1"


class WallClock:
    """The wall clock of one process, so many seconds before or after this machine's."""

    def __init__(self, path: Path, seconds: int = 0) -> None:
        self._path = path
        self.set(seconds)
        need("faketime")
        #: What a process goes by it with. Its monotonic clock stays the machine's.
        self.environ = {
            "LD_PRELOAD": _LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Set it."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._path)
