"""Taking a sentinel's place in the spool's folder: is it ours, and does nobody else use it?

Several sentinels may name the same folder; each has one of its own in it. What is in that is
read by `recovery`.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass

from twisted.logger import Logger

from vidlink.disk import Disk, Locked, is_for_others, sign_lock, take_lock
from vidlink.errors import UserMistake
from vidlink.sentinel.spool.layout import FORMAT

_log = Logger()

MARKER = "vidlink-spool.json"
#: The names that may lie in a folder that we begin to use.
_HARMLESS = frozenset({"lost+found", f"{MARKER}.new"})


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """The folder of one sentinel, which this process has for itself."""

    path: str
    lock: int

    def sign(self) -> None:
        """Tell whoever finds it in use which process has it.

        :raises OSError: if it cannot be written.
        """
        sign_lock(self.lock)

    def release(self) -> None:
        """Let others have it."""
        os.close(self.lock)


def take_folder(root: str, sentinel_id: str, disk: Disk) -> SpoolFolder:
    """Open the folder of `sentinel_id` in the spool at `root`; what is missing is begun.

    :raises UserMistake: if it cannot be used; the text says why and what to do.
    """
    root = os.path.abspath(root)
    try:
        _begin(root, disk)
        path = os.path.join(root, "sentinels", sentinel_id)
        disk.make_folders(os.path.dirname(path))
        # What is on a person's screen is nobody else's business.
        os.makedirs(path, 0o700, exist_ok=True)
        for folder in filter(is_for_others, (root, path)):
            _log.warn(
                "others on this machine can look into the spool {folder}, or write to it; "
                "close it with: chmod o= {folder}",
                folder=folder,
            )
        return SpoolFolder(path, take_lock(os.path.join(path, "lock")))
    except Locked as locked:
        raise UserMistake(
            f"the spool {root} is in use by another sentinel with the id {sentinel_id} (process "
            f"{locked.owner}); stop that one, or name another folder with --spool"
        ) from None
    except OSError as error:
        raise UserMistake(
            f"the spool {root} cannot be used: {error.strerror or error}; "
            "name a folder with --spool that the sentinel may write to"
        ) from error


def _begin(root: str, disk: Disk) -> None:
    """Refuse what is not ours before anything is written into it; mark what is new."""
    if not os.path.isdir(root):
        _make(root)
    # Two sentinels may begin the same folder at the same time.
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        names = set(os.listdir(root))
        if MARKER in names:
            _check(os.path.join(root, MARKER), disk)
        elif names - _HARMLESS:
            raise UserMistake(
                f"{root} is no spool of VidLink: it has no {MARKER} and is not empty; "
                "name another folder with --spool"
            )
        else:
            marker = json.dumps({"format": FORMAT}, indent=1).encode("ascii") + b"\n"
            disk.replace(os.path.join(root, MARKER), marker, flush=True)
            disk.sync_folder(root)
    finally:
        os.close(descriptor)


def _make(root: str) -> None:
    if os.path.lexists(root):
        raise UserMistake(f"the spool {root} is not a folder; name another with --spool")
    parent = os.path.dirname(root)
    if os.path.exists(parent) and not os.path.isdir(parent):
        raise UserMistake(
            f"the spool {root} cannot be made: {parent} is not a folder; name another with --spool"
        )
    if not os.path.isdir(parent):
        raise UserMistake(
            f"the spool {root} cannot be made: {parent} does not exist; "
            "make it, or mount the disk that it is on"
        )
    os.makedirs(root, 0o750, exist_ok=True)


def _check(marker: str, disk: Disk) -> None:
    try:
        found = json.loads(disk.read(marker, 0, 65_536))["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserMistake(
            f"{marker} cannot be read ({error!r}); name another folder with --spool"
        ) from error
    if found != FORMAT:
        raise UserMistake(
            f"{marker} is of format {found}, and this version of VidLink reads format {FORMAT}; "
            "use the version that wrote it, or name another folder with --spool"
        )
