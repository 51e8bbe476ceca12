"""The spool as the uplink sees it (:class:`vidlink.interfaces.ISpool`).

Everything here is called in the reactor's thread and none of it touches the disk, which is the
business of `writer`. The spool is put together in `opening`; one without a disk is in `memory`.
What is held, what waits, and what goes at the bound is one idea, and stands together.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.interfaces import ISpool
from vidlink.model import MAX_RANGES, Segment, SpooledSession
from vidlink.sentinel.spool.account import Account, Stored
from vidlink.sentinel.spool.complaints import Complaints
from vidlink.sentinel.spool.inbox import Inbox, Read
from vidlink.sentinel.spool.layout import ENTRY_BYTES, EntryPlace, SavedState
from vidlink.sentinel.spool.ranges import DAMAGED, FULL
from vidlink.sentinel.spool.report import Placed, Report

#: A read gives this much at most, but one segment at least.
READ_BYTES = 1024 * 1024
#: So many sessions are kept, as many as one registration may name; beyond, the oldest goes.
MAX_SESSIONS = MAX_RANGES
#: A chunk in which nothing is held, and which is larger than this, is worth another.
LEAST_RENEWED_BYTES = 64 * 1024
#: A file takes whole blocks.
_BLOCK_BYTES = 4_096


@implementer(ISpool)
class Spool:
    """The spool of one Sentinel.

    :param accounts: the sessions that an earlier process has left, the oldest first.
    :param most_bytes: what may be on the disk, and in memory together with that.
    :param memory_bytes: what may wait in memory.
    :param segment_bytes: what a segment that waits counts beside its octets.
    """

    _full_words = "what waits for the disk has reached its bound"

    def __init__(
        self,
        inbox: Inbox,
        accounts: Iterable[Account],
        *,
        most_bytes: int,
        memory_bytes: int,
        complaints: Complaints,
        segment_bytes: int = ENTRY_BYTES,
    ) -> None:
        self._inbox = inbox
        self._most_bytes = self._bound_bytes = most_bytes
        self._memory_bytes = min(memory_bytes, most_bytes)
        self._segment_bytes = segment_bytes
        self._complaints = complaints
        self._accounts: dict[str, Account] = {}
        self._begun = 0
        self._stored_bytes = 0
        self._waiting_bytes = 0
        self._closing: list[Deferred[None]] = []
        self._flushing: list[tuple[Account, int, Deferred[None]]] = []
        self._is_closed = self._has_ended = False
        for one in accounts:
            self._restore(one)
        self._make_room()

    @property
    def load(self) -> float:
        """The part of the bound that is used, 0.0 to 1.0; if the disk takes nothing, of memory."""
        chunks = (chunk for one in self._accounts.values() for chunk in one.chunks)
        held = self._waiting_bytes + sum(one.size_bytes for one in chunks if len(one.index))
        room = max(self._bound_bytes, self._memory_bytes)
        return min(1.0, max(held / room, self._waiting_bytes / self._memory_bytes))

    def sessions(self) -> tuple[SpooledSession, ...]:
        """Every session that is not removed, the oldest first."""
        return tuple(one.shown() for one in self._accounts.values())

    def begin(self, session_id: str, init: bytes, is_corrected: bool) -> None:
        """Begin a session; nothing if it has begun already."""
        if session_id in self._accounts or self._is_closed:
            return
        while len(self._accounts) >= MAX_SESSIONS:
            self._complaints.full(f"more than {MAX_SESSIONS} sessions wait")
            self.remove(next(iter(self._accounts)))
        self._begun += 1
        state = SavedState(session_id, self._begun, is_corrected)
        self._accounts[session_id] = Account(init, state)
        self._inbox.begin(init, state, is_noted=False)

    def append(self, segment: Segment) -> None:
        """Keep the next segment of a session that has begun."""
        account = self._accounts.get(segment.session_id)
        if account is None or self._is_closed:
            return
        account.note(newest=segment.sequence)
        if account.is_broken and not segment.is_keyframe:
            account.lose(segment.sequence, segment.sequence, FULL)
            self._inbox.note(account.state)
            return
        account.is_broken = False
        account.waiting[segment.sequence] = segment
        self._waiting_bytes += self._cost(segment)
        self._inbox.put(segment)
        self._make_room()

    def drop(self, session_id: str, first: int, last: int, cause: str) -> None:
        """Give up these sequences."""
        account = self._accounts.get(session_id)
        if account is not None:
            self._dropped(account, account.drop(first, last, cause))

    def forget(self, session_id: str, sequence: int) -> None:
        """Forget everything up to `sequence`: it is acknowledged."""
        account = self._accounts.get(session_id)
        if account is not None and sequence >= 0:
            self._dropped(account, account.forget(sequence))

    def correct(self, session_id: str, offset_us: int) -> None:
        """Read this session's times with `offset_us` added from now on; the first word counts."""
        account = self._accounts.get(session_id)
        if account is not None and not account.state.is_corrected:
            account.note(is_corrected=True, offset_us=offset_us)
            self._inbox.note(account.state)

    def read(self, session_id: str, first: int, last: int) -> Deferred[tuple[Segment, ...]]:
        """Held segments from `first` to `last`; those on the disk, and those that wait for it,
        not in one."""
        account = self._accounts.get(session_id)
        if account is None or self._is_closed:
            return succeed(())
        for chunk in account.chunks:
            places = chunk.index.between(first, last, READ_BYTES)
            if places:
                return self._read(account, chunk.number, places, last)
        return succeed(tuple(map(account.given, account.waiting_between(first, last, READ_BYTES))))

    def flush(self, session_id: str) -> Deferred[None]:
        """Fires when all that was appended until now is synced."""
        flushed: Deferred[None] = Deferred()
        account = self._accounts.get(session_id)
        if account is None or not account.waiting:
            return succeed(None)
        self._flushing.append((account, next(reversed(account.waiting)), flushed))
        self._inbox.hurry()
        return flushed

    def remove(self, session_id: str) -> None:
        """Keep nothing of a session."""
        account = self._accounts.pop(session_id, None)
        if account is not None:
            self._waited(list(account.waiting.values()))
            account.waiting.clear()
            self._stored_bytes -= sum(_size(one) for one in account.chunks if not one.is_doomed)
            self._inbox.remove(session_id)

    def close(self) -> Deferred[None]:
        """Write and sync what is left, and let go of the folder; nothing is taken any more."""
        done: Deferred[None] = Deferred()
        if self._has_ended:
            return succeed(None)
        self._is_closed = True
        self._closing.append(done)
        self._inbox.close()
        return done

    def ended(self) -> None:
        """Finish closing: the thread has ended."""
        self._has_ended = True
        self._complaints.ended(sum(len(one.waiting) for one in self._accounts.values()))
        while self._closing:
            self._closing.pop().callback(None)

    def reported(self, report: Report) -> None:
        """Hear what a round has come to."""
        for placed in report.placed:
            self._place(placed)
        self._bound_bytes = min(self._most_bytes, self._stored_bytes + max(0, report.room_bytes))
        self._complaints.heard(report.trouble, self._waiting_bytes)
        self._make_room()
        self._tell_flushed()

    def _tell_flushed(self) -> None:
        waited, self._flushing = self._flushing, []
        for account, last, flushed in waited:
            if next(iter(account.waiting), last + 1) > last:
                flushed.callback(None)
            else:
                self._flushing.append((account, last, flushed))

    def _restore(self, account: Account) -> None:
        self._accounts[account.session_id] = account
        self._begun = max(self._begun, account.state.begun)
        self._stored_bytes += sum(_size(one) for one in account.chunks)
        self._inbox.begin(account.init, account.state, is_noted=True)
        self._clear(account)

    def _place(self, placed: Placed) -> None:
        """Segments have come to the disk: they need not be kept here any more."""
        account = self._accounts.get(placed.session_id)
        if account is None:
            return
        chunk = account.chunk(placed.number)
        before, chunk.size_bytes = _size(chunk), placed.size_bytes
        if not chunk.is_doomed:
            self._stored_bytes += _size(chunk) - before
        for place in placed.places:
            segment = account.waiting.pop(place.sequence, None)
            # What was acknowledged or dropped meanwhile is not held any more.
            if segment is not None:
                self._waited([segment])
                chunk.index.add(place)
        self._inbox.discard(placed.session_id, [place.sequence for place in placed.places])
        self._clear(account)

    def _make_room(self) -> None:
        """Keep the bounds: the oldest goes first."""
        while self._stored_bytes + self._waiting_bytes > self._bound_bytes:
            if not self._drop_stored():
                break
        room = min(self._memory_bytes, self._most_bytes - self._stored_bytes)
        while self._waiting_bytes > room and self._drop_waiting():
            pass

    def _drop_waiting(self) -> bool:
        account = next((one for one in self._accounts.values() if one.waiting), None)
        if account is not None:
            self._complaints.full(self._full_words)
            self._dropped(account, account.drop_waiting())
        return account is not None

    def _drop_stored(self) -> bool:
        """Free a chunk: one of which nothing is held any more, else the oldest."""
        if any(map(self._renew, self._accounts.values())):
            return True
        for account in self._accounts.values():
            chunk = account.oldest_chunk()
            if chunk is not None:
                self._complaints.full("it has reached its bound")
                self._dropped(account, account.drop_chunk(chunk))
                self._renew(account)
                return True
        return False

    def _renew(self, account: Account) -> bool:
        """Free the last chunk of a session if nothing in it is held, and it is worth it: it goes
        as soon as another has the state."""
        if len(account.chunks) != 1 or len(account.chunks[0].index):
            return False
        (newest,) = account.chunks
        if newest.is_doomed or newest.size_bytes <= LEAST_RENEWED_BYTES:
            return False
        self._doom(newest)
        self._inbox.renew(account.session_id)
        return True

    def _dropped(self, account: Account, gone: list[Segment]) -> None:
        """Something of a session is not held any more; `gone` of it was waiting."""
        self._waited(gone)
        self._inbox.discard(account.session_id, [one.sequence for one in gone])
        self._inbox.note(account.state)
        self._clear(account)

    def _clear(self, account: Account) -> None:
        """Chunks that are of no use any more go."""
        for chunk in account.pop_useless():
            self._doom(chunk)
            self._inbox.note(account.state)
            self._inbox.doom(account.session_id, chunk.number)

    def _doom(self, chunk: Stored) -> None:
        if not chunk.is_doomed:
            chunk.is_doomed = True
            self._stored_bytes -= _size(chunk)

    def _waited(self, segments: list[Segment]) -> None:
        self._waiting_bytes -= sum(map(self._cost, segments))

    def _cost(self, segment: Segment) -> int:
        return self._segment_bytes + len(segment.data)

    def _read(
        self, account: Account, number: int, places: list[EntryPlace], last: int
    ) -> Deferred[tuple[Segment, ...]]:
        found: Deferred[tuple[Segment, ...]] = Deferred()

        def answer(segments: list[Segment], damaged: list[int]) -> None:
            for sequence in damaged:
                self._lose(account, sequence)
            if segments or not damaged:
                found.callback(tuple(map(account.given, segments)))
            else:
                self.read(account.session_id, places[0].sequence, last).chainDeferred(found)

        self._inbox.ask(Read(account.session_id, number, places, answer))
        return found

    def _lose(self, account: Account, sequence: int) -> None:
        """This one cannot be read, unless nobody wants it any more."""
        if account.holds(sequence) and self._accounts.get(account.session_id) is account:
            for chunk in account.chunks:
                chunk.index.discard(sequence, sequence)
            account.lose(sequence, sequence, DAMAGED)
            self._inbox.note(account.state)
            self._clear(account)


def _size(chunk: Stored) -> int:
    """The room that a chunk takes on the disk."""
    return -(-chunk.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
