"""Films that have been asked for: what was read of a session's records, kept for the next time.

This is one idea: what of a session is kept, and what makes it something else. A reel grows with a
live session; when a late segment falls into the middle it is read anew, and so it is when damage
was met, which is left out at once (`damage`). What can be shown is decided in `scene`, what stands
before it is made in `head`, how bytes are read in `files.sections`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import Lock
from weakref import ref

from vidlink.fmp4 import Caption, MediaInfo
from vidlink.model import Arrival, Cause, Clip, ClipQuery, Gap, Octets, Range, Session
from vidlink.store.files.columns import Columns
from vidlink.store.files.layout import MISPLACED
from vidlink.store.files.records import SessionRecords
from vidlink.store.files.sections import MemorySection, Section, StoredSection
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.boxes import StoredHeads, tail_of
from vidlink.store.film.captions import FindGaps, captions
from vidlink.store.film.cut import Cut, cut
from vidlink.store.film.damage import MetDamage
from vidlink.store.film.footage import Footage
from vidlink.store.film.head import make_head, media_of
from vidlink.store.film.playlist import Playlist
from vidlink.store.film.scene import Scene
from vidlink.store.handover.suspects import Suspects
from vidlink.store.sequences.gaps import FOUND_WHEN_READ

#: So many films of one session keep their heads, and but for the newest, so much together.
_MOST_KEPT, _MOST_KEPT_BYTES = 8, 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FilmContent:
    """A film: its sections in order, a validator of its bytes, and where it is.

    `again`: the same, if it is known and right still; None: it has to be asked for anew. It never
    waits, and who has that alone keeps nothing of the film in memory.
    """

    sections: tuple[Section, ...]
    etag: str
    clip: Clip
    again: Callable[[], FilmContent | None] = lambda: None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Kept:
    """A film: the first `stored` segments of `scene` that are in it, what waited for the disk
    behind them when it was made, and what stands before them."""

    scene: Scene
    taken: Cut
    stored: int
    waiting: tuple[Octets, ...]
    captions: tuple[Caption, ...]
    head: bytes
    etag: str
    clip: Clip
    is_final: bool
    query: ClipQuery
    #: The sections that stand before them and behind them.
    around: tuple[MemorySection, MemorySection]


class Reel:
    """A stored session as far as it has been read for films. Everything blocks, in any thread."""

    def __init__(self, stored: StoredSession, suspects: Suspects) -> None:
        self._stored = stored
        self._lock = Lock()
        self._damage = MetDamage(stored, suspects)
        self._scene = Scene()
        self._counts: dict[int, int] = {}
        # By validator.
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        # Counted, because others ask for it while films come and go in another thread.
        self._kept_bytes = 0
        self._playlist: Playlist | None = None

    @property
    def memory_bytes(self) -> int:
        """The octets that it takes of memory."""
        kept = self._playlist
        playlist = 0 if kept is None else kept.memory_bytes
        return self._scene.memory_bytes + self._kept_bytes + playlist

    @property
    def has_damage(self) -> bool:
        """True if damage was met, so that its films are not what they were."""
        return bool(self._damage)

    def looked(self, ranges: Iterable[Range]) -> None:
        """The writer has looked at these sequences: their records may be others. Never waits."""
        self._damage.looked(ranges)

    def kept(self, version: str) -> FilmContent | None:
        """The film of this validator, if it is still known, whatever has been recorded since."""
        with self._lock:
            self._look_anew()
            found = self._kept.get(version)
            if found is None:
                return None
            self._kept.move_to_end(version)
        return self._content(found)

    def at_hand(self, query: ClipQuery, version: str | None) -> FilmContent | None:
        """The film of this validator, or without one that of `query` that cannot change any more,
        if it is still known, and nobody else is at it just now. Never waits."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._damage.has_news:
                return None
            if version is None:
                found = next((one for one in self._kept.values() if self._is_of(one, query)), None)
            else:
                found = self._kept.get(version)
            if found is None:
                return None
            self._kept.move_to_end(found.etag)
        finally:
            self._lock.release()
        return self._content(found)

    def _is_of(self, kept: _Kept, query: ClipQuery) -> bool:
        is_all = kept.scene is self._scene and not kept.waiting
        return is_all and kept.is_final and kept.query == query

    def film(
        self,
        session: Session,
        counts: Mapping[int, int] | None,
        waiting: Iterable[Arrival],
        query: ClipQuery,
        gaps: FindGaps = lambda window: (),
        *,
        is_final: bool = False,
    ) -> FilmContent:
        """The film of `session`, with its init: what `query` asks for of it.

        `counts` says how many records of each part count; None: all. `waiting` is what is not
        on disk yet, by sequence; of it only what follows behind everything on disk is shown.
        `gaps` finds out what is missing of a stretch and why; `is_final`: that, too, cannot
        change any more.

        :raises ~vidlink.errors.NotFound: if nothing is in a time range.
        :raises ~vidlink.errors.Damaged: if the init cannot be read.
        """
        media = media_of(session)
        with self._lock:
            self._look_anew()
            self._read(counts, media)
            scene, last = self._scene, query.last
            count = len(scene) if last is None else scene.count_to(last)
            tail, pieces = tail_of(scene, waiting, last, media)
            footage = Footage(scene, count, tail, session.timescale)
            if last is None:
                last = max(scene.seen, tail.seen, 0)
            has_range = query.start_time_us is not None or query.end_time_us is not None
            if not len(footage) and not has_range:
                return _empty(session, last)
            taken = cut(footage, query)
            waits = tuple(pieces[max(0, taken.begin - count) : max(0, taken.stop - count)])
            known = self._known(taken, None) if is_final else None
            if known is None:
                breaks = footage.breaks(taken.begin, taken.stop)
                said = captions(footage, breaks, lambda window: self._explained(gaps(window)))
                known = None if waits else self._known(taken, said)
            if known is not None:
                known = replace(
                    known,
                    is_final=known.is_final or is_final,
                    query=query,
                    clip=replace(known.clip, last=last),
                )
                self._kept[known.etag] = known
                return self._content(known)
            head, etag = make_head(session, footage, taken, said)
            clip = Clip(taken.start_us, taken.end_us, last)
            stored = min(taken.stop, count)
            around = MemorySection([head]), MemorySection(waits)
            made = _Kept(
                scene, taken, stored, waits, said, head, etag, clip, is_final, query, around
            )
            self._kept[etag] = made
            self._trim()
            return self._content(made)

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
            self._look_anew()
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

    def _read(self, counts: Mapping[int, int] | None, media: MediaInfo) -> None:
        """Read the records that have come since the last time."""
        with self._stored.records(counts) as records:
            # An older view of a live session must not take back what is known already.
            if all(self._counts.get(part, 0) >= count for part, count in records.counts.items()):
                return
            known: Mapping[int, int] = self._counts
            while not self._extend(records, known, media):
                # Films that were made of the old scene are still known by their version.
                self._scene, known = Scene(), {}
                self._trim()
            self._counts = {
                part: max(count, self._counts.get(part, 0))
                for part, count in records.counts.items()
            }

    def _extend(self, records: SessionRecords, known: Mapping[int, int], media: MediaInfo) -> bool:
        """Put what is behind the `known` records into the scene; False if it is no end of it, or
        if damage was met in it, which is left out when it is read from its beginning."""
        scene = self._scene
        with StoredHeads(self._stored, media) as heads:
            for part, columns in records.columns_beyond(known):
                if columns.sequences and columns.sequences[0] <= scene.seen:
                    if known:
                        return False
                    # Records that are out of order are damage of theirs: it ends before them.
                    break
                sound = self._without_damaged(columns)
                scene.take(part, sound, heads.reading(part, sound))
        self._damage.meet_all(heads.wrong)
        return not heads.wrong

    def _without_damaged(self, columns: Columns) -> Columns:
        """`columns` with the damaged ones marked: like what is misplaced they are in no film."""
        flags, sequences = bytearray(columns.flags), columns.sequences
        for first, last in self._damage:
            for place in range(bisect_left(sequences, first), bisect_right(sequences, last)):
                flags[place] |= MISPLACED
        return columns._replace(flags=bytes(flags))

    def _explained(self, gaps: Iterable[Gap]) -> list[Gap]:
        # In the same words as it will be stated in, so that the film stays what it is then.
        damage = (
            Gap(first, last, Cause.DAMAGED, detail=FOUND_WHEN_READ) for first, last in self._damage
        )
        return [*gaps, *damage]

    def _miss(self, scene: Scene, places: Sequence[int], wrong: Sequence[int]) -> None:
        """Leave these segments of `scene`, which are damaged, out of films from now on; `wrong`
        are those of them that were read."""
        if not places:
            return
        read = set(wrong)
        with self._lock:
            for place in places:
                sequence = scene.sequences[place]
                self._damage.meet(sequence, scene.places, place, was_read=place in read)
                self._forget(sequence, sequence)
            self._damage.tell()
            self._start_anew()

    def _look_anew(self) -> None:
        """Take in what the writer has found, and that what could not be read can be again."""
        forgotten = self._damage.look_anew()
        for first, last in forgotten:
            self._forget(first, last)
        if forgotten:
            self._start_anew()

    def _forget(self, first: int, last: int) -> None:
        """Forget the films that have any of these sequences: nobody can be given all of them."""
        for one in tuple(self._kept.values()):
            sequences = one.scene.sequences
            low, high = bisect_left(sequences, first), bisect_right(sequences, last)
            if max(low, one.taken.begin) < min(high, one.stored):
                del self._kept[one.etag]

    def _start_anew(self) -> None:
        """Read all of it again when it is asked for next."""
        self._scene, self._counts, self._playlist = Scene(), {}, None
        self._trim()

    def _known(self, taken: Cut, said: tuple[Caption, ...] | None) -> _Kept | None:
        """The film of just this that is kept, all of it from the disk; None for the captions: a
        film that is final."""
        for one in self._kept.values():
            is_same = one.scene is self._scene and one.taken == taken and not one.waiting
            if is_same and (one.is_final if said is None else one.captions == said):
                self._kept.move_to_end(one.etag)
                return one
        return None

    def _content(self, kept: _Kept) -> FilmContent:
        first = min(kept.taken.begin, kept.stored)
        scene = kept.scene
        stored = StoredSection(
            self._stored,
            scene.places,
            kept.stored,
            first=first,
            found_damaged=lambda places, wrong: self._miss(scene, places, wrong),
        )
        sections = kept.around[0], stored, kept.around[1]
        me, mine = ref(self), ref(kept)

        def again() -> FilmContent | None:
            reel, one = me(), mine()
            if reel is None or one is None or reel._damage.has_news:
                return None
            return reel._content(one)

        return FilmContent(sections, kept.etag, kept.clip, again)

    def _trim(self) -> None:
        """Forget the films used least lately, until the others are within bounds."""
        while len(self._kept) > _MOST_KEPT or (
            len(self._kept) > 1 and self._count_kept() > _MOST_KEPT_BYTES
        ):
            self._kept.popitem(last=False)
        self._kept_bytes = self._count_kept()

    def _count_kept(self) -> int:
        """The octets of what is kept; each scene counts once, the one of now elsewhere."""
        scenes = {id(one.scene): one.scene for one in self._kept.values()}
        scenes.pop(id(self._scene), None)
        heads = sum(len(one.head) + sum(map(len, one.waiting)) for one in self._kept.values())
        return heads + sum(scene.memory_bytes for scene in scenes.values())


