"""The inbox of the spool's thread: what the reactor's wants to have written, and read.

Segments wait here until they are on the disk, and are read from here until then. The bound of
what may wait is kept by whoever puts it here; everything else is one thing a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Condition

from vidlink.model import Segment
from vidlink.sentinel.spool.layout import EntryPlace, SavedState

#: The outcome of a read: the segments, and the sequences that are damaged.
Answer = Callable[[list[Segment], list[int]], object]


@dataclass(frozen=True, slots=True)
class Read:
    """A wish to have these places of a chunk; `answer` is called in the reactor's thread."""

    session_id: str
    number: int
    places: list[EntryPlace]
    answer: Answer


@dataclass(slots=True)
class Pending:
    """One session, as the writer is to have it on disk.

    `doomed` are chunks of which nothing is held; `is_fresh_due` says that the chunk that is being
    written is one of those, so that another has to be begun first.
    """

    init: bytes
    state: SavedState
    waiting: dict[int, Segment] = field(default_factory=dict)
    doomed: list[int] = field(default_factory=list)
    is_noted: bool = False
    is_fresh_due: bool = False


class Inbox:
    """The orders of the reactor's thread. No method waits for a disk; only :meth:`wait` waits."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._pending: dict[str, Pending] = {}
        self._dirty: dict[str, None] = {}
        self._removed: list[str] = []
        self._reads: list[Read] = []
        self._is_sync_due = False
        self.is_closing = False

    # For the reactor's thread

    def begin(self, init: bytes, state: SavedState, is_noted: bool) -> None:
        """Begin a session; `is_noted`: the disk has it already."""
        with self._condition:
            self._pending[state.session_id] = Pending(init, state, is_noted=is_noted)
            if not is_noted:
                self._touch(state.session_id)

    def put(self, segment: Segment) -> None:
        """Have one more segment written."""
        with self._condition:
            self._pending[segment.session_id].waiting[segment.sequence] = segment
            self._touch(segment.session_id)

    def discard(self, session_id: str, sequences: list[int]) -> None:
        """Let go of these, which need not be written any more, or are on the disk."""
        with self._condition:
            for sequence in sequences:
                self._pending[session_id].waiting.pop(sequence, None)

    def note(self, state: SavedState) -> None:
        """Have the state of a session written."""
        with self._condition:
            pending = self._pending[state.session_id]
            pending.state, pending.is_noted = state, False
            self._touch(state.session_id)

    def doom(self, session_id: str, number: int) -> None:
        """Have a chunk removed that is of no use any more."""
        with self._condition:
            self._pending[session_id].doomed.append(number)
            self._touch(session_id)

    def renew(self, session_id: str) -> None:
        """Have another chunk begun, so that the newest, of which nothing is held, can go."""
        with self._condition:
            self._pending[session_id].is_fresh_due = True
            self._touch(session_id)

    def remove(self, session_id: str) -> None:
        """Have nothing kept of a session."""
        with self._condition:
            del self._pending[session_id]
            self._dirty.pop(session_id, None)
            self._removed.append(session_id)
            self._condition.notify()

    def ask(self, read: Read) -> None:
        """Have this read when there is time."""
        with self._condition:
            self._reads.append(read)
            self._condition.notify()

    def hurry(self) -> None:
        """Have what was put here synced as soon as it is written."""
        with self._condition:
            self._is_sync_due = True
            self._condition.notify()

    def close(self) -> None:
        """Have the thread end; nothing more will come."""
        with self._condition:
            self.is_closing = True
            self._condition.notify()

    def _touch(self, session_id: str) -> None:
        self._dirty[session_id] = None
        self._condition.notify()

    # For the spool's thread

    def wait(self, seconds: float | None, is_reading_only: bool) -> None:
        """Return when there is something to do (`is_reading_only`: something to read), or after so
        many seconds (None: never)."""
        with self._condition:
            self._condition.wait_for(
                lambda: bool(
                    self._reads
                    or self.is_closing
                    or self._removed
                    or ((self._dirty or self._is_sync_due) and not is_reading_only)
                ),
                seconds,
            )

    def collect_sync_due(self) -> bool:
        """True if what is written now is to be synced at once."""
        with self._condition:
            is_due, self._is_sync_due = self._is_sync_due, False
            return is_due

    def collect_reads(self) -> list[Read]:
        """Every read that was asked for."""
        with self._condition:
            reads, self._reads = self._reads, []
            return reads

    def collect_removed(self) -> list[str]:
        """Every session that was removed."""
        with self._condition:
            removed, self._removed = self._removed, []
            return removed

    def dirty(self) -> list[str]:
        """The sessions with something to be done."""
        with self._condition:
            return list(self._dirty)

    def state(self, session_id: str) -> SavedState | None:
        """The state of a session; None if it is removed."""
        with self._condition:
            pending = self._pending.get(session_id)
            return pending.state if pending else None

    def collect(self, session_id: str, after: int, most_bytes: int) -> Pending | None:
        """Everything that is to be done for a session; but of segments those behind `after`, and
        not many more than `most_bytes` of them. None if it is removed meanwhile."""
        with self._condition:
            pending = self._pending.get(session_id)
            if pending is None:
                return None
            chosen: dict[int, Segment] = {}
            for sequence, segment in pending.waiting.items():
                if most_bytes <= 0:
                    break
                if sequence > after:
                    chosen[sequence] = segment
                    most_bytes -= len(segment.data)
            if most_bytes > 0:
                self._dirty.pop(session_id, None)
            work = replace(pending, waiting=chosen)
            pending.doomed, pending.is_noted, pending.is_fresh_due = [], True, False
            return work

    def retry(self, session_id: str, doomed: Iterable[int]) -> None:
        """Have done again what was collected and could not be done."""
        with self._condition:
            pending = self._pending.get(session_id)
            if pending is not None:
                pending.doomed += doomed
                pending.is_noted = False
                self._dirty[session_id] = None
