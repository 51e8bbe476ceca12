"""The server's side of one Sentinel's conversation: registration, init, segments, acks.

What it decides goes to the hub (live) and to the store (recording), side by side. The live session
is :mod:`vidlink.links.ingest.live`, what comes late of earlier ones
:mod:`vidlink.links.ingest.backfill`; the socket is :mod:`vidlink.server.sockets.ingest`.

It is one idea: the states of the conversation, and what is done in each about what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from automat import NoTransition, TypeMachineBuilder
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.python.failure import Failure
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
from vidlink.interfaces import IPublisher, ISentinelPeer, IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.backfill import Backfill, wanted
from vidlink.links.ingest.live import LiveFeed
from vidlink.links.ingest.requests import ControlRequests
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
    Wanted,
    limit_words,
)
from vidlink.model import (
    USUAL,
    Bounds,
    Frame,
    InitSegment,
    Limits,
    Principal,
    Registration,
    Segment,
)
from vidlink.relay.hub import Hub
from vidlink.relay.stream import Stream

#: So long it waits for what is wanted of its tails; then it is registered without.
LOOKUP_SECONDS = 5.0

_AboutSession = InitSegment | DeclareGap | BackfillDone


class _Inputs(Protocol):
    """The events of the conversation."""

    def register(self, message: SentinelRegister) -> None: ...
    def seated(self, message: SentinelRegister, stream: Stream) -> None: ...
    def refused(self, failure: Failure) -> None: ...
    def looked_up(self, seat: _Seat, resume: tuple[Wanted, ...]) -> None: ...
    def segment(self) -> None: ...
    def about_session(self, message: _AboutSession) -> None: ...
    def deadline(self) -> None: ...
    def tick(self) -> None: ...
    def over(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Seat:
    """A Sentinel's place in the hub and what goes with it, since `since_seconds`."""

    #: The session that it registered, which comes first.
    session_id: str
    stream: Stream
    live: LiveFeed
    backfill: Backfill
    since_seconds: float


@implementer(IPublisher)
class Ingest:
    """One Sentinel's conversation, from the server's side.

    :param principal: whoever it is; as which Sentinel it may speak, and of which group.
    :param seconds: the monotonic clock.
    :param wall_clock_us: microseconds since the epoch.
    :param bounds: of what it may say.
    """

    registration: Registration

    def __init__(
        self,
        peer: ISentinelPeer,
        hub: Hub,
        store: IStore,
        *,
        seconds: Callable[[], float],
        wall_clock_us: Callable[[], int],
        limits: Limits,
        principal: Principal,
        bounds: Bounds = USUAL,
    ) -> None:
        self.peer = peer
        self.hub = hub
        self.store = store
        self.seconds = seconds
        self.wall_clock_us = wall_clock_us
        self.limits = limits
        self.principal = principal
        self.bounds = bounds
        #: The Sentinel's words before it closed; None if it has said nothing.
        self.farewell: ErrorMessage | None = None
        self.acks = Acks()
        #: Its place once it is registered: then segments and ticks do not go through the states.
        self.seat: _Seat | None = None
        self._rate = Rate(seconds, bounds)
        self.requests = ControlRequests(peer.send, seconds)
        self._inputs = _build(self)

    @property
    def address(self) -> str:
        """Where it connects from, for people."""
        return str(self.peer.address)

    def received(self, message: Message, frame: Frame | None = None, spoken: str = "") -> None:
        """Do what one message asks; a mistake of the peer closes its connection.

        :param frame: what it came as, if it may be forwarded so to viewers of `spoken`.
        """
        try:
            if isinstance(message, Segment):
                seat = self.seat
                if seat is None:
                    self._inputs.segment()
                else:
                    _segment(self, seat, message, frame, spoken)
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
            case InitSegment() | DeclareGap() | BackfillDone():
                self._inputs.about_session(message)
            case Clock():
                now_us = self.wall_clock_us()
                self.peer.send(Clock(message.t0, now_us, now_us))
            case ErrorMessage():
                self.farewell = self.farewell or message
            case _:
                raise BadMessage(f"a sentinel does not send {type(message).__name__}")

    def deadline(self) -> None:
        """Close, unless it has registered: it should have by now."""
        self._inputs.deadline()

    def tick(self) -> None:
        """Send acks and requests that are due; to be called about once a second."""
        seat = self.seat
        if seat is None:
            self._inputs.tick()
        else:
            seat.live.tick()
            self.peer.hold(self.store.crowds(self.registration.sentinel_id))
        for ack in self.acks.due(self.store.load):
            self.peer.send(ack)
        self.requests.tick()

    def fail(self, error: PeerError) -> None:
        """End the conversation: the peer is told why, and viewers that the session is over."""
        self.peer.close(error)
        self._inputs.over(error.code)

    def lost(self) -> None:
        """The connection is gone."""
        farewell = self.farewell
        self._inputs.over("disconnected" if farewell is None else farewell.message)
        # The machine knows this conversation, as this does it: neither would go by itself.
        self._inputs = _OVER

    def going_away(self) -> None:
        """The server is shutting down."""
        self.fail(GoingAway("the server is shutting down"))

    def request_keyframe(self) -> None:
        """Ask for an IDR; requests within a second become one."""
        self.requests.ask(KeyframeRequest(self.registration.sentinel_id))

    def change_framerate(self, framerate_mhz: int) -> None:
        """Ask for another frame rate (mHz, already clamped); within a second the last one."""
        self.requests.ask(FramerateChange(self.registration.sentinel_id, framerate_mhz))

    def replace(self) -> None:
        """A newer connection of the same Sentinel takes over."""
        self.fail(Replaced("a newer connection has taken this sentinel's place"))

    def probe(self, seconds: float) -> Deferred[bool]:
        """Ping it; fires with True if it answers within `seconds`."""
        return self.peer.probe(seconds)

    def tell(self, error: VidlinkError, about: str) -> None:
        """Say that a request failed; the connection stays open."""
        self.peer.send(ErrorMessage(error.code, str(error), about))


