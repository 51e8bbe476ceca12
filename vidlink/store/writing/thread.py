"""The thread that writes, and when its rounds are due. What a round does is in `writer`."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from twisted.logger import Logger

from vidlink.store.handover.inbox import PATIENCE_SECONDS, Inbox
from vidlink.store.writing.writer import ROUND_BYTES, ROUND_SECONDS, Writer


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
            while not self._inbox.is_closing:
                if again != 0.0:
                    self._inbox.wait(again, ROUND_SECONDS, ROUND_BYTES)
                again = self._writer.round()
            self._writer.finish(PATIENCE_SECONDS, time.sleep)
        except BaseException:
            self._log.failure("the writer of recordings has ended: nothing is recorded any more")
            raise
        finally:
            self._done()
