"""The captions of a film: for each of its holes, in words, from when to when and why.

Holes lie where segments are missing that the film would have; the causes are those that were
stated. How captions are put into a file is in :mod:`vidlink.fmp4`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vidlink.fmp4 import Caption
from vidlink.model import Gap, calendar_time
from vidlink.store.film.footage import Footage
from vidlink.store.sequences.window import SequenceWindow

#: Finds the gaps that reach into a stretch of the session, ascending, those of time alone last.
FindGaps = Callable[[SequenceWindow], Iterable[Gap]]
#: So many captions a film has at most; beyond, neighbouring holes share one.
MOST_CAPTIONS = 1_000
_UNDECODABLE = "what is recorded cannot be decoded"


def captions(footage: Footage, breaks: Sequence[int], gaps: FindGaps) -> tuple[Caption, ...]:
    """A caption for each of `breaks`: the segments of `footage` that follow a hole.

    `gaps` finds those of the session, caption by caption: a session may have very many.
    """
    together = -(-len(breaks) // MOST_CAPTIONS)
    return tuple(
        _caption(footage, breaks[place : place + together], gaps)
        for place in range(0, len(breaks), together or 1)
    )


def _caption(footage: Footage, breaks: Sequence[int], gaps: FindGaps) -> Caption:
    """The caption of holes side by side."""
    first, last = breaks[0], breaks[-1]
    low, high = footage.sequence(first - 1) + 1, footage.sequence(last) - 1
    causes: dict[str, None] = {}
    for gap in gaps(SequenceWindow(low - 1, high)):
        if gap.first is None or not low <= (gap.last or gap.first) or gap.first > high:
            continue
        why = gap.cause.words
        causes[f"{why} ({gap.detail})" if gap.detail else why] = None
        if len(causes) > 3:
            break
    often = "" if len(breaks) == 1 else f"{len(breaks)} gaps, "
    when = _from_to(footage.end_us(first - 1), footage.start_us(last))
    why = "; ".join(causes) or _UNDECODABLE
    return Caption(footage.end(first - 1), footage.time(last), f"Not recorded {often}{when}: {why}")


def _from_to(start_us: int, end_us: int) -> str:
    start, end = calendar_time(start_us), calendar_time(end_us)
    if start is None or end is None:
        return "for a time"
    form = "%H:%M:%S" if start.date() == end.date() else "%Y-%m-%d %H:%M:%S"
    return f"from {start:%Y-%m-%d %H:%M:%S} to {end.strftime(form)} (UTC)"
