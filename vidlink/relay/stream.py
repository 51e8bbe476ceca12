"""One Sentinel as the hub knows it: its live session, its buffer, who follows it.

Conversations are in :mod:`vidlink.links`; all Sentinels together are :mod:`vidlink.relay.hub`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from vidlink.bucket import Allowance, Bucket
from vidlink.errors import SentinelOffline
from vidlink.interfaces import IFollower, IPublisher
from vidlink.model import (
    MAX_RANGES,
    USUAL,
    Arrival,
    Bounds,
    Frame,
    RecordingState,
    Registration,
    Segment,
    SentinelState,
    SentinelStatus,
    Session,
    clamp_framerate,
)
from vidlink.relay.buffer import Buffer

#: Without a segment for this long, or for this many frame times or segments, a Sentinel is stale.
STALE_SECONDS = 3.0
STALE_FRAMES = 3
#: Nor before this many of the pauses that it makes: some send what they have by the handful. What
#: is shorter is no pause, nor is what its rate explains, and one alone in this time is no habit.
STALE_PAUSES = 2
PAUSE_SECONDS = 1.0
PAUSE_FRAMES = 1.5
HABIT_SECONDS = 60.0
#: The earlier sessions that a Sentinel may open for what comes late: all that one registration may
#: name, and again no faster than it may usually begin them.
EARLIER_SESSIONS = Allowance(burst=MAX_RANGES, per_second=0.1)
#: The time that viewers have, once the next session can be joined, to be sent the end of the one
#: before. Both may come in one piece, and nobody is too slow who has not been served yet.
MOVE_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class LiveSession:
    """A session in memory."""

    session: Session
    buffer: Buffer
    #: Says whether it reaches the disk.
    recording: Callable[[], RecordingState]
    ended_seconds: float = 0.0
    #: None while its Sentinel is connected.
    ended_reason: str | None = None
    #: Its initialization segment as encoded, by subprotocol.
    init_frames: dict[str, Frame] = field(default_factory=dict)


class Stream:
    """The sessions of one Sentinel, as far as they are in memory, and who follows them.

    :param seconds: the monotonic clock.
    :param new_buffer: makes the memory buffer of a session.
    :param bounds: of the sessions that it may begin.
    """

    _log = Logger()

    def __init__(
        self,
        sentinel_id: str,
        seconds: Callable[[], float],
        new_buffer: Callable[[], Buffer],
        bounds: Bounds = USUAL,
    ) -> None:
        self.sentinel_id = sentinel_id
        #: It has been seen; if not, there is only somebody who waits for it.
        self.is_known = False
        #: Something of it has been recorded, now or before the server was started.
        self.has_history = False
        self.name = ""
        self.group = ""
        self.publisher: IPublisher | None = None
        self.live: LiveSession | None = None
        self.wanted_framerate_mhz: int | None = None
        self.last_segment_time_us: int | None = None
        # Whether on one connection or on many: each is a folder on disk.
        sessions = Allowance(bounds.sessions, bounds.sessions_per_second)
        self.allowed_sessions = Bucket(sessions, seconds)
        self.allowed_earlier = Bucket(EARLIER_SESSIONS, seconds)
        self._sent_framerate_mhz: int | None = None
        self._seconds = seconds
        self._heard_seconds = seconds()
        self._declared_ms = 0
        #: The last two pauses, and when the last of them was over.
        self._pauses = (0.0, 0.0)
        self._paused_seconds = float("-inf")
        self._new_buffer = new_buffer
        self._ended: LiveSession | None = None
        self._followers: dict[IFollower, Callable[[], None]] = {}

    def attach(self, registration: Registration, publisher: IPublisher) -> None:
        """Make `publisher` this Sentinel's connection from now on."""
        self.name = registration.name
        self.group = registration.group
        self.publisher = publisher
        self._heard_seconds = self._seconds()
        self._log.info(
            "{sentinel} is connected, running {software}",
            sentinel=self.sentinel_id,
            software=registration.software,
        )

    def detach(self, publisher: IPublisher) -> None:
        """Let go of `publisher`; does nothing if another has taken its place."""
        if self.publisher is publisher:
            self.publisher = None
            self._log.info("{sentinel} is disconnected", sentinel=self.sentinel_id)

    def begin(self, session: Session, recording: Callable[[], RecordingState]) -> None:
        """Begin a session; one that is still live must have been ended before."""
        self.live = LiveSession(session, self._new_buffer(), recording)
        self._heard_seconds = self._seconds()
        if self.wanted_framerate_mhz is not None and self.publisher is not None:
            self.publisher.change_framerate(self.wanted_framerate_mhz)
        self._log.info(
            "{sentinel}: session {session} has begun, {width}x{height}",
            sentinel=self.sentinel_id,
            session=session.session_id,
            width=session.width,
            height=session.height,
        )
        self._stir()

    def push(self, arrival: Arrival) -> None:
        """Remember the live session's newest segment; followers hear of it in this very call."""
        live = self.live
        assert live is not None, "a segment comes after its session has begun"
        segment = arrival.segment
        if live.buffer.append(arrival) and self.publisher is not None:
            self.publisher.request_keyframe()
        self._hear(arrival.arrived_seconds, segment)
        self._declared_ms = segment.duration_ms
        self._sent_framerate_mhz = segment.framerate_mhz
        self.last_segment_time_us = segment.start_time_us
        self._stir()

    def end(self, reason: str) -> None:
        """End the live session; its buffer stays until the next one has been joined."""
        if self.live is None:
            return
        self._forget_ended()
        self._ended, self.live = self.live, None
        self._ended.ended_reason = reason
        self._ended.ended_seconds = self._seconds()
        self._log.info(
            "{sentinel}: session {session} has ended: {reason}",
            sentinel=self.sentinel_id,
            session=self._ended.session.session_id,
            reason=reason,
        )
        self._stir()

    def in_memory(self, session_id: str) -> LiveSession | None:
        """The session of this id, live or ended, while its buffer is held; None otherwise."""
        for held in (self.live, self._ended):
            if held is not None and held.session.session_id == session_id:
                return held
        return None

    @property
    def is_followed(self) -> bool:
        """True if anybody follows it."""
        return bool(self._followers)

    def let_go(self) -> None:
        """Nobody is to know it any more; those who follow it may wait until it comes again."""
        self.is_known = False
        self._forget_ended()

    def drop(self) -> None:
        """Let go of those who follow it: there is no room to wait for it."""
        followers, self._followers = self._followers, {}
        for on_dropped in followers.values():
            on_dropped()

    def follow(self, follower: IFollower, on_dropped: Callable[[], None]) -> None:
        """`follower` hears of every arrival, beginning and end, unless it is dropped; twice is
        once."""
        self._followers[follower] = on_dropped

    def leave(self, follower: IFollower) -> None:
        """`follower` hears nothing more; does nothing if it did not follow."""
        self._followers.pop(follower, None)

    def request_keyframe(self) -> None:
        """Ask for an IDR.

        :raises SentinelOffline: if the Sentinel is not connected.
        """
        self._connected().request_keyframe()

    def change_framerate(self, framerate_mhz: int) -> int:
        """Ask for this rate, now and of the sessions to come; returns it as clamped.

        :raises SentinelOffline: if the Sentinel is not connected.
        """
        publisher = self._connected()
        self.wanted_framerate_mhz = clamp_framerate(framerate_mhz)
        publisher.change_framerate(self.wanted_framerate_mhz)
        return self.wanted_framerate_mhz

    def tick(self) -> None:
        """Let go of what the windows no longer need, though nothing arrives."""
        now = self._seconds()
        if self.live is not None:
            self.live.buffer.trim(now)
        ended = self._ended
        if ended is None:
            return
        if now - ended.ended_seconds > ended.buffer.window_seconds or self._has_moved_on(now):
            self._forget_ended()
        else:
            ended.buffer.trim(now)

    def status(self) -> SentinelStatus:
        """Its row in the list of Sentinels, as of now."""
        live = self.live
        return SentinelStatus(
            sentinel_id=self.sentinel_id,
            name=self.name,
            group=self.group,
            state=self._state(),
            session_id=None if live is None else live.session.session_id,
            framerate_mhz=self.wanted_framerate_mhz or self._sent_framerate_mhz,
            last_segment_time_us=self.last_segment_time_us,
            recording=RecordingState.NONE if live is None else live.recording(),
        )

    def _hear(self, now_seconds: float, segment: Segment) -> None:
        """A segment has come; remember a pause before it."""
        pause, self._heard_seconds = now_seconds - self._heard_seconds, now_seconds
        if pause > PAUSE_SECONDS and pause > PAUSE_FRAMES * self._due_seconds(segment):
            before = self._pauses[1] if self._is_habit(now_seconds - pause) else 0.0
            self._pauses, self._paused_seconds = (before, pause), now_seconds

    def _due_seconds(self, segment: Segment) -> float:
        """The time after which this segment was to be expected, by it or by the one before."""
        rate = min(segment.framerate_mhz, self._sent_framerate_mhz or segment.framerate_mhz)
        return max(self._declared_ms, segment.duration_ms, 1_000_000 / rate) / 1_000

    def _is_habit(self, now_seconds: float) -> bool:
        return now_seconds - self._paused_seconds <= HABIT_SECONDS

    def _state(self) -> SentinelState:
        if self.publisher is None:
            return SentinelState.OFFLINE
        # Of the rate it has and the rate it was asked for: a change may be under way.
        rates = [rate for rate in (self._sent_framerate_mhz, self.wanted_framerate_mhz) if rate]
        patience = max(
            STALE_SECONDS,
            STALE_FRAMES * self._declared_ms / 1_000,
            *(STALE_FRAMES * 1_000 / rate for rate in rates),
        )
        if self._is_habit(self._heard_seconds):
            patience = max(patience, STALE_PAUSES * min(self._pauses))
        silence = self._seconds() - self._heard_seconds
        return SentinelState.STALE if silence > patience else SentinelState.LIVE

    def _has_moved_on(self, now_seconds: float) -> bool:
        """True if viewers who keep up have left the ended session for the live one."""
        if self.live is None:
            return False
        buffer = self.live.buffer
        place = buffer.oldest_keyframe(buffer.first)
        if place is None:
            return False
        return now_seconds - buffer.at(place).arrived_seconds >= MOVE_SECONDS

    def _connected(self) -> IPublisher:
        if self.publisher is None:
            raise SentinelOffline(f"sentinel {self.sentinel_id} is not connected")
        return self.publisher

    def _forget_ended(self) -> None:
        if self._ended is not None:
            self._ended.buffer.close()
            self._ended = None

    def _stir(self) -> None:
        for follower in tuple(self._followers):
            follower.stirred()
