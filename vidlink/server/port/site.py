"""The one port: which request goes where, which are answered at all, and to whom.

Page, HTTP interface and both WebSockets share it, so that there is one certificate and one origin.
Bounds on connections are in :mod:`vidlink.server.port.channel`, the rules for Host and Origin in
:mod:`vidlink.server.port.origin`. It is one idea: what happens to a request before anybody is
asked for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import IResource, Resource
from zope.interface import implementer

from vidlink.access.gate import Gate
from vidlink.access.oidc.settings import ABOUT, CALLBACK, START
from vidlink.access.shown import (
    has_secure_cookie,
    ticket_shown,
    token_shown,
    without_ticket,
)
from vidlink.errors import NotAuthenticated, RequestError, VidlinkError
from vidlink.interfaces import IStretch
from vidlink.model import USUAL, Bounds, Deed, Principal
from vidlink.server.api.answers import answer_error, asker, escaped
from vidlink.server.api.refusals import (
    BadHeader,
    Crowded,
    MethodNotAllowed,
    NoSuchPath,
    TooManyRequests,
)
from vidlink.server.port.channel import Channel, peer_name
from vidlink.server.port.door import Door
from vidlink.server.port.exposure import LOOPBACK_NAMES, is_loopback
from vidlink.server.port.held import Held
from vidlink.server.port.lobby import Lobby, place_of
from vidlink.server.port.origin import Authority, Hosts, is_own_page
from vidlink.server.port.repeats import Repeated, Shown, Source
from vidlink.server.port.sending import MOST_SENT_BYTES
from vidlink.server.port.shares import Shares
from vidlink.server.port.upgrade import check_handshake

SENTINEL_WS = b"/ws/sentinel"
PROCTOR_WS = b"/ws/proctor"
WEBSOCKETS = frozenset({SENTINEL_WS, PROCTOR_WS})
_OIDC = frozenset(path.encode("ascii") for path in (ABOUT, START, CALLBACK))
#: The paths under ``/api`` where anybody may ask for something: to be let in. Only who is in logs
#: out there, and other methods there are not.
LOGIN = b"/api/v1/login"
OPEN = frozenset({LOGIN, *_OIDC})
_ACCESS = re.compile(rb"/api/v1/(login|logins(/[^/]+)?|tickets|audit|enrolments)")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)


#: Words for the log: of which the octets are that answers keep.
NOT_TAKEN = "of an answer that is not taken"
_FORWARDED_FOR, _FORWARDED_PROTO = b"X-Forwarded-For", b"X-Forwarded-Proto"


class Request(server.Request):
    """One request, checked before anybody is asked for an answer."""

    channel: Channel
    #: Whoever asks, where that is needed to answer.
    principal: Principal
    #: The ticket by which they ask, if it was one.
    ticket: str | None = None
    #: The credential that it has shown, and where its body comes from, should it come again.
    shown: Shown | None = None
    source: Source | None = None
    _body_bytes = 0
    _is_secure: bool | None = None

    def __init__(self, channel: Channel, *args: object, **named: object) -> None:
        super().__init__(channel, *args, **named)
        self.started_seconds = channel.factory.reactor.seconds()
        self._proxies = channel.factory.proxies
        self._is_from_haproxy = _is_from_haproxy(channel.transport)

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body; there is a limit to it, announced or not."""
        self._body_bytes += len(data)
        if self._body_bytes > self.channel.factory.bounds.body_bytes:
            self.channel.refuse_body()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Answer, once it is this connection's turn."""
        self.channel.in_turn(self._answer)

    def _answer(self) -> None:
        """Check Host, Origin and path, then answer."""
        try:
            self._to_origin_form()
            self._check()
        except RequestError as error:
            self._refuse(error)
            return
        # With OPTIONS browsers ask beforehand, without a credential, and nothing is given away.
        logs_out = (self.method, self.path) == (b"DELETE", LOGIN)
        is_open = self.method == b"OPTIONS" or (self.path in OPEN and not logs_out)
        if self.path.startswith(b"/api/") and not is_open:
            self._identify()
        else:
            super().process()

    def _identify(self) -> None:
        """Let only those in who show who they are; an address is looked at without its ticket."""
        headers = self.requestHeaders
        path, _, query = self.uri.decode("latin-1").partition("?")
        ticket = ticket_shown(query)
        if ticket is not None:
            self.uri = without_ticket(self.uri.decode("latin-1")).encode("latin-1")
        shown = (
            [value.decode("latin-1") for value in headers.getRawHeaders(name, [])]
            for name in (b"Authorization", b"Cookie")
        )
        try:
            token = token_shown(*shown, is_secure=self.isSecure())
        except NotAuthenticated as error:
            self._refuse(error)
            return
        self.ticket = ticket if token is None else None
        gate, place = self.channel.factory.gate, place_of(self.getClientAddress())
        asked = gate.identify(token, ticket, path, place=place, address=asker(self))
        asked.addCallback(self._let_in, place, (token, ticket, path)).addErrback(self._keep_out)

    def _let_in(
        self, principal: Principal, place: object, shown: tuple[str | None, str | None, str]
    ) -> None:
        if self.channel is None:  # It has gone meanwhile.
            return
        self.principal = principal
        shares, whose = self.channel.factory.requests, principal.credential_id or place
        self.shown = Shown(*shown, principal, whose, self.getClientAddress())
        if not shares.take(whose):
            raise TooManyRequests("so many requests of yours are being answered; wait for them")
        answering = self.channel.factory.answering
        answering.add(self)

        def over(_: object) -> None:
            shares.give_back(whose)
            answering.discard(self)

        self.notifyFinish().addBoth(over)
        self._serve()

    def _serve(self) -> None:
        """Have it answered: by the fast path what is asked for most, all else by its path."""
        if not self.channel.factory.fast_path(self):
            super().process()

    def offer_again(self, source: Source) -> None:
        """Say that the answer is a part of what `source` has, and may be asked for again."""
        self.source = source

    @property
    def can_send_files(self) -> bool:
        """True if the kernel can send a stretch of a file as a part of the answer."""
        channel: Channel | None = self.channel
        return channel is not None and channel.can_send_files

    async def send_file(self, stretch: IStretch) -> int:
        """Send a stretch of a file; returns how many octets of it were sent, fewer if it fails."""
        if not self.startedWriting:
            self.write(b"")
        sent_bytes = await self.channel.send_file(stretch)
        self.sentLength += sent_bytes
        return sent_bytes

    def break_off(self) -> None:
        """End the connection now: what was sent of the answer must not end as if it were whole."""
        transport: Any = self.transport
        transport.abortConnection()

    def _keep_out(self, failure: Failure) -> None:
        error = failure.value
        assert isinstance(error, VidlinkError), failure
        self._refuse(error)

    def _refuse(self, error: VidlinkError) -> None:
        if self.channel is None:  # It has gone meanwhile.
            return
        self.site = self.channel.site
        self.write(refuse(self, error))
        self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """A bug: say so, without its traceback; in the middle of an answer, break it off."""
        error = reason.value
        assert error is not None, "a failure has a cause"
        body = answer_error(self, error)
        if self.startedWriting:
            self.break_off()
        else:
            self.write(body)
            self.finish()
        return reason

    def _to_origin_form(self) -> None:
        """Take a request target with scheme and host apart (RFC 9112 section 3.2.2)."""
        match = _ABSOLUTE_FORM.fullmatch(self.uri)
        if match is not None:
            self.requestHeaders.setRawHeaders(b"Host", [match[1]])
            self.uri = match[2] if match[2].startswith(b"/") else b"/" + match[2]
            self.path = self.uri.partition(b"?")[0]

    def isSecure(self) -> bool:
        """True if the client came over TLS, to this server or to a proxy before it."""
        if self._is_secure is None:
            self._is_secure = self._is_over_tls()
        return self._is_secure

    def _is_over_tls(self) -> bool:
        said = self._said_proto()
        if said is not None:
            return said == [b"https"]
        if not self._is_from_silent_proxy():
            return bool(super().isSecure())
        # No page, and nobody on the way in the clear, has a browser send what is not so; and who
        # says so without a browser says it of a password of their own.
        hosts, origins, cookies = map(self._values, (b"Host", b"Origin", b"Cookie"))
        return is_own_page(hosts, origins, True) if origins else has_secure_cookie(cookies)

    def getClientAddress(self) -> IAddress:
        """Where the client is, as the proxy before this server says if there is one."""
        said = self.requestHeaders.getRawHeaders(_FORWARDED_FOR) if self.is_from_proxy() else None
        if said is None:
            return super().getClientAddress()  # type: ignore[no-any-return]
        # What comes before the last was said by the client.
        host = b",".join(said).rpartition(b",")[2].decode("latin-1").strip()
        try:
            version = ip_address(host).version
        except ValueError:
            return super().getClientAddress()  # type: ignore[no-any-return]
        return (IPv4Address if version == 4 else IPv6Address)("TCP", host, 0)

    def is_from_proxy(self) -> bool:
        """True if a proxy that was named to this server sends it, for somebody else."""
        if not self._proxies:
            return False
        address = super().getClientAddress()
        is_internet = isinstance(address, IPv4Address | IPv6Address)
        return (address.host if is_internet else "unix") in self._proxies

    def _is_from_silent_proxy(self) -> bool:
        """True if a proxy sends it that does not say whether the client came over TLS."""
        if self.is_from_proxy():
            return self._said_proto() is None
        return self._is_from_haproxy

    def _said_proto(self) -> Sequence[bytes] | None:
        """The scheme that a proxy says which is believed; None if none says any."""
        if not self.is_from_proxy():
            return None
        return self.requestHeaders.getRawHeaders(_FORWARDED_PROTO)

    def _values(self, name: bytes) -> list[str]:
        return [one.decode("latin-1") for one in self.requestHeaders.getRawHeaders(name, [])]

    def _check(self) -> None:
        if not self.is_from_proxy():
            for name in (_FORWARDED_FOR, _FORWARDED_PROTO):
                self.requestHeaders.removeHeader(name)
        hosts, origins = self._values(b"Host"), self._values(b"Origin")
        is_old, is_secure = self.clientproto == b"HTTP/1.0", self.isSecure()
        self.channel.factory.hosts.check(hosts, origins, is_secure, needs_host=not is_old)
        is_ours = is_own_page(hosts, origins, is_secure)
        if self.channel.factory.hosts.is_guest(origins) and not is_ours:
            # The person in front of it has not logged in there.
            self.requestHeaders.removeHeader(b"Cookie")
        if self._is_from_silent_proxy():
            if is_secure:
                # For the WebSocket that may come of it.
                self.requestHeaders.setRawHeaders(_FORWARDED_PROTO, [b"https"])
            elif not is_own(self):
                # None of ours: those are not given out in the clear, where anybody could plant one.
                self.requestHeaders.removeHeader(b"Cookie")
        if self.uri == b"*" and self.method == b"OPTIONS":
            # Of the server as a whole (RFC 9110 section 9.3.7).
            raise MethodNotAllowed("OPTIONS", ("DELETE", "GET", "HEAD", "POST", "PUT"))
        if not self.uri.startswith(b"/"):
            raise BadHeader("the request line needs a path that begins with /")
        try:
            unquote_to_bytes(self.path).decode("utf-8")
        except UnicodeDecodeError:
            raise NoSuchPath("there is nothing at this path; it is not UTF-8") from None


