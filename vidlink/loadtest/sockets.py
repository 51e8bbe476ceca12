"""The sockets of screens and proctors: joined as every Sentinel and client joins, and then light.

The handshake, control frames and all that is unusual is Autobahn's. A segment is two pieces that
are given to the transport, and of one that comes only the header is read.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

import vidlink
from vidlink.client.failures import closed
from vidlink.dialling.factory import DiallingFactory
from vidlink.dialling.protocol import DialledProtocol
from vidlink.errors import PeerError, VidlinkError
from vidlink.loadtest.film import Film
from vidlink.loadtest.frames import Cutter, ScreenFrames
from vidlink.loadtest.spread import Spread
from vidlink.loadtest.tally import Tally
from vidlink.messages import (
    Ack,
    ErrorMessage,
    KeyframeRequest,
    Message,
    ProctorRegister,
    ProctorRegistered,
    SentinelRegister,
    SentinelRegistered,
    Skipped,
    Subscribe,
    Subscribed,
)
from vidlink.model import InitSegment
from vidlink.wire.framing import payload_of

SOFTWARE = f"vidlink-rehearse/{vidlink.__version__}"
GROUP = "rehearsal"
#: Of one screen so much may wait for a server that takes nothing, and then it sends no more.
MOST_WAITING_BYTES = 4 * 1024 * 1024
#: A text that is longer is a list of sentinels, which nobody looks at here.
_LONGEST_TEXT = 4 * 1024
#: So many segments that are not acknowledged are remembered of a screen.
_MOST_UNACKNOWLEDGED = 1_000
_FIN_TEXT = 0x81


class Gauge:
    """The window that is measured, by the stamps of segments, and the tally of it."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.now_us = now_us
        self.tally = Tally()
        self._begin_us, self._end_us = 0, 0

    def measure(self, begin_us: int, end_us: int) -> None:
        """Count what is sent in this time, from nothing on."""
        self.tally = Tally()
        self._begin_us, self._end_us = begin_us, end_us

    def until(self, end_us: int) -> None:
        """Count what is sent to this time, and no longer."""
        self._end_us = end_us

    def is_within(self, time_us: int) -> bool:
        """True if what was sent at this time counts."""
        return self._begin_us <= time_us < self._end_us


class LightProtocol(DialledProtocol):
    """A connection; `failed` is called when it ends before :meth:`leave`, with why."""

    def __init__(self, gauge: Gauge, failed: Callable[[VidlinkError], object]) -> None:
        super().__init__()
        self.is_over = False
        self._gauge = gauge
        self._failed = failed
        self._is_leaving = False
        self._cutter = Cutter(self.on_segment, self._on_other)

    def dataReceived(self, data: bytes) -> None:
        """Take the octets of one read."""
        if self.is_agreed:
            self._cutter.feed(data)
        else:
            super().dataReceived(data)

    def on_segment(self, sequence: int, time_us: int, size_bytes: int) -> None:
        """A segment has come; nobody sends screens any."""

    def say(self, message: Message) -> None:
        """Send a message that is no segment."""
        self.sendMessage(*self.codec.encode(message))

    def no_format(self) -> None:
        """Nothing that is spoken here is spoken there."""
        self.sendClose(1000)

    def not_understood(self, error: PeerError) -> None:
        """Give up a server that says what is no message."""
        self._fail(error)
        self.sendClose(1000)

    def leave(self) -> None:
        """Close."""
        self._is_leaving = True
        if self.state == self.STATE_OPEN:
            self.sendClose(1000)
        elif self.transport is not None:
            self.transport.abortConnection()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """It is over, or was refused."""
        self.is_over = True
        where = self.factory.url
        if self.remoteCloseCode is not None:
            why = closed(where, self.closed_for, self.remoteCloseCode, self.remoteCloseReason)
        else:
            why = closed(where, None, None, None) if self.is_agreed else self.not_agreed()
        self._fail(why)

    def _on_other(self, frame: bytes) -> None:
        if frame[0] != _FIN_TEXT:
            super().dataReceived(frame)
            return
        text = payload_of(frame)
        if len(text) <= _LONGEST_TEXT:
            self.onMessage(bytes(text), False)

    def _fail(self, why: VidlinkError) -> None:
        if not self._is_leaving:
            self._is_leaving = True
            self._failed(why)


