"""Gaps of a session: statements about them, holes with their causes, and silence at the end.

Pure functions over all spans and statements of a session; for a stretch of it, see `window`. A
statement never goes away and keeps its number. What finds no room of its own widens the last
one, so that it is still named: as missing, without its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from vidlink.model import Cause, Gap, Ranges, Span
from vidlink.store.sequences.times import GOING_ON, Life

#: Causes after which nobody will deliver the sequences any more.
FINAL_CAUSES = frozenset({Cause.DECLARED, Cause.SPOOL_FULL, Cause.ASLEEP})
#: When a session ends so much later than what is recorded of it, that time is missing. It is
#: longer than any message is under way, and than the slowest frame is shown.
SILENT_US = 5_000_000
#: So many statements are kept of one session.
MOST_GAPS = 10_000
#: So many damaged ranges are stated one by one at a time; more are stated as one.
MOST_DAMAGED = 1_000
#: The details of gaps whose cause is that it is damaged, by who found it.
FOUND_WHEN_READ = "found when it was read"
TAKEN_AWAY = "its files were removed or replaced while it was being recorded"
OVERFLOW = "more gaps were stated than are kept apart"


def explain(spans: Sequence[Span], stated: Iterable[Gap], life: Life = GOING_ON) -> tuple[Gap, ...]:
    """All that is missing of a session, and why.

    `spans` are merged and ascending; `stated` is what was said about gaps, in any order. A
    hole that nothing was said about is `Cause.MISSING`, or if `life` is over for good,
    `Cause.UNDELIVERED`; what has been filled in the meantime is left out. Of two statements
    about one sequence the one that starts first counts, and `Cause.MISSING` gives way to every
    other. Gaps of time alone come last, as stated; one from some time on is left out when what
    is recorded reaches beyond its start. Where nothing was stated of time, that between the
    last segment and the end is one more.
    """
    unsaid = Cause.UNDELIVERED if life.is_sealed else Cause.MISSING
    stated = tuple(stated)
    causes = list(_apart(gap for gap in stated if gap.cause is not Cause.MISSING))
    highest = max((gap.last for gap in stated if gap.last is not None), default=-1)
    gaps: list[Gap] = []
    place = 0
    for hole in _holes(spans, highest, unsaid):
        first, last = hole.first or 0, hole.last or 0
        while place < len(causes) and causes[place][1] < first:
            place += 1
        # The last cause may reach into the next hole as well, so `place` stays at it.
        for low, high, gap in islice(causes, place, None):
            if low > last:
                break
            if low > first:
                gaps.append(replace(hole, first=first, last=low - 1))
            gaps.append(_clipped(gap, hole, max(low, first), min(high, last)))
            first = min(high, last) + 1
        if first <= last:
            gaps.append(replace(hole, first=first, last=last))
    reached_us = spans[-1].end_time_us if spans else None
    of_time = [gap for gap in stated if gap.first is None]
    silence = () if of_time else _silence(life, reached_us, unsaid)
    return (*gaps, *(gap for gap in of_time if not _is_over(gap, reached_us)), *silence)


def _silence(life: Life, reached_us: int | None, unsaid: Cause) -> tuple[Gap, ...]:
    """The time from the last segment to the end, if it is too long for nothing to be missing."""
    start_us = life.began_us if reached_us is None else reached_us
    if life.ended_us is None or life.ended_us - start_us <= SILENT_US:
        return ()
    return (Gap(None, None, unsaid, start_us, life.ended_us),)


def sealed_gaps(stated: Sequence[Gap], ended_us: int | None) -> list[Gap]:
    """The statements about a session once its Sentinel has said that nothing more will come.

    No time is missing at its end then: there is nothing of it. Statements keep their places.
    """
    gaps = [close_time(gap) for gap in stated]
    if ended_us is not None and not any(gap.first is None for gap in gaps):
        gaps.append(Gap(None, None, Cause.MISSING, ended_us, ended_us))
    return gaps


def close_time(gap: Gap) -> Gap:
    """`gap`, or where it is one from some time on, the same as one of no time at all."""
    return replace(gap, end_time_us=gap.start_time_us) if _is_open(gap) else gap


def _is_open(gap: Gap) -> bool:
    return gap.first is None and gap.start_time_us is not None and gap.end_time_us is None


def _is_over(gap: Gap, reached_us: int | None) -> bool:
    """True if what was cut short has come after all: `reached_us` is the end of what there is."""
    start_us = gap.start_time_us
    if start_us is None or not _is_open(gap):
        return start_us is not None and start_us == gap.end_time_us
    return reached_us is not None and reached_us > start_us


def _apart(gaps: Iterable[Gap]) -> Iterator[tuple[int, int, Gap]]:
    """The ranges of `gaps`, ascending and without overlaps."""
    ranges = [(g.first, g.last, g) for g in gaps if g.first is not None and g.last is not None]
    covered = -1
    for first, last, gap in sorted(ranges, key=lambda one: one[:2]):
        low = max(first, covered + 1)
        if low <= last:
            yield low, last, gap
            covered = last


def _holes(spans: Sequence[Span], highest: int, unsaid: Cause) -> Iterator[Gap]:
    """The runs of sequences up to `highest` that `spans` leave open, with the times around."""
    expected, end_time_us = 0, None
    for span in spans:
        if span.first > expected:
            yield Gap(expected, span.first - 1, unsaid, end_time_us, span.start_time_us)
        expected, end_time_us = span.last + 1, span.end_time_us
    if highest >= expected:
        yield Gap(expected, highest, unsaid, end_time_us, None)


def _clipped(gap: Gap, hole: Gap, first: int, last: int) -> Gap:
    """`gap` for `first` to `last`; its own times count only while all of it is missing."""
    whole = (first, last) == (gap.first, gap.last)
    start, end = (gap.start_time_us, gap.end_time_us) if whole else (None, None)
    return replace(
        gap,
        first=first,
        last=last,
        start_time_us=hole.start_time_us if start is None else start,
        end_time_us=hole.end_time_us if end is None else end,
    )


def final_ranges(stated: Iterable[Gap]) -> Iterator[tuple[int, int]]:
    """The sequences that nobody will deliver any more, as they were stated."""
    for gap in stated:
        if gap.cause in FINAL_CAUSES and gap.first is not None:
            yield gap.first, gap.first if gap.last is None else gap.last


def state_damage(lost: Ranges, there: Ranges, stated: Iterable[Gap], detail: str) -> list[Gap]:
    """The statements that are due about sequences that were recorded and are `lost`: of those that
    are not `there`, and of which the like has not been `stated`."""
    known = Ranges()
    for gap in stated:
        if gap.cause is Cause.DAMAGED and gap.first is not None:
            known.add(gap.first, gap.first if gap.last is None else gap.last)
    due = (
        Gap(first, last, Cause.DAMAGED, detail=detail)
        for low, high in lost
        for part_low, part_high in there.missing(low, high)
        for first, last in known.missing(part_low, part_high)
    )
    fresh = list(islice(due, MOST_DAMAGED + 1))
    if len(fresh) > MOST_DAMAGED:
        # Where it is recorded, a statement says nothing: only holes are explained.
        return [replace(fresh[0], last=lost.highest[1])]
    return fresh


def put_statement(gaps: list[Gap], gap: Gap) -> int:
    """Add `gap` to what was said; returns the number of the statement that it is part of."""
    if len(gaps) < MOST_GAPS - 1:
        gaps.append(gap)
    elif len(gaps) < MOST_GAPS:
        gaps.append(Gap(gap.first, gap.last, Cause.MISSING, detail=OVERFLOW))
    else:
        gaps[-1] = _widened(gaps[-1], gap)
    return len(gaps) - 1


def _widened(last: Gap, gap: Gap) -> Gap:
    """`last` with the sequences of `gap` in it; where they are recorded it says nothing."""
    if gap.first is None or gap.last is None:
        return last
    low = gap.first if last.first is None else min(last.first, gap.first)
    high = gap.last if last.last is None else max(last.last, gap.last)
    return replace(last, first=low, last=high)
