"""Where the server is: a URL or a client endpoint string, as the operator wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.ssl import optionsForClientTLS

from vidlink.errors import UserMistake

PATH = "ws/sentinel"
_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """What to connect to (`endpoint`) and what to ask for there (`url`)."""

    endpoint: Any
    url: str


def read_address(text: str, reactor: Any) -> Address:
    """The address in `text`: ``ws://host:port``, ``wss://host``, or a client endpoint string.

    :raises UserMistake: it is neither.
    """
    return _from_url(text, reactor) if "://" in text else _from_endpoint(text, reactor)


def _from_url(text: str, reactor: Any) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UserMistake(f"--server {text!r} is not a URL: {error}") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None:
        raise UserMistake(f"--server takes ws:// or wss://, not {parts.scheme}://")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise UserMistake(f"--server {text!r} must be like ws://host:port or wss://host/path")
    path = parts.path.rstrip("/")
    if not path.endswith("/" + PATH):
        path = f"{path}/{PATH}"
    port = port or _PORTS[scheme]
    endpoint: Any = HostnameEndpoint(reactor, parts.hostname, port)
    if scheme == "wss":
        endpoint = wrapClientTLS(optionsForClientTLS(parts.hostname), endpoint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(endpoint, urlunsplit((scheme, f"{host}:{port}", path, "", "")))


def _from_endpoint(text: str, reactor: Any) -> Address:
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
        return Address(endpoint, f"{scheme}://{fields[0]}:{fields[1]}/{PATH}")
    return Address(endpoint, f"{scheme}://localhost/{PATH}")
