"""The thread that deletes, and when its rounds are due. What a round does is in `remover`."""

from __future__ import annotations

from twisted.logger import Logger

from vidlink.store.deleting.remover import LOOK_SECONDS, Remover
from vidlink.store.handover.removals import Removals

_log = Logger()


def delete_until_closed(remover: Remover, removals: Removals) -> None:
    """Do rounds until `removals` is closed."""
    while not removals.is_closing:
        seconds = LOOK_SECONDS
        try:
            seconds = remover.round()
        except Exception:
            _log.failure("a round of deleting failed; the next one comes")
        removals.wait(seconds)
