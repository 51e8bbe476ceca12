"""A session that is over as the database has it, from what lies in its folder; and back.

What lies there is found out in `salvage` and in `fsck`; how it is written is in `database`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidlink.model import SessionRecord, SessionState, Span
from vidlink.store.files.layout import SessionFile
from vidlink.store.index.catalog import Filed
from vidlink.store.index.database import Sheet
from vidlink.store.sequences.runs import merge_spans


def sheet_of(file: SessionFile, row: int | None, part_spans: Sequence[tuple[int, Span]]) -> Sheet:
    """All that the database has to say of the session described by `file`.

    `part_spans` are its unbroken spans, each with its part, and no sequence twice; `row` is
    where the database has the session already.
    """
    spans = merge_spans(span for _, span in part_spans)
    record = SessionRecord(
        session=file.session,
        state=SessionState.SEALED if file.is_sealed else SessionState.ENDED,
        ended_time_us=file.ended_time_us,
        end_reason=file.end_reason,
        segment_count=sum(span.last - span.first + 1 for span in spans),
        size_bytes=sum(span.size_bytes for span in spans),
        first_sequence=spans[0].first if spans else None,
        last_sequence=spans[-1].last if spans else None,
        start_time_us=spans[0].start_time_us if spans else None,
        end_time_us=spans[-1].end_time_us if spans else None,
        hold=file.hold,
    )
    return Sheet(file, record, row, list(part_spans), list(enumerate(file.gaps)), anew=True)


def file_of(filed: Filed) -> SessionFile:
    """The description of a session whose own cannot be read; its gaps are not in it."""
    record = filed.record
    ended_us = record.ended_time_us
    return SessionFile(
        session=record.session,
        init_size_bytes=filed.init_size_bytes,
        init_check=filed.init_check,
        ended_time_us=ended_us,
        end_reason=record.end_reason,
        is_sealed=record.state is SessionState.SEALED,
        filling_from=None if ended_us is None else 0,
        hold=record.hold,
    )
