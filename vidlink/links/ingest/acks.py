"""Acknowledgements that are due: how far a recording is durable, and what is missing of it.

There is one in a second for each session, whatever the store reports; they are sent by
:mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vidlink.interfaces import LATE_LOAD
from vidlink.messages import Ack
from vidlink.model import MAX_RANGES, Range, Ranges


@dataclass(slots=True)
class _Open:
    """A session that may be asked for what is missing of it."""

    #: The sequence that was acknowledged last; None: none.
    reached: int | None = None
    #: At most :data:`~vidlink.model.MAX_RANGES`; more are asked for when the Sentinel registers
    #: again.
    holes: Ranges = field(default_factory=Ranges)
    #: Ranges that were acknowledged, and are asked for once more all the same.
    lost: Ranges = field(default_factory=Ranges)


class Acks:
    """The acknowledgements of one connection, by session.

    A hole is asked for once, with the next acknowledgement for which there is room in the
    store; if it is still there when the Sentinel registers again, it is asked for then.
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
        if len(holes) > MAX_RANGES:
            holes.discard(*holes.highest)

    def lost(self, session_id: str, first: int, last: int) -> None:
        """These sequences had become durable, and are not there any more."""
        known = self._open[session_id].lost
        known.add(first, last)
        if len(known) > MAX_RANGES:
            known.discard(*known.highest)

    def due(self, load: float) -> list[Ack]:
        """The acknowledgements that are due; to be called about once a second.

        :param load: how full the queue of the store is, 0.0 to 1.0.
        """
        due, self._reached = self._reached, {}
        missing: dict[str, tuple[Range, ...]] = {}
        for session_id, known in self._open.items():
            reached = known.reached = due.get(session_id, known.reached)
            wanted = known.holes or known.lost
            if wanted and reached is not None and load < LATE_LOAD:
                # What has come or was declared lost in the meantime is not asked for.
                holes = (hole for hole in known.holes if hole[1] > reached)
                missing[session_id] = (*known.lost, *holes)[:MAX_RANGES]
                known.holes.clear()
                known.lost.clear()
                if missing[session_id]:
                    due[session_id] = reached
        return [
            Ack(session_id, sequence, missing.get(session_id, ()), load)
            for session_id, sequence in due.items()
        ]
