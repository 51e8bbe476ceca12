"""Times of a session: when it and what is recorded of it begin and end, and when it is sealed.

What is missing of it in that time is told by `gaps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vidlink.model import Segment, SessionRecord, SessionState

#: An ended session whose tail has not come within this time never gets it.
SEALING_US = 24 * 60 * 60 * 1_000_000
_LAST_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when a session lasted; `ended_us` is None while it is live, or of no interest.

    `is_sealed`: nothing more will ever come.
    """

    began_us: int
    ended_us: int | None
    is_sealed: bool

    @classmethod
    def of(cls, record: SessionRecord) -> Life:
        """The life of the session in `record`."""
        is_sealed = record.state is SessionState.SEALED
        return cls(record.session.started_time_us, record.ended_time_us, is_sealed)


#: That of a session that goes on.
GOING_ON = Life(0, None, is_sealed=False)


class Aging(Protocol):
    """Whatever has an end, and an age from then on: a session as somebody sees it."""

    @property
    def ended_time_us(self) -> int | None:
        """When it ended, by the clock of then."""

    @property
    def age_from_us(self) -> int | None:
        """From when its age counts, where that clock was wrong."""


def age_from_us(one: Aging) -> int | None:
    """The time from which the age of a session counts; None while it is live."""
    return one.ended_time_us if one.age_from_us is None else one.age_from_us


def state_at(state: SessionState, age_from_us: int | None, now_us: int) -> SessionState:
    """`state`, or sealed where the time-out of an ended session is over.

    `now_us` is the trusted time: nothing can be added to what is sealed.
    """
    if state is SessionState.ENDED and age_from_us is not None:
        return SessionState.SEALED if now_us - age_from_us >= SEALING_US else state
    return state


def start_us(record: SessionRecord) -> int:
    """The time of the first thing recorded of a session, or else of its beginning."""
    first_us = record.start_time_us
    return record.session.started_time_us if first_us is None else first_us


def extent_us(record: SessionRecord) -> tuple[int, int]:
    """The time from the first to the last thing known of a session."""
    begins = record.session.started_time_us
    times = (record.start_time_us, record.end_time_us, record.ended_time_us, begins)
    known = [time for time in times if time is not None]
    return min(known), max(known)


def end_us(start_time_us: int, duration_ms: int) -> int:
    """The end of something that begins then; no later than 64 bits can say."""
    return min(start_time_us + duration_ms * 1_000, _LAST_US)


def segment_end_us(segment: Segment) -> int:
    """The end of the last frame of `segment`, in microseconds since the epoch."""
    return min(segment.start_time_us + segment.duration_ms * 1_000, _LAST_US)


def media_ticks(duration_ms: int, timescale: int) -> int:
    """A duration in ticks of the session, to the nearest; idx records keep milliseconds."""
    return (duration_ms * timescale + 500) // 1_000
