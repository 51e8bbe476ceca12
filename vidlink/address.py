"""Where the server is: a URL or a client endpoint string, as a person wrote it.

Sentinels and clients read it alike, so that what is trusted over TLS is decided once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.ssl import optionsForClientTLS

from vidlink.errors import UserMistake

SENTINEL_PATH = "ws/sentinel"
PROCTOR_PATH = "ws/proctor"
_PATHS = (SENTINEL_PATH, PROCTOR_PATH)
_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """What to connect to (`endpoint`, an `IStreamClientEndpoint`) and what to ask for there.

    `url` is that of the WebSocket, `base_url` that of the HTTP interface, without a slash at
    its end: ``/api/v1/me`` follows it.
    """

    endpoint: Any
    url: str
    base_url: str


def read_address(text: str, reactor: Any, path: str = SENTINEL_PATH) -> Address:
    """The address in `text`: ``ws://host:port``, ``https://host``, or a client endpoint string.

    :param path: of the WebSocket, :data:`SENTINEL_PATH` or :data:`PROCTOR_PATH`.
    :raises UserMistake: it is neither.
    """
    read = _from_url if "://" in text else _from_endpoint
    return read(text, reactor, path)


def _from_url(text: str, reactor: Any, path: str) -> Address:
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
    port = port or _PORTS[scheme]
    endpoint: Any = HostnameEndpoint(reactor, parts.hostname, port)
    if scheme == "wss":
        endpoint = wrapClientTLS(optionsForClientTLS(parts.hostname), endpoint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return _address(endpoint, scheme, f"{host}:{port}", prefix, path)


def _from_endpoint(text: str, reactor: Any, path: str) -> Address:
    kind, _, rest = text.partition(":")
    if kind == "ssl":
        # Twisted's endpoint of that name takes any certificate, for any host.
        raise UserMistake(f"--server {text!r} would not check who answers; write tls: for ssl:")
    try:
        endpoint = clientFromString(reactor, text)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserMistake(
            f"--server {text!r} is neither a URL (ws://host:port) nor a client endpoint "
            f"(tcp:host:port, tls:host:port, unix:path): {error}"
        ) from None
    fields = rest.split(":")
    scheme = "wss" if kind == "tls" else "ws"
    if kind in ("tcp", "tls") and len(fields) > 1 and "=" not in fields[0] + fields[1]:
        return _address(endpoint, scheme, f"{fields[0]}:{fields[1]}", "", path)
    return _address(endpoint, scheme, "localhost", "", path)


def _address(endpoint: Any, scheme: str, authority: str, prefix: str, path: str) -> Address:
    return Address(
        endpoint,
        url=urlunsplit((scheme, authority, f"{prefix}/{path}", "", "")),
        base_url=urlunsplit(("https" if scheme == "wss" else "http", authority, prefix, "", "")),
    )
