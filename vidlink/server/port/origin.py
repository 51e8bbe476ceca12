"""Whose requests are answered: the Hosts and Origins that are the server's own.

A web page can reach whatever its reader's browser can reach, loopback included. Two headers tell
its requests apart: ``Origin`` names the page that asks (RFC 6454), and ``Host`` the name under
which the server was found, which gives away a foreign name that was pointed at it (DNS rebinding).
Both are checked on every request, WebSocket handshakes included, by
:mod:`vidlink.server.port.site`. Where the server may listen at all without credentials is in
:mod:`vidlink.server.port.exposure`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from vidlink.errors import UserMistake
from vidlink.server.api.refusals import BadHeader, ForeignOrigin, Misdirected
from vidlink.server.port.exposure import LOOPBACK_NAMES, Listening

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?P<host>\[[0-9A-Fa-f:.]{{2,45}}\]|{_LABEL}(?:\.{_LABEL})*\.?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_LONGEST_HOST = 253
#: A browser says the same in every request: so many of each kind are not read anew.
_MOST_PARSED = 256
_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Authority:
    """A host, in lower case, and the port if one was said (RFC 3986 section 3.2).

    No user name, and a trailing dot makes another name.
    """

    host: str
    port: int | None

    @classmethod
    @lru_cache(_MOST_PARSED)
    def parse(cls, text: str) -> Authority | None:
        """Read `text`, such as ``localhost:8080`` or ``[::1]``; None if it is none."""
        match = _AUTHORITY.fullmatch(text)
        if match is None or len(match["host"]) > _LONGEST_HOST:
            return None
        port = None if match["port"] is None else int(match["port"])
        if port is not None and port > 65535:
            return None
        host = _canonical(match["host"])
        return None if host is None else cls(host, port)

    @property
    def is_address(self) -> bool:
        """True if the host is an address, so that no DNS answer can change what it means."""
        if self.host.startswith("["):
            return True
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a page (RFC 6454 section 4)."""

    scheme: str
    host: str
    port: int

    @classmethod
    @lru_cache(_MOST_PARSED)
    def parse(cls, text: str) -> Origin | None:
        """The origin that `text` is, such as ``https://example.org``; None if it is none.

        ``null``, lists, user names and anything with a path are none.
        """
        scheme, _, rest = text.partition("://")
        scheme = scheme.lower()
        authority = Authority.parse(rest)
        if scheme not in _SCHEMES or authority is None:
            return None
        return cls(scheme, authority.host, authority.port or _SCHEMES[scheme])

    @classmethod
    def of(cls, host: Authority, is_secure: bool) -> Origin:
        """The origin of a page that was fetched from `host`, with TLS if `is_secure`."""
        scheme = "https" if is_secure else "http"
        return cls(scheme, host.host, host.port or _SCHEMES[scheme])

    def authorities(self) -> frozenset[Authority]:
        """The Host headers that lead to it: the default port may be left out."""
        said = {Authority(self.host, self.port)}
        if self.port == _SCHEMES[self.scheme]:
            said.add(Authority(self.host, None))
        return frozenset(said)


