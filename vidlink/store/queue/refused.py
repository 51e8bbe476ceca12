"""Segments for which there is no room: each is in a gap that says so, and why.

There is room or not by `room`; the accounts are kept in `ledger`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vidlink.model import Arrival, Gap
from vidlink.store.queue.account import Account
from vidlink.store.queue.vitals import RecordingVitals
from vidlink.store.sequences.gaps import put_statement
from vidlink.store.sequences.runs import widened


class Refused:
    """The sessions whose segments are being refused.

    `state` hands a gap of an account, by its number, to the writer.
    """

    def __init__(self, vitals: RecordingVitals, state: Callable[[Account, int], None]) -> None:
        self._vitals = vitals
        self._state = state
        self._under_way: dict[str, Account] = {}

    def add(self, account: Account, arrival: Arrival) -> None:
        """Put a refused segment into a gap; a late one leaves the hole that is there."""
        segment, counts = arrival.segment, self._vitals.counts
        number, sequence = account.refusing, segment.sequence
        if number is not None and account.gaps[number].last == sequence - 1:
            gap = account.gaps[number] = replace(account.gaps[number], last=sequence)
            counts.missing[gap.cause] += 1
        elif segment.is_late:
            account.refused = widened(account.refused, sequence)
            counts.refused_late += 1
        else:
            self.end(account)
            account.refusing = self._begin(account, sequence)
            self._under_way[account.session.session_id] = account

    def end(self, account: Account) -> None:
        """End the gap of a session: its segments are accepted again, or none comes any more."""
        if account.refusing is not None:
            self._state(account, account.refusing)
            account.refusing = None
            del self._under_way[account.session.session_id]

    def end_all(self) -> None:
        """End the gaps of all sessions: there is room again for everybody."""
        for account in tuple(self._under_way.values()):
            self.end(account)

    def _begin(self, account: Account, sequence: int) -> int:
        why = self._vitals.why_refused(account.session.session_id)
        gap = Gap(sequence, sequence, why.cause, detail=why.text)
        number = put_statement(account.gaps, gap)
        self._vitals.stated(gap)
        self._state(account, number)
        return number
