"""Deleting sessions, for good and with a receipt, in a thread of its own.

Nothing of a session goes before its receipt is on the disk; from then on nothing brings it back,
and a start finishes what a kill has left (`starting.deleted`). This is one idea: the order, and
nothing that could be done apart from it.


1. `handover.locks`: nobody writes to it; the database: it is over, and nobody holds it;
2. the receipt is appended to ``receipts.jsonl`` and synced; readers see the session no more;
3. the writer deletes its rows;
4. its folder is moved to ``deleting/``, and removed there, in slices.

Which sessions go by the policy is decided in `policy`; who asks for one is in `keeping`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.errors import NotFound, SessionHeld, SessionLive, StoreError, VidlinkError
from vidlink.model import DeletionReason, Due, Hold, Policy, Receipt, SessionState, Waiting
from vidlink.store.deleting.policy import what_goes
from vidlink.store.deleting.probation import Probation
from vidlink.store.deleting.receipt import describe, digest_records
from vidlink.store.deleting.reserve import Reserve
from vidlink.store.deleting.trash import Trash
from vidlink.store.deleting.watch import ClockWatch
from vidlink.store.files.folder import DataFolder
from vidlink.store.files.layout import MOST_FILE_BYTES, read_session
from vidlink.store.files.paths import SESSION_FILE
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Forget, SetHold
from vidlink.store.handover.removals import FULL, Removal, Removals
from vidlink.store.index.catalog import Catalog, Filed
from vidlink.store.index.deletions import candidates, last_receipt, totals
from vidlink.store.sequences.gaps import explain
from vidlink.store.sequences.times import Life, age_from_us, state_at
from vidlink.store.sequences.trusted import TrustedTime

#: The policy is looked at so often;
ROUND_SECONDS = 60.0
#: what the disk has left, so often.
LOOK_SECONDS = 1.0
#: So many sessions go at once by the policy, before it is asked again.
MOST_AT_ONCE = 16
#: Among so many of each state the policy chooses at once.
MOST_LOOKED_AT = 1_024
#: The policy does not try again for so long to delete a session that cannot be deleted.
PASS_OVER_SECONDS = 600.0
#: Who deletes what the policy lets go.
POLICY = "policy"


class Remover:
    """Deletes what it is asked to, and what `policy` lets go.

    One thread is in :meth:`run`, or a test calls :meth:`round`.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        folder: DataFolder,
        disk: Disk,
        catalog: Catalog,
        receipts: ReceiptFile,
        locks: SessionLocks,
        inbox: Inbox,
        removals: Removals,
        policy: Policy,
        monotonic: Callable[[], float],
        wall_clock_us: Callable[[], int],
        trusted: TrustedTime,
        pause: Callable[[float], object],
        forget: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._paths = folder.paths
        self._disk = disk
        self._catalog = catalog
        self._receipts = receipts
        self._number = last_receipt(catalog)
        self._locks = locks
        self._inbox = inbox
        self._removals = removals
        self._policy = policy
        self._monotonic = monotonic
        self._wall_clock_us = wall_clock_us
        self._trusted = trusted
        self._forget = forget
        self._probation = Probation(policy, folder.paths.policy, disk, monotonic, trusted)
        self._watch = ClockWatch(trusted, folder.paths.clock, disk, policy)
        self._trash = Trash(folder.paths, disk, pause)
        self._reserve = Reserve(folder.paths.reserve, disk)
        self._going: dict[str, Removal] = {}
        self._due_seconds = float("-inf")
        self._rehearsed: set[str] = set()
        self._passed_over: dict[str, float] = {}
        self._is_stuck = False
        self._complaint = ""
        self._has_begun = False

    def run(self) -> None:
        """Do rounds until `removals` is closed."""
        while not self._removals.is_closing:
            seconds = LOOK_SECONDS
            try:
                seconds = self.round()
            except Exception:
                self._log.failure("a round of deleting failed; the next one comes")
            self._removals.wait(seconds)
        self.finish()

    def finish(self) -> None:
        """Write down what is to be known at the next start."""
        if self._folder_is_there():
            self._watch.keep()

    def round(self) -> float:
        """Do what there is to do; returns after how many seconds to look again."""
        if not self._folder_is_there():
            return LOOK_SECONDS
        if not self._has_begun:
            self._has_begun = True
            self._trash.find()
            self._reserve.fill()
        self._watch.look(self._monotonic())
        self._finish()
        self._trash.empty(lambda: self._removals.is_closing)
        for removal in self._removals.drain():
            self._remove(removal)
        if not self._going and not self._policy.is_off:
            self._apply_policy()
        return LOOK_SECONDS

    def _folder_is_there(self) -> bool:
        """Tell whether the data folder is there. Without it nothing may be deleted: what the
        database says is of a disk that is gone, and the room is that of another one."""
        try:
            self._folder.check()
        except OSError as error:
            if not self._policy.is_off:
                self._complain(str(error.strerror))
            for removal in self._removals.drain():
                removal.answer(_not_now(error))
            return False
        return True

    # One session

    def _remove(self, removal: Removal) -> None:
        """Begin to delete one session, or say why not."""
        try:
            receipt = self._claimed(removal)
        except VidlinkError as error:
            removal.answer(error)
        except OSError as error:
            self._log.error("a session cannot be deleted: {reason}", reason=str(error))
            removal.answer(_not_now(error))
        except Exception:
            self._log.failure("session {session} cannot be deleted", session=removal.session_id)
            removal.answer(StoreError("the session cannot be deleted"))
        else:
            if removal.is_rehearsal:
                removal.answer(receipt)
            return
        if not removal.is_rehearsal:
            # What cannot go must not keep others from going.
            self._passed_over[removal.session_id] = self._monotonic() + PASS_OVER_SECONDS

    def _claimed(self, removal: Removal) -> Receipt:
        session_id = removal.session_id
        if not self._locks.lock_for_deleting(session_id):
            if self._locks.is_hidden(session_id):
                raise NotFound(f"there is no session {session_id} of {removal.sentinel_id}")
            raise SessionLive("the session is being written to; it can be deleted when it is over")
        try:
            receipt = self._describe(self._may_go(removal), removal)
            if not removal.is_rehearsal:
                self._let_go(removal, receipt)
        except BaseException:
            self._locks.release_from_deleting(session_id)
            raise
        if removal.is_rehearsal:
            self._locks.release_from_deleting(session_id)
        return receipt

    def _may_go(self, removal: Removal) -> Filed:
        filed = self._catalog.session(removal.sentinel_id, removal.session_id)
        if filed is None:
            raise NotFound(f"there is no session {removal.session_id} of {removal.sentinel_id}")
        if filed.record.state is SessionState.LIVE:
            raise SessionLive("the session is live; it can be deleted when it is over")
        hold = filed.record.hold
        if hold is None and (hold := self._hold_in_folder(removal)) is not None:
            # The folder is the truth: a kill, or a copy put back, has left the database behind.
            self._inbox.put(SetHold(removal.sentinel_id, removal.session_id, hold))
        if hold is not None:
            raise SessionHeld(f"the session is held: {hold.reason}")
        return filed

    def _hold_in_folder(self, removal: Removal) -> Hold | None:
        folder = self._paths.session(removal.sentinel_id, removal.session_id)
        path = os.path.join(folder, SESSION_FILE)
        try:
            data = self._disk.read(path, 0, MOST_FILE_BYTES)
            # A wrong bit somewhere else in it takes nothing from the hold.
            return read_session(data, is_checked=False).hold
        except (OSError, StoreError):
            return None

    def _describe(self, filed: Filed, removal: Removal) -> Receipt:
        session = filed.record.session
        folder = self._paths.session(session.sentinel_id, session.session_id)
        spans, gaps = self._catalog.spans(filed.row), self._catalog.gaps(filed.row)
        # As history has shown it: its time may be over, which the database need not know yet.
        record = filed.record
        state = state_at(record.state, age_from_us(record), self._trusted.now_us())
        life = Life.of(replace(record, state=state))
        record = replace(record, spans=spans, gaps=explain(spans, gaps, life))
        return describe(record, removal, digest_records(folder, self._disk))

    def _let_go(self, removal: Removal, receipt: Receipt) -> None:
        """Write the receipt; when that is on the disk there is no way back."""
        number, now_us = self._number + 1, self._wall_clock_us()
        receipt = replace(receipt, number=number, deleted_time_us=now_us)
        self._folder.check()
        place, size = self._append(receipt)
        self._number = number
        session_id = removal.session_id
        self._locks.hide(session_id)
        removal.receipt = receipt
        self._going[session_id] = removal
        order = Forget(removal.sentinel_id, session_id, number, place, size)
        self._inbox.put(order, is_awaited=removal.reason is DeletionReason.ASKED)
        self._log.info(
            "session {session} of {sentinel} is deleted ({reason}, by {by}): receipt {number}",
            session=session_id,
            sentinel=removal.sentinel_id,
            reason=removal.reason.value,
            by=removal.by,
            number=number,
        )

    def _append(self, receipt: Receipt) -> tuple[int, int]:
        while True:
            try:
                return self._receipts.append(receipt)
            except OSError as error:
                if error.errno not in FULL or not self._reserve.give():
                    raise

    def _finish(self) -> None:
        """Remove what the database has let go, or cannot let go now; it will."""
        for session_id, is_done in self._removals.drain_forgotten():
            removal = self._going.get(session_id)
            if removal is not None and not removal.is_gone:
                removal.is_gone = True
                self._trash.move_in(removal.sentinel_id, session_id)
                self._trash.empty(lambda: self._removals.is_closing)
                self._forget(self._paths.session(removal.sentinel_id, session_id))
                removal.answer(removal.receipt)
            if is_done:
                self._going.pop(session_id, None)
                self._locks.release_from_deleting(session_id)
                self._reserve.fill()
                # What has been said until now was of a disk that had not its room yet.
                self._removals.is_full = False

    # The policy

    def _apply_policy(self) -> None:
        now = self._monotonic()
        try:
            free_bytes = self._disk.free_bytes(self._paths.root)
        except OSError as error:
            self._complain(f"the disk does not say what it has left: {error.strerror}")
            return
        # Who writes says so every second as long as it is.
        is_full, self._removals.is_full = self._removals.is_full, False
        wanted = self._policy.min_free_bytes
        is_short = wanted is not None and (is_full or free_bytes < wanted)
        if now < self._due_seconds and not is_short:
            return
        self._due_seconds = now + ROUND_SECONDS
        self._passed_over = {one: end for one, end in self._passed_over.items() if end > now}
        try:
            due = self._due(free_bytes, is_full, MOST_AT_ONCE, self._trusted.ages_from_us())
        except StoreError as error:
            self._complain(str(error))
            return
        if self._has_to_wait(free_bytes, is_full):
            # What the disk needs to go on recording cannot wait: one session at a time.
            due = due[:1] if is_full and is_short else []
        if self._policy.is_rehearsal:
            self._rehearse(due)
            return
        for one in due:
            ids = one.candidate.sentinel_id, one.candidate.session_id
            self._remove(Removal(*ids, reason=one.reason, by=POLICY))
        if self._going:
            self._due_seconds = now
        self._say_whether_stuck(is_short and not self._going and self._probation.is_over)

    def _has_to_wait(self, free_bytes: int, is_full: bool) -> bool:
        """Tell whether the policy is new and may not delete yet; say for what else is waited."""

        def due(most: int, now_us: int) -> list[Due]:
            return self._due(free_bytes, is_full, most, now_us)

        waiting: list[Waiting] = []
        try:
            if not self._probation.is_over:
                waiting += self._probation.waiting(due, lambda: totals(self._catalog))
            waiting += self._watch.waiting(lambda: candidates(self._catalog, MOST_LOOKED_AT))
        except StoreError as error:
            self._complain(str(error))
        self._removals.waiting = tuple(waiting)
        return not self._probation.is_over

    def _due(self, free_bytes: int, is_full: bool, most: int, now_us: int) -> list[Due]:
        """The first sessions that would go if it were `now_us`, so many at most.

        :raises StoreError: if the database cannot be read: that is not that nothing would go.
        """
        most_looked_at = max(most, MOST_LOOKED_AT) + len(self._passed_over)
        found = candidates(self._catalog, most_looked_at)
        goes = what_goes(
            self._policy,
            [one for one in found if one.session_id not in self._passed_over],
            # It costs a look at every row of the database, which only this bound needs.
            total_bytes=0 if self._policy.max_bytes is None else totals(self._catalog).bytes,
            free_bytes=free_bytes,
            now_us=now_us,
            is_full=is_full,
        )
        due = list(islice(goes, most))
        self._complain("")
        return due

    def _rehearse(self, due: list[Due]) -> None:
        """Say once of each session that it would go."""
        names = {one.candidate.session_id for one in due}
        for one in due:
            if one.candidate.session_id not in self._rehearsed:
                self._log.info(
                    "session {session} of {sentinel} would be deleted ({reason})",
                    session=one.candidate.session_id,
                    sentinel=one.candidate.sentinel_id,
                    reason=one.reason.value,
                )
        self._rehearsed = names

    def _complain(self, reason: str) -> None:
        """Say once why nothing can be deleted."""
        if reason and reason != self._complaint:
            self._log.error("nothing is deleted by the policy: {reason}", reason=reason)
        self._complaint = reason

    def _say_whether_stuck(self, is_stuck: bool) -> None:
        if is_stuck and not self._is_stuck:
            self._log.error(
                "the disk has less room than --min-free-bytes wants, and there is nothing that "
                "may be deleted: what there is is live or held"
            )
        self._is_stuck = is_stuck


def _not_now(error: OSError) -> StoreError:
    return StoreError(f"the session cannot be deleted now: {error.strerror}")
