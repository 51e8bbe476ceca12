"""Words about trouble with a spool: at once, then once a minute; and when all is well again."""

from __future__ import annotations

from collections.abc import Callable

#: The same is not told sooner again.
AGAIN_SECONDS = 60.0


class Complaints:
    """The words about the spool in `folder`."""

    def __init__(
        self, folder: str, on_trouble: Callable[[str], object], monotonic: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._told_seconds: float | None = None
        self._full_seconds: float | None = None

    def heard(self, trouble: str, waiting_bytes: int) -> None:
        """Tell that a round failed, or that all is well again; `trouble` is empty if it is."""
        if not trouble:
            if self._told_seconds is not None:
                self._told_seconds = None
                self._on_trouble(f"the spool {self._folder} is written again")
            return
        if self._is_due(self._told_seconds):
            self._told_seconds = self._monotonic()
            self._on_trouble(
                f"the spool {self._folder} cannot be written: {trouble}; "
                f"{waiting_bytes} bytes wait in memory"
            )

    def full(self, why: str) -> None:
        """Tell that something had to be dropped."""
        if self._is_due(self._full_seconds):
            self._full_seconds = self._monotonic()
            self._on_trouble(
                f"the spool {self._folder} cannot keep everything: {why}; the oldest is dropped"
            )

    def ended(self, waiting: int) -> None:
        """Tell that so many segments were not on the disk at the end, if any."""
        if waiting:
            self._on_trouble(
                f"{waiting} segments are lost: the spool {self._folder} did not take them in time"
            )

    def _is_due(self, told_seconds: float | None) -> bool:
        return told_seconds is None or self._monotonic() - told_seconds >= AGAIN_SECONDS
