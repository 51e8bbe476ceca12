"""What a Sentinel is due to be told of its recording: how far it is durable, what is missing.

No faster than once a second, whatever the store reports; it is sent by
:mod:`vidlink.links.ingest`.
"""

from __future__ import annotations

from vidlink.wire.messages import Ack, Range

#: So many holes may wait to be asked for; more are asked for when the Sentinel registers again.
MOST_HOLES = 1_024


class Acks:
    """The acknowledgements of one connection, by session.

    A hole in the live session is asked for once, with the next acknowledgement of it; if it is
    still there when the Sentinel registers again, it is asked for then.
    """

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._live = ""
        #: How far the live session was last acknowledged; None: not at all.
        self._reached: int | None = None
        self._holes: list[Range] = []

    def begin(self, session_id: str) -> None:
        """This is the live session from now on."""
        self._live, self._reached = session_id, None
        self._holes.clear()

    def durable(self, session_id: str, sequence: int) -> None:
        """Everything of a session up to `sequence` is durable, or lost for good."""
        self._due[session_id] = sequence

    def missing(self, first: int, last: int) -> None:
        """These sequences of the live session were jumped over."""
        if len(self._holes) < MOST_HOLES:
            self._holes.append((first, last))

    def take(self, load: float) -> list[Ack]:
        """What is due; to be called about once a second."""
        due, self._due = self._due, {}
        reached = self._reached = due.get(self._live, self._reached)
        missing: tuple[Range, ...] = ()
        if reached is not None:
            # What has come or was declared lost in the meantime is not asked for.
            missing = tuple(hole for hole in self._holes if hole[1] > reached)
            self._holes.clear()
            if missing:
                due[self._live] = reached
        return [
            Ack(session_id, sequence, missing if session_id == self._live else (), load)
            for session_id, sequence in due.items()
        ]
