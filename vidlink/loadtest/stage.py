"""The server that a load test is on; and a server of one's own, which leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.task import deferLater

from vidlink.client import History
from vidlink.errors import Unreachable, UserMistake, VidlinkError
from vidlink.loadtest import machine
from vidlink.loadtest.course import last_line
from vidlink.loadtest.plan import Place, Screen
from vidlink.loadtest.verdict import Settings
from vidlink.quantities import size
from vidlink.terminal.leash import Leashed

#: So much is left on a disk in any case, or a twentieth of it where that is less.
LEFT_BYTES = 1_000_000_000
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_MOST_TOLD = 2_000


@dataclass(frozen=True, slots=True)
class Stage:
    """The server that is tried out, and the screens that it is tried out with.

    `check` raises if the server is gone, `is_here` says if it is on this machine. Of a server of
    somebody else's the disk, the memory and the settings are not known.
    """

    place: Place
    screens: Sequence[Screen]
    history: History
    check: Callable[[], None]
    is_here: bool
    disk_rate: float | None = None
    available_bytes: int | None = None
    settings: Settings | None = None


class ServerProcess(Leashed):
    """A server of one's own, as :mod:`vidlink.commands.serving` runs it."""

    def __init__(self) -> None:
        super().__init__(_STOP_SECONDS)
        self._told = b""

    def errReceived(self, data: bytes) -> None:
        """Something that it complains of."""
        self._told = (self._told + data)[-_MOST_TOLD:]

    outReceived = errReceived

    def check(self) -> None:
        """See that it still runs.

        :raises VidlinkError: if it does not.
        """
        if self.ended.called:
            raise VidlinkError(f"the server has ended: {last_line(self._told)}")

    async def answers(self, history: History, clock: Any) -> None:
        """Wait until it does.

        :raises VidlinkError: if it ends, or does not in time.
        """
        until = clock.seconds() + _START_SECONDS
        while True:
            self.check()
            try:
                await history.me()
                return
            except Unreachable:
                if clock.seconds() >= until:
                    raise
            await deferLater(clock, 0.1)


def make_folder(data: str, most_bytes: float) -> str:
    """A new folder in `data`, or where that would be, with room for so much.

    :raises UserMistake: if there is none, or nothing may be made there.
    """
    there = os.path.abspath(data)
    while not os.path.isdir(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    most_bytes = max(most_bytes, machine.DISK_BYTES)
    found = os.statvfs(there)
    free_bytes = found.f_bavail * found.f_frsize
    left_bytes = min(LEFT_BYTES, found.f_blocks * found.f_frsize / 20)
    if free_bytes - most_bytes < left_bytes:
        raise UserMistake(
            f"up to {size(most_bytes)} would be written to {there} and removed again, and "
            f"{size(free_bytes)} are free there, of which {size(left_bytes)} have to be left; name "
            "another folder with --data, or give fewer --screens or --minutes"
        )
    try:
        return tempfile.mkdtemp(prefix="rehearsal-", dir=there)
    except OSError as error:
        raise UserMistake(
            f"nothing can be written to {there} ({error.strerror}); name another folder with --data"
        ) from None
