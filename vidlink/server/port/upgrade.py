"""Handshakes of WebSockets (RFC 6455 section 4.2.1), judged before the upgrade.

Autobahn judges them too, but takes what ``int`` reads for a version and a body for frames, and
says in its refusals what the client has said. Here each refusal has a fixed text. What a client
sends behind its handshake without waiting for the answer is not lost: it is the first that comes
on the WebSocket.
"""

from __future__ import annotations

import re
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import Request

from vidlink.server.api.refusals import BadHeader, NoUpgrade

VERSION = b"13"
#: Sixteen octets, in base64.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")


def check_handshake(request: Request) -> None:
    """Check that `request`, a GET of HTTP/1.1, asks for a WebSocket as RFC 6455 has it.

    :raises NoUpgrade: if it asks for none, or for one of another version.
    :raises BadHeader: if it asks for it wrongly.
    """
    if not _has(request, b"Upgrade", b"websocket"):
        raise NoUpgrade("this is the address of a WebSocket; ask for an upgrade to websocket")
    if not _has(request, b"Connection", b"upgrade"):
        raise BadHeader("a handshake needs Connection: Upgrade")
    versions = _values(request, b"Sec-WebSocket-Version")
    if len(versions) != 1:
        raise BadHeader("a handshake needs one Sec-WebSocket-Version")
    if versions[0] != VERSION:
        raise NoUpgrade("Sec-WebSocket-Version has to be 13")
    keys = _values(request, b"Sec-WebSocket-Key")
    if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
        raise BadHeader("a handshake needs one Sec-WebSocket-Key of 16 octets in base64")
    has_length = any(value != b"0" for value in _values(request, b"Content-Length"))
    if has_length or _values(request, b"Transfer-Encoding"):
        # It would be taken for frames.
        raise BadHeader("a handshake has no body")


class SocketResource(WebSocketResource):
    """Hands a connection over to a WebSocket, with all that has come behind its handshake."""

    def render(self, request: Any) -> Any:
        """Answer the handshake, and take what the client has sent before it had the answer."""
        channel, transport = request.channel, request.channel.transport
        answer = super().render(request)
        top = transport if isinstance(transport, ProtocolWrapper) else transport.protocol
        protocol = getattr(top, "wrappedProtocol", top)
        # Nobody asks for it any more, and it knows its channel, as the channel did it.
        channel.requests.clear()
        # It may still be looked up who that is.
        if protocol.state in (protocol.STATE_CONNECTING, protocol.STATE_OPEN):
            channel.hand_over(protocol)
        return answer


def _values(request: Request, name: bytes) -> list[bytes]:
    return [value.strip() for value in request.requestHeaders.getRawHeaders(name, [])]


def _has(request: Request, name: bytes, token: bytes) -> bool:
    """True if `token` is in the list that a header is, in whatever case."""
    values = b",".join(_values(request, name)).lower()
    return token in [value.strip() for value in values.split(b",")]
