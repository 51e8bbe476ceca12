"""Dropped ranges of one session, each with a cause: put together, and cut.

Sets of sequences without causes are :class:`~vidlink.model.Ranges`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vidlink.model import DroppedRange
from vidlink.model.ranges import missing

FULL = "spool-full"
DAMAGED = "damaged"


def insert(dropped: Iterable[DroppedRange], more: DroppedRange) -> tuple[DroppedRange, ...]:
    """`dropped` with `more` in its place; what touches and has the same cause becomes one.

    Where two overlap, what was said first counts.
    """
    found = list(dropped)
    said = [(one.first, one.last) for one in found]
    for first, last in missing(said, more.first, more.last):
        found.append(replace(more, first=first, last=last))
    found.sort(key=lambda one: one.first)
    merged: list[DroppedRange] = []
    for one in found:
        if merged and merged[-1].last + 1 == one.first and merged[-1].cause == one.cause:
            merged[-1] = replace(merged[-1], last=one.last)
        else:
            merged.append(one)
    return tuple(merged)


def after(dropped: Iterable[DroppedRange], sequence: int) -> tuple[DroppedRange, ...]:
    """The part of `dropped` that lies behind `sequence`."""
    return tuple(
        replace(one, first=max(one.first, sequence + 1)) for one in dropped if one.last > sequence
    )
