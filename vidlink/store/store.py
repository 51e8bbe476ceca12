"""The recording as a whole: one object for both of its sides.

Here the pieces are put together; what each does is said in its own module, `ledger` and
`writer` for the writing side, `archive` for the reading side.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.disk import Disk
from vidlink.errors import StoreError, UserMistake
from vidlink.interfaces import IStore, IVitals
from vidlink.model import (
    KEEP_ALL,
    Arrival,
    DiskSpace,
    Gap,
    Policy,
    RecordingCounts,
    RecordingHealth,
    RecordingState,
    Session,
)
from vidlink.store.deleting.keeping import Keeping
from vidlink.store.deleting.remover import Remover
from vidlink.store.deleting.reserve import Reserve
from vidlink.store.files.durability import choose_durability
from vidlink.store.files.folder import DataFolder, take_folder
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.film.body import RunInPool
from vidlink.store.film.reel import Reels
from vidlink.store.handover.locks import Claims
from vidlink.store.handover.orders import CallInReactor, Inbox, Report
from vidlink.store.handover.removals import Removals
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.index.deletions import Stock
from vidlink.store.looking import LookingBack
from vidlink.store.queue.ledger import Ledger
from vidlink.store.reading.archive import Archive
from vidlink.store.reading.wanted import Tail, Tails, WantedRanges
from vidlink.store.starting.recovery import END_REASON, Recovery
from vidlink.store.writing.part import Shelf
from vidlink.store.writing.thread import RemoverThread, WriterThread
from vidlink.store.writing.writer import Writer

QUEUE_BYTES = 256 * 1024 * 1024
QUEUE_SEGMENTS = 65_536
OPEN_PARTS = 2_048
INDEX_BYTES = 64 * 1024 * 1024
#: With less room than this a start that fails is put down to it.
_ROOM_TO_START = 1024 * 1024


@implementer(IStore, IVitals)
class RecordingStore(LookingBack):
    """Everything that is recorded, in the data folder `path`.

    :param monotonic: seconds that never go back.
    :param wall_clock_us: microseconds since the epoch.
    :param call_in_reactor: runs a function in the reactor's thread, from any thread.
    :param run_in_pool: runs a function in a thread of the pool; fires with what it gives.
    :param durability: ``disk``: what is acknowledged survives a power cut; ``os``: it survives
        the death of this process.
    :param policy: what is deleted of itself.
    :param pause: waits so many seconds, in the thread that deletes.
    :param queue_bytes: so many octets may wait to become durable, and of segments
        `queue_segments`; what comes at the bound is not recorded, which a gap tells.
    :param open_parts: so many parts are held open, two descriptors each; a live session has
        one, so 1,000 of them hold 2,000 descriptors. Never more than half of what the
        process may open.
    :param index_bytes: so much memory is spent on the records of films asked for last.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        *,
        monotonic: Callable[[], float],
        wall_clock_us: Callable[[], int],
        call_in_reactor: CallInReactor,
        run_in_pool: RunInPool,
        durability: str = "disk",
        policy: Policy = KEEP_ALL,
        pause: Callable[[float], object] = time.sleep,
        queue_bytes: int = QUEUE_BYTES,
        queue_segments: int = QUEUE_SEGMENTS,
        open_parts: int = OPEN_PARTS,
        index_bytes: int = INDEX_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._path = path
        self._monotonic = monotonic
        self._wall_clock_us = wall_clock_us
        self._call_in_reactor = call_in_reactor
        self._run_in_pool = run_in_pool
        self._wanted = durability
        self._policy = policy
        self._pause = pause
        self._queue = queue_bytes, queue_segments
        self._open_parts = open_parts
        self._index_bytes = index_bytes
        self._disk = Disk() if disk is None else disk
        self._inbox = Inbox()
        self._claims = Claims()
        self._removals = Removals()
        self._nothing = RecordingCounts()
        self._book: Ledger | None = None
        self._thread: WriterThread | None = None
        self._remover_thread: RemoverThread | None = None
        self._stopped: Deferred[None] | None = None
        self._opened: ExitStack | None = None

    def open(self) -> None:
        """Take the data folder and make everything in it agree. May block for seconds.

        To be called once, before the reactor runs. Raises
        :exc:`~vidlink.errors.UserMistake` or :exc:`~vidlink.errors.StoreError`.
        """
        with ExitStack() as undo:
            folder = take_folder(self._path, self._disk)
            undo.callback(folder.release)
            if self._disk.free_bytes(folder.paths.root) < _ROOM_TO_START:
                Reserve(folder.paths.reserve, self._disk).give_all()
            try:
                self._put_together(folder, undo)
            except StoreError as error:
                if self._disk.free_bytes(folder.paths.root) < _ROOM_TO_START:
                    raise UserMistake(
                        f"the disk of the data folder {folder.paths.root} is full; make room"
                    ) from error
                raise
            self._opened = undo.pop_all()

    def _put_together(self, folder: DataFolder, undo: ExitStack) -> None:
        paths = folder.paths
        durability = choose_durability(self._wanted, paths.root, self._disk)
        undo.callback(durability.close)
        # Where no `syncfs` covers the database, each commit has to reach the disk by itself.
        synchronous = "FULL" if durability.flushes_files else "NORMAL"
        index = Index(paths.index, folder.uuid, synchronous if durability.reaches_disk else "OFF")
        undo.callback(index.close)
        receipts = ReceiptFile(paths.receipts, self._disk, flush=durability.reaches_disk)
        now_us = self._wall_clock_us()
        try:
            is_used = Recovery(paths, self._disk, index, durability, receipts, now_us).run()
        except OSError as error:
            raise StoreError(f"the recordings in {paths.root} cannot be read: {error}") from error
        catalog = Catalog(paths.index)
        undo.callback(catalog.close)
        queue_bytes, queue_segments = self._queue
        self._book = self._ledger = Ledger(
            self._inbox,
            queue_bytes=queue_bytes,
            queue_segments=queue_segments,
            is_used=is_used,
            seconds=self._monotonic,
        )
        most_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.writer = Writer(
            paths=paths,
            shelf=Shelf(self._disk, max(1, min(self._open_parts, most_open // 4))),
            durability=durability,
            index=index,
            catalog=catalog,
            claims=self._claims,
            inbox=self._inbox,
            check_folder=folder.check,
            monotonic=self._monotonic,
            deliver=partial(self._call_in_reactor, self._take),
            full=self._removals.full,
            forgotten=self._removals.forgotten,
        )
        self._put_together_keeping(folder, catalog, receipts)
        self._tails = Tails(
            self._ledger,
            catalog,
            lambda name: self._claims.is_hidden(name) or Stock(catalog).is_deleted(name),
            self._run_in_pool,
            self._wall_clock_us,
            self._monotonic,
        )
        self._archive = Archive(
            paths=paths,
            disk=self._disk,
            ledger=self._ledger,
            catalog=catalog,
            reels=Reels(self._disk, self._index_bytes),
            claims=self._claims,
            run_in_pool=self._run_in_pool,
            wall_clock_us=self._wall_clock_us,
        )

    def _put_together_keeping(
        self, folder: DataFolder, catalog: Catalog, receipts: ReceiptFile
    ) -> None:
        shared: dict[str, Any] = {
            "paths": folder.paths,
            "disk": self._disk,
            "catalog": catalog,
            "receipts": receipts,
            "claims": self._claims,
            "inbox": self._inbox,
            "removals": self._removals,
            "policy": self._policy,
            "wall_clock_us": self._wall_clock_us,
        }
        self.remover = Remover(
            **shared,
            last_number=Stock(catalog).last_receipt(),
            check_folder=folder.check,
            monotonic=self._monotonic,
            pause=self._pause,
        )
        self._keeping = Keeping(
            **shared,
            ledger=self._ledger,
            call_in_reactor=self._call_in_reactor,
            run_in_pool=self._run_in_pool,
        )

    def _take(self, report: Report) -> None:
        self._ledger.take(report)
        self._keeping.take(report)

    def start(self) -> None:
        """Begin to write, and to delete, in a thread each. Without it, rounds are done by who
        calls ``writer.round()`` and ``remover.round()``."""
        self._thread = WriterThread(self.writer, self._inbox, self._wrote_everything)
        self._thread.start()
        self._remover_thread = RemoverThread(self.remover, self._removals)
        self._remover_thread.start()

    def stop(self) -> Deferred[None]:
        """End live sessions, write everything, and close; fires when done.

        Called again, or without :meth:`open`, it changes nothing.
        """
        if self._stopped is None:
            self._stopped = Deferred()
            if self._opened is None:
                self._say_stopped()
                return self._stopped
            self._ledger.end_all(END_REASON, self._wall_clock_us())
            self._removals.close()
            self._inbox.close()
            if self._thread is None:
                self.writer.finish(0.0, lambda seconds: None)
                self._close()
                self._say_stopped()
        return self._stopped

    def _wrote_everything(self) -> None:
        """In the writer's thread: it is done. Closing the database may wait for the disk."""
        if self._remover_thread is not None:
            self._remover_thread.join()
        self._close()
        self._call_in_reactor(self._say_stopped)

    def _close(self) -> None:
        if self._opened is not None:
            try:
                self._opened.close()
            except Exception:
                self._log.failure("the data folder could not be closed in order")

    def _say_stopped(self) -> None:
        if self._opened is not None:
            self._keeping.stop()
        if self._stopped is not None:
            self._stopped.callback(None)

    # IStore

    @property
    def load(self) -> float:
        """How full the queue is, 0.0 to 1.0."""
        return self._ledger.load

    def begin(self, session: Session, durable: Any) -> None:
        """Start recording `session`."""
        self._ledger.begin(session, durable)

    def tails(self, sentinel_id: str, tails: Sequence[Tail]) -> Deferred[tuple[WantedRanges, ...]]:
        """What is wanted of earlier sessions."""
        return self._tails.wanted(sentinel_id, tails)

    def reopen(self, session: Session, durable: Any) -> Deferred[None]:
        """Open an earlier session for what comes late."""
        return self._ledger.reopen(session, durable, self._wall_clock_us())

    def append(self, session_id: str, arrival: Arrival) -> bool:
        """Record one segment."""
        return self._ledger.append(session_id, arrival)

    def gap(self, session_id: str, gap: Gap) -> None:
        """Record that sequences are missing."""
        self._ledger.gap(session_id, gap)

    def end(self, session_id: str, reason: str, ended_time_us: int) -> None:
        """The session is over."""
        self._ledger.end(session_id, reason, ended_time_us)

    def seal(self, session_id: str) -> bool:
        """The session is over for good."""
        return self._ledger.seal(session_id)

    def recording(self, session_id: str) -> RecordingState:
        """Whether what is appended reaches the disk."""
        return self._ledger.recording(session_id)

    # IVitals

    @property
    def counts(self) -> RecordingCounts:
        """What the recording has come to."""
        return self._nothing if self._book is None else self._book.counts

    def health(self) -> RecordingHealth:
        """How it does at this moment."""
        return RecordingHealth(is_open=False) if self._book is None else self._book.health()

    def space(self) -> Deferred[DiskSpace]:
        """How much room the disk has."""
        return self._run_in_pool(self._look_for_room)

    def _look_for_room(self) -> DiskSpace:
        try:
            return DiskSpace(self._disk.free_bytes(self._path), self._disk.total_bytes(self._path))
        except OSError as error:
            raise StoreError(f"the disk cannot be looked at: {error.strerror}") from error
