"""Frames into the segments of one session after the other: numbers, times, and what is dropped.

When there is a session at all is decided in :mod:`vidlink.links.uplink`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from vidlink.fmp4 import write_fragment
from vidlink.interfaces import ICapture, IServerPeer
from vidlink.links.clock import ClockOffset
from vidlink.model import EncodedFrame, InitSegment, Limits, Segment

#: Octets that may wait for the socket; beyond it frames are dropped up to the next keyframe
#: that is captured once half of them are gone. So is a frame that the server would not take.
MAX_BACKLOG_BYTES = 8 * 1024 * 1024
#: That frames are dropped is told at once, and then so often, with their number.
DROPPED_SECONDS = 60.0


class SendingEvents(Protocol):
    """Who wants to know how the sending goes."""

    def on_session(self, session_id: str) -> None:
        """A session has begun."""

    def on_dropped(self, count: int, why: str) -> None:
        """So many frames were not sent since this was last said."""


class Sending:
    """What one Sentinel sends, from connection to connection.

    :param seconds: the monotonic clock.
    """

    def __init__(
        self,
        sentinel_id: str,
        capture: ICapture,
        events: SendingEvents,
        seconds: Callable[[], float],
    ) -> None:
        self.init = b""
        self.offset = ClockOffset()
        self.session_id = ""
        self.max_segment_bytes = Limits().max_segment_bytes
        self._sentinel_id = sentinel_id
        self._capture = capture
        self._events = events
        self._seconds = seconds
        self._epoch = -1
        self._sequence = -1
        self._choked = False
        self._dropped = 0
        self._why = ""
        self._told_seconds = float("-inf")

    def next_session(self) -> None:
        """Choose the id of the session to come."""
        self.session_id = secrets.token_urlsafe(18)
        self._sequence = -1

    def begin(self) -> None:
        """There is a server that waits for it: the next frame begins the session."""
        self._choked = False
        self._epoch = self._capture.begin_session()

    def send(self, frame: EncodedFrame, peer: IServerPeer) -> None:
        """Send a frame as the next segment of its session, or drop it."""
        if frame.epoch < self._epoch:
            return
        if frame.epoch > self._epoch:
            self._epoch = frame.epoch
            self.next_session()
        self._sequence += 1
        if self._sequence == 0:
            peer.send(InitSegment(self._sentinel_id, self.session_id, self.init))
            self._events.on_session(self.session_id)
        if not self._has_room(frame, peer.backlog_bytes):
            self._drop("the server does not take them fast enough")
            return
        segment = self._segment(frame)
        if len(segment.data) > self.max_segment_bytes:
            self._choked = True
            self._drop(f"the server takes no segment of more than {self.max_segment_bytes} bytes")
            return
        peer.send(segment)

    def tick(self) -> None:
        """To be called about once a second: what was dropped is told, if it is time."""
        if self._dropped and self._seconds() - self._told_seconds >= DROPPED_SECONDS:
            dropped, self._dropped = self._dropped, 0
            self._told_seconds = self._seconds()
            self._events.on_dropped(dropped, self._why)

    def _drop(self, why: str) -> None:
        self._dropped += 1
        self._why = why
        self.tick()

    def _segment(self, frame: EncodedFrame) -> Segment:
        start_time_us = self.offset.corrected(frame.start_time_us)
        data = write_fragment(
            sequence=self._sequence,
            decode_time=frame.media_time,
            duration=frame.duration,
            keyframe=frame.keyframe,
            data=frame.data,
            producer_time_us=start_time_us,
        )
        return Segment(
            sentinel_id=self._sentinel_id,
            session_id=self.session_id,
            sequence=self._sequence,
            start_time_us=start_time_us,
            duration_ms=frame.duration_ms,
            framerate_mhz=frame.framerate_mhz,
            keyframe=frame.keyframe,
            data=data,
        )

    def _has_room(self, frame: EncodedFrame, backlog_bytes: int) -> bool:
        """Whether the socket can take this frame; sequences of dropped ones stay missing."""
        if not self._choked:
            self._choked = backlog_bytes > MAX_BACKLOG_BYTES
            return not self._choked
        if backlog_bytes > MAX_BACKLOG_BYTES // 2:
            return False
        if not frame.keyframe:
            self._capture.request_keyframe()
            return False
        self._choked = False
        return True
