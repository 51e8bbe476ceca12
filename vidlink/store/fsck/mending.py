"""Mending one session: what is damaged is stated, and the database is made to agree.

Nothing that was recorded is deleted. Each step leaves a folder that the next run handles: the
statement is written before the records are marked, and the database comes last. Records that
are lost are made anew in `rebuild`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import Ranges
from vidlink.store.files.flags import change_flags
from vidlink.store.files.layout import DAMAGED, SessionFile, write_session
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.fsck.misplaced import mark_misplaced
from vidlink.store.fsck.part import BAD, TORN, WHOLE, CheckedPart
from vidlink.store.fsck.rebuild import Rebuild
from vidlink.store.fsck.session import LOST_REASON, CheckedSession, SessionChecker
from vidlink.store.index.database import Index
from vidlink.store.index.rows import rows_of
from vidlink.store.sequences.gaps import state_damage
from vidlink.store.sequences.trusted import age_beside

DETAIL = "found by vidlink fsck"


@dataclass(frozen=True, slots=True)
class Mending:
    """Mends one session after the other, in the folders and in `index`.

    `now_us` names what is put aside; `came` is told of every octet that is read for records that
    are made anew. With `is_rebuilding`, all that are lost are.
    """

    disk: Disk
    index: Index
    now_us: int
    came: Callable[[int], None]
    is_rebuilding: bool

    def mend(self, checker: SessionChecker, checked: CheckedSession) -> CheckedSession:
        """Do what can be done; what cannot be mended is a finding that says so."""
        try:
            checked = self._rebuilt(checker, checked)
            self._agree(checked)
        except (OSError, StoreError) as error:
            checked.find(FindingKind.UNREADABLE, f"cannot be mended: {error}")
        return checked

    def _rebuilt(self, checker: SessionChecker, checked: CheckedSession) -> CheckedSession:
        """Make records anew where they are lost, and look again."""
        file = checked.file
        if file is None or not checked.is_readable:
            return checked
        is_changed = False
        for part in checked.parts:
            if part.unknown or part.records_bytes is None or BAD in part.marks or part.rest_bytes:
                work = Rebuild(self.disk, file, part, self.now_us, self.came)
                is_changed |= work.run(is_rebuilding=self.is_rebuilding)
        if not is_changed:
            return checked
        if self.is_rebuilding:
            mark_misplaced(self.disk, checked.folder)
        again = checker.check(checked.sentinel_id, checked.session_id)
        again.remember(checked)
        return again

    def _agree(self, checked: CheckedSession) -> None:
        """Make description, records and database agree with what is there."""
        file = checked.file
        is_damaged = any(one.is_damage for one in checked.every_finding)
        if file is None or not is_damaged or not checked.is_readable:
            return
        if file.is_unfinished:
            # Only a start knows how to close it; who lists it before would keep that from it.
            raise StoreError("it was not closed; run this again, or start the server")
        file = checked.stored(self.disk).with_init(file)
        for part in checked.parts:
            if not part.has_init and part.part_bytes is not None:
                self._restore_init(file, part)
        wanted = self._stated(checked, file)
        if wanted != file or not checked.is_described:
            path = os.path.join(checked.folder, SESSION_FILE)
            self.disk.replace(path, write_session(wanted), flush=True)
            self.disk.sync_folder(checked.folder)
        for part in checked.parts:
            self._mark(part)
        row = None if checked.filed is None else checked.filed.row
        self.index.save([rows_of(wanted, row, checked.present)])
        checked.findings = [_mended(one, None) for one in checked.findings]
        for part in checked.parts:
            part.findings = [_mended(one, part) for one in part.findings]

    def _stated(self, checked: CheckedSession, file: SessionFile) -> SessionFile:
        """The description, with every loss stated that was not."""
        spans = [span for _, span in checked.present]
        if not checked.is_described and file.end_reason == LOST_REASON and spans:
            ended_us = max(span.end_time_us for span in spans)
            # By the Sentinel's clock; nobody knows how old it is.
            age_us = age_beside(ended_us, self.now_us)
            file = replace(file, ended_time_us=ended_us, age_from_us=age_us)
        there = Ranges((span.first, span.last) for span in spans)
        fresh = state_damage(_lost(checked), there, file.gaps, DETAIL)
        return replace(file, gaps=(*file.gaps, *fresh))

    def _mark(self, part: CheckedPart) -> None:
        """Say in the record of each damaged segment that it is; take it back where it is not."""
        places = (place for place, mark in enumerate(part.marks) if mark in (TORN, WHOLE))
        change_flags(self.disk, part.records_path, places, lambda flags: flags ^ DAMAGED)

    def _restore_init(self, file: SessionFile, part: CheckedPart) -> None:
        """Put a sound copy over an initialization segment that is not what was recorded."""
        if file.init and (part.part_bytes or 0) >= file.init_size_bytes:
            self.disk.overwrite(part.path, 0, file.init)
            part.has_init = True


def _lost(checked: CheckedSession) -> Ranges:
    """Sequences that were recorded, as far as is known, and may be gone."""
    known = Ranges((span.first, span.last) for _, span in checked.filed_spans)
    for part in checked.parts:
        for run in part.lost.runs:
            known.add(run.first, run.last)
    return known


#: The work of a repair on each kind; about the others it does nothing.
_DONE = {
    FindingKind.DIFFERS: "the database was corrected",
    FindingKind.UNLISTED: "it was taken into the database",
    FindingKind.DESCRIPTION: "it was written anew",
    FindingKind.RECORD: "what is lost with it is stated as a gap",
    FindingKind.SEGMENT: "stated as a gap",
    FindingKind.WHOLE_AGAIN: "listed again",
    FindingKind.NO_PART: "what is lost with it is stated as a gap",
}


def _mended(finding: Finding, part: CheckedPart | None) -> Finding:
    done = _DONE.get(finding.kind, "")
    if finding.kind is FindingKind.INIT and part is not None and part.has_init:
        done = "copied from where it is whole"
    return replace(finding, mended=finding.mended or done)
