"""The socket of a client: Autobahn's, with an inbox for what it hears.

It is joined to a server that may be slow, silent, or no VidLink at all; each has a deadline on
the clock that is given. What sentinels have in common with it is :mod:`vidlink.dialling.protocol`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from twisted.internet.defer import Deferred

from vidlink.client.failures import broken, closed
from vidlink.client.inbox import ProctorInbox
from vidlink.dialling.factory import DiallingFactory
from vidlink.dialling.protocol import DialledProtocol
from vidlink.errors import BadAnswer, PeerError, Unreachable, VidlinkError
from vidlink.interfaces import ICodec
from vidlink.messages import Clock, Message, ProctorRegister, ProctorRegistered

#: From the attempt to connect until the server has accepted us.
CONNECT_SECONDS = 30.0
#: A server pings every 10 s; one of which nothing at all is heard for so long is given up.
SILENCE_SECONDS = 35.0


class ProctorProtocol(DialledProtocol):
    """One connection: registers by itself; then `inbox` has what the server says.

    What is said to the server is small and goes out at once; nothing of it waits here.
    """

    factory: ProctorFactory

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.inbox = ProctorInbox(self._pause, self._resume, max_bytes)
        self._accepted: Deferred[ProctorRegistered] = Deferred(lambda _: self._abort())
        self._over: Deferred[None] = Deferred()
        #: The error that has ended the connection.
        self._why: BaseException | None = None
        self._is_leaving = False

    async def accepted(self) -> ProctorRegistered:
        """The server's `registered`; waited for, and the connection ends if it does not come."""
        return await self._accepted

    def say(self, message: Message) -> None:
        """Send `message`.

        :raises VidlinkError: if the connection is over; the class says why it is.
        """
        if self._why is not None:
            raise self._why
        if self.state != self.STATE_OPEN:
            raise Unreachable(f"the connection to {self.factory.url} is closing")
        self.sendMessage(*self.codec.encode(message))

    async def leave(self) -> None:
        """Close, and wait until that is done."""
        if not self._is_leaving:
            self._is_leaving = True
            self.inbox.end(StopAsyncIteration())
            if self._why is None:
                # Else the answer to our close would wait behind what nobody reads.
                self.transport.resumeProducing()
                self.sendClose(1000)
        over: Deferred[None] = Deferred()
        if self._over.called:
            return
        self._over.chainDeferred(over)
        await over

    def connectionMade(self) -> None:
        """Connected; the handshake begins."""
        super().connectionMade()
        self.deadline.start(CONNECT_SECONDS, lambda: self._fail(self.factory.late()))

    def dataReceived(self, data: bytes) -> None:
        """The server is alive."""
        if self._accepted.called and not self.inbox.is_full:
            self._listen()
        super().dataReceived(data)

    def no_format(self) -> None:
        """End a connection to somebody who is no VidLink server."""
        self._fail(BadAnswer(f"{self.factory.url} does not speak VidLink"))

    def agreed(self) -> None:
        """Register."""
        self.sendMessage(*self.codec.encode(ProctorRegister(self.factory.software)))

    def not_understood(self, error: PeerError) -> None:
        """End a connection to somebody who says what is no message."""
        self._fail(BadAnswer(f"{self.factory.url} says what cannot be read: {error}"))

    def received(self, message: Message, size_bytes: int) -> None:
        """Keep what the server says for the reader."""
        if isinstance(message, ProctorRegistered):
            self._listen()
            if not self._accepted.called:
                self._accepted.callback(message)
        elif not isinstance(message, Clock):
            self.inbox.put(message, size_bytes)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One whole message; nothing is taken any more on a connection that is over for us."""
        if not self._is_leaving and self._why is None:
            super().onMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, or was refused in the handshake."""
        if self._why is None:
            self._why = self._ending()
        self.inbox.end(self._why)
        if not self._accepted.called:
            self._accepted.errback(self._why)
        self._over.callback(None)

    def _ending(self) -> VidlinkError:
        where = self.factory.url
        if self.remoteCloseCode is not None:
            return closed(where, self.closed_for, self.remoteCloseCode, self.remoteCloseReason)
        return closed(where, None, None, None) if self.is_agreed else self.not_agreed()

    def _pause(self) -> None:
        # While nothing is read, silence is our own.
        self.deadline.stop()
        self.transport.pauseProducing()

    def _resume(self) -> None:
        if not self._is_leaving and self._why is None:
            self._listen()
            self.transport.resumeProducing()

    def _listen(self) -> None:
        """From now on the server may be silent for so long, unless the connection is closing."""
        if self.state == self.STATE_OPEN:
            self.deadline.start(SILENCE_SECONDS, self._silent)

    def _silent(self) -> None:
        silent = f"nothing was heard of {self.factory.url} for {SILENCE_SECONDS:g} s"
        self._fail(Unreachable(silent))

    def _fail(self, why: VidlinkError) -> None:
        """End the connection at once, for this reason."""
        self._why = why
        self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class ProctorFactory(DiallingFactory):
    """Makes one connection to a server.

    :param codecs: the formats to offer.
    :param clock: `IReactorTime`.
    :param headers: those of the handshake.
    """

    def __init__(
        self,
        url: str,
        codecs: Iterable[ICodec],
        software: str,
        max_bytes: int,
        clock: Any,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(url, codecs, clock, headers)
        self.software = software
        self.max_bytes = max_bytes

    def buildProtocol(self, addr: object) -> ProctorProtocol:
        """The one connection."""
        link = ProctorProtocol(self.max_bytes)
        link.factory = self
        return link

    def late(self) -> Unreachable:
        """The error of a server that has not answered in time."""
        return Unreachable(f"{self.url} has not answered within {CONNECT_SECONDS:g} s")

    async def reach(self, endpoint: Any) -> ProctorProtocol:
        """Connect.

        :raises Unreachable: nobody answers, or not in time.
        """

        def give_up(*_: object) -> NoReturn:
            raise self.late()

        connecting: Deferred[Any] = endpoint.connect(self)
        try:
            link: ProctorProtocol = await connecting.addTimeout(
                CONNECT_SECONDS, self.clock, give_up
            )
        except Exception as error:
            raise broken(self.url, error) from None
        return link
