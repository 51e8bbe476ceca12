"""The place of everything in the data folder: names only, nothing is opened here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

#: Name of a part file or of its index: the number counts from 0, with at least four digits.
_PART = re.compile(r"part-([0-9]{4,})\.(mp4|idx)", re.ASCII)

SESSION_FILE = "session.json"


def part_file(number: int) -> str:
    """The name of part `number`: initialization segment and segments."""
    return f"part-{number:04d}.mp4"


def records_file(number: int) -> str:
    """The name of the index records beside part `number`."""
    return f"part-{number:04d}.idx"


def part_number(name: str) -> int | None:
    """The part that the file `name` belongs to; None if it is no part's."""
    match = _PART.fullmatch(name)
    return None if match is None else int(match[1])


def part_numbers(names: Iterable[str]) -> list[int]:
    """The parts that the files `names` belong to, ascending."""
    return sorted({number for name in names if (number := part_number(name)) is not None})


class Paths:
    """The data folder at `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        #: The file that says that the folder is ours, and in which format.
        self.marker = os.path.join(root, "vidlink-data.json")
        #: The file that the one process that uses the folder holds locked.
        self.lock = os.path.join(root, "lock")
        #: The SQLite database.
        self.index = os.path.join(root, "index.sqlite3")
        #: The folder of all recordings, one folder in it for each Sentinel.
        self.recordings = os.path.join(root, "recordings")
        #: The folder of what has a receipt and is still to be removed.
        self.deleting = os.path.join(root, "deleting")
        #: The receipts of what was deleted.
        self.receipts = os.path.join(root, "receipts.jsonl")
        #: The time that the folder has seen.
        self.clock = os.path.join(root, "clock.json")
        #: The policy by which sessions were deleted last.
        self.policy = os.path.join(root, "policy.json")
        #: The place up to which everything was scrubbed.
        self.scrub = os.path.join(root, "scrub.json")
        #: The folder of the audit trail.
        self.audit = os.path.join(root, "audit")
        #: Room that is given up when there is no other for a receipt.
        self.reserve = os.path.join(root, "reserve")

    def session(self, sentinel_id: str, session_id: str) -> str:
        """The folder of one session; both ids have been checked against their patterns."""
        return os.path.join(self.recordings, sentinel_id, session_id)
