"""What lies in the folder of a session, read without the store's own reading side."""

from __future__ import annotations

import os
from zlib import crc32

from tests.store.rig import Rig
from vidlink.model import Session
from vidlink.store.files.layout import RecordNumbers, read_numbers
from vidlink.store.files.paths import part_file, part_number, records_file


def folder_of(rig: Rig, session: Session) -> str:
    """The folder of a session."""
    return os.path.join(rig.path, "recordings", session.sentinel_id, session.session_id)


def part_numbers(rig: Rig, session: Session) -> list[int]:
    """The parts of a session."""
    names = {part_number(name) for name in os.listdir(folder_of(rig, session))}
    return sorted(number for number in names if number is not None)


def read_part(rig: Rig, session: Session, number: int) -> tuple[bytes, list[RecordNumbers]]:
    """A part and its records, all of which have to be sound."""
    folder = folder_of(rig, session)
    with open(os.path.join(folder, part_file(number)), "rb") as part:
        data = part.read()
    with open(os.path.join(folder, records_file(number)), "rb") as records:
        rows = list(read_numbers(records.read()))
    assert None not in rows, f"a record of part {number} is damaged"
    return data, [row for row in rows if row is not None]


def stored(rig: Rig, session: Session) -> dict[int, bytes]:
    """Every segment of a session by its sequence.

    Each part has to be the init and then its segments, ascending in sequence and in media
    time, without anything between or behind them.
    """
    found: dict[int, bytes] = {}
    for number in part_numbers(rig, session):
        data, rows = read_part(rig, session, number)
        assert data.startswith(session.init), f"part {number} begins with something else"
        place, sequence, media_time = len(session.init), -1, -1
        for row in rows:
            assert row[0] > sequence, f"part {number} goes back"
            assert row[5] > media_time, f"part {number} goes back in time"
            assert row[1] == place, f"part {number} has a hole"
            sequence, media_time, place = row[0], row[5], place + row[2]
            segment = data[row[1] : place]
            assert crc32(segment) == row[3], f"segment {sequence} is not what was recorded"
            found[sequence] = segment
        assert place == len(data), f"part {number} has a tail"
    return found
