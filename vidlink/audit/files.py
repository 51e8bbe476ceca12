"""The files of the audit trail: ``audit/audit-000000001.jsonl`` and so on, each named by its first
entry, and ``audit/head.json`` with the digest of the last entry that was written.

Files are used by one thread at a time, and read by any. Everything may block.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator

from vidlink.audit.chain import BEGINNING, follow, read_entry, write_entry
from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import AuditEntry, AuditPage, AuditQuery

#: A file that has grown to this is followed by another.
MOST_BYTES = 4 * 1024 * 1024
_NAME = re.compile(r"audit-([0-9]{9,18})\.jsonl", re.ASCII)
_CHUNK_BYTES = 256 * 1024


class AuditFiles:
    """The audit trail in the data folder at `root`.

    :param is_flushed: entries are on the disk when they have been appended, not only with the
        system.
    :raises OSError: from every method, if the disk fails.
    """

    def __init__(self, root: str, disk: Disk, *, is_flushed: bool = True) -> None:
        self._is_flushed = is_flushed
        self.folder = os.path.join(root, "audit")
        self.head = os.path.join(self.folder, "head.json")
        self._disk = disk
        #: The last entry: number and digest; and the file that it is in, with its size.
        self._number, self._digest = 0, BEGINNING
        self._path, self._size_bytes = "", 0

    def open(self) -> str:
        """Go on behind the last entry; what is wrong with the trail, in a sentence, or nothing.

        The rest of a line that was being written when the power went is cut: nobody had been told
        of it.
        """
        self._disk.make_folders(self.folder)
        known = self._read_head()
        names = self.names()
        if names:
            self._path = os.path.join(self.folder, names[-1][1])
            self._size_bytes = 0
            for line in self._lines(self._path):
                if not line.endswith(b"\n"):
                    self._disk.truncate(self._path, self._size_bytes)
                    break
                self._size_bytes += len(line)
                try:
                    entry, _ = read_entry(line)
                except StoreError:
                    continue
                self._number, self._digest = entry.number, entry.digest
        if known is not None and known[0] > self._number:
            lost = f"the audit trail ends at entry {self._number}, and had {known[0]}"
            # What comes next has to show that something is gone.
            self._number, self._digest = known
            self._path = ""
            return lost
        return ""

    def append(self, entries: Iterable[AuditEntry]) -> tuple[int, str]:
        """Write entries, whose numbers and digests are made here, behind the others and wait until
        they are on the disk; number and digest of the last one. If that fails, nothing of it
        counts."""
        number, digest, lines = self._number, self._digest, []
        for entry in entries:
            number += 1
            line, entry = write_entry(_numbered(entry, number), digest)
            digest = entry.digest
            lines.append(line)
        data = b"".join(lines)
        if not self._path or self._size_bytes >= MOST_BYTES:
            name = f"audit-{self._number + 1:09}.jsonl"
            self._path, self._size_bytes = os.path.join(self.folder, name), 0
        elif self._disk.size(self._path) > self._size_bytes:
            # The rest of an append that failed.
            self._disk.truncate(self._path, self._size_bytes)
        self._disk.append(self._path, data, flush=self._is_flushed)
        if not self._size_bytes and self._is_flushed:
            self._disk.sync_folder(self.folder)
        self._size_bytes += len(data)
        self._number, self._digest = number, digest
        head = json.dumps({"number": number, "digest": digest}).encode("ascii")
        self._disk.replace(self.head, head, flush=False)
        return number, digest

    def page(self, query: AuditQuery) -> AuditPage:
        """One page of entries, newest first; one that cannot be read is left out."""
        found: list[AuditEntry] = []
        for first, name in reversed(self.names()):
            if query.after is not None and first >= query.after:
                continue
            here = []
            for line in self._lines(os.path.join(self.folder, name)):
                try:
                    entry, _ = read_entry(line)
                except StoreError:
                    continue
                if _matches(query, entry):
                    here.append(entry)
            found += reversed(here)
            if len(found) > query.limit:
                break
        more = found[query.limit - 1].number if len(found) > query.limit else None
        return AuditPage(tuple(found[: query.limit]), more)

    def verify(self) -> tuple[int, int]:
        """Look at every entry; the first number there is, and the last.

        :raises StoreError: if one is gone, or is not what was written; the text says which.
        """
        number: int | None = None
        previous: str | None = None
        begins = 0
        for first, name in self.names():
            if number is not None and first != number + 1:
                raise StoreError(f"entries {number + 1} to {first - 1} are gone")
            if first == 1:
                number, previous = 0, BEGINNING
            begins = begins or first
            whole = (line for line in self._lines(os.path.join(self.folder, name))
                     if line.endswith(b"\n"))  # fmt: skip
            for entry in follow(whole, first - 1, previous):
                number, previous = entry.number, entry.digest
        known = self._read_head()
        if known is not None and (number is None or known[0] > number):
            raise StoreError(f"entries {(number or 0) + 1} to {known[0]} are gone")
        if known is not None and known[0] == number and known[1] != previous:
            raise StoreError(f"entry {number} is not the one that was written")
        return begins, number or 0

    def names(self) -> list[tuple[int, str]]:
        """The files that there are, and the number of the first entry of each, ascending."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        matches = (_NAME.fullmatch(name) for name in names)
        return sorted((int(match[1]), match[0]) for match in matches if match is not None)

    def _read_head(self) -> tuple[int, str] | None:
        try:
            known = json.loads(self._disk.read(self.head, 0, 4096))
            return int(known["number"]), str(known["digest"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _lines(self, path: str) -> Iterator[bytes]:
        """The lines of a file; the last one maybe without its end."""
        left, place = b"", 0
        while data := self._disk.read(path, place, _CHUNK_BYTES):
            place += len(data)
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if left:
            yield left


def _numbered(entry: AuditEntry, number: int) -> AuditEntry:
    return AuditEntry(
        number, entry.time_us, entry.deed, entry.who, entry.credential_id, entry.address,
        entry.about,
    )  # fmt: skip


def _matches(query: AuditQuery, entry: AuditEntry) -> bool:
    return (
        query.who in (None, entry.who)
        and query.sentinel_id in (None, entry.about.get("sentinel"))
        and query.deed in (None, entry.deed)
        and (query.from_time_us is None or entry.time_us >= query.from_time_us)
        and (query.to_time_us is None or entry.time_us < query.to_time_us)
        and (query.after is None or entry.number < query.after)
    )
