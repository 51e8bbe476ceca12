"""The server's side of one Sentinel's conversation: registration, init, segments, acks.

What it decides goes to the hub (live) and to the store (recording), side by side; what comes late
of earlier sessions is :mod:`vidlink.links.ingest.backfill`. What is done about each message is
:mod:`vidlink.links.ingest.taking`. The socket is :mod:`vidlink.server.sockets.ingest`; what is
checked of the media is in :mod:`vidlink.fmp4`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automat import NoTransition
from zope.interface import implementer

from vidlink.errors import BadMessage, GoingAway, NotFound, PeerError, Replaced, VidlinkError
from vidlink.interfaces import IHub, IPublisher, ISentinelPeer, IStore
from vidlink.links.ingest.acks import Acks
from vidlink.links.ingest.backfill import Backfill
from vidlink.links.ingest.live import Live
from vidlink.links.ingest.requests import Asking
from vidlink.links.ingest.taking import TAKES, machine
from vidlink.links.rate import Rate
from vidlink.messages import ErrorMessage, FramerateChange, KeyframeRequest, Message, Tail
from vidlink.model import Frame, Limits, Registration, Segment

#: So long it waits for what is wanted of its tails; then it is registered without.
LOOKUP_SECONDS = 5.0


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
        self._asking = Asking(lambda request: self.peer.send(request), seconds)
        self._inputs = _machine(self)

    def received(self, message: Message, frames: dict[str, Frame] | None = None) -> None:
        """Take one message; `frames` are what may be forwarded of it as it came.

        A mistake of the peer closes its connection; nothing is raised.
        """
        try:
            take = TAKES.get(type(message))
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
        except NotFound:
            # The recording has ended every session: nothing is taken in any more.
            self.going_away()

    def deadline(self) -> None:
        """It has not registered for :data:`~vidlink.links.ingest.taking.REGISTRATION_SECONDS`."""
        self._inputs.deadline()

    def tick(self) -> None:
        """To be called about once a second: acks and keyframe requests that are due."""
        if self.seconds() - self.seated_seconds >= LOOKUP_SECONDS:
            self._inputs.looked_up(())
        for ack in self.acks.take(self.store.load):
            self.peer.send(ack)
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

    def keyframe_came(self) -> None:
        """Whoever is waiting for an IDR has it."""
        self._asking.answered(KeyframeRequest)

    def tell(self, error: VidlinkError, about: str) -> None:
        """A request failed; the connection stays open."""
        self.peer.send(ErrorMessage(error.code, str(error), about))


_machine = machine(Ingest)
