"""What the store in memory keeps of one session, and what it shows of it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.errors import NotFound, NotMedia, RequestError, SessionGone, SessionSealed
from vidlink.fmp4 import Label, SampleTable, write_movie
from vidlink.interfaces import IBody, IStretch
from vidlink.model import (
    Arrival,
    Clip,
    ClipQuery,
    Gap,
    Hold,
    SegmentPage,
    SegmentQuery,
    SegmentRecord,
    Session,
    SessionRecord,
    SessionState,
    Span,
)
from vidlink.store.film.playlist import Playlist
from vidlink.store.index.catalog import clamp_limit
from vidlink.store.reading.segment_page import gaps_of_page
from vidlink.store.sequences.gaps import FINAL_CAUSES, explain, final_ranges, sealed_gaps
from vidlink.store.sequences.runs import merge_spans
from vidlink.store.sequences.times import Life, media_ticks, segment_end_us, state_at


@implementer(IBody)
class MemoryBody:
    """Bytes that are all there."""

    def __init__(self, data: bytes, is_final: bool, modified_us: int | None = None) -> None:
        self.data = data
        self.size_bytes = len(data)
        self.etag = hashlib.blake2b(data, digest_size=16).hexdigest()
        self.is_final = is_final
        self.modified_us = modified_us

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        """At most `size` octets from `offset`."""
        return succeed(self.data[max(0, offset) : max(0, offset) + max(0, size)])

    def stretch(self, offset: int, size: int) -> IStretch | None:
        """They are in no file."""
        return None

    def at_hand(self, offset: int, size: int) -> bytes:
        """The same."""
        return self.data[offset : offset + size]

    def again(self) -> IBody | None:
        """Who wants it again has to ask."""
        return None


@dataclass(slots=True)
class Kept:
    """One session: what was appended, and how much of it is durable."""

    session: Session
    durable: Callable[[int], None]
    arrivals: dict[int, Arrival] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)
    state: SessionState = SessionState.LIVE
    ended_time_us: int | None = None
    end_reason: str = ""
    told: int = -1
    is_troubled: bool = False
    #: Whether it is recorded: it is live, or has been opened again.
    is_open: bool = True
    #: What came late and found no room.
    refused: set[int] = field(default_factory=set)
    hold: Hold | None = None
    #: From when its age counts, for a test to set.
    age_from_us: int | None = None

    def reopen(self, session: Session, durable: Callable[[int], None], now_us: int) -> None:
        """Open it again, for the same Sentinel and init."""
        if self.session.sentinel_id != session.sentinel_id:
            raise SessionGone("this is the session of another sentinel")
        if self.is_open:
            raise RequestError("the session is being recorded")
        if self.state_at(now_us) is SessionState.SEALED:
            raise SessionSealed("the session is sealed: nothing can be added to it")
        if self.session.init != session.init:
            raise NotMedia("the session was recorded with another initialization segment")
        self.is_open, self.durable, self.told = True, durable, -1
        self.refused.clear()

    def end(self, reason: str, ended_time_us: int, *, is_sealed: bool) -> None:
        """Nothing more comes; the first ending counts."""
        self.is_open = False
        if self.state is SessionState.LIVE:
            self.ended_time_us, self.end_reason = ended_time_us, reason
        self.state = SessionState.SEALED if is_sealed else SessionState.ENDED
        if is_sealed:
            # That it is sealed is said even where all of it was acknowledged before.
            self.told = -1
            self.gaps = sealed_gaps(self.gaps, self.ended_time_us)

    def sorted(self) -> list[Arrival]:
        """What was appended, by sequence."""
        return [self.arrivals[sequence] for sequence in sorted(self.arrivals)]

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges from `first` to `last` that are neither durable nor lost for good."""
        durable = [(one, one) for one in self.arrivals if one not in self.waiting]
        for low, high in sorted([*durable, *final_ranges(self.gaps)]):
            if low > first <= last:
                yield first, min(low - 1, last)
            first = max(first, high + 1)
        if first <= last:
            yield first, last

    @property
    def is_whole(self) -> bool:
        """Whether all that found no room has come again, or was declared lost."""
        lost = final_ranges(self.gaps)
        left = self.refused - set(self.arrivals)
        return left <= {number for low, high in lost for number in range(low, high + 1)}

    @property
    def highest(self) -> int:
        """The highest sequence that is recorded, or said to be missing; -1 if there is none."""
        stated = [gap.last for gap in self.gaps if gap.last is not None]
        return max([-1, *self.arrivals, *stated])

    def watermark(self) -> int:
        """The highest sequence up to which all is durable or a final gap."""
        final = [gap for gap in self.gaps if gap.cause in FINAL_CAUSES]
        reached = self.told
        while True:
            ends = [g.last for g in final if g.first is not None and g.first <= reached + 1]
            beyond = max((last for last in ends if last is not None), default=-1)
            if reached + 1 in self.arrivals and reached + 1 not in self.waiting:
                reached += 1
            elif beyond > reached:
                reached = beyond
            else:
                return reached

    def state_at(self, now_us: int) -> SessionState:
        """Its state, with the sealing time-out looked at."""
        if self.is_open:
            return self.state
        return state_at(self.state, self.ended_time_us, now_us)

    def record(self, now_us: int, has_details: bool) -> SessionRecord:
        """The session as history shows it; with spans, gaps and init if it `has_details`."""
        spans = merge_spans(_span(arrival) for arrival in self.arrivals.values())
        session, state = self.session, self.state_at(now_us)
        is_sealed = state is SessionState.SEALED
        life = Life(session.started_time_us, self.ended_time_us, is_sealed)
        return SessionRecord(
            session=session if has_details else replace(session, init=b""),
            state=state,
            ended_time_us=self.ended_time_us,
            end_reason=self.end_reason,
            segment_count=len(self.arrivals),
            size_bytes=sum(span.size_bytes for span in spans),
            first_sequence=spans[0].first if spans else None,
            last_sequence=spans[-1].last if spans else None,
            start_time_us=spans[0].start_time_us if spans else None,
            end_time_us=spans[-1].end_time_us if spans else None,
            spans=spans if has_details else (),
            gaps=explain(spans, self.gaps, life) if has_details else (),
            hold=self.hold,
            age_from_us=self.age_from_us,
        )

    def page(self, now_us: int, query: SegmentQuery) -> SegmentPage:
        """One page of its segments."""
        low, high = query.from_time_us, query.to_time_us
        found = [
            (arrival, undecodable)
            for arrival, undecodable in _decoded(self.sorted())
            if (query.after is None or arrival.segment.sequence > query.after)
            and (low is None or arrival.segment.start_time_us >= low)
            and (high is None or arrival.segment.start_time_us < high)
        ]
        shown = found[: clamp_limit(query.limit)]
        last = shown[-1][0].segment.sequence if len(found) > len(shown) else None
        timescale = self.session.timescale
        records = tuple(
            _listed(arrival, undecodable, arrival.segment.sequence not in self.waiting, timescale)
            for arrival, undecodable in shown
        )
        gaps = self.record(now_us, has_details=True).gaps
        return SegmentPage(records, gaps_of_page(gaps, query, last), last)

    def media(
        self, now_us: int, first: int, last: int
    ) -> tuple[IBody, tuple[tuple[int, int], ...]]:
        """The bytes of a range, and what is missing of it."""
        found = [a for a in self.sorted() if first <= a.segment.sequence <= last]
        if not found:
            raise NotFound(f"nothing is recorded of segments {first} to {last}")
        spans = merge_spans(map(_span, found))
        missing: list[tuple[int, int]] = []
        expected = first
        for span in spans:
            if span.first > expected:
                missing.append((expected, span.first - 1))
            expected = span.last + 1
        if expected <= last:
            missing.append((expected, last))
        sealed = self.state_at(now_us) is SessionState.SEALED
        stored = not any(a.segment.sequence in self.waiting for a in found)
        final = sealed or (stored and not missing)
        newest_us = max(arrival.received_time_us for arrival in found)
        return MemoryBody(_joined(found), final, newest_us), tuple(missing)

    def film(self, now_us: int, query: ClipQuery, version: str | None = None) -> tuple[IBody, Clip]:
        """``recording.mp4``, or a time range of it."""
        sealed = self.state_at(now_us) is SessionState.SEALED
        shown = self._shown(query.last)
        newest = max((0, *self.arrivals)) if query.last is None else query.last
        low, high = query.start_time_us, query.end_time_us
        if not shown and low is None and high is None:
            begin_us = self.session.started_time_us
            return MemoryBody(self.session.init, sealed), Clip(begin_us, begin_us, newest)
        starts = [arrival.segment.start_time_us for arrival in shown]
        own_ends = [segment_end_us(arrival.segment) for arrival in shown]
        ends = own_ends[:]
        for number, (one, other) in enumerate(pairwise(shown)):
            if one.segment.sequence + 1 == other.segment.sequence:
                ends[number] = starts[number + 1]
        taken = [
            number
            for number in range(len(shown))
            if (low is None or ends[number] > low) and (high is None or starts[number] < high)
        ]
        if not taken:
            raise NotFound("nothing that could be shown was captured in this time")
        first = max(n for n in range(taken[0] + 1) if shown[n].segment.is_keyframe)
        over_us = own_ends[taken[-1]] if high is None else min(high, own_ends[taken[-1]])
        begin_us = starts[taken[0]]
        media = self._film(
            shown[first : taken[-1] + 1], shown[taken[0]].media_time, begin_us, over_us
        )
        body = MemoryBody(media, sealed)
        body.is_final = sealed or body.etag == version
        return body, Clip(begin_us, over_us, newest)

    def playlist(self, now_us: int) -> IBody:
        """``index.m3u8``."""
        sealed = self.state_at(now_us) is SessionState.SEALED
        playlist = Playlist(self.session.timescale, is_whole=sealed)
        is_over = self.state is not SessionState.LIVE
        for arrival in self.sorted():
            one = arrival.segment
            if one.is_late and not sealed:
                continue
            if one.sequence in self.waiting:
                is_over = False
                continue
            playlist.offer(
                one.sequence,
                arrival.media_time,
                one.duration_ms,
                one.start_time_us,
                one.is_keyframe,
            )
        return MemoryBody(playlist.text(is_over=is_over or sealed), sealed)

    def _shown(self, last: int | None) -> list[Arrival]:
        """What can be decoded, up to `last`."""
        return [
            arrival
            for arrival, undecodable in _decoded(self.sorted())
            if not undecodable and (last is None or arrival.segment.sequence <= last)
        ]

    def _film(self, shown: list[Arrival], shown_from: int, start_us: int, over_us: int) -> bytes:
        """A film of these segments of one sample each, seen from `shown_from` on."""
        session, last = self.session, shown[-1]
        places, sizes, ends = array("Q"), array("I"), 0
        for arrival in shown:
            ends += len(arrival.segment.data)
            sizes.append(len(arrival.segment.data) - arrival.sample_offset)
            places.append(ends - sizes[-1])
        end = last.media_time + media_ticks(last.segment.duration_ms, session.timescale)
        cut_us = over_us - last.segment.start_time_us
        shown_to = min(end, last.media_time + cut_us * session.timescale // 1_000_000)
        syncs = [place for place, one in enumerate(shown) if one.segment.is_keyframe]
        times = array("Q", (one.media_time for one in shown))
        head = write_movie(
            session.init,
            SampleTable(places, sizes, times, array("i"), array("I", syncs), end),
            media_bytes=ends,
            shown=(shown_from, shown_to),
            label=Label(start_us, ()),
        )
        return head + _joined(shown)


def _span(arrival: Arrival) -> Span:
    segment = arrival.segment
    end_us = segment_end_us(segment)
    number, size = segment.sequence, len(segment.data)
    return Span(number, number, segment.start_time_us, end_us, size)


def _joined(arrivals: Iterable[Arrival]) -> bytes:
    return b"".join(bytes(arrival.segment.data) for arrival in arrivals)


def _decoded(arrivals: Iterable[Arrival]) -> Iterable[tuple[Arrival, bool]]:
    """Each arrival, and whether it is undecodable: it follows a hole, and no keyframe since."""
    expected: int | None = None
    for arrival in arrivals:
        number = arrival.segment.sequence
        undecodable = not arrival.segment.is_keyframe and number != expected
        expected = None if undecodable else number + 1
        yield arrival, undecodable


def _listed(arrival: Arrival, undecodable: bool, durable: bool, timescale: int) -> SegmentRecord:
    segment = arrival.segment
    return SegmentRecord(
        sequence=segment.sequence,
        start_time_us=segment.start_time_us,
        duration_ms=segment.duration_ms,
        framerate_mhz=segment.framerate_mhz,
        is_keyframe=segment.is_keyframe,
        is_late=segment.is_late,
        is_undecodable=undecodable,
        size_bytes=len(segment.data),
        media_time=arrival.media_time,
        media_duration=media_ticks(segment.duration_ms, timescale),
        received_time_us=arrival.received_time_us,
        is_durable=durable,
        is_time_corrected=arrival.is_time_corrected,
        is_misplaced=arrival.is_misplaced,
    )
