"""Looking up what there is of a session that is to be opened again, in the writer's thread.

By then everything that was ordered of it before has been done, so what is found is all there
is. It becomes a `recording`, and on the reactor's side an account of `queue.ledger`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from zlib import crc32

from vidlink.disk import Disk
from vidlink.errors import NotMedia, RequestError, SessionGone, SessionSealed
from vidlink.model import Gap, SessionState, Span
from vidlink.store.files.layout import MISPLACED
from vidlink.store.files.paths import Paths, part_numbers
from vidlink.store.files.records import SessionRecords, count_records
from vidlink.store.handover.orders import Past, Reopen
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.deletions import is_deleted
from vidlink.store.sequences.gaps import final_ranges
from vidlink.store.sequences.runs import Mark, Runs
from vidlink.store.sequences.times import age_from_us, state_at
from vidlink.store.sequences.trusted import age_beside

#: So often it is looked where a run of a session begins and ends, in each of its parts, each time
#: some 20 reads of one record; of one that is in more pieces all records are read.
_MOST_LOOKS = 512
#: The reason of the end of a session that was never recorded live.
UNHEARD_REASON = "delivered after it had ended"


def look_up(order: Reopen, catalog: Catalog, disk: Disk, paths: Paths) -> Past:
    """Find what there is of the session that `order` names; of an unknown one, its beginning.

    :raises RequestError: nothing may be added to it.
    :raises NotMedia: it was recorded with another initialization segment.
    :raises StoreError: the database fails.
    :raises OSError: the disk fails.
    """
    session = order.session
    filed = catalog.find(session.session_id)
    folder = paths.session(session.sentinel_id, session.session_id)
    if filed is None:
        if is_deleted(catalog, session.session_id):
            raise SessionGone("the session was deleted: nothing can be added to it")
        if os.path.exists(folder):
            raise RequestError("the folder of this session does not say what is in it")
        age = age_beside(order.now_us, order.trusted_us)
        return Past(session, order.now_us, UNHEARD_REASON, age_from_us=age)
    record = filed.record
    if record.session.sentinel_id != session.sentinel_id:
        raise SessionGone("this is the session of another sentinel")
    state = state_at(record.state, age_from_us(record), order.trusted_us)
    if state is SessionState.SEALED:
        raise SessionSealed("the session is sealed: nothing can be added to it")
    if record.ended_time_us is None or state is not SessionState.ENDED:
        raise RequestError(f"the session is {state.value}: nothing can be added to it")
    init = session.init
    if (len(init), crc32(init)) != (filed.init_size_bytes, filed.init_check):
        raise NotMedia("the session was recorded with another initialization segment")
    numbers = part_numbers(os.listdir(folder))
    spans, gaps = catalog.spans(filed.row), catalog.gaps(filed.row)
    parts = count_records(disk, folder)
    taken, settled = _runs(spans, gaps)
    with SessionRecords(disk, folder, parts) as records:
        if len(taken) * len(parts) <= _MOST_LOOKS:
            _mark(taken, records)
        else:
            _mark_many(taken, records)
    return Past(
        session=replace(record.session, init=init),
        ended_time_us=record.ended_time_us,
        end_reason=record.end_reason,
        spans=spans,
        gaps=gaps,
        parts=parts,
        next_number=1 + max(numbers, default=-1),
        taken=taken,
        settled=settled,
        hold=record.hold,
        age_from_us=record.age_from_us,
    )


def _runs(spans: Sequence[Span], gaps: Sequence[Gap]) -> tuple[Runs, Runs]:
    """The runs recorded, and those recorded or lost for good; in the order of sequences, so
    that each is put behind the others."""
    taken, settled = Runs(), Runs()
    for span in spans:
        taken.add(span.first, span.last, span.start_time_us, span.end_time_us, span.size_bytes)
    ranges = [(span.first, span.last) for span in spans]
    for first, last in sorted([*ranges, *final_ranges(gaps)]):
        settled.add(first, last)
    return taken, settled


def _mark(taken: Runs, records: SessionRecords) -> None:
    """Find out when each run begins and ends: what comes late has to lie between them."""
    for place, run in enumerate(taken.runs):
        opens = _mark_of(records, run.first)
        closes = opens if run.last == run.first else _mark_of(records, run.last)
        taken.mark(place, opens, closes)


def _mark_many(taken: Runs, records: SessionRecords) -> None:
    """The same for many runs: where one begins or ends, so do the sequences of some part."""
    marks: dict[int, Mark | None] = {}
    for columns in records.every_column():
        for place in chain.from_iterable(columns.stretches()):
            sequence = columns.sequences[place]
            mark = sequence, columns.starts_us[place], columns.times[place]
            # Of a segment in two parts the copy in the later one counts.
            marks[sequence] = None if columns.flags[place] & MISPLACED else mark
    for place, run in enumerate(taken.runs):
        taken.mark(place, marks.get(run.first), marks.get(run.last))


def _mark_of(records: SessionRecords, sequence: int) -> Mark | None:
    for _, (_, _, _, _, start_us, media_time, _, _, _, flags, *_) in records.between(
        sequence, sequence
    ):
        return None if flags & MISPLACED else (sequence, start_us, media_time)
    return None
