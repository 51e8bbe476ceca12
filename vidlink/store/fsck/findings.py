"""Findings of a check of a data folder: one value for each thing that is to be said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FindingKind(Enum):
    """The kind of a finding; the words are those of ``docs/reference/store.md``."""

    INDEX = "index"
    DIFFERS = "differs"
    UNLISTED = "unlisted"
    NO_FOLDER = "no-folder"
    RECEIPT = "receipt"
    DESCRIPTION = "description"
    INIT = "init"
    RECORD = "record"
    SEGMENT = "segment"
    WHOLE_AGAIN = "whole-again"
    NO_RECORDS = "no-records"
    NO_PART = "no-part"
    TAIL = "tail"
    TWICE = "twice"
    UNREADABLE = "unreadable"
    STATED = "stated"
    UNFINISHED = "unfinished"
    STRAY = "stray"


#: Findings that are worth a line and are no damage.
NOTES = frozenset({FindingKind.STATED, FindingKind.UNFINISHED, FindingKind.STRAY})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    `sentinel_id`, `session_id` and `part` say where, as far as it has a place; `first` and
    `last` are sequences, where they are known. `text` is for a person; `mended` says what was
    done about it, and is empty where nothing was.
    """

    kind: FindingKind
    text: str
    sentinel_id: str | None = None
    session_id: str | None = None
    part: int | None = None
    first: int | None = None
    last: int | None = None
    mended: str = ""

    @property
    def is_damage(self) -> bool:
        """True if something is not as it should be."""
        return self.kind not in NOTES
