"""A download on its way into a file: what has come, what it is of, and where it goes when whole.

Beside ``NAME`` stand ``NAME.part`` with what has come and ``NAME.part.json`` with what it is of,
until all is there; so a later run goes on where an earlier one ended, however it ended.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vidlink.client.history import Film
from vidlink.disk import Disk
from vidlink.errors import UserMistake
from vidlink.model import ClipQuery


@dataclass(frozen=True, slots=True)
class SessionClip:
    """A session to be downloaded, or a clip of it."""

    sentinel_id: str
    session_id: str
    clip: ClipQuery


class PartFile:
    """The file of one download; a :class:`~vidlink.client.FilmSink`. Writing blocks.

    :param path: where the whole file goes.
    :param wanted: what it will be. If there is the beginning of the same clip already, and the
        session is still live, the `last` that it was begun with stays.
    :param on_bytes: told how many octets have been written.
    :raises UserMistake: if a file cannot be made or written, here and from every method.
    """

    def __init__(
        self, path: Path, wanted: SessionClip, on_bytes: Callable[[int], None] = lambda size: None
    ) -> None:
        self.path = path
        self.part_path = path.with_name(path.name + ".part")
        self._note_path = path.with_name(path.name + ".part.json")
        self._on_bytes = on_bytes
        self.wanted = wanted
        self.offset = 0
        self.etag: str | None = None
        self.size_bytes: int | None = None
        with self._writing():
            self._descriptor = self._open()
            self._resume()

    @property
    def is_whole(self) -> bool:
        """True if all has come."""
        return self.size_bytes is not None and self.offset == self.size_bytes

    def begin(self, film: Film) -> None:
        """Bytes will come: note of what, and let go of what they replace."""
        self.etag, self.size_bytes, self.offset = film.etag, film.size_bytes, film.offset
        note = {"wanted": asdict(self.wanted), "etag": self.etag, "size": self.size_bytes}
        with self._writing():
            os.ftruncate(self._descriptor, film.offset)
            self._note_path.write_text(json.dumps(note), "utf-8")

    def write(self, data: bytes) -> None:
        """Write the next bytes."""
        rest = memoryview(data)
        with self._writing():
            while rest:
                # The kernel may take less than it is given, such as before the disk is full.
                size = os.pwrite(self._descriptor, rest, self.offset)
                self.offset += size
                rest = rest[size:]
        self._on_bytes(len(data))

    def finish(self) -> None:
        """Put the file, whole and right, durably where it belongs."""
        with self._writing():
            os.fsync(self._descriptor)
            os.replace(self.part_path, self.path)
            self._note_path.unlink(missing_ok=True)
            Disk().sync_folder(str(self.path.parent))
            self.close()

    def forget(self) -> None:
        """Let the next run begin anew: what has come is of no use."""
        self.offset = 0
        with self._writing():
            self._note_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what has come stays, and where nothing has, no file does. May be called
        twice."""
        if self._descriptor >= 0:
            if not os.fstat(self._descriptor).st_size:
                with suppress(OSError):
                    self._note_path.unlink(missing_ok=True)
                    self.part_path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        descriptor = os.open(self.part_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock may have been done, and have renamed the file, meanwhile.
            is_ours = os.path.samestat(os.fstat(descriptor), os.stat(self.part_path))
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            os.close(descriptor)
            raise UserMistake(f"{self.part_path} is being written by somebody else")
        return descriptor

    def _resume(self) -> None:
        held = os.fstat(self._descriptor).st_size
        try:
            note = json.loads(self._note_path.read_text("utf-8"))
            begun = SessionClip(**{**note["wanted"], "clip": ClipQuery(**note["wanted"]["clip"])})
            etag, size = str(note["etag"]), int(note["size"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if _is_same(begun, self.wanted) and held <= size:
            self.wanted, self.etag, self.size_bytes, self.offset = begun, etag, size, held

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserMistake(f"cannot write {self.part_path}: {error.strerror}") from None


def _is_same(begun: SessionClip, wanted: SessionClip) -> bool:
    """True if `wanted` is got by going on with `begun`; a session that is over is wanted whole."""
    if begun.clip.last is not None and wanted.clip.last is not None:
        wanted = replace(wanted, clip=replace(wanted.clip, last=begun.clip.last))
    return begun == wanted
