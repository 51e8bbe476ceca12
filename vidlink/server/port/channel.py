"""One HTTP connection with bounds on everything that a stranger may send, or leave undone.

Twisted's channel parses requests and frames answers; this one adds deadlines, limits and the
headers that every answer carries. What is served is decided in :mod:`vidlink.server.port.site`.

Bounds, each in :class:`vidlink.model.Bounds`: a request's header, then its body, has to arrive in
time; then nothing is timed until the answer is there, unless the client stops taking it. One
request is answered at a time. What a client sends meanwhile waits, up to `held_bytes` and one read
more, after which its socket is not read; the next request's turn comes in another reactor turn, and
not before the client has taken the last answer. An upgraded connection is its new owner's: no
deadline is left on it. All of it is one idea: every bound holds in every state of the connection.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol as Connection
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import PARTIAL_CONTENT, HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site

from vidlink.access.gate import Gate
from vidlink.interfaces import IStretch
from vidlink.model import Bounds
from vidlink.server.api.answers import JSON, NEVER, SECURITY_HEADERS, error_json
from vidlink.server.api.refusals import (
    BadHeader,
    BodyTooLarge,
    HeaderTooLarge,
    HttpError,
    RequestTimeout,
    TargetTooLong,
)
from vidlink.server.port.door import Door
from vidlink.server.port.exposure import LOOPBACK_NAMES
from vidlink.server.port.held import Held
from vidlink.server.port.lobby import Lobby, beneath
from vidlink.server.port.origin import Authority, Hosts
from vidlink.server.port.repeats import Repeat, Repeated, is_whole, without_range
from vidlink.server.port.sending import (
    Sending,
    can_send_files,
    can_send_now,
    can_send_now_to,
    send_file_now,
    send_now,
)
from vidlink.server.port.shares import Shares
from vidlink.server.port.sharing import sharing_headers
from vidlink.timer import Timer

#: For a year, browsers come to this name over TLS alone (RFC 6797).
STAY_SECURE = "max-age=31536000"
#: Who takes so much of a file in time is not stalled.
PIECE_BYTES = 256 * 1024
#: More than browsers and Sentinels send before they are answered.
_PEEKED_BYTES = 4096
#: Lines that stand in the head of every answer, but where it has its own.
_SECURITY = {
    name.encode("ascii"): f"{name}: {value}\r\n".encode("ascii") for name, value in SECURITY_HEADERS
}
_SAID_HERE = frozenset({b"Server", b"Date"})
_PARTIAL = b"%d" % PARTIAL_CONTENT
_OF_A_RANGE = (b"Content-Length:", b"Content-Range:")
#: A repeat costs this part of what a newcomer does; and where octets are what counts, so many more
#: than it is sent: of small ones a turn takes no more for that.
_REPEAT_PART, _LEAST_BYTES = 1 / 32, 64 * 1024


@lru_cache(1)
def _date(seconds: int) -> bytes:
    return bytes(datetimeToString(seconds))


class Port(Protocol):
    """The listening port that a connection came in at."""

    reactor: IReactorTime
    bounds: Bounds
    door: Door
    #: The octets of files that the kernel is given, each a part of what a turn has room for.
    files: Door
    lobby: Lobby
    hosts: Hosts
    gate: Gate
    proxies: frozenset[str]
    #: The answers that are not taken, as far as they are kept.
    answers: Held
    #: The requests that are being answered, of each who asks.
    requests: Shares
    answering: set[Any]
    #: Answers a request by itself; False: it is answered by its path.
    fast_path: Callable[[Any], bool]


class Channel(HTTPChannel):
    """The server's side of one connection, until it is upgraded or closed."""

    _log = Logger()
    factory: Port
    site: Site
    _is_idle = False
    #: The door has counted it, for what it had sent before it was read.
    _was_counted = False
    #: The transport of one that has not been let in yet; None: it is in.
    _outside: Any = None
    #: The answering of its request, which waits at the door.
    _unanswered: Callable[[], None] | None = None
    _finished: Request | None = None
    #: Whose the connection is now that it is upgraded.
    _heir: Connection | None = None
    _was_refused = False
    _host: IAddress | None = None
    _held_bytes = 0
    #: The address of which a range was sent last; how many more of it since, and their octets.
    _ranged = b""
    #: True if what is sent may go past the transport; if the kernel can send files here, and what
    #: it is sending now.
    can_send_now = can_send_files = False
    _sending: Sending | None = None
    _taken_bytes = 0
    _more, _more_bytes = 0, 0
    #: The head of the request that is being answered, if it came alone and whole.
    _asked = b""
    #: The request that was answered last, if it may come again; one that came and waits.
    _repeat: Repeat | None = None
    _waiting = b""

    # What arrives.

    def connectionMade(self) -> None:
        """Begin to wait for the first request."""
        clock, bounds = self.factory.reactor, self.factory.bounds
        # The names are Twisted's.
        self.totalHeadersSize, self.maxHeaders = bounds.header_bytes, bounds.headers
        self.MAX_LENGTH = max(bounds.header_bytes, bounds.target_bytes)
        self._deadline, self._stall, self._next_turn = Timer(clock), Timer(clock), Timer(clock)
        super().connectionMade()
        self.factory.lobby.arrive(self, self.getPeer(), self.transport)
        self.can_send_files = can_send_files(self.transport)
        self.can_send_now = can_send_now_to(self.transport)
        if not may_have_asked(self.transport):
            self._enter()
            return
        # Over TLS that was only a greeting, which costs no less than a request.
        self._was_counted = beneath(self.transport) is self.transport
        if not self.factory.door.knock(self._enter):
            self._outside = self.transport
            self._outside.pauseProducing()
            self._wait_at_door()

    def dataReceived(self, data: bytes) -> None:
        """Read on; nothing more of a connection that was refused."""
        if self._was_refused:
            return
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
            self._leave_doors()
        elif self._repeat is not None and self._is_free() and self._repeat.is_repeated_by(data):
            self._waiting = data
            if self.factory.door.is_free:
                self.factory.door.count(_REPEAT_PART)
                self._answer_in_turn()
            else:
                self._wait_for_turn(self.factory.door, _REPEAT_PART)
            return
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        """Read on, as ever."""
        self._asked = data if self._is_free() and is_whole(data) else b""
        super().dataReceived(data)
        self._was_counted = False
        self._wait_for_request()

    def _is_free(self) -> bool:
        """True if nothing is being asked, and nothing answered."""
        is_at_work = self.requests or self._handlingRequest or self._buffer
        return not (is_at_work or self._waitingForTransport) and self._heir is None

    def lineReceived(self, line: bytes) -> None:
        """A request line, or a line of a header."""
        bounds = self.factory.bounds
        if self._was_refused:
            return
        if not self.requests and len(line) > bounds.target_bytes:
            self._refuse_target()
        elif self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._refuse_header()
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line that has no end."""
        if self.requests:
            self._refuse_header()
        else:
            self._refuse_target()

    def headerReceived(self, line: bytes) -> bool:
        """One header; False if it is none."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:  # A Content-Length of more digits than `int` reads.
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        """A header is complete: refuse too large a body before it is read, or asked for."""
        bounds = self.factory.bounds
        if self.length is not None and self.length > bounds.body_bytes:
            self.refuse_body()
            return
        super().allHeadersReceived()
        if self.length != 0:
            self._expect(bounds.body_seconds)

    def rawDataReceived(self, data: bytes) -> None:
        """A body, or what comes while a request is being answered."""
        if self._was_refused:
            return
        if self._heir is not None:
            self._heir.dataReceived(data)
            return
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        self._dataBuffer.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self.factory.bounds.held_bytes:
            self._networkProducer.pauseProducing()

    def allContentReceived(self) -> None:
        """A request is complete: answer it."""
        if not self._was_refused:
            self._expect(None)
            super().allContentReceived()

    def in_turn(self, answer: Callable[[], None]) -> None:
        """Call `answer`, which answers a request, when it is this connection's turn.

        What a connection has sent before it was let in has had its turn at the door. Who sends its
        request later, or the rest of it, or another one, would else pass by those that wait there.
        """
        self._unanswered = answer
        if self._was_counted:
            self._was_counted = False
            self._answer()
        elif not self.factory.door.knock(self._answer):
            self._wait_at_door()

    def hand_over(self, heir: Connection) -> None:
        """The connection is upgraded: what has come behind its request, and what else there is of
        this read, is for its new owner."""
        self._heir = heir
        early, self._dataBuffer = b"".join(self._dataBuffer), []
        if early:
            heir.dataReceived(early)

    def getHost(self) -> IAddress:
        """Where the connection came in; it stays there."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    # What is sent.

    def write(self, data: bytes) -> None:
        """Send a piece of an answer; it is held here as long as the client takes nothing."""
        super().write(data)
        self._hold(len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Likewise."""
        pieces = list(iovec)
        super().writeSequence(pieces)
        self._hold(sum(map(len, pieces)))

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """The head of an answer, with what every answer carries, and without our version."""
        if self._is_named_and_secure():
            headers.setRawHeaders(b"Strict-Transport-Security", [STAY_SECURE])
        self._share(headers)
        head = [b"%b %b %b\r\n" % (version, code, reason)]
        missing = _SECURITY.copy()
        for name, values in headers.getAllRawHeaders():
            if name not in _SAID_HERE:
                missing.pop(name, None)
                head += [b"%b: %b\r\n" % (name, value) for value in values]
        head += missing.values()
        self._repeat = self._repeat_of(head) if code == _PARTIAL else None
        head.append(b"Date: %b\r\n\r\n" % _date(int(time.time())))
        transport: Any = self.transport
        transport.write(b"".join(head))

    def refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read to its end, and close."""
        if self._was_refused or self.transport is None:
            return
        self._was_refused = True
        self._expect(None)
        body = error_json(error.code, str(error))
        headers = Headers()
        for name, value in (
            ("Content-Type", JSON),
            ("Content-Length", str(len(body))),
            ("Cache-Control", NEVER),
            ("Connection", "close"),
        ):
            headers.setRawHeaders(name, [value])
        status = error.http_status
        reason = HTTPStatus(status).phrase.encode("ascii")
        self.writeHeaders(b"HTTP/1.1", b"%d" % status, reason, headers)
        self.write(body)
        self._log.debug(
            "{peer} refused: {status} {code}", peer=self.peer, status=status, code=error.code
        )
        # Closing at once, with bytes unread, would reset the connection before the answer is read.
        self._expect(self.factory.bounds.linger_seconds, self._close_soon)

    def refuse_body(self) -> None:
        """The body is too large."""
        limit = self.factory.bounds.body_bytes
        self.refuse(BodyTooLarge(f"a body may have {limit} bytes"))

    def requestDone(self, request: Request) -> None:
        """A request is answered; the next one may wait already."""
        waits = self._dataBuffer or self._buffer or self._waitingForTransport
        if not (self.persistent and waits):
            self._take_next(request)
            return
        self._finished = request
        if not self._waitingForTransport:
            self._next_turn.start(0, self._go_on)

    def pauseProducing(self) -> None:
        """The client does not take what is sent."""
        super().pauseProducing()
        self._wait_for_client()
        self.factory.lobby.enter(self, self.getPeer())

    def resumeProducing(self) -> None:
        """The client has taken what was sent."""
        if self._sending is not None:
            self._sending.begin()
            return
        self._stall.stop()
        self.factory.answers.end(self)
        if self._handlingRequest:
            self.factory.lobby.leave(self)
        super().resumeProducing()
        self._go_on()

    def send_file(self, stretch: IStretch) -> Deferred[int]:
        """Send a stretch of a file behind what was written; nothing else until that has come to
        its end, which tells how many octets were sent. Where it fails, no file is sent any more."""
        files = self.factory.files
        sending = Sending(self.transport, stretch, files, self._sent_some, self._sent_file)
        self._sending, self._taken_bytes = sending, 0
        sending.wait()
        if not can_send_now(self.transport):
            # Nor may a client take nothing of what stands before it, for ever.
            self.pauseProducing()
        return sending.done

    def _sent_some(self, sent_bytes: int) -> None:
        """So much of a file was sent, and there is no room for more."""
        if not self._waitingForTransport:
            self.pauseProducing()
        elif sent_bytes - self._taken_bytes >= PIECE_BYTES:
            self._stall.stop()
            self._wait_for_client()
        else:
            return
        self._taken_bytes = sent_bytes

    def _sent_file(self) -> None:
        """No more of a file can be sent."""
        sending, self._sending = self._sending, None
        if sending is not None and sending.sent_bytes < sending.size_bytes:
            self.can_send_files = False
        self.resumeProducing()

    def goes_on(self, request: Request) -> bool:
        """True if a range was sent, after one of the same address: they are told of together."""
        is_range = request.code == PARTIAL_CONTENT
        if is_range and request.uri == self._ranged:
            self._count_more(request.sentLength)
            return True
        self._tell_more()
        self._ranged = request.uri if is_range else b""
        return False

    def _count_more(self, size_bytes: int) -> None:
        self._more += 1
        self._more_bytes += size_bytes

    # What comes again.

    def _repeat_of(self, head: list[bytes]) -> Repeat | None:
        """The request that is being answered, if it may come again; `head` is of its answer."""
        request: Any = self.requests[0] if self.requests else None
        asked = without_range(self._asked) if self._asked and self.persistent else None
        if asked is None or request.source is None:
            return None
        lines = b"".join(line for line in head if not line.startswith(_OF_A_RANGE))
        return Repeat(*asked, lines, request.uri, request.shown, request.source)

    def _wait_for_turn(self, door: Door, part: float) -> None:
        # Nobody waits there for as long as that.
        self._deadline.start(self.factory.bounds.idle_seconds, self._time_out)
        door.wait(self._answer_in_turn, part)
        self._wait_at_door()

    def _leave_doors(self) -> None:
        self.factory.door.leave(self._answer_in_turn)
        self.factory.files.leave(self._answer_in_turn)

    def _answer_in_turn(self) -> None:
        """Answer what has come again, or as any other request if there is more to it."""
        if not self.factory.files.has_room:
            self._wait_for_turn(self.factory.files, _LEAST_BYTES)
            return
        data, self._waiting = self._waiting, b""
        repeat = self._repeat
        if repeat is None or self._was_refused or not self._answer_again(repeat, data):
            self._receive(data)

    def _answer_again(self, repeat: Repeat, data: bytes) -> bool:
        """Answer a repeat; False: nothing was done, and nothing sent."""
        site, shown = self.factory, repeat.shown
        if repeat.uri != self._ranged or not shown.is_let_in(site.gate):
            return False
        if not site.requests.take(shown.whose):
            return False
        body = repeat.source.again()
        part = None if body is None else repeat.range_of(data, body.size_bytes)
        piece = None
        if body is not None and part is not None:
            piece = repeat.source.first_piece(self, body, *part)
        if body is None or part is None or piece is None:
            site.requests.give_back(shown.whose)
            return False
        first, last = part
        head = repeat.head(first, last, body.size_bytes, _date(int(time.time())))
        sent_bytes = self._send_at_once(head, piece)
        if sent_bytes == last - first + 1 and not self._waitingForTransport:
            site.requests.give_back(shown.whose)
            self._count_more(sent_bytes)
            if not site.lobby.move_back(self):
                site.lobby.enter(self, self.getPeer())
            self._deadline.start(site.bounds.idle_seconds, self._time_out)
            self._is_idle = True
            return True
        self._expect(None)
        site.lobby.leave(self)
        repeated: Any = Repeated(self, repeat)
        repeated.sentLength = sent_bytes
        self.requests.append(repeated)
        self._handlingRequest = True
        self.setRawMode()
        repeated.send(body, first + sent_bytes, last)
        return True

    def _send_at_once(self, head: bytes, piece: bytes | IStretch) -> int:
        """Send `head`, and `piece` behind it as far as there is room; returns how much of that was
        sent, or is on its way."""
        transport: Any = self.transport
        is_free = self.can_send_now and can_send_now(transport)
        if isinstance(piece, bytes):
            taken = send_now(transport, (head, piece)) if is_free else 0
            if taken < len(head) + len(piece):
                self.write((head + piece)[taken:])
            return len(piece)
        taken, sent_bytes = send_file_now(transport, head, piece) if is_free else (0, 0)
        self.factory.files.count(sent_bytes)
        if taken < len(head):
            self.write(head[taken:])
        return sent_bytes

    def repeated(self, repeated: Any) -> None:
        """A repeat is answered that took longer than a moment."""
        self._count_more(repeated.sentLength)
        self.requestDone(repeated)

    # How it ends.

    def loseConnection(self) -> None:
        """Close once everything is sent, but do not wait for ever for that."""
        if self.transport is not None:
            self.factory.lobby.enter(self, self.getPeer())
            super().loseConnection()
            self._wait_for_client()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and with it what was timed."""
        self.factory.door.leave(self._enter)
        self.factory.door.leave(self._answer)
        self._leave_doors()
        self.factory.lobby.gone(self)
        self.factory.answers.end(self)
        for timer in (self._deadline, self._stall, self._next_turn):
            timer.stop()
        self._tell_more()
        if self._sending is not None:
            self._sending.end()
            self._sending = None
        super().connectionLost(reason)

    def turn_away(self) -> None:
        """Close at once: others have to be let in. The lobby tells of all such together."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def overrun(self, held_bytes: int) -> None:
        """Too much is held of answers that are not taken, and of this one more than its share."""
        self.turn_away()

    def _tell_more(self) -> None:
        if self._more:
            self._log.debug(
                "{peer} has had {more} more of the same address, {size} bytes",
                peer=self.peer,
                more=self._more,
                size=self._more_bytes,
            )
            self._more = self._more_bytes = 0

    def _hold(self, size_bytes: int) -> None:
        if self._waitingForTransport:
            self.factory.answers.grow(self, size_bytes)

    def _enter(self) -> None:
        """Come in: from now on the connection has to say what it wants."""
        if self._outside is not None:
            self._outside.resumeProducing()
            self._outside = None
            self.factory.lobby.enter(self, self.getPeer())
        self._expect(self.factory.bounds.header_seconds)

    def _answer(self) -> None:
        answer, self._unanswered = self._unanswered, None
        if answer is not None:
            self.factory.lobby.leave(self)
            answer()

    def _wait_at_door(self) -> None:
        """Wait, and not be counted among those that ask for nothing, while there is room for it."""
        if len(self.factory.door) <= self.factory.lobby.most_asking:
            self.factory.lobby.leave(self)

    def _take_next(self, request: Request) -> None:
        self._held_bytes = 0
        if self.persistent:
            self.factory.lobby.enter(self, self.getPeer())
        super().requestDone(request)
        self._wait_for_request()

    def _go_on(self) -> None:
        finished, self._finished = self._finished, None
        if finished is None:
            return
        if self._waitingForTransport:
            self._finished = finished
        else:
            self._take_next(finished)

    def _wait_for_request(self) -> None:
        """See to it that a connection without a request to answer has a deadline."""
        if self._handlingRequest or self._was_refused or self.transport is None:
            return
        bounds = self.factory.bounds
        has_begun = bool(self.requests or self._buffer)
        if not self._deadline.is_running or (self._is_idle and has_begun):
            self._expect(bounds.header_seconds if has_begun else bounds.idle_seconds)
            self._is_idle = not has_begun

    def _expect(self, seconds: float | None, late: Callable[[], None] | None = None) -> None:
        """Call `late` (or time out) if nothing else is expected for so long; None: for ever."""
        self._deadline.stop()
        self._is_idle = False
        if seconds is not None:
            self._deadline.start(seconds, late or self._time_out)

    def _wait_for_client(self) -> None:
        """See to it that what is sent is taken in time."""
        if self.transport is not None and not self._stall.is_running:
            self._stall.start(self.factory.bounds.stall_seconds, self._abort)

    def _time_out(self) -> None:
        if self.requests or self._buffer:
            self.refuse(RequestTimeout("the request did not arrive in time"))
        elif self._is_idle:
            self.loseConnection()
        else:
            self._close_soon()

    def _close_soon(self) -> None:
        """Close; nothing of worth is under way, so who does not close its TLS is cut off."""
        self.loseConnection()
        if self.transport is not None:
            self._stall.start(self.factory.bounds.linger_seconds, self._abort)

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            self._log.debug("{peer} takes nothing; aborted", peer=self.peer)
            transport.abortConnection()

    def _share(self, headers: Headers) -> None:
        """Let pages of other origins have the answer, if they may."""
        hosts = self.factory.hosts
        if not hosts.has_guests:
            return
        headers.addRawHeader(b"Vary", b"Origin")
        request = self.requests[0] if self.requests else None
        origins = request.requestHeaders.getRawHeaders(b"Origin", []) if request else []
        if hosts.is_guest([origin.decode("latin-1") for origin in origins]):
            for name, value in sharing_headers(origins[0], headers):
                headers.setRawHeaders(name, [value])

    def _is_named_and_secure(self) -> bool:
        """True if the client came over TLS to a name that is not that of its own machine, where
        other programs have other ports without TLS (RFC 6797 section 8.2: it is for all ports)."""
        request = self.requests[0] if self.requests else None
        if request is None or not request.isSecure():
            return False
        hosts = request.requestHeaders.getRawHeaders(b"Host", [])
        host = Authority.parse(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
        return host is not None and not host.is_address and host.host not in LOOPBACK_NAMES

    def _refuse_target(self) -> None:
        limit = self.factory.bounds.target_bytes
        self.refuse(TargetTooLong(f"a request line may have {limit} bytes"))

    def _refuse_header(self) -> None:
        self.refuse(HeaderTooLarge(f"a header may have {self.totalHeadersSize} bytes"))

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Called by Twisted's parser.
        self.refuse(BadHeader("this is not a request of HTTP/1.1"))

    @property
    def peer(self) -> str:
        """Who is at the other end, for the log."""
        return peer_name(self.getPeer())


def peer_name(address: IAddress) -> str:
    """Who is at the other end, for the log: host and port, or the kind of socket."""
    if isinstance(address, IPv4Address | IPv6Address):
        return f"{address.host}:{address.port}"
    return type(address).__name__


def may_have_asked(transport: Any) -> bool:
    """False if what waits to be read from `transport` is not a whole header, or over TLS not all
    that a client says first; so nothing can come of it yet that would keep others waiting."""
    kernel = getattr(beneath(transport), "socket", None)
    if kernel is None:
        return True
    try:
        waiting: bytes = kernel.recv(_PEEKED_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    if len(waiting) == _PEEKED_BYTES:
        return True
    if beneath(transport) is transport:
        return b"\r\n\r\n" in waiting
    # A record of TLS: its kind, its version, and how long the rest of it is.
    return len(waiting) >= 5 + int.from_bytes(waiting[3:5])
