"""The threads of the store: when rounds are due. What a round does is in `writer` and `remover`."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from twisted.logger import Logger

from vidlink.store.deleting.remover import LOOK_SECONDS, Remover
from vidlink.store.handover.orders import Inbox
from vidlink.store.handover.removals import Removals
from vidlink.store.writing.writer import ROUND_BYTES, ROUND_SECONDS, Writer

#: So long a stop waits for a disk that fails.
PATIENCE_SECONDS = 3.0


class WriterThread:
    """Does rounds until the inbox is closed, then the last ones, then calls `done`."""

    _log = Logger()

    def __init__(self, writer: Writer, inbox: Inbox, done: Callable[[], object]) -> None:
        self._writer = writer
        self._inbox = inbox
        self._done = done
        # A disk that never answers must not keep the process alive.
        self._thread = Thread(target=self._run, name="vidlink-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            again: float | None = None
            while not self._inbox.closing:
                if again != 0.0:
                    self._inbox.wait(again, ROUND_SECONDS, ROUND_BYTES)
                again = self._writer.round()
            self._writer.finish(PATIENCE_SECONDS, time.sleep)
        except BaseException:
            self._log.failure("the writer of recordings has ended: nothing is recorded any more")
            raise
        finally:
            self._done()


class RemoverThread:
    """Does rounds until `removals` is closed."""

    _log = Logger()

    def __init__(self, remover: Remover, removals: Removals) -> None:
        self._remover = remover
        self._removals = removals
        self._thread = Thread(target=self._run, name="vidlink-remover", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end, but not for a disk that never answers."""
        self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while not self._removals.closing:
            seconds = LOOK_SECONDS
            try:
                seconds = self._remover.round()
            except Exception:
                self._log.failure("a round of deleting failed; the next one comes")
            self._removals.wait(seconds)
