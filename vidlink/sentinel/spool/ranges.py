"""Ranges of sequences that are lost: put together, and cut at what is acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vidlink.model import DroppedRange

FULL = "spool-full"
DAMAGED = "damaged"
#: So many ranges are told apart in a session; of more, the oldest two become one.
MAX_RANGES = 1_024


def insert(dropped: Iterable[DroppedRange], more: DroppedRange) -> tuple[DroppedRange, ...]:
    """`dropped` with `more` in its place; what touches and has the same cause becomes one.

    Where two overlap, what was said first counts.
    """
    found = list(dropped)
    for part in without(more, found):
        found.append(part)
    found.sort(key=lambda one: one.first)
    merged: list[DroppedRange] = []
    for one in found:
        if merged and merged[-1].last + 1 == one.first and merged[-1].cause == one.cause:
            merged[-1] = replace(merged[-1], last=one.last)
        else:
            merged.append(one)
    return tuple(merged)


def without(one: DroppedRange, others: Iterable[DroppedRange]) -> list[DroppedRange]:
    """What of `one` is in none of `others`."""
    left = [one]
    for other in others:
        cut = []
        for piece in left:
            if other.last < piece.first or other.first > piece.last:
                cut.append(piece)
                continue
            if other.first > piece.first:
                cut.append(replace(piece, last=other.first - 1))
            if other.last < piece.last:
                cut.append(replace(piece, first=other.last + 1))
        left = cut
    return left


def after(dropped: Iterable[DroppedRange], sequence: int) -> tuple[DroppedRange, ...]:
    """What of `dropped` lies behind `sequence`."""
    return tuple(
        replace(one, first=max(one.first, sequence + 1)) for one in dropped if one.last > sequence
    )
