"""The server's side of one Sentinel's conversation: registration, init, segments, acks.

What it decides goes to the hub (live) and to the store (recording), side by side. The socket
is :mod:`vidlink.server.ingest`; what is checked of the media is in :mod:`vidlink.fmp4`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from automat import NoTransition, TypeMachineBuilder
from zope.interface import implementer

from vidlink.errors import (
    BadMessage,
    GoingAway,
    NoRegistration,
    NotAllowed,
    PeerError,
    Replaced,
    RequestError,
    TooFast,
    VidlinkError,
)
from vidlink.interfaces import IHub, IPublisher, ISentinelPeer, IStore
from vidlink.links.asking import Asking
from vidlink.links.intake import Intake
from vidlink.links.rate import Rate
from vidlink.model import Frame, InitSegment, Limits, Registration, Segment, Session
from vidlink.wire.messages import (
    Ack,
    BackfillDone,
    Clock,
    DeclareGap,
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    Message,
    SentinelRegister,
    SentinelRegistered,
    limit_words,
)

#: A Sentinel that has connected must register within this time.
REGISTRATION_SECONDS = 10.0


class _Inputs(Protocol):
    """What can happen to the conversation."""

    def register(self, message: SentinelRegister) -> None: ...
    def seated(self, stream: Any) -> None: ...
    def refused(self, failure: Any) -> None: ...
    def init(self, message: InitSegment) -> None: ...
    def late_init(self, message: InitSegment) -> None: ...
    def segment(self, message: Segment, frames: dict[str, Frame]) -> None: ...
    def gap(self, message: DeclareGap) -> None: ...
    def done(self, message: BackfillDone) -> None: ...
    def clock(self, message: Clock) -> None: ...
    def error(self, message: ErrorMessage) -> None: ...
    def deadline(self) -> None: ...
    def over(self, reason: str) -> None: ...


@implementer(IPublisher)
class Ingest:
    """One Sentinel's conversation, from the server's side.

    :param sentinel_id: the id that the connection was authenticated for; None: any.
    :param seconds: the monotonic clock.
    :param wall_clock_us: microseconds since the epoch.
    """

    registration: Registration

    def __init__(
        self,
        peer: ISentinelPeer,
        hub: IHub,
        store: IStore,
        *,
        seconds: Callable[[], float],
        wall_clock_us: Callable[[], int],
        limits: Limits,
        sentinel_id: str | None = None,
    ) -> None:
        self.peer = peer
        self.hub = hub
        self.store = store
        self.seconds = seconds
        self.wall_clock_us = wall_clock_us
        self.limits = limits
        self.allowed_id = sentinel_id
        self.next_session_id = ""
        self.claimed: Any = None
        self.stream: Any = None
        self.intake: Intake | None = None
        #: What the Sentinel said before it closed; None if it has not.
        self.farewell: ErrorMessage | None = None
        self._durable: tuple[str, int] | None = None
        self._rate = Rate(seconds)
        self._asking = Asking(lambda request: self.peer.send(request), seconds)
        self._inputs: _Inputs = _build(self)

    def received(self, message: Message, frames: dict[str, Frame] | None = None) -> None:
        """Take one message; `frames` are what may be forwarded of it as it came.

        A mistake of the peer closes its connection; nothing is raised.
        """
        try:
            take = _TAKES.get(type(message))
            if not isinstance(message, Segment):
                self._rate.count()
            if take is None:
                raise BadMessage(f"a sentinel does not send {type(message).__name__}")
            try:
                take(self._inputs, message, {} if frames is None else frames)
            except NoTransition:
                raise BadMessage(f"{type(message).__name__} is not allowed at this point") from None
        except PeerError as error:
            self.fail(error)

    def deadline(self) -> None:
        """:data:`REGISTRATION_SECONDS` have passed since it connected."""
        self._inputs.deadline()

    def tick(self) -> None:
        """To be called about once a second: acks and keyframe requests that are due."""
        if self._durable is not None:
            session_id, sequence = self._durable
            self._durable = None
            self.peer.send(Ack(session_id, sequence, load=self.store.load))
        self._asking.tick()

    def fail(self, error: PeerError) -> None:
        """End the conversation: the peer is told why, and viewers that the session is over."""
        self.peer.close(error)
        self._inputs.over(error.code)

    def lost(self) -> None:
        """The connection is gone."""
        farewell = self.farewell
        self._inputs.over("disconnected" if farewell is None else farewell.message)

    def going_away(self) -> None:
        """The server is shutting down."""
        self.fail(GoingAway("the server is shutting down"))

    def request_keyframe(self) -> None:
        """Ask for an IDR; requests within a second become one."""
        self._asking.ask(KeyframeRequest(self.registration.sentinel_id))

    def change_framerate(self, framerate_mhz: int) -> None:
        """Ask for another frame rate (mHz, already clamped); within a second the last one."""
        self._asking.ask(FramerateChange(self.registration.sentinel_id, framerate_mhz))

    def replace(self) -> None:
        """A newer connection of the same Sentinel takes over."""
        self.fail(Replaced("a newer connection has taken this sentinel's place"))

    def probe(self, seconds: float) -> Any:
        """Fires with whether it answers a ping within `seconds`."""
        return self.peer.probe(seconds)

    def begin_session(self, message: InitSegment) -> None:
        """The initialization segment of a session that has not begun yet."""
        if not self.stream.allowed_sessions.take():
            raise TooFast("too many sessions have been begun in too short a time")
        intake = Intake.open(self.registration, message, self.limits, self.wall_clock_us())
        session = intake.session
        try:
            self.store.begin(session, lambda sequence: self._acknowledge(session, sequence))
        except RequestError as error:
            raise BadMessage(str(error)) from error
        self.end_session("replaced by the next session")
        self.intake = intake
        self.stream.begin(session, lambda: self.store.recording(session.session_id))

    def end_session(self, reason: str) -> None:
        """The live session, if any, is over for viewers and for the recording."""
        if self.intake is not None:
            session_id = self.intake.session.session_id
            self.intake = self._durable = None
            self.stream.end(reason)
            self.store.end(session_id, reason, self.wall_clock_us())

    def keyframe_came(self) -> None:
        """Whoever is waiting for an IDR has it."""
        self._asking.answered(KeyframeRequest)

    def tell(self, error: VidlinkError, about: str) -> None:
        """A request failed; the connection stays open."""
        self.peer.send(ErrorMessage(error.code, str(error), about))

    def _acknowledge(self, session: Session, sequence: int) -> None:
        if self.intake is not None and self.intake.session is session:
            self._durable = (session.session_id, sequence)


def _register(inputs: _Inputs, ingest: Ingest, message: SentinelRegister) -> None:
    if ingest.allowed_id is not None and message.sentinel_id != ingest.allowed_id:
        raise NotAllowed(f"this connection may only speak for {ingest.allowed_id}")
    ingest.next_session_id = message.session_id
    ingest.registration = Registration(
        sentinel_id=message.sentinel_id,
        instance_id=message.instance_id,
        name=message.name or message.sentinel_id,
        group=message.group,
        software=message.software,
    )
    ingest.claimed = ingest.hub.claim(ingest.registration, ingest)
    ingest.claimed.addCallbacks(inputs.seated, inputs.refused)


def _seated(inputs: _Inputs, ingest: Ingest, stream: Any) -> None:
    ingest.stream = stream
    ingest.peer.send(
        SentinelRegistered(server_time_us=ingest.wall_clock_us(), limits=limit_words(ingest.limits))
    )


def _refused(inputs: _Inputs, ingest: Ingest, failure: Any) -> None:
    failure.trap(PeerError)
    ingest.fail(failure.value)


def _init(inputs: _Inputs, ingest: Ingest, message: InitSegment) -> None:
    _check_speaker(ingest, message.sentinel_id)
    if ingest.intake is None and message.session_id != ingest.next_session_id:
        raise BadMessage("the init is not of the session that was registered")
    if ingest.intake is not None and ingest.intake.repeats(message):
        return
    ingest.begin_session(message)


def _late_init(inputs: _Inputs, ingest: Ingest, message: InitSegment) -> None:
    _check_speaker(ingest, message.sentinel_id)
    _unknown_session(ingest, message.session_id)


def _segment(inputs: _Inputs, ingest: Ingest, message: Segment, frames: dict[str, Frame]) -> None:
    _check_speaker(ingest, message.sentinel_id)
    intake = ingest.intake
    if intake is None or message.session_id != intake.session.session_id:
        if not message.late:
            raise BadMessage("a segment that is not late belongs to the newest init")
        _unknown_session(ingest, message.session_id)
        return
    taken = intake.take(message, ingest.seconds(), ingest.wall_clock_us(), frames)
    if taken is None:
        return
    ingest.store.append(message.session_id, taken)
    if not message.late:
        ingest.stream.push(taken)
        if message.keyframe:
            ingest.keyframe_came()
        elif taken.undecodable:
            ingest.request_keyframe()


def _gap(inputs: _Inputs, ingest: Ingest, message: DeclareGap) -> None:
    intake = ingest.intake
    if intake is None or message.session_id != intake.session.session_id:
        _unknown_session(ingest, message.session_id)
    else:
        ingest.store.gap(message.session_id, intake.declared(message))


def _done(inputs: _Inputs, ingest: Ingest, message: BackfillDone) -> None:
    _unknown_session(ingest, message.session_id)


def _clock(inputs: _Inputs, ingest: Ingest, message: Clock) -> None:
    now = ingest.wall_clock_us()
    ingest.peer.send(Clock(message.t0, now, now))


def _error(inputs: _Inputs, ingest: Ingest, message: ErrorMessage) -> None:
    ingest.farewell = ingest.farewell or message


def _deadline(inputs: _Inputs, ingest: Ingest) -> None:
    ingest.fail(NoRegistration(f"no sentinel.register within {REGISTRATION_SECONDS:g} s"))


def _over(inputs: _Inputs, ingest: Ingest, reason: str) -> None:
    if ingest.claimed is not None:
        ingest.claimed.cancel()
    ingest.end_session(reason)
    if ingest.stream is not None:
        ingest.stream.detach(ingest)


def _check_speaker(ingest: Ingest, sentinel_id: str) -> None:
    if sentinel_id != ingest.registration.sentinel_id:
        raise BadMessage(f"this connection speaks for {ingest.registration.sentinel_id}")


def _unknown_session(ingest: Ingest, session_id: str) -> None:
    ingest.tell(RequestError("this session is not being recorded on this connection"), session_id)


def _table() -> Callable[[Ingest], _Inputs]:
    builder = TypeMachineBuilder(_Inputs, Ingest)
    connected = builder.state("connected")
    claiming = builder.state("claiming")
    registered = builder.state("registered")
    streaming = builder.state("streaming")
    over = builder.state("over")
    connected.upon(_Inputs.register).to(claiming)(_register)
    connected.upon(_Inputs.clock).loop()(_clock)
    connected.upon(_Inputs.deadline).loop()(_deadline)
    claiming.upon(_Inputs.seated).to(registered)(_seated)
    claiming.upon(_Inputs.refused).loop()(_refused)
    registered.upon(_Inputs.init).to(streaming)(_init)
    streaming.upon(_Inputs.init).loop()(_init)
    streaming.upon(_Inputs.segment).loop()(_segment)
    for state in (registered, streaming):
        state.upon(_Inputs.late_init).loop()(_late_init)
        state.upon(_Inputs.gap).loop()(_gap)
        state.upon(_Inputs.done).loop()(_done)
    for state in (claiming, registered, streaming):
        state.upon(_Inputs.clock).loop()(_clock)
        state.upon(_Inputs.deadline).loop().returns(None)
    for state in (connected, claiming, registered, streaming):
        state.upon(_Inputs.error).loop()(_error)
        state.upon(_Inputs.over).to(over)(_over)
    for word in ("register", "init", "late_init", "segment", "gap", "done", "clock", "error"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    for word in ("refused", "deadline", "over"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


_build = _table()

_TAKES: dict[type, Callable[[_Inputs, Any, dict[str, Frame]], None]] = {
    SentinelRegister: lambda inputs, message, frames: inputs.register(message),
    InitSegment: lambda inputs, message, frames: (
        inputs.late_init(message) if message.late else inputs.init(message)
    ),
    Segment: lambda inputs, message, frames: inputs.segment(message, frames),
    DeclareGap: lambda inputs, message, frames: inputs.gap(message),
    BackfillDone: lambda inputs, message, frames: inputs.done(message),
    Clock: lambda inputs, message, frames: inputs.clock(message),
    ErrorMessage: lambda inputs, message, frames: inputs.error(message),
}
