"""The writer's orders about closed sessions: to hold them, and to let go of deleted ones.

Sessions that are being written to get their holds from `recording`; the files of a deleted one
are removed by `deleting.remover`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container
from dataclasses import replace

from vidlink.disk import Disk
from vidlink.errors import NotFound, RequestError, StoreError, VidlinkError
from vidlink.store.files.durability import Durability
from vidlink.store.files.folder import DataFolder
from vidlink.store.files.layout import MOST_FILE_BYTES, read_session, write_session
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Forget, Report, SetHold
from vidlink.store.handover.removals import Removals

#: So many holds are written in one round, a tenth of a millisecond each.
MOST_HOLDS = 64
#: The answer to whoever wants to write to a session meanwhile.
BUSY = "the session is being held or deleted; offer it again later"


class ClosedSessions:
    """Orders about sessions that are wholly on disk, and what of them is not durable yet.

    Every order waits for somebody's answer, who bounds how many there are. `removals` is told of
    each :class:`~vidlink.store.handover.orders.Forget` whether the database has done it.
    """

    def __init__(
        self,
        folder: DataFolder,
        disk: Disk,
        durability: Durability,
        locks: SessionLocks,
        removals: Removals,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._durability = durability
        self._locks = locks
        self._removals = removals
        self._to_hold: deque[SetHold] = deque()
        self._held: list[SetHold] = []
        self._to_forget: list[Forget] = []
        #: The database has been told of all :meth:`changes`, and not synced since.
        self.is_saved = False

    def accept(self, order: SetHold | Forget) -> None:
        """Do this with one of the next rounds."""
        if isinstance(order, Forget):
            self._to_forget.append(order)
        else:
            self._to_hold.append(order)

    @property
    def has_work(self) -> bool:
        """True if there is something to do."""
        return bool(self._to_hold or self._held or self._to_forget)

    def is_holding(self, session_id: str) -> bool:
        """Tell whether a hold of it is in its folder, and not in the database yet."""
        return any(order.session_id == session_id for order in self._held)

    def move_out(self, session_ids: Container[str]) -> list[SetHold]:
        """Give the holds of these sessions that are not written yet to the caller."""
        found = [order for order in self._to_hold if order.session_id in session_ids]
        self._to_hold = deque(order for order in self._to_hold if order not in found)
        return found

    def write(self, report: Report) -> None:
        """Write holds into the folders of their sessions."""
        for _ in range(min(len(self._to_hold), MOST_HOLDS)):
            order = self._to_hold.popleft()
            try:
                self._write_hold(order)
            except (VidlinkError, OSError) as error:
                # Of one that is just being deleted there is nothing to release.
                self._locks.release_from_writing(order.session_id)
                if isinstance(error, OSError):
                    error = StoreError(f"the hold cannot be written: {error.strerror}")
                report.not_held.append((order, error))
            else:
                self._held.append(order)

    def _write_hold(self, order: SetHold) -> None:
        folder = self._folder.paths.session(order.sentinel_id, order.session_id)
        path = os.path.join(folder, SESSION_FILE)
        self._folder.check()
        if not self._locks.lock_for_writing(order.session_id):
            raise RequestError("the session is being deleted")
        try:
            file = read_session(self._disk.read(path, 0, MOST_FILE_BYTES))
        except FileNotFoundError:
            raise NotFound(f"there is no session {order.session_id}") from None
        data = write_session(replace(file, hold=order.hold))
        flush_files = self._durability.has_to_flush
        self._disk.replace(path, data, flush=flush_files)
        if flush_files:
            self._disk.sync_folder(folder)

    def changes(self) -> list[SetHold | Forget]:
        """The orders that the database has to be told."""
        return [*self._held, *self._to_forget]

    def failed(self) -> None:
        """Try again: the database could not be told now, or not for good."""
        self.is_saved = False
        for order in self._to_forget:
            self._removals.forgotten(order.session_id, False)

    def done(self, report: Report) -> None:
        """Report all :meth:`changes` as durable, if the database was told of them."""
        if not self.is_saved:
            return
        self.is_saved = False
        for held in self._held:
            self._locks.release_from_writing(held.session_id)
        report.held += self._held
        forgotten, self._to_forget, self._held = self._to_forget, [], []
        report.forgotten += [order.session_id for order in forgotten]
        for order in forgotten:
            self._removals.forgotten(order.session_id, True)