def _claim(inputs: _Inputs, ingest: Ingest, message: SentinelRegister) -> Deferred[None]:
    sentinel_id, principal = message.sentinel_id, ingest.principal
    group = principal.sentinel_group
    ingest.registration = Registration(
        sentinel_id=sentinel_id,
        instance_id=message.instance_id,
        name=message.name or sentinel_id,
        group=message.group if group is None else group,
        software=message.software,
    )
    claim: Deferred[Stream]
    if principal.sentinel_id not in (None, sentinel_id):
        claim = fail(NotAllowed(f"the credential is that of sentinel {principal.sentinel_id}"))
    elif group is not None and message.group not in ("", group):
        claim = fail(NotAllowed(f"the credential is that of a sentinel in the group {group}"))
    else:
        claim = maybeDeferred(ingest.hub.claim, ingest.registration, ingest)
    return claim.addCallbacks(partial(inputs.seated, message), inputs.refused)


def _take_seat(inputs: _Inputs, ingest: Ingest, message: SentinelRegister, stream: Stream) -> _Seat:
    sentinel, store, acks, limits = ingest.registration, ingest.store, ingest.acks, ingest.limits
    live = LiveFeed(sentinel, stream, store, acks, limits, ingest.hub.tally)
    backfill = Backfill(sentinel, stream, store, acks, limits, tell=ingest.tell, fail=ingest.fail)
    seat = _Seat(message.session_id, stream, live, backfill, ingest.seconds())
    # By now the connection before has ended its session, so it may be asked for.
    tails = [(tail.session_id, tail.first, tail.last) for tail in message.resume]
    # Whatever fails, there is a seat by then that has to be left again.
    looking = maybeDeferred(store.tails, sentinel.sentinel_id, tails)
    looking.addCallback(lambda found: inputs.looked_up(seat, wanted(message.resume, found)))
    return seat


def _registered(inputs: _Inputs, ingest: Ingest, seat: _Seat, resume: tuple[Wanted, ...]) -> _Seat:
    limits = limit_words(ingest.limits)
    ingest.peer.send(SentinelRegistered(ingest.wall_clock_us(), limits, resume))
    ingest.seat = seat
    return seat


def _refused(inputs: _Inputs, ingest: Ingest, failure: Failure) -> None:
    if not isinstance(failure.value, PeerError):
        failure.raiseException()
    ingest.fail(failure.value)


def _look_no_longer(inputs: _Inputs, ingest: Ingest, seat: _Seat) -> None:
    if ingest.seconds() - seat.since_seconds >= LOOKUP_SECONDS:
        inputs.looked_up(seat, ())


