"""The thread that deletes, and when its rounds are due. What a round does is in `remover`."""

from __future__ import annotations

from threading import Thread

from twisted.logger import Logger

from vidlink.store.deleting.remover import LOOK_SECONDS, Remover
from vidlink.store.handover.inbox import PATIENCE_SECONDS
from vidlink.store.handover.removals import Removals


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
        while not self._removals.is_closing:
            seconds = LOOK_SECONDS
            try:
                seconds = self._remover.round()
            except Exception:
                self._log.failure("a round of deleting failed; the next one comes")
            self._removals.wait(seconds)
