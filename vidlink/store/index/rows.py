"""The news of one session for the database, made from its description and its spans.

These come from `writing.rows`, from `starting.salvage` and from `fsck`; they are put into the
database by `database`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vidlink.model import Gap, SessionRecord, SessionState, Span
from vidlink.store.files.layout import SessionFile
from vidlink.store.sequences.runs import merge_spans

#: A span as the database has it: the id of the session's row, the part, and the numbers of a span.
SpanRow = tuple[int, int, int, int, int, int, int]


@dataclass(slots=True)
class SessionRows:
    """The news of one session, as described in `file`.

    `record` is None where the database has it, under the id `row`; spans are by part, gaps by
    number. `is_complete`: spans and gaps that are there are dropped, for here are all of them.
    `is_filling`: the session has ended, and is written to all the same.
    """

    file: SessionFile
    record: SessionRecord | None
    row: int | None
    spans: list[tuple[int, Span]] = field(default_factory=list)
    gaps: list[tuple[int, Gap]] = field(default_factory=list)
    is_complete: bool = False
    is_filling: bool = False


def record_of(file: SessionFile, spans: Sequence[Span]) -> SessionRecord:
    """The session that `file` describes, of which `spans` are recorded.

    `spans` are all there are, merged and ascending; neither they nor gaps are in the record.
    """
    state = SessionState.LIVE if file.ended_time_us is None else SessionState.ENDED
    return SessionRecord(
        session=file.session,
        state=SessionState.SEALED if file.is_sealed else state,
        ended_time_us=file.ended_time_us,
        end_reason=file.end_reason,
        segment_count=sum(span.last - span.first + 1 for span in spans),
        size_bytes=sum(span.size_bytes for span in spans),
        first_sequence=spans[0].first if spans else None,
        last_sequence=spans[-1].last if spans else None,
        start_time_us=spans[0].start_time_us if spans else None,
        end_time_us=spans[-1].end_time_us if spans else None,
        hold=file.hold,
        age_from_us=file.age_from_us,
    )


def rows_of(
    file: SessionFile, row: int | None, part_spans: Sequence[tuple[int, Span]]
) -> SessionRows:
    """All that the database has to say of the session described by `file`.

    `part_spans` are its unbroken spans, each with its part, and no sequence twice; `row` is
    where the database has the session already.
    """
    record = record_of(file, merge_spans(span for _, span in part_spans))
    if record.state is SessionState.LIVE:
        # Nobody writes to it any more, even where that could not be written down.
        record = replace(record, state=SessionState.ENDED)
    gaps = list(enumerate(file.gaps))
    return SessionRows(file, record, row, list(part_spans), gaps, is_complete=True)