class Site(server.Site):
    """Makes the connections of one listening port.

    :param clock: times everything.
    :param root: everything that is served.
    :param hosts: the Hosts and Origins that are ours.
    :param gate: lets in.
    :param proxies: the addresses of proxies before this server, which say who came to them.
    :param bounds: of each connection, and of each who asks.
    :param lobby: where its newcomers are counted; None: one of this site alone.
    :param answers: what is kept of answers that are not taken; None: of this site alone.
    :param fast_path: answers a request itself, and looks at the rights of who asks as `root` does;
        False: it is for `root`.
    """

    _log = Logger()
    noisy = False
    protocol = Channel  # type: ignore[assignment]  # Twisted's wrapper is for HTTP/2.
    requestFactory = Request

    def __init__(
        self,
        root: IResource,
        *,
        clock: IReactorTime,
        hosts: Hosts,
        gate: Gate,
        proxies: frozenset[str] = frozenset(),
        bounds: Bounds = USUAL,
        lobby: Lobby | None = None,
        answers: Held | None = None,
        fast_path: Callable[[server.Request], bool] = lambda request: False,
    ) -> None:
        # The channel's own deadlines take the place of Twisted's.
        super().__init__(root, timeout=None, reactor=clock)
        self.hosts = hosts
        self.gate, self.proxies = gate, proxies
        self.bounds = bounds
        self.door = Door(clock, bounds.newcomers_per_turn)
        self.files = Door(clock, MOST_SENT_BYTES)
        #: The requests that are being answered of those who had to show who they are.
        self.answering: set[Request | Repeated] = set()
        self.lobby = lobby or Lobby(clock, bounds=bounds)
        self.answers = answers or Held(what=NOT_TAKEN)
        self.requests = Shares(bounds.requests_per_credential)
        self.fast_path = fast_path

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel for a newcomer, or what ends it at once where there is no room for it."""
        return self.lobby.refuse() if self.lobby.is_full else super().buildProtocol(addr)

    def tick(self) -> None:
        """To be called about once a second: a film may be sent for hours, but not to somebody whose
        credential is not valid any more."""
        request: Any
        for request in tuple(self.answering):
            if not self.gate.is_current(request.principal):
                request.break_off()
                path = request.path.decode("latin-1")
                about = {"path": path, "why": NotAuthenticated.code}
                self.gate.did(Deed.LOGGED_OUT, request.principal, asker(request), **about)

    def getContentFile(self, length: int | None) -> BytesIO:
        """Where a body is kept: in memory, as there is little of it."""
        return BytesIO()

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 only: HTTP/2 would pass by all that the channel bounds."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """No log file is opened, and no clock ticks for its dates."""

    def stopFactory(self) -> None:
        """Nothing was opened."""

    def log(self, request: HttpRequest) -> None:
        """One line for each answer that was sent to its end, at debug level; a player's ranges of
        one address have a line when the first was sent, and one for all the others."""
        assert isinstance(request, Request)
        if request.channel.goes_on(request):
            return
        seconds = self.reactor.seconds() - request.started_seconds
        # As one text: each field of a format costs what a header does.
        self._log.debug(
            "{line}",
            line=f"{peer_name(request.client)} {escaped(request.method)} {escaped(_told(request))} "
            f"{request.code} {request.sentLength} bytes {seconds:.3f} s",
            seconds=seconds,
        )


@implementer(IResource)
class Root(Resource):
    """Everything that is served, by path. It is a leaf: it does the walking itself."""

    isLeaf = True

    def __init__(
        self,
        api: IResource,
        access: IResource,
        probes: IResource,
        page: IResource,
        sentinel_ws: IResource,
        proctor_ws: IResource,
        oidc: IResource | None = None,
    ) -> None:
        super().__init__()
        self._api, self._access = api, access
        self._page = page
        self._exact = {
            **dict.fromkeys((b"/healthz", b"/readyz", b"/metrics"), probes),
            SENTINEL_WS: sentinel_ws,
            PROCTOR_WS: proctor_ws,
        }
        if oidc is not None:
            self._exact.update(dict.fromkeys(_OIDC, oidc))

    def render(self, request: server.Request) -> bytes | int:
        """Let the resource of the request's path answer."""
        if request.path in WEBSOCKETS:
            try:
                assert isinstance(request, Request), "the site makes its requests"
                _check_upgrade(request)
            except RequestError as error:
                return refuse(request, error)
        if _ACCESS.fullmatch(request.path):
            resource = self._access
        elif request.path in self._exact:
            resource = self._exact[request.path]
        elif request.path == b"/api" or request.path.startswith(b"/api/"):
            resource = self._api
        else:
            resource = self._page
        answer: bytes | int = resource.render(request)
        return answer


