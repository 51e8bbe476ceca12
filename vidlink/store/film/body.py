"""A body to be served: sections one after the other, read in the pool unless they are at hand.

What it is made of is decided in `reading.archive`; how it goes out is the business of
`vidlink.server`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.interfaces import IBody
from vidlink.store.files.sections import Section
from vidlink.store.files.sound import Stretch
from vidlink.store.handover.inbox import RunInPool


@implementer(IBody)
class Body:
    """Sections one after the other; what is not at hand is read in the pool.

    :param again: the same once more, as :class:`~vidlink.interfaces.IBody` has it.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        *,
        etag: str,
        is_final: bool,
        modified_us: int | None,
        run_in_pool: RunInPool,
        again: Callable[[], IBody | None] = lambda: None,
    ) -> None:
        self._sections = sections
        self._ends = list(accumulate(section.size_bytes for section in sections))
        self._run_in_pool = run_in_pool
        self.size_bytes = self._ends[-1]
        self.etag = etag
        self.is_final = is_final
        self.modified_us = modified_us
        self.again = again

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        """At most `size` octets from `offset`."""
        offset = max(0, offset)
        size = min(size, self.size_bytes - offset)
        if size <= 0:
            return succeed(b"")
        # A thread costs ten times what such a read does.
        found = self.at_hand(offset, size)
        return self._run_in_pool(self._gather, offset, size) if found is None else succeed(found)

    def stretch(self, offset: int, size: int) -> Stretch | None:
        """At most `size` octets from `offset` as they lie in a file, if that is so of them."""
        section, start, length = next(self._places(offset, size))
        return section.stretch(start, length)

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """`size` octets from `offset`, which are within, if they are in memory."""
        found: list[bytes] = []
        for section, start, length in self._places(offset, size):
            piece = section.at_hand(start, length)
            if piece is None:
                return None
            found.append(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _gather(self, offset: int, size: int) -> bytes:
        found = [
            section.read(start, length) for section, start, length in self._places(offset, size)
        ]
        return found[0] if len(found) == 1 else b"".join(found)

    def _places(self, offset: int, size: int) -> Iterator[tuple[Section, int, int]]:
        """The sections in which these octets are, and in each from where on how many."""
        number = bisect_right(self._ends, offset)
        while size > 0:
            section = self._sections[number]
            start = offset - (self._ends[number] - section.size_bytes)
            length = min(size, section.size_bytes - start)
            if length:
                yield section, start, length
            offset += length
            size -= length
            number += 1
