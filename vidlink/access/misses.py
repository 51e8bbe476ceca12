"""The bound on wrong tokens and tickets: how many one place may show.

Nobody guesses 256 bits; who tries is told to stop all the same (429), so that a broken script
shows as what it is. A right token is never asked about here: a whole school behind one address
gets in, whatever else comes from there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from vidlink.bucket import Allowance, Bucket
from vidlink.model import USUAL, Bounds

#: Places that are remembered; the one that has been quiet longest is forgotten.
MOST_PLACES = 10_000


class Misses:
    """The places that have shown something wrong lately.

    :param seconds: the monotonic clock.
    :param bounds: of the wrong tokens and tickets of one place; a room of machines with an old
        image shows many at once.
    """

    def __init__(self, seconds: Callable[[], float], bounds: Bounds = USUAL) -> None:
        self._seconds = seconds
        self._allowed = Allowance(bounds.wrong_tokens_per_place, bounds.wrong_tokens_per_second)
        self._places: dict[Hashable, Bucket] = {}

    def count(self, place: Hashable) -> bool:
        """Count one more wrong thing from `place`; False: it is one too many."""
        bucket = self._places.pop(place, None) or Bucket(self._allowed, self._seconds)
        self._places[place] = bucket
        if len(self._places) > MOST_PLACES:
            del self._places[next(iter(self._places))]
        return bucket.spend()
