"""Which of the streams on one viewer's socket is given the next place, fairly by octets.

What a stream has to give is :mod:`vidlink.links.watch.subscription`. It says itself when it may
have something: of a thousand that are watched few have at any moment, and the others cost nothing.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol

from vidlink.model import Frame

#: The one in focus is served alone until it is so far ahead of all others together.
LEAD_BYTES = 256 * 1024


class Source(Protocol):
    """A stream that may be served next."""

    @property
    def is_done(self) -> bool:
        """True only if :meth:`pull` would give None."""

    def pull(self) -> Frame | None:
        """The next frame; None if there is nothing now."""


class Turns:
    """Shares one socket among the streams that have something for it.

    Each is given as many octets as any other that wants them, whatever the size of its frames;
    what one does not need the others have, and nobody saves up. The one in focus comes first,
    and when there is not room for all it has one half and the others together the other: it is
    seen best, and they do not stand still.

    Only what is ready is asked, until it has nothing; then it has to be made :meth:`ready` again.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        # Virtual times, in octets: up to where each has been served, the furthest of them, and
        # where we are.
        self._served: dict[str, int] = {}
        self._furthest = 0
        self._now = 0
        # Who may have something, and its place: by what it has been given, then who was first.
        self._ready: dict[str, tuple[int, int]] = {}
        self._places = 0
        # Those of them that are not in focus, as a heap; None: to be made anew.
        self._queue: list[tuple[int, int, str]] | None = []
        self._focus: str | None = None
        self._lead = 0

    def add(self, name: str, source: Source) -> None:
        """Let `source` take part from now on; it may have something."""
        self._sources[name] = source
        self._served[name] = self._now
        self.ready(name)

    def ready(self, name: str) -> None:
        """Ask this one again; does nothing if that is due anyway, or if it does not take part."""
        if name in self._ready or name not in self._sources:
            return
        self._places += 1
        place = self._ready[name] = self._served[name], self._places
        if name != self._focus and self._queue is not None:
            heappush(self._queue, (*place, name))

    def remove(self, name: str) -> None:
        """Let this one take part no more."""
        del self._sources[name], self._served[name]
        if self._ready.pop(name, None) is not None:
            self._queue = None

    def clear(self) -> None:
        """Nobody takes part any more."""
        self._sources.clear()
        self._served.clear()
        self._ready.clear()
        self._queue = []

    def focus(self, name: str | None) -> None:
        """This one comes first, once it takes part; None: all are alike."""
        if name != self._focus:
            self._queue = None
        self._focus, self._lead = name, 0

    def pull(self) -> Frame | None:
        """The next frame of whoever's turn it is; None if nobody has one."""
        if self._focus not in self._sources:
            return self._of_others()
        if self._lead < LEAD_BYTES:
            return self._ahead(self._of_focus()) or self._behind(self._of_others())
        return self._behind(self._of_others()) or self._ahead(self._of_focus())

    def _ahead(self, frame: Frame | None) -> Frame | None:
        """The one in focus gives `frame`; if it has none, nobody leads."""
        self._lead = 0 if frame is None else self._lead + len(frame)
        return frame

    def _behind(self, frame: Frame | None) -> Frame | None:
        """The others give `frame`; if they have none, nobody leads."""
        self._lead = 0 if frame is None else self._lead - len(frame)
        return frame

    def _of_focus(self) -> Frame | None:
        name = self._focus
        if name is None or name not in self._ready:
            return None
        frame = self._ask(name)
        if frame is not None:
            self._ask_again(name)
        return frame

    def _of_others(self) -> Frame | None:
        """Of those not in focus, the first in order of what they have been given."""
        while (name := self._first()) is not None:
            frame = self._ask(name)
            if frame is not None:
                self._serve(name, len(frame))
                return frame
        # There was room for all: what anybody has been given until here counts no more.
        self._now = self._furthest
        return None

    def _first(self) -> str | None:
        if self._queue is None:
            self._queue = sorted(
                (*place, name) for name, place in self._ready.items() if name != self._focus
            )
        return heappop(self._queue)[2] if self._queue else None

    def _ask(self, name: str) -> Frame | None:
        # What comes while it is asked makes it ready again.
        del self._ready[name]
        return self._sources[name].pull()

    def _serve(self, name: str, size_bytes: int) -> None:
        if name not in self._sources:  # It has been left while it was asked.
            return
        self._now = max(self._now, self._served[name])
        served = self._served[name] = self._now + size_bytes
        self._furthest = max(self._furthest, served)
        self._ask_again(name)

    def _ask_again(self, name: str) -> None:
        """It has given something; nearly always that was all."""
        source = self._sources.get(name)
        if source is not None and not source.is_done:
            self.ready(name)
