"""The times of a session, held to what everybody behind relies on.

Start times of a live session ascend, whatever the clock of its Sentinel does; media time begins at
0, ascends, and does not run away from the clock. The boxes themselves are checked by
:mod:`vidlink.fmp4`; where a late segment fits is found by the store, which knows what is around it.
"""

from __future__ import annotations

from vidlink.errors import NotMedia
from vidlink.fmp4 import FragmentInfo
from vidlink.model import CLOCK_SLACK_US, Segment

#: The media time that segment 0 has at most: some muxers begin with the delay of their encoder.
FIRST_SECONDS = 10
#: The media time that any segment has at most: beyond it is no session, but the time of day.
LONGEST_SECONDS = 366 * 24 * 60 * 60
#: The duration that is declared may differ from that of the boxes by so much, or by a half.
DURATION_SLACK_MS = 1_000


def check_media_times(segment: Segment, info: FragmentInfo, timescale: int) -> None:
    """Check a segment by itself, live or late.

    :raises NotMedia: if its media time or its duration is none that a session can have.
    """
    most = LONGEST_SECONDS if segment.sequence else FIRST_SECONDS
    if info.decode_time > most * timescale:
        rule = f"lasts {most} s at most" if segment.sequence else "begins at 0"
        raise NotMedia(
            f"segment {segment.sequence} is at {info.decode_time / timescale:.1f} s of media time"
            f" (tfdt), but that of a session {rule}"
        )
    boxes_ms = info.duration * 1_000 // timescale
    longer = max(boxes_ms, segment.duration_ms)
    if abs(boxes_ms - segment.duration_ms) > max(DURATION_SLACK_MS, longer // 2):
        raise NotMedia(
            f"the boxes of segment {segment.sequence} last {boxes_ms} ms, and it says"
            f" {segment.duration_ms} ms"
        )


class LiveTimes:
    """The newest times of a live session, which the next ones have to follow."""

    def __init__(self, timescale: int) -> None:
        self._timescale = timescale
        #: The time of decoding of the last frame, in ticks.
        self._last_frame = -1
        self._media_us = 0
        self._sequence = -1
        self._start_us: int | None = None
        #: The wall clock of the server at 0 of its monotonic clock; once that was set back, as far
        #: as the times of this session have followed it before.
        self._zero_us: int | None = None
        #: The furthest of those times, at 0 of the same clock.
        self._furthest_us = 0

    def take(
        self, segment: Segment, info: FragmentInfo, arrived_seconds: float, received_time_us: int
    ) -> int:
        """The start time that the next live segment has: the one that it says, or if that cannot
        be, one that follows from its media time.

        :raises NotMedia: if its media time does not advance, or neither of the two can be.
        """
        if info.decode_time <= self._last_frame:
            raise NotMedia(
                f"the media time of segment {segment.sequence} does not advance: it begins"
                " before the last frame of the segment before it"
            )
        media_us = info.decode_time * 1_000_000 // self._timescale
        elapsed_us = round(arrived_seconds * 1_000_000)
        latest_us = self._latest_us(elapsed_us, received_time_us)
        start_us = self._start(segment, media_us - self._media_us, latest_us, received_time_us)
        ahead_us = start_us - elapsed_us
        is_first = self._start_us is None
        self._furthest_us = ahead_us if is_first else max(self._furthest_us, ahead_us)
        self._last_frame = info.decode_time + info.duration - info.last_sample_duration
        self._media_us, self._start_us = media_us, start_us
        self._sequence = segment.sequence
        return start_us

    def _latest_us(self, elapsed_us: int, now_us: int) -> int:
        """The latest time that can be by the server's wall clock. A session that has gone by it is
        not blamed for that it is set back; one that has not gains nothing by a leap of it."""
        zero_us = now_us - elapsed_us
        if self._zero_us is not None and self._start_us is not None:
            zero_us = max(zero_us, min(self._zero_us, self._furthest_us))
        self._zero_us = zero_us
        return zero_us + elapsed_us + CLOCK_SLACK_US

    def _start(self, segment: Segment, step_us: int, latest_us: int, now_us: int) -> int:
        said_us = segment.start_time_us
        if self._start_us is None:
            return said_us if said_us <= latest_us else now_us
        # A microsecond is left to each segment that may still come between, late.
        least_us = self._start_us + segment.sequence - self._sequence
        due_us = max(least_us, self._start_us + step_us)
        behind_us = due_us - said_us
        if least_us <= said_us <= latest_us and behind_us <= CLOCK_SLACK_US:
            return said_us
        if due_us > latest_us:
            if step_us > CLOCK_SLACK_US:
                raise NotMedia(
                    f"the media time of segment {segment.sequence} has leapt by"
                    f" {step_us // 1_000_000} s, ahead of the clock"
                )
            # It comes faster than it was captured, and says that that goes on for ever.
            return max(least_us, latest_us)
        # Where media time agrees with the server's clock, the one that was set is the Sentinel's.
        if behind_us <= CLOCK_SLACK_US or abs(due_us - now_us) <= CLOCK_SLACK_US:
            return due_us
        raise NotMedia(
            f"the startTime of segment {segment.sequence} is {behind_us // 1_000_000} s behind its"
            " media time, and that is not the server's time: a clock was set; begin a new session"
        )