class ScreenProtocol(LightProtocol):
    """A screen. Its film begins anew with each keyframe that is asked for; the next one comes when
    it would have come, so that the keyframes of many screens stay as far apart as they are.

    :param film: what it shows.
    :param first_cycle: after so many frames comes its second keyframe; then each film's length.
    :param viewers: so many proctors watch it.
    """

    def __init__(
        self,
        gauge: Gauge,
        failed: Callable[[VidlinkError], object],
        sentinel_id: str,
        group: str,
        film: Film,
        framerate_mhz: int,
        first_cycle: int,
        viewers: int,
    ) -> None:
        super().__init__(gauge, failed)
        #: By the clock of the gauge; None until then.
        self.registered_us: int | None = None
        self.begun_seconds: float | None = None
        self._who = (sentinel_id, group)
        self._session_id = secrets.token_urlsafe(18)
        self._film, self._viewers = film, viewers
        self._frames = ScreenFrames(sentinel_id, self._session_id, film, framerate_mhz)
        self._sequence, self._place, self._until_keyframe = 0, 0, first_cycle
        self._backlog = _Backlog()
        self._waiting: deque[tuple[int, int]] = deque(maxlen=_MOST_UNACKNOWLEDGED)

    def agreed(self) -> None:
        """Register."""
        sentinel_id, group = self._who
        instance = secrets.token_urlsafe(9)
        self.say(SentinelRegister(sentinel_id, instance, SOFTWARE, self._session_id, "", group))

    def received(self, message: Message, size_bytes: int) -> None:
        """Take what the server says."""
        match message:
            case SentinelRegistered():
                self.transport.registerProducer(self._backlog, True)
                self.say(InitSegment(self._who[0], self._session_id, self._film.init))
                self.registered_us = self._gauge.now_us()
            case Ack():
                tally = self._gauge.tally
                tally.queue_ratio = max(tally.queue_ratio, message.load)
                self._acknowledged(message.sequence)
            case KeyframeRequest():
                self._place = 0

    def send(self, due_seconds: float, late_us: int) -> None:
        """Send the frame that was due then, unless too much of those before it waits still."""
        if self.registered_us is None or self.is_over:
            return
        if self.begun_seconds is None:
            self.begun_seconds = due_seconds
        gauge, time_us = self._gauge, self._gauge.now_us()
        counts = gauge.is_within(time_us)
        if self._backlog.waiting_bytes > MOST_WAITING_BYTES:
            gauge.tally.unsent += counts
            self._place = 0
            return
        if self._until_keyframe == 0:
            self._place, self._until_keyframe = 0, len(self._film.samples)
        media_time = round((due_seconds - self.begun_seconds) * self._film.timescale)
        pieces = self._frames.frame(self._place, self._sequence, time_us, media_time)
        size_bytes = len(pieces[0]) + len(pieces[1])
        self._backlog.wrote(size_bytes)
        self.transport.writeSequence(pieces)
        self._waiting.append((self._sequence, time_us))
        self._sequence += 1
        self._until_keyframe -= 1
        self._place = min(self._place + 1, len(self._film.samples) - 1)
        if counts:
            tally = gauge.tally
            tally.sent += 1
            tally.sent_bytes += size_bytes
            tally.expected += self._viewers
            tally.lateness.add(late_us)

    def _acknowledged(self, sequence: int) -> None:
        oldest_us = None
        while self._waiting and self._waiting[0][0] <= sequence:
            sent_us = self._waiting.popleft()[1]
            oldest_us = sent_us if oldest_us is None else oldest_us
        if oldest_us is not None and self._gauge.is_within(oldest_us):
            self._gauge.tally.acks.add(self._gauge.now_us() - oldest_us)


class _Backlog:
    """The most that a transport holds of what was written: a streaming producer for it."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self._is_full = False

    def wrote(self, size_bytes: int) -> None:
        """So much is given to the transport."""
        if self._is_full:
            self.waiting_bytes += size_bytes

    def pauseProducing(self) -> None:
        """It does not get rid of what it has."""
        self._is_full = True

    def resumeProducing(self) -> None:
        """It has got rid of all."""
        self._is_full, self.waiting_bytes = False, 0

    def stopProducing(self) -> None:
        """It is gone."""


class ProctorProtocol(LightProtocol):
    """A proctor that watches `ids`, each from its newest keyframe on."""

    def __init__(
        self, gauge: Gauge, failed: Callable[[VidlinkError], object], ids: list[str]
    ) -> None:
        super().__init__(gauge, failed)
        self.watching: set[str] = set()
        self.latency = Spread()
        self._ids = ids

    def agreed(self) -> None:
        """Register."""
        self.say(ProctorRegister(SOFTWARE))

    def received(self, message: Message, size_bytes: int) -> None:
        """Take what the server says."""
        match message:
            case ProctorRegistered():
                for sentinel_id in self._ids:
                    self.say(Subscribe(sentinel_id))
            case Subscribed() if message.session_id is not None:
                self.watching.add(message.sentinel_id)
            case Skipped():
                self._gauge.tally.skipped += message.last - message.first + 1
            case ErrorMessage() if message.about in self._ids:
                self._failed(VidlinkError(message.message))

    def on_segment(self, sequence: int, time_us: int, size_bytes: int) -> None:
        """A segment is here, to its last octet."""
        gauge = self._gauge
        if gauge.is_within(time_us):
            self.latency.add(gauge.now_us() - time_us)
            gauge.tally.received += 1
            gauge.tally.received_bytes += size_bytes


class LightFactory(DiallingFactory):
    """Makes one connection, of `protocol`."""

    def __init__(self, url: str, protocol: Any, codecs: Any, clock: Any, headers: Any) -> None:
        super().__init__(url, codecs, clock, headers)
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Any:
        """The connection."""
        self._protocol.factory = self
        return self._protocol
