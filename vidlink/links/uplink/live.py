"""Frames into the segments of one session after the other: kept in the spool, and sent live.

Which connection there is is decided in :mod:`vidlink.links.uplink.conversation`; what was not sent
live, or not acknowledged, is delivered late by :mod:`vidlink.links.uplink.late`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass

from vidlink.fmp4 import write_fragment
from vidlink.interfaces import ICapture, IServerPeer, ISpool
from vidlink.links.uplink.clock import ClockOffset
from vidlink.links.uplink.events import UplinkEvents
from vidlink.model import EncodedFrame, InitSegment, Limits, Segment

#: Octets that may wait for the socket; beyond it frames are not sent live, up to the next
#: keyframe that is captured once half of them are gone. The spool has them.
MAX_BACKLOG_BYTES = 8 * 1024 * 1024
#: That frames are not sent, or dropped, is told at once, and then so often, with their number.
DROPPED_SECONDS = 60.0
#: Why a segment that the server would not take is missing.
TOO_LARGE = "too-large"
#: Why there is nothing of a time in which a session went on.
ASLEEP = "computer-asleep"


@dataclass(slots=True)
class _Session:
    """The session that frames go into."""

    session_id: str
    epoch: int
    #: Corrects its times from beginning to end; None: nothing does.
    clock: ClockOffset | None
    is_live: bool
    newest: int = -1
    #: The highest sequence that was sent live.
    sent: int = -1
    #: Of its newest frame.
    start_time_us: int = 0
    duration_us: int = 0
    slept_us: int = 0


class LiveSending:
    """The frames that one Sentinel captures, from connection to connection.

    :param seconds: the monotonic clock.
    :param began: told when a session has begun, with the one before it and its highest sequence,
        if there was one.
    """

    def __init__(
        self,
        sentinel_id: str,
        capture: ICapture,
        events: UplinkEvents,
        seconds: Callable[[], float],
        spool: ISpool,
        began: Callable[[tuple[str, int] | None], None],
    ) -> None:
        self.init = b""
        #: The newest comparison of clocks, for the sessions that begin from now on.
        self.offset = ClockOffset()
        self.max_segment_bytes = Limits().max_segment_bytes
        self.sentinel_id = sentinel_id
        self._capture = capture
        self._events = events
        self._seconds = seconds
        self._spool = spool
        self._began = began
        self._peer: IServerPeer | None = None
        self._session: _Session | None = None
        self._due: tuple[int, str] | None = None
        self._is_choked = False
        self._dropped = 0
        self._why = ""
        self._told_seconds = float("-inf")

    @property
    def session_id(self) -> str:
        """The session that frames go into; empty before the first frame."""
        return "" if self._session is None else self._session.session_id

    @property
    def sent(self) -> tuple[str, int] | None:
        """The session that is live on the connection, and its highest sequence that was sent."""
        session = self._session
        return (session.session_id, session.sent) if session and session.is_live else None

    def begin(self, session_id: str = "", peer: IServerPeer | None = None) -> None:
        """The next frame that is captured begins a session, of this id if there is one; what
        follows is sent to `peer`, if there is one."""
        self._peer, self._is_choked = peer, False
        self._due = self._capture.begin_session(), session_id or new_session_id()

    def lost(self) -> None:
        """Go on with the session without a connection."""
        self._peer, self._is_choked = None, False
        if self._session is not None:
            self._session.is_live = False

    def send(self, frame: EncodedFrame) -> None:
        """Keep a frame as the next segment of its session, and send it if there is a server."""
        session, peer = self._session, self._peer
        if session is not None:
            self._note_sleep(session, frame)
        if session is None or frame.epoch != session.epoch:
            session = self._next(frame.epoch)
        session.newest += 1
        session.start_time_us, session.slept_us = frame.start_time_us, frame.slept_us
        session.duration_us = frame.duration_ms * 1_000
        segment = self._segment(frame, session)
        if len(segment.data) > self.max_segment_bytes:
            self._spool.drop(session.session_id, session.newest, session.newest, TOO_LARGE)
            self._is_choked = True
            self._tell(f"the server takes no segment of more than {self.max_segment_bytes} bytes")
            return
        self._spool.append(segment)
        if peer is None or not session.is_live:
            # After a frame that was too large nothing decodes, also where nobody watches.
            self._has_room(frame, 0)
        elif self._has_room(frame, peer.backlog_bytes):
            peer.send(segment)
            session.sent = session.newest
        else:
            self._tell("the server does not take them fast enough; they are delivered later")

    def tick(self) -> None:
        """Tell of what was not sent, if it is time; to be called about once a second."""
        if self._dropped and self._seconds() - self._told_seconds >= DROPPED_SECONDS:
            dropped, self._dropped = self._dropped, 0
            self._told_seconds = self._seconds()
            self._events.on_dropped(dropped, self._why)

    def _tell(self, why: str) -> None:
        self._dropped += 1
        self._why = why
        self.tick()

    def _note_sleep(self, session: _Session, frame: EncodedFrame) -> None:
        """Leave a sequence out for the time that the computer slept before `frame`, if it is late
        because of that; nothing builds on what was before then, and the media time goes on."""
        slept_us = frame.slept_us - session.slept_us
        late_us = frame.start_time_us - session.start_time_us - session.duration_us
        if frame.is_keyframe and 2 * min(slept_us, late_us) > session.duration_us:
            session.newest += 1
            self._spool.drop(session.session_id, session.newest, session.newest, ASLEEP)
            self._events.on_asleep(slept_us / 1_000_000)

    def _next(self, epoch: int) -> _Session:
        """The session of this epoch begins, and the one before it is over.

        The first session on a connection is the one that was registered; what was captured
        before that was, and comes only now, is of a session that is over already.
        """
        peer = self._peer
        session_id, is_live = new_session_id(), peer is not None and self._due is None
        if self._due is not None and epoch >= self._due[0]:
            session_id, is_live = self._due[1], peer is not None
            self._due = None
        before = self._session
        clock = None if self.offset.measured_us is None else self.offset
        session = self._session = _Session(session_id, epoch, clock, is_live)
        self._spool.begin(session_id, self.init, clock is not None)
        if peer is not None and is_live:
            peer.send(InitSegment(self.sentinel_id, session_id, self.init))
        self._events.on_session(session_id, is_live)
        self._began(None if before is None else (before.session_id, before.newest))
        return session

    def _segment(self, frame: EncodedFrame, session: _Session) -> Segment:
        clock, start_time_us = session.clock, frame.start_time_us
        if clock is not None:
            start_time_us = clock.corrected(start_time_us)
        data = write_fragment(
            sequence=session.newest,
            decode_time=frame.media_time,
            duration=frame.duration,
            keyframe=frame.is_keyframe,
            data=frame.data,
            producer_time_us=start_time_us,
        )
        return Segment(
            sentinel_id=self.sentinel_id,
            session_id=session.session_id,
            sequence=session.newest,
            start_time_us=start_time_us,
            duration_ms=frame.duration_ms,
            framerate_mhz=frame.framerate_mhz,
            is_keyframe=frame.is_keyframe,
            data=data,
        )

    def _has_room(self, frame: EncodedFrame, backlog_bytes: int) -> bool:
        """True if this frame can be sent live."""
        if not self._is_choked:
            self._is_choked = backlog_bytes > MAX_BACKLOG_BYTES
            return not self._is_choked
        if backlog_bytes > MAX_BACKLOG_BYTES // 2:
            return False
        if not frame.is_keyframe:
            self._capture.request_keyframe()
            return False
        self._is_choked = False
        return True


def new_session_id() -> str:
    """An id that no session ever had; no command takes it for an option."""
    return secrets.choice(string.ascii_letters) + secrets.token_urlsafe(18)[1:]
