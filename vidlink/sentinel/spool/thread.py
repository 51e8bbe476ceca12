"""The spool's thread: when rounds are due. What a round does is in `writer`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from threading import Thread

from twisted.logger import Logger

from vidlink.sentinel.spool.inbox import Inbox
from vidlink.sentinel.spool.writer import Writer

#: So long a stop waits for a disk that fails.
PATIENCE_SECONDS = 3.0


class SpoolThread:
    """Calls `begin`, does rounds until the inbox is closed, then the last ones, then calls `done`.

    An `OSError` of `begin` does not matter.
    """

    _log = Logger()

    def __init__(
        self,
        writer: Writer,
        inbox: Inbox,
        begin: Callable[[], object],
        done: Callable[[], object],
    ) -> None:
        self._writer = writer
        self._inbox = inbox
        self._begin = begin
        self._done = done
        # A disk that never answers must not keep the process alive.
        self._thread = Thread(target=self._run, name="vidlink-spool", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            with contextlib.suppress(OSError):
                self._begin()
            again: float | None = None
            while not self._inbox.is_closing:
                self._inbox.wait(again, self._writer.is_troubled)
                again = self._writer.round()
            self._writer.finish(PATIENCE_SECONDS, time.sleep)
        except BaseException:
            self._log.failure("the spool's thread has ended: nothing more is kept on disk")
            raise
        finally:
            self._done()
