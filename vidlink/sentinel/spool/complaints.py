"""Telling people about trouble: at once, then once a minute; and when the disk works again."""

from __future__ import annotations

from collections.abc import Callable

AGAIN_SECONDS = 60.0


class Complaints:
    """What is said about the spool in `folder`."""

    def __init__(
        self, folder: str, on_trouble: Callable[[str], object], monotonic: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._told_seconds: float | None = None
        self._full_seconds: float | None = None

    def heard(self, trouble: str, waiting_bytes: int) -> None:
        """How a round went; `trouble` is empty if all was well."""
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
        """Something had to be dropped."""
        if self._is_due(self._full_seconds):
            self._full_seconds = self._monotonic()
            self._on_trouble(
                f"the spool {self._folder} cannot keep everything: {why}; the oldest is dropped"
            )

    def ended(self, waiting: int) -> None:
        """So many segments were not on the disk at the end."""
        if waiting:
            self._on_trouble(
                f"{waiting} segments are lost: the spool {self._folder} did not take them in time"
            )

    def _is_due(self, told_seconds: float | None) -> bool:
        return told_seconds is None or self._monotonic() - told_seconds >= AGAIN_SECONDS
