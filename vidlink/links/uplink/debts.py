"""The sessions that the server has not all of, and which of them comes next.

One of them is :mod:`vidlink.links.uplink.debt`; what is sent of it is
:mod:`vidlink.links.uplink.late`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vidlink.interfaces import ISpool
from vidlink.links.uplink.debt import ENDING_SECONDS, Debt, Stage
from vidlink.messages import Tail, Wanted
from vidlink.model import MAX_RANGES, Range, Ranges, SpooledSession
from vidlink.wire.bounds import MAX_CONTROL_BYTES

#: So many earlier sessions may be open at a time.
MAX_OPEN = 8
#: A session in whose delivery the server has closed so often for what was sent is set aside.
MAX_STRIKES = 3
#: The octets that the tails may take of a registration; and those that one of them takes beside
#: its id.
_TAILS_BYTES, _TAIL_BYTES = MAX_CONTROL_BYTES - 8 * 1024, 64


class Debts:
    """The sessions in the spool, as far as the server has not all of them.

    :param is_filling: whether a session has not all yet that is moved to it: until then it is
        not offered, for the server would seal it.
    """

    def __init__(self, spool: ISpool, is_filling: Callable[[str], bool]) -> None:
        #: The live session: of it only what the server asks for again is owed.
        self.holes: Debt | None = None
        self._spool = spool
        self._is_filling = is_filling
        self._strikes: dict[str, int] = {}
        self._debts: dict[str, Debt] = {}

    def __len__(self) -> int:
        """The number of earlier sessions."""
        return len(self._debts)

    def __iter__(self) -> Iterator[Debt]:
        """All of them, the live one last."""
        yield from self._debts.values()
        if self.holes is not None:
            yield self.holes

    def tails(self) -> tuple[Tail, ...]:
        """The tail of each session, the oldest first, as far as one message has room."""
        room = _TAILS_BYTES
        named: list[Tail] = []
        for spooled in self._offered():
            if spooled.first is None or spooled.last is None:
                continue
            room -= len(spooled.session_id) + _TAIL_BYTES
            if room < 0 or len(named) == MAX_RANGES:
                break
            named.append(Tail(spooled.session_id, spooled.first, spooled.last))
        return tuple(named)

    def begin(
        self, named: tuple[Tail, ...], answers: tuple[Wanted, ...], unfinished_id: str
    ) -> int:
        """Begin anew with what the server wants of the tails `named`; how many segments wait.

        Of what was not named, or not answered, all that is held is owed. Of the session
        `unfinished_id` more may still be captured.
        """
        self.clear()
        tails = {tail.session_id: tail for tail in named}
        answered = {answer.session_id: answer.missing for answer in answers}
        segments = 0
        for spooled in self._offered():
            session_id = spooled.session_id
            is_over = session_id != unfinished_id
            if spooled.newest is None and is_over:
                self._spool.remove(session_id)
                continue
            debt = Debt(session_id, -1 if spooled.newest is None else spooled.newest, is_over)
            if session_id in answered and session_id in tails:
                debt.wanted = _wanted(tails[session_id], answered[session_id])
                debt.covered = tails[session_id].last
            self._debts[session_id] = debt
            segments += _count(spooled, debt.wanted)
        return segments

    def clear(self) -> None:
        """Owe nothing to anybody: there is no connection."""
        self._debts.clear()
        self.holes = None

    def find(self, session_id: str) -> Debt | None:
        """The debt of a session, the live one as well; None if nothing is owed of it."""
        if self.holes is not None and self.holes.session_id == session_id:
            return self.holes
        return self._debts.get(session_id)

    def spooled(self, session_id: str) -> SpooledSession | None:
        """A session as the spool has it."""
        return next((one for one in self._spool.sessions() if one.session_id == session_id), None)

    def over(self, session_id: str, newest: int, now: float) -> Debt:
        """Owe all of a session of which nothing more is captured."""
        debt = self._debts.get(session_id)
        if debt is None:
            debt = Debt(session_id, newest, not_before_seconds=now + ENDING_SECONDS)
            self._debts[session_id] = debt
        debt.is_over, debt.newest = True, newest
        debt.grow(newest)
        return debt

    def remove(self, debt: Debt) -> int:
        """Owe nothing more of it, and keep nothing; how many segments were still held."""
        self._debts.pop(debt.session_id, None)
        spooled = self.spooled(debt.session_id)
        self._spool.remove(debt.session_id)
        return 0 if spooled is None else _count(spooled, None)

    def forget(self, session_id: str) -> None:
        """Owe nothing of a session that is not there any more."""
        self._debts.pop(session_id, None)

    def next(self, now: float) -> Debt | None:
        """The debt that comes next: holes of the live session, then the oldest session that can."""
        if self.holes is not None and self.holes.ranges:
            return self.holes
        has_room = sum(debt.stage is Stage.OPEN for debt in self._debts.values()) < MAX_OPEN
        for debt in self._debts.values():
            if debt.stage is Stage.OPEN and debt.ranges:
                return debt
            if debt.stage is Stage.WAITING and has_room and now >= debt.not_before_seconds:
                return debt
        return None

    def strike(self, debt: Debt) -> bool:
        """Count that the server has closed because of this one; True if it is set aside now.

        It stays in the spool, but is not offered again by this process.
        """
        session_id = debt.session_id
        if session_id in self._debts:
            self._strikes[session_id] = self._strikes.get(session_id, 0) + 1
        return self._strikes.get(session_id, 0) == MAX_STRIKES

    def _offered(self) -> Iterator[SpooledSession]:
        for spooled in self._spool.sessions():
            session_id = spooled.session_id
            if self._strikes.get(session_id, 0) < MAX_STRIKES and not self._is_filling(session_id):
                yield spooled


def _wanted(tail: Tail, missing: tuple[Range, ...]) -> Ranges:
    """The ranges that the server wants of a tail; of very many it has named the lowest."""
    wanted = Ranges(missing)
    if len(missing) >= MAX_RANGES:
        wanted.add(missing[-1][1] + 1, tail.last)
    return wanted


def _count(spooled: SpooledSession, wanted: Ranges | None) -> int:
    """The number of segments, about: there may be holes in what is held."""
    if wanted is not None:
        return sum(last - first + 1 for first, last in wanted)
    if spooled.first is None or spooled.last is None:
        return 0
    return spooled.last - spooled.first + 1
