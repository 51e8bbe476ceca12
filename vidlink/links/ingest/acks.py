"""Acknowledgements that are due: how far a recording is durable, and what is missing of it.

There is one in a second for each session, whatever the store reports; they are sent by
:mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from vidlink.interfaces import LATE_LOAD
from vidlink.messages import Ack
from vidlink.model import MAX_RANGES, Range, Ranges

#: So many holes of a session wait to be asked for; the highest of more are asked for when the
#: Sentinel registers again.
MAX_HOLES = 8 * MAX_RANGES


@dataclass(slots=True)
class _Open:
    """A session that may be asked for what is missing of it."""

    #: The sequence that was acknowledged last; None: none.
    reached: int | None = None
    holes: Ranges = field(default_factory=Ranges)
    #: Ranges that were acknowledged, and are asked for once more all the same. There are no more
    #: than the store has holes: nobody names one of them again.
    lost: Ranges = field(default_factory=Ranges)

    def wanted(self) -> tuple[Range, ...]:
        """As many ranges as one acknowledgement can name; they are not asked for again."""
        if self.reached is not None:
            # What has come or was declared lost in the meantime is not asked for.
            self.holes.discard(0, self.reached)
        lost = _taken(self.lost, MAX_RANGES)
        return (*lost, *_taken(self.holes, MAX_RANGES - len(lost)))


class Acks:
    """The acknowledgements of one connection, by session.

    A hole is asked for once, with the next acknowledgement that can name it and for which there is
    room in the store; if it is still there when the Sentinel registers again, it is asked for then.
    """

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._open: dict[str, _Open] = {}

    def begin(self, session_id: str) -> None:
        """Allow to ask for what is missing of a session."""
        self._open[session_id] = _Open()

    def end(self, session_id: str) -> None:
        """Ask for nothing of this session any more."""
        self._open.pop(session_id, None)

    def durable(self, session_id: str, sequence: int) -> None:
        """Everything of a session up to `sequence` is durable, or lost for good."""
        self._reached[session_id] = sequence

    def missing(self, session_id: str, first: int, last: int) -> None:
        """These sequences were jumped over, or came when there was no room for them."""
        holes = self._open[session_id].holes
        holes.add(first, last)
        if len(holes) > MAX_HOLES:
            holes.discard(*holes.highest)

    def lost(self, session_id: str, first: int, last: int) -> None:
        """These sequences had become durable, and are not there any more."""
        self._open[session_id].lost.add(first, last)

    def due(self, load: float) -> list[Ack]:
        """The acknowledgements that are due; to be called about once a second.

        :param load: how full the queue of the store is, 0.0 to 1.0.
        """
        due, self._reached = self._reached, {}
        missing: dict[str, tuple[Range, ...]] = {}
        for session_id, known in self._open.items():
            reached = known.reached = due.get(session_id, known.reached)
            is_wanted = known.holes or known.lost
            if is_wanted and reached is not None and load < LATE_LOAD:
                missing[session_id] = known.wanted()
                if missing[session_id]:
                    due[session_id] = reached
        return [
            Ack(session_id, sequence, missing.get(session_id, ()), load)
            for session_id, sequence in due.items()
        ]


def _taken(ranges: Ranges, most: int) -> tuple[Range, ...]:
    """The lowest ranges, taken out."""
    taken = tuple(islice(ranges, most))
    if taken:
        ranges.discard(taken[0][0], taken[-1][1])
    return taken
