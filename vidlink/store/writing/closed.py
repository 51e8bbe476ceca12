"""What the writer does besides recording: holds of sessions, and letting go of deleted ones.

Sessions that are being written to get their holds from `recording`; the others here. What
becomes of the files of a deleted session is in `remover`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Container
from dataclasses import replace

from vidlink.disk import Disk
from vidlink.errors import NotFound, RequestError, StoreError, VidlinkError
from vidlink.store.files.layout import MOST_FILE_BYTES, read_session, write_session
from vidlink.store.files.paths import SESSION_FILE, Paths
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Forget, Report, SetHold

#: So many holds are written in one round, a tenth of a millisecond each.
MOST_HOLDS = 64
#: What is said to whoever wants to write to a session meanwhile.
BUSY = "the session is being held or deleted; offer it again later"


class ClosedSessions:
    """Orders about sessions that are wholly on disk, and what of them is not durable yet.

    Every order waits for somebody's answer, who bounds how many there are. `forgotten` is told
    of each :class:`~vidlink.store.handover.orders.Forget` whether the database has done it.
    """

    def __init__(
        self,
        paths: Paths,
        disk: Disk,
        locks: SessionLocks,
        check_folder: Callable[[], object],
        forgotten: Callable[[str, bool], object],
    ) -> None:
        self._paths = paths
        self._disk = disk
        self._locks = locks
        self._check_folder = check_folder
        self._forgotten = forgotten
        self._to_hold: deque[SetHold] = deque()
        self._held: list[SetHold] = []
        self._to_forget: list[Forget] = []
        #: Whether the database has been told of all :meth:`changes`, and not synced since.
        self.is_saved = False

    def accept(self, order: SetHold | Forget) -> None:
        """Do this with one of the next rounds."""
        if isinstance(order, Forget):
            self._to_forget.append(order)
        else:
            self._to_hold.append(order)

    @property
    def has_work(self) -> bool:
        """Whether there is something to do."""
        return bool(self._to_hold or self._held or self._to_forget)

    def is_holding(self, session_id: str) -> bool:
        """Whether a hold of it is in its folder, and not in the database yet."""
        return any(order.session_id == session_id for order in self._held)

    def move_out(self, session_ids: Container[str]) -> list[SetHold]:
        """The holds of these that have not been written, which is for the caller now."""
        found = [order for order in self._to_hold if order.session_id in session_ids]
        self._to_hold = deque(order for order in self._to_hold if order not in found)
        return found

    def write(self, report: Report, flush_files: bool) -> None:
        """Write holds into the folders of their sessions."""
        for _ in range(min(len(self._to_hold), MOST_HOLDS)):
            order = self._to_hold.popleft()
            try:
                self._write_hold(order, flush_files)
            except VidlinkError as error:
                report.not_held.append((order, error))
            except OSError as error:
                reason = StoreError(f"the hold cannot be written: {error.strerror}")
                self._locks.release_from_writing(order.session_id)
                report.not_held.append((order, reason))
            else:
                self._held.append(order)

    def _write_hold(self, order: SetHold, flush_files: bool) -> None:
        folder = self._paths.session(order.sentinel_id, order.session_id)
        path = os.path.join(folder, SESSION_FILE)
        self._check_folder()
        if not self._locks.lock_for_writing(order.session_id):
            raise RequestError("the session is being deleted")
        try:
            file = read_session(self._disk.read(path, 0, MOST_FILE_BYTES))
        except FileNotFoundError:
            self._locks.release_from_writing(order.session_id)
            raise NotFound(f"there is no session {order.session_id}") from None
        except StoreError:
            self._locks.release_from_writing(order.session_id)
            raise
        data = write_session(replace(file, hold=order.hold))
        self._disk.replace(path, data, flush=flush_files)
        if flush_files:
            self._disk.sync_folder(folder)

    def changes(self) -> list[SetHold | Forget]:
        """What the database has to be told."""
        return [*self._held, *self._to_forget]

    def failed(self) -> None:
        """The database could not be told now, or not for good; it will be."""
        self.is_saved = False
        for order in self._to_forget:
            self._forgotten(order.session_id, False)

    def done(self, report: Report) -> None:
        """All :meth:`changes` are durable, if they are in the database."""
        if not self.is_saved:
            return
        self.is_saved = False
        for held in self._held:
            self._locks.release_from_writing(held.session_id)
        report.held += self._held
        forgotten, self._to_forget, self._held = self._to_forget, [], []
        for order in forgotten:
            self._forgotten(order.session_id, True)
