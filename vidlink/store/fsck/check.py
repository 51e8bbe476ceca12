"""The check of a data folder from one end to the other, with and without mending it.

A check changes nothing. A repair does first what every start does (`starting.recovery`), and then
session by session what else there is to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import is_sentinel_id, is_session_id
from vidlink.store.files.durability import choose_durability
from vidlink.store.files.folder import HARMLESS, DataFolder, inspect_folder, take_folder
from vidlink.store.files.notes import read_seen
from vidlink.store.files.paths import Paths, part_number
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.fsck.database import copied_database
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.fsck.mending import Mending
from vidlink.store.fsck.receipts import CheckedReceipts, check_receipts
from vidlink.store.fsck.session import CheckedSession, SessionChecker
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.sequences.trusted import TrustedTime
from vidlink.store.starting.recovery import Recovery


@dataclass(slots=True)
class Summary:
    """The sums of a run: how much was looked at, and what was found."""

    sessions: int = 0
    parts: int = 0
    segments: int = 0
    read_bytes: int = 0
    damage: int = 0
    mended: int = 0
    notes: int = 0


class Check:
    """A check of the data folder at `root`.

    `put` is given each finding, `came` told of the octets that were read, and `expect` once
    how many there are, about. Everything blocks.
    """

    def __init__(
        self,
        root: str,
        disk: Disk,
        *,
        put: Callable[[Finding], None],
        expect: Callable[[int], None],
        came: Callable[[int], None],
    ) -> None:
        self._root = root
        self._disk = disk
        self._put = put
        self._expect = expect
        self._came = came
        self.summary = Summary()

    def run(self) -> None:
        """Look at everything, and change nothing.

        :raises ~vidlink.errors.UserMistake: if the folder is not ours, or in use.
        :raises StoreError: if it cannot be read.
        """
        try:
            with ExitStack() as undo:
                folder = inspect_folder(self._root, self._disk)
                undo.callback(folder.release)
                found = undo.enter_context(copied_database(folder.paths, folder.uuid))
                if isinstance(found, Finding):
                    self._say(found)
                    self._check_sessions(folder.paths, None, None)
                else:
                    self._check_sessions(folder.paths, *found)
        except OSError as error:
            raise _cannot(self._root, error) from error

    def repair(self, now_us: int, *, is_rebuilding: bool) -> None:
        """Do what every start does, then look at everything and mend what can be mended.

        `is_rebuilding`: records that are lost are made anew as well. Fails as :meth:`run`.
        """
        try:
            with ExitStack() as undo:
                # First, because taking a folder begins one where there is none.
                inspect_folder(self._root, self._disk).release()
                folder = take_folder(self._root, self._disk)
                undo.callback(folder.release)
                self._repair(folder, undo, now_us, is_rebuilding)
        except OSError as error:
            raise _cannot(self._root, error) from error

    def _repair(
        self, folder: DataFolder, undo: ExitStack, now_us: int, is_rebuilding: bool
    ) -> None:
        paths = folder.paths
        known = self._known_before(folder)
        durability = choose_durability("disk", paths.root, self._disk)
        undo.callback(durability.close)
        index = Index(paths.index, folder.uuid, "FULL" if durability.has_to_flush else "NORMAL")
        undo.callback(index.close)
        receipts = ReceiptFile(paths.receipts, self._disk, is_flushed=True)
        recovery = Recovery(
            paths,
            self._disk,
            index,
            durability,
            receipts,
            now_us,
            seen=read_seen(paths.clock, self._disk),
            # For one moment: nothing of this machine's clock is believed.
            trusted=TrustedTime(lambda: now_us, lambda: 0.0, lambda: 0.0),
            is_thorough=True,
        )
        recovery.run()
        for sentinel_id, session_id in recovery.closed:
            text = "was being recorded when the server stopped"
            self._say(
                Finding(FindingKind.UNFINISHED, text, sentinel_id, session_id, mended="closed")
            )
        catalog = Catalog(paths.index)
        undo.callback(catalog.close)
        mending = Mending(self._disk, index, now_us, self._came, is_rebuilding)
        self._check_sessions(paths, index, catalog, mending, known)
        durability.sync_all()

    def _known_before(self, folder: DataFolder) -> set[str] | None:
        """The sessions that the database knows at first; None if there is no use in it."""
        with copied_database(folder.paths, folder.uuid) as found:
            if isinstance(found, Finding):
                self._say(replace(found, mended="made anew from the folders"))
                return None
            return found[0].known()

    def _check_sessions(
        self,
        paths: Paths,
        index: Index | None,
        catalog: Catalog | None,
        mending: Mending | None = None,
        known: set[str] | None = None,
    ) -> None:
        strays, folders = _walk(paths)
        for name in strays:
            self._say(Finding(FindingKind.STRAY, f"{name} is not ours, and is left alone"))
        gone = self._check_receipts(paths, catalog, None if mending is None else index)
        folders = [ids for ids in folders if not self._is_going(*ids, gone)]
        self._expect(sum(_size(paths.session(*ids)) for ids in folders))
        checker = SessionChecker(paths, self._disk, catalog, self._count)
        owners = _owners(checker, folders)
        for sentinel_id, session_id in folders:
            if owners[session_id] != sentinel_id:
                text = f"there is a session of this id of {owners[session_id]} too"
                self._say(Finding(FindingKind.TWICE, text, sentinel_id, session_id))
                continue
            checked = checker.check(sentinel_id, session_id)
            if mending is not None:
                if known is not None and session_id not in known and checked.filed is not None:
                    text = "the database did not know this session"
                    checked.find(FindingKind.UNLISTED, text, mended="taken in")
                checked = mending.mend(checker, checked)
            self._say_all(checked)
        if index is not None and catalog is not None:
            for session_id in sorted(index.known() - owners.keys() - gone.numbers.keys()):
                self._say_gone(session_id, catalog, None if mending is None else index)

    def _check_receipts(
        self, paths: Paths, catalog: Catalog | None, index: Index | None
    ) -> CheckedReceipts:
        """Check the receipts; `index` is told of those that it does not know."""
        check = check_receipts(ReceiptFile(paths.receipts, self._disk, is_flushed=True), catalog)
        if index is not None:
            check.mend(index)
        for finding in check.findings:
            self._say(finding)
        return check

    def _is_going(self, sentinel_id: str, session_id: str, gone: CheckedReceipts) -> bool:
        """True if what lies in a folder has been deleted: then nobody misses anything of it."""
        number = gone.numbers.get(session_id)
        if number is not None:
            text = f"was deleted with receipt {number:,}; the next start removes what is left"
            self._say(Finding(FindingKind.UNFINISHED, text, sentinel_id, session_id))
        return number is not None

    def _say_gone(self, session_id: str, catalog: Catalog, index: Index | None) -> None:
        """Report a session of the database that has no folder."""
        filed = catalog.find(session_id)
        if filed is None:
            return
        count = filed.record.segment_count
        text = f"the folder is gone, of {count:,} segments that the database tells of"
        finding = Finding(FindingKind.NO_FOLDER, text, filed.record.session.sentinel_id, session_id)
        if index is not None:
            index.remove(filed.row)
            finding = replace(finding, mended="forgotten by the database")
        self._say(finding)

    def _say_all(self, checked: CheckedSession) -> None:
        summary = self.summary
        summary.sessions += 1
        summary.parts += len(checked.parts)
        summary.segments += sum(part.count for part in checked.parts)
        for finding in checked.every_finding:
            self._say(finding)

    def _say(self, finding: Finding) -> None:
        summary = self.summary
        summary.damage += finding.is_damage
        summary.notes += not finding.is_damage
        summary.mended += finding.is_damage and bool(finding.mended)
        self._put(finding)

    def _count(self, size_bytes: int) -> None:
        self.summary.read_bytes += size_bytes
        self._came(size_bytes)


def _walk(paths: Paths) -> tuple[list[str], list[tuple[str, str]]]:
    """Names that are not ours, and the folders of all sessions, as the ids of both."""
    kept = (paths.marker, paths.lock, paths.recordings, paths.audit)
    notes = (paths.clock, paths.policy, paths.scrub)
    deleted = (paths.receipts, paths.reserve, paths.deleting, *notes)
    ours = {os.path.basename(path) for path in (*kept, *deleted)}
    # What a kill leaves of one that was just being replaced.
    ours |= {f"{os.path.basename(path)}.new" for path in notes}
    database = os.path.basename(paths.index)
    strays = [
        name
        for name in sorted(os.listdir(paths.root))
        if name not in ours | HARMLESS and not name.startswith(database)
    ]
    folders: list[tuple[str, str]] = []
    for path, sentinel_id, is_ours in _entries(paths.recordings, is_sentinel_id):
        if not is_ours:
            strays.append(os.path.relpath(path, paths.root))
            continue
        for inside, session_id, is_session in _entries(path, is_session_id):
            if is_session:
                folders.append((sentinel_id, session_id))
            else:
                strays.append(os.path.relpath(inside, paths.root))
    return strays, folders


def _owners(checker: SessionChecker, folders: list[tuple[str, str]]) -> dict[str, str]:
    """Whose each session is: of two folders for one id the one that has its description."""
    owners: dict[str, str] = {}
    for sentinel_id, session_id in folders:
        owner = owners.setdefault(session_id, sentinel_id)
        if owner != sentinel_id and not checker.is_described(owner, session_id):
            owners[session_id] = sentinel_id
    return owners


def _entries(folder: str, is_id: Callable[[str], bool]) -> Iterator[tuple[str, str, bool]]:
    """The entries of a folder: path, name, and whether it is a folder with an id for a name."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            is_ours = is_id(entry.name) and entry.is_dir(follow_symlinks=False)
            yield entry.path, entry.name, is_ours


def _size(folder: str) -> int:
    """The octets that there are to read of a session."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                entry.stat().st_size for entry in entries if part_number(entry.name) is not None
            )
    except OSError:
        return 0


def _cannot(root: str, error: OSError) -> StoreError:
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return StoreError(f"{root} cannot be checked: {where}{error.strerror or error}")
