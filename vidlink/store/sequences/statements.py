"""Statements about gaps of one session: a list that is bounded, and forgets nothing.

A statement never goes away and keeps its number. What finds no room of its own widens the last
one, so that it is still named: as missing, without its reason.
"""

from __future__ import annotations

from dataclasses import replace

from vidlink.model import Cause, Gap

#: So many statements are kept of one session.
MOST_GAPS = 10_000
OVERFLOW = "more gaps were stated than are kept apart"


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
