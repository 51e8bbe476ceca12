"""The recording as a whole: its sides are put together here, and its data folder is taken.

What each side does is said in its own folder: `queue` for the writing side as the reactor sees
it, `reading` for looking back, `deleting` for what is kept; `writing` and `deleting` have the
threads. This is one idea: what each of them is given can be read side by side.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Thread

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.disk import Disk
from vidlink.errors import StoreError, UserMistake
from vidlink.interfaces import IVitals
from vidlink.model import KEEP_ALL, DiskSpace, Policy, RecordingHealth
from vidlink.quantities import bounds
from vidlink.store.deleting.keeping import Keeping
from vidlink.store.deleting.remover import Remover
from vidlink.store.deleting.reserve import Reserve
from vidlink.store.files.durability import choose_durability
from vidlink.store.files.folder import DataFolder, take_folder
from vidlink.store.files.notes import read_seen
from vidlink.store.files.paths import Paths
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.files.sound import MOST_PARTS, SoundParts
from vidlink.store.files.stored import StoredSession
from vidlink.store.film.reel import Reels
from vidlink.store.handover.inbox import PATIENCE_SECONDS, CallInReactor, Inbox, RunInPool
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Report
from vidlink.store.handover.removals import Removals
from vidlink.store.handover.suspects import Suspects
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.queue.ledger import Ledger
from vidlink.store.reading.archive import Archive
from vidlink.store.reading.scrub import Scrub
from vidlink.store.reading.wanted import TailLookup
from vidlink.store.sequences.trusted import TrustedTime
from vidlink.store.starting.recovery import END_REASON, Recovery
from vidlink.store.writing.part import OpenParts
from vidlink.store.writing.writer import Writer

QUEUE_BYTES = 256 * 1024 * 1024
QUEUE_SEGMENTS = 65_536
OPEN_PARTS = 2_048
INDEX_BYTES = 64 * 1024 * 1024
#: Nothing is scrubbed while the queue for the disk is as full as this.
CALM_LOAD = 0.05
#: A start that fails with less room than this is put down to it.
_ROOM_TO_START = 1024 * 1024


@implementer(IVitals)
class RecordingStore:
    """Everything that is recorded, in the data folder `path`.

    The `ledger` is its writing side (`IStore`), the `archive` its reading side (`IArchive`),
    `keeping` what is kept of it (`IRetention`); they may be handed out before :meth:`open`, and
    asked after it.

    :param monotonic: seconds that never go back.
    :param elapsed: the same, counting also what the computer sleeps: the clock that arrivals are
        stamped by. By default there is no such sleep.
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
    :param scrub_days: within so many days everything that is recorded is checked once; 0: it is
        not, but by whoever reads it.
    :param index_bytes: so much memory is spent on the records of films asked for last.
    """

    _log = Logger()

    #: The two that run in threads: there from :meth:`open` on.
    writer: Writer
    remover: Remover

    def __init__(
        self,
        path: str,
        *,
        monotonic: Callable[[], float],
        elapsed: Callable[[], float] | None = None,
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
        scrub_days: float = 0.0,
        disk: Disk | None = None,
    ) -> None:
        self._path = path
        self._monotonic = monotonic
        self._wall_clock_us = wall_clock_us
        self._call_in_reactor = call_in_reactor
        self._run_in_pool = run_in_pool
        self._durability = durability
        self._policy = policy
        self._pause = pause
        self._queue_bytes = queue_bytes
        self._open_parts = open_parts
        self._disk = Disk() if disk is None else disk
        self._inbox = Inbox()
        self._suspects = Suspects(self._inbox)
        self._sound = SoundParts(self._disk, wall_clock_us)
        self._locks = SessionLocks()
        self._trusted = TrustedTime(wall_clock_us, elapsed or monotonic, monotonic)
        self._removals = Removals()
        # As it is given: a daemon goes to another folder before it opens this, and not after.
        paths = Paths(os.path.normpath(path))
        self._catalog = Catalog(paths.index)
        self._receipts = ReceiptFile(paths.receipts, self._disk, is_flushed=durability == "disk")
        self.ledger = Ledger(
            self._inbox,
            queue_bytes=queue_bytes,
            queue_segments=queue_segments,
            look_up_tails=TailLookup(self._catalog, self._locks, run_in_pool, monotonic).wanted,
            seconds=monotonic,
            elapsed=elapsed or monotonic,
            wall_clock_us=wall_clock_us,
            trusted=self._trusted,
        )
        self.counts = self.ledger.counts
        self.archive = Archive(
            stored=lambda *ids: StoredSession(self._disk, paths.session(*ids), self._sound),
            ledger=self.ledger,
            catalog=self._catalog,
            reels=Reels(index_bytes, self._suspects),
            locks=self._locks,
            run_in_pool=run_in_pool,
            trusted=self._trusted,
            suspects=self._suspects,
        )
        self.keeping = Keeping(
            paths=paths,
            disk=self._disk,
            ledger=self.ledger,
            catalog=self._catalog,
            receipts=self._receipts,
            locks=self._locks,
            inbox=self._inbox,
            removals=self._removals,
            policy=policy,
            call_in_reactor=call_in_reactor,
            run_in_pool=run_in_pool,
            wall_clock_us=wall_clock_us,
            trusted=self._trusted,
        )
        self.scrub = Scrub(
            scrub_days,
            path=paths.scrub,
            marker=paths.marker,
            disk=self._disk,
            catalog=self._catalog,
            stored=lambda *ids: StoredSession(self._disk, paths.session(*ids)),
            sound=self._sound,
            suspects=self._suspects,
            locks=self._locks,
            run_in_pool=run_in_pool,
            is_calm=self._is_calm,
            seconds=monotonic,
            now_us=self._trusted.now_us,
            counts=self.counts,
        )
        self._taken = ExitStack()
        self._has_threads = False
        self._is_stopping = False
        self._stopped: Deferred[None] = Deferred()

    def open(self) -> None:
        """Take the data folder and make everything in it agree. May block for seconds.

        To be called once, before the reactor runs.

        :raises UserMistake: the folder cannot be used, or its disk is full.
        :raises StoreError: what is in it cannot be read or written.
        """
        with ExitStack() as undo:
            folder = take_folder(self._path, self._disk)
            undo.callback(folder.release)
            if self._disk.free_bytes(folder.paths.root) < _ROOM_TO_START:
                Reserve(folder.paths.reserve, self._disk).give_all()
            try:
                self._recover(folder, undo)
            except StoreError as error:
                if self._disk.free_bytes(folder.paths.root) < _ROOM_TO_START:
                    raise UserMistake(
                        f"the disk of the data folder {folder.paths.root} is full; make room"
                    ) from error
                raise
            self._taken = undo.pop_all()
        self._log.info("recordings are kept {policy}", policy=bounds(self._policy))

    def _recover(self, folder: DataFolder, undo: ExitStack) -> None:
        """Make everything in `folder` agree, and make who will write and delete in it."""
        paths = folder.paths
        durability = choose_durability(self._durability, paths.root, self._disk)
        undo.callback(durability.close)
        # Where no `syncfs` covers the database, each commit has to reach the disk by itself.
        synchronous = "FULL" if durability.has_to_flush else "NORMAL"
        index = Index(paths.index, folder.uuid, synchronous if durability.has_sync else "OFF")
        undo.callback(index.close)
        recovery = Recovery(
            paths,
            self._disk,
            index,
            durability,
            self._receipts,
            self._wall_clock_us(),
            seen=read_seen(paths.clock, self._disk),
            trusted=self._trusted,
        )
        try:
            is_used = recovery.run()
        except OSError as error:
            raise StoreError(f"the recordings in {paths.root} cannot be read: {error}") from error
        undo.callback(self._catalog.close)
        self._sound.most_parts = _share(MOST_PARTS, 32)
        undo.callback(self._sound.forget_all)
        open_parts = OpenParts(self._disk, _share(self._open_parts, 4))
        # Who reads has the paths as they were given, who writes from the root on.
        self._sound.is_written = lambda path: open_parts.has(os.path.abspath(path))
        self.writer = Writer(
            folder=folder,
            open_parts=open_parts,
            durability=durability,
            index=index,
            catalog=self._catalog,
            locks=self._locks,
            inbox=self._inbox,
            removals=self._removals,
            monotonic=self._monotonic,
            deliver=partial(self._call_in_reactor, self._apply),
            queue_bytes=self._queue_bytes,
        )
        self.remover = Remover(
            folder=folder,
            disk=self._disk,
            catalog=self._catalog,
            receipts=self._receipts,
            locks=self._locks,
            inbox=self._inbox,
            removals=self._removals,
            policy=self._policy,
            monotonic=self._monotonic,
            wall_clock_us=self._wall_clock_us,
            trusted=self._trusted,
            pause=self._pause,
            forget=self._sound.forget,
        )
        self.ledger.open(is_used)

    def _apply(self, report: Report) -> None:
        self.ledger.apply(report)
        self.keeping.apply(report)
        self.archive.apply(report)

    def start(self) -> None:
        """Begin to write, and to delete, in a thread each; without it, rounds are done by whoever
        calls ``writer.round()`` and ``remover.round()``."""
        self._has_threads = True
        deleting = _thread("remover", self.remover.run)
        deleting.start()
        _thread("writer", self.writer.run, partial(self._wrote_everything, deleting)).start()

    def stop(self) -> Deferred[None]:
        """End live sessions, write and sync everything, and close; fires when done.

        Called again, or without :meth:`open`, it changes nothing.
        """
        if not self._is_stopping:
            self._is_stopping = True
            is_open = self.ledger.is_open
            self.ledger.end_all(END_REASON, self._wall_clock_us())
            self._removals.close()
            self._inbox.close()
            self.scrub.stop()
            if not self._has_threads:
                if is_open:
                    self.remover.finish()
                    self.writer.finish(0.0, lambda seconds: None)
                self._close()
                self._say_stopped()
        return self._stopped

    def _wrote_everything(self, deleting: Thread) -> None:
        """Close, in the writer's thread, which is done: the database may wait for the disk."""
        deleting.join(PATIENCE_SECONDS)
        self._close()
        self._call_in_reactor(self._say_stopped)

    def _close(self) -> None:
        try:
            self._taken.close()
        except Exception:
            self._log.failure("the data folder could not be closed in order")

    def _say_stopped(self) -> None:
        self.keeping.stop()
        self._stopped.callback(None)

    def health(self) -> RecordingHealth:
        """The state of the recording at this moment."""
        doubt = self._trusted.doubt()
        return replace(
            self.ledger.health(),
            undeleted=self._removals.waiting,
            clock_ahead_seconds=0.0 if doubt is None else doubt.ahead_us / 1e6,
        )

    def _is_calm(self) -> bool:
        health = self.ledger.health()
        is_well = health.trouble is None and health.index_trouble is None
        return health.is_open and is_well and health.load < CALM_LOAD

    def space(self) -> Deferred[DiskSpace]:
        """Fires with the room on the disk."""
        return self._run_in_pool(self._look_for_room)

    def _look_for_room(self) -> DiskSpace:
        try:
            return DiskSpace(self._disk.free_bytes(self._path), self._disk.total_bytes(self._path))
        except OSError as error:
            raise StoreError(f"the disk cannot be looked at: {error.strerror}") from error


def _share(most: int, part: int) -> int:
    """`most` files, or the share of those that the process may open that is one of `part`."""
    most_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(most, most_open // part))


def _thread(name: str, run: Callable[..., None], *arguments: object) -> Thread:
    # A disk that never answers must not keep the process alive.
    return Thread(target=run, args=arguments, name=f"vidlink-{name}", daemon=True)
