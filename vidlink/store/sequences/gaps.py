"""What listings say beyond single records: holes and their causes, pages, the sealing time-out.

Pure functions over values, shared by the archive and by the in-memory fake, so that both mean
the same. Where the values come from is in `archive` and `catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from vidlink.errors import RequestError
from vidlink.model import (
    Cause,
    Gap,
    Segment,
    Session,
    SessionQuery,
    SessionRecord,
    SessionState,
    Span,
)

#: An ended session whose tail has not come within this time never gets it.
SEALING_US = 24 * 60 * 60 * 1_000_000
#: Causes after which nobody will deliver the sequences any more.
FINAL_CAUSES = frozenset({Cause.DECLARED, Cause.SPOOL_FULL})
#: When a session ends so much later than what is recorded of it, that time is missing. It is
#: longer than any message is under way, and than the slowest frame is shown.
SILENT_US = 5_000_000
#: At most so many sessions, or segments, are on one page.
MAX_PAGE = 10_000

_LAST_US = 2**63 - 1
_TOKEN = re.compile(r"(-?[0-9]{1,19})\.([A-Za-z0-9_-]{16,64})", re.ASCII)


def end_us(start_time_us: int, duration_ms: int) -> int:
    """When something that begins then is over; no later than 64 bits can say."""
    return min(start_time_us + duration_ms * 1_000, _LAST_US)


def segment_end_us(segment: Segment) -> int:
    """When the last frame of `segment` is over, in microseconds since the epoch."""
    return end_us(segment.start_time_us, segment.duration_ms)


def media_ticks(duration_ms: int, timescale: int) -> int:
    """A duration in ticks of the session, to the nearest; idx records keep milliseconds."""
    return (duration_ms * timescale + 500) // 1_000


def without_init(session: Session) -> Session:
    """`session` as a page of sessions has it: nobody wants so many initialization segments."""
    return replace(session, init=b"")


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON may bring half a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def as_text(text: str) -> str:
    """`text` with a question mark for whatever cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def clamp_limit(limit: int) -> int:
    """How many a page may hold when `limit` are asked for."""
    return max(1, min(MAX_PAGE, limit))


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans that do not overlap, in any order, joined where the next sequence follows."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        if merged and merged[-1].last + 1 == span.first:
            before = merged.pop()
            span = Span(
                first=before.first,
                last=span.last,
                start_time_us=before.start_time_us,
                end_time_us=span.end_time_us,
                size_bytes=before.size_bytes + span.size_bytes,
            )
        merged.append(span)
    return tuple(merged)


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when a session lasted; `ended_us` is None while it is live, or of no interest.

    `is_sealed`: nothing more will ever come.
    """

    began_us: int
    ended_us: int | None
    is_sealed: bool

    @classmethod
    def of(cls, record: SessionRecord) -> Life:
        """That of the session in `record`."""
        is_sealed = record.state is SessionState.SEALED
        return cls(record.session.started_time_us, record.ended_time_us, is_sealed)


#: That of a session that goes on.
GOING_ON = Life(0, None, is_sealed=False)


def explain(spans: Sequence[Span], stated: Iterable[Gap], life: Life = GOING_ON) -> tuple[Gap, ...]:
    """What is missing of a session, and why.

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
    """What is stated of a session once its Sentinel has said that nothing more will come.

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
    """Whether what was cut short has come after all: `reached_us` is the end of what there is."""
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


def gaps_of_page(
    gaps: Iterable[Gap], after: int | None, last: int | None, from_us: int | None, to_us: int | None
) -> tuple[Gap, ...]:
    """The gaps that belong on a page of segments.

    `after` is what the page was asked to begin after, `last` its last sequence when another
    page follows (else None). Gaps of time alone belong on the last page. Of a gap whose time
    is known, that time must overlap the range asked for.
    """
    low = -1 if after is None else after
    return tuple(
        gap
        for gap in gaps
        if (last is None or (gap.first is not None and gap.first <= last))
        and (gap.last is None or gap.last > low)
        and (to_us is None or gap.start_time_us is None or gap.start_time_us < to_us)
        and (from_us is None or gap.end_time_us is None or gap.end_time_us > from_us)
    )


def state_at(state: SessionState, ended_time_us: int | None, now_us: int) -> SessionState:
    """`state`, or sealed where the time-out of an ended session is over."""
    if state is SessionState.ENDED and ended_time_us is not None:
        return SessionState.SEALED if now_us - ended_time_us >= SEALING_US else state
    return state


def matches(query: SessionQuery, record: SessionRecord) -> bool:
    """Whether a session belongs into the answer; pages are not looked at."""
    session = record.session
    begins_us, reaches_us = extent_us(record)
    return (
        query.sentinel_id in (None, session.sentinel_id)
        and query.group in (None, session.group)
        and (query.to_time_us is None or begins_us < query.to_time_us)
        and (query.from_time_us is None or reaches_us >= query.from_time_us)
    )


def extent_us(record: SessionRecord) -> tuple[int, int]:
    """The time from the first to the last thing known of a session."""
    begins = record.session.started_time_us
    times = (record.start_time_us, record.end_time_us, record.ended_time_us, begins)
    known = [time for time in times if time is not None]
    return min(known), max(known)


def page_key(session: Session) -> tuple[int, str]:
    """What sessions are ordered by, descending: when they began, then their id."""
    return session.started_time_us, session.session_id


def write_token(session: Session) -> str:
    """The `after` of the page that follows `session`."""
    return f"{session.started_time_us}.{session.session_id}"


def read_token(token: str) -> tuple[int, str]:
    """The place that `token` names.

    Raises:
        RequestError: it is not one that :func:`write_token` gives.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise RequestError("`after` is not the `next` of an earlier page")
    return int(match[1]), match[2]
