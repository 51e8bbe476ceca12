"""The keeping of sessions, as the reactor asks for it: deleting, holding, receipts, the plan.

Deleting is done by `remover`, holding by `writing.writer`, each in its own thread; looking is
done in the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.disk import Disk
from vidlink.errors import NotFound, SessionLive, StoreError, VidlinkError
from vidlink.interfaces import IRetention
from vidlink.model import DeletionReason, Hold, Policy, Receipt, ReceiptPage, Retention
from vidlink.store.deleting.policy import what_goes
from vidlink.store.files.paths import Paths
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.handover.inbox import CallInReactor, Inbox, RunInPool
from vidlink.store.handover.locks import SessionLocks
from vidlink.store.handover.orders import Report, SetHold
from vidlink.store.handover.removals import Removal, Removals
from vidlink.store.index.catalog import Catalog, clamp_limit
from vidlink.store.index.deletions import candidates, newest_receipts, totals
from vidlink.store.queue.ledger import Ledger
from vidlink.store.queue.room import as_text
from vidlink.store.sequences.trusted import TrustedTime

#: Among so many of each state the plan is made; it names no more than that.
MOST_PLANNED = 10_000


@implementer(IRetention)
class Keeping:
    """Deleting and holding as the reactor asks for it, and who waits for that."""

    _log = Logger()

    def __init__(
        self,
        *,
        paths: Paths,
        disk: Disk,
        ledger: Ledger,
        catalog: Catalog,
        receipts: ReceiptFile,
        locks: SessionLocks,
        inbox: Inbox,
        removals: Removals,
        policy: Policy,
        call_in_reactor: CallInReactor,
        run_in_pool: RunInPool,
        wall_clock_us: Callable[[], int],
        trusted: TrustedTime,
    ) -> None:
        self._paths = paths
        self._disk = disk
        self._ledger = ledger
        self._catalog = catalog
        self._receipts = receipts
        self._locks = locks
        self._inbox = inbox
        self._removals = removals
        self._policy = policy
        self._call_in_reactor = call_in_reactor
        self._run_in_pool = run_in_pool
        self._wall_clock_us = wall_clock_us
        self._trusted = trusted
        #: Orders about holds that are not durable yet, and who waits for each.
        self._asked: list[tuple[SetHold, Deferred[Hold | None]]] = []
        self._deleting: set[Deferred[Receipt]] = set()
        self._is_stopped = False

    def delete(
        self, sentinel_id: str, session_id: str, by: str, *, rehearse: bool
    ) -> Deferred[Receipt]:
        """Delete one session."""
        account = self._ledger.account(session_id)
        if account is not None:
            if account.session.sentinel_id != sentinel_id:
                return fail(NotFound(f"there is no session {session_id} of {sentinel_id}"))
            what = "live" if account.ended is None else "still being written to"
            return fail(SessionLive(f"the session is {what}; it can be deleted when it is over"))
        if self._is_stopped:
            return fail(StoreError("the recording is closed"))
        answer: Deferred[Receipt] = Deferred()
        self._deleting.add(answer)
        tell = partial(self._call_in_reactor, self._deleted, answer)
        reason = DeletionReason.ASKED
        order = Removal(sentinel_id, session_id, reason, as_text(by), rehearse, tell)
        self._removals.ask(order)
        return answer

    def _deleted(self, answer: Deferred[Receipt], outcome: Any) -> None:
        if answer not in self._deleting:
            return
        self._deleting.remove(answer)
        if isinstance(outcome, Receipt):
            answer.callback(outcome)
        else:
            answer.errback(outcome)

    def hold(self, sentinel_id: str, session_id: str, reason: str | None) -> Deferred[Hold | None]:
        """Hold a session, or hold it no more."""
        if self._is_stopped:
            return fail(StoreError("the recording is closed"))
        hold = None
        if reason is not None:
            hold = Hold(as_text(reason), self._wall_clock_us())
        order = SetHold(sentinel_id, session_id, hold)
        account = self._ledger.account(session_id)
        if account is not None and account.session.sentinel_id == sentinel_id:
            return self._hold(order)
        looked_up: Deferred[Any] = self._run_in_pool(self._look_up, sentinel_id, session_id)
        return looked_up.addCallback(lambda _: self._hold(order))

    def _look_up(self, sentinel_id: str, session_id: str) -> None:
        is_hidden = self._locks.is_hidden(session_id)
        if is_hidden or self._catalog.session(sentinel_id, session_id) is None:
            raise NotFound(f"there is no session {session_id} of {sentinel_id}")

    def _hold(self, order: SetHold) -> Deferred[Hold | None]:
        answer: Deferred[Hold | None] = Deferred()
        self._asked.append((order, answer))
        self._inbox.put(order, is_awaited=True)
        return answer

    def apply(self, report: Report) -> None:
        """Apply the report of a round, and tell those who wait."""
        for order in report.held:
            account = self._ledger.account(order.session_id)
            if account is not None:
                account.hold = order.hold
            self._answer(order, None)
        for order, error in report.not_held:
            self._answer(order, error)

    def _answer(self, order: SetHold, error: VidlinkError | None) -> None:
        """Tell who asked for this, and who asked before: what they wanted has been overtaken."""
        places = [place for place, (asked, _) in enumerate(self._asked) if asked is order]
        stop = places[0] + 1 if places else 0
        done = [one for one in self._asked[:stop] if one[0].session_id == order.session_id]
        self._asked = [one for one in self._asked if one not in done]
        for asked, answer in done:
            if error is None:
                answer.callback(asked.hold)
            else:
                answer.errback(error)

    def receipts(self, before: int | None, limit: int) -> Deferred[ReceiptPage]:
        """One page of receipts, newest first."""
        return self._run_in_pool(self._page, before, clamp_limit(limit))

    def _page(self, before: int | None, limit: int) -> ReceiptPage:
        lines = newest_receipts(self._catalog, before, limit + 1)
        found: list[Receipt] = []
        for number, place, size in lines[:limit]:
            try:
                found.append(self._receipts.read(place, size))
            except (OSError, StoreError) as error:
                self._log.error("receipt {number}: {why}", number=number, why=str(error))
        return ReceiptPage(tuple(found), lines[limit - 1][0] if len(lines) > limit else None)

    def retention(self, limit: int) -> Deferred[Retention]:
        """The policy, and what would go by it now."""
        return self._run_in_pool(self._plan, clamp_limit(limit))

    def _plan(self, limit: int) -> Retention:
        total = totals(self._catalog)
        try:
            free_bytes = self._disk.free_bytes(self._paths.root)
        except OSError as error:
            raise StoreError(f"the disk does not say what it has: {error.strerror}") from error
        goes = what_goes(
            self._policy,
            () if self._policy.is_off else candidates(self._catalog, MOST_PLANNED),
            total_bytes=total.bytes,
            free_bytes=free_bytes,
            now_us=self._trusted.ages_from_us(),
        )
        due = list(islice(goes, limit + 1))
        is_more = len(due) > limit
        waiting = self._removals.waiting
        return Retention(self._policy, total, free_bytes, tuple(due[:limit]), is_more, waiting)

    def stop(self) -> None:
        """Tell whoever waits that nobody answers any more."""
        self._is_stopped = True
        asked, self._asked = self._asked, []
        deleting, self._deleting = self._deleting, set()
        waiting: list[Deferred[Any]] = [*(answer for _, answer in asked), *deleting]
        for answer in waiting:
            answer.errback(StoreError("the recording is closed"))
