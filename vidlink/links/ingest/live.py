"""The live session of one Sentinel's connection: to viewers and to the recording, side by side.

What its messages have to be like is checked in :mod:`vidlink.links.ingest.intake`; who may say
them, and when, is :mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vidlink.errors import BadMessage, NotFound, RequestError, TooFast
from vidlink.interfaces import IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.intake import Intake
from vidlink.messages import DeclareGap
from vidlink.model import Arrival, Frame, InitSegment, Limits, Registration, Segment
from vidlink.relay.stream import Stream
from vidlink.relay.tally import Tally


class LiveFeed:
    """The live session on one connection, if there is one, and the next one after it."""

    def __init__(
        self,
        sentinel: Registration,
        stream: Stream,
        store: IStore,
        acks: Acks,
        limits: Limits,
        tally: Tally,
    ) -> None:
        self._sentinel = sentinel
        self._stream = stream
        self._store = store
        self._acks = acks
        self._limits = limits
        self._tally = tally
        self._intake: Intake | None = None
        #: The session that is live; None if there is none.
        self.session_id: str | None = None
        #: The recording has begun: something of the session has come.
        self._is_recorded = False

    def repeats(self, message: InitSegment) -> bool:
        """True if `message` is the live session's own init once more.

        :raises ~vidlink.errors.NotMedia: if it is another init under the same session id.
        """
        return self._intake is not None and self._intake.repeats(message)

    def begin(self, message: InitSegment, now_us: int) -> None:
        """Begin a session by its init; the one before it ends.

        The recording begins with the first segment: an init alone would leave an empty session
        behind, with each try of a Sentinel that is refused after it.

        :raises TooFast: if too many have been begun.
        :raises BadMessage: for its id or size.
        :raises ~vidlink.errors.NotMedia: for its boxes.
        """
        if not self._stream.allowed_sessions.spend():
            raise TooFast("too many sessions have been begun in too short a time")
        intake = Intake(self._sentinel, message, self._limits, now_us)
        session_id = intake.session.session_id
        _allowed(self._store.reserve, intake.session)
        self.end("replaced by the next session", now_us)
        self._intake, self.session_id, self._is_recorded = intake, session_id, False
        self._acks.begin(session_id)
        self._stream.begin(intake.session, partial(self._store.recording, session_id))

    def end(self, reason: str, now_us: int) -> None:
        """End the live session, if any, for viewers and for the recording."""
        session_id, self.session_id, self._intake = self.session_id, None, None
        if session_id is not None:
            self._acks.end(session_id)
            self._stream.end(reason)
            self._store.end(session_id, reason, now_us)

    def accept(
        self,
        segment: Segment,
        arrived_seconds: float,
        received_time_us: int,
        frame: Frame | None,
        spoken: str,
    ) -> Arrival | None:
        """Pass on a segment of the live session; None if it is the last one once more.

        One that is late goes to the recording alone.

        :raises BadMessage: for its sequence, size or time.
        :raises ~vidlink.errors.NotMedia: for its boxes.
        """
        intake, session_id, sequence = self._here(), segment.session_id, segment.sequence
        expected = intake.last_sequence + 1
        arrival = intake.accept(segment, arrived_seconds, received_time_us, frame, spoken)
        if arrival is None:
            return None
        if not self._is_recorded:
            durable = partial(self._acks.durable, session_id)
            _allowed(self._store.begin, intake.session, durable)
            self._is_recorded = self._stream.has_history = True
        if sequence > expected and not segment.is_late:
            self._acks.missing(session_id, expected, sequence - 1)
            self._tally.jumped += sequence - expected
        if not self._store.append(session_id, arrival):
            self._acks.missing(session_id, sequence, sequence)
        if not segment.is_late:
            self._stream.push(arrival)
        return arrival

    def gap(self, message: DeclareGap) -> None:
        """Record what the Sentinel has lost.

        :raises BadMessage: if it has not been sent yet.
        """
        self._store.gap(message.session_id, self._here().declared(message))

    def tick(self) -> None:
        """Ask again for what was acknowledged and is gone; to be called about once a second."""
        session_id = self.session_id
        if session_id is not None:
            for first, last in self._store.lost(session_id):
                self._acks.lost(session_id, first, last)

    def _here(self) -> Intake:
        assert self._intake is not None, "there is a live session"
        return self._intake


def _allowed(ask: Callable[..., None], *arguments: object) -> None:
    """Ask the store for a session; what it does not take is a mistake of the peer.

    :raises BadMessage: for its id, or its texts.
    """
    try:
        ask(*arguments)
    except NotFound:
        raise
    except RequestError as error:
        raise BadMessage(str(error)) from error
