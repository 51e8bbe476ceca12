"""A spool on disk whose rounds are done by hand, and whose process can be killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes import media
from tests.faulty_disk import FaultyDisk
from vidlink.model import Segment, SpooledSession
from vidlink.sentinel.spool.inbox import Inbox
from vidlink.sentinel.spool.opening import MEMORY_BYTES, MOST_BYTES, open_spool
from vidlink.sentinel.spool.spool import Spool
from vidlink.sentinel.spool.writer import Writer

SENTINEL = "desk-12"
SESSION = "session-that-was0"
OTHER = "session-that-is00"


def a_segment(
    sequence: int,
    session_id: str = SESSION,
    *,
    keyframe: bool | None = None,
    filler_bytes: int = 0,
) -> Segment:
    """A segment as the Sentinel makes it, every tenth a keyframe unless said otherwise."""
    is_keyframe = media.is_keyframe(sequence) if keyframe is None else keyframe
    return Segment(
        sentinel_id=SENTINEL,
        session_id=session_id,
        sequence=sequence,
        start_time_us=media.start_time_us(sequence),
        duration_ms=media.FRAME_MS,
        framerate_mhz=5_000,
        is_keyframe=is_keyframe,
        data=media.segment(sequence, keyframe=is_keyframe, filler_bytes=filler_bytes),
    )


class _ByHand:
    def __init__(
        self,
        writer: Writer,
        inbox: Inbox,
        begin: Callable[[], object],
        done: Callable[[], object],
    ) -> None:
        self.writer, self.inbox, self.done = writer, inbox, done

    def start(self) -> None:
        """Nothing happens by itself."""


class Rig:
    """One process after the other with the same folder; `told` is what `on_trouble` was told."""

    def __init__(
        self,
        folder: str,
        most_bytes: int = MOST_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        sentinel_id: str = SENTINEL,
        told: list[str] | None = None,
    ) -> None:
        self.folder = os.path.abspath(folder)
        self.sentinel_id = sentinel_id
        self.disk = FaultyDisk()
        self.told: list[str] = [] if told is None else told
        self.now = 0.0
        self._bounds = {"most_bytes": most_bytes, "memory_bytes": memory_bytes}
        self.start()

    def start(self) -> None:
        """Begin a process."""

        def make(*parts: Any) -> _ByHand:
            self._runner = _ByHand(*parts)
            return self._runner

        self.spool: Spool = open_spool(
            self.folder,
            self.sentinel_id,
            most_bytes=self._bounds["most_bytes"],
            memory_bytes=self._bounds["memory_bytes"],
            monotonic=lambda: self.now,
            call_in_reactor=lambda function, *given: function(*given),
            on_trouble=self.told.append,
            disk=self.disk,
            make_thread=make,
        )

    def write(self) -> float | None:
        """One round: what there is is written, and not synced unless it is time."""
        return self._runner.writer.round()

    def answer(self) -> None:
        """What was asked for is read, and nothing is written."""
        while self._runner.writer.reader.round():
            pass

    def settle(self) -> None:
        """Everything is written and synced, as far as the disk takes it."""
        for _ in range(1_000):
            again = self._runner.writer.round(is_last=True)
            if again is None:
                taken = [-(-path.stat().st_size // 4_096) for path in self._all_chunks()]
                counted = self.spool._stored_bytes
                assert counted == 4_096 * sum(taken), "what is counted is what is there"
            if again != 0.0:
                return

    def kill(self) -> None:
        """The process is gone, and whatever it had not written with it."""
        self._runner.done()

    def close(self) -> Any:
        """The process ends in order; what `close` has given."""
        closed = self.spool.close()
        self._runner.writer.finish(0.0, lambda seconds: None)
        self._runner.done()
        return closed

    def again(self) -> None:
        """Kill it and begin the next."""
        self.kill()
        self.start()

    def shown(self, session_id: str = SESSION) -> SpooledSession:
        """One session."""
        (one,) = (one for one in self.spool.sessions() if one.session_id == session_id)
        return one

    def read(self, session_id: str = SESSION, first: int = 0, last: int = 2**32) -> list[Segment]:
        """All that can be read, whatever it takes."""
        found: list[Segment] = []
        while True:
            pieces: list[tuple[Segment, ...]] = []
            self.spool.read(session_id, first, last).addCallback(pieces.append)
            while not pieces:
                self.answer()
            if not pieces[0]:
                return found
            found += pieces[0]
            first = found[-1].sequence + 1

    def held(self, session_id: str = SESSION) -> list[int]:
        """The sequences that can be read."""
        return [one.sequence for one in self.read(session_id)]

    def dropped(self, session_id: str = SESSION) -> list[tuple[int, int, str]]:
        """What was lost."""
        return [(one.first, one.last, one.cause) for one in self.shown(session_id).dropped]

    @property
    def place(self) -> Path:
        """The folder of the sentinel."""
        return Path(self.folder) / "sentinels" / self.sentinel_id

    def chunks(self, session_id: str = SESSION) -> list[Path]:
        """The files of a session."""
        return sorted((self.place / session_id).glob("*.chunk"))

    def size_bytes(self) -> int:
        """What all chunks take."""
        return sum(path.stat().st_size for path in self._all_chunks())

    def _all_chunks(self) -> list[Path]:
        return list(self.place.glob("*/*.chunk"))
