"""The plan of an export: which sessions, which part of each, and under which names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vidlink.client import History
from vidlink.client.partfile import SessionClip
from vidlink.errors import NotFound
from vidlink.model import ClipQuery, SessionQuery, SessionRecord, SessionState
from vidlink.model.clips import stamp

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be: what it will be of, its name, and about how large it will get."""

    wanted: SessionClip
    name: str
    about_bytes: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A person's wish; times in microseconds since the epoch."""

    sentinel_id: str | None
    session_id: str | None
    group: str | None
    from_us: int | None
    to_us: int | None


async def plan(history: History, wish: Wish) -> list[Job]:
    """A job for every session, oldest first.

    :raises NotFound: if nothing of it is recorded.
    """
    records = [one for one in await _records(history, wish) if one.segment_count]
    if not records:
        raise NotFound(f"nothing is recorded of {_told(wish)}")
    records.sort(key=lambda one: (_begin_us(one, wish), one.session.sentinel_id))
    names = [_name(one, wish) for one in records]
    often = Counter(names)
    return [
        Job(_wanted(one, wish), _unlike(name, one) if often[name] > 1 else name, _about(one, wish))
        for name, one in zip(names, records, strict=True)
    ]


async def _records(history: History, wish: Wish) -> list[SessionRecord]:
    if wish.sentinel_id is not None and wish.session_id is not None:
        record = await history.session(wish.sentinel_id, wish.session_id)
        return [record] if _overlaps(record, wish) else []
    query = SessionQuery(
        wish.sentinel_id, wish.group, wish.from_us, wish.to_us, after=None, limit=_PAGE
    )
    return [one async for one in history.sessions(query) if _overlaps(one, wish)]


def _overlaps(record: SessionRecord, wish: Wish) -> bool:
    """True if something of it was captured in time."""
    begin_us, over_us = record.start_time_us, record.end_time_us
    if begin_us is None or over_us is None:
        return False
    is_early_enough = wish.to_us is None or begin_us < wish.to_us
    return is_early_enough and (wish.from_us is None or over_us > wish.from_us)


def _wanted(record: SessionRecord, wish: Wish) -> SessionClip:
    """The clip of a session that is wished for: all of it if the range takes it in."""
    begin_us, over_us = record.start_time_us or 0, record.end_time_us or 0
    is_live = record.state is SessionState.LIVE
    clip = ClipQuery(
        start_time_us=wish.from_us if wish.from_us and wish.from_us > begin_us else None,
        end_time_us=wish.to_us if wish.to_us and (is_live or wish.to_us < over_us) else None,
        # What a live session goes on with is for another time: this has to stay what it is.
        last=record.last_sequence if is_live else None,
    )
    return SessionClip(record.session.sentinel_id, record.session.session_id, clip)


def _begin_us(record: SessionRecord, wish: Wish) -> int:
    return max(record.start_time_us or 0, wish.from_us or 0)


def _name(record: SessionRecord, wish: Wish) -> str:
    end_us = _wanted(record, wish).clip.end_time_us
    end = "" if end_us is None else f"-{stamp(end_us)}"
    return f"{record.session.sentinel_id}-{stamp(_begin_us(record, wish))}{end}.mp4"


def _unlike(name: str, record: SessionRecord) -> str:
    """Sessions of one Sentinel may begin in the same second."""
    return f"{Path(name).stem}-{record.session.session_id}.mp4"


def _about(record: SessionRecord, wish: Wish) -> int:
    begin_us, over_us = record.start_time_us or 0, record.end_time_us or 0
    taken_us = min(over_us, wish.to_us or over_us) - _begin_us(record, wish)
    return round(record.size_bytes * min(1.0, max(0, taken_us) / max(1, over_us - begin_us)))


def _told(wish: Wish) -> str:
    """`wish` in words."""
    if wish.group is not None:
        what = f"group {wish.group!r}"
    elif wish.session_id is not None:
        what = f"session {wish.session_id}"
    else:
        what = str(wish.sentinel_id)
    return what if wish.from_us is None and wish.to_us is None else f"{what} in that time"
