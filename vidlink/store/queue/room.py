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


class Room:
    """The room of what was accepted and is not durable yet: so many octets and segments.

    A segment counts its media; the start of a session counts too, but for no segment.
    `since_seconds` is since when, by the clock `seconds`, there has always been something.
    """

    def __init__(
        self, most_bytes: int, most_segments: int, seconds: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._most_bytes = most_bytes
        self._most_segments = most_segments
        self._seconds = seconds
        self.since_seconds = 0.0
        self.size_bytes = 0
        self.segments = 0
        self._is_full = False

    @property
    def load(self) -> float:
        """The share of it that is full, 0.0 to 1.0."""
        return min(
            1.0, max(self.size_bytes / self._most_bytes, self.segments / self._most_segments)
        )

    def has(self, size_bytes: int, *, is_late: bool = False) -> bool:
        """Tell whether there is room for so much; for what is late, a part of the room only."""
        if is_late:
            return (
                self.size_bytes + size_bytes <= self._most_bytes * LATE_LOAD
                and self.segments + 1 <= self._most_segments * LATE_LOAD
            )
        if self._is_full and self.load > ROOM_AGAIN:
            return False
        self._is_full = (
            self.size_bytes + size_bytes > self._most_bytes
            or self.segments + 1 > self._most_segments
        )
        return not self._is_full

    def occupy(self, size_bytes: int, segments: int) -> None:
        """Count what has been accepted."""
        if not self.size_bytes:
            self.since_seconds = self._seconds()
        self.size_bytes += size_bytes
        self.segments += segments

    def free(self, size_bytes: int, segments: int) -> None:
        """Count no more what is durable, or was dropped."""
        self.size_bytes -= size_bytes
        self.segments -= segments


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


def to_keep(arrival: Arrival) -> Arrival:
    """`arrival` without what was encoded of it for viewers: that does not wait for the disk."""
    return Arrival(
        arrival.segment,
        arrival.media_time,
        arrival.media_duration,
        arrival.arrived_seconds,
        arrival.received_time_us,
        arrival.is_undecodable,
        sample_offset=arrival.sample_offset,
    )
