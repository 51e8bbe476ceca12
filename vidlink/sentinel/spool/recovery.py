"""The sessions that an earlier process has left in a sentinel's folder, as a start finds them.

Nothing is written and no segment of a sealed chunk is read, so it takes milliseconds.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import is_session_id
from vidlink.sentinel.spool.chunk import chunk_number
from vidlink.sentinel.spool.layout import SavedState
from vidlink.sentinel.spool.scan import Found, read_init, reconcile, scan_chunk

#: The folder of a session that is being removed has this behind its name.
GONE = ".gone"

_log = Logger()


@dataclass(frozen=True, slots=True)
class Remains:
    """One session as it was found, its chunks in order; chunks count on from `next_number`."""

    init: bytes
    state: SavedState
    chunks: list[Found]
    next_number: int


def find_sessions(disk: Disk, folder: str) -> list[Remains]:
    """Every session in a sentinel's `folder`, the oldest first.

    What is no session of ours is left alone.

    :raises OSError: if the folder cannot be read.
    """
    found: list[Remains] = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(GONE) and is_session_id(name.removesuffix(GONE)):
            with contextlib.suppress(OSError):
                remove_session(disk, path)
        elif is_session_id(name) and os.path.isdir(path):
            remains = _find_session(disk, path, name)
            if remains is not None:
                found.append(remains)
    found.sort(key=lambda one: one.state.begun)
    return found


def remove_session(disk: Disk, folder: str) -> None:
    """Remove the chunks in `folder`, and the folder if nothing else is in it.

    :raises OSError: if that fails; the next start tries again.
    """
    for name in os.listdir(folder):
        if chunk_number(name) is not None:
            disk.remove(os.path.join(folder, name))
    if not os.listdir(folder):
        os.rmdir(folder)


def _find_session(disk: Disk, path: str, session_id: str) -> Remains | None:
    numbers = sorted(number for number in map(chunk_number, os.listdir(path)) if number is not None)
    chunks: list[Found] = []
    init: bytes | None = None
    for number in numbers:
        try:
            chunks.append(scan_chunk(disk, path, number))
            init = init or read_init(disk, path, number)
        except OSError as error:
            _log.error("{path}: chunk {number}: {error}", path=path, number=number, error=error)
    states = [one.state for one in chunks if one.state and one.state.session_id == session_id]
    if not init or not states:
        if numbers:
            _log.warn("{path} cannot be read as a session, and is left alone", path=path)
        return None
    return Remains(init, reconcile(chunks, states[-1]), chunks, numbers[-1] + 1)
