"""What Sentinels have captured, and what was acknowledged to them, written down line by line.

A journal is written by a process that may be killed at any time, and read by a test that then
knows what has to be in the recordings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vidlink.interfaces import ISpool
from vidlink.model import Octets, Segment, SpooledSession


def media_crc32(data: Octets) -> int:
    """The CRC-32 of a segment from its ``moof`` on: what stands before has the wall clock, which
    may be corrected when it is delivered late."""
    octets = bytes(data)
    return crc32(octets[octets.index(b"moof") - 4 :])


class Journal:
    """The writing end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, what: str, *values: Any) -> None:
        """Add a line; it is with the system when this returns."""
        self._file.write(json.dumps([what, time.monotonic(), *values]) + "\n")


@implementer(ISpool)
class JournalledSpool:
    """A spool, and a line in the journal for whatever happens to what is in it.

    :param spool: what keeps it.
    """

    def __init__(self, spool: ISpool, sentinel_id: str, journal: Journal) -> None:
        self._spool = spool
        self._sentinel_id = sentinel_id
        self._journal = journal

    @property
    def load(self) -> float:
        """How full it is."""
        return float(self._spool.load)

    def sessions(self) -> tuple[SpooledSession, ...]:
        """Every session that is not removed."""
        return self._spool.sessions()

    def begin(self, session_id: str, init: bytes, is_corrected: bool) -> None:
        """A session has begun."""
        self._write("began", session_id, is_corrected)
        self._spool.begin(session_id, init, is_corrected)

    def append(self, segment: Segment) -> None:
        """A segment has been captured."""
        data = bytes(segment.data)
        numbers = segment.sequence, crc32(data), media_crc32(data)
        self._write("captured", segment.session_id, *numbers)
        self._spool.append(segment)

    def drop(self, session_id: str, first: int, last: int, cause: str) -> None:
        """Something is given up."""
        self._write("dropped", session_id, first, last, cause)
        self._spool.drop(session_id, first, last, cause)

    def forget(self, session_id: str, sequence: int) -> None:
        """Everything up to `sequence` is acknowledged."""
        self._write("acknowledged", session_id, sequence)
        self._spool.forget(session_id, sequence)

    def correct(self, session_id: str, offset_us: int) -> None:
        """Its times are corrected from now on."""
        self._write("corrected", session_id, offset_us)
        self._spool.correct(session_id, offset_us)

    def read(self, session_id: str, first: int, last: int) -> Deferred[tuple[Segment, ...]]:
        """What is delivered late."""
        return self._spool.read(session_id, first, last)

    def flush(self, session_id: str) -> Deferred[None]:
        """As it is."""
        flushed: Deferred[None] = self._spool.flush(session_id)
        return flushed

    def remove(self, session_id: str) -> None:
        """It is done with."""
        self._write("removed", session_id)
        self._spool.remove(session_id)

    def close(self) -> Deferred[None]:
        """It is let go of."""
        return self._spool.close()

    def _write(self, what: str, *values: Any) -> None:
        self._journal.write(what, self._sentinel_id, *values)


@dataclass(slots=True)
class Session:
    """What the journal tells of one session.

    `captured` has, by sequence, when and with which CRC-32 of the whole and of the media;
    `is_exact` says that its times were right from the beginning.
    """

    sentinel_id: str
    session_id: str
    is_exact: bool
    captured: dict[int, tuple[float, int, int]] = field(default_factory=dict)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    acknowledged: int = -1
    is_removed: bool = False


def read_journal(path: Path) -> dict[str, Session]:
    """Every session in a journal, by id, in the order in which they began."""
    sessions: dict[str, Session] = {}
    for what, seconds, sentinel_id, session_id, *values in _lines(path):
        if what == "began":
            sessions[session_id] = Session(sentinel_id, session_id, *values)
        session = sessions[session_id]
        if what == "captured":
            sequence, whole, media = values
            assert sequence not in session.captured, "a sequence is captured once"
            session.captured[sequence] = seconds, whole, media
        elif what == "dropped":
            session.dropped.append((values[0], values[1]))
        elif what == "acknowledged":
            session.acknowledged = max(session.acknowledged, values[0])
        elif what == "removed":
            session.is_removed = True
    return sessions


def _lines(path: Path) -> Iterator[list[Any]]:
    """All that are whole: of a process that was killed the last one may not be."""
    *whole, _ = path.read_text().split("\n")
    return (json.loads(line) for line in whole)
