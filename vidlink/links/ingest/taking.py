"""What the server does with each thing that a Sentinel says, and when it may be said.

The conversation itself, with what it knows, is :mod:`vidlink.links.ingest.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from automat import TypeMachineBuilder

from vidlink.errors import BadMessage, NoRegistration, NotAllowed, PeerError, RequestError
from vidlink.links.ingest.backfill import wanted
from vidlink.links.ingest.live import Live
from vidlink.messages import (
    BackfillDone,
    Clock,
    DeclareGap,
    ErrorMessage,
    SentinelRegister,
    SentinelRegistered,
    Wanted,
    limit_words,
)
from vidlink.model import Frame, InitSegment, Registration, Segment

if TYPE_CHECKING:
    from vidlink.links.ingest.conversation import Ingest

#: A Sentinel that has connected must register within this time.
REGISTRATION_SECONDS = 10.0


class _Inputs(Protocol):
    """What can happen to the conversation."""

    def register(self, message: SentinelRegister) -> None: ...
    def seated(self, stream: Any) -> None: ...
    def looked_up(self, resume: tuple[Wanted, ...]) -> None: ...
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


def _register(inputs: _Inputs, ingest: Ingest, message: SentinelRegister) -> None:
    if ingest.allowed_id is not None and message.sentinel_id != ingest.allowed_id:
        raise NotAllowed(f"this connection may only speak for {ingest.allowed_id}")
    ingest.next_session_id = message.session_id
    ingest.tails = message.resume
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
    ingest.live = Live(
        ingest.registration, stream, ingest.store, ingest.acks, ingest.limits, ingest.hub.tally
    )
    ingest.seated_seconds = ingest.seconds()
    # By now the connection before has ended its session, so it may be asked for.
    tails = [(tail.session_id, tail.first, tail.last) for tail in ingest.tails]
    looking = ingest.store.tails(ingest.registration.sentinel_id, tails)
    looking.addCallback(lambda found: inputs.looked_up(wanted(ingest.tails, found)))


def _looked_up(inputs: _Inputs, ingest: Ingest, resume: tuple[Wanted, ...]) -> None:
    ingest.seated_seconds = float("inf")
    limits = limit_words(ingest.limits)
    ingest.peer.send(SentinelRegistered(ingest.wall_clock_us(), limits, resume))


def _refused(inputs: _Inputs, ingest: Ingest, failure: Any) -> None:
    failure.trap(PeerError)
    ingest.fail(failure.value)


def _init(inputs: _Inputs, ingest: Ingest, message: InitSegment) -> None:
    live = _check_speaker(ingest, message.sentinel_id)
    if live.session_id is None and message.session_id != ingest.next_session_id:
        raise BadMessage("the init is not of the session that was registered")
    if not live.repeats(message):
        live.begin(message, ingest.wall_clock_us())


def _late_init(inputs: _Inputs, ingest: Ingest, message: InitSegment) -> None:
    if not _check_speaker(ingest, message.sentinel_id).repeats(message):
        allowed = ingest.stream.allowed_earlier
        ingest.backfill.open(ingest.registration, message, allowed, ingest.wall_clock_us())


def _segment(inputs: _Inputs, ingest: Ingest, message: Segment, frames: dict[str, Frame]) -> None:
    live = _check_speaker(ingest, message.sentinel_id)
    ingest.hub.tally.received(message)
    now_seconds, now_us = ingest.seconds(), ingest.wall_clock_us()
    if message.session_id == live.session_id:
        taken = live.take(message, now_seconds, now_us, frames)
        if taken is not None and not message.late:
            if message.keyframe:
                ingest.keyframe_came()
            elif taken.undecodable:
                ingest.request_keyframe()
    elif message.late:
        ingest.backfill.take(message, now_seconds, now_us)
    else:
        raise BadMessage("a segment that is not late belongs to the newest init")


def _gap(inputs: _Inputs, ingest: Ingest, message: DeclareGap) -> None:
    if ingest.live is not None and message.session_id == ingest.live.session_id:
        ingest.live.gap(message)
    else:
        ingest.backfill.gap(message)


def _done(inputs: _Inputs, ingest: Ingest, message: BackfillDone) -> None:
    if ingest.live is not None and message.session_id == ingest.live.session_id:
        error = RequestError("the live session is not done before it has ended")
        ingest.tell(error, message.session_id)
    else:
        ingest.backfill.done(message.session_id)


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
    if ingest.live is not None:
        ingest.live.end(reason, ingest.wall_clock_us())
    ingest.backfill.close(reason, ingest.wall_clock_us())
    if ingest.stream is not None:
        ingest.stream.detach(ingest)


def _check_speaker(ingest: Ingest, sentinel_id: str) -> Live:
    assert ingest.live is not None, "it is registered"
    if sentinel_id != ingest.registration.sentinel_id:
        raise BadMessage(f"this connection speaks for {ingest.registration.sentinel_id}")
    return ingest.live


def machine(core: type[Ingest]) -> Callable[[Ingest], _Inputs]:
    """The states of a conversation, and what is done in each about what happens."""
    builder = TypeMachineBuilder(_Inputs, core)
    connected = builder.state("connected")
    claiming = builder.state("claiming")
    registered = builder.state("registered")
    streaming = builder.state("streaming")
    over = builder.state("over")
    connected.upon(_Inputs.register).to(claiming)(_register)
    connected.upon(_Inputs.clock).loop()(_clock)
    connected.upon(_Inputs.deadline).loop()(_deadline)
    claiming.upon(_Inputs.seated).loop()(_seated)
    claiming.upon(_Inputs.looked_up).to(registered)(_looked_up)
    claiming.upon(_Inputs.refused).loop()(_refused)
    registered.upon(_Inputs.init).to(streaming)(_init)
    streaming.upon(_Inputs.init).loop()(_init)
    for state in (registered, streaming):
        state.upon(_Inputs.segment).loop()(_segment)
        state.upon(_Inputs.looked_up).loop().returns(None)
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
    for word in ("refused", "looked_up", "deadline", "over"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


#: How each message is handed to the machine.
TAKES: dict[type, Callable[[_Inputs, Any, dict[str, Frame]], None]] = {
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
