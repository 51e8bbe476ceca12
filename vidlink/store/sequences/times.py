"""Ends of what has a time, and durations on the media clock of a session."""

from __future__ import annotations

from vidlink.model import Segment

_LAST_US = 2**63 - 1


def end_us(start_time_us: int, duration_ms: int) -> int:
    """The end of something that begins then; no later than 64 bits can say."""
    return min(start_time_us + duration_ms * 1_000, _LAST_US)


def segment_end_us(segment: Segment) -> int:
    """The end of the last frame of `segment`, in microseconds since the epoch."""
    return end_us(segment.start_time_us, segment.duration_ms)


def media_ticks(duration_ms: int, timescale: int) -> int:
    """A duration in ticks of the session, to the nearest; idx records keep milliseconds."""
    return (duration_ms * timescale + 500) // 1_000
