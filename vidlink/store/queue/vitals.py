"""How the recording does, as the reactor sees it: what fails now, whether the writer is stuck,
and what has been counted. Which sessions there are is in `ledger`.
"""

from __future__ import annotations

from collections.abc import Callable

from vidlink.model import Cause, Gap, RecordingCounts, RecordingHealth, Trouble
from vidlink.store.handover.orders import Acknowledged, Report
from vidlink.store.queue.room import Room

#: When something has waited so long and no round has been done, the disk hangs.
STUCK_SECONDS = 5.0

_SLOW = Trouble(Cause.QUEUE_FULL, "the disk did not keep up")
_STUCK = Trouble(Cause.QUEUE_FULL, "the disk does not answer")


class RecordingVitals:
    """What reports say of the recording as a whole.

    :param seconds: the monotonic clock, the same that arrivals are stamped by.
    """

    def __init__(self, room: Room, seconds: Callable[[], float]) -> None:
        self.counts = RecordingCounts()
        self._room = room
        self._seconds = seconds
        self._heard_seconds = self._well_seconds = seconds()
        self._troubles: dict[str, Trouble] = {}
        #: What keeps the database from being written; recordings go on.
        self.index_trouble: Trouble | None = None

    def apply(self, report: Report) -> None:
        """A round is done, well or not."""
        self._heard_seconds = self._seconds()
        self._troubles = report.troubles
        self.index_trouble = report.index_trouble
        if not report.troubles and report.index_trouble is None:
            self._well_seconds = self._heard_seconds
        self.counts.failures.update(report.failures)
        self.counts.rounds.add(report.took_seconds)

    def settled(self, ack: Acknowledged, size_bytes: int) -> None:
        """Segments of so many octets have become durable."""
        counts = self.counts
        counts.segments += len(ack.arrivals)
        counts.size_bytes += size_bytes
        counts.delays.add(self._heard_seconds - ack.arrivals[0].arrived_seconds)

    def stated(self, gap: Gap) -> None:
        """A gap has been stated."""
        self.counts.gaps[gap.cause] += 1
        if gap.first is not None:
            self.counts.missing[gap.cause] += (gap.last or gap.first) - gap.first + 1

    @property
    def waiting_seconds(self) -> float:
        """How long something has waited since everything went well; 0 if nothing waits."""
        return self._waited_since(self._well_seconds)

    def _waited_since(self, seconds: float) -> float:
        if self._room.is_empty:
            return 0.0
        return max(0.0, self._seconds() - max(seconds, self._room.since_seconds))

    def trouble(self, session_id: str) -> Trouble | None:
        """What keeps this session from the disk, if it is not the lack of room."""
        return self._troubles.get(session_id) or self._stuck()

    @property
    def first(self) -> Trouble | None:
        """What keeps any session from the disk; the first reason."""
        return next(iter(self._troubles.values()), None) or self._stuck()

    def why_refused(self, session_id: str) -> Trouble:
        """Why there is no room for a segment: what fails for others has filled the queue too."""
        return self._troubles.get(session_id) or next(iter(self._troubles.values()), _SLOW)

    def health(self, is_open: bool, live: int, troubled: int) -> RecordingHealth:
        """How the recording does, with so many sessions that are live, or in trouble."""
        why = self.first
        if troubled and why is None:
            why = self.why_refused("")
        return RecordingHealth(
            is_open=is_open,
            live=live,
            troubled=troubled,
            trouble=why,
            index_trouble=self.index_trouble,
            load=self._room.load,
            waiting_bytes=self._room.size_bytes,
            waiting_segments=self._room.segments,
            waiting_seconds=self.waiting_seconds,
        )

    def _stuck(self) -> Trouble | None:
        return _STUCK if self._waited_since(self._heard_seconds) > STUCK_SECONDS else None
