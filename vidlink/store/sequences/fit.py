"""Late segments, held to what is recorded around them: between the times of their neighbours.

What is live is held to that before it is passed on, in :mod:`vidlink.links.ingest.times`.
"""

from __future__ import annotations

from dataclasses import replace

from vidlink.model import CLOCK_SLACK_US, TIME_LIMIT_US, Arrival
from vidlink.store.sequences.runs import Mark


def fitted(
    arrival: Arrival, timescale: int, before: Mark | None, after: Mark | None
) -> tuple[Arrival, Mark, Mark]:
    """`arrival` as it is to be recorded between two others, and its own marks to either side.

    A start time that cannot be follows from the media time, and is marked. Where that is not
    between those of the neighbours, no player could show both, so this one is marked as
    misplaced: others are measured by its neighbours then.
    """
    sequence, media_time = arrival.segment.sequence, arrival.media_time
    low_time = -1 if before is None else before[2]
    high_time = media_time + 1 if after is None else after[2]
    is_misplaced = not low_time < media_time < high_time
    low_us, high_us = _room(arrival, before, after)
    start_us = said_us = arrival.segment.start_time_us
    if not low_us <= start_us <= high_us:
        start_us = arrival.received_time_us
        if not is_misplaced and before is not None:
            start_us = before[1] + (media_time - low_time) * 1_000_000 // timescale
        elif not is_misplaced and after is not None:
            start_us = after[1] - (high_time - media_time) * 1_000_000 // timescale
        start_us = max(low_us, min(start_us, high_us))
    if start_us != said_us or is_misplaced:
        arrival = replace(
            arrival,
            segment=replace(arrival.segment, start_time_us=start_us),
            is_time_corrected=start_us != said_us,
            is_misplaced=is_misplaced,
        )
    if not is_misplaced:
        mark = sequence, start_us, media_time
        return arrival, mark, mark
    return arrival, (sequence, start_us, high_time), (sequence, start_us, low_time)


def _room(arrival: Arrival, before: Mark | None, after: Mark | None) -> tuple[int, int]:
    """The start times that `arrival` may have at the earliest and at the latest.

    A microsecond is left to each segment that may still come between.
    """
    sequence = arrival.segment.sequence
    low_us = -TIME_LIMIT_US if before is None else before[1] + sequence - before[0]
    # Nothing is captured long after it has come; what is between two others, they answer for.
    high_us = arrival.received_time_us + CLOCK_SLACK_US
    if after is not None:
        high_us = after[1] - (after[0] - sequence)
    return low_us, max(low_us, high_us)
