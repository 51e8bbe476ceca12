"""One viewer's place in one memory buffer: what it is sent next, and what it is not.

A cursor holds no copies, only a position. It starts and restarts at keyframe segments, except
for an exact resume, and every segment of its tier that it does not deliver is named by exactly
one :class:`Hole`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from vidlink.interfaces import IBuffer
from vidlink.model import Arrival, SkipReason, Tier


@dataclass(frozen=True, slots=True)
class Hole:
    """Sequences `first` to `last` are not delivered, and why."""

    first: int
    last: int
    reason: SkipReason


class Cursor:
    """A place in `buffer`, at first at `position`.

    :param expected: the sequence that is due, so that what lies before the first delivery is
        accounted for; None if the first delivery may be any.
    :param is_joined: whether the entry at `position` may be delivered although it is no keyframe
        (an exact resume).
    :param max_lag_seconds: a place that is further behind the newest entry jumps forward;
        None: only when it has left the buffer.
    """

    def __init__(
        self,
        buffer: IBuffer,
        position: int,
        *,
        expected: int | None = None,
        is_joined: bool = False,
        tier: Tier = Tier.FULL,
        max_lag_seconds: float | None = None,
    ) -> None:
        self.buffer = buffer
        self.tier = tier
        self._max_lag_seconds = max_lag_seconds
        self._place = position
        self._expected = expected
        self.is_joined = is_joined
        self._reason: SkipReason | None = None

    @property
    def is_at_end(self) -> bool:
        """True if :meth:`next` would give None."""
        return bool(self._place == self.buffer.end)

    def next(self) -> Arrival | Hole | None:
        """The next segment or hole; None when there is nothing yet."""
        self._keep_up()
        while self._place < self.buffer.end:
            arrival: Arrival = self.buffer.at(self._place)
            if not self._may_follow(arrival):
                self._place += 1
                continue
            hole = self._hole_before(arrival.segment.sequence)
            if hole is not None:
                return hole
            self._place += 1
            self.is_joined = True
            self._expected = arrival.segment.sequence + 1
            if self.tier is Tier.FULL or arrival.segment.is_keyframe:
                return arrival
        return None

    def first_sequence(self) -> int | None:
        """The sequence that :meth:`next` would deliver first; None if nothing is there yet."""
        self._keep_up()
        is_joined = self.is_joined
        for place in range(self._place, self.buffer.end):
            arrival: Arrival = self.buffer.at(place)
            is_joined = is_joined and not arrival.is_undecodable
            if arrival.segment.is_keyframe or (is_joined and self.tier is Tier.FULL):
                return arrival.segment.sequence
        return None

    def finish(self) -> Hole | None:
        """The hole that is left, as the last word of this cursor; None if nothing was held back."""
        last = self.buffer.newest_sequence
        owed = self._reason is not None or self._may_owe()
        self._place = self.buffer.end
        if not owed or last is None or self._expected is None or last < self._expected:
            return None
        hole = Hole(self._expected, last, self._reason or SkipReason.LAG)
        self._expected, self._reason = last + 1, None
        return hole

    def _may_owe(self) -> bool:
        """True if sequences that are still due can be of this tier."""
        buffer, place = self.buffer, self._place
        return (
            self.tier is Tier.FULL
            or place < buffer.first
            or buffer.newest_keyframe(place) is not None
        )

    def jump_to_newest(self) -> None:
        """Go to the newest keyframe segment, or wait for the next one."""
        place = self.buffer.newest_keyframe(self.buffer.first)
        self._jump(self.buffer.end if place is None else place)

    def _may_follow(self, arrival: Arrival) -> bool:
        """True if `arrival` decodes after what was delivered; if not, why is kept."""
        if arrival.segment.is_keyframe:
            return True
        if arrival.is_undecodable:
            self.is_joined = False
        if not self.is_joined:
            self._reason = self._reason or SkipReason.UNDECODABLE
        return self.is_joined

    def _hole_before(self, sequence: int) -> Hole | None:
        if self._expected is None or sequence <= self._expected:
            self._reason = None
            return None
        hole = Hole(self._expected, sequence - 1, self._reason or SkipReason.MISSING)
        self._expected, self._reason = sequence, None
        return hole

    def _keep_up(self) -> None:
        """Jump to the newest keyframe if this place has gone, or lags too far behind."""
        buffer = self.buffer
        if self._place < buffer.first:
            self.jump_to_newest()
        elif self._max_lag_seconds is not None:
            newest, due = buffer.newest_keyframe(self._place), self._due()
            if newest is None or due is None or newest == due:
                return
            behind = buffer.at(buffer.end - 1).arrived_seconds - buffer.at(due).arrived_seconds
            if behind > self._max_lag_seconds:
                self._jump(newest)

    def _due(self) -> int | None:
        """The place of the next entry of this tier; None if there is none yet."""
        if self.tier is Tier.KEYFRAMES:
            return self.buffer.oldest_keyframe(self._place)
        return self._place

    def _jump(self, place: int) -> None:
        self._place = place
        self.is_joined = False
        self._reason = self._reason or SkipReason.LAG


def join_latest(buffer: IBuffer, tier: Tier, max_lag_seconds: float | None) -> Cursor:
    """A cursor at the newest keyframe segment, or waiting for the first one."""
    return _join(buffer, buffer.newest_keyframe(buffer.first), tier, max_lag_seconds)


def join_oldest(buffer: IBuffer, tier: Tier, max_lag_seconds: float | None) -> Cursor:
    """A cursor at the oldest keyframe segment held, or waiting for the first one."""
    return _join(buffer, buffer.oldest_keyframe(buffer.first), tier, max_lag_seconds)


def resume(buffer: IBuffer, sequence: int, tier: Tier, max_lag_seconds: float | None) -> Cursor:
    """A cursor at exactly `sequence` if its place is still in the buffer, or is the next one.

    If it has left the buffer, the cursor starts at the newest keyframe segment; if it never
    came, at the next one after it. Either way it names what lies between. A sequence further
    ahead than the next one is no place in this session: the same as :func:`join_latest`.
    """
    newest = -1 if buffer.newest_sequence is None else buffer.newest_sequence
    if sequence > newest + 1:
        return join_latest(buffer, tier, max_lag_seconds)
    places = range(buffer.first, buffer.end)
    place = buffer.first + bisect_left(
        places, sequence, key=lambda held: buffer.at(held).segment.sequence
    )
    held: Arrival | None = buffer.at(place) if place < buffer.end else None
    exact = sequence == newest + 1 if held is None else held.segment.sequence == sequence
    # Nobody has seen anything before sequence 0: that is a beginning, and no going on.
    is_joined = exact and sequence > 0 and not (held is not None and held.is_undecodable)
    cursor = Cursor(
        buffer,
        place,
        expected=sequence,
        is_joined=is_joined,
        tier=tier,
        max_lag_seconds=max_lag_seconds,
    )
    if not exact and 0 < place == buffer.first:
        cursor.jump_to_newest()
    return cursor


def _join(buffer: IBuffer, place: int | None, tier: Tier, max_lag_seconds: float | None) -> Cursor:
    # Of a session that has sent nothing yet, everything is due from its start.
    expected = 0 if buffer.newest_sequence is None else None
    if place is not None:
        expected = buffer.at(place).segment.sequence
    return Cursor(
        buffer,
        buffer.end if place is None else place,
        expected=expected,
        tier=tier,
        max_lag_seconds=max_lag_seconds,
    )