class Hosts:
    """The Hosts and Origins that are the server's own.

    Listening on loopback or a Unix socket only, those are the loopback names, with the ports
    listened on, with none, or with a default one: a checker of health leaves out what it does not
    know, and a browser says the port that it dialled. Listening elsewhere, they are all addresses,
    which no DNS can bend, the loopback names and `own_names`, with any port, as something may
    stand before the server that listens on another one. In each case `allowed_origins` and their
    hosts are added.

    :param listening: what the server listens on.
    :param allowed_origins: such as ``https://vidlink.example.org``.
    :param own_names: under which the machine is known.
    """

    def __init__(
        self,
        listening: Sequence[Listening],
        allowed_origins: Iterable[str] = (),
        own_names: Iterable[str] = (),
    ) -> None:
        self._allowed = frozenset(_allowed_origin(text) for text in allowed_origins)
        self._named = frozenset(host for origin in self._allowed for host in origin.authorities())
        self._loopback_only = all(place.is_loopback for place in listening)
        interfaces = (_host_of(place.interface) for place in listening)
        self._names = LOOPBACK_NAMES.union(name for name in interfaces if name)
        if not self._loopback_only:
            self._names |= {name.lower() for name in own_names}
        ports = {place.port for place in listening}
        self._ports = None if None in ports else ports.union({None}, _SCHEMES.values())

    @property
    def has_guests(self) -> bool:
        """True if pages of some other origin are let in."""
        return bool(self._allowed)

    def is_guest(self, origins: Sequence[str]) -> bool:
        """True if these are the values of ``Origin`` of a page that is let in by its name."""
        return len(origins) == 1 and Origin.parse(origins[0]) in self._allowed

    def admits_host(self, host: Authority) -> bool:
        """True if a request for `host` is meant for this server."""
        if host in self._named:
            return True
        if self._loopback_only:
            is_our_port = self._ports is None or host.port in self._ports
            return host.host in self._names and is_our_port
        return host.is_address or host.host in self._names

    def check(
        self,
        hosts: Sequence[str],
        origins: Sequence[str],
        is_secure: bool,
        needs_host: bool = True,
    ) -> None:
        """Check one request by all values of its ``Host`` and ``Origin`` headers.

        No Origin means that no browser asks, and is fine. So is no Host where none is needed,
        which is before HTTP/1.1 (RFC 9112 section 3.2): every browser sends one.

        :raises BadHeader: unless there is exactly one valid Host.
        :raises Misdirected: if the Host is not ours.
        :raises ForeignOrigin: if the Origin is not.
        """
        host = Authority.parse(hosts[0]) if len(hosts) == 1 else None
        if host is None and (hosts or needs_host):
            raise BadHeader("a request needs exactly one Host header with a host and maybe a port")
        if host is not None and not self.admits_host(host):
            raise Misdirected(
                "this server is not known under that host; if it should be, start it with "
                "--allow-origin and the address of its page, such as http://server.lan:8080"
            )
        if not origins or self.is_guest(origins):
            return
        if not is_own_page(hosts, origins, is_secure):
            raise ForeignOrigin(
                "pages of another origin may not use this server; if this one should, "
                "start the server with --allow-origin and the page's origin"
            )


def is_own_page(hosts: Sequence[str], origins: Sequence[str], is_secure: bool) -> bool:
    """True if these values of ``Host`` and ``Origin`` are of a page that came from the host that it
    now asks, with TLS if `is_secure`."""
    host = Authority.parse(hosts[0]) if len(hosts) == 1 else None
    if host is None or len(origins) != 1:
        return False
    return Origin.parse(origins[0]) == Origin.of(host, is_secure)


def machine_names() -> frozenset[str]:
    """The names under which others find this machine, as far as it knows them.

    Its host name and that with its domain, both as the system has them; and what they are in a
    network without a DNS of its own (RFC 6762). Asks the resolver, which may take a moment.
    """
    name = socket.gethostname()
    label = name.partition(".")[0]
    known = {name, label, f"{label}.local", socket.getfqdn(name)}
    return frozenset(name for name in known if Authority.parse(name) is not None)


def _allowed_origin(text: str) -> Origin:
    origin = Origin.parse(text.removesuffix("/"))
    if origin is None:
        raise UserMistake(
            f"{text!r} is no origin: give scheme and host, and the port if it is not the "
            "scheme's own, such as https://vidlink.example.org"
        )
    return origin


def _canonical(host: str) -> str | None:
    """`host` as browsers write it: lower case, IPv6 addresses in brackets and shortest form."""
    if not host.startswith("["):
        return host.lower()
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return None


def _host_of(interface: str) -> str | None:
    return _canonical(f"[{interface}]" if ":" in interface else interface)