def _segment(
    ingest: Ingest, seat: _Seat, message: Segment, frame: Frame | None, spoken: str
) -> None:
    _check_speaker(ingest, message.sentinel_id)
    ingest.hub.tally.received(message)
    now_seconds, now_us, live = ingest.seconds(), ingest.wall_clock_us(), seat.live
    if message.session_id == live.session_id:
        arrival = live.accept(message, now_seconds, now_us, frame, spoken)
        if arrival is not None and not message.is_late:
            if message.is_keyframe:
                ingest.requests.answered(KeyframeRequest)
            elif arrival.is_undecodable:
                ingest.request_keyframe()
    elif message.is_late:
        seat.backfill.record(message, now_seconds, now_us)
    else:
        raise BadMessage("a segment that is not late belongs to the newest init")
    if ingest.store.crowds(message.sentinel_id):
        ingest.peer.hold(True)


def _about_session(inputs: _Inputs, ingest: Ingest, seat: _Seat, message: _AboutSession) -> None:
    is_live = message.session_id == seat.live.session_id
    match message:
        case InitSegment():
            _init(ingest, seat, message)
        case DeclareGap():
            (seat.live if is_live else seat.backfill).gap(message)
        case BackfillDone() if is_live:
            error = RequestError("the live session is not done before it has ended")
            ingest.tell(error, message.session_id)
        case BackfillDone():
            seat.backfill.done(message.session_id)


def _init(ingest: Ingest, seat: _Seat, message: InitSegment) -> None:
    _check_speaker(ingest, message.sentinel_id)
    if seat.live.repeats(message):
        return
    if message.is_late:
        seat.backfill.open(message, ingest.wall_clock_us())
    elif seat.live.session_id is None and message.session_id != seat.session_id:
        raise BadMessage("the init is not of the session that was registered")
    else:
        seat.live.begin(message, ingest.wall_clock_us())


def _deadline(inputs: _Inputs, ingest: Ingest) -> None:
    seconds = ingest.bounds.registration_seconds
    ingest.fail(NoRegistration(f"no sentinel.register within {seconds:g} s"))


def _withdraw(inputs: _Inputs, ingest: Ingest, claim: Deferred[None], reason: str) -> None:
    claim.cancel()


def _leave(inputs: _Inputs, ingest: Ingest, seat: _Seat, reason: str) -> None:
    ingest.seat = None
    seat.live.end(reason, ingest.wall_clock_us())
    seat.backfill.close(reason, ingest.wall_clock_us())
    seat.stream.detach(ingest)


def _check_speaker(ingest: Ingest, sentinel_id: str) -> None:
    if sentinel_id != ingest.registration.sentinel_id:
        raise BadMessage(f"this connection speaks for {ingest.registration.sentinel_id}")


def _table() -> Callable[[Ingest], _Inputs]:
    """The states of a conversation, and what is done in each about what happens."""
    builder = TypeMachineBuilder(_Inputs, Ingest)
    connected = builder.state("connected")
    claiming = builder.state("claiming", _claim)
    looking = builder.state("looking", _take_seat)
    registered = builder.state("registered", _registered)
    over = builder.state("over")
    connected.upon(_Inputs.register).to(claiming).returns(None)
    connected.upon(_Inputs.deadline).loop()(_deadline)
    connected.upon(_Inputs.over).to(over).returns(None)
    claiming.upon(_Inputs.seated).to(looking).returns(None)
    claiming.upon(_Inputs.refused, nodata=True).loop()(_refused)
    claiming.upon(_Inputs.over).to(over)(_withdraw)
    looking.upon(_Inputs.looked_up).to(registered).returns(None)
    looking.upon(_Inputs.tick).loop()(_look_no_longer)
    looking.upon(_Inputs.over).to(over)(_leave)
    registered.upon(_Inputs.looked_up).loop().returns(None)
    registered.upon(_Inputs.about_session).loop()(_about_session)
    registered.upon(_Inputs.over).to(over)(_leave)
    for state in (claiming, looking, registered, over):
        state.upon(_Inputs.deadline).loop().returns(None)
    for idle in (connected, claiming, over):
        idle.upon(_Inputs.tick).loop().returns(None)
    for word in ("register", "refused", "looked_up", "segment", "about_session", "over"):
        over.upon(getattr(_Inputs, word)).loop().returns(None)
    return builder.build()


_build = _table()

#: The inputs of a conversation that is over, whoever's it was.
_OVER = _build(None)  # type: ignore[arg-type]
_OVER.over("")
