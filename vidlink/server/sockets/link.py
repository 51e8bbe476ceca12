"""Both WebSocket ends of the server: handshake, codec, orderly closing.

What is said is decided in :mod:`vidlink.links`; this is the Autobahn side of it. It is one idea:
all that holds for a connection of either kind, from its handshake until nothing of it is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vidlink.access.gate import Gate
from vidlink.access.shown import ticket_shown, token_shown
from vidlink.bucket import Allowance, Bucket
from vidlink.errors import (
    NoResources,
    NotAllowed,
    NotAuthenticated,
    PeerError,
    TooManyTries,
    TooSlow,
)
from vidlink.interfaces import ICodec
from vidlink.liveness import Liveness, Verdict, uptake
from vidlink.messages import ErrorMessage, Message, ProctorRegister, SentinelRegister
from vidlink.model import USUAL, Bounds, Deed, Frame, Octets, Principal, Right
from vidlink.relay.hub import Hub
from vidlink.server.port.door import Door
from vidlink.server.port.held import Held
from vidlink.server.port.lobby import Lobby, place_of
from vidlink.server.port.shares import Shares
from vidlink.server.sockets.newcomer import NewcomerProtocol
from vidlink.server.sockets.outlet import has_outlet
from vidlink.server.sockets.turnend import TurnEnd
from vidlink.timer import Timer
from vidlink.wire.bounds import MAX_CONTROL_BYTES
from vidlink.wire.framing import negotiate, payload_of

#: RFC 6455 section 7.4.1.
POLICY_VIOLATION = 1008
MAX_REASON_BYTES = 123
#: Of those that are lost so many more have their turn than of those that come: they cost less.
LEAVING_FACTOR = 4
#: All connections are looked at in so much of a second, and so many of them at once.
SPREAD_SECONDS = 0.75
TICKED_AT_ONCE = 25
#: The headers that a credential may be in, as Autobahn names them.
_SHOWN = ("authorization", "cookie")


@implementer(IPushProducer)
class LinkProtocol(NewcomerProtocol):
    """One WebSocket connection. Subclasses make the conversation and feed it.

    `is_paused` says that the transport has no room now: its peer does not read fast enough.
    """

    # What Autobahn copies from the factory it also writes into a text for its log, always; so we
    # copy it. A sixth of what a newcomer costs.
    CONFIG_ATTRS = ()

    _log = Logger()
    factory: LinkFactory
    codec: ICodec
    #: Whoever is at the other end, as the handshake has shown.
    principal: Principal
    #: The machine that decides; set by the subclass before it calls `onOpen` here.
    conversation: Any = None
    is_paused = False
    #: Autobahn sets it when the handshake is done.
    inside_message = False
    #: The octets that have come and are not taken yet.
    data: bytes
    _has_half = False
    _has_outlet = False
    _said_address = ""
    _frames = 0
    #: It should have registered by now; what it has said is still to be taken.
    _is_late = False
    _was_asked = False

    def __init__(self) -> None:
        super().__init__()
        self._probes: list[Deferred[bool]] = []
        self._is_counted = False

    @property
    def address(self) -> str:
        """Where it connects from: what a proxy that is named says of that, if it is an address."""
        if self._said_address:
            return self._said_address
        peer = self.transport.getPeer()
        if isinstance(peer, IPv6Address):
            return f"[{peer.host}]:{peer.port}"
        return f"{peer.host}:{peer.port}" if isinstance(peer, IPv4Address) else "this computer"

    @property
    def host(self) -> str:
        """That without a port, as it is written down."""
        peer = self.transport.getPeer()
        is_internet = isinstance(peer, IPv4Address | IPv6Address)
        return self._said_address or (str(peer.host) if is_internet else "local")

    def connectionMade(self) -> None:
        """The socket is here; the handshake comes."""
        for name in WebSocketServerProtocol.CONFIG_ATTRS:
            setattr(self, name, getattr(self.factory, name))
        clock = self.factory.clock
        self._deadline, self._linger = Timer(clock), Timer(clock)
        bounds = self.factory.bounds
        self._liveness = Liveness(clock.seconds(), bounds)
        allowed = Allowance(bounds.control_frames, bounds.control_frames_per_second)
        self._control = Bucket(allowed, clock.seconds)
        super().connectionMade()
        # Autobahn hands itself on with it, and would be waited for by itself.
        self.is_closed.addCallback(lambda _: None)

    def processHandshake(self) -> None:
        """Once: while it is looked up who that is, what comes behind it waits."""
        if not self._was_asked:
            super().processHandshake()

    def onConnect(self, request: Any) -> Deferred[str]:
        """Admit by subprotocol and credential; Host and Origin the site has checked, as of every
        request."""
        self._was_asked = True
        if self.factory.is_going_away:
            raise ConnectionDeny(503, "the server is shutting down")
        codec = negotiate(request.protocols, self.factory.codecs)
        if codec is None:
            raise ConnectionDeny(400, f"offer a subprotocol: {self.factory.subprotocols}")
        self.codec = codec
        # Of others than the proxies that are named to it the site lets no such header through.
        said = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        self._said_address = said if _is_address(said) else ""
        return (
            maybeDeferred(self._identify, request).addCallback(self._admit).addErrback(self._fail)
        )

    def _fail(self, failure: Failure) -> str:
        """A fault of ours: Autobahn would tell its text to the client."""
        if failure.check(ConnectionDeny) is None:
            self._log.failure("{peer}: a fault of ours; it is not let in", failure, peer=self.peer)
            raise ConnectionDeny(500, "the server has failed; its log says why")
        return failure  # type: ignore[return-value]

    def _identify(self, request: Any) -> Deferred[Principal]:
        """Whoever asks; refused with a fixed text, as that of an error becomes the status line."""
        shown = [[request.headers[name]] if name in request.headers else [] for name in _SHOWN]
        try:
            token = token_shown(*shown, is_secure=self._is_secure(request))
        except NotAuthenticated as error:
            raise ConnectionDeny(error.http_status, str(error)) from None
        ticket = ticket_shown(urlsplit(self.http_request_uri).query)

        def refused(failure: Failure) -> Principal:
            failure.trap(NotAuthenticated, TooManyTries)
            error: Any = failure.value
            raise ConnectionDeny(error.http_status, str(error))

        place = self._place()
        asked = self.factory.gate.identify(
            token, ticket, request.path, place=place, address=self.host
        )
        return asked.addErrback(refused)

    def _place(self) -> object:
        """Where the client is, as the proxy before this server says if there is one."""
        said = self._said_address
        if not said:
            return place_of(self.transport.getPeer())
        kind = IPv4Address if ip_address(said).version == 4 else IPv6Address
        return place_of(kind("TCP", said, 0))

    def _is_secure(self, request: Any) -> bool:
        # Of others than the proxies that are named to it the site lets this header not through.
        is_forwarded = request.headers.get("x-forwarded-proto") == "https"
        return is_forwarded or ISSLTransport.providedBy(self.transport)

    def _admit(self, principal: Principal) -> str:
        if self.state != self.STATE_CONNECTING:
            raise ConnectionDeny(400, "the connection has gone meanwhile")
        if self.factory.right not in principal.rights:
            raise ConnectionDeny(
                NotAllowed.http_status,
                f"the credential does not give the right to {self.factory.right.value}",
            )
        whose = principal.credential_id
        if whose and not self.factory.shares.take(whose):
            raise ConnectionDeny(429, "so many sockets of this credential are open already")
        self._is_counted = bool(whose)
        self.principal = principal
        return str(self.codec.name)

    def onOpen(self) -> None:
        """The handshake is done: the conversation begins, with a deadline to register."""
        # Behind the shared port the HTTP channel is still registered as producer.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        self._has_outlet = self.factory.is_direct and has_outlet(self.transport)
        self.factory.links.add(self)
        self._deadline.start(self.factory.bounds.registration_seconds, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """Any octet shows that the peer is alive, also in the middle of a long message."""
        self._liveness.heard()
        super().dataReceived(data)
        if self.failedByMe:
            # Only its close frame is waited for, and what is no frame would pile up before it.
            if len(self.data) > MAX_CONTROL_BYTES:
                self.data = b""
        elif self.begun:
            self._count_begun()
        elif self.inside_message:
            self._has_half = True
            self.factory.halves.grow(self, len(data))

    def read(self) -> bool:
        """Read once from the socket."""
        self._liveness.heard()
        is_fine = super().read()
        if self.begun:
            self._count_begun()
        return is_fine

    def _count_begun(self) -> None:
        self._has_half = True
        self.factory.halves.end(self)
        self.factory.halves.grow(self, len(self.begun))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One whole message; nothing is taken any more of a peer that we are closing."""
        self._frames = 0
        if not self._may_take():
            return
        if self.is_known:
            self._take(self.hand_on, payload, isBinary)
        else:
            self.in_turn(partial(self._take_of_newcomer, payload, isBinary))

    def on_frame(self, frame: Frame) -> None:
        """The same, of a peer that is known, as the frame in which it may be forwarded."""
        if self._may_take():
            self._take(self.hand_on_frame, frame)

    def hand_on(self, payload: Octets, is_binary: bool) -> None:
        """Decode `payload` and hand it to the conversation.

        :raises PeerError: if it is no message, or none that may come now.
        """
        self.conversation.received(self.decoded(payload, is_binary))

    def hand_on_frame(self, frame: Frame) -> None:
        """Decode `frame`, a binary message that may be forwarded as it is, and hand it on.

        :raises PeerError: if it is no message, or none that may come now.
        """
        self.hand_on(payload_of(frame), True)

    def decoded(self, payload: Octets, is_binary: bool) -> Message:
        """The message that `payload` is.

        :raises PeerError: if it is none.
        """
        message = self.codec.decode(payload, is_binary)
        if not self.is_known and isinstance(message, ProctorRegister | SentinelRegister):
            self.become_known()
        return message

    def onMessageFrameBegin(self, length: int) -> None:
        """Count the frames of a message: many tiny ones cost far more than their bytes."""
        self._frames += 1
        if self._frames > self.factory.bounds.frames_per_message:
            self._fail_connection(POLICY_VIOLATION, "too many frames in one message")
            return
        super().onMessageFrameBegin(length)

    def onPing(self, payload: bytes) -> None:
        """Answer, but not while the peer does not read: its pings would pile up here."""
        if self._may_go_on() and not self.is_paused:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """Any pong shows that the peer is alive."""
        if self._may_go_on():
            self._answered()

    def probe(self, seconds: float) -> Deferred[bool]:
        """Fires with whether the peer says anything within `seconds` of a ping."""
        answer: Deferred[bool] = Deferred()
        if self.state != self.STATE_OPEN:
            answer.callback(False)
            return answer
        self._probes.append(answer)
        self.sendPing(os.urandom(4))
        answer.addTimeout(seconds, self.factory.clock, lambda value, _: False)
        return answer

    def close(self, error: PeerError) -> None:
        """Say `error` in band and close with its code; for that, what the peer answers has to be
        read. A second call does nothing."""
        if self.state != self.STATE_OPEN:
            return
        if self.is_held:
            self._hold(False)
        self._log.info(
            "{peer}: closing with {code} {word}: {reason}",
            peer=self.peer,
            code=error.close_code,
            word=error.code,
            reason=str(error),
        )
        self.sendMessage(*self.codec.encode(ErrorMessage(error.code, str(error))))
        self._let_go()
        # Not sendClose(): that refuses 1001, which RFC 6455 has for a server going down.
        reason = str(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
        self.sendCloseFrame(code=error.close_code, reasonUtf8=reason)

    def sendCloseFrame(self, *close: Any, **named: Any) -> None:
        """We begin to close, or answer; a peer that does not do its part is cut off."""
        super().sendCloseFrame(*close, **named)
        self._linger_on()

    def dropConnection(self, abort: bool = False) -> None:
        """All is said; a peer that does not take it, or does not close its TLS, is cut off."""
        # Autobahn would abort at the peer's close, be it wrong itself, and our code with it.
        super().dropConnection(abort and not self.failedByMe)
        self._linger_on()

    def tick(self) -> None:
        """To be called about once a second: is it still there, and reading, and let in?"""
        if not self.factory.gate.is_current(self.principal):
            if self.state == self.STATE_OPEN:
                about = {"path": self.http_request_path, "why": NotAuthenticated.code}
                self.factory.gate.did(Deed.LOGGED_OUT, self.principal, self.host, **about)
            self.conversation.fail(NotAuthenticated("the credential is not valid any more"))
            return
        now = self.factory.clock.seconds()
        verdict = self._liveness.look(now, partial(uptake, self.transport), self.is_held)
        if verdict is Verdict.ASK:
            self.sendPing(os.urandom(4))
        elif verdict is Verdict.STUCK:
            stall_seconds = self.factory.bounds.socket_stall_seconds
            self.conversation.fail(TooSlow(f"nothing was taken for {stall_seconds:g} s"))
        elif verdict is Verdict.SILENT:
            self._log.info("{peer}: no answer to a ping; it is cut off", peer=self.peer)
            self._cut_off()

    def overrun(self, held_bytes: int) -> None:
        """Too much is held of messages that are not whole, and of this one more than its share."""
        self.conversation.fail(
            NoResources(f"{held_bytes} octets of a message that does not end take others' room")
        )

    def connectionLost(self, reason: Any) -> None:
        """The connection is gone. What that means for others is done in its turn: of a thousand
        that are lost at once, the end of each session is told, logged and recorded."""
        self.forget_waiting()
        self._rest.stop()
        self.factory.exit.knock(partial(self._leave, reason))

    def _leave(self, reason: Any) -> None:
        """Its end: all that it held is let go now, and not when Python next looks for objects that
        know only each other, as this one and its conversation do."""
        super().connectionLost(reason)
        self._let_go()
        self.data = self.begun = b""
        self.conversation = None

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, however."""
        self.factory.links.discard(self)
        if self._is_counted:
            self._is_counted = False
            self.factory.shares.give_back(self.principal.credential_id)
        for timer in (self._linger, self._deadline):
            timer.stop()
        for probe in self._probes:
            if not probe.called:
                probe.callback(False)
        if self.conversation is not None:
            self.conversation.lost()

    def pauseProducing(self) -> None:
        """The transport is full; it says so at every write."""
        self.is_paused = True
        self._liveness.full(self.factory.clock.seconds())

    def resumeProducing(self) -> None:
        """The transport is empty."""
        self.is_paused = False
        self._liveness.emptied(self.factory.clock.seconds())

    def stopProducing(self) -> None:
        """The transport is gone."""
        self.is_paused = True

    def _may_take(self) -> bool:
        """A message is whole; False if it is of no use, because we are closing."""
        if self._has_half:
            self._has_half = False
            self.factory.halves.end(self)
        if self._probes:
            self._answered()
        self.factory.turn_end.mark()
        return bool(self.state == self.STATE_OPEN)

    def _take(self, hand_on: Callable[..., None], *message: Any) -> None:
        try:
            hand_on(*message)
        except PeerError as error:
            self.conversation.fail(error)

    def _take_of_newcomer(self, payload: bytes, is_binary: bool) -> None:
        self._take(self.hand_on, payload, is_binary)
        if self._is_late:
            self.conversation.deadline()

    def _too_late(self) -> None:
        self._is_late = True
        if not self.is_waiting:
            self.conversation.deadline()

    def _may_go_on(self) -> bool:
        """Count a ping or a pong; False: there were too many, and the connection is closed."""
        if self.state != self.STATE_OPEN or self._control.spend():
            return True
        self._fail_connection(POLICY_VIOLATION, "too many pings or pongs")
        return False

    def _answered(self) -> None:
        probes, self._probes = self._probes, []
        for probe in probes:
            if not probe.called:
                probe.callback(True)

    def _let_go(self) -> None:
        """Drop what has come of a message, and what still comes of it."""
        # So Autobahn has it where it fails a connection itself.
        self.failedByMe = True
        self.message_data: list[bytes] = []
        self.frame_data: list[bytes] = []
        self.forget_waiting()
        self.hand_back()
        self.factory.halves.end(self)

    def _linger_on(self) -> None:
        if not self._linger.is_running:
            self._linger.start(self.factory.bounds.close_seconds, self._cut_off)

    def _cut_off(self) -> None:
        self.transport.abortConnection()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class LinkFactory(WebSocketServerFactory):
    """Makes the connections of one path, and knows those that are open.

    :param hub: the live state that peers speak of.
    :param wall_clock_us: microseconds since the epoch.
    :param codecs: the formats spoken, best first.
    :param clock: `IReactorTime`, for deadlines.
    :param gate: lets in.
    :param most_each: sockets of one credential.
    :param halves: what has come of messages that are not whole; None: of this path alone.
    :param lobby: where its newcomers are counted; None: one of this path alone.
    :param bounds: of each connection.
    :param turn_end: what is done at the end of a turn of the loop; None: that of this path alone.
    :param is_direct: whole messages are cut out of what is read, and given to the kernel, where
        that can be; else all of them are Autobahn's, and the transport's.
    """

    _log = Logger()
    #: The right that whoever connects has to have.
    right: Right
    max_message_bytes: int

    def __init__(
        self,
        hub: Hub,
        wall_clock_us: Callable[[], int],
        *,
        codecs: Iterable[ICodec],
        clock: Any,
        gate: Gate,
        most_each: int,
        halves: Held | None = None,
        lobby: Lobby | None = None,
        bounds: Bounds = USUAL,
        turn_end: TurnEnd | None = None,
        is_direct: bool = True,
    ) -> None:
        super().__init__()
        self.bounds = bounds
        self.turn_end = turn_end or TurnEnd(clock)
        self.gate = gate
        self.halves = halves or Held()
        self.lobby = lobby or Lobby(clock, bounds=bounds)
        self.door = Door(clock, bounds.newcomers_per_turn)
        self.exit = Door(clock, LEAVING_FACTOR * bounds.newcomers_per_turn)
        self.shares = Shares(most_each)
        self.hub = hub
        self.wall_clock_us = wall_clock_us
        self.codecs: Sequence[ICodec] = tuple(codecs)
        self.subprotocols = ", ".join(codec.name for codec in self.codecs)
        self.clock = clock
        self.links: set[LinkProtocol] = set()
        self.is_going_away = False
        self.is_direct = is_direct
        #: Those that are still to be looked at in this second.
        self._left: list[LinkProtocol] = []
        self._next_some = Timer(clock)
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,
            tcpNoDelay=True,
            maxFramePayloadSize=self.max_message_bytes,
            maxMessagePayloadSize=self.max_message_bytes,
            # Autobahn's timers run on the global reactor; the tap turns on the one we want.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            # Its pings do not know that an answer may wait behind what is sent already.
            autoPingInterval=0,
            # Which origins are ours depends on the Host: the site judges, before we are asked.
            allowedOrigins=["*"],
            allowNullOrigin=True,
        )
        self.server = ""

    def going_away(self) -> None:
        """The server is shutting down: every peer is told, and nobody is let in any more."""
        self.is_going_away = True
        self._next_some.stop()
        self._each(lambda link: link.conversation.going_away(), tuple(self.links))

    def tick(self) -> None:
        """To be called about once a second: each connection is looked at within that time.

        With all of a thousand at once, what is live would wait for them.
        """
        if self._next_some.is_running:
            # The loop is late: those that are left have their turn first.
            return
        self._left = list(self.links)
        self._pause_seconds = SPREAD_SECONDS * TICKED_AT_ONCE / max(1, len(self._left))
        self._tick_some()

    def _tick_some(self) -> None:
        some, self._left = self._left[:TICKED_AT_ONCE], self._left[TICKED_AT_ONCE:]
        self._each(lambda link: link.tick(), (link for link in some if link in self.links))
        if self._left:
            self._next_some.start(self._pause_seconds, self._tick_some)

    def _each(self, act: Callable[[LinkProtocol], None], links: Iterable[LinkProtocol]) -> None:
        """`act` on each of them; one with which that fails is cut off, the others go on."""
        for link in links:
            try:
                act(link)
            except Exception:
                self._log.failure("{peer}: a fault of ours; it is cut off", peer=link.peer)
                link.transport.abortConnection()
