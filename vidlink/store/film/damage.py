"""Damage that was met in films of a session, and is not said by its records: not yet, or never.

What is not what was recorded is known here until the writer has looked at it (`handover.suspects`);
what cannot be read, until it can be again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from zlib import crc32

from vidlink.model import Range, Ranges
from vidlink.store.files.sections import SegmentPlaces
from vidlink.store.files.stored import StoredSession
from vidlink.store.handover.suspects import Suspects


class MetDamage:
    """The sequences of one session that are left out of its films.

    Whoever calls has a lock on the reel, but for :meth:`looked`.
    """

    def __init__(self, stored: StoredSession, suspects: Suspects) -> None:
        self._stored = stored
        self._suspects = suspects
        self._wrong = Ranges()
        self._unreadable = Ranges()
        #: Part, offset, size and checksum of the last of those that could not be read.
        self._unread: tuple[int, int, int, int] | None = None
        self._looked: deque[Range] = deque()

    def __bool__(self) -> bool:
        """True if there is any."""
        return bool(self._wrong or self._unreadable)

    @property
    def has_news(self) -> bool:
        """True if there is something for :meth:`look_anew`."""
        return bool(self or self._looked)

    def __iter__(self) -> Iterator[Range]:
        """Their ranges."""
        return iter((*self._wrong, *self._unreadable))

    def meet(self, sequence: int, places: SegmentPlaces, place: int, *, was_read: bool) -> None:
        """Leave out one more, which lies at this one of `places`."""
        if was_read:
            self._wrong.add(sequence, sequence)
            return
        self._unreadable.add(sequence, sequence)
        size = places.ends[place] - places.size_of_first(place)
        self._unread = places.parts[place], places.offsets[place], size, places.checks[place]

    def meet_all(self, ranges: Iterable[Range]) -> None:
        """Leave out what was read, and is not what was recorded."""
        for first, last in ranges:
            self._wrong.add(first, last)
        self.tell()

    def tell(self) -> None:
        """Have the writer look at what is wrong, as much of it as there is room for."""
        if self._wrong:
            self._suspects.tell(*self._stored.ids, self._wrong)

    def looked(self, ranges: Iterable[Range]) -> None:
        """The writer has looked at these: their records may say it now. In any thread, at once."""
        self._looked.extend(ranges)

    def look_anew(self) -> list[Range]:
        """Forget what the writer has looked at, and what can be read again; returns all that."""
        forgotten: list[Range] = []
        while self._looked:
            first, last = self._looked.popleft()
            self._wrong.discard(first, last)
            self._unreadable.discard(first, last)
            forgotten.append((first, last))
        if self._unread is not None and self._is_readable(*self._unread):
            forgotten += self._unreadable
            self._unreadable.clear()
            self._unread = None
        self.tell()
        return forgotten

    def _is_readable(self, part: int, offset: int, size: int, check: int) -> bool:
        """True if what could not be read is there after all, as it was recorded."""
        with suppress(OSError):
            data = self._stored.read(part, offset, size)
            return len(data) == size and crc32(data) == check
        return False
