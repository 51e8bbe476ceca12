"""The server's side of one Sentinel's conversation: registration, init, segments, acks.

What it decides goes to the hub (live) and to the store (recording), side by side; what comes late
of earlier sessions is :mod:`vidlink.links.ingest.backfill`. The socket is
:mod:`vidlink.server.sockets.ingest`; what is checked of the media is in :mod:`vidlink.fmp4`.
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
    NotFound,
    PeerError,
    Replaced,
    RequestError,
    VidlinkError,
)
from vidlink.interfaces import IHub, IPublisher, ISentinelPeer, IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.backfill import Backfill, wanted
from vidlink.links.ingest.live import Live
from vidlink.links.ingest.requests import Asking
from vidlink.links.rate import Rate
from vidlink.messages import (
    BackfillDone,
    Clock,
    DeclareGap,
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    Message,
    SentinelRegister,
    SentinelRegistered,
    Tail,
    Wanted,
    limit_words,
)
from vidlink.model import Frame, InitSegment, Limits, Registration, Segment

#: A Sentinel that has connected must register within this time.
REGISTRATION_SECONDS = 10.0
#: So long it waits for what is wanted of its tails; then it is registered without.
LOOKUP_SECONDS = 5.0


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
        self.live: Live | None = None
        #: What the Sentinel said before it closed; None if it has not.
        self.farewell: ErrorMessage | None = None
        self.acks = Acks()
        self.backfill = Backfill(store, self.acks, limits, tell=self.tell, fail=self.fail)
        self.tails: tuple[Tail, ...] = ()
        self.seated_seconds = float("inf")
        self._rate = Rate(seconds)
        self.asking = Asking(lambda request: self.peer.send(request), seconds)
        self._inputs = _build(self)

    def received(self, message: Message, frames: dict[str, Frame] | None = None) -> None:
        """Take one message; `frames` are what may be forwarded of it as it came.

        A mistake of the peer closes its connection; nothing is raised.
        """
        try:
            if isinstance(message, Segment):
                self._inputs.segment(message, frames or {})
            else:
                self._rate.count()
                self._hand_over(message)
        except NoTransition:
            self.fail(BadMessage(f"{type(message).__name__} is not allowed at this point"))
        except PeerError as error:
            self.fail(error)
        except NotFound:
            # The recording has ended every session: nothing is taken in any more.
            self.going_away()

    def _hand_over(self, message: Message) -> None:
        match message:
            case SentinelRegister():
                self._inputs.register(message)
            case InitSegment(late=True):
                self._inputs.late_init(message)
            case InitSegment():
                self._inputs.init(message)
            case DeclareGap():
                self._inputs.gap(message)
            case BackfillDone():
                self._inputs.done(message)
            case Clock():
                self._inputs.clock(message)
            case ErrorMessage():
                self._inputs.error(message)
            case _:
                raise BadMessage(f"a sentinel does not send {type(message).__name__}")

    def deadline(self) -> None:
        """It has not registered for :data:`REGISTRATION_SECONDS`."""
        self._inputs.deadline()

    def tick(self) -> None:
        """To be called about once a second: acks and keyframe requests that are due."""
        if self.seconds() - self.seated_seconds >= LOOKUP_SECONDS:
            self._inputs.looked_up(())
        for ack in self.acks.take(self.store.load):
            self.peer.send(ack)
        self.asking.tick()

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
        self.asking.ask(KeyframeRequest(self.registration.sentinel_id))

    def change_framerate(self, framerate_mhz: int) -> None:
        """Ask for another frame rate (mHz, already clamped); within a second the last one."""
        self.asking.ask(FramerateChange(self.registration.sentinel_id, framerate_mhz))

    def replace(self) -> None:
        """A newer connection of the same Sentinel takes over."""
        self.fail(Replaced("a newer connection has taken this sentinel's place"))

    def probe(self, seconds: float) -> Any:
        """Fires with whether it answers a ping within `seconds`."""
        return self.peer.probe(seconds)

    def tell(self, error: VidlinkError, about: str) -> None:
        """A request failed; the connection stays open."""
        self.peer.send(ErrorMessage(error.code, str(error), about))


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
                ingest.asking.answered(KeyframeRequest)
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


def _table() -> Callable[[Ingest], _Inputs]:
    """The states of a conversation, and what is done in each about what happens."""
    builder = TypeMachineBuilder(_Inputs, Ingest)
    connected = builder.state("connected")
    claiming = builder.state("claiming")
    registered = builder.state("registered")
    over = builder.state("over")
    connected.upon(_Inputs.register).to(claiming)(_register)
    connected.upon(_Inputs.clock).loop()(_clock)
    connected.upon(_Inputs.deadline).loop()(_deadline)
    claiming.upon(_Inputs.seated).loop()(_seated)
    claiming.upon(_Inputs.looked_up).to(registered)(_looked_up)
    claiming.upon(_Inputs.refused).loop()(_refused)
    registered.upon(_Inputs.segment).loop()(_segment)
    registered.upon(_Inputs.looked_up).loop().returns(None)
    registered.upon(_Inputs.init).loop()(_init)
    registered.upon(_Inputs.late_init).loop()(_late_init)
    registered.upon(_Inputs.gap).loop()(_gap)
    registered.upon(_Inputs.done).loop()(_done)
    for state in (claiming, registered):
        state.upon(_Inputs.clock).loop()(_clock)
        state.upon(_Inputs.deadline).loop().returns(None)
    for state in (connected, claiming, registered):
        state.upon(_Inputs.error).loop()(_error)
        state.upon(_Inputs.over).to(over)(_over)
    for word in ("register", "init", "late_init", "segment", "gap", "done", "clock", "error"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    for word in ("refused", "looked_up", "deadline", "over"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


_build = _table()
