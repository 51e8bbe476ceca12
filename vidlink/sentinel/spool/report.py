"""The report of a round, from the spool's thread to the reactor's."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidlink.sentinel.spool.layout import EntryPlace


@dataclass(frozen=True, slots=True)
class Placed:
    """These segments of a session are on the disk, in chunk `number`, which has grown to
    `size_bytes`."""

    session_id: str
    number: int
    size_bytes: int
    places: list[EntryPlace]


@dataclass(slots=True)
class Report:
    """The outcome of a round.

    `room_bytes` is how much more may be written before the file system is too full; `trouble`
    says what could not be written, and is empty if all could.
    """

    placed: list[Placed] = field(default_factory=list)
    room_bytes: int = 0
    trouble: str = ""
