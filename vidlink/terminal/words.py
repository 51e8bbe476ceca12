"""Numbers, times and gaps as a person reads and writes them at the command line.

The page has the same words in ``vidlink/page/words.js``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from vidlink.errors import UserMistake
from vidlink.model import TIME_LIMIT_US, Cause, Gap, Receipt, SessionRecord, SkipReason, time_or_us
from vidlink.quantities import count, length
from vidlink.wire.kinds import UNSPEAKABLE

#: So many gaps of a session are told one by one.
MOST_TOLD = 20

#: ``2026-07-01``; in another form it is shorter.
_DAY_LENGTH = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SKIPPED = {
    SkipReason.LAG: "fell behind",
    SkipReason.UNDECODABLE: "of no use before the next keyframe",
    SkipReason.MISSING: "lost before the server had it",
}


def age(seconds: float) -> str:
    """The age of something: ``0.4 s``, ``12 s``, ``3 min 5 s``."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 9.95 else length(seconds)


def rate(framerate_mhz: int | None) -> str:
    """A frame rate in frames a second: ``5``, ``0.2``."""
    return "-" if framerate_mhz is None else f"{round(framerate_mhz / 1000, 2):g}"


def moment(time_us: int | None) -> str:
    """A time in this machine's zone, with its offset: ``2026-07-01 09:30:05+02:00``.

    It may be given to an option as it is: :func:`read_moment` reads what stands here.
    """
    if time_us is None:
        return "-"
    return time_or_us(time_us, lambda at: at.astimezone().isoformat(" ", "seconds"))


def begun_us(one: SessionRecord | Receipt) -> int:
    """The time that is shown as that of a session: its first picture's, or else its own."""
    if one.start_time_us is not None:
        return one.start_time_us
    return one.started_time_us if isinstance(one, Receipt) else one.session.started_time_us


def shown(text: str) -> str:
    """`text` of somebody else's, without what a terminal would obey."""
    return UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def gap_words(gap: Gap) -> str:
    """A gap on one line: what, since when, and why."""
    if gap.first is None or gap.last is None:
        what = "cut short" if gap.end_time_us is None else "nothing is recorded"
    elif gap.first == gap.last:
        what = f"segment {gap.first} is missing"
    else:
        what = f"segments {gap.first} to {gap.last} are missing"
    when = f", {moment(gap.start_time_us)}" if gap.start_time_us is not None else ""
    if gap.start_time_us is not None and gap.end_time_us is not None:
        when += f" for {age((gap.end_time_us - gap.start_time_us) / 1e6)}"
    detail = f" ({shown(gap.detail)})" if gap.detail else ""
    return f"{what}{when}: {gap.cause.words}{detail}"


def missing_words(gaps: Sequence[Gap]) -> str:
    """The sum of all gaps: ``12 segments, 3 s in 2 gaps``; ``none`` if there is none."""
    if not gaps:
        return "none"
    segments = sum((gap.last or gap.first) - gap.first + 1 for gap in gaps if gap.first is not None)
    known_us = sum(
        gap.end_time_us - gap.start_time_us
        for gap in gaps
        if gap.start_time_us is not None and gap.end_time_us is not None
    )
    parts = [count(segments, "segment")] if segments else []
    if known_us:
        parts.append(age(known_us / 1e6))
    if any(gap.first is None and gap.end_time_us is None for gap in gaps):
        parts.append("the end")
    return f"{', '.join(parts)} in {count(len(gaps), 'gap')}"


def gap_lines(gaps: Sequence[Gap]) -> list[str]:
    """A line for each of the first :data:`MOST_TOLD` gaps, and one for the rest of each cause."""
    lines = [gap_words(gap) for gap in gaps[:MOST_TOLD]]
    rest: dict[Cause, list[Gap]] = {}
    for gap in gaps[MOST_TOLD:]:
        rest.setdefault(gap.cause, []).append(gap)
    for cause, more in rest.items():
        lines.append(f"and {missing_words(more)} more: {cause.words}")
    return lines


def read_moment(text: str, option: str) -> int:
    """The time that a person wrote, in microseconds since the epoch.

    An integer is such microseconds; ``2026-07-01T09:30:00Z`` or ``2026-07-01 09:30`` is a time,
    in this machine's zone if it names none; ``2026-07-01`` is its first moment.

    :raises UserMistake: if it is none, or by this machine's zone comes twice, or never.
    """
    if text.isascii() and text.isdigit() and len(text) > 8 and int(text) < TIME_LIMIT_US:
        return int(text)
    try:
        if "-" not in text:
            raise ValueError
        named = datetime.fromisoformat(text)
        named = _local(named, text, option) if named.tzinfo is None else named
        time_us = (named - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise UserMistake(
            f"{option} takes a time such as 2026-07-01T09:30:00Z, or 2026-07-01 09:30 by this "
            f"machine's clock, or microseconds since 1970, not {text!r}"
        ) from None
    if time_us < 0:
        raise UserMistake(f"{option} takes a time since 1970, not {text!r}")
    return time_us


def _local(named: datetime, text: str, option: str) -> datetime:
    """A time by this machine's zone; of a day its first moment.

    :raises UserMistake: if the clock is put back over it, so that it comes twice, or put on, so
        that it never comes.
    """
    # A time that never comes is moved to one that does, by either of the offsets around it.
    ways = sorted(named.replace(fold=fold).astimezone() for fold in (0, 1))
    if ways[0] == ways[1]:
        return ways[0]
    comes = ways[0].replace(tzinfo=None) == named
    if len(text) <= _DAY_LENGTH:
        return ways[0] if comes else ways[1]
    why = "comes twice, as clocks are put back" if comes else "never comes, as clocks are put on"
    first, second = (way.isoformat(" ", "seconds") for way in ways)
    raise UserMistake(f"{option}: by this machine's clock {text} {why}; say {first} or {second}")
