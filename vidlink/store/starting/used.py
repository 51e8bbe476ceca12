"""Which session ids have been used: none is ever given to another session."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class UsedIds:
    """The ids, eight bytes each, for there may be millions.

    `deleted` are the hashes of those that have a receipt.
    """

    def __init__(self, session_ids: set[str], deleted: Iterable[int]) -> None:
        used = {hash(session_id) for session_id in session_ids}
        self._hashes = array("q", sorted(used.union(deleted)))

    def __call__(self, session_id: str) -> bool:
        """Whether `session_id` was used, or, once in 10^13 times, one that looks like it."""
        wanted = hash(session_id)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted
