"""The Sentinel's socket; the conversation on it is :mod:`vidlink.links.uplink`.

Format, messages and closing are :mod:`vidlink.dialling.protocol`'s; `service` reconnects for ever.
It is one idea: a connection to the server, from what it shows to what is said of its end.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from vidlink.dialling.backoff import PATIENT_SECONDS, BackOff
from vidlink.dialling.factory import DiallingFactory
from vidlink.dialling.protocol import DialledProtocol
from vidlink.dialling.repeats import Repeats
from vidlink.errors import (
    BadMessage,
    IdInUse,
    NotAllowed,
    NotAuthenticated,
    NotMedia,
    PeerError,
    Replaced,
    TooFast,
    UserMistake,
)
from vidlink.interfaces import ICodec, IServerPeer
from vidlink.links.uplink.conversation import Uplink
from vidlink.liveness import Liveness, Verdict, uptake
from vidlink.messages import ErrorMessage, Message
from vidlink.sentinel.enrolment import Enrolment
from vidlink.timer import Timer

#: The octets that the kernel may hold that are not on the way yet; left to itself it takes 4 MiB,
#: which on a slow link is half a minute that a live segment would wait for what is late. Linux and
#: macOS.
UNSENT_BYTES = 64 * 1024
UNSENT_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
#: So often it is looked at whether the server is still there.
LOOK_SECONDS = 1.0
#: The codes that the protocol itself closes with (RFC 6455 section 7.4.1): a frame that is none,
#: text that is none, a message in too many frames, or one that is too long.
BROKEN_CODES = (1002, 1007, 1008, 1009)
#: After these, too, the server is asked again no faster than once a minute: nothing changes sooner.
PATIENT: tuple[type[PeerError], ...] = (
    IdInUse,
    Replaced,
    NotAllowed,
    NotAuthenticated,
    BadMessage,
    NotMedia,
    TooFast,
)
#: Words for whoever reads the log: what can be done about it that the server has closed.
ADVICE: dict[type[PeerError] | None, str] = {
    IdInUse: "give each computer an --id of its own; asked again in a minute or two",
    Replaced: "give each computer an --id of its own; asked again in a minute or two",
    NotAuthenticated: "put a valid token into the file of --token-file; asked again in a minute "
    "or two",
    NotAllowed: "the token has to be one for this --id, see 'vidlink token list' on the server; "
    "asked again in a minute or two",
    BadMessage: "the two may be of different versions; asked again in a minute or two",
    NotMedia: "the two may be of different versions; asked again in a minute or two",
}


@implementer(IServerPeer, IPushProducer)
class UplinkProtocol(DialledProtocol):
    """One connection to the server.

    What the socket has no room for waits here; the conversation reads :attr:`backlog_bytes`
    and stops giving, so the queue is bounded by it.
    """

    _log = Logger()
    factory: UplinkFactory
    backlog_bytes = 0
    was_told = False
    #: The server was given up, because it said and took nothing.
    was_silent = False
    #: The reason why we close.
    local_error: PeerError | None = None
    _is_paused = False
    _liveness: Liveness

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[tuple[bytes, bool]] = deque()

    def no_format(self) -> None:
        """Close a connection to somebody who is no VidLink server; that may change."""
        self.factory.complain("the server does not speak VidLink at this address")
        self.was_told = True
        self.sendClose()

    def connectionMade(self) -> None:
        """The socket is here."""
        clock = self.factory.clock
        self._look = Timer(clock)
        self._liveness = Liveness(clock.seconds(), is_held_by_it=True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Any octet shows that the server is there, also one that does not read what we say."""
        self._liveness.heard()
        super().dataReceived(data)

    def agreed(self) -> None:
        """Begin the conversation."""
        self.factory.token_was_taken()
        self._look.start(LOOK_SECONDS, self._look_at_server)
        keep_queue_short(self.transport)
        self.transport.registerProducer(self, True)
        self.factory.uplink.connected(self)

    def received(self, message: Message, size_bytes: int) -> None:
        """Hand the message to the conversation."""
        self.factory.uplink.received(message)

    def not_understood(self, error: PeerError) -> None:
        """End the conversation, and tell the server why."""
        self.factory.uplink.fail(error)

    def send(self, message: Message) -> None:
        """Send `message`, now or when there is room; nothing once the connection is closing."""
        if self.state != self.STATE_OPEN:
            return
        payload, is_binary = self.codec.encode(message)
        if self._is_paused or self._queue:
            self._queue.append((payload, is_binary))
            self.backlog_bytes += len(payload)
        else:
            self.sendMessage(payload, is_binary)

    @property
    def is_idle(self) -> bool:
        """True if neither this nor the transport has anything left to send."""
        return not self._is_paused and not self._queue and self.state == self.STATE_OPEN

    def close(self, error: PeerError) -> None:
        """Say `error` in band and close with its code. A second call does nothing."""
        if self.state == self.STATE_OPEN:
            self.local_error = error
            self.sendMessage(*self.codec.encode(ErrorMessage(error.code, str(error))))
            self.sendCloseFrame(code=error.close_code, reasonUtf8=error.code.encode())

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._is_paused = True
        self._liveness.full(self.factory.clock.seconds())

    def resumeProducing(self) -> None:
        """The transport is empty: what has waited goes first."""
        self._is_paused = False
        self._liveness.emptied(self.factory.clock.seconds())
        while self._queue and not self._is_paused and self.state == self.STATE_OPEN:
            payload, is_binary = self._queue.popleft()
            self.backlog_bytes -= len(payload)
            self.sendMessage(payload, is_binary)
        if self.is_idle:
            self.factory.uplink.drained()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._is_paused = True

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, or was refused in the handshake."""
        self._look.stop()
        if self._is_refused() and not self._has_other_token():
            self.factory.back_off.at_least(PATIENT_SECONDS)
        if self.closed_for is IdInUse:
            self.factory.token_is_shared()
        if self.is_agreed:
            self._log.info("disconnected from {url}: {why}", url=self.factory.url, why=_why(self))
            self.factory.uplink.lost()
        elif not self.was_told and not self.factory.is_stopping:
            self.factory.complain(str(self.not_agreed()))

    def _has_other_token(self) -> bool:
        """True if what the server says about the token may be another thing at once."""
        is_about_token = self.closed_for is NotAuthenticated or (
            not self.is_agreed and isinstance(self.not_agreed(), NotAuthenticated)
        )
        return self.factory.has_another_token() or (
            is_about_token and self.factory.may_enrol_again()
        )

    def _look_at_server(self) -> None:
        """See once a second whether the server is there; it is given up if it is not."""
        see = partial(uptake, self.transport)
        verdict = self._liveness.look(self.factory.clock.seconds(), see)
        if verdict is Verdict.ASK:
            self.sendPing(os.urandom(4))
        elif verdict is not Verdict.FINE:
            self.was_silent = True
            self.transport.abortConnection()
            return
        self._look.start(LOOK_SECONDS, self._look_at_server)

    def _is_refused(self) -> bool:
        """True if the server will say the same for a while."""
        if not self.is_agreed and isinstance(self.not_agreed(), PATIENT):
            return True
        return self.closed_for in PATIENT or self.remoteCloseCode in BROKEN_CODES


def keep_queue_short(transport: Any) -> None:
    """Let the kernel take no more than it can send soon: nothing overtakes what it has."""
    kernel = getattr(transport, "socket", None)
    if kernel is not None and UNSENT_OPTION is not None:
        # Whatever else carries it, such as a Unix socket, has no such queue.
        with suppress(OSError):
            kernel.setsockopt(socket.IPPROTO_TCP, UNSENT_OPTION, UNSENT_BYTES)


def _why(link: UplinkProtocol) -> str:
    """Why a connection ended, for the log, and what a person can do about it."""
    if link.factory.is_stopping:
        return "this sentinel is stopping"
    if link.local_error is not None:
        return f"{link.local_error} ({link.local_error.code})"
    if link.was_silent:
        return "the server says nothing"
    if link.remoteCloseCode is None:
        return "the connection broke"
    word = f" ({link.closed_for.code})" if link.closed_for else ""
    advice = f"; {ADVICE[link.closed_for]}" if link.closed_for in ADVICE else ""
    if link.closed_for is NotAuthenticated and link.factory.enrols:
        advice = "; it asks to be enrolled again"
    if link.closed_for is IdInUse and link.factory.enrols:
        advice = "; it asks to be enrolled as another one in a minute or two"
    return f"closed with {link.remoteCloseCode}{word}{advice}"


class UplinkFactory(DiallingFactory):
    """Makes the connections to one server.

    :param shown: gives the headers that show a credential as it is now.
    :param enrolment: sees to it that there is one; None: it is there, or none is needed.
    """

    _log = Logger()
    protocol = UplinkProtocol

    def __init__(
        self,
        url: str,
        uplink: Uplink,
        codec: ICodec,
        back_off: BackOff,
        clock: Any,
        shown: Callable[[], Mapping[str, str]] = dict,
        enrolment: Enrolment | None = None,
    ) -> None:
        super().__init__(url, [codec], clock)
        self._enrolment = enrolment
        self._shown = shown
        self.uplink = uplink
        self.back_off = back_off
        #: This Sentinel ends; nothing that happens to its connection is worth a word any more.
        self.is_stopping = False
        self._repeats = Repeats(clock.seconds)

    async def make_ready(self) -> None:
        """Show from now on what is there now; it may have been replaced.

        :raises UserMistake: if it cannot be read.
        :raises NotEnrolled: if the server gives this machine no token.
        """
        if self._enrolment is not None:
            await self._enrolment.make_ready()
        self.headers = self._shown()

    @property
    def enrols(self) -> bool:
        """True if the token comes from the server itself."""
        return self._enrolment is not None

    def token_was_taken(self) -> None:
        """The server has let us in."""
        if self._enrolment is not None:
            self._enrolment.trust()

    def token_is_shared(self) -> None:
        """Somebody else is connected who shows it."""
        if self._enrolment is not None:
            self._enrolment.share()

    def may_enrol_again(self) -> bool:
        """True if the token that was refused may be another one at the next attempt."""
        return self._enrolment is not None and self._enrolment.doubt()

    def has_another_token(self) -> bool:
        """True if the token is not the one that was shown last."""
        try:
            return self._shown() != self.headers
        except UserMistake:
            return False

    def complain(self, text: str) -> None:
        """Something is wrong with the server; it will be tried again. Said once a minute."""
        line = self._repeats.told(text)
        if line:
            self._log.warn("{line}", line=line)
