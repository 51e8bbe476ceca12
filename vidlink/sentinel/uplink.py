"""The Sentinel's socket: reconnects for ever; the conversation is :mod:`vidlink.links.uplink`."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from typing import Any

from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.dialling.backoff import BackOff
from vidlink.dialling.factory import DiallingFactory
from vidlink.errors import (
    CLOSE_CODES,
    BadMessage,
    IdInUse,
    NotAllowed,
    NotAuthenticated,
    NotMedia,
    PeerError,
    Replaced,
    TooFast,
)
from vidlink.interfaces import ICodec, IServerPeer
from vidlink.links.uplink.conversation import Uplink
from vidlink.messages import ErrorMessage, Message

#: What the kernel may hold that is not on the way yet; left to itself it takes 4 MiB, which on
#: a slow link is half a minute that a live segment would wait for what is late. Linux and macOS.
UNSENT_BYTES = 64 * 1024
UNSENT_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
#: A connection that is closing, whoever began it, is cut off after this.
LINGER_SECONDS = 3.0
#: What the protocol itself closes with (RFC 6455 section 7.4.1): a frame that is none, text that
#: is none, a message in too many frames, or one that is too long.
BROKEN_CODES = {1002, 1007, 1008, 1009}
#: After these the server is asked again no faster than once a minute: nothing changes sooner.
PATIENT_CODES = BROKEN_CODES | {
    kind.close_code
    for kind in (IdInUse, Replaced, NotAllowed, NotAuthenticated, BadMessage, NotMedia, TooFast)
}
PATIENT_SECONDS = 60.0


@implementer(IServerPeer, IPushProducer)
class UplinkProtocol(WebSocketClientProtocol):
    """One connection to the server.

    What the socket has no room for waits here; the conversation reads :attr:`backlog_bytes`
    and stops giving, so the queue is bounded by it.
    """

    _log = Logger()
    factory: UplinkFactory
    backlog_bytes = 0
    _paused = False
    _linger: Any = None
    _open = False

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[tuple[bytes, bool]] = deque()

    def onOpen(self) -> None:
        """The handshake is done: the conversation begins."""
        if self.websocket_protocol_in_use != self.factory.codec.name:
            self.factory.complain("the server does not speak VidLink at this address")
            self.sendClose()
            return
        self._open = True
        keep_queue_short(self.transport)
        self.transport.registerProducer(self, True)
        self.factory.uplink.connected(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One whole message."""
        try:
            self.factory.uplink.received(self.factory.codec.decode(payload, isBinary))
        except PeerError as error:
            self.factory.uplink.fail(error)

    def send(self, message: Message) -> None:
        """Send `message`, now or when there is room; nothing once the connection is closing."""
        if self.state != self.STATE_OPEN:
            return
        payload, is_binary = self.factory.codec.encode(message)
        if self._paused or self._queue:
            self._queue.append((payload, is_binary))
            self.backlog_bytes += len(payload)
        else:
            self.sendMessage(payload, is_binary)

    @property
    def is_idle(self) -> bool:
        """Whether neither this nor the transport has anything left to send."""
        return not self._paused and not self._queue and self.state == self.STATE_OPEN

    def close(self, error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(*self.factory.codec.encode(ErrorMessage(error.code, str(error))))
            self.sendCloseFrame(code=error.close_code, reasonUtf8=error.code.encode())

    def sendCloseFrame(self, *close: Any, **named: Any) -> None:
        """We begin to close, or answer; a server that does not do its part is cut off."""
        super().sendCloseFrame(*close, **named)
        if self._linger is None:
            self._linger = self.factory.clock.callLater(LINGER_SECONDS, self._cut_off)

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport is empty: what has waited goes first."""
        self._paused = False
        while self._queue and not self._paused and self.state == self.STATE_OPEN:
            payload, is_binary = self._queue.popleft()
            self.backlog_bytes -= len(payload)
            self.sendMessage(payload, is_binary)
        if self.is_idle:
            self.factory.uplink.drained()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._paused = True

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, or was refused in the handshake."""
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        if self.remoteCloseCode in PATIENT_CODES:
            self.factory.back_off.at_least(PATIENT_SECONDS)
        if self._open:
            self._log.info("disconnected from {url}: {why}", url=self.factory.url, why=_why(self))
            self.factory.uplink.lost()
        else:
            self.factory.complain(f"{self.factory.url} did not take the connection: {reason}")

    def _cut_off(self) -> None:
        self.transport.abortConnection()


def keep_queue_short(transport: Any) -> None:
    """Let the kernel take no more than it can send soon: nothing overtakes what it has."""
    kernel = getattr(transport, "socket", None)
    if kernel is not None and UNSENT_OPTION is not None:
        # Whatever else carries it, such as a Unix socket, has no such queue.
        with suppress(OSError):
            kernel.setsockopt(socket.IPPROTO_TCP, UNSENT_OPTION, UNSENT_BYTES)


def _why(link: UplinkProtocol) -> str:
    """Why a connection ended, for the log."""
    code = link.remoteCloseCode
    word = {number: name for name, number in CLOSE_CODES.items()}.get(code)
    if code is None:
        return "the connection broke"
    return f"closed with {code}" + ("" if word is None else f" ({word})")


class UplinkFactory(DiallingFactory):
    """Makes the connections to one server."""

    _log = Logger()
    protocol = UplinkProtocol

    def __init__(
        self, url: str, uplink: Uplink, codec: ICodec, back_off: BackOff, clock: Any
    ) -> None:
        super().__init__(url, [codec.name])
        self.uplink = uplink
        self.codec = codec
        self.back_off = back_off
        self.clock = clock

    def complain(self, text: str) -> None:
        """Something is wrong with the server; it will be tried again."""
        self._log.warn("{text}", text=text)
