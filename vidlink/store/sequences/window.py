"""A stretch of a session's sequences, and what is missing there: found from what lies around it.

So that a page of segments costs the same in a session with many holes; all of a session is
explained in `gaps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vidlink.model import Gap, Span
from vidlink.store.sequences.gaps import explain
from vidlink.store.sequences.times import GOING_ON, Life


@dataclass(frozen=True, slots=True)
class SequenceWindow:
    """The sequences above `low`, up to and with `high`; None: to the end."""

    low: int = -1
    high: int | None = None

    def reach(self, spans: Sequence[Span]) -> tuple[int, int | None]:
        """The sequences from which to which is known what `spans` leave open.

        `spans` are merged and ascending: those that begin in the window, the one that begins
        before and the one that begins after it.
        """
        first = spans[0].first if spans and spans[0].first <= self.low else 0
        is_bounded = self.high is not None and spans and spans[-1].first > self.high
        return first, spans[-1].last if is_bounded else None

    def explain(
        self,
        spans: Sequence[Span],
        stated: Iterable[Gap],
        life: Life = GOING_ON,
    ) -> tuple[Gap, ...]:
        """The gaps that reach into the window, as all spans and statements would have them.

        `spans` are as for :meth:`reach`; of `stated` may be missing what lies outside of that.
        Gaps of time alone are among them.
        """
        low, high = self.reach(spans)
        near = [gap for gap in stated if _touches(gap, low, high)]
        if high is not None:
            # The end of the session is out of sight.
            life = replace(life, ended_us=None)
        gaps = explain(spans, near, life)
        return tuple(gap for gap in gaps if _touches(gap, low, high))


def _touches(gap: Gap, low: int, high: int | None) -> bool:
    if gap.first is None:
        return True
    last = gap.first if gap.last is None else gap.last
    return last >= low and (high is None or gap.first <= high)


def named(gaps: Iterable[Gap], listed_to: int | None) -> tuple[Gap, ...]:
    """Those of `gaps` that are named where a session is listed up to this sequence."""
    return tuple(
        gap for gap in gaps if listed_to is None or gap.first is None or gap.first <= listed_to
    )


#: So many spans are named of a session when it is listed, and what is missing between them.
MOST_SPANS = 10_000
