"""A recording fetched into a file, over any number of interruptions, and then checked.

Where the bytes are meanwhile is :mod:`vidlink.client.partfile`; what a file has to be like is
:mod:`vidlink.client.check`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from vidlink.client.check import Contents, read_recording
from vidlink.client.history import History
from vidlink.client.partfile import PartFile, SessionClip
from vidlink.dialling.backoff import BackOff
from vidlink.errors import (
    Damaged,
    GoingAway,
    NoResources,
    NotFound,
    NotMedia,
    StoreError,
    TooFast,
    Unreachable,
    VidlinkError,
)
from vidlink.model import Cause, ClipQuery, Gap, Range, Ranges, SegmentQuery, SegmentRecord

#: After so many attempts in a row that have brought nothing it is given up; the waits between
#: them add up to about two minutes.
MAX_ATTEMPTS = 10
_PAGE = 5_000
#: After damage was met, what is asked for anew leaves it out.
_AGAIN = (Unreachable, StoreError, NoResources, GoingAway, TooFast, Damaged)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that is there and has been checked.

    `gaps` are those of the session that fall into it; `undecodable` are ranges of sequences
    that are recorded and were left out, because what they build on is missing.
    """

    path: Path
    size_bytes: int
    first: int
    last: int
    segment_count: int
    gaps: tuple[Gap, ...]
    undecodable: tuple[tuple[int, int], ...]

    @property
    def is_whole(self) -> bool:
        """True if nothing is missing."""
        return not self.gaps and not self.undecodable


async def fetch(
    history: History,
    part: PartFile,
    clock: Any,
    *,
    on_retry: Callable[[VidlinkError, float], None] = lambda error, seconds: None,
    back_off: BackOff | None = None,
) -> None:
    """Fetch what `part` lacks.

    :param clock: `IReactorTime`.
    :param on_retry: told what broke, and after how many seconds it goes on.
    :raises VidlinkError: as it broke last, after :data:`MAX_ATTEMPTS`; `part` keeps what came.
    """
    back_off, attempts = back_off or BackOff(random.random), 0
    while not part.is_whole:
        before = part.offset
        try:
            await _go_on(history, part)
        except _AGAIN as error:
            if part.offset > before:
                attempts = 0
                back_off.reset()
            attempts += 1
            if attempts >= MAX_ATTEMPTS:
                raise
            seconds = back_off.next_seconds()
            on_retry(error, seconds)
            await deferLater(clock, seconds)


async def _go_on(history: History, part: PartFile) -> None:
    """One request for what is not there."""
    one, offset = part.wanted, part.offset
    ids = one.sentinel_id, one.session_id
    await history.recording(*ids, part, one.clip, offset=offset, etag=part.etag)
    if not part.is_whole:
        raise Unreachable("the recording ended before its announced length")


async def verify(history: History, part: PartFile) -> Downloaded:
    """Check what has come against its own head, and against what the server lists.

    :raises Damaged: if it is not what it should be; the text says how.
    """
    init = await history.init(part.wanted.sentinel_id, part.wanted.session_id)
    try:
        contents = read_recording(part.part_path, init)
    except NotMedia as error:
        raise Damaged(f"what came is no whole recording: {error}") from None
    if not contents.sequences:
        raise Damaged("nothing of it can be shown")
    wanted, first = part.wanted, contents.sequences[0]
    listed = await _listed(history, wanted, first)
    expected = {one.sequence for one in listed if not one.is_undecodable}
    lost = await _damaged(history, wanted, Ranges.of(expected - set(contents.sequences)))
    for low, high in lost:
        expected.difference_update(range(low, high + 1))
    _compare(contents, expected)
    record = await history.session(wanted.sentinel_id, wanted.session_id)
    last = contents.sequences[-1]
    gaps = [gap for gap in record.gaps if _touches(gap, wanted.clip, first, last)]
    known = Ranges((one.first, one.last or one.first) for one in gaps if one.first is not None)
    gaps += [
        Gap(first, last, Cause.DAMAGED)
        for low, _ in lost
        for first, last in known.missing(low, low)
    ]
    hidden = Ranges.of(one.sequence for one in listed if one.is_undecodable)
    for low, high in lost:
        hidden.add(low + 1, high)
    return Downloaded(
        path=part.path,
        size_bytes=part.offset,
        first=first,
        last=last,
        segment_count=len(contents.sequences),
        gaps=tuple(gaps),
        undecodable=tuple(hidden),
    )


async def _damaged(history: History, wanted: SessionClip, lacking: Ranges) -> list[Range]:
    """Those of `lacking` that a recording leaves out because the first of them is damaged, of which
    the list may know nothing yet."""
    found: list[Range] = []
    for low, high in lacking:
        try:
            await history.media(wanted.sentinel_id, wanted.session_id, low, low)
        except (Damaged, NotFound):
            # It was listed: it is gone because it was met as damaged, and the list knows now.
            found.append((low, high))
    return found


async def _listed(history: History, wanted: SessionClip, first: int) -> list[SegmentRecord]:
    """The segments that the server lists of what is wanted, those before `first` only if they
    were captured in time."""
    clip = wanted.clip
    query = SegmentQuery(clip.start_time_us, clip.end_time_us, limit=_PAGE)
    listed = {one.sequence: one async for one in _up_to(history, wanted, query)}
    if clip.start_time_us is not None:
        # It begins with a keyframe, and that may have been captured before.
        lead = SegmentQuery(None, clip.end_time_us, first - 1 if first else None, _PAGE)
        async for one in _up_to(history, wanted, lead):
            if one.start_time_us >= clip.start_time_us:
                break
            listed[one.sequence] = one
    return [listed[sequence] for sequence in sorted(listed)]


async def _up_to(
    history: History, wanted: SessionClip, query: SegmentQuery
) -> AsyncIterator[SegmentRecord]:
    async for segment in history.segments(wanted.sentinel_id, wanted.session_id, query):
        if wanted.clip.last is not None and segment.sequence > wanted.clip.last:
            return
        yield segment


def _compare(contents: Contents, expected: set[int]) -> None:
    """Compare a file with the list of its segments.

    :raises Damaged: if it has not what is listed.
    """
    lacking = sorted(expected - set(contents.sequences))
    if lacking:
        raise Damaged(f"it lacks segments that the server lists: {_named(lacking)}")
    surplus = sorted(set(contents.sequences) - expected)
    if surplus:
        raise Damaged(f"it has segments that the server does not list: {_named(surplus)}")


def _named(sequences: list[int]) -> str:
    found = list(Ranges.of(sequences))
    text = ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found[:5])
    return text + (", ..." if len(found) > 5 else "")


def _touches(gap: Gap, clip: ClipQuery, first: int, last: int) -> bool:
    """True if `gap` lies in, or at an end of, the clip of the segments `first` to `last`."""
    if gap.first is not None and gap.last is not None:
        if gap.first <= last and gap.last >= first:
            return True
        if clip.last is not None and gap.first > clip.last:
            return False
    if clip.start_time_us is None and clip.end_time_us is None:
        return True
    begin_us = gap.start_time_us
    if begin_us is None:
        return False
    over_us = begin_us if gap.end_time_us is None else gap.end_time_us
    begins_in_time = clip.end_time_us is None or begin_us < clip.end_time_us
    return begins_in_time and (clip.start_time_us is None or over_us > clip.start_time_us)
