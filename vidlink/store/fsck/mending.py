"""Mending one session: what is damaged is stated, and the database is made to agree.

Nothing that was recorded is deleted. Each step leaves a folder that the next run handles: the
statement is written before the records are marked, and the database comes last. Records that
are lost are made anew in `rebuild`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from vidlink.disk import Disk
from vidlink.model import Cause, Gap, Range, Ranges
from vidlink.store.files.layout import (
    DAMAGED,
    RECORD_BYTES,
    SessionFile,
    pack_row,
    read_records,
    write_session,
)
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.fsck.findings import Finding, Kind
from vidlink.store.fsck.part import TORN, WHOLE, PartState
from vidlink.store.fsck.session import LOST_REASON, SessionCheck
from vidlink.store.index.database import Index
from vidlink.store.index.sheets import sheet_of

#: So many damaged ranges of a session are stated one by one; more are stated as one.
MOST_STATED = 1_000
DETAIL = "found by vidlink fsck"
_RECORDS_AT_ONCE = 16_384


class Mending:
    """Mends sessions, in the folders and in `index`. Raises :exc:`OSError` or
    :exc:`~vidlink.errors.StoreError`."""

    def __init__(self, disk: Disk, index: Index) -> None:
        self._disk = disk
        self._index = index

    def mend(self, state: SessionCheck) -> bool:
        """Do what can be done; returns whether anything was changed."""
        file = state.file
        findings = [*state.findings, *(one for part in state.parts for one in part.findings)]
        if file is None or not any(one.is_damage for one in findings) or not state.is_readable:
            return False
        for part in state.parts:
            if not part.has_init and part.part_bytes is not None:
                self._restore_init(state, file, part)
        wanted = self._stated(state, file)
        if wanted != file or not state.is_described:
            path = os.path.join(state.folder, SESSION_FILE)
            self._disk.replace(path, write_session(wanted), flush=True)
            self._disk.sync_folder(state.folder)
        for part in state.parts:
            self._mark(part)
        row = None if state.filed is None else state.filed.row
        self._index.save([sheet_of(wanted, row, state.present)])
        state.findings = [_mended(one, None) for one in state.findings]
        for part in state.parts:
            part.findings = [_mended(one, part) for one in part.findings]
        return True

    def _stated(self, state: SessionCheck, file: SessionFile) -> SessionFile:
        """The description, with every loss stated that was not."""
        spans = [span for _, span in state.present]
        if not state.is_described and file.end_reason == LOST_REASON and spans:
            file = replace(file, ended_time_us=max(span.end_time_us for span in spans))
        fresh = [Gap(first, last, Cause.DAMAGED, detail=DETAIL) for first, last in _lost(state)]
        if len(fresh) > MOST_STATED:
            # Where it is recorded, a statement says nothing: only holes are explained.
            fresh = [replace(fresh[0], last=fresh[-1].last)]
        return replace(file, gaps=(*file.gaps, *fresh))

    def _mark(self, part: PartState) -> None:
        """Say in the record of each damaged segment that it is; take it back where it is not."""
        places = (place for place, mark in enumerate(part.marks) if mark in (TORN, WHOLE))
        for first, last in Ranges.of(places):
            for low in range(first, last + 1, _RECORDS_AT_ONCE):
                count = min(_RECORDS_AT_ONCE, last + 1 - low)
                offset = low * RECORD_BYTES
                data = self._disk.read(part.records_path, offset, count * RECORD_BYTES)
                marked = b"".join(
                    pack_row((*row[:9], row[9] ^ DAMAGED))
                    for row in read_records(data)
                    if row is not None
                )
                self._disk.overwrite(part.records_path, offset, marked)

    def _restore_init(self, state: SessionCheck, file: SessionFile, part: PartState) -> None:
        """Put a sound copy from another part over an initialization segment that is not."""
        if (part.part_bytes or 0) < file.init_size_bytes:
            return
        for other in state.parts:
            if other.has_init:
                data = self._disk.read(other.path, 0, file.init_size_bytes)
                self._disk.overwrite(part.path, 0, data)
                part.has_init = True
                return


def _lost(state: SessionCheck) -> Iterator[Range]:
    """What was recorded, is not there any more, and has not been said to be damaged."""
    there = Ranges((span.first, span.last) for _, span in state.present)
    known = Ranges((span.first, span.last) for _, span in state.filed_spans)
    stated = Ranges()
    for part in state.parts:
        for run in part.lost.runs:
            known.add(run.first, run.last)
    for gap in state.file.gaps if state.file is not None else ():
        if gap.cause is Cause.DAMAGED and gap.first is not None:
            stated.add(gap.first, gap.first if gap.last is None else gap.last)
    for low, high in known:
        for first, last in there.missing(low, high):
            yield from stated.missing(first, last)


#: What a repair does about each kind; of the others it does nothing.
_DONE = {
    Kind.DIFFERS: "the database was corrected",
    Kind.UNLISTED: "it was taken into the database",
    Kind.DESCRIPTION: "it was written anew",
    Kind.RECORD: "what is lost with it is stated as a gap",
    Kind.SEGMENT: "stated as a gap",
    Kind.WHOLE_AGAIN: "listed again",
    Kind.NO_PART: "what is lost with it is stated as a gap",
}


def _mended(finding: Finding, part: PartState | None) -> Finding:
    done = _DONE.get(finding.kind, "")
    if finding.kind is Kind.INIT and part is not None and part.has_init:
        done = "copied from another part"
    return replace(finding, mended=finding.mended or done)
