"""Which of the streams on one viewer's socket is given the next place, fairly by octets.

What a stream has to give is :mod:`vidlink.links.subscription`.
"""

from __future__ import annotations

from typing import Protocol

from vidlink.model import Frame

#: The one in focus is served alone until it is so far ahead of all others together.
LEAD_BYTES = 256 * 1024


class Source(Protocol):
    """What may be served next."""

    def pull(self) -> Frame | None:
        """Its next frame; None if it has nothing now."""


class Turns:
    """Shares one socket among the streams that have something for it.

    Each is given as many octets as any other that wants them, whatever the size of its frames;
    what one does not need the others have, and nobody saves up. The one in focus comes first,
    and when there is not room for all it has one half and the others together the other: it is
    seen best, and they do not stand still.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        # Virtual times, in octets: up to where each has been served, and where we are.
        self._served: dict[str, int] = {}
        self._order: list[str] = []
        self._now = 0
        self._focus: str | None = None
        self._lead = 0

    def add(self, name: str, source: Source) -> None:
        """It takes part from now on."""
        self._sources[name] = source
        self._served[name] = self._now
        self._order.append(name)

    def remove(self, name: str) -> None:
        """It takes part no more."""
        del self._sources[name], self._served[name]
        self._order.remove(name)

    def clear(self) -> None:
        """Nobody takes part any more."""
        self._sources.clear()
        self._served.clear()
        self._order.clear()

    def focus(self, name: str | None) -> None:
        """This one comes first, once it takes part; None: all are alike."""
        self._focus, self._lead = name, 0

    def pull(self) -> Frame | None:
        """The next frame of whoever's turn it is; None if nobody has one."""
        focused = None if self._focus is None else self._sources.get(self._focus)
        if focused is None:
            return self._of_others()
        if self._lead < LEAD_BYTES:
            return self._ahead(focused.pull()) or self._behind(self._of_others())
        return self._behind(self._of_others()) or self._ahead(focused.pull())

    def _ahead(self, frame: Frame | None) -> Frame | None:
        """The one in focus gives `frame`; if it has none, nobody leads."""
        self._lead = 0 if frame is None else self._lead + frame.size_bytes
        return frame

    def _behind(self, frame: Frame | None) -> Frame | None:
        """The others give `frame`; if they have none, nobody leads."""
        self._lead = 0 if frame is None else self._lead - frame.size_bytes
        return frame

    def _of_others(self) -> Frame | None:
        """Of those not in focus, the first in order of what they have been given."""
        self._order.sort(key=self._served.__getitem__)
        for name in self._order:
            frame = None if name == self._focus else self._sources[name].pull()
            if frame is not None:
                self._now = max(self._now, self._served[name])
                self._served[name] = self._now + frame.size_bytes
                return frame
        # There was room for all: what anybody has been given until here counts no more.
        self._now = max(self._served.values(), default=self._now)
        return None
