"""The Sentinel's side of its conversation with the server: register, init, segments, control.

What is captured becomes segments in :mod:`vidlink.links.uplink.live`; what comes late is
:mod:`vidlink.links.uplink.late`. The socket and the reconnecting are
:mod:`vidlink.sentinel.uplink`; the pictures come from :mod:`vidlink.sentinel.capture.capture`.

It is one idea: the states of the conversation, and what is done in each about what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from automat import NoTransition, TypeMachineBuilder
from twisted.internet.interfaces import IReactorTime

from vidlink.errors import BadMessage, PeerError, SessionSealed
from vidlink.interfaces import ICapture, IServerPeer, ISpool
from vidlink.links.uplink.clock import ClockComparison
from vidlink.links.uplink.events import UplinkEvents
from vidlink.links.uplink.late import LateDelivery
from vidlink.links.uplink.live import LiveSending, new_session_id
from vidlink.messages import (
    Ack,
    Clock,
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    Message,
    SentinelRegister,
    SentinelRegistered,
    Tail,
)
from vidlink.model import EncodedFrame, Registration, clamp_framerate

#: The time between two words to the log that there is no server.
OFFLINE_SECONDS = 60.0


class _Inputs(Protocol):
    """The events of the conversation."""

    def connected(self, peer: IServerPeer) -> None: ...
    def registered(self, message: SentinelRegistered) -> None: ...
    def accepted(self, connection: _Connection, message: SentinelRegistered) -> None: ...
    def keyframe(self, message: KeyframeRequest) -> None: ...
    def framerate(self, message: FramerateChange) -> None: ...
    def clock(self, message: Clock) -> None: ...
    def ack(self, message: Ack) -> None: ...
    def error(self, message: ErrorMessage) -> None: ...
    def tick(self) -> None: ...
    def lost(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection to the server: the session that begins on it, and the tails it was told of."""

    peer: IServerPeer
    session_id: str
    tails: tuple[Tail, ...]
    comparison: ClockComparison

    def compare_clocks(self) -> None:
        """Send `clock` if it is time; the answer corrects the times that segments carry."""
        question = self.comparison.question()
        if question is not None:
            self.peer.send(question)


class Uplink:
    """One Sentinel's conversation with its server, over any number of connections.

    Every connection begins a session of its own; so does a change of the frame's size. Without
    a connection the session goes on: all that is captured is kept in `spool` until the server
    has it.

    :param identity: who this Sentinel is; `instance_id` random per process.
    :param clock: the monotonic clock, and what is to happen later.
    :param wall_clock_us: microseconds since the epoch; not to be set while it is used.
    """

    def __init__(
        self,
        identity: Registration,
        capture: ICapture,
        events: UplinkEvents,
        *,
        spool: ISpool,
        clock: IReactorTime,
        wall_clock_us: Callable[[], int],
    ) -> None:
        self.identity = identity
        self.capture = capture
        self.events = events
        self.spool = spool
        self.seconds = seconds = clock.seconds
        self.wall_clock_us = wall_clock_us
        self.live = LiveSending(
            identity.sentinel_id, capture, events, seconds, spool, self._session_began
        )
        self.late = LateDelivery(identity.sentinel_id, spool, events, clock)
        self._first_seconds = float("inf")
        #: Whom :meth:`fail` closes, at once, also in the middle of something that happens.
        self._peer: IServerPeer | None = None
        self._offline_seconds = self._told_seconds = seconds()
        self._finished: Callable[[], object] | None = None
        self._inputs = _build(self)

    def rename(self, sentinel_id: str) -> None:
        """Be another Sentinel, from the next connection on; what is held goes along."""
        self.identity = replace(self.identity, sentinel_id=sentinel_id)
        self.live.sentinel_id = self.late.sentinel_id = sentinel_id

    def start(self, patience_seconds: float = 0.0) -> None:
        """Begin the first session: live, or without a server if none has answered by then."""
        self._offline_seconds = self._told_seconds = self.seconds()
        self._first_seconds = self.seconds() + patience_seconds
        self._begin_if_due()

    def _begin_if_due(self) -> None:
        if self.seconds() >= self._first_seconds:
            self._first_seconds = float("inf")
            self.live.begin()

    def connected(self, peer: IServerPeer) -> None:
        """A connection is open."""
        self._peer = peer
        self._inputs.connected(peer)

    def received(self, message: Message) -> None:
        """Do what one message asks; a mistake of the server ends the connection."""
        try:
            match message:
                case SentinelRegistered():
                    self._inputs.registered(message)
                case KeyframeRequest():
                    self._inputs.keyframe(message)
                case FramerateChange():
                    self._inputs.framerate(message)
                case Clock():
                    self._inputs.clock(message)
                case Ack():
                    self._inputs.ack(message)
                case ErrorMessage():
                    self._inputs.error(message)
                case _:
                    raise BadMessage(f"a server does not send {type(message).__name__} here")
        except NoTransition:
            self.fail(BadMessage(f"{type(message).__name__} is not allowed at this point"))
        except PeerError as error:
            self.fail(error)

    def initialized(self, init: bytes) -> None:
        """The encoder has a new initialization segment; the frames that follow build on it."""
        self.live.init = init

    def encoded(self, frame: EncodedFrame) -> None:
        """A frame has been encoded: it is kept, and sent if there is a connection."""
        self.live.send(frame)

    def drained(self) -> None:
        """The socket has taken everything: there may be room for what comes late."""
        self.late.drained()

    def tick(self) -> None:
        """Do what is due; to be called about once a second."""
        self._begin_if_due()
        self._inputs.tick()

    def lost(self) -> None:
        """The connection is gone."""
        self._inputs.lost()

    def fail(self, error: PeerError) -> None:
        """End this connection; the server is told why."""
        if self._peer is not None:
            self._peer.close(error)

    def finish(self, finished: Callable[[], object]) -> None:
        """Nothing more is captured: call `finished` once the server has what was sent live,
        or at once if there is none."""
        self._finished = finished
        self.check_finished()

    def check_finished(self) -> None:
        """Call whoever waits for the last acknowledgement, if it is here."""
        live, finished = self.live.sent, self._finished
        if finished is not None and (live is None or self.late.reached(live[0]) >= live[1]):
            self._finished = None
            finished()

    def stream(self, connection: _Connection, message: SentinelRegistered) -> None:
        """The server has accepted us: the next frame begins the session."""
        self._first_seconds = float("inf")
        sending = self.live
        limit = message.limits.get("maxSegmentBytes", sending.max_segment_bytes)
        sending.max_segment_bytes = limit
        self.events.on_registered()
        self.late.begin(
            connection.peer,
            connection.tails,
            message.resume,
            offset_us=connection.comparison.offset.measured_us,
            max_segment_bytes=limit,
            unfinished_id=sending.session_id,
        )
        sending.begin(connection.session_id, connection.peer)

    def forget(self) -> None:
        """There is no connection any more; what is captured is kept."""
        self._peer = None
        self._offline_seconds = self._told_seconds = self.seconds()
        self.live.lost()
        self.late.stop()
        self.check_finished()

    def tell_offline(self) -> None:
        """Say once a minute that there is no server."""
        now = self.seconds()
        if now - self._told_seconds >= OFFLINE_SECONDS:
            self._told_seconds = now
            self.events.on_offline(now - self._offline_seconds, self.spool.load)

    def _session_began(self, before: tuple[str, int] | None) -> None:
        """A session has begun; the one `before` it is over at this sequence."""
        if before is not None:
            self.late.over(*before)
        live = self.live.sent
        if live is not None:
            self.late.began(live[0])


