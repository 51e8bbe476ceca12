"""Taking the data folder: is it ours, can it be written, does nobody else use it?

A marker file with an id of its own says that a folder is ours, and in which format; a lock
keeps a second process out. What is in the folder is read by `starting.recovery`.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from vidlink.disk import FOLDER_MODE, Disk, Locked, is_for_others, share_lock, take_lock
from vidlink.errors import UserMistake
from vidlink.store.files.layout import FORMAT
from vidlink.store.files.paths import Paths

_log = Logger()

#: Names that may lie in a folder that we begin to use.
HARMLESS = frozenset(
    {"lost+found", "lock", "vidlink-data.json.new", "access.sqlite3", "access.sqlite3-journal"}
)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder that this process has for itself."""

    paths: Paths
    uuid: str
    lock: int
    #: Which folder it is to the system: device and inode.
    place: tuple[int, int]
    #: The device that recordings are on.
    device: int

    def check(self) -> None:
        """Make sure that it is still at its path.

        When its disk is unmounted it is not: what is written then reaches another disk, where
        nobody will look for it.

        :raises OSError: if another folder is there now, or none.
        """
        try:
            is_here = _place(self.paths.root) == self.place
        except FileNotFoundError:
            is_here = False
        if not is_here:
            raise OSError(errno.ENOENT, "the data folder is gone; is its disk mounted?")
        try:
            device, _ = _place(self.paths.recordings)
        except FileNotFoundError:
            raise OSError(errno.ENOENT, f"{self.paths.recordings} is gone") from None
        if device != self.device:
            # What makes it durable was chosen for the disk that it was on.
            text = f"{self.paths.recordings} is on another disk by now; restart the server"
            raise OSError(errno.EXDEV, text)

    def release(self) -> None:
        """Let others have it."""
        os.close(self.lock)


def take_folder(root: str, disk: Disk) -> DataFolder:
    """Open the data folder at `root`; an empty or missing one is begun.

    :raises UserMistake: if it cannot be used; the text says why and what to do.
    """
    paths = Paths(os.path.abspath(root))
    try:
        _look(paths)
        if is_for_others(paths.root):
            _log.warn(
                "others on this machine can look into the data folder {root}, or write to it; "
                "close it with: chmod o= {root}",
                root=paths.root,
            )
        return _opened(paths, _lock(paths), lambda: _identify(paths, disk))
    except OSError as error:
        raise UserMistake(
            f"the data folder {paths.root} cannot be used: {error.strerror or error}; "
            "give the server a folder that it may write to"
        ) from error


def inspect_folder(root: str, disk: Disk) -> DataFolder:
    """Open the data folder at `root` for reading: nothing is made, and nothing written.

    As long as it is held no server can take it.

    :raises UserMistake: if it is not one, or cannot be read.
    """
    paths = Paths(os.path.abspath(root))
    try:
        if not os.path.isdir(paths.root):
            raise UserMistake(f"there is no folder {paths.root}; name the data folder of a server")
        if not os.path.exists(paths.marker):
            raise UserMistake(
                f"{paths.root} is not a data folder of VidLink: it has no "
                f"{os.path.basename(paths.marker)}; name the data folder of a server"
            )
        return _opened(paths, _share_lock(paths), lambda: _read_marker(paths, disk))
    except OSError as error:
        reason = error.strerror or error
        raise UserMistake(f"the data folder {paths.root} cannot be read: {reason}") from error


def _opened(paths: Paths, lock: int, identify: Callable[[], str]) -> DataFolder:
    """The folder that is kept by `lock`, which is let go if it cannot be identified."""
    try:
        name = identify()
        device, _ = _place(paths.recordings)
        return DataFolder(paths, name, lock, _place(paths.root), device)
    except BaseException:
        os.close(lock)
        raise


def _place(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _look(paths: Paths) -> None:
    """Refuse what is not ours before anything is written into it."""
    root = paths.root
    try:
        names = set(os.listdir(root))
    except FileNotFoundError:
        parent = os.path.dirname(root)
        if not os.path.isdir(parent):
            raise UserMistake(
                f"the data folder {root} cannot be made: {parent} does not exist; "
                "make it, or mount the disk that it is on"
            ) from None
        os.mkdir(root, FOLDER_MODE)
        return
    except NotADirectoryError:
        raise UserMistake(f"the data folder {root} is not a folder; name another") from None
    if os.path.basename(paths.marker) not in names and not _is_begun(paths, names - HARMLESS):
        raise UserMistake(
            f"{root} is not a data folder of VidLink: it has no {os.path.basename(paths.marker)} "
            "and is not empty; name another folder"
        )


def _is_begun(paths: Paths, names: set[str]) -> bool:
    """True if `names` are no more than what a start leaves that could not write the marker."""
    if names != {os.path.basename(paths.recordings)}:
        return not names
    return os.path.isdir(paths.recordings) and not os.listdir(paths.recordings)


def _lock(paths: Paths) -> int:
    try:
        return take_lock(paths.lock)
    except Locked as locked:
        raise _in_use(paths, locked) from None


def _share_lock(paths: Paths) -> int:
    """Keep servers out, without saying who we are; where no lock is, none has ever run."""
    try:
        return share_lock(paths.lock)
    except FileNotFoundError:
        return os.open(paths.root, os.O_RDONLY | os.O_CLOEXEC)
    except Locked as locked:
        raise _in_use(paths, locked) from None


def _in_use(paths: Paths, locked: Locked) -> UserMistake:
    return UserMistake(
        f"the data folder {paths.root} is in use by another server or a check of it "
        f"(process {locked.owner} had it last); stop that one, or name another folder"
    )


def _identify(paths: Paths, disk: Disk) -> str:
    """The id of the folder; a new one gets one."""
    try:
        return _read_marker(paths, disk)
    except FileNotFoundError:
        return _begin(paths, disk)


def _read_marker(paths: Paths, disk: Disk) -> str:
    data = disk.read(paths.marker, 0, 65_536)
    try:
        known = json.loads(data)
        found, name = known["format"], str(uuid.UUID(known["uuid"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserMistake(
            f"{paths.marker} cannot be read ({error!r}); restore it from a backup"
        ) from error
    if found != FORMAT:
        raise UserMistake(
            f"{paths.root} has format {found}, and this version of VidLink reads format {FORMAT}; "
            "use the version that wrote it"
        )
    if not os.path.isdir(paths.recordings):
        # It is older than the marker. A new one might hide what is on a disk that is not mounted.
        raise UserMistake(
            f"{paths.recordings} is gone; mount the disk that it is on, or restore it, or make an "
            "empty folder there to go on without what was recorded"
        )
    return name


def _begin(paths: Paths, disk: Disk) -> str:
    name = str(uuid.uuid4())
    disk.make_folders(paths.recordings)
    marker = json.dumps({"format": FORMAT, "uuid": name}, indent=1).encode("ascii") + b"\n"
    disk.replace(paths.marker, marker, flush=True)
    disk.sync_folder(paths.root)
    _log.info("a new data folder was begun at {root}", root=paths.root)
    return name