def refuse(request: server.Request, error: VidlinkError) -> bytes:
    """Answer with `error`; to a handshake also where clients of WebSockets look for a reason.

    They show the status line and nothing of the body. All that is raised before anybody is asked
    for an answer has a fixed text.
    """
    body = answer_error(request, error)
    if request.path in WEBSOCKETS and body:
        request.setResponseCode(request.code, str(error).encode("ascii"))
    return body


def _told(request: Request) -> bytes:
    """The address that was asked for, without what lets anybody in."""
    if request.path in _OIDC:
        return request.path
    return without_ticket(request.uri.decode("latin-1")).encode("latin-1")


def _check_upgrade(request: Request) -> None:
    if request.method != b"GET":
        raise MethodNotAllowed(request.method.decode("ascii")[:20], ("GET",))
    # Autobahn is given the request anew, as one of HTTP/1.1.
    if request.clientproto != b"HTTP/1.1":
        raise BadHeader("a WebSocket needs HTTP/1.1; a proxy before this server has to speak it")
    check_handshake(request)
    channel = request.channel
    if not channel.factory.lobby.may_stay(channel.transport):
        raise Crowded("the server has no descriptors left for connections that stay")


def _is_from_haproxy(transport: Any) -> bool:
    """True if who sends has said in the PROXY protocol who came to it."""
    while isinstance(transport, ProtocolWrapper):
        if isinstance(transport, HAProxyProtocolWrapper):
            return True
        transport = transport.transport
    return False


def is_own(request: server.Request) -> bool:
    """True if a request comes from this machine, to a name that leads nowhere else."""
    assert isinstance(request, Request), "the site makes its requests"
    if request.is_from_proxy():
        # Whoever it is for is elsewhere, whatever they have the proxy say.
        return False
    address = request.getClientAddress()
    hosts = request.requestHeaders.getRawHeaders(b"Host", [])
    host = Authority.parse(hosts[0].decode("latin-1")) if hosts else None
    if isinstance(address, IPv4Address | IPv6Address) and not is_loopback(address.host):
        return False
    return host is not None and host.host in LOOPBACK_NAMES


def principal_of(request: Request) -> Principal:
    """Whoever sends a request that only some may send."""
    return request.principal


def ticket_of(request: Request) -> str | None:
    """The ticket by which somebody asks; None if it is by something else."""
    return request.ticket
