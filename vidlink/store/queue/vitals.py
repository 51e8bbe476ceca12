"""The vitals of the recording, as the reactor sees them: failures, a stuck writer, counts.

Sessions are kept in `ledger`.
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
    """The state of the recording as a whole, by the reports of its rounds.

    :param seconds: the monotonic clock.
    :param elapsed: the monotonic clock that arrivals are stamped by, which counts sleep too.
    """

    def __init__(
        self, room: Room, seconds: Callable[[], float], elapsed: Callable[[], float]
    ) -> None:
        self._elapsed = elapsed
        self.counts = RecordingCounts()
        self._room = room
        self._seconds = seconds
        self._heard_seconds = self._well_seconds = seconds()
        self._elapsed_seconds = elapsed()
        self._troubles: dict[str, Trouble] = {}
        #: The trouble that keeps the database from being written; recordings go on.
        self.index_trouble: Trouble | None = None

    def apply(self, report: Report) -> None:
        """Apply the report of a round, well done or not."""
        self._heard_seconds, self._elapsed_seconds = self._seconds(), self._elapsed()
        self._troubles = report.troubles
        self.index_trouble = report.index_trouble
        if not report.troubles and report.index_trouble is None:
            self._well_seconds = self._heard_seconds
        self.counts.failures.update(report.failures)
        self.counts.rounds.add(report.took_seconds)
        for gap in report.stated:
            self.stated(gap)

    def settled(self, ack: Acknowledged, size_bytes: int) -> None:
        """Count segments of so many octets that have become durable."""
        counts = self.counts
        counts.segments += len(ack.arrivals)
        counts.size_bytes += size_bytes
        counts.delays.add(self._elapsed_seconds - ack.arrivals[0].arrived_seconds)

    def stated(self, gap: Gap) -> None:
        """Count a gap that was stated."""
        self.counts.gaps[gap.cause] += 1
        if gap.first is not None:
            self.counts.missing[gap.cause] += (gap.last or gap.first) - gap.first + 1

    def _waited_since(self, seconds: float) -> float:
        if not self._room.size_bytes:
            return 0.0
        return max(0.0, self._seconds() - max(seconds, self._room.since_seconds))

    @property
    def is_well(self) -> bool:
        """True if rounds are done, and nothing has failed in the last one."""
        return not self._troubles and self._stuck() is None

    def trouble(self, session_id: str) -> Trouble | None:
        """The trouble that keeps this session from the disk, but for the lack of room."""
        return self._troubles.get(session_id) or self._stuck()

    def why_refused(self, session_id: str) -> Trouble:
        """The trouble by which there is no room: what fails for others has filled the queue too."""
        return self._troubles.get(session_id) or next(iter(self._troubles.values()), _SLOW)

    def health(self, is_open: bool, live: int, troubled: int) -> RecordingHealth:
        """The state of the recording, with so many sessions that are live, or in trouble."""
        why = next(iter(self._troubles.values()), None) or self._stuck()
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
            waiting_seconds=self._waited_since(self._well_seconds),
        )

    def _stuck(self) -> Trouble | None:
        return _STUCK if self._waited_since(self._heard_seconds) > STUCK_SECONDS else None
