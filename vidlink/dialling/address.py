"""The address of a server, as a person wrote it: a URL or a client endpoint string.

Sentinels and clients read it alike, so that what is trusted over TLS is decided once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import idna
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP6ClientEndpoint,
    clientFromString,
    wrapClientTLS,
)

from vidlink.dialling.token import check_token
from vidlink.dialling.trust import TRUST_OF_SYSTEM, Trust
from vidlink.errors import UserMistake

SENTINEL_PATH = "ws/sentinel"
PROCTOR_PATH = "ws/proctor"
_PATHS = (SENTINEL_PATH, PROCTOR_PATH)
_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server: `endpoint`, an `IStreamClientEndpoint` to connect to, and what to ask for there.

    `url` is that of the WebSocket, `base_url` that of the HTTP interface, without a slash at
    its end: ``/api/v1/me`` follows it. `is_private`: what goes there is read by nobody else, as
    over TLS and on this machine.
    """

    endpoint: Any
    url: str
    base_url: str
    is_private: bool = False

    def headers(self, token: str | None, *, can_go_plain: bool = False) -> dict[str, str]:
        """The header by which `token` is shown; none without one.

        :param can_go_plain: also where others on the way can read it.
        :raises UserMistake: if it is no token, or would go in the clear and may not.
        """
        if token is None:
            return {}
        if not (self.is_private or can_go_plain):
            raise UserMistake(
                f"a token would go to {self.base_url} in the clear, for everybody on the way to "
                "read; give --server an address with https:// or wss://, or say --plain-token"
            )
        return {"Authorization": f"Bearer {check_token(token, 'what is given as a token')}"}


def read_address(
    text: str, reactor: Any, path: str = SENTINEL_PATH, trust: Trust = TRUST_OF_SYSTEM
) -> Address:
    """The address in `text`: ``ws://host:port``, ``https://host``, or a client endpoint string.

    :param path: of the WebSocket, :data:`SENTINEL_PATH` or :data:`PROCTOR_PATH`.
    :param trust: whom to believe over TLS; an endpoint string says that itself.
    :raises UserMistake: if it is neither, or an endpoint string and a `trust` are given.
    """
    if "://" in text:
        return _from_url(text, reactor, path, trust)
    if trust is not TRUST_OF_SYSTEM:
        raise UserMistake("--ca and --pin go with a --server that is a URL, such as wss://host")
    return _from_endpoint(text, reactor, path)


def _from_url(text: str, reactor: Any, path: str, trust: Trust) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UserMistake(f"--server {text!r} is not a URL: {error}") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None:
        wanted = "ws://, wss://, http:// or https://"
        raise UserMistake(f"--server takes {wanted}, not {parts.scheme}://")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise UserMistake(f"--server {text!r} must be like ws://host:port or wss://host/path")
    prefix = parts.path.rstrip("/")
    for known in _PATHS:
        prefix = prefix.removesuffix("/" + known)
    port = _PORTS[scheme] if port is None else port
    # The percent sign before the zone of an address may be escaped, and may not (RFC 6874).
    host = unquote(parts.hostname)
    authority = _authority(text, host, port)
    # The endpoint of names would look the address up, and lose its zone.
    kind = TCP6ClientEndpoint if ":" in host else HostnameEndpoint
    endpoint: Any = kind(reactor, host, port)
    if scheme == "wss":
        endpoint = wrapClientTLS(trust(host.partition("%")[0]), endpoint)
    is_private = scheme == "wss" or _is_this_machine(host)
    return _address(endpoint, scheme, authority, prefix, path, is_private)


def _from_endpoint(text: str, reactor: Any, path: str) -> Address:
    kind, _, rest = text.partition(":")
    if kind == "ssl":
        # Twisted's endpoint of that name takes any certificate, for any host.
        raise UserMistake(f"--server {text!r} would not check who answers; write tls: for ssl:")
    try:
        endpoint = clientFromString(reactor, text)
    except Exception as error:  # Whatever the kind of endpoint, a plugin perhaps, lets out.
        # A TypeError speaks of functions of Twisted's.
        why = "" if isinstance(error, TypeError) else f": {str(error) or type(error).__name__}"
        raise UserMistake(
            f"--server {text!r} is neither a URL (ws://host:port) nor a client endpoint "
            f"(tcp:host:port, tls:host:port, unix:path){why}"
        ) from None
    authority, is_private = "localhost", kind == "unix"
    if kind in ("tcp", "tls"):
        fields = _fields(rest)
        authority = _authority(text, fields["host"], int(fields["port"]))
        is_private = kind == "tls" or _is_this_machine(fields["host"])
    return _address(endpoint, "wss" if kind == "tls" else "ws", authority, "", path, is_private)


def _fields(text: str) -> dict[str, str]:
    """Host and port of a client endpoint that has been taken, by place or by name."""
    fields: dict[str, str] = {}
    places = iter(("host", "port"))
    for field in re.findall(r"(?:\\.|[^\\:])+", text):
        named = re.fullmatch(r"(\w+)=(.*)", field)
        name, value = named.groups() if named else (next(places, ""), field)
        fields[name] = re.sub(r"\\(.)", r"\1", value)
    return fields


def _authority(text: str, host: str, port: int) -> str:
    """Host and port as a URL has them: a name in ASCII, an address of version 6 in brackets, and
    without its zone, which means nothing to anybody else (RFC 6874 section 4).

    :raises UserMistake: if there can be no such host or port.
    """
    if not 0 < port < 65_536:
        raise UserMistake(f"--server {text!r}: a port is from 1 to 65535, not {port}")
    try:
        is_version_6 = ip_address(host).version == 6
    except ValueError:
        try:
            return f"{idna.encode(host).decode('ascii')}:{port}"
        except UnicodeError as error:
            raise UserMistake(f"--server {text!r}: {host!r} is no host's name: {error}") from None
    return f"[{host.partition('%')[0]}]:{port}" if is_version_6 else f"{host}:{port}"


def _is_this_machine(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _address(
    endpoint: Any, scheme: str, authority: str, prefix: str, path: str, is_private: bool
) -> Address:
    return Address(
        endpoint,
        url=urlunsplit((scheme, authority, f"{prefix}/{path}", "", "")),
        base_url=urlunsplit(("https" if scheme == "wss" else "http", authority, prefix, "", "")),
        is_private=is_private,
    )
