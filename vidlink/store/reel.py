"""Films that have been asked for: what was read of a session's records, kept for the next time.

A reel grows with a live session; when a late segment falls into the middle it is read anew.
What is in a film is decided in `film`, how its bytes are read in `body`.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from zlib import crc32

from vidlink.fmp4 import build_sidx
from vidlink.model import Arrival, Session
from vidlink.store.body import MemorySection, Section, StoredSection
from vidlink.store.disk import Disk
from vidlink.store.film import Scene, references
from vidlink.store.layout import KEYFRAME
from vidlink.store.records import SessionRecords

#: So many films of one session, up to different sequences, keep their heads.
_MOST_HEADS = 8


@dataclass(frozen=True, slots=True)
class Film:
    """A film: its sections in order, and a validator of its bytes."""

    sections: tuple[Section, ...]
    etag: str


class Reel:
    """What has been read of the session in `folder`. Its methods block, in any thread."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk = disk
        self._folder = folder
        self._lock = Lock()
        self._scene = Scene()
        self._counts: dict[int, int] = {}
        self._heads: OrderedDict[int, tuple[bytes, str]] = OrderedDict()

    @property
    def memory_bytes(self) -> int:
        """What it takes of memory."""
        return self._scene.memory_bytes + sum(len(head) for head, _ in self._heads.values())

    def film(
        self,
        session: Session,
        counts: Mapping[int, int] | None,
        waiting: Iterable[Arrival],
        last: int | None,
    ) -> Film:
        """The film of `session`, with its init, up to sequence `last`.

        `counts` says how many records of each part count; None: all. `waiting` is what is not
        on disk yet, by sequence; of it only what follows behind everything on disk is shown.
        """
        with self._lock:
            self._read(counts)
            scene = self._scene
            count = len(scene.times) if last is None else scene.count_to(last)
            tail, pieces = Scene(before=scene), []
            for arrival in waiting:
                segment = arrival.segment
                if segment.sequence <= scene.seen or (last is not None and segment.sequence > last):
                    continue
                duration_ms = segment.duration_ms
                shown = tail.offer(
                    segment.sequence, arrival.media_time, duration_ms, segment.keyframe
                )
                if shown:
                    tail.strip.add(0, 0, len(segment.data), crc32(segment.data))
                    pieces.append(segment.data)
            head, etag = self._head(session, count, tail)
            stored = StoredSection(self._disk, self._folder, scene.strip, count)
        return Film((MemorySection([head]), stored, MemorySection(pieces)), etag)

    def _read(self, counts: Mapping[int, int] | None) -> None:
        """Read the records that have come since the last time."""
        with SessionRecords(self._disk, self._folder, counts) as records:
            # An older view of a live session must not take back what is known already.
            if all(self._counts.get(part, 0) >= count for part, count in records.counts.items()):
                return
            if not self._extend(records, self._counts):
                self._scene = Scene()
                self._heads.clear()
                self._extend(records, {})
            self._counts = {
                part: max(count, self._counts.get(part, 0))
                for part, count in records.counts.items()
            }

    def _extend(self, records: SessionRecords, known: Mapping[int, int]) -> bool:
        """Put what is behind the `known` records into the scene; False if it is no end of it."""
        scene = self._scene
        offer, place = scene.offer, scene.strip.add
        for part, row in records.beyond(known):
            if row[0] <= scene.seen:
                return False
            if offer(row[0], row[5], row[6], bool(row[9] & KEYFRAME)):
                place(part, row[1], row[2], row[3])
        return True

    def _head(self, session: Session, count: int, tail: Scene) -> tuple[bytes, str]:
        """Init and `sidx` of a film, and its validator: over these, and over the size and the
        checksum of every segment."""
        # A head with something that waits is of no use to the next one who asks.
        is_kept = not tail.times
        if is_kept and count in self._heads:
            self._heads.move_to_end(count)
            return self._heads[count]
        scene = self._scene
        entries = references(scene, count, tail, session.timescale)
        head = session.init
        if entries:
            earliest = scene.times[0] if count else tail.times[0]
            head += build_sidx(
                track_id=session.track_id,
                timescale=session.timescale,
                earliest=earliest,
                references=entries,
            )
        base = scene.strip.size_of_first(count)
        digest = blake2b(head, digest_size=16)
        for numbers in (
            scene.strip.checks[:count] + tail.strip.checks,
            scene.strip.ends[:count] + array("Q", [base + end for end in tail.strip.ends]),
        ):
            digest.update(numbers.tobytes())
        made = head, digest.hexdigest()
        if is_kept:
            self._heads[count] = made
            while len(self._heads) > _MOST_HEADS:
                self._heads.popitem(last=False)
        return made


class Reels:
    """The reels used last, together up to `limit_bytes` of memory, beside the newest."""

    def __init__(self, disk: Disk, limit_bytes: int) -> None:
        self._disk = disk
        self._limit_bytes = limit_bytes
        self._lock = Lock()
        self._reels: OrderedDict[str, Reel] = OrderedDict()

    def reel(self, folder: str) -> Reel:
        """The reel of the session in `folder`."""
        with self._lock:
            found = self._reels.pop(folder, None)
            reel = Reel(self._disk, folder) if found is None else found
            self._reels[folder] = reel
            while self.memory_bytes > self._limit_bytes and len(self._reels) > 1:
                self._reels.popitem(last=False)
            return reel

    @property
    def memory_bytes(self) -> int:
        """What all of them take of memory."""
        return sum(reel.memory_bytes for reel in self._reels.values())
