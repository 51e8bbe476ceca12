"""A body to be served: sections one after the other, read in the pool.

What it is made of is decided in `reading.archive`; how it goes out is the business of
`vidlink.server`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.interfaces import IBody
from vidlink.store.files.sections import Section
from vidlink.store.handover.inbox import RunInPool


@implementer(IBody)
class Body:
    """Sections one after the other; reading them is done in the pool."""

    def __init__(
        self,
        sections: Sequence[Section],
        *,
        etag: str,
        is_final: bool,
        modified_us: int | None,
        run_in_pool: RunInPool,
    ) -> None:
        self._sections = sections
        self._ends = list(accumulate(section.size_bytes for section in sections))
        self._run_in_pool = run_in_pool
        self.size_bytes = self._ends[-1]
        self.etag = etag
        self.is_final = is_final
        self.modified_us = modified_us

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        """At most `size` octets from `offset`."""
        offset = max(0, offset)
        size = min(size, self.size_bytes - offset)
        if size <= 0:
            return succeed(b"")
        return self._run_in_pool(self._gather, offset, size)

    def _gather(self, offset: int, size: int) -> bytes:
        found: list[bytes] = []
        number = bisect_right(self._ends, offset)
        while size > 0:
            section = self._sections[number]
            start = offset - (self._ends[number] - section.size_bytes)
            found.append(section.read(start, min(size, section.size_bytes - start)))
            offset += len(found[-1])
            size -= len(found[-1])
            number += 1
        return found[0] if len(found) == 1 else b"".join(found)
