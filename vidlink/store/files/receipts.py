"""``receipts.jsonl``: what was deleted, one line each, appended and never changed.

A receipt is on the disk before anything of its session goes. The database has where each line
lies (`index.deletions`), so that a page costs what is on it; the truth is the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import DeletionReason, Receipt, is_sentinel_id, is_session_id
from vidlink.store.files.layout import FORMAT, typed

_log = Logger()

_CHUNK_BYTES = 1024 * 1024

_TEXTS = ("by", "sentinel_id", "session_id", "name", "group", "end_reason", "records_sha256")
_NUMBERS = ("number", "deleted_time_us", "started_time_us", "segment_count", "size_bytes", "parts")
_MAYBE = (
    "ended_time_us", "start_time_us", "end_time_us", "first_sequence", "last_sequence",
)  # fmt: skip


def write_receipt(receipt: Receipt) -> bytes:
    """The line of a receipt."""
    known: dict[str, Any] = {"format": FORMAT}
    known |= {name: getattr(receipt, name) for name in _NUMBERS[:2]}
    known["reason"] = receipt.reason.value
    known |= {name: getattr(receipt, name) for name in (*_TEXTS, *_NUMBERS[2:], *_MAYBE)}
    known["lost"] = dict(receipt.lost)
    return json.dumps(known, separators=(",", ":")).encode("ascii") + b"\n"


def read_receipt(line: bytes) -> Receipt:
    """Read what :func:`write_receipt` wrote.

    :raises StoreError: if the line is anything else.
    """
    try:
        known = json.loads(line)
        if known["format"] != FORMAT:
            raise StoreError(f"a receipt has format {known['format']}, not {FORMAT}")
        values: dict[str, Any] = {name: typed(known[name], str) for name in _TEXTS}
        values |= {name: typed(known[name], int) for name in _NUMBERS}
        values |= {
            name: None if known[name] is None else typed(known[name], int) for name in _MAYBE
        }
        if not (is_sentinel_id(values["sentinel_id"]) and is_session_id(values["session_id"])):
            raise StoreError("a receipt holds ids that are none")
        lost = tuple((str(cause), typed(count, int)) for cause, count in known["lost"].items())
        return Receipt(reason=DeletionReason(known["reason"]), lost=lost, **values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"a receipt cannot be read: {error!r}") from error


class ReceiptFile:
    """The file at `path`; used by one thread at a time. Everything may block.

    `is_flushed`: a receipt is on the disk when it has been appended, not only with the system.

    :raises OSError: from every method, if the disk fails.
    """

    def __init__(self, path: str, disk: Disk, *, is_flushed: bool) -> None:
        self.path = path
        self._disk = disk
        self._is_flushed = is_flushed
        self._size_bytes = 0

    def open(self, known_bytes: int) -> Iterator[tuple[Receipt, int, int]]:
        """Every sound receipt behind the first `known_bytes`, with its place and its size.

        A line that has no end was never acted on, and is cut.
        """
        size = self._size()
        if known_bytes > size:
            _log.error(
                "{path} has lost its end: it was {count} octets", path=self.path, count=known_bytes
            )
        end = min(known_bytes, size)
        for place, line in self.lines(end):
            if line.endswith(b"\n"):
                try:
                    yield read_receipt(line), place, len(line)
                except StoreError as error:
                    _log.error(
                        "{path} at {place}: {error}", path=self.path, place=place, error=error
                    )
                end = place + len(line)
        if end < size:
            _log.warn("{path} is cut to whole lines", path=self.path)
            self._disk.truncate(self.path, end)
        self._size_bytes = end

    def append(self, receipt: Receipt) -> tuple[int, int]:
        """Put a receipt behind the others, on the disk; its place and its size.
        If that fails, nothing of it counts.
        """
        line, place = write_receipt(receipt), self._size_bytes
        if self._size() > place:
            # What is left of one that failed.
            self._disk.truncate(self.path, place)
        self._disk.append(self.path, line, flush=self._is_flushed)
        if self._is_flushed and not place:
            self._disk.sync_folder(os.path.dirname(self.path))
        self._size_bytes = place + len(line)
        return place, len(line)

    def read(self, place: int, size: int) -> Receipt:
        """The receipt in that place.

        :raises StoreError: if no receipt stands there.
        """
        return read_receipt(self._disk.read(self.path, place, size))

    def _size(self) -> int:
        try:
            return self._disk.size(self.path)
        except FileNotFoundError:
            return 0

    def lines(self, place: int = 0) -> Iterator[tuple[int, bytes]]:
        """The lines from `place` on, each with its place and its end, the last maybe without."""
        left, size = b"", self._size()
        while place + len(left) < size:
            data = self._disk.read(self.path, place + len(left), _CHUNK_BYTES)
            if not data:
                return
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                yield place, line + b"\n"
                place += len(line) + 1
        if left:
            yield place, left
