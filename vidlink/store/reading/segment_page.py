"""One page of the segments of a session, from the disk and from what waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from vidlink.model import Arrival, Gap, SegmentPage, SegmentQuery, SegmentRecord
from vidlink.store.files.layout import (
    KEYFRAME,
    LATE,
    MISPLACED,
    TIME_CORRECTED,
    UNDECODABLE,
    number_arrival,
)
from vidlink.store.files.records import SessionRecords
from vidlink.store.index.catalog import clamp_limit
from vidlink.store.reading.view import View
from vidlink.store.sequences.times import media_ticks
from vidlink.store.sequences.window import SequenceWindow

#: So far back the keyframe is looked for that the first segment of a page builds on, step by
#: step. Beyond it counts what was known when the segment came.
_LOOK_BACK = (64, 512, 4_096)


def read_page(view: View, query: SegmentQuery) -> SegmentPage:
    """The page of `view` that `query` asks for. Blocks.

    The time range is found by halving, as times ascend with sequences: they are held to that when
    they come.

    :raises OSError: if the disk fails.
    """
    limit, waiting = clamp_limit(query.limit), view.waiting
    timescale = view.session.timescale
    with view.stored.records(view.counts) as records:
        found: dict[int, SegmentRecord] = {}
        for _, (*numbers, _) in records.page(query, limit + 1):
            found[numbers[0]] = _listed(numbers, timescale, is_durable=True)
        for arrival in islice(_wanted(waiting, query), limit + 1):
            numbers = [*number_arrival(arrival, 0, 0)]
            found.setdefault(numbers[0], _listed(numbers, timescale, is_durable=False))
        segments = [found[sequence] for sequence in sorted(found)]
        shown = segments[:limit]
        last = shown[-1].sequence if len(segments) > limit else None
        is_decodable = bool(shown) and _is_decodable(shown[0], records, waiting)
    gaps = gaps_of_page(view.gaps(_window(query, shown, last)), query, last)
    return SegmentPage(_marked(shown, is_decodable), gaps, last)


def gaps_of_page(gaps: Iterable[Gap], query: SegmentQuery, last: int | None) -> tuple[Gap, ...]:
    """The gaps that belong on the page of segments that `query` asks for.

    `last` is its last sequence when another page follows (else None). Gaps of time alone belong
    on the last page. Of a gap whose time is known, that time must overlap the range asked for.
    """
    low = -1 if query.after is None else query.after
    from_us, to_us = query.from_time_us, query.to_time_us
    return tuple(
        gap
        for gap in gaps
        if (last is None or (gap.first is not None and gap.first <= last))
        and (gap.last is None or gap.last > low)
        and (to_us is None or gap.start_time_us is None or gap.start_time_us < to_us)
        and (from_us is None or gap.end_time_us is None or gap.end_time_us > from_us)
    )


def _window(query: SegmentQuery, shown: list[SegmentRecord], last: int | None) -> SequenceWindow:
    """The window of the gaps of a page; `last` is its last sequence if another page follows."""
    low = -1 if query.after is None else query.after
    if shown and query.from_time_us is not None:
        # What is missing just before the first may reach into the time that was asked for.
        low = max(low, shown[0].sequence - 2)
    if shown and query.to_time_us is not None and last is None:
        last = shown[-1].sequence + 1
    return SequenceWindow(low, last)


def _wanted(waiting: Iterable[Arrival], query: SegmentQuery) -> Iterable[Arrival]:
    low, high, after = query.from_time_us, query.to_time_us, query.after
    for arrival in waiting:
        time_us = arrival.segment.start_time_us
        if (
            (after is None or arrival.segment.sequence > after)
            and (low is None or time_us >= low)
            and (high is None or time_us < high)
        ):
            yield arrival


def _is_decodable(
    segment: SegmentRecord, records: SessionRecords, waiting: Iterable[Arrival]
) -> bool:
    """True if no sequence is missing between `segment` and the keyframe before it."""
    if segment.is_keyframe:
        return True
    for reach in _LOOK_BACK:
        low, high = segment.sequence - reach, segment.sequence - 1
        before = {
            sequence: bool(flags & KEYFRAME)
            for _, (sequence, *_, flags, _, _) in records.between(low, high)
            if not flags & MISPLACED
        }
        for arrival in waiting:
            if low <= arrival.segment.sequence <= high and not arrival.is_misplaced:
                before[arrival.segment.sequence] = arrival.segment.is_keyframe
        place = high
        while place in before:
            if before[place]:
                return True
            place -= 1
        if place >= low:
            return False
    return not segment.is_undecodable


def _marked(shown: list[SegmentRecord], is_decodable: bool) -> tuple[SegmentRecord, ...]:
    """`shown` with the mark of what cannot be decoded; `is_decodable` is of the first."""
    marked: list[SegmentRecord] = []
    expected = shown[0].sequence if is_decodable else -1
    for segment in shown:
        undecodable = segment.is_misplaced or (
            not segment.is_keyframe and segment.sequence != expected
        )
        expected = -1 if undecodable else segment.sequence + 1
        marked.append(
            segment
            if segment.is_undecodable is undecodable
            else replace(segment, is_undecodable=undecodable)
        )
    return tuple(marked)


def _listed(numbers: Iterable[int], timescale: int, *, is_durable: bool) -> SegmentRecord:
    """A segment by the numbers of its record."""
    sequence, _, size, _, start_us, media_time, duration_ms, *others = numbers
    rate_mhz, received_us, flags, _ = others
    return SegmentRecord(
        sequence=sequence,
        start_time_us=start_us,
        duration_ms=duration_ms,
        framerate_mhz=rate_mhz,
        is_keyframe=bool(flags & KEYFRAME),
        is_late=bool(flags & LATE),
        is_undecodable=bool(flags & UNDECODABLE),
        size_bytes=size,
        media_time=media_time,
        media_duration=media_ticks(duration_ms, timescale),
        received_time_us=received_us,
        is_durable=is_durable,
        is_time_corrected=bool(flags & TIME_CORRECTED),
        is_misplaced=bool(flags & MISPLACED),
    )
