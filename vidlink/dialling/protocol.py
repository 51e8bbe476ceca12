"""One connection to a server, as sentinels and clients have in common: format, messages, closing.

What is said on it is decided in :mod:`vidlink.sentinel.uplink` and
:mod:`vidlink.client.connection`. How long a server may be silent is the client's alone: a server
pings only who says nothing, so a Sentinel that sends hears nothing while a disk is stuck.
"""

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.python.failure import Failure

from vidlink.dialling.factory import DiallingFactory
from vidlink.errors import CLOSINGS, PeerError
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.timer import Timer

#: A connection that is closing, whoever began it, is cut off after this.
LINGER_SECONDS = 3.0
_CLOSINGS: dict[int | None, type[PeerError]] = {kind.close_code: kind for kind in CLOSINGS}


class DialledProtocol(WebSocketClientProtocol):
    """A WebSocket on which one of the formats of its factory is spoken.

    Subclasses say what begins, what is done with a message, and what with a server that makes
    mistakes.
    """

    factory: DiallingFactory
    #: The format that is spoken, once one is agreed on.
    codec: ICodec
    is_agreed = False

    def connectionMade(self) -> None:
        """The socket is here; the handshake begins."""
        self.deadline = Timer(self.factory.clock)
        super().connectionMade()

    def onOpen(self) -> None:
        """The handshake is done: the conversation begins, if the server speaks our format."""
        codec = self.factory.codecs.get(self.websocket_protocol_in_use)
        if codec is None:
            self.no_format()
            return
        self.codec, self.is_agreed = codec, True
        self.agreed()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One whole message; what is said in no format of ours is passed over."""
        if not self.is_agreed:
            return
        try:
            message = self.codec.decode(payload, isBinary)
        except PeerError as error:
            self.not_understood(error)
        else:
            self.received(message, len(payload))

    def no_format(self) -> None:
        """Do something about a server that speaks no format of ours."""
        raise NotImplementedError

    def agreed(self) -> None:
        """Begin: a format is agreed on."""
        raise NotImplementedError

    def received(self, message: Message, size_bytes: int) -> None:
        """Do something about `message` of the server, of so many octets."""
        raise NotImplementedError

    def not_understood(self, error: PeerError) -> None:
        """Do something about a server that says what is no message."""
        raise NotImplementedError

    def sendCloseFrame(self, *close: object, **named: object) -> None:
        """We begin to close, or answer; a server that does not do its part is cut off."""
        if self.state == self.STATE_OPEN:
            self.deadline.start(LINGER_SECONDS, self.transport.abortConnection)
        super().sendCloseFrame(*close, **named)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone, and nothing is waited for."""
        self.deadline.stop()
        super().connectionLost(reason)

    @property
    def closed_for(self) -> type[PeerError] | None:
        """The reason that the server has closed for, by its code; None if it gave none of ours."""
        return _CLOSINGS.get(self.remoteCloseCode)
