"""The WebSocket that Sentinels push to; the conversation is :mod:`vidlink.links.ingest`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vidlink.access.gate import Gate
from vidlink.errors import TooFast
from vidlink.interfaces import ICodec, ISentinelPeer, IStore
from vidlink.links.ingest.conversation import Ingest
from vidlink.liveness import uptake
from vidlink.messages import Message, SentinelRegistered
from vidlink.model import USUAL, Bounds, Frame, Limits, Octets, Right
from vidlink.relay.hub import Hub
from vidlink.server.port.held import Held
from vidlink.server.port.lobby import Lobby
from vidlink.server.sockets.inlet import Inlet
from vidlink.server.sockets.link import LinkFactory, LinkProtocol
from vidlink.server.sockets.outlet import send
from vidlink.server.sockets.turnend import TurnEnd
from vidlink.wire.bounds import MAX_CONTROL_BYTES, MAX_MESSAGE_BYTES
from vidlink.wire.framing import message_frame, payload_of, server_frame


@implementer(ISentinelPeer)
class IngestProtocol(LinkProtocol):
    """One Sentinel's connection.

    What is sent while it does not read is counted, because its questions are answered at once
    and nothing else bounds the answers.
    """

    factory: IngestFactory
    conversation: Ingest
    _unread = 0

    def connectionMade(self) -> None:
        """Until it is registered, anybody may be there; so nothing large is taken."""
        super().connectionMade()
        self.take_up_to(MAX_CONTROL_BYTES)

    def onOpen(self) -> None:
        """Begin the conversation."""
        self.conversation = self.factory.converse(self)
        super().onOpen()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over; if the Sentinel has said why, the log has it."""
        farewell = getattr(self.conversation, "farewell", None)
        if farewell is not None:
            self._log.info(
                "{peer}: the sentinel has left: {why} ({code})",
                peer=self.peer,
                why=farewell.message,
                code=farewell.code,
            )
        super().onClose(wasClean, code, reason)

    def hand_on(self, payload: Octets, is_binary: bool) -> None:
        """Decode, and keep the frame where it may be forwarded as it came."""
        if is_binary and self.codec.is_canonical:
            self.hand_on_frame(server_frame(payload, True))
        else:
            self.conversation.received(self.decoded(payload, is_binary))

    def hand_on_frame(self, frame: Frame) -> None:
        """Decode `frame`, and keep it for viewers."""
        message = self.decoded(payload_of(frame), True)
        self.conversation.received(message, frame, self.codec.name)

    def send(self, message: Message) -> None:
        """Send `message`; does nothing once the connection is closing."""
        if self.state != self.STATE_OPEN:
            return
        if self.is_paused:
            self._unread += 1
            most = self.factory.bounds.unread_answers
            if self._unread > most:
                self.conversation.fail(TooFast(f"{most} messages wait to be read"))
                return
        if isinstance(message, SentinelRegistered):
            self.take_up_to(self.factory.max_message_bytes)
            self.take_whole()
        if not self._has_outlet:
            self.sendMessage(*self.codec.encode(message))
            return
        frame = message_frame(self.codec, message)
        rest = frame[send(self.transport, (frame,)) :]
        if rest:
            self.transport.write(rest)

    def take_whole(self) -> None:
        """Take whole messages from now on, past Autobahn and the reactor, where that can be."""
        self.takes_whole = self.factory.is_direct and self.codec.is_canonical
        if self.takes_whole and self._has_outlet and self.factory.inlet is not None:
            is_paused = self.is_held or self.is_resting
            self.factory.inlet.take(self.transport, self.read, is_paused)

    def hold(self, is_held: bool) -> None:
        """Read nothing more for now, or read on."""
        if is_held != self.is_held and self.state == self.STATE_OPEN:
            self._hold(is_held)

    def probe(self, seconds: float) -> Deferred[bool]:
        """Ping the peer; one that is held cannot be heard, and is there if its system takes that,
        and has not been told to close."""
        seen = uptake(self.transport)
        if self.is_held and seen is not None and seen.has_left:
            return succeed(False)
        answer = super().probe(seconds)
        return answer.addCallback(self._is_there)

    def tick(self) -> None:
        """To be called about once a second: also acks and requests may be due."""
        super().tick()
        self.conversation.tick()

    def _is_there(self, was_heard: bool) -> bool:
        if was_heard or not self.is_held or self.state != self.STATE_OPEN:
            return was_heard
        seen = uptake(self.transport)
        return seen is None or not (seen.is_behind or seen.has_left)

    def resumeProducing(self) -> None:
        """The transport is empty: it has read everything."""
        super().resumeProducing()
        self._unread = 0

    def take_up_to(self, size_bytes: int) -> None:
        """Refuse larger messages from now on, as they begin."""
        self.maxFramePayloadSize = self.maxMessagePayloadSize = size_bytes


class IngestFactory(LinkFactory):
    """Makes the connections of ``/ws/sentinel``.

    The other parameters are those of :class:`~vidlink.server.sockets.link.LinkFactory`.

    :param store: where what comes is recorded.
    :param limits: what a Sentinel may send; None: the usual.
    :param inlet: reads what Sentinels send, once they are registered; None: the reactor does.
    """

    protocol = IngestProtocol
    right = Right.PUBLISH
    max_message_bytes = MAX_MESSAGE_BYTES
    links: set[IngestProtocol]

    def __init__(
        self,
        hub: Hub,
        store: IStore,
        wall_clock_us: Callable[[], int],
        limits: Limits | None = None,
        *,
        codecs: Iterable[ICodec],
        clock: Any,
        gate: Gate,
        halves: Held | None = None,
        lobby: Lobby | None = None,
        bounds: Bounds = USUAL,
        turn_end: TurnEnd | None = None,
        is_direct: bool = True,
        inlet: Inlet | None = None,
    ) -> None:
        super().__init__(
            hub,
            wall_clock_us,
            codecs=codecs,
            clock=clock,
            gate=gate,
            # One token may be that of a whole group; of one id only one stays.
            most_each=bounds.sentinels_per_credential,
            halves=halves,
            lobby=lobby,
            bounds=bounds,
            turn_end=turn_end,
            is_direct=is_direct,
        )
        self.store = store
        self.limits = limits or Limits()
        self.inlet = inlet

    def converse(self, peer: IngestProtocol) -> Ingest:
        """The conversation of a new connection."""
        return Ingest(
            peer,
            self.hub,
            self.store,
            seconds=self.hub.seconds,
            wall_clock_us=self.wall_clock_us,
            limits=self.limits,
            principal=peer.principal,
            bounds=self.bounds,
        )
