"""Checking one session: its description, its parts, and what the database says of it.

Nothing is changed here. The outcome is a `CheckedSession`, from which `mending` knows what to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import Gap, Session, SessionState, Span
from vidlink.store.files.layout import SessionFile
from vidlink.store.files.paths import SESSION_FILE, Paths, part_file, part_number, part_numbers
from vidlink.store.files.pieces import PieceReader
from vidlink.store.files.segments import read_head, read_segments
from vidlink.store.files.stored import StoredSession
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.fsck.part import CheckedPart, LaterParts, PartChecker
from vidlink.store.index.catalog import Catalog, Filed
from vidlink.store.index.rows import record_of
from vidlink.store.sequences.runs import Runs, merge_spans
from vidlink.store.sequences.times import age_from_us

#: Files that an earlier repair has put aside, and those that an interrupted replacement leaves.
ASIDE = re.compile(r"part-[0-9]{4,}\.(mp4\.tail-[0-9]+-[0-9]+|idx\.before-[0-9]+)", re.ASCII)
FRESH = re.compile(r"(session\.json|part-[0-9]{4,}\.idx)\.new", re.ASCII)
LOST_REASON = "the description of the session was lost"


@dataclass(slots=True)
class CheckedSession:
    """One session as it was found.

    `file` describes it; None where nothing does. `is_described` says that it is what stands in
    its folder. `filed` is what the database has, with its spans by part and its gaps; None
    where it has nothing.
    """

    sentinel_id: str
    session_id: str
    folder: str
    file: SessionFile | None = None
    is_described: bool = False
    filed: Filed | None = None
    filed_spans: list[tuple[int, Span]] = field(default_factory=list)
    filed_gaps: tuple[Gap, ...] = ()
    parts: list[CheckedPart] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: FindingKind, text: str, mended: str = "") -> None:
        """Add a finding of the session as a whole."""
        ids = self.sentinel_id, self.session_id
        self.findings.append(Finding(kind, text, *ids, mended=mended))

    @property
    def every_finding(self) -> list[Finding]:
        """The findings of the session as a whole, then those of its parts."""
        return [*self.findings, *(one for part in self.parts for one in part.findings)]

    def stored(self, disk: Disk) -> StoredSession:
        """The same session, for reading."""
        return StoredSession(disk, self.folder)

    @property
    def is_readable(self) -> bool:
        """True if all of it could be looked at."""
        return all(one.kind is not FindingKind.UNREADABLE for one in self.every_finding)

    def remember(self, before: CheckedSession) -> None:
        """Tell also of what was found `before` and has been mended since."""
        mended = [one for one in before.every_finding if one.mended]
        known = {(one.kind, one.part, one.text) for one in mended}
        for part in self.parts:
            part.findings = [
                one for one in part.findings if (one.kind, one.part, one.text) not in known
            ]
        # What this repair has put aside is told of where it was.
        others = [one for one in self.findings if one.kind is not FindingKind.STRAY]
        self.findings = [*mended, *others]
        self.findings += [one for one in before.findings if one.kind is FindingKind.STRAY]

    @property
    def listed(self) -> list[tuple[int, Span]]:
        """The spans of what the records say is there."""
        return _spans((part.number, part.listed) for part in self.parts)

    @property
    def present(self) -> list[tuple[int, Span]]:
        """The spans of what is there, and whole."""
        return _spans((part.number, part.present) for part in self.parts)


def _spans(parts: Iterable[tuple[int, Runs]]) -> list[tuple[int, Span]]:
    found = [(number, run) for number, runs in parts for run in runs.runs]
    return sorted(found, key=lambda one: (one[0], one[1].first))


@dataclass(frozen=True, slots=True)
class SessionChecker:
    """Checks sessions below `paths`; `came` is told of every octet that is read."""

    paths: Paths
    disk: Disk
    catalog: Catalog | None
    came: Callable[[int], None]

    def check(self, sentinel_id: str, session_id: str) -> CheckedSession:
        """Look at all of the session in this folder, and change nothing."""
        folder = self.paths.session(sentinel_id, session_id)
        checked = CheckedSession(sentinel_id, session_id, folder)
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            checked.find(FindingKind.UNREADABLE, f"cannot be read: {error.strerror or error}")
            return checked
        self._name_strays(checked, names)
        self._look_up(checked)
        parts = part_numbers(names)
        self._describe(checked, parts)
        if checked.file is not None:
            self._check_parts(checked, checked.file, parts)
            self._compare(checked, checked.file)
        return checked

    def _name_strays(self, checked: CheckedSession, names: list[str]) -> None:
        for name in names:
            is_aside = ASIDE.fullmatch(name) is not None
            is_ours = name == SESSION_FILE or part_number(name) is not None
            if is_aside or not (is_ours or FRESH.fullmatch(name)):
                what = "put aside by an earlier repair" if is_aside else "not ours"
                checked.find(FindingKind.STRAY, f"{name} is {what}, and is left alone")

    def _look_up(self, checked: CheckedSession) -> None:
        catalog = self.catalog
        if catalog is None:
            return
        filed = catalog.session(checked.sentinel_id, checked.session_id)
        if filed is None:
            checked.find(FindingKind.UNLISTED, "the database does not know this session")
        else:
            checked.filed = filed
            checked.filed_spans = catalog.part_spans(filed.row)
            checked.filed_gaps = catalog.gaps(filed.row)

    def _describe(self, checked: CheckedSession, parts: list[int]) -> None:
        """Find out what the session is: from its file, else from elsewhere."""
        try:
            file = StoredSession(self.disk, checked.folder).read_file()
        except (OSError, StoreError) as error:
            is_gone = isinstance(error, FileNotFoundError)
            reason = f"{SESSION_FILE} is not there" if is_gone else str(error)
            checked.find(FindingKind.DESCRIPTION, reason)
            if checked.filed is not None:
                file = checked.filed.as_file()
                checked.file = replace(file, gaps=checked.filed_gaps, filling_from=None)
            else:
                checked.file = self._describe_from_parts(checked, parts)
        else:
            checked.file, checked.is_described = file, True

    def is_described(self, sentinel_id: str, session_id: str) -> bool:
        """True if this folder has the description of this session."""
        folder = self.paths.session(sentinel_id, session_id)
        try:
            StoredSession(self.disk, folder).read_file()
        except (OSError, StoreError):
            return False
        return True

    def _describe_from_parts(self, checked: CheckedSession, parts: list[int]) -> SessionFile | None:
        """Describe it by the first initialization segment and the names of the folders."""
        for number in parts:
            try:
                with PieceReader(
                    self.disk, os.path.join(checked.folder, part_file(number)), self.came
                ) as part:
                    head = read_head(part)
                    if head is None:
                        continue
                    first = read_segments(part, head.size_bytes, part.size_bytes, head.media, None)
                    begun_us = next((record.start_time_us for record in first), 0)
            except OSError:
                continue
            media = head.media
            session = Session(
                sentinel_id=checked.sentinel_id,
                session_id=checked.session_id,
                name=checked.sentinel_id,
                group="",
                software="",
                started_time_us=begun_us,
                init=b"",
                mime=media.mime,
                width=media.width,
                height=media.height,
                timescale=media.timescale,
                track_id=media.track_id,
            )
            size, check = head.size_bytes, head.check
            return SessionFile(session, size, check, begun_us, LOST_REASON)
        return None

    def _check_parts(self, checked: CheckedSession, file: SessionFile, parts: list[int]) -> None:
        if file.is_unfinished:
            text = "was being recorded when the server stopped; the next start closes it"
            checked.find(FindingKind.UNFINISHED, text)
        later = LaterParts()
        for number in reversed(parts):
            synced = None
            if file.is_unfinished and number >= (file.filling_from or 0):
                spans = [span for part, span in checked.filed_spans if part == number]
                synced = sum(span.last - span.first + 1 for span in spans)
            check = PartChecker(self.disk, checked.folder, number, file, later, self.came, synced)
            part = check.run()
            later.add(part)
            checked.parts.insert(0, part)

    def _compare(self, checked: CheckedSession, file: SessionFile) -> None:
        """Hold the database against the folder, unless something is wrong with that already."""
        filed, found = checked.filed, checked.listed
        findings = [one for part in checked.parts for one in part.findings]
        if filed is None or file.is_unfinished or not checked.is_described:
            return
        wrong = ["hold"] if file.hold != filed.record.hold else []
        if not any(one.is_damage for one in findings):
            wrong += _differing(checked, file, filed, found)
        if wrong:
            text = f"the database says something else than the folder: {', '.join(wrong)}"
            checked.find(FindingKind.DIFFERS, text)


def _differing(
    checked: CheckedSession, file: SessionFile, filed: Filed, found: list[tuple[int, Span]]
) -> list[str]:
    """The points in which the database differs from the folder of a sound session, but the hold."""
    spans = merge_spans(span for _, span in found)
    wanted = record_of(file, spans)
    if not file.is_sealed and filed.record.state is SessionState.SEALED:
        # Its time was over; only the database says so.
        wanted = replace(wanted, state=SessionState.SEALED)
    age_us, filed_us = age_from_us(wanted), filed.record.age_from_us
    if age_us is not None and filed_us is not None and filed_us < age_us:
        # It ended in the future, by the clock of then; a start has told the database so.
        wanted = replace(wanted, age_from_us=filed_us)
    filed_spans = merge_spans(span for _, span in checked.filed_spans)
    what = {
        "spans": spans != filed_spans,
        "gaps": file.gaps != checked.filed_gaps,
        "description": replace(wanted, hold=filed.record.hold) != filed.record
        or (file.init_size_bytes, file.init_check) != (filed.init_size_bytes, filed.init_check),
    }
    return [name for name, is_wrong in what.items() if is_wrong]
