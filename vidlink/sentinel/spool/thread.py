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

_log = Logger()


def spool_thread(
    writer: Writer, inbox: Inbox, begin: Callable[[], object], done: Callable[[], object]
) -> Thread:
    """The thread, which is not started yet.

    It calls `begin`, an `OSError` of which does not matter, does rounds until the inbox is closed,
    then the last ones, then calls `done`.
    """

    def run() -> None:
        try:
            with contextlib.suppress(OSError):
                begin()
            again: float | None = None
            while not inbox.is_closing:
                inbox.wait(again, writer.is_troubled)
                again = writer.round()
            writer.finish(PATIENCE_SECONDS, time.sleep)
        except BaseException:
            _log.failure("the spool's thread has ended: nothing more is kept on disk")
            raise
        finally:
            done()

    # A disk that never answers must not keep the process alive.
    return Thread(target=run, name="vidlink-spool", daemon=True)
