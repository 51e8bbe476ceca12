"""One connection to a server, as sentinels and clients have in common: format, messages, closing.

What is said on it is decided in :mod:`vidlink.sentinel.uplink` and
:mod:`vidlink.client.connection`. How long a server may be silent is the client's alone: a server
pings only who says nothing, so a Sentinel that sends hears nothing while a disk is stuck.
"""

from __future__ import annotations

from collections.abc import Callable

from autobahn.twisted.websocket import WebSocketClientProtocol
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from vidlink.dialling.factory import DiallingFactory
from vidlink.dialling.refusals import Answer, read_answer, refused, spoken, words
from vidlink.errors import CLOSINGS, BadAnswer, PeerError, Unreachable, VidlinkError
from vidlink.interfaces import ICodec
from vidlink.messages import Message
from vidlink.timer import Timer

#: A connection that is closing, whoever began it, is cut off after this.
LINGER_SECONDS = 3.0
#: The status of an answer that opens a WebSocket.
SWITCHING = 101
_CLOSINGS: dict[int | None, type[PeerError]] = {kind.close_code: kind for kind in CLOSINGS}


class _Silence:
    """Autobahn's log: what is worth telling of a connection we say ourselves, in our words."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class DialledProtocol(WebSocketClientProtocol):
    """A WebSocket on which one of the formats of its factory is spoken.

    Subclasses say what begins, what is done with a message, and what with a server that makes
    mistakes.
    """

    log = _Silence()
    factory: DiallingFactory
    #: The format that is spoken, once one is agreed on.
    codec: ICodec
    is_agreed = False
    _answer: Answer | None = None
    _mistake = ""
    _cause: BaseException | None = None

    def connectionMade(self) -> None:
        """The socket is here; the handshake begins."""
        self.deadline = Timer(self.factory.clock)
        super().connectionMade()

    def processHandshake(self) -> None:
        """Read what there is of the answer; of one that refuses, what it says."""
        data = bytes(self.data)
        try:
            self._answer = read_answer(data)
        except BadAnswer as error:
            self.failHandshake(str(error))
            return
        if self._answer is None:
            return
        if self._answer.status != SWITCHING:
            if self._answer.is_whole:
                self.dropConnection(abort=True)
            return
        try:
            super().processHandshake()
        except UnicodeDecodeError:
            self.failHandshake("there are octets in it that are no text")

    def failHandshake(self, reason: str) -> None:
        """End a connection to somebody who does not answer as a WebSocket server does."""
        self._mistake = reason
        self.dropConnection(abort=True)

    def not_agreed(self) -> VidlinkError:
        """The reason why nothing came of the connection, once it is over."""
        where = self.factory.url
        if self._mistake:
            return BadAnswer(
                f"what answers at {where} is no VidLink server: {spoken(self._mistake)}"
            )
        if self._answer is not None and self._answer.status != SWITCHING:
            return refused(where, self._answer.status, self._answer.said)
        told = "the connection broke" if self._cause is None else words(self._cause)
        if isinstance(self._cause, ConnectionDone) and not self.factory.isSecure:
            told += "; if TLS is spoken there, write wss:// for ws://"
        return Unreachable(f"cannot reach {where}: {told}")

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
        self._cause = reason.value
        super().connectionLost(reason)

    @property
    def closed_for(self) -> type[PeerError] | None:
        """The reason that the server has closed for, by its code; None if it gave none of ours."""
        return _CLOSINGS.get(self.remoteCloseCode)
