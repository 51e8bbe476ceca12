"""Where an endpoint string listens, and whether that may be without credentials.

Only what the string says is looked at; opening it is for Twisted, which has to understand it.
Which requests are answered there is in :mod:`vidlink.server.port.origin`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet.endpoints import serverFromString

from vidlink.errors import UserMistake

#: The hosts under which a browser on the same machine finds a server on loopback.
LOOPBACK_NAMES = frozenset({"127.0.0.1", "[::1]", "localhost"})

#: By the kind of an endpoint, what Twisted's parser takes without a name: the places of port and
#: interface after the kind, and the interface that it takes when none is given.
_KINDS: Mapping[str, tuple[int, int, str]] = {
    "tcp": (0, 1, ""),
    "ssl": (0, 4, ""),
    "tcp6": (0, 2, "::"),
    "tls": (1, 3, "::"),
}
_LAST_PORT = 65535
_LIKE = "tcp:8080:interface=127.0.0.1, or ssl:8443:privateKey=KEY:certKey=CERT"


@dataclass(frozen=True, slots=True)
class Listening:
    """One endpoint string, read.

    `interface` is empty and `port` None where the string does not tell; port 0, which the
    system chooses, does not tell either. `tls` are key, certificate and maybe those above it, of
    an ``ssl:`` string; empty of any other.
    """

    description: str
    is_loopback: bool
    interface: str
    port: int | None
    tls: tuple[str, ...] = ()

    @classmethod
    def parse(cls, description: str) -> Listening:
        """Read an endpoint string, such as ``tcp:8080:interface=127.0.0.1``.

        Loopback is only what is known to be: TCP, with or without TLS, on a loopback address,
        and Unix sockets. A string that Twisted will not understand is not loopback.
        """
        values, named = _split(description)
        kind = values.pop(0) if values else ""
        if kind not in _KINDS:
            return cls(description, kind == "unix", "", None)
        port_place, interface_place, default = _KINDS[kind]
        interface = named.get("interface", _at(values, interface_place, default))
        port = named.get("port", _at(values, port_place, ""))
        number = int(port) if re.fullmatch("[0-9]{1,5}", port) else 0
        tls = _files(values, named) if kind == "ssl" else ()
        return cls(description, is_loopback(interface), interface, number or None, tls)


def check_endpoint(description: str, clock: Any) -> None:
    """Check that there can be such an endpoint, before it is thought of who may reach it.

    :raises UserMistake: if Twisted does not understand it, or there is no such port.
    """
    values, named = _split(description)
    kind = values.pop(0) if values else ""
    wrong = f"--listen {description!r} cannot be used"
    if kind in _KINDS:
        port = named.get("port", _at(values, _KINDS[kind][0], ""))
        if not re.fullmatch("[0-9]{1,5}", port) or int(port) > _LAST_PORT:
            raise UserMistake(
                f"{wrong}: a port is a number from 0 to {_LAST_PORT}, not {port!r}, as in {_LIKE}"
            )
    try:
        serverFromString(clock, description)
    except TypeError:  # It speaks of functions of Twisted's.
        raise UserMistake(f"{wrong}: something is missing, or too much; such as {_LIKE}") from None
    except Exception as error:
        # Whatever else its parser thinks of: ValueError, OSError of a key file.
        raise UserMistake(f"{wrong}: {error}; such as {_LIKE}") from None


def check_exposure(listening: Iterable[Listening], data: str, proxies: Iterable[str] = ()) -> None:
    """Check that a server without credentials listens where only its own machine reaches it.

    :param data: the data folder, for the commands that make credentials in it.
    :param proxies: those before the server, which others reach.
    :raises UserMistake: for the first endpoint that others may reach.
    """
    behind = [f"a server behind --proxy {proxy}" for proxy in proxies]
    open_to_others = [place.description for place in listening if not place.is_loopback]
    for place in (*open_to_others, *behind):
        raise UserMistake(
            f"{place} may be reached by others, and no credentials are set up: "
            f"'vidlink user add NAME --role administrator --data {data}' makes those of a "
            f"person, 'vidlink token add ID --data {data}' those of a sentinel; or add "
            "--no-auth if anybody who reaches it may watch"
        )


def for_its_group(description: str) -> str:
    """An endpoint string whose Unix socket is for its user and group alone, unless it says for
    whom: by Twisted's own measure everybody on the machine could pass by the proxy before it."""
    values, named = _split(description)
    if values[:1] == ["haproxy"]:
        del values[0]
    says_for_whom = "mode" in named or len(values) > 2
    is_open = values[:1] == ["unix"] and not says_for_whom
    return f"{description}:mode=660" if is_open else description


def _split(description: str) -> tuple[list[str], dict[str, str]]:
    """The values without and with a name; a backslash takes the next character as it is."""
    parts = [[""]]
    characters = iter(description)
    for character in characters:
        if character == ":":
            parts.append([""])
        elif character == "=" and len(parts[-1]) == 1:
            parts[-1].append("")
        else:
            parts[-1][-1] += next(characters, "") if character == "\\" else character
    values = [part[0] for part in parts if len(part) == 1]
    return values, {part[0]: part[1] for part in parts if len(part) == 2}


def _files(values: Sequence[str], named: Mapping[str, str]) -> tuple[str, ...]:
    """Key, certificate and maybe those above it, as Twisted's parser takes them."""
    key = named.get("privateKey", _at(values, 1, "server.pem"))
    certificate = named.get("certKey", _at(values, 2, key))
    chain = named.get("extraCertChain", _at(values, 6, ""))
    return (key, certificate, chain) if chain else (key, certificate)


def _at(values: Sequence[str], place: int, default: str) -> str:
    return values[place] if place < len(values) else default


def is_loopback(interface: str) -> bool:
    """True if what has that address, or name, is this machine alone."""
    if interface == "localhost":
        return True
    try:
        return ip_address(interface).is_loopback
    except ValueError:
        return False
