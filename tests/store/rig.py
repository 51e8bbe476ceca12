"""A real store in a temporary folder, whose rounds a test does by hand: nobody waits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.faulty_disk import FaultyDisk
from tests.store.samples import EPOCH_US
from vidlink.store import RecordingStore

MOST_ROUNDS = 50


def at_once(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """A pool of threads that has none."""
    return execute(work, *arguments)


class Rig:
    """The store in `path`, opened, with clocks that a test sets.

    `now_us` is time that passes, by both clocks; `leapt_us` is by how much the wall clock is
    ahead of it; `clock` moves the monotonic one alone.
    """

    def __init__(
        self,
        path: str,
        *,
        disk: FaultyDisk | None = None,
        wall_clock_us: Callable[[], int] | None = None,
        now_us: int = EPOCH_US,
        leapt_us: int = 0,
        **options: Any,
    ) -> None:
        self.path = path
        self.clock = Clock()
        self.now_us = now_us
        self.leapt_us = leapt_us
        self.disk = FaultyDisk() if disk is None else disk
        self._wall_clock_us = wall_clock_us or (lambda: self.now_us + self.leapt_us)
        self._options = options
        self.store = self._make()

    def _make(self) -> RecordingStore:
        store = RecordingStore(
            self.path,
            monotonic=self.seconds,
            wall_clock_us=self._wall_clock_us,
            call_in_reactor=lambda work, *arguments: work(*arguments),
            disk=self.disk,
            pause=lambda seconds: None,
            **({"run_in_pool": at_once} | self._options),
        )
        store.open()
        return store

    def seconds(self) -> float:
        """The monotonic clock."""
        passed_us = self._wall_clock_us() - self.leapt_us - EPOCH_US
        return self.clock.seconds() + max(0, passed_us) / 1_000_000

    def settle(self) -> None:
        """Do rounds until there is nothing left to do, nor comes of what was reported."""
        idle = 0
        for _ in range(MOST_ROUNDS):
            self.store.remover.round()
            idle = idle + 1 if self.store.writer.round() is None else 0
            if idle == 3:
                return
        raise AssertionError(f"the writer is still busy after {MOST_ROUNDS} rounds")

    def close(self) -> None:
        """Stop the store, whatever has become of it."""
        self.store.stop()

    def remove(self) -> None:
        """Stop the store and remove all that it has written."""
        self.store.stop()
        shutil.rmtree(self.path)

    def killed(self, path: str, **options: Any) -> Rig:
        """The next start after a kill -9 at this moment: the store in a copy of the folder.

        The copy has what was written, synced or not, just as the system keeps it when a
        process dies.
        """
        shutil.copytree(self.path, path)
        return Rig(path, wall_clock_us=self._wall_clock_us, **(self._options | options))

    def again(self) -> Rig:
        """The next start after a stop."""
        self.store.stop()
        return Rig(self.path, disk=self.disk, wall_clock_us=self._wall_clock_us, **self._options)
