"""Orders to delete a session, on their way to the thread that does it, and what is said there.

How a session is deleted is in `remover`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from threading import Condition

from vidlink.disk import Disk
from vidlink.errors import VidlinkError
from vidlink.model import DeletionReason, Receipt, SessionRecord
from vidlink.store.files.paths import part_number, records_file

_CHUNK_BYTES = 1024 * 1024


def _nobody(outcome: object) -> None:
    """Nobody waits for it."""


@dataclass(slots=True)
class Removal:
    """A session that is to be deleted, and who is told; a rehearsal only makes the receipt.

    `answer` is called once, in the thread that deletes, with the receipt or the error.
    """

    sentinel_id: str
    session_id: str
    reason: DeletionReason
    by: str
    is_rehearsal: bool = False
    answer: Callable[[Receipt | VidlinkError | None], object] = _nobody
    receipt: Receipt | None = None
    #: Its files are gone; the database may still know it.
    is_gone: bool = False


class Removals:
    """What crosses to the thread that deletes. Any thread may call; each order has one who waits
    for its answer, so there are no more of them than those."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._orders: list[Removal] = []
        self._forgotten: list[tuple[str, bool]] = []
        self._is_awake = False
        self.closing = False
        #: A write has failed for lack of room since this was last cleared.
        self.is_full = False

    def ask(self, removal: Removal) -> None:
        """Delete this."""
        self._orders_changed(lambda: self._orders.append(removal))

    def forgotten(self, session_id: str, is_done: bool) -> None:
        """The database has let a session go, or cannot at the moment."""
        self._orders_changed(lambda: self._forgotten.append((session_id, is_done)))

    def full(self) -> None:
        """The disk is full."""
        if not self.is_full:
            self.is_full = True
            self._orders_changed(lambda: None)

    def close(self) -> None:
        """The thread is to end."""
        self.closing = True
        self._orders_changed(lambda: None)

    def drain(self) -> list[Removal]:
        """Every order since the last time."""
        with self._condition:
            orders, self._orders = self._orders, []
            return orders

    def drain_forgotten(self) -> list[tuple[str, bool]]:
        """Everything that :meth:`forgotten` was told since the last time."""
        with self._condition:
            forgotten, self._forgotten = self._forgotten, []
            return forgotten

    def wait(self, seconds: float) -> None:
        """Return when there is something new, or after so many seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_awake, seconds)
            self._is_awake = False

    def _orders_changed(self, change: Callable[[], object]) -> None:
        with self._condition:
            change()
            self._is_awake = True
            self._condition.notify()


def describe(record: SessionRecord, removal: Removal, records: tuple[int, str]) -> Receipt:
    """The receipt of a session that is to go, without number and time.

    `record` has its spans and gaps, `records` is what :func:`digest_records` says.
    """
    session = record.session
    lost: Counter[str] = Counter()
    for gap in record.gaps:
        known = gap.first is not None and gap.last is not None
        lost[gap.cause.value] += (gap.last or 0) - (gap.first or 0) + 1 if known else 0
    return Receipt(
        number=None,
        deleted_time_us=None,
        reason=removal.reason,
        by=removal.by,
        sentinel_id=session.sentinel_id,
        session_id=session.session_id,
        name=session.name,
        group=session.group,
        started_time_us=session.started_time_us,
        ended_time_us=record.ended_time_us,
        end_reason=record.end_reason,
        start_time_us=record.start_time_us,
        end_time_us=record.end_time_us,
        first_sequence=record.first_sequence,
        last_sequence=record.last_sequence,
        segment_count=record.segment_count,
        size_bytes=record.size_bytes,
        lost=tuple(sorted(lost.items())),
        parts=records[0],
        records_sha256=records[1],
    )


def digest_records(folder: str, disk: Disk) -> tuple[int, str]:
    """How many parts there are, and the SHA-256 of their records one after the other.

    Raises :exc:`OSError`.
    """
    try:
        numbers = {part_number(name) for name in os.listdir(folder)}
    except FileNotFoundError:
        numbers = set()
    digest = sha256()
    parts = sorted(number for number in numbers if number is not None)
    for number in parts:
        path, place = os.path.join(folder, records_file(number)), 0
        while data := _read(disk, path, place):
            digest.update(data)
            place += len(data)
    return len(parts), digest.hexdigest()


def _read(disk: Disk, path: str, place: int) -> bytes:
    try:
        return disk.read(path, place, _CHUNK_BYTES)
    except FileNotFoundError:
        return b""
