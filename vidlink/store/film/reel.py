"""Films that have been asked for: what was read of a session's records, kept for the next time.

A reel grows with a live session; when a late segment falls into the middle it is read anew.
What is in a film is decided in `footage`, how its bytes are read in `files.sections`.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from zlib import crc32

from vidlink.disk import Disk
from vidlink.errors import Damaged, NotMedia
from vidlink.fmp4 import build_sidx, moof_offset, rebase_fragment
from vidlink.model import Arrival, Clip, ClipQuery, Octets, Session
from vidlink.store.files.layout import KEYFRAME, MISPLACED
from vidlink.store.files.records import SessionRecords
from vidlink.store.files.sections import Change, MemorySection, Section, StoredSection
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.cut import Cut, clip_of, cut
from vidlink.store.film.footage import Footage, Scene, references
from vidlink.store.film.playlist import Playlist

#: Part, offset and size of a segment.
_Place = tuple[int, int, int]
#: So many films of one session, up to different sequences, keep their heads.
_MOST_HEADS = 8


@dataclass(frozen=True, slots=True)
class FilmContent:
    """A film: its sections in order, a validator of its bytes, and of a time range where it is."""

    sections: tuple[Section, ...]
    etag: str
    clip: Clip | None = None


class Reel:
    """A stored session as far as it has been read for films. Everything blocks, in any thread."""

    def __init__(self, stored: StoredSession) -> None:
        self._stored = stored
        self._lock = Lock()
        self._scene = Scene()
        self._counts: dict[int, int] = {}
        self._heads: OrderedDict[Cut, tuple[bytes, str]] = OrderedDict()
        # Counted, because others ask for it while heads come and go in another thread.
        self._heads_bytes = 0
        self._playlist: Playlist | None = None

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        kept = self._playlist
        playlist = 0 if kept is None else kept.memory_bytes
        return self._scene.memory_bytes + self._heads_bytes + playlist

    def film(
        self,
        session: Session,
        counts: Mapping[int, int] | None,
        waiting: Iterable[Arrival],
        last: int | None,
        query: ClipQuery | None = None,
    ) -> FilmContent:
        """The film of `session`, with its init, up to sequence `last`, or the range `query` of it.

        `counts` says how many records of each part count; None: all. `waiting` is what is not
        on disk yet, by sequence; of it only what follows behind everything on disk is shown.

        :raises ~vidlink.errors.NotFound: if nothing is in the range.
        """
        with self._lock:
            self._read(counts)
            scene = self._scene
            count = len(scene.times) if last is None else scene.count_to(last)
            tail, pieces = _tail(scene, waiting, last)
            footage = Footage(scene, count, tail)
            taken = Cut(0, len(footage)) if query is None else cut(footage, query)
            head, etag = self._head(session, footage, taken)
            begin, stop = min(taken.begin, count), min(taken.stop, count)
            change = _rebasing(taken.rebased_ticks, session.timescale)
            stored = StoredSection(self._stored, scene.places, stop, first=begin, change=change)
            begin, stop = max(0, taken.begin - count), max(0, taken.stop - count)
            waits = MemorySection(pieces[begin:stop], change)
            clip = None if query is None else clip_of(footage, taken)
        return FilmContent((MemorySection([head]), stored, waits), etag, clip)

    def playlist(
        self,
        session: Session,
        counts: Mapping[int, int] | None,
        *,
        is_over: bool,
        is_sealed: bool,
    ) -> tuple[bytes, str]:
        """The HLS playlist of what is durable, and its validator.

        `is_over`: nothing is added to it any more; `is_sealed`: what came late has its place.
        """
        with self._lock:
            playlist = self._playlist
            if playlist is None or playlist.is_whole is not is_sealed:
                playlist = Playlist(session.timescale, is_whole=is_sealed)
            with self._stored.records(counts) as records:
                if not playlist.read(records):
                    playlist = Playlist(session.timescale, is_whole=is_sealed)
                    playlist.read(records)
            self._playlist = playlist
            text = playlist.text(is_over=is_over or is_sealed)
        return text, blake2b(text, digest_size=16).hexdigest()

    def _read(self, counts: Mapping[int, int] | None) -> None:
        """Read the records that have come since the last time."""
        with self._stored.records(counts) as records:
            # An older view of a live session must not take back what is known already.
            if all(self._counts.get(part, 0) >= count for part, count in records.counts.items()):
                return
            if not self._extend(records, self._counts):
                self._scene = Scene()
                self._heads.clear()
                self._heads_bytes = 0
                self._extend(records, {})
            self._counts = {
                part: max(count, self._counts.get(part, 0))
                for part, count in records.counts.items()
            }

    def _extend(self, records: SessionRecords, known: Mapping[int, int]) -> bool:
        """Put what is behind the `known` records into the scene; False if it is no end of it."""
        scene = self._scene
        offer, place = scene.offer, scene.places.add
        keys: list[_Place] = []
        for part, row in records.beyond(known):
            sequence, offset, size, check, start_us, media_time, duration_ms, _, _, flags, _ = row
            if sequence <= scene.seen:
                return False
            is_key = bool(flags & KEYFRAME)
            if flags & MISPLACED:
                # Before everything, so it is not shown.
                media_time = -1
            if offer(sequence, media_time, duration_ms, is_key, start_us):
                place(part, offset, size, check)
                if is_key:
                    keys.append((part, offset, size))
        scene.leads.extend(_read_leads(self._stored, keys))
        return True

    def _head(self, session: Session, footage: Footage, taken: Cut) -> tuple[bytes, str]:
        """Init and `sidx` of a film, and its validator: over these, and over the place and the
        checksum of every segment. How far they are rebased follows from the first."""
        # A head with something that waits is of no use to the next one who asks.
        is_kept = taken.stop <= footage.count
        if is_kept and taken in self._heads:
            self._heads.move_to_end(taken)
            return self._heads[taken]
        entries = references(footage, taken.begin, taken.stop, session.timescale)
        head = session.init
        if entries:
            head += build_sidx(
                track_id=session.track_id,
                timescale=session.timescale,
                earliest=footage.time(taken.begin) - taken.rebased_ticks,
                references=entries,
                first_offset=footage.lead(taken.begin),
            )
        made = head, _validator(head, footage, taken)
        if is_kept:
            self._heads[taken] = made
            self._heads_bytes += len(head)
            while len(self._heads) > _MOST_HEADS:
                _, (oldest, _) = self._heads.popitem(last=False)
                self._heads_bytes -= len(oldest)
        return made


def _read_leads(stored: StoredSession, places: Iterable[_Place]) -> list[int]:
    """The octets before the `moof` of each of these keyframe segments, such as a `prft`.

    The index of a film has to point there. FFmpeg, and with it Chromium, takes a place in the
    index for that of a `moof`; where it is not, it reads fragments twice after a seek, and shows
    wrong pictures. Records do not say it, so the first bytes of the segments are read. What
    cannot be read counts as 0: the film is still there, and says so where it is read.
    """
    descriptors: dict[int, int] = {}
    found: list[int] = []
    try:
        for part, offset, size in places:
            try:
                if part not in descriptors:
                    descriptors[part] = stored.open_part(part)
                found.append(moof_offset(_reading(stored.disk, descriptors[part], offset), size))
            except OSError:
                found.append(0)
    finally:
        for descriptor in descriptors.values():
            stored.disk.close(descriptor)
    return found


def _lead_of(segment: Octets) -> int:
    """The octets before the `moof` of a segment in memory."""
    return moof_offset(lambda place, count: segment[place : place + count], len(segment))


def _reading(disk: Disk, descriptor: int, offset: int) -> Callable[[int, int], Octets]:
    return lambda place, count: disk.pread(descriptor, offset + place, count)


def _tail(scene: Scene, waiting: Iterable[Arrival], last: int | None) -> tuple[Scene, list[Octets]]:
    """The segments that wait behind everything in `scene`, and their bytes."""
    tail, pieces = Scene(before=scene), list[Octets]()
    for arrival in waiting:
        one = arrival.segment
        if one.sequence <= scene.seen or (last is not None and one.sequence > last):
            continue
        media_time = -1 if arrival.is_misplaced else arrival.media_time
        if tail.offer(
            one.sequence, media_time, one.duration_ms, one.is_keyframe, one.start_time_us
        ):
            tail.places.add(0, 0, len(one.data), crc32(one.data))
            if one.is_keyframe:
                tail.leads.append(_lead_of(one.data))
            pieces.append(one.data)
    return tail, pieces


def _validator(head: bytes, footage: Footage, taken: Cut) -> str:
    count, places, tail = footage.count, footage.scene.places, footage.tail.places
    begin, stop = min(taken.begin, count), min(taken.stop, count)
    low, high = max(0, taken.begin - count), max(0, taken.stop - count)
    base = places.size_of_first(count)
    ends = places.ends[begin:stop] + array("Q", [base + end for end in tail.ends[low:high]])
    digest = blake2b(head, digest_size=16)
    digest.update((places.checks[begin:stop] + tail.checks[low:high]).tobytes())
    digest.update(ends.tobytes())
    return digest.hexdigest()


def _rebasing(ticks: int, timescale: int) -> Change | None:
    """A change that takes `ticks` from the times of a segment; None if these are none."""
    if not ticks:
        return None

    def change(segment: memoryview) -> None:
        try:
            rebase_fragment(segment, ticks, timescale)
        except NotMedia as error:
            raise Damaged(f"a segment in this place has no time to change: {error}") from error

    return change


class Reels:
    """The reels used last, together up to `limit_bytes` of memory, beside the newest."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = Lock()
        self._reels: OrderedDict[StoredSession, Reel] = OrderedDict()

    def reel(self, stored: StoredSession) -> Reel:
        """The reel of this session."""
        with self._lock:
            reel = self._reels.pop(stored, None) or Reel(stored)
            self._reels[stored] = reel
            while self.memory_bytes > self._limit_bytes and len(self._reels) > 1:
                self._reels.popitem(last=False)
            return reel

    @property
    def memory_bytes(self) -> int:
        """The octets that all of them take of memory."""
        return sum(reel.memory_bytes for reel in self._reels.values())
