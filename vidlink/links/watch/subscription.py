"""One Proctor's following of one stream: from session to session, in order, by pulling.

Which of several subscriptions is served next is decided in :mod:`vidlink.links.watch.turns`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from zope.interface import implementer

from vidlink.interfaces import ICodec, IFollower
from vidlink.messages import (
    Message,
    Place,
    SessionEnded,
    Skipped,
    StartFrom,
    Subscribe,
    Subscribed,
)
from vidlink.model import Arrival, Frame, InitSegment
from vidlink.relay.cursor import Cursor, Hole, join_latest, join_oldest, resume
from vidlink.relay.stream import LiveSession, Stream
from vidlink.relay.tally import Tally
from vidlink.wire.framing import message_frame

#: A join at a keyframe older than this asks for a new one, and shows what there is at once.
FRESH_SECONDS = 2.0


@implementer(IFollower)
class Subscription:
    """One viewer's share of one Sentinel's stream; every call is bounded and never blocks.

    A subscription follows the stream by itself, until :meth:`leave`.

    :param seconds: the monotonic clock.
    :param sees: whether the viewer may see Sentinels of that group; a session of another group is
        as none.
    :param on_news: called whenever there may be something to pull; until then, once
        :meth:`pull` has given None, it gives nothing else.
    :param on_dropped: called if the stream is followed no more without having been left.
    """

    def __init__(
        self,
        stream: Stream,
        request: Subscribe,
        codec: ICodec,
        *,
        seconds: Callable[[], float],
        on_news: Callable[[], None],
        on_dropped: Callable[[], None],
        tally: Tally,
        sees: Callable[[str], bool],
    ) -> None:
        self.stream = stream
        self._codec = codec
        self._seconds = seconds
        self._on_news = on_news
        self._tally = tally
        self._sees = sees
        self._outbox: deque[Frame] = deque()
        self._is_init_wanted = False
        self._begin(request)
        stream.follow(self, on_dropped)

    def stirred(self) -> None:
        """A segment has arrived, or a session has begun or ended."""
        self._on_news()

    def leave(self) -> None:
        """Follow the stream no more."""
        self.stream.leave(self)

    def restart(self, request: Subscribe) -> None:
        """Subscribe again: another place, tier or lag. What was due is not sent twice."""
        self._outbox.clear()
        self._begin(request)
        self._on_news()

    @property
    def is_done(self) -> bool:
        """True only if :meth:`pull` would give None."""
        live, cursor = self._live, self._cursor
        if live is None or cursor is None or live.ended_reason is not None:
            return False
        # What is in the outbox is of the beginning or the end of a session.
        return cursor.is_at_end and not self._is_init_wanted

    def pull(self) -> Frame | None:
        """The next frame for the socket; None when there is nothing to send now."""
        while True:
            if self._outbox:
                return self._outbox.popleft()
            if self._live is None or self._cursor is None:
                if not self._enter():
                    return None
                continue
            if self._is_init_wanted:
                self._is_init_wanted = False
                return self._init(self._live)
            match self._cursor.next():
                case Arrival() as arrival:
                    return self._media(self._live, arrival)
                case Hole() as hole:
                    return self._skipped(hole)
            if self._live.ended_reason is None:
                return None
            self._leave(self._live, self._cursor)

    def send_init(self) -> bool:
        """Send the initialization segment (again), once however often it is asked for.

        False if there is no session to send it of.
        """
        self._is_init_wanted = self._live is not None or self._next() is not None
        self._on_news()
        return self._is_init_wanted

    def _begin(self, request: Subscribe) -> None:
        self._request = request
        self._start: StartFrom | Place = request.start_from
        self._live: LiveSession | None = None
        self._cursor: Cursor | None = None
        self._is_waiting = False

    def _enter(self) -> bool:
        """Begin with the next session, or say once that there is none; False if idle."""
        live = self._next()
        if live is None:
            announced, self._is_waiting = self._is_waiting, True
            if not announced:
                said = Subscribed(self.stream.sentinel_id, is_known=self.stream.is_known)
                self._say(said)
            return not announced
        self._cursor, exact = self._place(live)
        self._live = live
        session = live.session
        self._say(
            Subscribed(
                sentinel_id=session.sentinel_id,
                session_id=session.session_id,
                mime=session.mime,
                width=session.width,
                height=session.height,
                timescale=session.timescale,
                live_sequence=live.buffer.newest_sequence,
                first_sequence=self._cursor.first_sequence(),
            )
        )
        self._is_init_wanted = self._is_init_wanted or not exact
        return True

    def _leave(self, live: LiveSession, cursor: Cursor) -> None:
        """The session has ended and everything of it was sent or is named here."""
        hole = cursor.finish()
        if hole is not None:
            self._outbox.append(self._skipped(hole))
        session = live.session
        self._say(
            SessionEnded(session.sentinel_id, session.session_id, live.ended_reason or "ended")
        )
        self._live = self._cursor = None
        self._start = StartFrom.LATEST
        self._is_waiting = True

    def _next(self) -> LiveSession | None:
        """The live session, or an ended one whose rest is asked for; if it may be seen."""
        start, live = self._start, self.stream.live
        if isinstance(start, Place):
            held = self.stream.in_memory(start.session_id)
            newest = None if held is None else held.buffer.newest_sequence
            is_there = newest is not None and start.sequence <= newest + 1
            if held is not None and is_there and self._sees(held.session.group):
                return held
        return live if live is not None and self._sees(live.session.group) else None

    def _place(self, live: LiveSession) -> tuple[Cursor, bool]:
        """A cursor where the viewer asked for, and whether it goes on without a new init."""
        request = self._request
        lag = None if request.max_lag_ms is None else request.max_lag_ms / 1000
        buffer = live.buffer
        start = self._start
        if isinstance(start, Place) and start.session_id == live.session.session_id:
            cursor = resume(buffer, start.sequence, request.tier, lag)
            if cursor.is_joined or cursor.first_sequence() == start.sequence:
                return cursor, cursor.is_joined
        elif start is StartFrom.OLDEST:
            return join_oldest(buffer, request.tier, lag), False
        else:
            cursor = join_latest(buffer, request.tier, lag)
        if live.ended_reason is None and not self._is_fresh(live):
            self.stream.request_keyframe()
        return cursor, False

    def _is_fresh(self, live: LiveSession) -> bool:
        """True if a keyframe has come lately, or is what a session begins with."""
        buffer = live.buffer
        newest = buffer.newest_keyframe(buffer.first)
        if newest is None:
            return buffer.newest_sequence is None
        return self._seconds() - buffer.at(newest).arrived_seconds <= FRESH_SECONDS

    def _media(self, live: LiveSession, arrival: Arrival) -> Frame:
        """The segment in this viewer's format, encoded once for all viewers of it."""
        frame = arrival.frame_for(self._codec.name)
        if frame is None:
            frame = message_frame(self._codec, arrival.segment)
            live.buffer.keep(arrival, self._codec.name, frame)
        return frame

    def _init(self, live: LiveSession) -> Frame:
        frame = live.init_frames.get(self._codec.name)
        if frame is None:
            session = live.session
            message = InitSegment(session.sentinel_id, session.session_id, session.init)
            frame = message_frame(self._codec, message)
            live.init_frames[self._codec.name] = frame
        return frame

    def _skipped(self, hole: Hole) -> Frame:
        assert self._live is not None
        session = self._live.session
        self._tally.skipped[hole.reason] += hole.last - hole.first + 1
        return message_frame(
            self._codec,
            Skipped(session.sentinel_id, session.session_id, hole.first, hole.last, hole.reason),
        )

    def _say(self, message: Message) -> None:
        self._outbox.append(message_frame(self._codec, message))
