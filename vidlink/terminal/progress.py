"""The progress of what takes long: a line redrawn on a terminal, one now and then elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TextIO

from vidlink.quantities import length, size

#: The shortest time between two drawings.
TERMINAL_SECONDS = 0.1
PLAIN_SECONDS = 10.0
_BAR = 24


class StatusLine:
    """One line that says how far something is.

    :param stream: where it is shown.
    :param seconds: the monotonic clock.
    """

    def __init__(self, stream: TextIO, seconds: Callable[[], float], is_terminal: bool) -> None:
        self._stream = stream
        self._seconds = seconds
        self._is_terminal = is_terminal
        self._shown_seconds = seconds()
        self._width = 0

    def show(self, line: Callable[[], str]) -> None:
        """Draw what `line` gives, unless something was drawn just now."""
        pause = TERMINAL_SECONDS if self._is_terminal else PLAIN_SECONDS
        if self._seconds() - self._shown_seconds >= pause:
            self._shown_seconds = self._seconds()
            self._draw(line())

    def say(self, text: str) -> None:
        """A line that stays, above the one that is redrawn."""
        self.wipe()
        print(text, file=self._stream, flush=True)

    def wipe(self) -> None:
        """Take the line off the terminal."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=self._stream, flush=True)
            self._width = 0

    def _draw(self, text: str) -> None:
        if not self._is_terminal:
            print(text, file=self._stream, flush=True)
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(self._width), end="", file=self._stream, flush=True)
        self._width = len(text)


class Progress(StatusLine):
    """Progress over all of a download.

    :param total_bytes: how much there is to do, as far as it is known.
    """

    def __init__(
        self, stream: TextIO, seconds: Callable[[], float], total_bytes: int, is_terminal: bool
    ) -> None:
        super().__init__(stream, seconds, is_terminal)
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self.label = ""
        self._began_seconds = self._shown_seconds
        self._came_bytes = 0

    def came(self, size_bytes: int) -> None:
        """So much has come over the network."""
        self._came_bytes += size_bytes
        self.had(size_bytes)

    def had(self, size_bytes: int) -> None:
        """So much more is there, wherever it is from."""
        self.done_bytes += size_bytes
        self.total_bytes = max(self.total_bytes, self.done_bytes)
        self.show(self.line)

    def line(self) -> str:
        """The progress as a text."""
        whole = self.total_bytes or 1
        share = self.done_bytes / whole
        bar = "#" * int(share * _BAR)
        elapsed = self._seconds() - self._began_seconds
        rate = self._came_bytes / elapsed if elapsed > 0 else 0.0
        text = f"{self.label} [{bar:.<{_BAR}}] {int(share * 100)} % of {size(whole)}"
        if rate > 0:
            left = (self.total_bytes - self.done_bytes) / rate
            text += f", {size(rate)}/s, {length(left)} left"
        return text
