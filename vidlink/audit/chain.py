"""Entries as lines, each with a digest of itself and of the digest before it.

Who changes, removes or inserts an entry has to make every digest behind it anew, and the last one
stands elsewhere too: in a file of its own, and from time to time in the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

from vidlink.errors import StoreError
from vidlink.model import AuditEntry, Deed

#: The digest before the first entry.
BEGINNING = "0" * 64
#: A line is no longer than this.
MOST_BYTES = 64 * 1024


def write_entry(entry: AuditEntry, previous: str) -> tuple[bytes, AuditEntry]:
    """The line of an entry behind the one with the digest `previous`, and it with its own."""
    entry = replace(entry, digest=_digest(entry, previous))
    known = {**_plain(entry), "previous": previous, "digest": entry.digest}
    return json.dumps(known, separators=(",", ":")).encode("ascii") + b"\n", entry


def read_entry(line: bytes) -> tuple[AuditEntry, str]:
    """An entry, and the digest that it says is before it.

    :raises StoreError: if the line is no entry, or its digest is not its own.
    """
    try:
        known = json.loads(line)
        entry = AuditEntry(
            number=_typed(known["number"], int),
            time_us=_typed(known["time_us"], int),
            deed=Deed(known["deed"]),
            who=_typed(known["who"], str),
            credential_id=_typed(known["credential_id"], str),
            address=_typed(known["address"], str),
            about={
                str(name): value if isinstance(value, int) else _typed(value, str)
                for name, value in known["about"].items()
            },
            digest=_typed(known["digest"], str),
        )
        previous = _typed(known["previous"], str)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"this is no entry: {error!r}") from error
    if _digest(entry, previous) != entry.digest:
        raise StoreError(f"entry {entry.number} is not what was written")
    return entry, previous


def follow(
    lines: Iterable[bytes], number: int | None = None, previous: str | None = None
) -> Iterator[AuditEntry]:
    """The entries of `lines`, each behind the one before.

    :param number: of the entry before the first; None: that is not known.
    :param previous: its digest, likewise.
    :raises StoreError: at the first that is not, or is not what was written.
    """
    for line in lines:
        entry, before = read_entry(line)
        if number is not None and entry.number != number + 1:
            raise StoreError(f"entry {number + 1} is gone: the next one is {entry.number}")
        if previous is not None and before != previous:
            raise StoreError(f"entry {entry.number} was written behind another one than {number}")
        yield entry
        number, previous = entry.number, entry.digest


def _plain(entry: AuditEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "time_us": entry.time_us,
        "deed": entry.deed.value,
        "who": entry.who,
        "credential_id": entry.credential_id,
        "address": entry.address,
        "about": dict(entry.about),
    }


def _digest(entry: AuditEntry, previous: str) -> str:
    told = json.dumps(_plain(entry), separators=(",", ":"), sort_keys=True)
    return sha256(f"{previous}{told}".encode("ascii")).hexdigest()


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} wanted")
    return value