def _empty(session: Session, last: int) -> FilmContent:
    """A film in which nothing can be shown is the init alone."""
    etag = blake2b(session.init, digest_size=16).hexdigest()
    clip = Clip(session.started_time_us, session.started_time_us, last)
    return FilmContent((MemorySection([session.init]),), etag, clip)


class Reels:
    """The reels used last, together up to `limit_bytes` of memory, beside the newest."""

    def __init__(self, limit_bytes: int, suspects: Suspects) -> None:
        self._limit_bytes = limit_bytes
        self._suspects = suspects
        self._lock = Lock()
        self._reels: OrderedDict[StoredSession, Reel] = OrderedDict()

    def reel(self, stored: StoredSession) -> Reel:
        """The reel of this session."""
        with self._lock:
            reel = self._reels.pop(stored, None) or Reel(stored, self._suspects)
            self._reels[stored] = reel
            while self.memory_bytes > self._limit_bytes and len(self._reels) > 1:
                self._reels.popitem(last=False)
            return reel

    def at_hand(
        self, stored: StoredSession, query: ClipQuery, version: str | None
    ) -> FilmContent | None:
        """A film of this session, if it is known without looking at anything. Never waits long."""
        with self._lock:
            reel = self._reels.get(stored)
            if reel is None:
                return None
            self._reels.move_to_end(stored)
        return reel.at_hand(query, version)

    def looked(self, stored: StoredSession, ranges: Iterable[Range]) -> None:
        """The writer has looked at these sequences of a session. Never waits long."""
        with self._lock:
            reel = self._reels.get(stored)
        if reel is not None:
            reel.looked(ranges)

    @property
    def memory_bytes(self) -> int:
        """The octets that all of them take of memory."""
        return sum(reel.memory_bytes for reel in self._reels.values())
