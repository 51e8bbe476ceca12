"""Reading chunks back: what is in one, and which segments of a session that makes.

A chunk that was sealed is known from its index alone. One that was not is read whole, entry by
entry: what is damaged or cut off is left out, and the next sound entry is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vidlink.disk import Disk
from vidlink.model import DroppedRange
from vidlink.sentinel.spool.chunk import chunk_path
from vidlink.sentinel.spool.index import ChunkIndex
from vidlink.sentinel.spool.layout import (
    ENTRY_BYTES,
    TRAILER,
    TRAILER_MAGIC,
    Entry,
    EntryKind,
    EntryPlace,
    SavedState,
    next_entry,
    read_entry,
    read_places,
    read_state,
)
from vidlink.sentinel.spool.ranges import DAMAGED, after, insert

#: Segments are this small at most, and so is whatever an honest chunk has in one piece.
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Found:
    """The contents of one chunk.

    `holes` are the sequences before which something was lost, as far as is known; `is_cut` says
    that something may be lost behind the last.
    """

    number: int
    size_bytes: int
    index: ChunkIndex = field(default_factory=ChunkIndex)
    state: SavedState | None = None
    lost: list[int] = field(default_factory=list)
    holes: list[int] = field(default_factory=list)
    is_cut: bool = False


def scan_chunk(disk: Disk, folder: str, number: int) -> Found:
    """Read chunk `number` of the session in `folder`.

    :raises OSError: if it cannot be read.
    """
    path = chunk_path(folder, number)
    descriptor = disk.open_for_reading(path)
    try:
        found = Found(number, disk.size(path))
        if not _read_tail(disk, descriptor, found):
            _walk(disk.pread(descriptor, 0, found.size_bytes), found)
        return found
    finally:
        disk.close(descriptor)


def read_init(disk: Disk, folder: str, number: int) -> bytes | None:
    """The initialization segment at the head of a chunk; None if it is damaged."""
    descriptor = disk.open_for_reading(chunk_path(folder, number))
    try:
        entry = read_entry(disk.pread(descriptor, 0, ENTRY_BYTES))
        if entry is None or entry.kind != EntryKind.INIT or entry.size_bytes > _MOST_BYTES:
            return None
        init = disk.pread(descriptor, ENTRY_BYTES, entry.size_bytes)
        return init if entry.holds(init) else None
    finally:
        disk.close(descriptor)


def _read_tail(disk: Disk, descriptor: int, found: Found) -> bool:
    """Take state and index from the end of a sealed chunk; False if it is not one."""
    trailer = disk.pread(descriptor, max(0, found.size_bytes - TRAILER.size), TRAILER.size)
    if len(trailer) < TRAILER.size:
        return False
    magic, tail_bytes = TRAILER.unpack(trailer)
    if magic != TRAILER_MAGIC or tail_bytes > min(found.size_bytes, _MOST_BYTES):
        return False
    tail = disk.pread(descriptor, found.size_bytes - tail_bytes, tail_bytes)
    noted = read_entry(tail)
    if noted is None or noted.kind != EntryKind.STATE:
        return False
    place = ENTRY_BYTES + noted.size_bytes
    listed = read_entry(tail, place)
    if (
        listed is None
        or listed.kind != EntryKind.INDEX
        or not listed.holds(tail[place + ENTRY_BYTES :])
    ):
        return False
    found.index.fill(*read_places(tail[place + ENTRY_BYTES :]))
    payload = tail[ENTRY_BYTES:place]
    found.state = read_state(payload) if noted.holds(payload) else None
    return True


def _walk(data: bytes, found: Found) -> None:
    place, hole = 0, False
    while place < len(data):
        entry = read_entry(data, place)
        if entry is None:
            following = next_entry(data, place)
            hole = True
            if following is None:
                break
            place = following
            continue
        if entry.kind == EntryKind.SEGMENT and hole:
            found.holes.append(entry.sequence)
            hole = False
        end = place + ENTRY_BYTES + entry.size_bytes
        _add(entry, place, data[place + ENTRY_BYTES : end], found)
        place = end
    found.is_cut = hole


def _add(entry: Entry, place: int, payload: bytes, found: Found) -> None:
    if not entry.holds(payload):
        if entry.kind == EntryKind.SEGMENT:
            found.lost.append(entry.sequence)
    elif entry.kind == EntryKind.SEGMENT:
        found.index.add(EntryPlace(entry.sequence, place, entry.size_bytes, entry.is_keyframe))
    elif entry.kind == EntryKind.STATE:
        found.state = read_state(payload) or found.state


def reconcile(chunks: list[Found], state: SavedState) -> SavedState:
    """Make the indexes of a session's `chunks` agree with its `state`; returns what that is now.

    What is acknowledged or dropped is not held, nothing is held twice, and what was lost without
    a word is remembered as damaged.
    """
    acknowledged = -1 if state.acknowledged is None else state.acknowledged
    last, dropped, hole, expected = acknowledged, state.dropped, False, state.first_chunk
    for chunk in chunks:
        hole = hole or chunk.number > expected
        expected = chunk.number + 1
        chunk.index.forget(last)
        lost = {one for one in chunk.lost if one > last and not _is_elsewhere(one, chunks)}
        for sequence in _notable(chunk, lost):
            if (hole or sequence in chunk.holes) and sequence > last + 1:
                dropped = insert(dropped, DroppedRange(last + 1, sequence - 1, DAMAGED))
            if sequence in lost:
                dropped = insert(dropped, DroppedRange(sequence, sequence, DAMAGED))
            last, hole = sequence, False
        hole = hole or chunk.is_cut
        for gone in dropped:
            chunk.index.discard(gone.first, gone.last)
    known = max(last, *(one.last for one in dropped[-1:]), -1)
    newest = known if state.newest is None else max(known, state.newest)
    if newest > known:
        dropped = insert(dropped, DroppedRange(last + 1, newest, DAMAGED))
    newest_or_none = newest if newest >= 0 else None
    return replace(state, newest=newest_or_none, dropped=after(dropped, acknowledged))


def _is_elsewhere(sequence: int, chunks: list[Found]) -> bool:
    return any(chunk.index.between(sequence, sequence, 0) for chunk in chunks)


def _notable(chunk: Found, lost: set[int]) -> list[int]:
    """Sequences that were in a chunk, in order: all where something was lost, else two."""
    if lost or chunk.holes:
        return sorted({place.sequence for place in chunk.index} | lost)
    return [chunk.index.first, chunk.index.last] if len(chunk.index) else []