def _register(inputs: _Inputs, uplink: Uplink, peer: IServerPeer) -> _Connection:
    """Compare clocks, and say who we are, which session comes, and what is held."""
    connection = _Connection(
        peer,
        new_session_id(),
        uplink.late.tails(),
        ClockComparison(uplink.wall_clock_us),
    )
    connection.compare_clocks()
    identity = uplink.identity
    peer.send(
        SentinelRegister(
            sentinel_id=identity.sentinel_id,
            instance_id=identity.instance_id,
            software=identity.software,
            session_id=connection.session_id,
            name=identity.name,
            group=identity.group,
            resume=connection.tails,
        )
    )
    return connection


def _registered(
    inputs: _Inputs, uplink: Uplink, connection: _Connection, message: SentinelRegistered
) -> None:
    inputs.accepted(connection, message)


def _accepted(
    inputs: _Inputs, uplink: Uplink, connection: _Connection, message: SentinelRegistered
) -> _Connection:
    uplink.stream(connection, message)
    return connection


def _keyframe(inputs: _Inputs, uplink: Uplink, message: KeyframeRequest) -> None:
    uplink.capture.request_keyframe()


def _framerate(inputs: _Inputs, uplink: Uplink, message: FramerateChange) -> None:
    uplink.capture.set_framerate(clamp_framerate(message.framerate_mhz))


def _clock(inputs: _Inputs, uplink: Uplink, connection: _Connection, message: Clock) -> None:
    if connection.comparison.answered(message):
        uplink.live.offset = connection.comparison.offset


def _ack(inputs: _Inputs, uplink: Uplink, message: Ack) -> None:
    uplink.late.acknowledged(message)
    uplink.check_finished()


def _error(inputs: _Inputs, uplink: Uplink, message: ErrorMessage) -> None:
    if message.code != SessionSealed.code:
        uplink.events.on_error(message.code, message.message)
    uplink.late.refused(message.code, message.about)


def _tick(inputs: _Inputs, uplink: Uplink, connection: _Connection) -> None:
    connection.compare_clocks()
    if connection.comparison.begin_anew():
        uplink.live.offset = connection.comparison.offset
        uplink.live.begin(peer=connection.peer)
    uplink.live.tick()
    _, sent = uplink.live.sent or ("", -1)
    uplink.late.tick(sent)


def _offline(inputs: _Inputs, uplink: Uplink) -> None:
    uplink.live.tick()
    uplink.tell_offline()


def _lost(inputs: _Inputs, uplink: Uplink, connection: _Connection) -> None:
    uplink.forget()


def _table() -> Callable[[Uplink], _Inputs]:
    builder = TypeMachineBuilder(_Inputs, Uplink)
    offline = builder.state("offline")
    registering = builder.state("registering", _register)
    streaming = builder.state("streaming", _accepted)
    offline.upon(_Inputs.connected).to(registering).returns(None)
    offline.upon(_Inputs.tick).loop()(_offline)
    registering.upon(_Inputs.registered).loop()(_registered)
    registering.upon(_Inputs.accepted).to(streaming).returns(None)
    registering.upon(_Inputs.tick, nodata=True).loop()(_offline)
    streaming.upon(_Inputs.keyframe, nodata=True).loop()(_keyframe)
    streaming.upon(_Inputs.ack, nodata=True).loop()(_ack)
    streaming.upon(_Inputs.tick).loop()(_tick)
    for state in (registering, streaming):
        state.upon(_Inputs.framerate, nodata=True).loop()(_framerate)
        state.upon(_Inputs.clock).loop()(_clock)
        state.upon(_Inputs.error, nodata=True).loop()(_error)
        state.upon(_Inputs.lost).to(offline)(_lost)
    for word in ("registered", "keyframe", "framerate", "clock", "ack", "error", "lost"):
        offline.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


_build = _table()
