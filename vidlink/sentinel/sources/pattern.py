"""The source `test`: the test picture, drawn when it is asked for; see `picture`."""

from __future__ import annotations

from collections.abc import Callable

from av import VideoFrame
from zope.interface import implementer

from vidlink.sentinel.capture.roles import ISource
from vidlink.sentinel.sources.picture import PatternPicture


@implementer(ISource)
class PatternSource:
    """The test picture of one Sentinel, with the wall clock burnt in.

    :param title: what is written on it: the sentinelId.
    :param wall_clock_us: microseconds since 1970 UTC.
    """

    def __init__(
        self, title: str, width: int, height: int, wall_clock_us: Callable[[], int]
    ) -> None:
        self._pattern = PatternPicture(title, width, height)
        self._wall_clock_us = wall_clock_us
        self._number = 0

    def open(self) -> None:
        """There is nothing to get ready."""

    def grab(self, now_seconds: float) -> VideoFrame:
        """The next picture; `now_seconds` does not matter, the wall clock is burnt in."""
        picture = self._pattern.draw(self._wall_clock_us(), self._number)
        self._number += 1
        return picture

    def close(self) -> None:
        """The next picture is number 0 again."""
        self._number = 0
