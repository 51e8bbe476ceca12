"""The Sentinel's side of its conversation with the server: register, init, segments, control.

The socket and the reconnecting are :mod:`vidlink.sentinel.uplink`; the pictures come from
:mod:`vidlink.sentinel.capture`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from automat import NoTransition, TypeMachineBuilder

from vidlink.errors import BadMessage, PeerError
from vidlink.interfaces import ICapture, IServerPeer
from vidlink.links.clock import ClockOffset
from vidlink.links.sending import Sending, SendingEvents
from vidlink.model import EncodedFrame, Registration, clamp_framerate
from vidlink.wire.messages import (
    Ack,
    Clock,
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    Message,
    SentinelRegister,
    SentinelRegistered,
)

#: How often the clocks are compared.
CLOCK_SECONDS = 60.0


class UplinkEvents(SendingEvents, Protocol):
    """Who wants to know how the conversation goes."""

    def on_registered(self) -> None:
        """The server has accepted this Sentinel."""

    def on_error(self, code: str, message: str) -> None:
        """The server has said what is wrong."""


class _Inputs(Protocol):
    """What can happen to the conversation."""

    def connected(self, peer: IServerPeer) -> None: ...
    def registered(self, message: SentinelRegistered) -> None: ...
    def keyframe(self, message: KeyframeRequest) -> None: ...
    def framerate(self, message: FramerateChange) -> None: ...
    def clock(self, message: Clock) -> None: ...
    def ack(self, message: Ack) -> None: ...
    def error(self, message: ErrorMessage) -> None: ...
    def frame(self, frame: EncodedFrame) -> None: ...
    def tick(self) -> None: ...
    def lost(self) -> None: ...


class Uplink:
    """One Sentinel's conversation with its server, over any number of connections.

    Every connection begins a session of its own; so does a change of the frame's size.

    :param identity: who this Sentinel is; `instance_id` random per process.
    :param seconds: the monotonic clock.
    :param wall_clock_us: microseconds since the epoch; not to be set while it is used.
    """

    def __init__(
        self,
        identity: Registration,
        capture: ICapture,
        events: UplinkEvents,
        *,
        seconds: Callable[[], float],
        wall_clock_us: Callable[[], int],
    ) -> None:
        self.identity = identity
        self.capture = capture
        self.events = events
        self.seconds = seconds
        self.wall_clock_us = wall_clock_us
        self.sending = Sending(identity.sentinel_id, capture, events, seconds)
        self._peer: IServerPeer | None = None
        self._clock_due_seconds = 0.0
        self._inputs: _Inputs = _build(self)

    def connected(self, peer: IServerPeer) -> None:
        """A connection is open."""
        self._inputs.connected(peer)

    def received(self, message: Message) -> None:
        """Take one message; a mistake of the server ends the connection, nothing is raised."""
        try:
            take = _TAKES.get(type(message))
            if take is None:
                raise BadMessage(f"a server does not send {type(message).__name__} here")
            take(self._inputs, message)
        except NoTransition:
            self.fail(BadMessage(f"{type(message).__name__} is not allowed at this point"))
        except PeerError as error:
            self.fail(error)

    def initialized(self, init: bytes) -> None:
        """The encoder has a new initialization segment; the frames that follow build on it."""
        self.sending.init = init

    def encoded(self, frame: EncodedFrame) -> None:
        """A frame has been encoded; dropped while there is no connection to send it on."""
        self._inputs.frame(frame)

    def tick(self) -> None:
        """To be called about once a second."""
        self._inputs.tick()

    def lost(self) -> None:
        """The connection is gone."""
        self._inputs.lost()

    def fail(self, error: PeerError) -> None:
        """End this connection; the server is told why."""
        if self._peer is not None:
            self._peer.close(error)

    def register(self, peer: IServerPeer) -> None:
        """Compare clocks, and say who we are and which session comes."""
        self._peer = peer
        # What was found before may be hours old, and this machine may have slept since: with a
        # new session the times may jump.
        self.sending.offset = ClockOffset()
        self.compare_clocks()
        self.sending.next_session()
        identity = self.identity
        peer.send(
            SentinelRegister(
                sentinel_id=identity.sentinel_id,
                instance_id=identity.instance_id,
                software=identity.software,
                session_id=self.sending.session_id,
                name=identity.name,
                group=identity.group,
            )
        )

    def compare_clocks(self) -> None:
        """Send `clock`; the answer corrects the times that segments carry."""
        self._clock_due_seconds = self.seconds() + CLOCK_SECONDS
        self._send(Clock(self.wall_clock_us()))

    def compare_clocks_if_due(self) -> None:
        """Send `clock` once a minute."""
        if self.seconds() >= self._clock_due_seconds:
            self.compare_clocks()

    def stream(self, limits: Mapping[str, int]) -> None:
        """The server has accepted us: the next frame begins the session."""
        sending = self.sending
        sending.max_segment_bytes = limits.get("maxSegmentBytes", sending.max_segment_bytes)
        self.events.on_registered()
        sending.begin()

    def forget(self) -> None:
        """There is no connection any more."""
        self._peer = None

    def send_frame(self, frame: EncodedFrame) -> None:
        """Send a frame as the next segment of its session."""
        if self._peer is not None:
            self.sending.send(frame, self._peer)

    def _send(self, message: Message) -> None:
        if self._peer is not None:
            self._peer.send(message)


def _connected(inputs: _Inputs, uplink: Uplink, peer: IServerPeer) -> None:
    uplink.register(peer)


def _registered(inputs: _Inputs, uplink: Uplink, message: SentinelRegistered) -> None:
    uplink.stream(message.limits)


def _keyframe(inputs: _Inputs, uplink: Uplink, message: KeyframeRequest) -> None:
    uplink.capture.request_keyframe()


def _framerate(inputs: _Inputs, uplink: Uplink, message: FramerateChange) -> None:
    uplink.capture.set_framerate(clamp_framerate(message.framerate_mhz))


def _clock(inputs: _Inputs, uplink: Uplink, message: Clock) -> None:
    if message.t1 is not None and message.t2 is not None:
        uplink.sending.offset.measured(message.t0, message.t1, message.t2, uplink.wall_clock_us())


def _error(inputs: _Inputs, uplink: Uplink, message: ErrorMessage) -> None:
    uplink.events.on_error(message.code, message.message)


def _frame(inputs: _Inputs, uplink: Uplink, frame: EncodedFrame) -> None:
    uplink.send_frame(frame)


def _tick(inputs: _Inputs, uplink: Uplink) -> None:
    uplink.compare_clocks_if_due()
    uplink.sending.tick()


def _lost(inputs: _Inputs, uplink: Uplink) -> None:
    uplink.forget()


def _table() -> Callable[[Uplink], _Inputs]:
    builder = TypeMachineBuilder(_Inputs, Uplink)
    offline = builder.state("offline")
    registering = builder.state("registering")
    streaming = builder.state("streaming")
    offline.upon(_Inputs.connected).to(registering)(_connected)
    registering.upon(_Inputs.registered).to(streaming)(_registered)
    streaming.upon(_Inputs.keyframe).loop()(_keyframe)
    streaming.upon(_Inputs.ack).loop().returns(None)
    streaming.upon(_Inputs.frame).loop()(_frame)
    streaming.upon(_Inputs.tick).loop()(_tick)
    for state in (registering, streaming):
        state.upon(_Inputs.framerate).loop()(_framerate)
        state.upon(_Inputs.clock).loop()(_clock)
        state.upon(_Inputs.error).loop()(_error)
        state.upon(_Inputs.lost).to(offline)(_lost)
    for state in (offline, registering):
        state.upon(_Inputs.frame).loop().returns(None)
        state.upon(_Inputs.tick).loop().returns(None)
    offline.upon(_Inputs.lost).loop().returns(None)
    for word in ("registered", "keyframe", "framerate", "clock", "ack", "error"):
        offline.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


_build = _table()

_TAKES: dict[type, Callable[[_Inputs, Any], None]] = {
    SentinelRegistered: lambda inputs, message: inputs.registered(message),
    KeyframeRequest: lambda inputs, message: inputs.keyframe(message),
    FramerateChange: lambda inputs, message: inputs.framerate(message),
    Clock: lambda inputs, message: inputs.clock(message),
    Ack: lambda inputs, message: inputs.ack(message),
    ErrorMessage: lambda inputs, message: inputs.error(message),
}
