"""Arrivals by hand, for tests that look at places and sizes and never into the media."""

from __future__ import annotations

from collections.abc import Sequence

from vidlink.model import Arrival, Segment

SENTINEL = "desk-1"
SESSION = "session-0000000001"


def arrival(
    sequence: int,
    keyframe: bool = False,
    at: float = 0.0,
    size: int = 100,
    undecodable: bool = False,
) -> Arrival:
    """One segment of `size` octets that came at monotonic time `at`."""
    segment = Segment(
        SENTINEL, SESSION, sequence, sequence * 200_000, 200, 5_000, keyframe, bytes(size)
    )
    return Arrival(segment, sequence, 1, at, 0, undecodable)


def arrivals(picture: str, *, step: float = 0.2, size: int = 100) -> Sequence[Arrival]:
    """A stream drawn with one letter a sequence from 0 on, each `step` seconds after the last.

    ``K`` is a keyframe segment, ``d`` any other, ``u`` one that does not decode, ``.`` one that
    never came.
    """
    return tuple(
        arrival(number, letter == "K", number * step, size, letter == "u")
        for number, letter in enumerate(picture)
        if letter != "."
    )
