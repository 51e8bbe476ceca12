"""The thread that writes, and when its rounds are due. What a round does is in `writer`."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.logger import Logger

from vidlink.store.handover.inbox import PATIENCE_SECONDS, Inbox
from vidlink.store.writing.writer import ROUND_BYTES, ROUND_SECONDS, Writer

_log = Logger()


def write_until_closed(writer: Writer, inbox: Inbox, done: Callable[[], object]) -> None:
    """Do rounds until `inbox` is closed, then the last ones, then call `done`."""
    try:
        again: float | None = None
        while not inbox.is_closing:
            if again != 0.0:
                inbox.wait(again, ROUND_SECONDS, ROUND_BYTES)
            again = writer.round()
        writer.finish(PATIENCE_SECONDS, time.sleep)
    except BaseException:
        _log.failure("the writer of recordings has ended: nothing is recorded any more")
        raise
    finally:
        done()
