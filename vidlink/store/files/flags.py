"""Changing what records that were written say of their segments; nothing else of them ever changes.

The flags are in `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from vidlink.disk import Disk
from vidlink.store.files.layout import RECORD_BYTES, read_records

#: So many records, side by side, are written over in one go.
_CHUNK = 1_024


def change_flags(
    disk: Disk, path: str, places: Iterable[int], change: Callable[[int], int]
) -> None:
    """Change the flags of the records in these places, ascending, of the file at `path`, and wait
    until that is on the disk; of what is no record nothing is changed.

    What lies between two of them is written over with itself: so it takes one write for many.
    """
    for _, group in groupby(places, key=lambda place: place // _CHUNK):
        wanted = tuple(group)
        first = wanted[0]
        data = disk.read(path, first * RECORD_BYTES, (wanted[-1] + 1 - first) * RECORD_BYTES)
        records = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
        for place in (one - first for one in wanted if one - first < len(records)):
            for record in read_records(records[place]):
                if record is not None:
                    records[place] = record._replace(flags=change(record.flags)).pack()
        disk.overwrite(path, first * RECORD_BYTES, b"".join(records))
