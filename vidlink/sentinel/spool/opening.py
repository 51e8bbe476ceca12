"""Opening a spool on disk: the folder, what is in it, and the thread that writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.sentinel.spool.account import Account, Stored
from vidlink.sentinel.spool.complaints import Complaints
from vidlink.sentinel.spool.folder import SpoolFolder, take_folder
from vidlink.sentinel.spool.inbox import Inbox
from vidlink.sentinel.spool.recovery import Remains, find_sessions
from vidlink.sentinel.spool.spool import Spool
from vidlink.sentinel.spool.thread import spool_thread
from vidlink.sentinel.spool.writer import Writer

#: The octets that may be on the disk, unless told otherwise.
MOST_BYTES = 4 * 1024 * 1024 * 1024
#: The octets that may wait in memory for a disk that does not take them.
MEMORY_BYTES = 64 * 1024 * 1024
#: One file takes this much, and never more than a sixteenth of what the spool may.
CHUNK_BYTES = 4 * 1024 * 1024
LEAST_CHUNK_BYTES = 64 * 1024
#: So much of a file system is left to others, and never more than a tenth of it.
KEEP_FREE_BYTES = 1024 * 1024 * 1024


def open_spool(
    folder: str,
    sentinel_id: str,
    *,
    most_bytes: int = MOST_BYTES,
    monotonic: Callable[[], float],
    call_in_reactor: Callable[..., object],
    on_trouble: Callable[[str], object],
    disk: Disk | None = None,
    memory_bytes: int = MEMORY_BYTES,
    make_thread: Callable[..., Any] = spool_thread,
    call_when_running: Callable[[Callable[[], object]], object] = lambda start: start(),
) -> Spool:
    """The spool of `sentinel_id` in `folder`, with the sessions that are in it.

    `on_trouble` is called in the reactor's thread with a sentence when something cannot be kept
    on the disk, at most once a minute, and when it can again. To be called before the reactor
    runs, because it reads. `call_when_running` has the thread started: not before the process
    has gone into the background, if it does, for threads do not go along.

    :raises UserMistake: if the folder cannot be used; the text says why and what to do.
    """
    disk = disk or Disk()
    place = take_folder(folder, sentinel_id, disk)
    remains = _find(disk, place)
    inbox = Inbox()
    spool = Spool(
        inbox,
        map(_account, remains),
        most_bytes=most_bytes,
        memory_bytes=memory_bytes,
        complaints=Complaints(folder, on_trouble, monotonic),
    )
    writer = Writer(
        place.path,
        inbox,
        disk,
        chunk_bytes=max(LEAST_CHUNK_BYTES, min(CHUNK_BYTES, most_bytes // 16)),
        keep_free_bytes=min(KEEP_FREE_BYTES, disk.total_bytes(place.path) // 10),
        next_numbers={one.state.session_id: one.next_number for one in remains},
        monotonic=monotonic,
        tell=lambda report: call_in_reactor(spool.reported, report),
        call_in_reactor=call_in_reactor,
    )

    def done() -> None:
        place.release()
        call_in_reactor(spool.ended)

    call_when_running(make_thread(writer, inbox, place.sign, done).start)
    return spool


def _account(remains: Remains) -> Account:
    chunks = (Stored(one.number, one.size_bytes, one.index) for one in remains.chunks)
    return Account(remains.init, remains.state, chunks)


def _find(disk: Disk, place: SpoolFolder) -> list[Remains]:
    try:
        return find_sessions(disk, place.path)
    except OSError as error:
        place.release()
        raise UserMistake(
            f"the spool {place.path} cannot be read: {error.strerror or error}; "
            "name another folder with --spool"
        ) from error
