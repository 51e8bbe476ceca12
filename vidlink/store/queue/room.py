"""The way into the queue: the bound of what waits, and the values that no record can hold.

Sessions and their segments are counted by `ledger` and `openings`.
"""

from __future__ import annotations

from collections.abc import Callable

from vidlink.errors import RequestError
from vidlink.interfaces import LATE_LOAD
from vidlink.model import Arrival, Session, is_sentinel_id, is_session_id

#: After the queue has been full, segments are accepted again below this part of the bound, so
#: that what is missing is one gap and not a sieve.
ROOM_AGAIN = 0.75
_U32, _I63 = 2**32, 2**63


#: Of what waits, who has more than an equal share may take this part of the bound; the rest is for
#: the others. After that it is accepted again below half of the bound.
MOST_SHARED, SHARED_AGAIN = 0.75, 0.5
#: A Sentinel of which more than this part of the bound waits is not read from, until half of that
#: is on the disk.
MOST_UNREAD = 0.125


class Room:
    """The room of what was accepted and is not durable yet: so many octets and segments.

    A segment counts its media; the start of a session counts too, but for no segment. Each counts
    for its Sentinel, the `owner`, of which `sharers` says how many there are, about: where one
    takes more than its share, the others find room all the same. `since_seconds` is since when, by
    the clock `seconds`, there has always been something.
    """

    def __init__(
        self,
        most_bytes: int,
        most_segments: int,
        seconds: Callable[[], float] = lambda: 0.0,
        sharers: Callable[[], int] = lambda: 1,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_segments = most_segments
        self._seconds = seconds
        self._sharers = sharers
        self.since_seconds = 0.0
        self.size_bytes = 0
        self.segments = 0
        self._is_full = self._is_shared_full = False
        #: The octets and segments of each that has any.
        self._owned: dict[str, list[int]] = {}
        self._crowding: set[str] = set()

    @property
    def load(self) -> float:
        """The share of it that is full, 0.0 to 1.0."""
        return min(
            1.0, max(self.size_bytes / self._most_bytes, self.segments / self._most_segments)
        )

    def has(self, owner: str, size_bytes: int, *, is_late: bool = False) -> bool:
        """Tell whether there is room for so much; for what is late, a part of the room only."""
        size, count = self.size_bytes + size_bytes, self.segments + 1
        if is_late:
            return not self._is_beyond(LATE_LOAD, size, count)
        if not (self._is_full or self._is_shared_full or self._is_beyond(MOST_SHARED, size, count)):
            # Nearly always: whose share it is matters only where others might find no room.
            return True
        if self._takes_more(owner, size_bytes):
            if self._is_shared_full and self.load > SHARED_AGAIN:
                return False
            self._is_shared_full = self._is_beyond(MOST_SHARED, size, count)
            return not self._is_shared_full
        if self._is_full and self.load > ROOM_AGAIN:
            return False
        self._is_full = self._is_beyond(1.0, size, count)
        return not self._is_full

    def occupy(self, owner: str, size_bytes: int, segments: int) -> None:
        """Count what has been accepted."""
        if not self.size_bytes:
            self.since_seconds = self._seconds()
        self.size_bytes += size_bytes
        self.segments += segments
        owned = self._owned.get(owner)
        if owned is None:
            self._owned[owner] = [size_bytes, segments]
        else:
            owned[0] += size_bytes
            owned[1] += segments

    def free(self, owner: str, size_bytes: int, segments: int) -> None:
        """Count no more what is durable, or was dropped."""
        self.size_bytes -= size_bytes
        self.segments -= segments
        owned = self._owned[owner]
        owned[0] -= size_bytes
        owned[1] -= segments
        if not any(owned):
            del self._owned[owner]
            self._crowding.discard(owner)

    def crowds(self, owner: str) -> bool:
        """Tell whether so much waits of one Sentinel that no more is to be read from it now."""
        if not self._crowding and not self._is_beyond(MOST_UNREAD, self.size_bytes, self.segments):
            return False
        octets, count = self._owned.get(owner, (0, 0))
        part = MOST_UNREAD / 2 if owner in self._crowding else MOST_UNREAD
        if not self._is_beyond(part, octets, count):
            self._crowding.discard(owner)
            return False
        self._crowding.add(owner)
        return True

    def _takes_more(self, owner: str, size_bytes: int) -> bool:
        """True if with so much more it has more than its share of the whole room."""
        sharers = self._sharers()
        octets, count = self._owned.get(owner, (0, 0))
        return sharers > 1 and self._is_beyond(1 / sharers, octets + size_bytes, count + 1)

    def _is_beyond(self, part: float, size_bytes: int, segments: int) -> bool:
        return size_bytes > self._most_bytes * part or segments > self._most_segments * part


def as_text(text: str) -> str:
    """`text` with a question mark for whatever cannot be written as UTF-8.

    JSON may bring half a surrogate pair, which no file and no database takes.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def check_session(session: Session) -> None:
    """Refuse ids that could be read as a path, and texts that cannot be written.

    :raises RequestError: if there is any.
    """
    if not (is_sentinel_id(session.sentinel_id) and is_session_id(session.session_id)):
        raise RequestError("this is not the id of a sentinel and of a session")
    texts = session.name + session.group + session.software + session.mime
    if as_text(texts) != texts:
        raise RequestError("the texts of a session have to be Unicode")


def check_arrival(arrival: Arrival) -> None:
    """Refuse a number that no record holds, which would stop every later round.

    :raises RequestError: if there is any.
    """
    segment = arrival.segment
    if not (
        0 <= segment.sequence < _U32
        and 0 <= segment.duration_ms < _U32
        and 0 <= segment.framerate_mhz < _U32
        and 0 <= arrival.media_time < _I63
        and -_I63 <= segment.start_time_us < _I63
        and -_I63 <= arrival.received_time_us < _I63
    ):
        raise RequestError(f"a number of segment {segment.sequence} is out of range")
