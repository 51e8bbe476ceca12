"""Sessions that are about to be opened again: what is given for them until the writer answers.

The writer alone knows what there is of a session (`writing.reopening`); until its answer comes,
what arrives is kept here, within the bound of `room`. Nothing here touches the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred

from vidlink.errors import (
    NotFound,
    NotMedia,
    RequestError,
    SessionGone,
    SessionSealed,
    VidlinkError,
)
from vidlink.model import Arrival, Gap, Session
from vidlink.store.handover.inbox import Inbox
from vidlink.store.handover.orders import End, Reopen
from vidlink.store.queue.room import Room, check_arrival
from vidlink.store.sequences.gaps import put_statement
from vidlink.store.sequences.runs import widened

#: So much the start of a session counts in the queue, beside its initialization segment.
START_BYTES = 1_024


@dataclass(slots=True)
class Opening:
    """One session that is to be opened, and what is to be done once it is.

    `is_ordered` says whether the writer has been asked: a session that is just being closed
    is opened when that is done.
    """

    session: Session
    durable: Callable[[int], None]
    #: The moment by the wall clock, and the trusted one.
    now: tuple[int, int]
    start_bytes: int
    answers: list[Deferred[None]] = field(default_factory=list)
    arrivals: dict[int, Arrival] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    ending: End | None = None
    #: The first and the last of what found no room.
    refused: tuple[int, int] | None = None
    is_ordered: bool = False

    def take_over(self, session: Session, durable: Callable[[int], None]) -> None:
        """Go on with it for another connection, after the one before was lost.

        :raises RequestError: it is being recorded, sealed, or of another sentinel.
        :raises NotMedia: its initialization segment was another.
        """
        if session.sentinel_id != self.session.sentinel_id:
            raise SessionGone("this is the session of another sentinel")
        if self.ending is None:
            raise RequestError("the session is being recorded")
        if self.ending.is_sealed:
            raise SessionSealed("the session is sealed: nothing can be added to it")
        if session.init != self.session.init:
            raise NotMedia("the session was recorded with another initialization segment")
        self.ending = None
        self.durable = durable

    def answer(self, error: VidlinkError | None) -> None:
        """Tell those who wait: it is open, or it cannot be opened."""
        answers, self.answers = self.answers, []
        for answer in answers:
            if error is None:
                answer.callback(None)
            else:
                answer.errback(error)


class Openings:
    """Every session that the writer has yet to open."""

    def __init__(self, inbox: Inbox, room: Room) -> None:
        self._inbox = inbox
        self._room = room
        self._openings: dict[str, Opening] = {}

    def add(
        self,
        session: Session,
        durable: Callable[[int], None],
        now: tuple[int, int],
        *,
        is_closed: bool,
    ) -> Deferred[None]:
        """Open `session`, one that `is_closed` now, another after :meth:`order`; fires when open.

        :raises RequestError: there is no room, or as :meth:`Opening.take_over`.
        :raises NotMedia: as :meth:`Opening.take_over`.
        """
        session_id = session.session_id
        opening = self._openings.get(session_id)
        if opening is not None:
            opening.take_over(session, durable)
        else:
            size = len(session.init) + START_BYTES
            owner = session.sentinel_id
            if not self._room.has(owner, size, is_late=True):
                raise RequestError("there is no room for this session now; offer it again later")
            self._room.occupy(owner, size, 0)
            opening = self._openings[session_id] = Opening(session, durable, now, size)
            if is_closed:
                self.order(session_id)
        answer: Deferred[None] = Deferred()
        opening.answers.append(answer)
        return answer

    def order(self, session_id: str) -> None:
        """Ask the writer now, if this session is to be opened and it has not been asked."""
        opening = self._openings.get(session_id)
        if opening is not None and not opening.is_ordered:
            opening.is_ordered = True
            order = Reopen(opening.session, *opening.now)
            self._inbox.put(order, opening.start_bytes, is_beginning=True)

    def append(self, session_id: str, arrival: Arrival) -> bool:
        """Keep a segment; False if there is no room for it.

        :raises NotFound: the session is not to be opened.
        """
        opening = self._open(session_id)
        sequence, size = arrival.segment.sequence, len(arrival.segment.data)
        if sequence not in opening.arrivals:
            check_arrival(arrival)
            owner = opening.session.sentinel_id
            if not self._room.has(owner, size, is_late=True):
                opening.refused = widened(opening.refused, sequence)
                return False
            opening.arrivals[sequence] = arrival
            self._room.occupy(owner, size, 1)
        return True

    def gap(self, session_id: str, gap: Gap) -> None:
        """Keep a statement.

        :raises NotFound: the session is not to be opened.
        """
        put_statement(self._open(session_id).gaps, gap)

    def end(self, ending: End) -> End | None:
        """End a session; returns the ending as it will be.

        None if it is not to be opened, or that was said before.
        """
        opening = self._openings.get(ending.session_id)
        if opening is None or opening.ending is not None:
            return None
        if opening.refused is not None:
            ending = replace(ending, is_sealed=False)
        opening.ending = ending
        return ending

    def pop(self, session_id: str) -> Opening | None:
        """Give what was kept to the caller, who frees its room: the writer has answered."""
        return self._openings.pop(session_id, None)

    def drop(self, session_id: str, error: VidlinkError) -> None:
        """Fail to open a session, and keep nothing of it."""
        opening = self._openings.pop(session_id, None)
        if opening is not None:
            sizes = [len(arrival.segment.data) for arrival in opening.arrivals.values()]
            owner = opening.session.sentinel_id
            self._room.free(owner, opening.start_bytes + sum(sizes), len(sizes))
            opening.answer(error)

    def drop_all(self, reason: str, ended_time_us: int) -> None:
        """The server stops: what the writer has been asked to open is to be closed again."""
        for session_id, opening in tuple(self._openings.items()):
            if opening.is_ordered:
                self._inbox.put(End(session_id, reason, ended_time_us))
            self.drop(session_id, RequestError("the server is stopping"))

    def _open(self, session_id: str) -> Opening:
        opening = self._openings.get(session_id)
        if opening is None or opening.ending is not None:
            raise NotFound(f"session {session_id} is not being recorded")
        return opening
