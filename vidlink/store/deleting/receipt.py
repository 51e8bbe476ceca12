"""The receipt of a session that is to go: what it was, and the digest of its index records.

How receipts are kept in the data folder is in `files.receipts`.
"""

from __future__ import annotations

import os
from collections import Counter
from hashlib import sha256

from vidlink.disk import Disk
from vidlink.model import Receipt, SessionRecord
from vidlink.store.files.paths import part_number, records_file
from vidlink.store.handover.removals import Removal

_CHUNK_BYTES = 1024 * 1024


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
