"""The scrub: what was recorded is read once in a while, for rot that nobody would meet.

A segment is checked when it is read first, and then not before the next start; one that nobody asks
for is not read at all. So everything is read from the disk and checked within `days`, session by
session in the order in which they were filed, a little every second, and only while nothing waits
for the disk. What is found is told to the writer, who looks again and says it for good, just as
what readers meet. Where it stands is kept in the data folder, so that a start does not begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from zlib import crc32

from twisted.logger import Logger
from twisted.python.failure import Failure

from vidlink.disk import Disk
from vidlink.errors import StoreError
from vidlink.model import Ranges, RecordingCounts, ScrubPlace
from vidlink.store.files.notes import read_scrub, write_scrub
from vidlink.store.files.sound import ReadPart, SoundParts
from vidlink.store.files.stored import LookUpStored, StoredSession
from vidlink.store.handover.inbox import RunInPool
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.suspects import Suspects
from vidlink.store.index.catalog import Catalog

#: So many octets a second are read, at least and at most, whatever there is and however soon all of
#: it has to be done.
LEAST_RATE, MOST_RATE = 1024 * 1024, 32 * 1024 * 1024
#: So many sessions are gone through in a second, however little there is of each.
MOST_SESSIONS = 100
#: Its place is kept so often.
KEEP_SECONDS = 60.0
_DAY_US = 24 * 60 * 60 * 1_000_000
_DAY_SECONDS = 24 * 60 * 60
_BEYOND = 2**64 - 1


@dataclass(slots=True)
class _Slice:
    """A little that was checked: how much, and what was found."""

    size_bytes: int = 0
    wrong: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class _Reading:
    """The session that is being read: its row, and the first sequence that was not read yet."""

    row: int
    stored: StoredSession
    sequence: int = 0
    parts: dict[int, ReadPart] = field(default_factory=dict)


class Scrub:
    """Checks everything within `days`; 0: nothing.

    :param path: where its place is kept.
    :param marker: a file that is there as long as the data folder is.
    :param is_calm: whether nothing waits for the disk, and all is well.
    :param seconds: the monotonic clock.
    :param now_us: microseconds since the epoch that are trusted.
    :param counts: where it is counted what came of it.
    """

    _log = Logger()

    def __init__(
        self,
        days: float,
        *,
        path: str,
        marker: str,
        disk: Disk,
        catalog: Catalog,
        stored: LookUpStored,
        sound: SoundParts,
        suspects: Suspects,
        locks: SessionLocks,
        run_in_pool: RunInPool,
        is_calm: Callable[[], bool],
        seconds: Callable[[], float],
        now_us: Callable[[], int],
        counts: RecordingCounts,
    ) -> None:
        self._days = days
        self._path, self._marker = path, marker
        self._disk = disk
        self._catalog = catalog
        self._stored = stored
        self._sound = sound
        self._suspects = suspects
        self._locks = locks
        self._run_in_pool = run_in_pool
        self._is_calm = is_calm
        self._seconds = seconds
        self._now_us = now_us
        self._counts = counts
        self._place: ScrubPlace | None = None
        self._reading: _Reading | None = None
        self._total_bytes = 0
        self._due_bytes = 0.0
        self._asked_seconds = seconds()
        self._kept_seconds = float("-inf")
        self._is_busy = self._is_stopping = False
        self._complaint = ""

    def tick(self) -> None:
        """To be called about once a second: check a little, if it is time and nothing waits."""
        now = self._seconds()
        passed, self._asked_seconds = now - self._asked_seconds, now
        if not self._days or self._is_busy or self._is_stopping or not self._is_calm():
            return
        rate = self._total_bytes / (self._days * _DAY_SECONDS)
        rate = max(LEAST_RATE, min(MOST_RATE, rate))
        self._due_bytes = min(self._due_bytes + rate * passed, rate)
        if self._due_bytes <= 0:
            return
        self._is_busy = True
        self._run_in_pool(self._go_on, self._due_bytes).addCallbacks(
            self._count, self._failed
        ).addBoth(self._rest)

    def stop(self) -> None:
        """Check nothing more."""
        self._is_stopping = True

    def _count(self, found: _Slice) -> None:
        self._complaint = ""
        self._due_bytes -= found.size_bytes
        counts = self._counts
        counts.scrubbed_bytes += found.size_bytes
        counts.scrub_wrong += found.wrong
        counts.scrub_unreadable += found.unreadable
        place = self._place
        if place is not None:
            counts.scrub_progress = (
                1.0 if place.is_over else min(1.0, place.size_bytes / max(1, self._total_bytes))
            )

    def _failed(self, failure: Failure) -> None:
        failure.trap(StoreError, OSError)
        complaint = str(failure.value)
        if complaint != self._complaint and not self._is_stopping:
            self._log.warn("nothing can be scrubbed now: {why}", why=complaint)
        self._complaint = complaint

    def _rest(self, outcome: object) -> object:
        self._is_busy = False
        if isinstance(outcome, Failure):
            self._log.failure("the scrub has a fault", outcome)
        return None

    # In the pool

    def _go_on(self, budget: float) -> _Slice:
        found = _Slice()
        place = self._place
        if place is None:
            place = read_scrub(self._path, self._disk) or ScrubPlace(self._now_us())
            self._total_bytes = self._catalog.total_bytes()
        if place.is_over:
            if self._now_us() - place.began_us < self._days * _DAY_US:
                self._place = place
                return found
            place = ScrubPlace(self._now_us())
            self._total_bytes = self._catalog.total_bytes()
        for _ in range(MOST_SESSIONS):
            if found.size_bytes >= budget or self._is_stopping or place.is_over:
                break
            place = self._step(place, budget, found)
        place = replace(place, size_bytes=place.size_bytes + found.size_bytes)
        self._place = place
        now = self._seconds()
        if place.is_over or now - self._kept_seconds >= KEEP_SECONDS:
            self._kept_seconds = now
            write_scrub(self._path, place, self._disk)
        if place.is_over:
            self._log.info("all that is recorded was checked: {size} bytes", size=place.size_bytes)
        return found

    def _step(self, place: ScrubPlace, budget: float, found: _Slice) -> ScrubPlace:
        """Read on in one session, which is the next if none was begun; returns where it stands."""
        reading = self._reading
        if reading is None:
            following = self._catalog.row_after(place.row)
            if following is None:
                return replace(place, is_over=True)
            row, sentinel_id, session_id = following
            reading = self._reading = _Reading(row, self._stored(sentinel_id, session_id))
        is_hidden = self._locks.is_hidden(reading.stored.ids[1])
        if is_hidden or self._read(reading, budget, found):
            self._reading = None
            return replace(place, row=reading.row)
        return place

    def _read(self, reading: _Reading, budget: float, found: _Slice) -> bool:
        """Check segments of a session, as many as there is time for; True if those were all."""
        stored, wrong, unreadable = reading.stored, Ranges(), Ranges()
        is_all = True
        try:
            with stored.records() as records:
                for part, record in records.between(reading.sequence, _BEYOND):
                    sequence, offset, size, check, *_ = record
                    if found.size_bytes >= budget:
                        reading.sequence, is_all = sequence, False
                        break
                    found.size_bytes += size
                    is_sound = self._is_sound(reading, part, offset, size, check)
                    if not is_sound:
                        (unreadable if is_sound is None else wrong).add(sequence, sequence)
        except OSError as error:
            # Of a disk that is not mounted everything is gone.
            self._disk.size(self._marker)
            if not stored.is_gone:
                self._say(stored, f"its records cannot be read: {error.strerror}")
        self._tell(stored, wrong, unreadable, found)
        return is_all

    def _is_sound(
        self, reading: _Reading, part: int, offset: int, size: int, check: int
    ) -> bool | None:
        """True if a segment is on the disk as it was recorded; None if it cannot be read."""
        try:
            opened = reading.parts.get(part)
            if opened is None:
                path = reading.stored.part_path(part)
                opened = ReadPart(self._disk, self._disk.open_for_reading(path))
                reading.parts = {part: opened}
            # The disk is asked, not the memory; what others use stays there, and nothing else.
            is_used = opened.read_now(offset, 1) is not None
            self._disk.drop(opened.descriptor, offset, size)
            data = opened.read(offset, size)
            if not is_used:
                self._disk.drop(opened.descriptor, offset, size)
        except OSError:
            return None
        return len(data) == size and crc32(data) == check

    def _tell(
        self, stored: StoredSession, wrong: Ranges, unreadable: Ranges, found: _Slice
    ) -> None:
        if (not wrong and not unreadable) or stored.is_gone:
            return
        self._disk.size(self._marker)
        counts = [sum(last - first + 1 for first, last in one) for one in (wrong, unreadable)]
        found.wrong += counts[0]
        found.unreadable += counts[1]
        self._sound.forget(stored.folder)
        if wrong:
            self._suspects.tell(*stored.ids, wrong)
        self._say(
            stored,
            f"{counts[0]} segments are not what was recorded, {counts[1]} cannot be read",
        )

    def _say(self, stored: StoredSession, what: str) -> None:
        sentinel_id, session_id = stored.ids
        self._log.error(
            "session {session} of {sentinel}: {what}",
            session=session_id,
            sentinel=sentinel_id,
            what=what,
        )
