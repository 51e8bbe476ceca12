"""Sessions on their way to the writer: each is handed over as soon as there is room for it.

Used by `ledger`, in the reactor's thread.
"""

from __future__ import annotations

from twisted.logger import Logger

from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.orders import Begin, StateGap
from vidlink.store.queue.account import Account
from vidlink.store.queue.openings import START_BYTES
from vidlink.store.queue.room import Room

#: So many sessions that are over may wait for room to be recorded at all.
MOST_LEFT_OUT = 4_096


class Unstarted:
    """The sessions that the writer does not know yet, for lack of `room`."""

    _log = Logger()

    def __init__(self, inbox: Inbox, room: Room) -> None:
        self._inbox = inbox
        self._room = room
        self._left_out: dict[str, Account] = {}
        self._has_given_up = False

    def add(self, account: Account) -> None:
        """Let the writer know of a session now, or later."""
        if not self.hand_over(account):
            self._left_out[account.session.session_id] = account

    def hand_over(self, account: Account, *, is_last: bool = False) -> bool:
        """Let the writer know of a session, if there is room for it; `is_last`: at any rate."""
        size = len(account.session.init) + START_BYTES
        owner = account.session.sentinel_id
        if is_last or self._room.has(owner, size):
            account.is_handed_over = True
            self._left_out.pop(account.session.session_id, None)
            account.start_bytes = size
            self._room.occupy(owner, size, 0)
            self._inbox.put(Begin(account.session), size, is_beginning=True)
            for number in range(len(account.gaps)):
                self.state(account, number)
        return account.is_handed_over

    def hand_over_all(self, *, is_last: bool = False) -> None:
        """Let the writer know of those for which there was no room; `is_last`: or never."""
        for account in tuple(self._left_out.values()):
            if not self.hand_over(account, is_last=is_last):
                return
            if account.ending is not None:
                self._inbox.put(account.ending)

    def state(self, account: Account, number: int) -> None:
        """Let the writer know of a gap, if it knows of the session; else it comes with that."""
        if account.is_handed_over:
            gap = account.gaps[number]
            self._inbox.put(StateGap(account.session.session_id, number, gap))

    def gives_up(self, account: Account) -> bool:
        """Leave a session that is over out for good, if too many wait; returns whether it is."""
        if len(self._left_out) <= MOST_LEFT_OUT:
            return False
        if not self._has_given_up:
            self._has_given_up = True
            self._log.error("a session is not even listed, for lack of room; maybe more follow")
        del self._left_out[account.session.session_id]
        return True
